//! Rules of the ledger's seats: whoever is granted one has it alone on its legs, whatever the gate has chosen; the balance
//! counts seat-legs and adds up after every step.

#![expect(clippy::unwrap_used, reason = "test code that lives behind a feature")]

use std::{collections::BTreeMap, sync::Arc};

use super::{House, assert_balanced, holds::hold, samples::*, together};
use crate::{
    basket::Basket,
    entry::Outcome,
    ids::{OrderId, SaleId, SeatLabel},
    money::AmountFen,
    order::{ClosingCause, Order},
    ports::{
        Created, GateSaid, HoldPhase, HoldReply, HoldRequest, Ledger, PaymentState, PaymentUpdate,
    },
    random::Random,
    seats::{SeatNo, Stretch},
};

#[macro_export]
macro_rules! seat_holds_conformance {
    ($open:path) => {
        $crate::conformance_rules!(
            $open,
            seat_holds:
            a_seat_is_a_line_of_its_order,
            a_seat_is_given_once_on_each_leg,
            a_seat_is_given_once_within_a_batch,
            a_released_seat_can_be_given_again,
            a_sold_seat_stays_with_its_order,
            a_gate_that_says_no_is_believed_only_where_no_seat_is_free,
            seats_that_the_gate_did_not_choose_are_not_given,
            whoever_holds_at_once_nobody_shares_a_seat,
            seats_survive_a_crash,
        );
    };
}

type Port = Arc<dyn Ledger>;

/// The sale `drop` with a train `t` of so many rows of three seats.
pub(super) async fn opened(
    house: &impl House<Port = Port>,
    rows: usize,
    legs: u8,
) -> (Port, SaleId) {
    let (ledger, sale) = (house.port(), seated_sale(train(rows, 3, legs)));
    let created = ledger.create_sale(sale, &author()).await.unwrap();
    assert!(matches!(created, Created::New(_)), "{created:?}");
    (ledger, drop_sale())
}

pub(super) fn ride(seats: &[u16], from: u8, to: u8) -> Basket {
    let mut item = seated_item("t", u32::try_from(seats.len()).unwrap(), from, to);
    item.seats = seats.iter().map(|seat| SeatNo(*seat)).collect();
    Basket::new(vec![item]).unwrap()
}

/// The same basket before seats were chosen for it.
pub(super) fn wish(seated: &Basket) -> Basket {
    let mut items = seated.items().to_vec();
    items.iter_mut().for_each(|item| item.seats.clear());
    Basket::new(items).unwrap()
}

/// A turn whose gate has chosen these seats.
pub(super) fn choice(seq: u64, seats: &[u16], from: u8, to: u8) -> HoldRequest {
    let seated = ride(seats, from, to);
    let mut line_entry = entry(seq, &format!("buyer-{seq}"));
    line_entry.basket = wish(&seated);
    HoldRequest { gate: GateSaid::Seated(seated), ..request(line_entry) }
}

/// A turn whose gate has found no seat.
fn refusal(seq: u64, passengers: u32, from: u8, to: u8) -> HoldRequest {
    let mut line_entry = entry(seq, &format!("buyer-{seq}"));
    line_entry.basket = Basket::new(vec![seated_item("t", passengers, from, to)]).unwrap();
    HoldRequest { gate: GateSaid::Short, ..request(line_entry) }
}

pub(super) async fn one(ledger: &dyn Ledger, sale: &SaleId, request: HoldRequest) -> HoldReply {
    hold(ledger, sale, vec![request]).await.remove(0)
}

pub(super) async fn granted(ledger: &dyn Ledger, sale: &SaleId, request: HoldRequest) -> Order {
    let id = request.order;
    let reply = one(ledger, sale, request).await;
    let held = matches!(reply, HoldReply::Settled { movement: Some(_), .. });
    assert!(held, "the seat was to be given: {reply:?}");
    ledger.order(id).await.unwrap().unwrap()
}

fn outcome(reply: &HoldReply) -> Option<Outcome> {
    match reply {
        HoldReply::Settled { record, .. } => Some(record.outcome),
        HoldReply::Known { .. }
        | HoldReply::Frozen
        | HoldReply::StandsBy
        | HoldReply::GateWrong
        | HoldReply::SeatsTaken { .. } => None,
    }
}

async fn release(ledger: &dyn Ledger, order: OrderId) {
    ledger.begin_closing(order, ClosingCause::Cancelled).await.unwrap();
    ledger.close_unpaid(order).await.unwrap();
}

