//! Port: a payment company. Outside our reach, slow, sometimes away; it calls back when it pleases.

use std::fmt::Debug;

use async_trait::async_trait;

use super::Cause;
use crate::{
    ids::{OrderId, PaymentId, RefundId},
    money::{AmountFen, Currency},
};

/// What is asked of the provider.
#[derive(Clone, Debug)]
pub struct PaymentRequest {
    /// Our id of the attempt: the provider's idempotency key.
    pub payment: PaymentId,
    pub order: OrderId,
    pub amount: AmountFen,
    pub currency: Currency,
}

/// A payment the provider has opened.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ProviderPayment {
    /// Where the buyer pays.
    pub pay_url: String,
}

/// What the provider says of a payment.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ProviderStatus {
    /// Open: the buyer may still pay.
    Pending,
    Succeeded,
    Failed,
    /// Closed by us, unpaid: it can no longer succeed.
    Closed,
    Refunded,
}

/// What the provider says of money it is to send back.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum RefundStatus {
    /// It has the order to send it and will see it through: asked again with the same id, it says when it is done.
    Pending,
    /// The money went back.
    Done,
}

#[derive(Debug, thiserror::Error)]
pub enum ProviderError {
    /// No answer in time: unknown. Ask again with the same id.
    #[error("the payment provider did not answer")]
    Unreachable(#[source] Cause),
    /// The provider said no, for good.
    #[error("the payment provider refused: {0}")]
    Refused(String),
}

/// See the module. Every call is keyed by our ids and may be repeated.
#[async_trait]
pub trait PaymentProvider: Debug + Send + Sync {
    /// The `{provider}` in the callback's path.
    fn name(&self) -> &'static str;

    /// Opens a payment, or finds the one with this id.
    async fn create(&self, request: &PaymentRequest) -> Result<ProviderPayment, ProviderError>;

    /// Closes a payment so that it can no longer succeed, and says where it stands: `Closed`, or `Succeeded` if the
    /// buyer was faster.
    async fn close(&self, payment: PaymentId) -> Result<ProviderStatus, ProviderError>;

    /// Where a payment stands.
    async fn query(&self, payment: PaymentId) -> Result<ProviderStatus, ProviderError>;

    /// Sends `amount` of a payment that succeeded back to who paid it. `refund` is the idempotency key: a repeat sends
    /// nothing more and says how far it is. A payment may be refunded in parts, each under an id of its own, up to what
    /// was paid. `Refused` when it never succeeded or so much is not left of it.
    async fn refund(
        &self,
        payment: PaymentId,
        refund: RefundId,
        amount: AmountFen,
    ) -> Result<RefundStatus, ProviderError>;
}
