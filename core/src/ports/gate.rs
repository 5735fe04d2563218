//! Port: the stock gate. An atomic counter, and for seated SKUs a seat map, in front of the ledger: it refuses early, it
//! never decides. Units of a seated SKU are seat-legs.
//!
//! Every change is keyed by hold, so a repeat is harmless. The gate may forget; it is *cold* for a sale until
//! [`StockGate::rebuild`], and every other call on a cold sale answers `Cold` and does nothing.

use std::{fmt::Debug, sync::Arc, time::Duration};

use async_trait::async_trait;

use super::PortResult;
use crate::{
    basket::Basket,
    ids::{EntryId, Epoch, HoldId, SaleId, SkuId},
    seats::{SeatCounts, SeatMap, Seating, Stretch},
};

/// One turn's demand.
#[derive(Clone, Debug)]
pub struct Want {
    pub hold: HoldId,
    pub entry: EntryId,
    pub basket: Basket,
}

/// The gate's answer to one demand.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Reserved {
    /// All of it is set aside under the hold (now, or by an earlier call).
    Held,
    /// The same, of a demand with seated goods: with the seats that were chosen for it.
    Seated(Basket),
    /// Not all of it is available: nothing is set aside.
    Short,
    /// The hold was released or sold before: nothing is set aside. The ledger knows more.
    Over,
}

impl Reserved {
    /// Whether anything is set aside.
    #[must_use]
    pub fn is_held(&self) -> bool {
        matches!(self, Self::Held | Self::Seated(_))
    }
}

/// Where the ledger says a hold stands.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum HoldPhase {
    Held,
    Sold,
    Released,
}

/// The ledger's word on one hold. `movement` is the ledger's number of that word: a gate that has heard a higher one
/// for the hold ignores a lower one, and one that was rebuilt from an image which has seen it finds its units counted
/// there. The ledger numbers from 1; 0 is a word from before the ledger's first ([`HoldUpdate::unrecorded`]).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct HoldUpdate {
    pub hold: HoldId,
    pub movement: u64,
    pub phase: HoldPhase,
    /// With its seats, if it is held or sold.
    pub basket: Basket,
}

impl HoldUpdate {
    /// Gives back a reservation that no order came of. Its movement is 0, below every number the ledger gives out: a
    /// gate that has heard the ledger's word on this hold ignores it, one that has not releases the hold for good.
    #[must_use]
    pub fn unrecorded(hold: HoldId, basket: Basket) -> Self {
        Self { hold, movement: 0, phase: HoldPhase::Released, basket }
    }
}

/// Units added to a SKU by an operator, or given back by a buyer. `total` is the SKU's stock after it, in the ledger: a gate
/// that has heard a higher one ignores a lower one.
#[derive(Clone, Debug)]
pub struct Restock {
    pub sku: SkuId,
    pub total: u64,
    /// Of a seated SKU of which seats came back.
    pub seats: Option<SeatsSold>,
}

/// The seats of a SKU that are still sold, by a reading of the ledger that has seen its movements up to `moved`. Any other that
/// the gate counts as sold came back, unless a later word sold it. A gate rebuilt from a later reading ignores it.
#[derive(Clone, Debug)]
pub struct SeatsSold {
    pub moved: u64,
    pub image: SeatImage,
}

/// A live hold in the ledger.
#[derive(Clone, Debug)]
pub struct HeldStock {
    pub hold: HoldId,
    pub movement: u64,
    pub basket: Basket,
}

/// What a gate is rebuilt from: one consistent reading of the ledger.
#[derive(Clone, Debug, Default)]
pub struct GateImage {
    /// The number of the sale's last movement: this reading has seen it and every lower one, and none above it. So a
    /// word up to it that is of none of `holds` is of a hold that was over by then, and is counted in `skus`.
    pub moved: u64,
    /// Per SKU: stock in all, and units sold.
    pub skus: Vec<(SkuId, u64, u64)>,
    pub holds: Vec<HeldStock>,
    /// Of each seated SKU.
    pub seats: Vec<SeatImage>,
}

