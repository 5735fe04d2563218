//! Deadlines, cancels and what a crash left: each order is seen through once, and its stock comes back once.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use sluice_core::{
    ids::{OrderId, PaymentId, RefundId, Version},
    money::AmountFen,
    order::{ClosingCause, Order, OrderState},
    ports::{
        NewPayment, PaymentProvider, PaymentRequest, PaymentState, PaymentUpdate, PlaceState,
        ProviderError, ProviderPayment, ProviderStatus, RefundStatus,
    },
};
use sluice_worker::{Config, Fulfilment, FulfilmentError, Immediate, Worker};

use crate::house::{House, Running, hear, is_wake_up, tells, until};

const WINDOW: Duration = Duration::from_secs(900);

/// A provider that answers what the test wants; unreachable while it wants nothing.
#[derive(Debug, Default)]
struct Told {
    status: Mutex<Option<ProviderStatus>>,
    asked: AtomicU64,
}

impl Told {
    fn saying(status: Option<ProviderStatus>) -> Arc<Self> {
        Arc::new(Self { status: Mutex::new(status), asked: AtomicU64::new(0) })
    }

    fn answer(&self) -> Result<ProviderStatus, ProviderError> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        self.status.lock().unwrap().ok_or_else(|| ProviderError::Unreachable("away".into()))
    }
}

#[async_trait]
impl PaymentProvider for Told {
    fn name(&self) -> &'static str {
        "told"
    }

    async fn create(&self, _: &PaymentRequest) -> Result<ProviderPayment, ProviderError> {
        Ok(ProviderPayment { pay_url: "https://pay.example/1".into() })
    }

    async fn close(&self, _: PaymentId) -> Result<ProviderStatus, ProviderError> {
        self.answer()
    }

    async fn query(&self, _: PaymentId) -> Result<ProviderStatus, ProviderError> {
        self.answer()
    }
    async fn refund(
        &self,
        _: PaymentId,
        _: RefundId,
        _: AmountFen,
    ) -> Result<RefundStatus, ProviderError> {
        let done = self.answer()? == ProviderStatus::Refunded;
        Ok(if done { RefundStatus::Done } else { RefundStatus::Pending })
    }
}

/// A fulfilment that is away for the first calls.
#[derive(Debug)]
struct Slow {
    away: AtomicU64,
    orders: Mutex<Vec<OrderId>>,
}

#[async_trait]
impl Fulfilment for Slow {
    async fn fulfil(&self, order: &Order) -> Result<(), FulfilmentError> {
        let left = self.away.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1));
        if left.is_ok() {
            return Err(FulfilmentError::Unreachable("away".into()));
        }
        self.orders.lock().unwrap().push(order.id);
        Ok(())
    }
}

fn worker(house: &House, provider: Arc<Told>, config: Config) -> Running {
    let fulfilment = Arc::new(Immediate);
    Running::start(Worker::build(config, house.worker_ports(), provider, fulfilment))
}

async fn one_order(house: &House) -> OrderId {
    house.order(&house.entries(1)).await[0]
}

async fn begin_payment(house: &House, order: OrderId) -> PaymentId {
    let id = house.new_payment();
    let begun = house.ports.ledger.begin_payment(order, id, "told").await.unwrap();
    let NewPayment::New(payment) = begun else { panic!("a new payment was due: {begun:?}") };
    payment.id
}

#[tokio::test]
async fn a_deadline_gives_the_stock_back_once_and_wakes_the_dispatcher() {
    let house = House::open(3).await;
    let entries = house.entries(2);
    let early = house.order(&entries[..1]).await[0];
    house.clock.advance(Duration::from_millis(1));
    let order = house.order(&entries[1..]).await[0];
    let mut heard = house.listen().await;
    let workers: Vec<Running> = (0..3).map(|_| Running::start(house.worker())).collect();
    house.clock.advance(WINDOW - Duration::from_millis(1));
    house.order_in(early, OrderState::Closed).await;
    assert_eq!(house.find(order).await.state, OrderState::AwaitingPayment, "not a moment early");

    house.clock.advance(Duration::from_millis(1));
    let closed = house.order_in(order, OrderState::Closed).await;
    assert_eq!(closed.closing_cause, Some(ClosingCause::Deadline));
    let states: Vec<OrderState> = closed.history.iter().map(|change| change.state).collect();
    use OrderState::{AwaitingPayment, Closed, Closing};
    assert_eq!(states, [AwaitingPayment, Closing, Closed], "three sweepers, one step each");
    hear(&mut *heard, "a wake-up", is_wake_up).await;
    assert_eq!(house.balance().await.available, 3);
    house.assert_balanced().await;
    let place = house.ports.line.find(&house.sale, &[entries[1].entry]).await.unwrap().remove(0);
    let PlaceState::Settled(settlement) = place.unwrap().state else { panic!("settled") };
    assert!(!settlement.live, "its buyer may join again");
    for worker in workers {
        worker.stop().await;
    }
}

#[tokio::test]
async fn a_cancel_begun_anywhere_is_seen_through_at_once_and_announced() {
    let house = House::open(3).await;
    let entries = house.entries(1);
    let order = house.order(&entries).await[0];
    let mut heard = house.listen().await;
    let worker = Running::start(house.worker());
    house.ports.ledger.begin_closing(order, ClosingCause::Cancelled).await.unwrap();
    house.order_in(order, OrderState::Closed).await;
    hear(&mut *heard, "the closed order", |notice| tells(notice, entries[0].entry, Version(5)))
        .await;
    house.assert_balanced().await;
    worker.stop().await;
}

