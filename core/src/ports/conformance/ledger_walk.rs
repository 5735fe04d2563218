//! A random walk over the ledger beside a simple record of what was answered: after every step the books add up, and
//! after every crash everything that was answered is there.

#![expect(clippy::unwrap_used, reason = "test code that lives behind a feature")]

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use super::{House, assert_balanced, samples::*};
use crate::{
    entry::Outcome,
    ids::{EntryId, OrderId, SaleId},
    line::LineEntry,
    order::{ClosingCause, OrderState},
    policy::PolicyPatch,
    ports::{
        ChangeEnd, ChangeReply, Changed, EntryRecord, GateSaid, HoldReply, HoldRequest, Ledger,
        NewOutcome, NewPayment, OutcomeReason, Payment, PaymentState, PaymentStep, PaymentUpdate,
        RefundReply, StepReply,
    },
    random::Random,
    refund::RefundAsked,
    sale::SaleChange,
};

#[macro_export]
macro_rules! ledger_walk_conformance {
    ($open:path) => {
        $crate::conformance_rules!(
            $open,
            ledger_walk:
            a_random_walk_keeps_every_promise,
        );
    };
}

const STEPS: u64 = 350;

/// What was answered, and so must stay.
struct Walk {
    ledger: Arc<dyn Ledger>,
    sale: SaleId,
    random: Random,
    /// Every entry that was ever named: some have an outcome.
    entries: Vec<LineEntry>,
    outcomes: BTreeMap<EntryId, Outcome>,
    orders: BTreeMap<OrderId, OrderState>,
    payments: Vec<Payment>,
    /// Units of `a` in all.
    stock: u64,
}

impl Walk {
    fn draw(&self, below: usize) -> usize {
        usize::try_from(self.random.below(below as u64)).unwrap()
    }

    /// A new entry of one of a few buyers, or one that was named before.
    fn some_entry(&mut self) -> LineEntry {
        if self.entries.is_empty() || self.draw(3) > 0 {
            let seq = self.entries.len() as u64 + 1;
            let units = u32::try_from(self.draw(3) + 1).unwrap();
            self.entries.push(wanting(seq, &format!("buyer-{}", self.draw(40)), &[("a", units)]));
        }
        self.entries[self.draw(self.entries.len())].clone()
    }

    fn some_order(&self) -> Option<OrderId> {
        let count = self.orders.len();
        (count > 0).then(|| *self.orders.keys().nth(self.draw(count)).unwrap())
    }

    /// An outcome was answered: it must be the one that was answered before, if one was.
    fn answered(&mut self, record: &EntryRecord) {
        let first = *self.outcomes.entry(record.entry).or_insert(record.outcome);
        assert_eq!(record.outcome, first, "one outcome for each entry");
        if let Some(order) = record.order {
            self.orders.insert(order.order, order.state);
        }
    }

    async fn hold(&mut self) {
        let batch = (0..=self.draw(4)).map(|_| {
            let gate = if self.draw(5) == 0 { GateSaid::Short } else { GateSaid::Held };
            HoldRequest { gate, ..request(self.some_entry()) }
        });
        let batch: Vec<HoldRequest> = batch.collect();
        for reply in self.ledger.hold(&self.sale, batch).await.unwrap() {
            match reply {
                HoldReply::Settled { record, .. } | HoldReply::Known { record, .. } => {
                    self.answered(&record);
                }
                HoldReply::GateWrong
                | HoldReply::StandsBy
                | HoldReply::Frozen
                | HoldReply::SeatsTaken { .. } => {}
            }
        }
    }

    async fn settle(&mut self) {
        let left = NewOutcome {
            line_entry: self.some_entry(),
            outcome: Outcome::Left,
            reason: OutcomeReason::Plain,
        };
        let records = self.ledger.settle(&self.sale, vec![left]).await.unwrap();
        self.answered(&records[0]);
    }

    fn stepped(&mut self, reply: StepReply) {
        match reply {
            StepReply::Done { order, .. }
            | StepReply::Already { order, .. }
            | StepReply::Wrong(order) => {
                self.orders.insert(order.id, order.state);
            }
            StepReply::NoSuchOrder => panic!("the order was answered"),
        }
    }

    async fn step_of(&mut self, order: OrderId) {
        let reply = match self.draw(4) {
            0 => {
                let causes = [ClosingCause::Cancelled, ClosingCause::Deadline];
                self.ledger.begin_closing(order, causes[self.draw(2)]).await
            }
            1 => self.ledger.close_unpaid(order).await,
            2 => self.ledger.fulfil(order, OrderState::Fulfilling).await,
            _ => self.ledger.fulfil(order, OrderState::Fulfilled).await,
        };
        self.stepped(reply.unwrap());
    }

    async fn pay(&mut self, id: OrderId) {
        let begun = self.ledger.begin_payment(id, new_payment_id(), "simulated").await.unwrap();
        if let NewPayment::New(payment) = begun {
            self.payments.push(payment);
        }
        if self.payments.is_empty() {
            return;
        }
        // Any that was ever begun: its order may have been closed long ago, or paid by another.
        let payment = &self.payments[self.draw(self.payments.len())];
        let states = [PaymentState::Succeeded, PaymentState::Succeeded, PaymentState::Failed];
        let update = PaymentUpdate {
            version: self.random.below(4) + 1,
            ..payment.found(states[self.draw(3)])
        };
        match self.ledger.apply_payment(update).await.unwrap() {
            PaymentStep::Applied { order, .. }
            | PaymentStep::Ignored { order, .. }
            | PaymentStep::Surplus(order) => {
                self.orders.insert(order.id, order.state);
            }
            other @ (PaymentStep::WrongAmount | PaymentStep::Unknown) => panic!("{other:?}"),
        }
    }

