//! Rules of seats after the sale: what is given back or changed frees its legs and no others, late money sits where it sat or
//! goes back; and after every step the books of goods and of money add up.

#![expect(clippy::unwrap_used, reason = "test code that lives behind a feature")]

use std::sync::Arc;

use super::{
    House,
    aftersales::{ask, begun, finish, money, stock},
    orders::{done, order, pay},
    samples::*,
    seat_holds::{choice, granted, one, opened, ride, wish},
};
use crate::{
    basket::{Basket, Item},
    change::NoChange,
    ids::SaleId,
    order::{ClosingCause, Order, OrderState},
    ports::{
        ChangeEnd, ChangeReply, HoldPhase, HoldReply, Ledger, PaymentState, PaymentStep,
        PaymentUpdate, RefundReply,
    },
    refund::{NoRefund, RefundAsked, RefundCause, RefundScope},
};

#[macro_export]
macro_rules! seat_returns_conformance {
    ($open:path) => {
        $crate::conformance_rules!(
            $open,
            seat_returns:
            a_seat_given_back_can_be_given_again,
            whoever_gives_back_may_name_the_seat,
            a_journey_is_changed_to_another_stretch,
            a_change_of_seats_is_undone,
            a_change_to_a_stretch_without_seats_changes_nothing,
            late_money_sits_where_it_sat_or_goes_back,
        );
    };
}

type Port = Arc<dyn Ledger>;

/// An order of these seats of the train `t` that its buyer has paid and got.
async fn fulfilled(
    ledger: &dyn Ledger,
    sale: &SaleId,
    seq: u64,
    seats: &[u16],
    (from, to): (u8, u8),
) -> Order {
    let id = granted(ledger, sale, choice(seq, seats, from, to)).await.id;
    pay(ledger, id).await;
    for to in [OrderState::Fulfilling, OrderState::Fulfilled] {
        ledger.fulfil(id, to).await.unwrap();
    }
    order(ledger, id).await
}

/// Sold legs, seat by seat, as a gate would read them.
async fn sold(ledger: &dyn Ledger, sale: &SaleId) -> Vec<u64> {
    ledger.gate_image(sale).await.unwrap().seats.remove(0).sold
}

fn passengers(quantity: u32) -> RefundAsked {
    RefundAsked::Items(Basket::new(vec![Item::counted(sku("t"), quantity)]).unwrap())
}

pub async fn a_seat_given_back_can_be_given_again(house: impl House<Port = Port>) {
    let (ledger, sale) = opened(&house, 1, 4).await;
    let before = fulfilled(&*ledger, &sale, 1, &[0, 1], (0, 3)).await;
    assert_eq!(stock(&*ledger, &sale, "t").await, (6, 0, 6, 0));
    let (part, left) = begun(ask(&*ledger, before.id, &passengers(1)).await);
    assert_eq!((part.scope, part.items), (RefundScope::Items, Some(ride(&[1], 0, 3))));
    assert_eq!((left.lines[0].refunded, left.lines[1].refunded), (0, 1), "the last one");
    assert_eq!(stock(&*ledger, &sale, "t").await, (9, 0, 3, 3));
    assert_eq!(sold(&*ledger, &sale).await, [0b0111, 0, 0]);
    assert_eq!(money(&*ledger, &sale).await, [2, 1, 0, 1]);
    granted(&*ledger, &sale, choice(2, &[1], 1, 4)).await;
    let taken = one(&*ledger, &sale, choice(3, &[0], 1, 4)).await;
    assert_eq!(taken, HoldReply::SeatsTaken { by: vec![before.id] });

    let (whole, refunding) = begun(ask(&*ledger, before.id, &RefundAsked::Order).await);
    assert_eq!((whole.items, refunding.state), (Some(ride(&[0], 0, 3)), OrderState::Refunding));
    finish(&*ledger, part.id).await;
    assert_eq!(finish(&*ledger, whole.id).await.state, OrderState::Refunded);
    assert_eq!(sold(&*ledger, &sale).await, [0, 0, 0]);
    assert_eq!(stock(&*ledger, &sale, "t").await, (9, 3, 0, 6));
    granted(&*ledger, &sale, choice(4, &[0], 0, 4)).await;
}

