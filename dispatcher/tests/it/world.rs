//! A world to dispatch in: the embedded backend on paused time, a crowd that joins, order workers, an operator.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use sluice_backends::embedded::{Embedded, EmbeddedSettings};
use sluice_core::{
    basket::{Basket, Item},
    clock::{Clock, TokioClock, UnixMillis},
    entry::Outcome,
    ids::{BuyerId, EntryId, OrderId, SaleId, Seq, SkuId},
    line::{Caps, LineEntry},
    order::ClosingCause,
    policy::PolicyPatch,
    ports::{
        Author, Bulletin, Changed, Heard, Join, JoinReply, LineReport, NewOutcome, Notice,
        OutcomeReason, Ports, Restock, Settlement, StepReply,
    },
    random::Random,
    sale::{NewSale, SaleChange},
};
use sluice_dispatcher::{Config, Dispatcher, DispatcherPorts};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep},
};
use tokio_util::sync::CancellationToken;

use super::{
    tap::{Log, Tap},
    workers::{Workers, pay, work},
};

/// Longest virtual time anything is waited for.
const PATIENCE: Duration = Duration::from_mins(20);

pub(crate) struct World {
    pub(crate) ports: Ports,
    pub(crate) clock: Arc<TokioClock>,
    pub(crate) random: Arc<Random>,
    pub(crate) sale: SaleId,
    pub(crate) log: Arc<Log>,
    pub(crate) tasks: JoinSet<()>,
    joined: u64,
    _embedded: Embedded,
    _folder: tempfile::TempDir,
}

/// A dispatcher at work.
pub(crate) struct Running {
    shutdown: CancellationToken,
    task: tokio::task::AbortHandle,
}

impl Running {
    /// Asks it to stop, in order.
    pub(crate) fn stop(&self) {
        self.shutdown.cancel();
    }

    /// Ends it in the middle of whatever it does.
    pub(crate) fn kill(&self) {
        self.task.abort();
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.task.is_finished()
    }
}

pub(crate) fn basket(items: &[(&str, u32)]) -> Basket {
    let item = |(sku, quantity): &(&str, u32)| Item::counted(SkuId::new(sku).unwrap(), *quantity);
    Basket::new(items.iter().map(item).collect()).unwrap()
}

fn author() -> Author {
    Author { name: "test".into(), address: None }
}

impl World {
    /// A world with one sale of these SKUs.
    pub(crate) async fn with(skus: &[(&str, u64)], policy: serde_json::Value) -> Self {
        let mut world = Self::empty();
        let sale = world.sale.clone();
        world.create(sale, skus, policy, None).await;
        world
    }

    /// The same; the sale opens and closes after these times.
    pub(crate) async fn scheduled(
        skus: &[(&str, u64)],
        policy: serde_json::Value,
        opens: Duration,
        closes: Duration,
    ) -> Self {
        let mut world = Self::empty();
        let (sale, now) = (world.sale.clone(), world.clock.now());
        world.create(sale, skus, policy, Some((now.plus(opens), now.plus(closes)))).await;
        world
    }

