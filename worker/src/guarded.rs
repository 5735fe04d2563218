//! The payment provider as the worker calls it: each call under a deadline and behind a [breaker](crate::breaker), so that a
//! provider that keeps silent costs nobody more than a moment, and is not shouted at. What each call promises is told at the port.

use std::{sync::Arc, time::Duration};

use sluice_core::{
    ids::{PaymentId, RefundId},
    money::AmountFen,
    ports::{
        PaymentProvider, PaymentRequest, ProviderError, ProviderPayment, ProviderStatus,
        RefundStatus,
    },
};
use tokio::time::{Instant, timeout};

use crate::{
    Config,
    breaker::{Breaker, BreakerSettings},
    metrics,
};

/// See the module.
#[derive(Debug)]
pub(crate) struct Guarded {
    provider: Arc<dyn PaymentProvider>,
    breaker: Breaker,
    limit: Duration,
}

impl Guarded {
    pub(crate) fn new(provider: Arc<dyn PaymentProvider>, config: &Config) -> Self {
        metrics::provider_up(provider.name(), true);
        let settings = BreakerSettings {
            name: "the payment provider",
            failures_max: config.provider_failures_max,
            rest: config.provider_rest,
        };
        Self { provider, breaker: Breaker::new(settings), limit: config.provider_timeout }
    }

    /// How long the provider is still left alone because it did not answer, if it is.
    pub(crate) fn resting(&self) -> Option<Duration> {
        self.breaker.resting(Instant::now())
    }

    pub(crate) fn name(&self) -> &'static str {
        self.provider.name()
    }

    pub(crate) async fn create(
        &self,
        request: &PaymentRequest,
    ) -> Result<ProviderPayment, ProviderError> {
        self.ask("create", self.provider.create(request)).await
    }

    pub(crate) async fn close(&self, payment: PaymentId) -> Result<ProviderStatus, ProviderError> {
        self.ask("close", self.provider.close(payment)).await
    }

    pub(crate) async fn query(&self, payment: PaymentId) -> Result<ProviderStatus, ProviderError> {
        self.ask("query", self.provider.query(payment)).await
    }

    pub(crate) async fn refund(
        &self,
        payment: PaymentId,
        refund: RefundId,
        amount: AmountFen,
    ) -> Result<RefundStatus, ProviderError> {
        self.ask("refund", self.provider.refund(payment, refund, amount)).await
    }

    async fn ask<T>(
        &self,
        call: &'static str,
        answer: impl Future<Output = Result<T, ProviderError>>,
    ) -> Result<T, ProviderError> {
        let name = self.provider.name();
        let began = Instant::now();
        let pass = self.breaker.enter(began).map_err(|resting| {
            metrics::provider_call(name, call, "resting");
            ProviderError::Unreachable(resting.into())
        })?;
        let answer = timeout(self.limit, answer)
            .await
            .unwrap_or_else(|elapsed| Err(ProviderError::Unreachable(elapsed.into())));
        let result = match &answer {
            Ok(_) => "answered",
            Err(ProviderError::Refused(_)) => "refused",
            Err(ProviderError::Unreachable(_)) => "unreachable",
        };
        match &answer {
            Ok(_) | Err(ProviderError::Refused(_)) => pass.answered(),
            Err(ProviderError::Unreachable(_)) => pass.failed(Instant::now()),
        }
        metrics::provider_call(name, call, result);
        metrics::provider_took(name, call, began.elapsed());
        metrics::provider_up(name, self.resting().is_none());
        answer
    }
}