pub async fn whoever_gives_back_may_name_the_seat(house: impl House<Port = Port>) {
    let (ledger, sale) = opened(&house, 1, 4).await;
    let before = fulfilled(&*ledger, &sale, 1, &[0, 1, 2], (1, 3)).await;
    let named = RefundAsked::Items(ride(&[1], 1, 3));
    let (part, _) = begun(ask(&*ledger, before.id, &named).await);
    assert_eq!(part.items, Some(ride(&[1], 1, 3)));
    assert_eq!(sold(&*ledger, &sale).await, [0b0110, 0, 0b0110]);
    for gone in [named, RefundAsked::Items(ride(&[0], 0, 3))] {
        let none = ask(&*ledger, before.id, &gone).await;
        let not_left = NoRefund::NotLeft { sku: sku("t"), left: 0 };
        assert!(matches!(&none, RefundReply::Refused(_, why) if *why == not_left), "{none:?}");
    }
    assert_eq!(sold(&*ledger, &sale).await, [0b0110, 0, 0b0110]);
}

pub async fn a_journey_is_changed_to_another_stretch(house: impl House<Port = Port>) {
    let (ledger, sale) = opened(&house, 1, 4).await;
    let before = fulfilled(&*ledger, &sale, 1, &[0], (0, 2)).await;
    let other = fulfilled(&*ledger, &sale, 2, &[0, 1], (2, 4)).await;
    let later = wish(&ride(&[2], 1, 4));
    let reply = ledger.begin_change(before.id, None, &later).await.unwrap();
    let ChangeReply::Done { order: changing, gate: held } = reply else { panic!("{reply:?}") };
    assert_eq!((held.phase, &held.basket), (HoldPhase::Held, &ride(&[2], 1, 4)), "chosen here");
    let again = ledger.begin_change(before.id, None, &later).await.unwrap();
    assert_eq!(again, ChangeReply::Already(changing), "the same wish");
    let image = ledger.gate_image(&sale).await.unwrap();
    assert_eq!(image.holds[0].basket, ride(&[2], 1, 4));
    assert_eq!(image.seats[0].sold, [0b1111, 0b1100, 0], "the old one is its own yet");
    assert_eq!(stock(&*ledger, &sale, "t").await, (3, 3, 6, 0));
    let will_be = ledger.changed(before.id).await.unwrap().unwrap();
    assert_eq!(will_be.basket(), Some(ride(&[2], 1, 4)));

    let reply = ledger.end_change(before.id, ChangeEnd::Made).await.unwrap();
    let ChangeReply::Done { order: after, gate: word } = reply else { panic!("{reply:?}") };
    assert_eq!((after.state, after.basket()), (OrderState::Fulfilled, Some(ride(&[2], 1, 4))));
    assert_eq!(after.lines[0].seat.as_ref().unwrap().label.as_str(), "01C");
    assert_eq!((word.phase, word.basket), (HoldPhase::Sold, ride(&[2], 1, 4)));
    assert_eq!(sold(&*ledger, &sale).await, [0b1100, 0b1100, 0b1110]);
    assert_eq!(stock(&*ledger, &sale, "t").await, (5, 0, 7, 2));
    let taken = one(&*ledger, &sale, choice(3, &[0], 1, 3)).await;
    assert_eq!(taken, HoldReply::SeatsTaken { by: vec![other.id] });
    granted(&*ledger, &sale, choice(4, &[0], 0, 2)).await;
}

pub async fn a_change_of_seats_is_undone(house: impl House<Port = Port>) {
    let (ledger, sale) = opened(&house, 1, 4).await;
    let before = fulfilled(&*ledger, &sale, 1, &[0], (0, 2)).await;
    ledger.begin_change(before.id, None, &wish(&ride(&[0], 2, 4))).await.unwrap();
    assert_eq!(stock(&*ledger, &sale, "t").await, (8, 2, 2, 0));
    let reply = ledger.end_change(before.id, ChangeEnd::Undone).await.unwrap();
    let ChangeReply::Done { order: after, .. } = reply else { panic!("{reply:?}") };
    assert_eq!((after.state, after.basket()), (OrderState::Fulfilled, Some(ride(&[0], 0, 2))));
    assert_eq!(stock(&*ledger, &sale, "t").await, (10, 0, 2, 0));
    granted(&*ledger, &sale, choice(2, &[0], 2, 4)).await;
}