    fn empty() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = Arc::new(TokioClock::starting_at(UnixMillis(1_790_000_000_000)));
        let embedded = Embedded::open_inline(
            &folder.path().join("data.sqlite"),
            Arc::<TokioClock>::clone(&clock),
            EmbeddedSettings::default(),
        )
        .unwrap();
        let mut ports = embedded.ports();
        let tap = Tap::on(ports.waiting);
        let log = Arc::clone(&tap.log);
        ports.waiting = Arc::new(tap);
        Self {
            ports,
            clock,
            random: Arc::new(Random::seeded(7)),
            sale: SaleId::new("drop").unwrap(),
            log,
            tasks: JoinSet::new(),
            joined: 0,
            _embedded: embedded,
            _folder: folder,
        }
    }

    pub(crate) async fn create(
        &mut self,
        id: SaleId,
        skus: &[(&str, u64)],
        policy: serde_json::Value,
        times: Option<(UnixMillis, UnixMillis)>,
    ) {
        let skus: Vec<_> = skus
            .iter()
            .map(|(sku, stock)| {
                serde_json::json!({"sku": sku, "stock": stock, "amount_fen": 100, "currency": "CNY"})
            })
            .collect();
        let (opens_at, closes_at) = times.unzip();
        let sale = serde_json::json!({
            "id": id, "skus": skus, "policy": policy, "opens_at": opens_at, "closes_at": closes_at,
        });
        let sale: NewSale = serde_json::from_value(sale).unwrap();
        let sale = sale.build(self.clock.now()).unwrap();
        self.ports.waiting.declare(&id).await.unwrap();
        self.ports.ledger.create_sale(sale.clone(), &author()).await.unwrap();
        self.ports.bulletin.publish(Notice::Sale { sale: Arc::new(sale) }).await.unwrap();
    }

    pub(crate) fn config(name: &str) -> Config {
        Config::new(name)
    }

    /// Starts a dispatcher and waits until the line can be joined.
    pub(crate) async fn dispatcher(&mut self, name: &str) -> Running {
        let running = self.dispatcher_with(Self::config(name), self.ports.clone());
        self.until("the line is warm", async |world: &Self| {
            world.ports.line.snapshot(&world.sale).await.is_ok()
        })
        .await;
        running
    }

    pub(crate) fn dispatcher_with(&mut self, config: Config, ports: Ports) -> Running {
        let Ports { line, waiting, turns, bulletin, gate, ledger, letters: _, inbox: _ } = ports;
        let ports = DispatcherPorts {
            line,
            waiting,
            turns,
            gate,
            ledger,
            bulletin,
            clock: Arc::<TokioClock>::clone(&self.clock),
            random: Arc::clone(&self.random),
        };
        let dispatcher = Dispatcher::build(config, ports).unwrap();
        let shutdown = CancellationToken::new();
        let task = self.tasks.spawn(dispatcher.run(shutdown.clone()));
        Running { shutdown, task }
    }

    /// Waits in virtual time.
    pub(crate) async fn until(&self, what: &str, holds: impl AsyncFn(&Self) -> bool) {
        let start = Instant::now();
        while !holds(self).await {
            assert!(start.elapsed() < PATIENCE, "not in time: {what}");
            // Looking costs real time: the longer it takes, the coarser the look.
            let pause = start.elapsed() / 20;
            sleep(pause.clamp(Duration::from_millis(5), Duration::from_millis(100))).await;
        }
    }

    pub(crate) async fn until_released(&self, count: usize) {
        self.until(&format!("{count} turns"), async |world| {
            world.log.first_releases().len() >= count
        })
        .await;
    }

    fn candidate(&mut self, basket: Basket) -> LineEntry {
        self.joined += 1;
        let now = self.clock.now();
        LineEntry {
            entry: EntryId::generate(now, &self.random),
            buyer: BuyerId::new(&format!("buyer-{}", self.joined)).unwrap(),
            seq: Seq(0),
            holes_below: 0,
            basket,
            joined_at: now,
            address: None,
            reach: None,
            stands_since: None,
        }
    }

    /// Gives places out without offering them to the queue: their joins were not answered.
    pub(crate) async fn number(&mut self, baskets: &[Basket]) -> Vec<LineEntry> {
        self.places(Caps::of_line(1_000_000), baskets).await
    }

    async fn places(&mut self, caps: Caps, baskets: &[Basket]) -> Vec<LineEntry> {
        let joins = baskets
            .iter()
            .map(|basket| Join {
                candidate: self.candidate(basket.clone()),
                proven: None,
                limits: None,
                stand_by: false,
            })
            .collect();
        let replies = self.ports.line.join(&self.sale, caps, joins).await.unwrap();
        let place = |reply| match reply {
            JoinReply::New(place) => place.line_entry,
            JoinReply::Found(_)
            | JoinReply::Full
            | JoinReply::OutOfNumbers
            | JoinReply::Limited { .. } => panic!("{reply:?}"),
        };
        replies.into_iter().map(place).collect()
    }

    /// `count` buyers come beyond the cap, one after the other.
    pub(crate) async fn standby(&mut self, count: usize, items: &[(&str, u32)]) -> Vec<LineEntry> {
        let mut entries = Vec::new();
        for _ in 0..count {
            entries
                .extend(self.places(Caps { line: 0, standby: 1_000_000 }, &[basket(items)]).await);
            sleep(Duration::from_millis(1)).await;
        }
        self.offer(&entries).await;
        entries
    }

    /// A buyer gives the place up.
    pub(crate) async fn leave(&self, entry: &LineEntry) {
        let left = NewOutcome {
            line_entry: entry.clone(),
            outcome: Outcome::Left,
            reason: OutcomeReason::Plain,
        };
        self.ports.ledger.settle(&self.sale, vec![left]).await.unwrap();
        let settlement = Settlement { outcome: Outcome::Left, live: false };
        self.ports.line.settle(&self.sale, &[(entry.entry, settlement)]).await.unwrap();
    }

    /// Makes places durable.
    pub(crate) async fn offer(&self, entries: &[LineEntry]) {
        for chunk in entries.chunks(64) {
            self.ports.waiting.offer(&self.sale, chunk.to_vec()).await.unwrap();
        }
        let ids: Vec<EntryId> = entries.iter().map(|entry| entry.entry).collect();
        self.ports.line.confirm(&self.sale, &ids).await.unwrap();
    }

    pub(crate) async fn join(&mut self, items: &[(&str, u32)]) -> LineEntry {
        self.crowd(1, items).await.remove(0)
    }

    /// `count` buyers join at once, each for the same goods.
    pub(crate) async fn crowd(&mut self, count: usize, items: &[(&str, u32)]) -> Vec<LineEntry> {
        let entries = self.number(&vec![basket(items); count]).await;
        self.offer(&entries).await;
        entries
    }

    /// Begins order workers.
    pub(crate) fn workers(&mut self, workers: Workers) {
        let (ports, random) = (self.ports.clone(), Arc::clone(&self.random));
        self.tasks.spawn(work(workers, ports, random, Arc::clone(&self.clock)));
    }

    pub(crate) async fn pay(&self, entry: &LineEntry) {
        let order = self.order(entry).await;
        pay(&self.ports, &self.random, self.clock.now(), order).await;
    }

    /// A hold runs out: the goods come back.
    pub(crate) async fn lapse(&self, entry: &LineEntry) {
        let order = self.order(entry).await;
        let ledger = &self.ports.ledger;
        ledger.begin_closing(order, ClosingCause::Deadline).await.unwrap();
        let StepReply::Done { gate, .. } = ledger.close_unpaid(order).await.unwrap() else {
            panic!("the order was not closed");
        };
        self.ports.gate.set(&self.sale, &[gate.unwrap()]).await.unwrap();
        let sale = self.sale.clone();
        self.ports.bulletin.publish(Notice::StockReturned { sale }).await.unwrap();
    }

    async fn order(&self, entry: &LineEntry) -> OrderId {
        let records = self.ports.ledger.entries(&[entry.entry]).await.unwrap();
        records[0].as_ref().unwrap().order.unwrap().order
    }

    /// Changes the sale as the operator API does.
    pub(crate) async fn change(&self, change: SaleChange) {
        let changed = self
            .ports
            .ledger
            .change_sale(&self.sale, None, change.clone(), &author(), None)
            .await
            .unwrap();
        let Changed::Done(sale) = changed else { panic!("{changed:?}") };
        if let SaleChange::AddStock { sku, .. } = change {
            let total = sale.sku(&sku).unwrap().stock;
            self.ports
                .gate
                .restock(&self.sale, &Restock { sku, total, seats: None })
                .await
                .unwrap();
            let sale = self.sale.clone();
            self.ports.bulletin.publish(Notice::StockReturned { sale }).await.unwrap();
        }
        self.ports.bulletin.publish(Notice::Sale { sale }).await.unwrap();
    }

    pub(crate) async fn tune(&self, patch: serde_json::Value) {
        let patch: PolicyPatch = serde_json::from_value(patch).unwrap();
        self.change(SaleChange::Policy(patch)).await;
    }

    /// What the ledger says became of entries.
    pub(crate) async fn outcomes(&self, entries: &[LineEntry]) -> Vec<Option<Outcome>> {
        let ids: Vec<EntryId> = entries.iter().map(|entry| entry.entry).collect();
        let records = self.ports.ledger.entries(&ids).await.unwrap();
        records.into_iter().map(|record| record.map(|record| record.outcome)).collect()
    }

    /// Stops a dispatcher, and checks that it left nothing in the queue.
    pub(crate) async fn until_nothing_is_left(&self, running: &Running) {
        running.stop();
        self.until("it has ended", async |_| running.has_ended()).await;
        let mut drain = self.ports.waiting.drain(&self.sale).await.unwrap();
        let next = tokio::time::timeout(Duration::from_secs(1), drain.intake.next()).await;
        assert!(next.is_err(), "not acknowledged: {next:?}");
    }

    pub(crate) async fn until_all(&self, entries: &[LineEntry], outcome: Outcome) {
        self.until(&format!("everybody is {outcome:?}"), async |world| {
            world.outcomes(entries).await.iter().all(|known| *known == Some(outcome))
        })
        .await;
    }

    /// The last report of the line, from now on.
    pub(crate) async fn listen(&mut self) -> Ears {
        Ears::on(&*self.ports.bulletin, &mut self.tasks).await
    }
}

