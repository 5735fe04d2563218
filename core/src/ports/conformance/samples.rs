//! What the rules are told about: a sale, baskets, buyers, entries, turns; and the look that the books add up.

#![expect(clippy::unwrap_used, reason = "test code that lives behind a feature")]

use std::{
    collections::BTreeMap,
    sync::{Arc, LazyLock},
};

use crate::{
    basket::{Basket, Item},
    clock::UnixMillis,
    event::Turn,
    ids::{
        BuyerId, EntryId, Epoch, HoldId, OrderId, PaymentId, RefundId, SaleId, SeatLabel, Seq,
        SkuId,
    },
    line::{Cursor, Hole, LineEntry},
    money::{AmountFen, Currency},
    order::OrderState,
    policy::PolicyPatch,
    ports::{
        Author, Created, GateSaid, HoldReply, HoldRequest, Join, JoinReply, Ledger, Place,
        StockBalance,
    },
    random::Random,
    sale::{NewSale, Sale, Sku},
    seats::{SeatMap, Seating, Stretch},
};

/// An instant of no importance.
pub(super) const T0: UnixMillis = UnixMillis(1_767_225_600_000);
/// The price of one unit of every SKU here.
pub(super) const PRICE: i64 = 9_900;
/// More often than a broker delivers a message again by default.
pub(super) const OFTEN: u32 = 25;

static RANDOM: LazyLock<Random> = LazyLock::new(Random::system);

pub(super) fn drop_sale() -> SaleId {
    SaleId::new("drop").unwrap()
}

pub(super) fn other_sale() -> SaleId {
    SaleId::new("other").unwrap()
}

pub(super) fn sku(name: &str) -> SkuId {
    SkuId::new(name).unwrap()
}

pub(super) fn buyer(name: &str) -> BuyerId {
    BuyerId::new(name).unwrap()
}

pub(super) fn basket(items: &[(&str, u32)]) -> Basket {
    let items = items.iter().map(|(name, quantity)| Item::counted(sku(name), *quantity));
    Basket::new(items.collect()).unwrap()
}

pub(super) fn new_order_id() -> OrderId {
    OrderId::generate(T0, &RANDOM)
}

pub(super) fn new_refund_id() -> RefundId {
    RefundId::generate(T0, &RANDOM)
}

pub(super) fn new_payment_id() -> PaymentId {
    PaymentId::generate(T0, &RANDOM)
}

/// A new entry of `name`, with a number of its own; one unit of `a`.
pub(super) fn entry(seq: u64, name: &str) -> LineEntry {
    wanting(seq, name, &[("a", 1)])
}

/// A new entry that wants these items.
pub(super) fn wanting(seq: u64, name: &str, items: &[(&str, u32)]) -> LineEntry {
    LineEntry {
        entry: EntryId::generate(T0, &RANDOM),
        buyer: buyer(name),
        seq: Seq(seq),
        holes_below: 0,
        basket: basket(items),
        joined_at: T0,
        address: None,
        reach: None,
        stands_since: None,
    }
}

/// Entries of different buyers with these numbers.
pub(super) fn entries(numbers: std::ops::RangeInclusive<u64>) -> Vec<LineEntry> {
    numbers.map(|seq| entry(seq, &format!("buyer-{seq}"))).collect()
}

pub(super) fn cursor(serving: u64) -> Cursor {
    Cursor { serving: Seq(serving), ..Cursor::default() }
}

pub(super) fn cursor_with_hole(serving: u64, from: u64, to: u64) -> Cursor {
    let mut cursor = cursor(serving);
    cursor.holes.push(Hole { from: Seq(from), to: Seq(to) });
    cursor
}

pub(super) fn join(name: &str) -> Join {
    Join { candidate: entry(0, name), proven: None, limits: None, stand_by: false }
}