pub async fn a_seat_is_a_line_of_its_order(house: impl House<Port = Port>) {
    let (ledger, sale) = opened(&house, 2, 4).await;
    let order = granted(&*ledger, &sale, choice(1, &[1, 2], 1, 4)).await;
    assert_eq!(order.amount, AmountFen(2 * PRICE), "per seat, whatever the stretch");
    let lines = order.lines.iter().map(|line| {
        let seat = line.seat.as_ref().unwrap();
        (line.quantity, line.stretch, seat.no, seat.label.clone())
    });
    let line = |no, label| (1, Stretch::new(1, 4), SeatNo(no), SeatLabel::new(label).unwrap());
    assert_eq!(lines.collect::<Vec<_>>(), [line(1, "01B"), line(2, "01C")]);
    assert_eq!(order.basket(), Some(ride(&[1, 2], 1, 4)));
    let stock = balance(&*ledger, &sale, "t").await;
    assert_eq!((stock.total, stock.available, stock.held), (24, 18, 6), "in seat-legs");
    let image = ledger.gate_image(&sale).await.unwrap();
    assert_eq!(image.holds[0].basket, ride(&[1, 2], 1, 4));
}

pub async fn a_seat_is_given_once_on_each_leg(house: impl House<Port = Port>) {
    let (ledger, sale) = opened(&house, 1, 4).await;
    let first = granted(&*ledger, &sale, choice(1, &[0], 1, 3)).await;
    for (seq, from, to) in [(2, 0, 2), (3, 2, 4), (4, 1, 2), (5, 0, 4)] {
        let reply = one(&*ledger, &sale, choice(seq, &[0], from, to)).await;
        assert_eq!(reply, HoldReply::SeatsTaken { by: vec![first.id] }, "{from}..{to}");
    }
    let party = one(&*ledger, &sale, choice(6, &[0, 1], 0, 2)).await;
    assert_eq!(party, HoldReply::SeatsTaken { by: vec![first.id] }, "all of them or nobody");
    let words = ledger.words(&[first.id]).await.unwrap();
    let [word] = &words[..] else { panic!("one word: {words:?}") };
    assert_eq!((word.hold, word.phase), (first.hold, HoldPhase::Held));
    assert_eq!(word.basket, ride(&[0], 1, 3));
    granted(&*ledger, &sale, choice(7, &[0], 0, 1)).await;
    granted(&*ledger, &sale, choice(8, &[0], 3, 4)).await;
    granted(&*ledger, &sale, choice(9, &[1], 0, 4)).await;
}

pub async fn a_seat_is_given_once_within_a_batch(house: impl House<Port = Port>) {
    let (ledger, sale) = opened(&house, 1, 4).await;
    let batch = vec![choice(2, &[0], 1, 3), choice(1, &[0], 0, 2), choice(3, &[0], 2, 4)];
    let first = batch[1].order;
    let replies = hold(&*ledger, &sale, batch).await;
    assert_eq!(outcome(&replies[1]), Some(Outcome::Reserved), "the lowest number");
    assert_eq!(replies[0], HoldReply::SeatsTaken { by: vec![first] });
    assert_eq!(outcome(&replies[2]), Some(Outcome::Reserved), "the rest of the journey");
}

pub async fn a_released_seat_can_be_given_again(house: impl House<Port = Port>) {
    let (ledger, sale) = opened(&house, 1, 4).await;
    let first = granted(&*ledger, &sale, choice(1, &[0, 1], 0, 4)).await;
    release(&*ledger, first.id).await;
    assert_balanced(&*ledger, &sale).await;
    let words = ledger.words(&[first.id]).await.unwrap();
    assert_eq!(words[0].phase, HoldPhase::Released);
    // A returned journey serves two shorter ones.
    granted(&*ledger, &sale, choice(2, &[0], 0, 2)).await;
    granted(&*ledger, &sale, choice(3, &[0], 2, 4)).await;
    granted(&*ledger, &sale, choice(4, &[1], 0, 4)).await;
}

pub async fn a_sold_seat_stays_with_its_order(house: impl House<Port = Port>) {
    let (ledger, sale) = opened(&house, 1, 4).await;
    let first = granted(&*ledger, &sale, choice(1, &[0], 0, 3)).await;
    let payment = new_payment_id();
    ledger.begin_payment(first.id, payment, "simulated").await.unwrap();
    let paid = PaymentUpdate {
        payment,
        order: first.id,
        version: 1,
        state: PaymentState::Succeeded,
        amount: first.amount,
        currency: first.currency,
    };
    ledger.apply_payment(paid).await.unwrap();
    assert_balanced(&*ledger, &sale).await;
    let image = ledger.gate_image(&sale).await.unwrap();
    assert_eq!(image.seats[0].sold, [0b0111, 0, 0]);
    assert_eq!(image.unsold(&sku("t"), Stretch::new(0, 1).unwrap()), 2);
    let reply = one(&*ledger, &sale, choice(2, &[0], 2, 4)).await;
    assert_eq!(reply, HoldReply::SeatsTaken { by: vec![first.id] });
    assert_eq!(ledger.words(&[first.id]).await.unwrap()[0].phase, HoldPhase::Sold);
}