/// A notice, and when it was heard.
type Told = (Instant, Arc<Notice>);

/// What an edge node hears.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ears {
    heard: Arc<Mutex<Vec<Told>>>,
}

impl Ears {
    async fn on(bulletin: &dyn Bulletin, tasks: &mut JoinSet<()>) -> Self {
        let mut subscription = bulletin.subscribe().await.unwrap();
        let heard = Self::default();
        let ears = heard.clone();
        tasks.spawn(async move {
            while let Ok(something) = subscription.next().await {
                if let Heard::Notice(notice) = something {
                    ears.heard.lock().unwrap().push((Instant::now(), notice));
                }
            }
        });
        heard
    }

    pub(crate) fn reports(&self) -> Vec<(Instant, LineReport)> {
        let heard = self.heard.lock().unwrap();
        let report = |(at, notice): &Told| match &**notice {
            Notice::Line(report) => Some((*at, report.clone())),
            Notice::Entries { .. }
            | Notice::Sale { .. }
            | Notice::SaleDeleted { .. }
            | Notice::StockReturned { .. }
            | Notice::Moved(_)
            | Notice::Pushed(_)
            | Notice::Bans => None,
        };
        heard.iter().filter_map(report).collect()
    }

    pub(crate) fn last(&self) -> Option<LineReport> {
        self.reports().pop().map(|(_, report)| report)
    }

    /// The states told of each entry, in order.
    pub(crate) fn states(&self) -> HashMap<EntryId, Vec<sluice_core::entry::EntryState>> {
        let mut states = HashMap::<EntryId, Vec<_>>::new();
        for (_, notice) in self.heard.lock().unwrap().iter() {
            if let Notice::Entries { entries, .. } = &**notice {
                for entry in entries {
                    states.entry(entry.entry).or_default().push(entry.state);
                }
            }
        }
        states
    }
}