    async fn refund(&mut self, id: OrderId) {
        let units = u32::try_from(self.draw(3)).unwrap();
        let asked = match units {
            0 => RefundAsked::Order,
            _ => RefundAsked::Items(basket(&[("a", units)])),
        };
        let reply = match self.draw(4) {
            0 => self.ledger.fail_fulfilment(id).await,
            _ => self.ledger.begin_refund(id, new_refund_id(), &asked).await,
        };
        match reply.unwrap() {
            RefundReply::Begun(_, order)
            | RefundReply::Already(_, order)
            | RefundReply::Refused(order, _) => {
                self.orders.insert(order.id, order.state);
            }
            RefundReply::NoSuchOrder => panic!("the order was answered"),
        }
    }

    async fn send_back(&mut self) {
        for refund in self.ledger.claim_refunds(Duration::from_millis(100), 2).await.unwrap() {
            let (_, order) = self.ledger.finish_refund(refund.id).await.unwrap().unwrap();
            self.orders.insert(order.id, order.state);
        }
    }

    async fn change(&mut self, id: OrderId) {
        let reply = match self.draw(3) {
            0 => self.ledger.end_change(id, ChangeEnd::Made).await,
            1 => self.ledger.end_change(id, ChangeEnd::Undone).await,
            _ => {
                let units = u32::try_from(self.draw(3) + 1).unwrap();
                self.ledger.begin_change(id, None, &basket(&[("a", units)])).await
            }
        };
        match reply.unwrap() {
            ChangeReply::Done { order, .. }
            | ChangeReply::Already(order)
            | ChangeReply::Refused(order, _) => {
                self.orders.insert(order.id, order.state);
            }
            ChangeReply::NoSuchOrder => panic!("the order was answered"),
        }
    }

    async fn step(&mut self) {
        match (self.draw(14), self.some_order()) {
            (0, _) => self.settle().await,
            (1, _) => {
                let add = SaleChange::AddStock { sku: sku("a"), units: 2 };
                let by = author();
                let reply = self.ledger.change_sale(&self.sale, None, add, &by, None).await;
                assert!(matches!(reply.unwrap(), Changed::Done(_)));
                self.stock += 2;
            }
            (2, _) => {
                for order in self.ledger.sweep_deadlines(3).await.unwrap() {
                    assert_eq!(order.closing_cause, Some(ClosingCause::Deadline));
                    self.orders.insert(order.id, order.state);
                }
            }
            (3..=5, Some(order)) => self.step_of(order).await,
            (6 | 7, Some(order)) => self.pay(order).await,
            (8, Some(order)) => self.refund(order).await,
            (9, Some(order)) => self.change(order).await,
            (10, _) => self.send_back().await,
            _ => self.hold().await,
        }
    }

    /// Everything that was answered is there, and adds up.
    async fn look(&self) {
        assert_balanced(&*self.ledger, &self.sale).await;
        let a = balance(&*self.ledger, &self.sale, "a").await;
        assert_eq!(a.total, self.stock);
        let (mut held_and_sold, mut buyers) = (0, BTreeSet::new());
        for (id, state) in &self.orders {
            let order = self.ledger.order(*id).await.unwrap().unwrap();
            assert_eq!(order.state, *state, "as it was answered");
            assert!(!state.is_live() || buyers.insert(order.buyer.clone()), "one live order each");
            use OrderState::{Changing, Fulfilled, Fulfilling, Paid};
            if state.is_unpaid_hold() || matches!(state, Paid | Fulfilling | Fulfilled | Changing) {
                let left = order.lines.iter().map(|line| line.quantity - line.refunded);
                held_and_sold += u64::from(left.sum::<u32>());
            }
            if let Some(changed) = self.ledger.changed(*id).await.unwrap() {
                assert_eq!(*state, Changing);
                held_and_sold += u64::from(changed.basket().unwrap().units());
            }
        }
        assert_eq!(a.held + a.sold, held_and_sold, "what live orders have");
        let ids: Vec<EntryId> = self.outcomes.keys().copied().collect();
        let records = self.ledger.entries(&ids).await.unwrap();
        for (record, outcome) in records.iter().zip(self.outcomes.values()) {
            assert_eq!(record.as_ref().map(|record| record.outcome), Some(*outcome));
        }
    }
}

pub async fn a_random_walk_keeps_every_promise(mut house: impl House<Port = Arc<dyn Ledger>>) {
    let ledger = house.port();
    let patch = PolicyPatch { payment_window_seconds: Some(1), ..PolicyPatch::default() };
    let sale = open_sale_with(&*ledger, &[("a", 60)], patch).await;
    let mut walk = Walk {
        ledger,
        sale,
        random: Random::seeded(11),
        entries: Vec::new(),
        outcomes: BTreeMap::new(),
        orders: BTreeMap::new(),
        payments: Vec::new(),
        stock: 60,
    };
    for step in 0..STEPS {
        walk.step().await;
        if walk.draw(25) == 0 {
            house.crash().await;
            walk.ledger = house.port();
        }
        if walk.draw(10) == 0 {
            house.pass(Duration::from_millis(60)).await;
        }
        if step % 5 == 0 {
            walk.look().await;
        }
    }
    walk.look().await;
    assert!(walk.orders.len() > 20, "the walk went somewhere: {} orders", walk.orders.len());
}
