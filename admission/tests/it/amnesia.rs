//! A line that can forget where its places are, as a store that lost its memory would: it finds nothing, and does
//! everything else as before.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use async_trait::async_trait;
use http::Method;
use sluice_core::{
    clock::UnixMillis,
    ids::{BuyerId, EntryId, Epoch, SaleId, Seq},
    line::{Caps, Cursor, LineEntry},
    ports::{
        Join, JoinReply, Line, LineSnapshot, Place, PortError, PortResult, Ports, Restore,
        Settlement, Standing,
    },
};

use crate::stage::{Script, Stage, text};

#[derive(Debug)]
struct Amnesiac {
    inner: Arc<dyn Line>,
    memory: Arc<Memory>,
}

/// What the test sets, and what the line was asked.
#[derive(Debug, Default)]
struct Memory {
    forgets: AtomicBool,
    /// It does not even find nothing: it is cold.
    cold: AtomicBool,
    /// Joins that brought a place to be registered again.
    proven: AtomicUsize,
}

impl Memory {
    fn lose(&self) {
        self.forgets.store(true, Ordering::SeqCst);
    }
}

impl Amnesiac {
    fn forgets(&self) -> bool {
        self.memory.forgets.load(Ordering::SeqCst)
    }
}

#[async_trait]
impl Line for Amnesiac {
    async fn find(&self, sale: &SaleId, entries: &[EntryId]) -> PortResult<Vec<Option<Place>>> {
        if self.memory.cold.load(Ordering::SeqCst) {
            Err(PortError::Cold)
        } else if self.forgets() {
            Ok(vec![None; entries.len()])
        } else {
            self.inner.find(sale, entries).await
        }
    }
    async fn find_buyer(&self, sale: &SaleId, buyer: &BuyerId) -> PortResult<Option<Place>> {
        if self.forgets() { Ok(None) } else { self.inner.find_buyer(sale, buyer).await }
    }

    async fn warm(&self, sale: &SaleId, epoch: Epoch, restore: Option<Restore>) -> PortResult<()> {
        self.inner.warm(sale, epoch, restore).await
    }
    async fn extend(&self, sale: &SaleId, epoch: Epoch, to: Seq) -> PortResult<()> {
        self.inner.extend(sale, epoch, to).await
    }
    async fn join(
        &self,
        sale: &SaleId,
        caps: Caps,
        joins: Vec<Join>,
    ) -> PortResult<Vec<JoinReply>> {
        let proven = joins.iter().filter(|join| join.proven.is_some()).count();
        self.memory.proven.fetch_add(proven, Ordering::SeqCst);
        self.inner.join(sale, caps, joins).await
    }
    async fn confirm(&self, sale: &SaleId, entries: &[EntryId]) -> PortResult<()> {
        self.inner.confirm(sale, entries).await
    }
    async fn seen(&self, sale: &SaleId, entries: &[EntryId], at: UnixMillis) -> PortResult<()> {
        self.inner.seen(sale, entries, at).await
    }
    async fn call(
        &self,
        sale: &SaleId,
        epoch: Epoch,
        silent_before: Option<UnixMillis>,
        entries: &[LineEntry],
    ) -> PortResult<Vec<Standing>> {
        self.inner.call(sale, epoch, silent_before, entries).await
    }
    async fn stand_by(&self, sale: &SaleId, entries: &[EntryId]) -> PortResult<()> {
        self.inner.stand_by(sale, entries).await
    }
    async fn settle(&self, sale: &SaleId, settled: &[(EntryId, Settlement)]) -> PortResult<()> {
        self.inner.settle(sale, settled).await
    }
    async fn advance(&self, sale: &SaleId, epoch: Epoch, cursor: &Cursor) -> PortResult<()> {
        self.inner.advance(sale, epoch, cursor).await
    }
    async fn snapshot(&self, sale: &SaleId) -> PortResult<LineSnapshot> {
        self.inner.snapshot(sale).await
    }
    async fn forget(&self, sale: &SaleId) -> PortResult<()> {
        self.inner.forget(sale).await
    }
}

