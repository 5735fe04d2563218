//! Callbacks while the ledger is away: kept, applied once it is back, and never lost between the two.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use http::Method;
use serde_json::json;
use sluice_core::{
    ids::{OrderId, PaymentId},
    line::LineEntry,
    money::{AmountFen, Currency},
    order::OrderState,
    ports::{
        CallbackDeliveries, CallbackDelivery, CallbackInbox, CallbackIntake, Contact, Notifier,
        Occasion, PaymentState, PaymentUpdate, PortError, PortResult, Reach, WorkOutlet,
    },
    webhook::Secrets,
};
use sluice_worker::{Config, WorkerPorts};
use tokio::sync::Notify;

use crate::{
    house::{House, PRICE, SECRET, until},
    shaky::{Shaky, shaky},
    shop::{Answer, Shop},
    telling::Postbox,
};

/// An inbox in memory. Retries come back at once.
#[derive(Debug, Default)]
struct Inbox(Arc<Shelf>);

#[derive(Debug, Default)]
struct Shelf {
    away: AtomicBool,
    held: Mutex<Held>,
    came: Notify,
}

#[derive(Debug, Default)]
struct Held {
    ready: VecDeque<(PaymentUpdate, u32)>,
    in_hand: Vec<CallbackDelivery>,
    buried: Vec<(CallbackDelivery, String)>,
    last_tag: u64,
    acked: usize,
}

impl Shelf {
    fn put(&self, update: PaymentUpdate, tries: u32) {
        self.held.lock().unwrap().ready.push_back((update, tries));
        self.came.notify_waiters();
        self.came.notify_one();
    }

    fn is_empty(&self) -> bool {
        let held = self.held.lock().unwrap();
        held.ready.is_empty() && held.in_hand.is_empty()
    }

    fn acked(&self) -> usize {
        self.held.lock().unwrap().acked
    }

    fn buried(&self) -> Vec<(CallbackDelivery, String)> {
        self.held.lock().unwrap().buried.clone()
    }

    fn take(&self, tag: u64) -> Option<CallbackDelivery> {
        let mut held = self.held.lock().unwrap();
        let at = held.in_hand.iter().position(|one| one.tag == tag)?;
        Some(held.in_hand.remove(at))
    }
}

#[async_trait]
impl CallbackInbox for Inbox {
    async fn keep(&self, update: &PaymentUpdate) -> PortResult<()> {
        if self.0.away.load(Ordering::SeqCst) {
            return Err(PortError::unavailable("as the test wants it"));
        }
        self.0.put(update.clone(), 0);
        Ok(())
    }

    async fn consume(&self, _: usize) -> PortResult<CallbackIntake> {
        let deliveries = Box::new(Deliveries(Arc::clone(&self.0)));
        Ok(CallbackIntake { deliveries, outlet: Arc::new(Outlet(Arc::clone(&self.0))) })
    }
}

#[derive(Debug)]
struct Deliveries(Arc<Shelf>);

impl Drop for Deliveries {
    fn drop(&mut self) {
        let mut held = self.0.held.lock().unwrap();
        let back = std::mem::take(&mut held.in_hand);
        held.ready.extend(back.into_iter().map(|one| (one.update, one.tries)));
    }
}

#[async_trait]
impl CallbackDeliveries for Deliveries {
    async fn next(&mut self, most: usize) -> PortResult<Vec<CallbackDelivery>> {
        loop {
            let came = self.0.came.notified();
            {
                let mut held = self.0.held.lock().unwrap();
                let count = held.ready.len().min(most);
                if count > 0 {
                    let mut some = Vec::new();
                    for (update, tries) in held.ready.drain(..count).collect::<Vec<_>>() {
                        held.last_tag += 1;
                        some.push(CallbackDelivery { tag: held.last_tag, update, tries });
                    }
                    held.in_hand.extend(some.clone());
                    return Ok(some);
                }
            }
            came.await;
        }
    }
}

