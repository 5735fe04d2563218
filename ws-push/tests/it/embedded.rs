//! The push service over the embedded backend: what its ports really say is what a buyer hears.

use std::{sync::Arc, time::Duration};

use sluice_backends::embedded::{Embedded, EmbeddedSettings};
use sluice_core::{
    basket::{Basket, Item},
    clock::{Clock, ManualClock, UnixMillis},
    entry::EntryState,
    ids::{BuyerId, EntryId, Epoch, HoldId, OrderId, SaleId, Seq, SkuId},
    line::{Caps, Cursor, LineEntry},
    ports::{
        Author, EntryNotice, GateSaid, HoldReply, HoldRequest, Join, JoinReply, Notice, PlaceState,
        Ports, Restore,
    },
    random::Random,
    token::{Claims, Keyring, TOKEN_LIFE},
    view::{
        Directory,
        follow::{Sources, follow, pull},
        lookup::Lookup,
        object::PublicUrls,
    },
};
use sluice_http::limits::Limits;
use sluice_ws_push::PushPorts;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::{
    client::Client,
    world::{Node, bearer, keyring, one_of_the_first, plenty, quick, sale},
};

const NOW: UnixMillis = UnixMillis(1_800_000_000_000);

struct House {
    node: Node,
    ports: Ports,
    sale: SaleId,
    random: Random,
    keyring: Arc<Keyring>,
    clock: ManualClock,
    _embedded: Embedded,
    _following: JoinSet<()>,
    _folder: tempfile::TempDir,
}

impl House {
    async fn open() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let hand = ManualClock::at(NOW);
        let clock: Arc<dyn Clock> = Arc::new(hand.clone());
        let file = folder.path().join("sluice.db");
        let settings = EmbeddedSettings::default();
        let embedded = Embedded::open_inline(&file, Arc::clone(&clock), settings).unwrap();
        let ports = embedded.ports();
        let sale = sale("demo");
        let author = Author { name: "test".into(), address: None };
        ports.ledger.create_sale((*sale).clone(), &author).await.unwrap();
        let block = ports.ledger.next_block(&sale.id, 1_000).await.unwrap();
        let restore = Some(Restore { block, cursor: Cursor::default(), last: Seq(0) });
        ports.line.warm(&sale.id, Epoch(1), restore).await.unwrap();
        let directory = Arc::new(Directory::default());
        let sources = Sources {
            bulletin: Arc::clone(&ports.bulletin),
            ledger: Arc::clone(&ports.ledger),
            line: Arc::clone(&ports.line),
        };
        pull(&directory, &sources).await.unwrap();
        let mut following = JoinSet::new();
        following.spawn(follow(Arc::clone(&directory), sources, CancellationToken::new()));
        let keyring = Arc::new(keyring("x"));
        let push_ports = PushPorts {
            bulletin: Arc::clone(&ports.bulletin),
            line: Arc::clone(&ports.line),
            directory,
            lookup: Lookup {
                line: Arc::clone(&ports.line),
                ledger: Arc::clone(&ports.ledger),
                clock: Arc::clone(&clock),
                urls: Arc::new(PublicUrls::default()),
            },
            keyring: Arc::clone(&keyring),
            clock,
            random: Arc::new(Random::seeded(1)),
            limits: Arc::new(Limits::new(plenty(), 1_000)),
        };
        Self {
            node: Node::start(quick(), push_ports).await,
            ports,
            sale: sale.id.clone(),
            random: Random::seeded(2),
            keyring,
            clock: hand,
            _embedded: embedded,
            _following: following,
            _folder: folder,
        }
    }

    async fn join(&self, buyer: &str) -> LineEntry {
        let item = Item::counted(SkuId::new("standard").unwrap(), 1);
        let candidate = LineEntry {
            entry: EntryId::generate(NOW, &self.random),
            buyer: BuyerId::new(buyer).unwrap(),
            seq: Seq(0),
            holes_below: 0,
            basket: Basket::new(vec![item]).unwrap(),
            joined_at: NOW,
            address: None,
            reach: None,
            stands_since: None,
        };
        let joins = vec![Join { candidate, proven: None, limits: None, stand_by: false }];
        let replies = self.ports.line.join(&self.sale, Caps::of_line(1_000), joins).await.unwrap();
        let [JoinReply::New(place)] = &replies[..] else { panic!("not a new place: {replies:?}") };
        place.line_entry.clone()
    }

    async fn connect(&self, entry: &LineEntry, query: &str) -> Client {
        let claims = Claims {
            sale: self.sale.clone(),
            entry: entry.entry,
            seq: entry.seq,
            holes_below: entry.holes_below,
            wants: one_of_the_first(),
            joined_at: NOW,
            held_since: NOW,
            // Old enough that it is renewed at once.
            expires_at: NOW.plus(TOKEN_LIFE / 4),
        };
        let token = self.keyring.sign_claims(&claims);
        Client::open(self.node.address, "demo", query, &bearer(&token)).await
    }

    /// The entry gets its goods; answers what the worker would tell the bulletin.
    async fn hold(&self, entry: &LineEntry) -> EntryNotice {
        let request = HoldRequest {
            line_entry: entry.clone(),
            hold: HoldId::of_entry(entry.entry, 0),
            order: OrderId::generate(NOW, &self.random),
            gate: GateSaid::Held,
        };
        let replies = self.ports.ledger.hold(&self.sale, vec![request]).await.unwrap();
        let [HoldReply::Settled { record, .. }] = &replies[..] else {
            panic!("not settled: {replies:?}")
        };
        let order = record.order.unwrap();
        let state = EntryState::from(record.outcome);
        EntryNotice {
            entry: entry.entry,
            version: state.version(Some(order.version)),
            state,
            order: Some(order.order),
            pay_by: Some(order.pay_by),
        }
    }

    async fn tell(&self, notice: EntryNotice) {
        let notice = Notice::Entries { sale: self.sale.clone(), entries: vec![notice] };
        self.ports.bulletin.publish(notice).await.unwrap();
    }
}