pub async fn a_change_to_a_stretch_without_seats_changes_nothing(house: impl House<Port = Port>) {
    let (ledger, sale) = opened(&house, 1, 4).await;
    let before = fulfilled(&*ledger, &sale, 1, &[0], (0, 2)).await;
    // Each leg has a free seat, no seat has them both.
    granted(&*ledger, &sale, choice(2, &[0, 1], 2, 3)).await;
    granted(&*ledger, &sale, choice(3, &[2], 3, 4)).await;
    let ask = async |basket: &Basket| {
        let reply = ledger.begin_change(before.id, None, basket).await.unwrap();
        let ChangeReply::Refused(order, why) = reply else { panic!("{reply:?}") };
        assert_eq!(order, before);
        why
    };
    assert_eq!(ask(&wish(&ride(&[0], 2, 4))).await, NoChange::SoldOut(sku("t")));
    for unfit in [seated_item("t", 1, 2, 5), Item::counted(sku("t"), 1)] {
        let why = ask(&Basket::new(vec![unfit]).unwrap()).await;
        assert!(matches!(why, NoChange::Unfit(_)), "{why:?}");
    }
    assert_eq!(order(&*ledger, before.id).await, before);
    assert_eq!(stock(&*ledger, &sale, "t").await, (7, 3, 2, 0));
}

/// Closes an order by its deadline, with a payment under way: the word that it succeeded after all.
async fn late_word(ledger: &dyn Ledger, late: &Order) -> PaymentUpdate {
    let payment = new_payment_id();
    ledger.begin_payment(late.id, payment, "simulated").await.unwrap();
    ledger.begin_closing(late.id, ClosingCause::Deadline).await.unwrap();
    done(ledger.close_unpaid(late.id).await.unwrap());
    PaymentUpdate {
        payment,
        order: late.id,
        version: 1,
        state: PaymentState::Succeeded,
        amount: late.amount,
        currency: late.currency,
    }
}

pub async fn late_money_sits_where_it_sat_or_goes_back(house: impl House<Port = Port>) {
    let (ledger, sale) = opened(&house, 1, 4).await;
    let first = granted(&*ledger, &sale, choice(1, &[0, 1], 0, 2)).await;
    let word = late_word(&*ledger, &first).await;
    let step = ledger.apply_payment(word).await.unwrap();
    let PaymentStep::Applied { order: paid, gate: Some(word) } = step else { panic!("{step:?}") };
    assert_eq!((paid.state, paid.basket()), (OrderState::Paid, Some(ride(&[0, 1], 0, 2))));
    assert_eq!((word.phase, word.basket), (HoldPhase::Sold, ride(&[0, 1], 0, 2)));
    assert_eq!(stock(&*ledger, &sale, "t").await, (8, 0, 4, 0));
    let taken = one(&*ledger, &sale, choice(2, &[1], 1, 3)).await;
    assert_eq!(taken, HoldReply::SeatsTaken { by: vec![first.id] });

    let second = granted(&*ledger, &sale, choice(3, &[2], 0, 2)).await;
    let word = late_word(&*ledger, &second).await;
    granted(&*ledger, &sale, choice(4, &[2], 1, 4)).await;
    let step = ledger.apply_payment(word).await.unwrap();
    assert!(matches!(step, PaymentStep::Applied { gate: None, .. }), "{step:?}");
    assert_eq!(order(&*ledger, second.id).await.state, OrderState::Refunding);
    let refund = ledger.refunds(second.id).await.unwrap().remove(0);
    assert_eq!(refund.cause, RefundCause::Late);
    assert_eq!(stock(&*ledger, &sale, "t").await, (5, 3, 4, 0));
}
