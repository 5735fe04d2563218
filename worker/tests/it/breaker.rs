//! A payment provider that does not answer: buyers hear so at once, and it is not asked in vain.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use sluice_core::{
    ids::{OrderId, PaymentId, RefundId},
    line::LineEntry,
    money::AmountFen,
    order::OrderState,
    ports::{
        PaymentProvider, PaymentRequest, ProviderError, ProviderPayment, ProviderStatus,
        RefundStatus,
    },
};
use sluice_worker::Config;

use crate::{
    house::{House, until},
    shop::{Answer, Opening, Shop},
};

/// A provider that can be away, in the way of one that takes calls and never answers.
#[derive(Debug, Default)]
struct Moody {
    silent: AtomicBool,
    asked: AtomicU64,
}

impl Moody {
    async fn answer<T>(&self, answer: T) -> Result<T, ProviderError> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        if self.silent.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        Ok(answer)
    }

    fn asked(&self) -> u64 {
        self.asked.load(Ordering::SeqCst)
    }
}

#[async_trait]
impl PaymentProvider for Moody {
    fn name(&self) -> &'static str {
        "moody"
    }

    async fn create(&self, _: &PaymentRequest) -> Result<ProviderPayment, ProviderError> {
        self.answer(ProviderPayment { pay_url: "https://pay.example/1".into() }).await
    }

    async fn close(&self, _: PaymentId) -> Result<ProviderStatus, ProviderError> {
        self.answer(ProviderStatus::Closed).await
    }

    async fn query(&self, _: PaymentId) -> Result<ProviderStatus, ProviderError> {
        self.answer(ProviderStatus::Pending).await
    }

    async fn refund(
        &self,
        _: PaymentId,
        _: RefundId,
        _: AmountFen,
    ) -> Result<RefundStatus, ProviderError> {
        self.answer(RefundStatus::Done).await
    }
}

struct Scene {
    house: House,
    shop: Shop,
    provider: Arc<Moody>,
    entry: LineEntry,
    order: OrderId,
}

impl Scene {
    async fn open(rest: Duration) -> Self {
        let house = House::open(10).await;
        let entry = house.entry(1, "ada", 2);
        let order = house.order(std::slice::from_ref(&entry)).await[0];
        let provider = Arc::new(Moody::default());
        provider.silent.store(true, Ordering::SeqCst);
        let config = Config {
            provider_timeout: Duration::from_millis(100),
            provider_failures_max: 2,
            provider_rest: rest,
            ..Config::default()
        };
        let opening = Opening {
            config,
            provider: Some(Arc::clone(&provider) as Arc<dyn PaymentProvider>),
            ..Opening::of(&house)
        };
        let shop = opening.open(&house).await;
        Self { house, shop, provider, entry, order }
    }

    async fn pay(&self) -> Answer {
        let path = format!("/v1/orders/{}/payment", self.order);
        self.shop.post(&path, &self.house.token(&self.entry)).await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_provider_is_left_alone_and_buyers_are_told_when_to_come_again() {
    let scene = Scene::open(Duration::from_secs(3_600)).await;
    for asked in [1, 2, 2, 2] {
        let answer = scene.pay().await;
        answer.assert_problem(503, "unavailable");
        assert_eq!(scene.provider.asked(), asked);
        let seconds: u64 = answer.header("retry-after").parse().unwrap();
        let detail = answer.json()["detail"].as_str().unwrap().to_owned();
        assert!(seconds >= 2 && detail.contains("the same payment"), "{seconds} {detail}");
        let open = asked == 2;
        assert_eq!(seconds > 3_000, open && detail.contains("left alone"), "{seconds} {detail}");
    }
    // The deadline finds nobody to ask; the order is not closed behind the back of its money.
    scene.house.clock.advance(Duration::from_secs(900));
    scene.house.order_in(scene.order, OrderState::Closing).await;
    assert_eq!(scene.provider.asked(), 2, "nobody calls while it rests");
    scene.shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_provider_that_answers_again_is_used_again() {
    let scene = Scene::open(Duration::from_millis(50)).await;
    for _ in 0..3 {
        scene.pay().await.assert_problem(503, "unavailable");
    }
    scene.provider.silent.store(false, Ordering::SeqCst);
    until("the payment is opened", async || matches!(scene.pay().await.status, 200 | 201)).await;
    let again = scene.pay().await;
    assert_eq!(again.status, 200, "{again:?}");
    scene.shop.close().await;
}