pub async fn a_gate_that_says_no_is_believed_only_where_no_seat_is_free(
    house: impl House<Port = Port>,
) {
    let (ledger, sale) = opened(&house, 1, 4).await;
    granted(&*ledger, &sale, choice(1, &[0, 1, 2], 0, 2)).await;
    assert_eq!(one(&*ledger, &sale, refusal(2, 3, 2, 4)).await, HoldReply::GateWrong);
    let reply = one(&*ledger, &sale, refusal(3, 4, 2, 4)).await;
    assert_eq!(outcome(&reply), Some(Outcome::SoldOut), "three seats for four");
    // Six seat-legs are free, and none of them on the second leg.
    let reply = one(&*ledger, &sale, refusal(4, 1, 1, 3)).await;
    assert_eq!(outcome(&reply), Some(Outcome::SoldOut));
}

pub async fn seats_that_the_gate_did_not_choose_are_not_given(house: impl House<Port = Port>) {
    let (ledger, sale) = opened(&house, 1, 4).await;
    let seatless = HoldRequest { gate: GateSaid::Held, ..choice(1, &[0], 0, 2) };
    assert_eq!(one(&*ledger, &sale, seatless).await, HoldReply::GateWrong);
    for other in [ride(&[0], 0, 1), ride(&[0, 1], 0, 2), ride(&[0], 1, 3)] {
        let other = HoldRequest { gate: GateSaid::Seated(other), ..choice(1, &[0], 0, 2) };
        assert_eq!(one(&*ledger, &sale, other).await, HoldReply::GateWrong);
    }
    assert_eq!(balance(&*ledger, &sale, "t").await.held, 0);
}

/// A gate that has forgotten everything chooses at random. Whoever loses asks again.
pub async fn whoever_holds_at_once_nobody_shares_a_seat(house: impl House<Port = Port>) {
    const LEGS: u8 = 6;
    let (ledger, sale) = opened(&house, 2, LEGS).await;
    let tasks = together(6, |task| {
        let (ledger, sale) = (Arc::clone(&ledger), sale.clone());
        async move {
            let random = Random::seeded(task as u64);
            let draw = |below: u8| u8::try_from(random.below(below.into())).unwrap();
            let mut granted: Vec<OrderId> = Vec::new();
            for round in 0..12_u64 {
                let batch = (0..4_u64).map(|n| {
                    let (seat, from) = (u16::from(draw(6)), draw(LEGS));
                    let seq = task as u64 * 1_000 + round * 10 + n;
                    choice(seq, &[seat], from, from + 1 + draw(LEGS - from))
                });
                for reply in ledger.hold(&sale, batch.collect()).await.unwrap() {
                    if let HoldReply::Settled { record, movement: Some(_) } = reply {
                        granted.push(record.order.unwrap().order);
                    }
                }
                if draw(2) == 0 && !granted.is_empty() {
                    release(&*ledger, granted.swap_remove(0)).await;
                }
            }
            granted
        }
    });
    let orders: Vec<OrderId> = tasks.await.into_iter().flatten().collect();
    assert!(!orders.is_empty(), "nobody was seated");
    assert_balanced(&*ledger, &sale).await;
    let mut owners: BTreeMap<(SeatNo, u8), OrderId> = BTreeMap::new();
    for id in orders {
        let order = ledger.order(id).await.unwrap().unwrap();
        for (_, seat, over) in order.basket().unwrap().passengers() {
            for leg in over.from()..over.to() {
                assert_eq!(owners.insert((seat, leg), id), None, "{seat:?} on leg {leg}");
            }
        }
    }
    assert_eq!(balance(&*ledger, &sale, "t").await.held, owners.len() as u64);
}

pub async fn seats_survive_a_crash(mut house: impl House<Port = Port>) {
    let (ledger, sale) = opened(&house, 1, 4).await;
    let first = granted(&*ledger, &sale, choice(1, &[1], 0, 3)).await;
    drop(ledger);
    house.crash().await;
    let ledger = house.port();
    assert_balanced(&*ledger, &sale).await;
    let reply = one(&*ledger, &sale, choice(2, &[1], 2, 4)).await;
    assert_eq!(reply, HoldReply::SeatsTaken { by: vec![first.id] });
    assert_eq!(ledger.order(first.id).await.unwrap(), Some(first));
}