#[tokio::test]
async fn money_found_at_the_deadline_pays_the_order() {
    let house = House::open(3).await;
    let order = one_order(&house).await;
    let payment = begin_payment(&house, order).await;
    house.clock.advance(WINDOW);
    let worker = worker(&house, Told::saying(Some(ProviderStatus::Succeeded)), Config::default());
    let fulfilled = house.order_in(order, OrderState::Fulfilled).await;
    assert_eq!(house.balance().await.sold, 1);
    house.assert_balanced().await;
    // The callback that was on its way changes nothing any more.
    let late = PaymentUpdate {
        payment,
        order,
        version: 1,
        state: PaymentState::Succeeded,
        amount: fulfilled.amount,
        currency: fulfilled.currency,
    };
    house.ports.ledger.apply_payment(late).await.unwrap();
    assert_eq!(house.find(order).await.version, fulfilled.version);
    worker.stop().await;
}

#[tokio::test]
async fn money_found_after_a_cancel_goes_back() {
    let house = House::open(3).await;
    let order = one_order(&house).await;
    begin_payment(&house, order).await;
    house.ports.ledger.begin_closing(order, ClosingCause::Cancelled).await.unwrap();
    let provider = Told::saying(Some(ProviderStatus::Succeeded));
    let worker = worker(&house, Arc::clone(&provider), Config::default());
    house.order_in(order, OrderState::Refunding).await;
    house.assert_balanced().await;
    *provider.status.lock().unwrap() = Some(ProviderStatus::Refunded);
    until("the money is back", async || {
        house.clock.advance(Duration::from_secs(1));
        house.find(order).await.state == OrderState::Refunded
    })
    .await;
    house.assert_balanced().await;
    worker.stop().await;
}

#[tokio::test]
async fn stock_is_not_given_away_before_the_provider_has_spoken() {
    for silence in [None, Some(ProviderStatus::Pending)] {
        let house = House::open(3).await;
        let order = one_order(&house).await;
        begin_payment(&house, order).await;
        house.clock.advance(WINDOW);
        let provider = Told::saying(silence);
        let worker = worker(&house, Arc::clone(&provider), Config::default());
        until("the provider was asked twice", async || provider.asked.load(Ordering::SeqCst) >= 2)
            .await;
        assert_eq!(house.find(order).await.state, OrderState::Closing);
        assert_eq!(house.balance().await.held, 1);
        *provider.status.lock().unwrap() = Some(ProviderStatus::Closed);
        house.order_in(order, OrderState::Closed).await;
        house.assert_balanced().await;
        worker.stop().await;
    }
}

#[tokio::test]
async fn a_provider_out_of_reach_for_too_long_is_not_waited_for() {
    let house = House::open(3).await;
    let order = one_order(&house).await;
    begin_payment(&house, order).await;
    house.clock.advance(WINDOW);
    let provider = Told::saying(None);
    let config = Config { closing_max: Duration::from_millis(100), ..Config::default() };
    let worker = worker(&house, Arc::clone(&provider), config);
    house.order_in(order, OrderState::Closed).await;
    assert!(provider.asked.load(Ordering::SeqCst) >= 2, "it was asked before and after");
    house.assert_balanced().await;
    worker.stop().await;
}

/// An order that was paid a minute ago, and nobody went on with.
async fn left_paid(house: &House) -> OrderId {
    let order = one_order(house).await;
    let payment = begin_payment(house, order).await;
    let waiting = house.find(order).await;
    let paid = PaymentUpdate {
        payment,
        order,
        version: 1,
        state: PaymentState::Succeeded,
        amount: waiting.amount,
        currency: waiting.currency,
    };
    house.ports.ledger.apply_payment(paid).await.unwrap();
    house.clock.advance(Duration::from_secs(60));
    order
}

#[tokio::test]
async fn what_another_left_paid_is_fulfilled_where_nobody_is_asked() {
    let house = House::open(3).await;
    let order = left_paid(&house).await;
    let worker = worker(&house, Told::saying(None), Config::default());
    house.order_in(order, OrderState::Fulfilled).await;
    let history = house.find(order).await.history;
    let states: Vec<OrderState> = history.iter().map(|change| change.state).collect();
    use OrderState::{AwaitingPayment, Fulfilled, Fulfilling, Paid};
    assert_eq!(states, [AwaitingPayment, Paid, Fulfilling, Fulfilled]);
    house.assert_balanced().await;
    worker.stop().await;
}

#[tokio::test]
async fn what_a_crash_left_paid_is_fulfilled_once_the_shop_answers() {
    let house = House::open(3).await;
    let order = left_paid(&house).await;
    let slow = Arc::new(Slow { away: AtomicU64::new(2), orders: Mutex::default() });
    let provider = Told::saying(None);
    let fulfilment: Arc<dyn Fulfilment> = Arc::clone(&slow) as Arc<dyn Fulfilment>;
    let worker = Worker::build(Config::default(), house.worker_ports(), provider, fulfilment);
    let worker = Running::start(worker);
    house.order_in(order, OrderState::Fulfilled).await;
    assert_eq!(*slow.orders.lock().unwrap(), [order]);
    worker.stop().await;
}
