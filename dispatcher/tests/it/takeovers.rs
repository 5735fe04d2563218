//! A dispatcher dies or freezes; another goes on: nobody is lost, order is kept, no burst.

use std::{collections::HashSet, sync::Arc, time::Duration};

use async_trait::async_trait;
use serde_json::json;
use sluice_core::{
    clock::UnixMillis,
    entry::Outcome,
    ids::{BuyerId, EntryId, Epoch, SaleId, Seq},
    law::RateLaw,
    line::{Caps, Cursor, LineEntry},
    ports::{
        Join, JoinReply, Line, LineSnapshot, Place, PlaceState, PortResult, Restore, Settlement,
        Standing,
    },
    random::Random,
};
use tokio::{
    sync::watch,
    time::{Instant, sleep},
};

use super::{
    pace::{LAW, tick, worst_excess},
    workers::Workers,
    world::World,
};

#[tokio::test(start_paused = true)]
async fn killed_anywhere_nobody_is_lost_and_order_is_kept() {
    for seed in 0..12 {
        let random = Random::seeded(seed);
        let stock = 50_000;
        let law = RateLaw { ceiling: 50.0, ..LAW };
        let mut world = World::with(&[("a", stock)], json!({"ceiling_per_second": 50.0})).await;
        world.workers(Workers::Hold);
        world.log.delay(Duration::from_millis(random.below(20)));
        let mut running = world.dispatcher("first").await;
        let mut entries = world.crowd(300, &[("a", 1)]).await;
        for n in 0..4 {
            if random.below(3) == 0 {
                world.log.lose_answer_in(1 + random.below(30));
            }
            sleep(Duration::from_millis(1 + random.below(4_000))).await;
            running.kill();
            world.log.delay(Duration::from_millis(random.below(20)));
            running = world.dispatcher(&format!("next-{n}")).await;
            entries.extend(world.crowd(50, &[("a", 1)]).await);
        }
        world.until_released(entries.len()).await;
        world.until_all(&entries, Outcome::Reserved).await;
        let firsts = world.log.first_releases();
        assert_eq!(firsts.len(), entries.len(), "seed {seed}");
        let numbers = world.log.first_numbers();
        assert!(numbers.is_sorted(), "seed {seed}: {numbers:?}");
        let worst = worst_excess(law, stock, &firsts);
        assert!(worst <= tick(law, stock), "seed {seed}: {worst}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_orderly_stop_repeats_nothing_and_keeps_nobody_waiting() {
    let mut world = World::with(&[("a", 100_000)], json!({"ceiling_per_second": 100.0})).await;
    world.workers(Workers::Hold);
    let first = world.dispatcher("first").await;
    world.crowd(400, &[("a", 1)]).await;
    world.until_released(150).await;
    world.log.delay(Duration::from_millis(30));
    sleep(Duration::from_millis(100)).await;
    first.stop();
    world.until("it has ended", async |_| first.has_ended()).await;
    let (stopped, count) = (Instant::now(), world.log.count());
    let cursor = world.ports.ledger.cursor(&world.sale).await.unwrap();
    assert_eq!(cursor.serving.0, u64::try_from(count).unwrap(), "the cursor was saved");
    let _second = world.dispatcher("second").await;
    world.until_released(count + 1).await;
    assert!(stopped.elapsed() < Duration::from_secs(1), "{:?}", stopped.elapsed());
    world.until_released(400).await;
    assert_eq!(world.log.count(), 400, "no turn was repeated");
}

#[tokio::test(start_paused = true)]
async fn of_two_dispatchers_one_speaks() {
    let mut world = World::with(&[("a", 100_000)], json!({"ceiling_per_second": 200.0})).await;
    world.workers(Workers::Swallow);
    let _first = world.dispatcher("first").await;
    let _second = world.dispatcher("second").await;
    world.crowd(2_000, &[("a", 1)]).await;
    world.until_released(2_000).await;
    let releases = world.log.releases();
    assert_eq!(releases.len(), 2_000);
    let epochs: HashSet<Epoch> = releases.iter().map(|release| release.turn.epoch).collect();
    assert_eq!(epochs.len(), 1);
}

/// Freezes a dispatcher in the middle of a call, lets another take over, and thaws it: how many turns left under the old
/// epoch after that.
async fn turns_of_a_zombie(fault: Fault) -> usize {
    let mut world = World::with(&[("a", 100_000)], json!({"ceiling_per_second": 100.0})).await;
    world.workers(Workers::Swallow);
    let (freeze, frozen) = watch::channel(false);
    let mut ports = world.ports.clone();
    ports.line = Arc::new(FaultyLine { line: Arc::clone(&ports.line), fault, frozen });
    let mut config = World::config("zombie");
    config.port_timeout = Duration::from_hours(1);
    let _zombie = world.dispatcher_with(config, ports);
    world
        .until("it speaks", async |world| world.ports.line.snapshot(&world.sale).await.is_ok())
        .await;
    world.crowd(300, &[("a", 1)]).await;
    world.until_released(50).await;
    freeze.send_replace(true);
    sleep(Duration::from_millis(200)).await;
    let before = world.log.count();
    let epoch = world.ports.line.snapshot(&world.sale).await.unwrap().epoch;
    let _next = world.dispatcher("next").await;
    world
        .until("the next one has spoken", async |world| {
            world.ports.line.snapshot(&world.sale).await.unwrap().epoch > epoch
        })
        .await;
    assert_eq!(world.log.count(), before);
    freeze.send_replace(false);
    world.until_released(300).await;
    let late = &world.log.releases()[before..];
    late.iter().filter(|release| release.turn.epoch == epoch).count()
}

#[tokio::test(start_paused = true)]
async fn a_frozen_dispatcher_wakes_up_fenced() {
    assert_eq!(turns_of_a_zombie(Fault::Freezes).await, 0);
}

#[tokio::test(start_paused = true)]
async fn without_the_fence_a_frozen_dispatcher_would_release() {
    assert!(turns_of_a_zombie(Fault::FreezesUnfenced).await > 0);
}

#[tokio::test(start_paused = true)]
async fn a_line_that_forgets_everything_goes_on() {
    let mut world = World::with(&[("a", 100_000)], json!({"ceiling_per_second": 100.0})).await;
    world.workers(Workers::Hold);
    let _running = world.dispatcher("one").await;
    let mut entries = world.crowd(300, &[("a", 1)]).await;
    world.until_released(120).await;
    world.ports.line.forget(&world.sale).await.unwrap();
    world
        .until("it is warm again", async |world| {
            world.ports.line.snapshot(&world.sale).await.is_ok()
        })
        .await;
    let snapshot = world.ports.line.snapshot(&world.sale).await.unwrap();
    assert!(snapshot.cursor.serving.0 >= 100, "{snapshot:?}");
    entries.extend(world.crowd(100, &[("a", 1)]).await);
    world.until_all(&entries, Outcome::Reserved).await;
    let numbers: HashSet<Seq> = entries.iter().map(|entry| entry.seq).collect();
    assert_eq!(numbers.len(), 400, "a number was given out twice");
    assert!(world.log.first_numbers().is_sorted());
}

/// A line that forgets everything begins its next block above it: nobody who waits may stand in the hole between.
#[tokio::test(start_paused = true)]
async fn the_highest_number_is_saved_while_its_entry_waits() {
    let mut world = World::with(&[("a", 100_000)], json!({"ceiling_per_second": 1.0})).await;
    let running = world.dispatcher("one").await;
    let given_out = async |world: &World| world.ports.ledger.given_out(&world.sale).await.unwrap();
    let entries = world.crowd(300, &[("a", 1)]).await;
    let last = entries.iter().map(|entry| entry.seq).max().unwrap();
    world.until("it is saved", async |world| given_out(world).await == last).await;
    let serving = world.ports.ledger.cursor(&world.sale).await.unwrap().serving;
    assert!(serving < last, "{serving}");
    running.kill();
    let more = world.crowd(5, &[("a", 1)]).await;
    let _next = world.dispatcher("two").await;
    let last = more.iter().map(|entry| entry.seq).max().unwrap();
    world.until("the next speaker saves it", async |world| given_out(world).await == last).await;
}

#[tokio::test(start_paused = true)]
async fn a_gate_that_forgets_is_rebuilt_under_a_new_epoch() {
    let mut world = World::with(&[("a", 100_000)], json!({"ceiling_per_second": 100.0})).await;
    world.workers(Workers::Hold);
    let _running = world.dispatcher("one").await;
    let entries = world.crowd(300, &[("a", 1)]).await;
    world.until_released(100).await;
    world.ports.gate.forget(&world.sale).await.unwrap();
    world.until_all(&entries, Outcome::Reserved).await;
    let levels = world.ports.gate.levels(&world.sale).await.unwrap();
    assert_eq!((levels[0].available, levels[0].held), (100_000 - 300, 300));
    assert!(world.log.first_numbers().is_sorted());
}

/// The last unit is in flight for an entry whose turn never left. Whether it leaves after a takeover.
async fn the_called_are_released(fault: Fault) -> bool {
    let policy = json!({"fraction": 1.0, "tail_per_second": 10.0});
    let mut world = World::with(&[("a", 1)], policy).await;
    world.workers(Workers::Sell);
    let first = world.dispatcher("first").await;
    world.log.hold(true);
    let entries = world.crowd(2, &[("a", 1)]).await;
    world
        .until("the first is called", async |world| {
            world.ports.line.snapshot(&world.sale).await.unwrap().called == 1
        })
        .await;
    first.kill();
    world.log.hold(false);
    let mut ports = world.ports.clone();
    let (_freeze, frozen) = watch::channel(false);
    ports.line = Arc::new(FaultyLine { line: Arc::clone(&ports.line), fault, frozen });
    let _second = world.dispatcher_with(World::config("second"), ports);
    sleep(Duration::from_mins(1)).await;
    let outcomes = world.outcomes(&entries).await;
    match outcomes[..] {
        [Some(Outcome::Reserved), Some(Outcome::SoldOut)] => true,
        [None, None] => false,
        _ => panic!("{outcomes:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn who_was_called_but_not_released_goes_though_nothing_is_free() {
    assert!(the_called_are_released(Fault::None).await);
}

#[tokio::test(start_paused = true)]
async fn without_recalling_them_the_line_would_stand_for_ever() {
    assert!(!the_called_are_released(Fault::CalledLookWaiting).await);
}

#[tokio::test(start_paused = true)]
async fn numbers_are_extended_ahead_of_need() {
    let mut world = World::with(&[("a", 10)], json!({"line_cap": 60_000})).await;
    let _running = world.dispatcher("one").await;
    let mut last = Seq(0);
    for _ in 0..8 {
        // `number` panics when the line is out of numbers.
        let places = world.number(&vec![super::world::basket(&[("a", 1)]); 40_000]).await;
        assert!(places[0].seq > last);
        last = places[39_999].seq;
        sleep(Duration::from_secs(2)).await;
    }
    assert_eq!(last, Seq(320_000));
}

/// What a line does wrong.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Fault {
    None,
    /// `call` stops in the middle while frozen, as a process does that is not scheduled.
    Freezes,
    /// The same, and the old epoch is taken for the present one.
    FreezesUnfenced,
    /// Who is called is found waiting.
    CalledLookWaiting,
}

#[derive(Debug)]
struct FaultyLine {
    line: Arc<dyn Line>,
    fault: Fault,
    frozen: watch::Receiver<bool>,
}

#[async_trait]
impl Line for FaultyLine {
    async fn warm(&self, sale: &SaleId, epoch: Epoch, restore: Option<Restore>) -> PortResult<()> {
        self.line.warm(sale, epoch, restore).await
    }

    async fn extend(&self, sale: &SaleId, epoch: Epoch, to: Seq) -> PortResult<()> {
        self.line.extend(sale, epoch, to).await
    }

    async fn join(
        &self,
        sale: &SaleId,
        caps: Caps,
        joins: Vec<Join>,
    ) -> PortResult<Vec<JoinReply>> {
        self.line.join(sale, caps, joins).await
    }

    async fn confirm(&self, sale: &SaleId, entries: &[EntryId]) -> PortResult<()> {
        self.line.confirm(sale, entries).await
    }

    async fn find(&self, sale: &SaleId, entries: &[EntryId]) -> PortResult<Vec<Option<Place>>> {
        let mut found = self.line.find(sale, entries).await?;
        if self.fault == Fault::CalledLookWaiting {
            for place in found.iter_mut().flatten() {
                place.state = PlaceState::Waiting;
            }
        }
        Ok(found)
    }

    async fn find_buyer(&self, sale: &SaleId, buyer: &BuyerId) -> PortResult<Option<Place>> {
        self.line.find_buyer(sale, buyer).await
    }

    async fn seen(&self, sale: &SaleId, entries: &[EntryId], at: UnixMillis) -> PortResult<()> {
        self.line.seen(sale, entries, at).await
    }

    async fn call(
        &self,
        sale: &SaleId,
        epoch: Epoch,
        silent_before: Option<UnixMillis>,
        entries: &[LineEntry],
    ) -> PortResult<Vec<Standing>> {
        let _ = self.frozen.clone().wait_for(|frozen| !frozen).await;
        let epoch = match self.fault {
            Fault::FreezesUnfenced => self.line.snapshot(sale).await?.epoch,
            Fault::None | Fault::Freezes | Fault::CalledLookWaiting => epoch,
        };
        self.line.call(sale, epoch, silent_before, entries).await
    }

    async fn stand_by(&self, sale: &SaleId, entries: &[EntryId]) -> PortResult<()> {
        self.line.stand_by(sale, entries).await
    }

    async fn settle(&self, sale: &SaleId, settled: &[(EntryId, Settlement)]) -> PortResult<()> {
        self.line.settle(sale, settled).await
    }

    async fn advance(&self, sale: &SaleId, epoch: Epoch, cursor: &Cursor) -> PortResult<()> {
        self.line.advance(sale, epoch, cursor).await
    }

    async fn snapshot(&self, sale: &SaleId) -> PortResult<LineSnapshot> {
        self.line.snapshot(sale).await
    }

    async fn forget(&self, sale: &SaleId) -> PortResult<()> {
        self.line.forget(sale).await
    }
}