#[tokio::test]
async fn a_buyer_hears_the_whole_way_to_the_order() {
    let mut house = House::open().await;
    let entry = house.join("ada").await;
    let mut client = house.connect(&entry, "").await;
    let (waiting, _) = client.frame().await;
    assert_eq!(
        (waiting["state"].clone(), waiting["position"].clone()),
        ("waiting".into(), 1.into())
    );
    assert!(waiting["token"].is_string());
    let called = house.ports.line.call(&house.sale, Epoch(1), None, std::slice::from_ref(&entry));
    called.await.unwrap();
    house
        .tell(EntryNotice {
            entry: entry.entry,
            version: EntryState::Called.version(None),
            state: EntryState::Called,
            order: None,
            pay_by: None,
        })
        .await;
    assert_eq!(client.next_of("entry").await["state"], "called");
    let notice = house.hold(&entry).await;
    let order = notice.order.unwrap().to_string();
    house.tell(notice).await;
    let reserved = client.next_of("entry").await;
    assert_eq!(reserved["state"], "reserved");
    assert_eq!(reserved["order"], order);
    assert_eq!(reserved["links"]["order"], format!("/v1/orders/{order}"));
    house.node.drain().await;
    assert_eq!(client.close_code().await, 1001);
}

/// Not one notice arrives, and the buyer hears of the order all the same.
#[tokio::test]
async fn a_silent_bulletin_hides_nothing_from_who_reconnects() {
    let house = House::open().await;
    let entry = house.join("ada").await;
    house.ports.line.call(&house.sale, Epoch(1), None, std::slice::from_ref(&entry)).await.unwrap();
    house.hold(&entry).await;
    // This node's cursor is behind, but another one has shown the client that its number was passed.
    let mut client = house.connect(&entry, &format!("?seen={}", entry.seq)).await;
    assert_eq!(client.frame().await.0["state"], "reserved");
}

/// A connected buyer holds the place: the line hears of it, so the place is not passed as silent.
#[tokio::test]
async fn the_line_hears_who_is_there() {
    let house = House::open().await;
    let entry = house.join("ada").await;
    let joined = house.ports.line.find(&house.sale, &[entry.entry]).await.unwrap();
    let seen_at = joined[0].as_ref().unwrap().seen_at;
    assert_eq!(joined[0].as_ref().unwrap().state, PlaceState::Waiting);
    house.clock.advance(Duration::from_secs(60));
    let mut client = house.connect(&entry, "").await;
    client.next_of("entry").await;
    let deadline = tokio::time::Instant::now() + crate::world::DEADLINE;
    loop {
        let found = house.ports.line.find(&house.sale, &[entry.entry]).await.unwrap();
        if found[0].as_ref().unwrap().seen_at > seen_at {
            return;
        }
        assert!(tokio::time::Instant::now() < deadline, "the line never heard of it");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