/// A stage whose line forgets once the switch is set.
async fn forgetful() -> (Stage, Arc<Memory>) {
    let memory = Arc::new(Memory::default());
    let shared = Arc::clone(&memory);
    let wrap = move |ports: &mut Ports| {
        ports.line = Arc::new(Amnesiac { inner: Arc::clone(&ports.line), memory: shared });
    };
    (Stage::play(Script { wrap: Box::new(wrap), ..Script::default() }).await, memory)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_brings_back_a_place_with_its_number() {
    let (stage, memory) = forgetful().await;
    stage.join("bob").await;
    let mine = stage.join("ada").await;
    memory.lose();
    // Another buyer, so that only the token can tell.
    let again = stage.joining("eve").bearer(text(&mine["token"])).send().await.expect(200, "");
    assert_eq!((&again["entry"], &again["seq"]), (&mine["entry"], &mine["seq"]));
    assert_eq!(memory.proven.load(Ordering::SeqCst), 1);
    assert_eq!(stage.join("eve").await["seq"], 3, "and eve is still free to join");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_place_that_ended_does_not_come_back() {
    let (stage, memory) = forgetful().await;
    let mine = stage.join("ada").await;
    stage.about(Method::DELETE, &mine, "").send().await.expect(204, "");
    memory.lose();
    let again = stage.joining("ada").bearer(text(&mine["token"])).send().await.expect(202, "");
    assert_ne!(again["entry"], mine["entry"]);
    assert_eq!(memory.proven.load(Ordering::SeqCst), 0, "nobody asked the line to take it back");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_live_order_is_found_by_its_token_after_the_sale_has_closed() {
    let (mut stage, memory) = forgetful().await;
    let (mine, waiting) = (stage.join("ada").await, stage.join("bob").await);
    let order = stage.reserve(&mine).await;
    stage.report(1, true);
    memory.lose();
    let found = stage.joining("ada").bearer(text(&mine["token"])).send().await.expect(200, "");
    assert_eq!(found["order"], order.to_string());
    let found = stage.joining("bob").bearer(text(&waiting["token"])).send().await.expect(200, "");
    assert_eq!((&found["entry"], &found["state"]), (&waiting["entry"], &"waiting".into()));
    stage.joining("ada").send().await.expect(410, "sold_out");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_place_is_given_up_all_the_same() {
    let (stage, memory) = forgetful().await;
    let mine = stage.join("ada").await;
    memory.lose();
    stage.about(Method::DELETE, &mine, "").send().await.expect(204, "");
    let id = text(&mine["entry"]).parse().unwrap();
    let record = stage.ports.ledger.entries(&[id]).await.unwrap();
    assert_eq!(record[0].as_ref().unwrap().outcome.as_str(), "left");
    memory.forgets.store(false, Ordering::SeqCst);
    assert_ne!(stage.join("ada").await["entry"], mine["entry"], "the buyer is free of it");
}

/// never-backwards: neither an error nor a gap in the line's memory becomes a guess.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_shown_as_called_is_not_shown_as_waiting_again() {
    let (mut stage, memory) = forgetful().await;
    let (mine, behind) = (stage.join("ada").await, stage.join("bob").await);
    stage.call(&mine).await;
    stage.report(1, false);
    assert_eq!(stage.poll(&mine).await["state"], "called");
    for (cold, forgets) in [(true, false), (false, true)] {
        memory.cold.store(cold, Ordering::SeqCst);
        memory.forgets.store(forgets, Ordering::SeqCst);
        let reply = stage.about(Method::GET, &mine, "").send().await;
        reply.expect(503, "unavailable");
        assert!(reply.header("retry-after").is_some());
        let again = stage.joining("ada").bearer(text(&mine["token"])).send().await;
        again.expect(503, "unavailable");
        assert_eq!(stage.poll(&behind).await["state"], "waiting", "no store is asked about them");
    }
    assert_eq!(memory.proven.load(Ordering::SeqCst), 0, "a called place does not wait again");
    memory.forgets.store(false, Ordering::SeqCst);
    let order = stage.reserve(&mine).await;
    memory.lose();
    assert_eq!(stage.poll(&mine).await["order"], order.to_string(), "the ledger decides");
}
