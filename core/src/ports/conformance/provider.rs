//! Rules of a payment provider, as our side of its API keeps them: every call may be repeated, a closed payment can no
//! longer succeed, and one that succeeded says so.
//!
//! The suite's factory makes a [`Cashier`]: a provider, and a buyer who pays there.

#![expect(clippy::unwrap_used, reason = "test code that lives behind a feature")]

use std::sync::Arc;

use async_trait::async_trait;

use super::{samples::*, together, until};
use crate::{
    ids::{PaymentId, RefundId},
    money::{AmountFen, Currency},
    ports::{
        PaymentProvider, PaymentRequest, ProviderError, ProviderPayment, ProviderStatus,
        RefundStatus,
    },
};

#[macro_export]
macro_rules! provider_conformance {
    ($open:path) => {
        $crate::conformance_rules!(
            $open,
            provider:
            the_name_fits_into_a_path,
            a_payment_is_created_once,
            a_payment_is_pending_until_the_buyer_acts,
            a_paid_payment_has_succeeded,
            a_failed_payment_has_failed,
            a_closed_payment_can_no_longer_succeed,
            closing_a_paid_payment_says_so,
            paying_and_closing_at_once_leave_one_winner_at_the_provider,
            an_unknown_payment_has_not_succeeded,
            money_goes_back_once_for_each_refund,
            what_was_not_paid_cannot_be_refunded,
        );
    };
}

/// A provider with a buyer before it.
#[async_trait]
pub trait Cashier: Send + Sync + 'static {
    fn provider(&self) -> Arc<dyn PaymentProvider>;

    /// The buyer opens `pay_url` and pays, or has the payment fail. Whether the provider took it: `false` when the
    /// payment is done or closed.
    async fn act(&self, pay_url: &str, succeed: bool) -> bool;
}

fn request() -> PaymentRequest {
    PaymentRequest {
        payment: new_payment_id(),
        order: new_order_id(),
        amount: AmountFen(PRICE),
        currency: Currency::CNY,
    }
}

async fn create(provider: &dyn PaymentProvider) -> (PaymentId, ProviderPayment) {
    let request = request();
    (request.payment, provider.create(&request).await.unwrap())
}

/// A provider may take a moment between the buyer's page and its own API.
async fn until_status(provider: &dyn PaymentProvider, payment: PaymentId, due: ProviderStatus) {
    let look = async || (provider.query(payment).await.unwrap() == due).then_some(());
    until(&format!("{due:?}"), look).await;
}

pub async fn the_name_fits_into_a_path(cashier: impl Cashier) {
    let name = cashier.provider().name();
    assert!(crate::ids::SaleId::new(name).is_ok(), "lower-case letters, digits and -: {name:?}");
}

pub async fn a_payment_is_created_once(cashier: impl Cashier) {
    let (provider, one) = (cashier.provider(), request());
    let first = provider.create(&one).await.unwrap();
    assert!(!first.pay_url.is_empty());
    assert_eq!(provider.create(&one).await.unwrap(), first);
    let (_, other) = create(&*provider).await;
    assert_ne!(other.pay_url, first.pay_url);
    assert!(cashier.act(&first.pay_url, true).await);
    until_status(&*provider, one.payment, ProviderStatus::Succeeded).await;
    assert_eq!(provider.create(&one).await.unwrap(), first, "a repeat opens nothing anew");
    assert_eq!(provider.query(one.payment).await.unwrap(), ProviderStatus::Succeeded);
}

pub async fn a_payment_is_pending_until_the_buyer_acts(cashier: impl Cashier) {
    let provider = cashier.provider();
    let (payment, _) = create(&*provider).await;
    assert_eq!(provider.query(payment).await.unwrap(), ProviderStatus::Pending);
}

pub async fn a_paid_payment_has_succeeded(cashier: impl Cashier) {
    let provider = cashier.provider();
    let (payment, page) = create(&*provider).await;
    let (other, _) = create(&*provider).await;
    assert!(cashier.act(&page.pay_url, true).await);
    until_status(&*provider, payment, ProviderStatus::Succeeded).await;
    assert!(!cashier.act(&page.pay_url, false).await, "it is done");
    assert_eq!(provider.query(payment).await.unwrap(), ProviderStatus::Succeeded);
    assert_eq!(provider.query(other).await.unwrap(), ProviderStatus::Pending);
}

pub async fn a_failed_payment_has_failed(cashier: impl Cashier) {
    let provider = cashier.provider();
    let (payment, page) = create(&*provider).await;
    assert!(cashier.act(&page.pay_url, false).await);
    until_status(&*provider, payment, ProviderStatus::Failed).await;
}