#[derive(Debug)]
struct Outlet(Arc<Shelf>);

#[async_trait]
impl WorkOutlet for Outlet {
    async fn ack(&self, tags: &[u64]) -> PortResult<()> {
        let taken = tags.iter().filter_map(|tag| self.0.take(*tag)).count();
        self.0.held.lock().unwrap().acked += taken;
        Ok(())
    }

    async fn retry(&self, tag: u64, delay: Duration) -> PortResult<()> {
        assert!(delay <= Duration::from_secs(128), "{delay:?}");
        if let Some(one) = self.0.take(tag) {
            self.0.put(one.update, one.tries + 1);
        }
        Ok(())
    }

    async fn bury(&self, tag: u64, reason: &str) -> PortResult<()> {
        if let Some(one) = self.0.take(tag) {
            self.0.held.lock().unwrap().buried.push((one, reason.to_owned()));
        }
        Ok(())
    }
}

/// An order that awaits its payment, a worker over a shaky ledger, and an inbox.
struct Scene {
    house: House,
    shop: Shop,
    ledger: Arc<Shaky>,
    inbox: Arc<Shelf>,
    postbox: Arc<Postbox>,
    entry: LineEntry,
    order: OrderId,
    payment: PaymentId,
    pay_url: String,
}

impl Scene {
    async fn open(callback_tries_max: u32) -> Self {
        let inbox = Inbox::default();
        let kept = Arc::clone(&inbox.0);
        let config = Config { callback_tries_max, ..Config::default() };
        Self::open_with(Some(Arc::new(inbox)), kept, config).await
    }

    async fn open_with(
        inbox: Option<Arc<dyn CallbackInbox>>,
        kept: Arc<Shelf>,
        config: Config,
    ) -> Self {
        let house = House::open(10).await;
        let contact = Contact::new(Some("ada@example.com".into()), None).unwrap();
        let reach = Some(Box::new(Reach { contact, locale: "en".into() }));
        let entry = LineEntry { reach, ..house.entry(1, "ada", 2) };
        let order = house.order(std::slice::from_ref(&entry)).await[0];
        let (ports, ledger) = shaky(&house, None, false);
        let postbox = Arc::new(Postbox::default());
        let notifier = Arc::clone(&postbox) as Arc<dyn Notifier>;
        let ports = WorkerPorts { inbox, notifier, ..ports };
        let shop = Shop::open_over(&house, ports, config, false).await;
        let opened = shop.post(&format!("/v1/orders/{order}/payment"), &house.token(&entry)).await;
        assert_eq!(opened.status, 201, "{opened:?}");
        let text = |field: &str| opened.json()[field].as_str().unwrap().to_owned();
        let (payment, pay_url) = (text("payment").parse().unwrap(), text("pay_url"));
        Self { house, shop, ledger, inbox: kept, postbox, entry, order, payment, pay_url }
    }

    fn away(&self, away: bool) {
        self.ledger.down.store(away, Ordering::SeqCst);
    }

    async fn call_back(&self) -> Answer {
        let word = json!({"payment": self.payment, "order": self.order, "version": 1, "status": "succeeded",
            "amount_fen": 2 * PRICE, "currency": "CNY", "occurred_at": "2026-11-11T12:00:00Z"});
        let body = serde_json::to_vec(&word).unwrap();
        let now = self.house.turn(&self.entry).called_at;
        let signed = Secrets::new(&[SECRET]).unwrap().sign("msg_1", now, &body);
        let headers = [
            ("content-type", "application/json"),
            ("webhook-id", signed.id.as_str()),
            ("webhook-timestamp", signed.timestamp.as_str()),
            ("webhook-signature", signed.signature.as_str()),
        ];
        self.shop.send(Method::POST, "/v1/payments/simulated/callback", &headers, body).await
    }