/// The place of a join that must have been new.
pub(super) fn new_place(reply: &JoinReply) -> Place {
    match reply {
        JoinReply::New(place) => place.clone(),
        JoinReply::Found(_)
        | JoinReply::Full
        | JoinReply::OutOfNumbers
        | JoinReply::Limited { .. } => {
            panic!("a new place was due: {reply:?}")
        }
    }
}

/// The place of a join that must have been found.
pub(super) fn found_place(reply: &JoinReply) -> Place {
    match reply {
        JoinReply::Found(place) => place.clone(),
        JoinReply::New(_)
        | JoinReply::Full
        | JoinReply::OutOfNumbers
        | JoinReply::Limited { .. } => {
            panic!("the buyer's place was to be found: {reply:?}")
        }
    }
}

pub(super) fn turn(sale: &SaleId, line_entry: LineEntry) -> Turn {
    Turn { sale: sale.clone(), line_entry, epoch: Epoch(1), attempt: 1, called_at: T0 }
}

/// Turns of different buyers with these numbers, in the sale `drop`.
pub(super) fn turns(numbers: std::ops::RangeInclusive<u64>) -> Vec<Turn> {
    entries(numbers).into_iter().map(|entry| turn(&drop_sale(), entry)).collect()
}

pub(super) fn author() -> Author {
    Author { name: "ops".into(), address: Some([192, 0, 2, 7].into()) }
}

/// A sale `drop` with these SKUs and units, under the default policy with `patch` laid over it.
pub(super) fn sale_with(stock: &[(&str, u64)], patch: PolicyPatch) -> Sale {
    let skus = stock.iter().map(|(name, stock)| Sku {
        sku: sku(name),
        stock: *stock,
        seating: None,
        amount_fen: AmountFen(PRICE),
        currency: Currency::CNY,
    });
    let sale = NewSale {
        id: drop_sale(),
        title: "The drop".into(),
        opens_at: None,
        closes_at: None,
        skus: skus.collect(),
        policy: patch,
    };
    sale.build(T0).unwrap()
}

/// Rows of so many seats: 01A, 01B, … 02A, …
pub(super) fn train(rows: usize, wide: u8, legs: u8) -> Arc<Seating> {
    let row = |row: usize| {
        (0..wide)
            .map(move |n| SeatLabel::new(&format!("{row:02}{}", char::from(b'A' + n))).unwrap())
    };
    let stops = (0..=legs).map(|n| format!("stop {n}")).collect();
    Arc::new(Seating::new((1..=rows).flat_map(row).collect(), stops).unwrap())
}

pub(super) fn seated_item(name: &str, passengers: u32, from: u8, to: u8) -> Item {
    Item::seated(sku(name), passengers, Stretch::new(from, to).unwrap())
}

/// A sale `drop` of the seats of `t`.
pub(super) fn seated_sale(seating: Arc<Seating>) -> Sale {
    let mut sale = sale_with(&[("t", seating.seat_legs())], PolicyPatch::default());
    sale.skus[0].seating = Some(seating);
    sale
}

/// Records the sale `drop` with these SKUs and units.
pub(super) async fn open_sale(ledger: &dyn Ledger, stock: &[(&str, u64)]) -> SaleId {
    open_sale_with(ledger, stock, PolicyPatch::default()).await
}

pub(super) async fn open_sale_with(
    ledger: &dyn Ledger,
    stock: &[(&str, u64)],
    patch: PolicyPatch,
) -> SaleId {
    let created = ledger.create_sale(sale_with(stock, patch), &author()).await.unwrap();
    assert!(matches!(created, Created::New(_)), "{created:?}");
    drop_sale()
}

/// A turn asking for its goods, with the gate's yes.
pub(super) fn request(line_entry: LineEntry) -> HoldRequest {
    HoldRequest {
        hold: HoldId::of_entry(line_entry.entry, 0),
        order: new_order_id(),
        line_entry,
        gate: GateSaid::Held,
    }
}