pub async fn a_closed_payment_can_no_longer_succeed(cashier: impl Cashier) {
    let provider = cashier.provider();
    let (payment, page) = create(&*provider).await;
    for _ in 0..2 {
        assert_eq!(provider.close(payment).await.unwrap(), ProviderStatus::Closed);
    }
    assert!(!cashier.act(&page.pay_url, true).await, "nobody pays there any more");
    assert_eq!(provider.query(payment).await.unwrap(), ProviderStatus::Closed);
}

pub async fn closing_a_paid_payment_says_so(cashier: impl Cashier) {
    let provider = cashier.provider();
    let (payment, page) = create(&*provider).await;
    assert!(cashier.act(&page.pay_url, true).await);
    until_status(&*provider, payment, ProviderStatus::Succeeded).await;
    for _ in 0..2 {
        assert_eq!(provider.close(payment).await.unwrap(), ProviderStatus::Succeeded);
    }
    assert_eq!(provider.query(payment).await.unwrap(), ProviderStatus::Succeeded);
}

pub async fn paying_and_closing_at_once_leave_one_winner_at_the_provider(cashier: impl Cashier) {
    let cashier = Arc::new(cashier);
    for _ in 0..8 {
        let provider = cashier.provider();
        let (payment, page) = create(&*provider).await;
        let race = together(2, |n| {
            let (cashier, provider) = (Arc::clone(&cashier), cashier.provider());
            let page = page.pay_url.clone();
            async move {
                match n {
                    0 => cashier.act(&page, true).await,
                    _ => provider.close(payment).await.unwrap() == ProviderStatus::Succeeded,
                }
            }
        });
        let race = race.await;
        assert_eq!(race[0], race[1], "the buyer and we are told the same");
        let due = if race[0] { ProviderStatus::Succeeded } else { ProviderStatus::Closed };
        assert_eq!(provider.query(payment).await.unwrap(), due);
    }
}

pub async fn an_unknown_payment_has_not_succeeded(cashier: impl Cashier) {
    let provider = cashier.provider();
    for answer in [provider.query(new_payment_id()).await, provider.close(new_payment_id()).await] {
        let paid = matches!(answer, Ok(ProviderStatus::Succeeded | ProviderStatus::Refunded));
        assert!(!paid, "{answer:?}");
    }
}

async fn give_back(
    provider: &dyn PaymentProvider,
    payment: PaymentId,
    refund: RefundId,
    amount: i64,
) -> Result<RefundStatus, ProviderError> {
    provider.refund(payment, refund, AmountFen(amount)).await
}

/// A provider may take its time: until the money is there, the same refund is asked for again.
async fn until_given_back(
    provider: &dyn PaymentProvider,
    payment: PaymentId,
    refund: RefundId,
    amount: i64,
) {
    let ask = async || match give_back(provider, payment, refund, amount).await.unwrap() {
        RefundStatus::Done => Some(()),
        RefundStatus::Pending => None,
    };
    until("the money goes back", ask).await;
}

pub async fn money_goes_back_once_for_each_refund(cashier: impl Cashier) {
    let provider = cashier.provider();
    let (payment, page) = create(&*provider).await;
    assert!(cashier.act(&page.pay_url, true).await);
    until_status(&*provider, payment, ProviderStatus::Succeeded).await;
    let part = new_refund_id();
    for _ in 0..3 {
        until_given_back(&*provider, payment, part, 1).await;
    }
    assert_eq!(provider.query(payment).await.unwrap(), ProviderStatus::Succeeded, "most is kept");
    let too_much = give_back(&*provider, payment, new_refund_id(), PRICE).await;
    assert!(matches!(too_much, Err(ProviderError::Refused(_))), "{too_much:?}");
    // Three repeats of one refund left all but one fen to give.
    let rest = new_refund_id();
    for _ in 0..2 {
        until_given_back(&*provider, payment, rest, PRICE - 1).await;
    }
    until_status(&*provider, payment, ProviderStatus::Refunded).await;
    assert_eq!(provider.close(payment).await.unwrap(), ProviderStatus::Refunded);
    assert!(!cashier.act(&page.pay_url, true).await, "it is done");
}

pub async fn what_was_not_paid_cannot_be_refunded(cashier: impl Cashier) {
    let provider = cashier.provider();
    let (open, _) = create(&*provider).await;
    let (failed, page) = create(&*provider).await;
    assert!(cashier.act(&page.pay_url, false).await);
    until_status(&*provider, failed, ProviderStatus::Failed).await;
    for payment in [open, failed, new_payment_id()] {
        let answer = give_back(&*provider, payment, new_refund_id(), 1).await;
        assert!(matches!(answer, Err(ProviderError::Refused(_))), "{answer:?}");
    }
    assert_eq!(provider.query(open).await.unwrap(), ProviderStatus::Pending);
}
