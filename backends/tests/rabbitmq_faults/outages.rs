//! The broker goes away: killed, or frozen. Nothing that was confirmed is lost, every call has its answer in time, and
//! everything goes on by itself.

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use sluice_core::{
    ids::{EntryId, SaleId},
    ports::{Drain, PortError, WaitingQueue, conformance::House as _},
};
use tokio::{
    task::JoinSet,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use crate::{PATIENCE, alone, drop_sale, entry, fault, hasty_home, home, soon, timed, turn, until};

/// Offers without end, and notes what was confirmed.
struct Crowd {
    confirmed: Arc<Mutex<BTreeSet<EntryId>>>,
    slowest_ms: Arc<AtomicU64>,
    stop: CancellationToken,
    tasks: JoinSet<()>,
}

impl Crowd {
    fn offer(waiting: &Arc<dyn WaitingQueue>, sale: &SaleId) -> Self {
        let confirmed = Arc::new(Mutex::new(BTreeSet::new()));
        let slowest_ms = Arc::new(AtomicU64::new(0));
        let (stop, mut tasks) = (CancellationToken::new(), JoinSet::new());
        for n in 0..16 {
            let (waiting, sale, stop) = (Arc::clone(waiting), sale.clone(), stop.clone());
            let (confirmed, slowest) = (Arc::clone(&confirmed), Arc::clone(&slowest_ms));
            tasks.spawn(async move {
                let mut seq = n * 1_000_000;
                while !stop.is_cancelled() {
                    seq += 1;
                    let one = entry(seq);
                    let (answer, took) = timed(waiting.offer(&sale, vec![one.clone()])).await;
                    slowest.fetch_max(u64::try_from(took.as_millis()).unwrap(), Ordering::Relaxed);
                    match answer {
                        Ok(()) => drop(confirmed.lock().unwrap().insert(one.entry)),
                        Err(_) => sleep(Duration::from_millis(10)).await,
                    }
                }
            });
        }
        Self { confirmed, slowest_ms, stop, tasks }
    }

    fn count(&self) -> usize {
        self.confirmed.lock().unwrap().len()
    }

    /// Waits until so many more were confirmed than now.
    async fn more(&self, more: usize) {
        let wanted = self.count() + more;
        until("more confirmed offers", async || (self.count() >= wanted).then_some(())).await;
    }

    /// What was confirmed, and the slowest answer.
    async fn end(mut self) -> (BTreeSet<EntryId>, Duration) {
        self.stop.cancel();
        while self.tasks.join_next().await.is_some() {}
        let slowest = Duration::from_millis(self.slowest_ms.load(Ordering::Relaxed));
        (std::mem::take(&mut self.confirmed.lock().unwrap()), slowest)
    }
}

/// Drains until everything in `missing` has come; drains again when a drain ends.
async fn drain_all(
    waiting: &Arc<dyn WaitingQueue>,
    sale: &SaleId,
    missing: &mut BTreeSet<EntryId>,
) {
    while !missing.is_empty() {
        let Ok(mut drain) = soon("a drain", waiting.drain(sale)).await else {
            sleep(Duration::from_millis(100)).await;
            continue;
        };
        take(&mut drain, missing).await;
    }
}

async fn take(drain: &mut Drain, missing: &mut BTreeSet<EntryId>) {
    while !missing.is_empty() {
        match timeout(PATIENCE, drain.intake.next()).await {
            Ok(Ok(message)) => {
                for one in message.entries {
                    missing.remove(&one.entry);
                }
                if drain.outlet.ack(&[message.tag]).await.is_err() {
                    return;
                }
            }
            Ok(Err(_)) => return,
            Err(_) => panic!("{} confirmed entries are lost", missing.len()),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn kill_9_in_the_midst_of_offers_loses_none_that_was_confirmed() {
    let _alone = alone().await;
    let home = home().await;
    let (ports, sale) = (home.port(), drop_sale());
    ports.waiting.declare(&sale).await.unwrap();
    let mut worker = ports.turns.consume(10).await.unwrap();
    let mut listener = ports.bulletin.subscribe().await.unwrap();
    let mut drain = soon("the drain", ports.waiting.drain(&sale)).await.unwrap();
    drain.outlet.release(vec![turn(1)]).await.unwrap();
    let crowd = Crowd::offer(&ports.waiting, &sale);
    crowd.more(500).await;
    fault("kill").await;
    // Everybody is told, and soon.
    let told = soon("the end of the drain", async {
        loop {
            if let Err(error) = drain.intake.next().await {
                return error;
            }
        }
    });
    assert!(matches!(told.await, PortError::Unavailable(_)));
    assert!(drain.outlet.release(vec![turn(2)]).await.is_err());
    assert!(drain.outlet.ack(&[1]).await.is_err(), "an acknowledgement that went nowhere");
    let ended = soon("the end of the worker", async {
        loop {
            if let Err(error) = worker.deliveries.next(10).await {
                return error;
            }
        }
    });
    assert!(matches!(ended.await, PortError::Unavailable(_)));
    assert!(soon("the end of the listener", listener.next()).await.is_err());
    fault("up").await;
    // By itself, on the same handles.
    crowd.more(500).await;
    let (mut confirmed, slowest) = crowd.end().await;
    assert!(slowest < Duration::from_secs(8), "every answer comes in time: {slowest:?}");
    drop(drain);
    drain_all(&ports.waiting, &sale, &mut confirmed).await;
    let mut worker = until("a worker", async || ports.turns.consume(10).await.ok()).await;
    let came = soon("the turn", worker.deliveries.next(10)).await.unwrap();
    assert_eq!(came[0].turn.line_entry.seq.0, 1, "a confirmed turn is there");
    until("a listener", async || ports.bulletin.subscribe().await.ok()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_broker_is_given_up_and_found_again() {
    let _alone = alone().await;
    let home = home().await;
    let (ports, sale) = (home.port(), drop_sale());
    ports.waiting.declare(&sale).await.unwrap();
    let mut drain = soon("the drain", ports.waiting.drain(&sale)).await.unwrap();
    let crowd = Crowd::offer(&ports.waiting, &sale);
    crowd.more(200).await;
    fault("pause").await;
    // Three seconds of heartbeat, twice.
    let told =
        timed(soon("the end of the drain", async { while drain.intake.next().await.is_ok() {} }));
    let ((), took) = told.await;
    assert!(took < Duration::from_secs(15), "{took:?}");
    let (answer, took) = timed(ports.waiting.offer(&sale, vec![entry(7)])).await;
    assert!(answer.is_err() && took < Duration::from_secs(8), "{answer:?} after {took:?}");
    fault("resume").await;
    drop(drain);
    crowd.more(200).await;
    let (mut confirmed, slowest) = crowd.end().await;
    assert!(slowest < Duration::from_secs(8), "every answer comes in time: {slowest:?}");
    drain_all(&ports.waiting, &sale, &mut confirmed).await;
}

/// A broker that is killed right after a queue was declared forgets it, and what it has confirmed in it; so a new queue is
/// left alone for a moment.
#[tokio::test(flavor = "multi_thread")]
async fn a_broker_killed_after_the_first_offer_keeps_it() {
    let _alone = alone().await;
    let home = home().await;
    let (ports, sale) = (home.port(), drop_sale());
    ports.waiting.declare(&sale).await.unwrap();
    let one = entry(1);
    ports.waiting.offer(&sale, vec![one.clone()]).await.unwrap();
    fault("kill").await;
    fault("up").await;
    drain_all(&ports.waiting, &sale, &mut BTreeSet::from([one.entry])).await;
}

/// The careless form of the same: the queue is used at once.
#[tokio::test(flavor = "multi_thread")]
async fn a_queue_that_is_used_at_once_may_be_forgotten() {
    const ROUNDS: usize = 5;
    let _alone = alone().await;
    for _ in 0..ROUNDS {
        let home = hasty_home().await;
        let (waiting, sale) = (home.port().waiting, drop_sale());
        waiting.declare(&sale).await.unwrap();
        waiting.offer(&sale, vec![entry(1)]).await.unwrap();
        fault("kill").await;
        fault("up").await;
        let found = timeout(Duration::from_secs(15), async {
            until("a drain", async || waiting.drain(&sale).await.ok()).await.intake.next().await
        });
        if found.await.is_err() {
            return;
        }
    }
    panic!("the broker remembers at once now: then this care is no longer needed");
}