    /// The word as it is kept.
    fn word(&self) -> PaymentUpdate {
        PaymentUpdate {
            payment: self.payment,
            order: self.order,
            version: 1,
            state: PaymentState::Succeeded,
            amount: AmountFen(2 * PRICE),
            currency: Currency::CNY,
        }
    }

    async fn refused(&self, times: u64) {
        let from = self.ledger.refused.load(Ordering::SeqCst);
        until("the ledger refused more", async || {
            self.ledger.refused.load(Ordering::SeqCst) >= from + times
        })
        .await;
    }

    async fn close(self) {
        self.house.assert_balanced().await;
        self.shop.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_callback_the_ledger_cannot_store_is_kept_and_applied_when_it_is_back() {
    // One try: a ledger that is away must cost none.
    let scene = Scene::open(1).await;
    scene.away(true);
    let answer = scene.call_back().await;
    answer.assert_problem(503, "unavailable");
    assert!(answer.json()["detail"].as_str().unwrap().contains("kept"), "{answer:?}");
    assert!(!answer.header("retry-after").is_empty());
    scene.refused(4).await;
    assert_eq!(scene.house.find(scene.order).await.state, OrderState::AwaitingPayment);
    assert_eq!(scene.inbox.buried(), []);

    scene.away(false);
    scene.house.order_in(scene.order, OrderState::Fulfilled).await;
    until("the inbox is empty", async || scene.inbox.is_empty()).await;
    assert_eq!((scene.inbox.acked(), scene.inbox.buried()), (1, vec![]));
    let repeated = scene.call_back().await;
    assert_eq!((repeated.status, repeated.json()["result"].as_str()), (200, Some("ignored")));
    scene.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_callback_that_nobody_keeps_is_left_to_the_provider() {
    for inbox_there in [false, true] {
        let inbox = Inbox::default();
        inbox.0.away.store(true, Ordering::SeqCst);
        let kept = Arc::clone(&inbox.0);
        let inbox = inbox_there.then(|| Arc::new(inbox) as Arc<dyn CallbackInbox>);
        let scene = Scene::open_with(inbox, kept, Config::default()).await;
        scene.away(true);
        let answer = scene.call_back().await;
        answer.assert_problem(503, "unavailable");
        assert!(!answer.json()["detail"].as_str().unwrap().contains("kept"), "{answer:?}");
        scene.away(false);
        assert_eq!(scene.call_back().await.status, 200);
        scene.house.order_in(scene.order, OrderState::Fulfilled).await;
        scene.close().await;
    }
}

/// A ledger commits whether or not somebody waits for its answer. `Scene::close` looks whether the gate has heard it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_ledger_says_after_the_provider_was_answered_is_followed() {
    let config = Config { callback_timeout: Duration::from_millis(50), ..Config::default() };
    let scene = Scene::open_with(None, Arc::default(), config).await;
    scene.ledger.words_held.store(true, Ordering::SeqCst);
    scene.call_back().await.assert_problem(503, "unavailable");
    assert_eq!(scene.house.balance().await.sold, 2, "it was committed");
    scene.ledger.words_held.store(false, Ordering::SeqCst);
    scene.close().await;
}

/// The provider has hung up, and the worker is told to end: it follows what is under way before it does.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_ends_follows_what_nobody_waits_for() {
    let config = Config { callback_timeout: Duration::from_millis(50), ..Config::default() };
    let scene = Scene::open_with(None, Arc::default(), config).await;
    scene.ledger.words_held.store(true, Ordering::SeqCst);
    scene.call_back().await.assert_problem(503, "unavailable");
    let Scene { house, shop, ledger, .. } = scene;
    let address = shop.address;
    let answered = async {
        until("the server has ended", async || {
            tokio::net::TcpStream::connect(address).await.is_err()
        })
        .await;
        ledger.words_held.store(false, Ordering::SeqCst);
    };
    tokio::join!(shop.close(), answered);
    house.assert_balanced().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_was_lost_is_told_by_the_repeat() {
    let scene = Scene::open(8).await;
    scene.ledger.words_lost.store(1, Ordering::SeqCst);
    scene.call_back().await.assert_problem(503, "unavailable");
    until("the inbox is empty", async || scene.inbox.is_empty()).await;
    assert_eq!((scene.inbox.acked(), scene.inbox.buried()), (1, vec![]));
    until("the buyer hears of it", async || !scene.postbox.of("ada").is_empty()).await;
    // What a provider repeats of itself is no news.
    assert_eq!(scene.call_back().await.json()["result"].as_str(), Some("ignored"));
    let postbox = Arc::clone(&scene.postbox);
    scene.close().await;
    assert_eq!(postbox.occasions("ada"), [Occasion::Fulfilled]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ledger_that_says_nothing_costs_no_try() {
    let scene = Scene::open(1).await;
    scene.ledger.words_lost.store(3, Ordering::SeqCst);
    scene.inbox.put(scene.word(), 0);
    until("the inbox is empty", async || scene.inbox.is_empty()).await;
    assert_eq!((scene.inbox.acked(), scene.inbox.buried()), (1, vec![]));
    assert_eq!(scene.ledger.words_lost.load(Ordering::SeqCst), 0);
    scene.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn words_that_are_final_leave_the_inbox_and_change_nothing() {
    let scene = Scene::open(8).await;
    assert_eq!(scene.call_back().await.status, 200);
    scene.house.order_in(scene.order, OrderState::Fulfilled).await;
    let older = PaymentUpdate { version: 0, state: PaymentState::Failed, ..scene.word() };
    let other_amount = PaymentUpdate { version: 5, amount: AmountFen(1), ..scene.word() };
    for word in [scene.word(), older, other_amount.clone()] {
        scene.inbox.put(word, 0);
    }
    until("all left the inbox", async || scene.inbox.is_empty()).await;
    assert_eq!(scene.inbox.acked(), 2);
    let (buried, reason) = scene.inbox.buried().remove(0);
    assert_eq!((buried.update, buried.tries), (other_amount, 0), "money needs somebody to look");
    assert!(reason.contains("amount or currency"), "{reason}");
    assert_eq!(scene.house.find(scene.order).await.state, OrderState::Fulfilled);
    scene.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_word_on_a_payment_nobody_knows_is_buried_when_its_tries_are_used_up() {
    let scene = Scene::open(8).await;
    let stranger = PaymentUpdate { payment: scene.house.new_payment(), ..scene.word() };
    scene.inbox.put(stranger.clone(), 0);
    until("it is buried", async || !scene.inbox.buried().is_empty()).await;
    let (buried, reason) = scene.inbox.buried().remove(0);
    assert_eq!((buried.update, buried.tries), (stranger, 7), "the eighth try was the last");
    assert!(reason.contains("no such payment"), "{reason}");
    assert_eq!(scene.inbox.acked(), 0);
    scene.close().await;
}

/// The ledger takes everything but this one callback; what the provider says when it is asked is taken.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_tries_are_used_up_the_provider_is_asked_and_its_word_counts() {
    let scene = Scene::open(3).await;
    assert_eq!(scene.shop.press(&scene.pay_url, "succeed").await.status, 200);
    scene.ledger.words_rejected.store(3, Ordering::SeqCst);
    scene.inbox.put(scene.word(), 0);
    scene.house.order_in(scene.order, OrderState::Fulfilled).await;
    until("it is buried", async || !scene.inbox.buried().is_empty()).await;
    let (buried, reason) = scene.inbox.buried().remove(0);
    assert_eq!((buried.update, buried.tries), (scene.word(), 2));
    assert!(reason.contains("succeeded, which was applied"), "{reason}");
    let payment = scene.house.ports.ledger.payment(scene.payment).await.unwrap().unwrap();
    assert_eq!(payment.state, PaymentState::Succeeded);
    scene.close().await;
}