/// Holds what one new entry wants; it must be granted. The order's id.
pub(super) async fn reserve(ledger: &dyn Ledger, sale: &SaleId, line_entry: LineEntry) -> OrderId {
    let replies = ledger.hold(sale, vec![request(line_entry)]).await.unwrap();
    match &replies[..] {
        [HoldReply::Settled { record, movement: Some(_) }] => record.order.unwrap().order,
        other => panic!("the hold was to be granted: {other:?}"),
    }
}

/// The balance of one SKU.
pub(super) async fn balance(ledger: &dyn Ledger, sale: &SaleId, name: &str) -> StockBalance {
    let stock = ledger.stock(sale).await.unwrap();
    stock.into_iter().find(|balance| balance.sku == sku(name)).unwrap()
}

/// `no-swallowed-money`: what was taken is kept, refunded or on its way. And `no-oversell`: available + owed + held + sold = total for each SKU, the totals are the sale's, and the gate's image and
/// the orders tell the same story. Call it while nobody writes.
pub async fn assert_balanced(ledger: &dyn Ledger, sale: &SaleId) {
    let stock = ledger.stock(sale).await.unwrap();
    let known = ledger.sale(sale).await.unwrap().unwrap();
    let image = ledger.gate_image(sale).await.unwrap();
    assert_eq!(stock.len(), known.skus.len(), "one balance per SKU: {stock:?}");
    assert!(stock.is_sorted_by(|a, b| a.sku < b.sku), "balances are in the order of ids");

    let mut held: BTreeMap<&SkuId, u64> = BTreeMap::new();
    for item in image.holds.iter().flat_map(|hold| hold.basket.items()) {
        *held.entry(&item.sku).or_default() += item.units();
    }
    for one in &stock {
        let parts = [one.available, one.owed, one.held, one.sold];
        let sum = parts.iter().try_fold(0_u64, |sum, part| sum.checked_add(*part));
        assert_eq!(sum, Some(one.total), "available + owed + held + sold = total: {one:?}");
        assert_eq!(known.sku(&one.sku).unwrap().stock, one.total, "the sale's own total: {one:?}");
        let in_holds = held.get(&one.sku).copied().unwrap_or_default();
        assert_eq!(in_holds, one.held, "the live holds make up what is held: {one:?}");
        let imaged = image.skus.iter().find(|(sku, ..)| *sku == one.sku).unwrap();
        let due = (one.total + one.returned, one.sold + one.returned);
        assert_eq!((imaged.1, imaged.2), due, "the gate's image: {one:?}");
    }

    for seats in &image.seats {
        let mut taken = SeatMap::with_busy(&seats.seating, &seats.sold);
        let sold: u64 = taken.busy().iter().map(|legs| u64::from(legs.count_ones())).sum();
        let balance = stock.iter().find(|one| one.sku == seats.sku).unwrap();
        assert_eq!(sold, balance.sold, "every sold seat-leg has its seat: {balance:?}");
        let held = image.holds.iter().flat_map(|hold| hold.basket.passengers());
        for (_, seat, over) in held.filter(|(sku, ..)| **sku == seats.sku) {
            assert!(taken.is_free(seat, over), "a seat-leg is owned twice: {seat:?}");
            taken.take(seat, over.mask());
        }
    }

    let counts = ledger.order_counts(sale).await.unwrap();
    let holding = |state: OrderState| state.is_unpaid_hold() || state == OrderState::Changing;
    let held = counts.iter().filter(|count| holding(count.state));
    let held: u64 = held.map(|count| count.count).sum();
    assert_eq!(
        held,
        image.holds.len() as u64,
        "one hold for each unpaid or changing order: {counts:?}"
    );

    for money in ledger.books(sale).await.unwrap().money {
        assert_eq!(money.gap(), 0, "no-swallowed-money: {money:?}");
    }
}

/// How many orders of a sale are in a state.
pub(super) async fn orders_in(ledger: &dyn Ledger, sale: &SaleId, state: OrderState) -> u64 {
    let counts = ledger.order_counts(sale).await.unwrap();
    counts.iter().filter(|count| count.state == state).map(|count| count.count).sum()
}
