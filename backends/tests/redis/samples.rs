//! A sale, entries, and the calls most tests make of them; and looking until something comes.

use std::{
    sync::LazyLock,
    time::{Duration, Instant},
};

use sluice_backends::redis::{Redis, RedisOptions};
use sluice_core::{
    basket::{Basket, Item},
    clock::UnixMillis,
    ids::{BuyerId, EntryId, Epoch, HoldId, SaleId, Seq, SkuId},
    line::{Caps, Cursor, LineEntry},
    ports::{
        Block, GateImage, HoldPhase, HoldUpdate, Join, JoinReply, Line, PortError, PortResult,
        Restore, StockGate, Want,
    },
    random::Random,
};

pub(crate) const NOW: UnixMillis = UnixMillis(1_800_000_000_000);
/// The keys of [`sale`].
pub(crate) const LINE: &str = "sluice:{drop}:line";
pub(crate) const GATE: &str = "sluice:{drop}:gate";
/// How long tests wait for what must come.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

static RANDOM: LazyLock<Random> = LazyLock::new(Random::system);

pub(crate) fn sale() -> SaleId {
    SaleId::new("drop").unwrap()
}

pub(crate) fn sku() -> SkuId {
    SkuId::new("a").unwrap()
}

pub(crate) fn basket(quantity: u32) -> Basket {
    Basket::new(vec![Item::counted(sku(), quantity)]).unwrap()
}

/// A new entry with this number, of the buyer.
pub(crate) fn entry(seq: u64, buyer: &str) -> LineEntry {
    LineEntry {
        entry: EntryId::generate(NOW, &RANDOM),
        buyer: BuyerId::new(buyer).unwrap(),
        seq: Seq(seq),
        holes_below: 0,
        basket: basket(1),
        joined_at: NOW,
        address: None,
        reach: None,
        stands_since: None,
    }
}

pub(crate) fn join(buyer: &str) -> Join {
    Join { candidate: entry(0, buyer), proven: None, limits: None, stand_by: false }
}

pub(crate) fn want(quantity: u32) -> Want {
    let entry = EntryId::generate(NOW, &RANDOM);
    Want { hold: HoldId::of_entry(entry, 0), entry, basket: basket(quantity) }
}

pub(crate) fn word(want: &Want, movement: u64, phase: HoldPhase) -> HoldUpdate {
    HoldUpdate { hold: want.hold, movement, phase, basket: want.basket.clone() }
}

pub(crate) fn image(total: u64, sold: u64) -> GateImage {
    GateImage { skus: vec![(sku(), total, sold)], ..GateImage::default() }
}

pub(crate) fn options(url: &str) -> RedisOptions {
    RedisOptions { start_timeout: PATIENCE, ..RedisOptions::new(vec![url.to_owned()]) }
}

pub(crate) async fn open(url: &str) -> Redis {
    sluice_backends::redis::open(options(url)).await.unwrap()
}

/// Warms the sale under an epoch with a thousand numbers.
pub(crate) async fn warm(line: &dyn Line, epoch: u64, from: u64) {
    try_warm(line, epoch, from).await.unwrap();
}

pub(crate) async fn try_warm(line: &dyn Line, epoch: u64, from: u64) -> PortResult<()> {
    let block = Block { from: Seq(from), to: Seq(from + 999) };
    line.warm(
        &sale(),
        Epoch(epoch),
        Some(Restore { block, cursor: Cursor::default(), last: Seq(0) }),
    )
    .await
}

/// The number of a new place.
pub(crate) async fn new_number(line: &dyn Line, buyer: &str) -> u64 {
    let reply = try_join(line, buyer).await.unwrap();
    let JoinReply::New(place) = reply else { panic!("a new place was due: {reply:?}") };
    place.line_entry.seq.0
}

pub(crate) async fn try_join(line: &dyn Line, buyer: &str) -> PortResult<JoinReply> {
    let mut replies = line.join(&sale(), Caps::of_line(100_000), vec![join(buyer)]).await?;
    assert_eq!(replies.len(), 1);
    Ok(replies.remove(0))
}

/// Available and held.
pub(crate) async fn level(gate: &dyn StockGate) -> (u64, u64) {
    let levels = gate.levels(&sale()).await.unwrap();
    assert_eq!(levels.len(), 1);
    (levels[0].available, levels[0].held)
}

/// Looks until something other than `Unavailable` is said of the line.
pub(crate) async fn until_it_answers(line: &dyn Line) -> PortResult<()> {
    until("an answer", async || match line.snapshot(&sale()).await {
        Err(PortError::Unavailable(_)) => None,
        Err(error) => Some(Err(error)),
        Ok(_) => Some(Ok(())),
    })
    .await
}

/// Looks again and again until `look` finds something.
pub(crate) async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(begun.elapsed() < PATIENCE, "{what} did not come within {PATIENCE:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