/// The seats of one SKU that are sold; those that are held stand with their holds.
#[derive(Clone, Debug)]
pub struct SeatImage {
    pub sku: SkuId,
    pub seating: Arc<Seating>,
    /// Sold legs, seat by seat.
    pub sold: Vec<u64>,
}

impl GateImage {
    /// How many seats of a SKU are sold over no leg of a stretch: free, or held and unpaid. 0 for one that has no seats.
    #[must_use]
    pub fn unsold(&self, sku: &SkuId, stretch: Stretch) -> u32 {
        let image = self.seats.iter().find(|image| image.sku == *sku);
        let counts = image.map(|image| SeatMap::with_busy(&image.seating, &image.sold).counts());
        counts.map_or(0, |counts| counts.over(stretch))
    }
}

/// The gate's view of one SKU.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SkuLevel {
    pub sku: SkuId,
    /// Neither held nor sold.
    pub available: u64,
    /// Held and unpaid.
    pub held: u64,
    /// What entries that are called and not yet reserved or settled want.
    pub in_flight: u64,
    /// Of a seated SKU.
    pub seats: Option<SeatLevel>,
}

/// The gate's view of the seats of one SKU.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SeatLevel {
    /// Seats that are neither held nor sold over each stretch.
    pub free: SeatCounts,
    /// Seats that are not sold: a hold may lapse.
    pub unsold: SeatCounts,
    /// Passengers in flight, by stretch, ascending.
    pub in_flight: Vec<(Stretch, u32)>,
}

/// What the gate counts as held.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct GateHold {
    pub hold: HoldId,
    /// The ledger's number of the word it was held by; 0 for a reservation of which the ledger has not spoken.
    pub movement: u64,
    pub basket: Basket,
    /// Since the gate first set it aside, or was rebuilt.
    pub age: Duration,
}

/// Where a reading of holds goes on. Means something to the gate that gave it only.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct HoldsPlace(pub Vec<u8>);

/// Some of the holds.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct GateHolds {
    pub holds: Vec<GateHold>,
    /// `None` at the end.
    pub next: Option<HoldsPlace>,
}

/// See the module.
#[async_trait]
pub trait StockGate: Debug + Send + Sync {
    /// Replaces what the gate knows of a sale by the ledger's reading, but for words above it. An old epoch is `Fenced`.
    /// What is in flight stays.
    async fn rebuild(&self, sale: &SaleId, epoch: Epoch, image: GateImage) -> PortResult<()>;

    /// All or nothing for each demand, in the order given, atomically; replies in the same order. Takes each entry out
    /// of what is in flight, whatever the answer. A repeat of a held hold answers as before, with the same seats, and takes
    /// nothing more. Seats are chosen as [`Basket::seated`] chooses them.
    async fn reserve(&self, sale: &SaleId, wants: &[Want]) -> PortResult<Vec<Reserved>>;

    /// Sets holds to what the ledger says of them. Whatever words come, how often, and in whichever order among
    /// themselves and rebuilds, the gate counts as the ledger does once it has heard them all. Releasing a hold the gate
    /// never knew changes nothing but is remembered.
    async fn set(&self, sale: &SaleId, updates: &[HoldUpdate]) -> PortResult<()>;

    async fn restock(&self, sale: &SaleId, restock: &Restock) -> PortResult<()>;

    /// Every SKU of the sale, in the order of their ids.
    async fn levels(&self, sale: &SaleId) -> PortResult<Vec<SkuLevel>>;

    /// A page of what is held, some thousand holds at most; from the beginning if `from` is `None`. What was held before the
    /// first page was asked for and is held still is in one of them; what came or went meanwhile may be. One may come twice.
    async fn holds(&self, sale: &SaleId, from: Option<&HoldsPlace>) -> PortResult<GateHolds>;

    /// Forgets a sale that was deleted, or whose gate is not to be trusted any more: it is cold then.
    async fn forget(&self, sale: &SaleId) -> PortResult<()>;
}
