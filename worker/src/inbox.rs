//! Callbacks that the ledger could not store when they came: taken from the inbox once it can, and applied as they would have
//! been then.
//!
//! A ledger that is away or says nothing costs no callback a try: the intake is dropped and taken up again after a pause. One
//! that the ledger refuses although it takes others is retried with growing delays; in the end the provider is asked itself,
//! and the callback is set aside for an operator. One of a wrong amount is set aside at once: it is money that somebody must
//! look at, and neither another try nor the provider's word on its payment would find it right.

use std::{sync::Arc, time::Duration};

use futures_util::future::join_all;
use sluice_core::ports::{
    CallbackDelivery, CallbackInbox, PaymentState, PaymentUpdate, PortError, PortResult,
    ProviderStatus, WorkOutlet,
};
use tokio_util::sync::CancellationToken;

use crate::{
    away::Away,
    backoff::Backoff,
    metrics,
    shared::Shared,
    word::{self, Comes, Word},
};

/// Most callbacks in hand, all of which are applied at the same time; the rest stays in the inbox.
const IN_HAND_MAX: usize = 16;
const RETRY_FIRST: Duration = Duration::from_secs(1);

/// Why a callback is not applied, although the ledger is there.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
enum Fault {
    #[error("the ledger has no such payment of that order")]
    Unknown,
    #[error("the ledger stores other things but not this callback")]
    LedgerRejects,
    #[error("it names another amount or currency than the payment has")]
    WrongAmount,
}

/// Consumes until `shutdown`.
pub(crate) async fn run(
    shared: Arc<Shared>,
    inbox: Arc<dyn CallbackInbox>,
    shutdown: CancellationToken,
) {
    let mut away = Away::default();
    while let Err(error) = consume(&shared, &*inbox, &shutdown, &mut away).await {
        if !away.pause("kept callbacks", &error, &shared.ports.random, &shutdown).await {
            return;
        }
    }
}

/// One intake, until `shutdown` (`Ok`) or until a store is away. Callbacks in hand are finished.
async fn consume(
    shared: &Shared,
    inbox: &dyn CallbackInbox,
    shutdown: &CancellationToken,
    away: &mut Away,
) -> PortResult<()> {
    let intake = tokio::select! {
        biased;
        () = shutdown.cancelled() => return Ok(()),
        intake = shared.once(inbox.consume(IN_HAND_MAX)) => intake?,
    };
    let mut deliveries = intake.deliveries;
    loop {
        let some = tokio::select! {
            biased;
            () = shutdown.cancelled() => return Ok(()),
            some = deliveries.next(IN_HAND_MAX) => some?,
        };
        let settled = some.into_iter().map(|kept| settle(shared, &*intake.outlet, kept));
        join_all(settled).await.into_iter().collect::<PortResult<()>>()?;
        away.is_over();
    }
}

/// Applies one and settles its delivery. An error means that a store is away: it goes back with the intake.
async fn settle(
    shared: &Shared,
    outlet: &dyn WorkOutlet,
    kept: CallbackDelivery,
) -> PortResult<()> {
    let fault = match word::apply(shared, kept.update.clone(), Comes::Again).await {
        Ok(Word::Unknown) => Fault::Unknown,
        Ok(Word::WrongAmount) => {
            return bury(shared, outlet, &kept, &Fault::WrongAmount.to_string()).await;
        }
        Ok(word @ (Word::Applied | Word::Ignored | Word::Surplus)) => {
            metrics::callback(word.as_str());
            let tags = [kept.tag];
            return shared.ask(|| outlet.ack(&tags)).await;
        }
        Err(silence) if silence.is_silence() => return Err(silence),
        Err(PortError::Unavailable(cause)) if shared.ledger_writes().await => {
            tracing::warn!(order = %kept.update.order, payment = %kept.update.payment, error = &*cause,
                "the ledger rejects a kept callback");
            Fault::LedgerRejects
        }
        Err(error) => return Err(error),
    };
    mend(shared, outlet, kept, fault).await
}

/// Puts it back with a try counted, or asks the provider and sets it aside.
async fn mend(
    shared: &Shared,
    outlet: &dyn WorkOutlet,
    kept: CallbackDelivery,
    fault: Fault,
) -> PortResult<()> {
    let CallbackDelivery { tag, ref update, tries } = kept;
    let config = &shared.config;
    if tries.saturating_add(1) < config.callback_tries_max {
        let backoff = Backoff { first: RETRY_FIRST, most: config.retry_delay_max };
        let delay = backoff.after(tries, &shared.ports.random);
        tracing::warn!(order = %update.order, payment = %update.payment, tries = tries + 1, %fault,
            "a kept callback is retried");
        return shared.ask(|| outlet.retry(tag, delay)).await;
    }
    let asked = ask_provider(shared, update).await?;
    bury(shared, outlet, &kept, &format!("{fault}; the provider was asked: {asked}")).await
}

/// Sets it aside for an operator.
async fn bury(
    shared: &Shared,
    outlet: &dyn WorkOutlet,
    kept: &CallbackDelivery,
    reason: &str,
) -> PortResult<()> {
    let CallbackDelivery { tag, update, tries } = kept;
    tracing::error!(order = %update.order, payment = %update.payment, tries = tries + 1, reason,
        "a kept callback is buried");
    shared.ask(|| outlet.bury(*tag, reason)).await?;
    metrics::callback("buried");
    Ok(())
}

/// Asks the provider where the payment stands, and applies what it says. Answers what came of it, for whoever reads the
/// buried callback.
async fn ask_provider(shared: &Shared, update: &PaymentUpdate) -> PortResult<String> {
    let status = match shared.provider.query(update.payment).await {
        Ok(status) => status,
        Err(error) => {
            tracing::warn!(order = %update.order, payment = %update.payment, error = &error as &dyn std::error::Error,
                "the payment provider cannot be asked about a payment");
            return Ok("no answer".into());
        }
    };
    let state = match status {
        ProviderStatus::Pending => return Ok("the payment is open".into()),
        ProviderStatus::Succeeded => PaymentState::Succeeded,
        ProviderStatus::Failed => PaymentState::Failed,
        ProviderStatus::Closed => PaymentState::Closed,
        ProviderStatus::Refunded => PaymentState::Refunded,
    };
    let said = state.as_str();
    let known = shared.ask(|| shared.ports.ledger.payment(update.payment)).await?;
    let Some(payment) = known.filter(|payment| payment.order == update.order) else {
        return Ok(format!("{said}, of a payment the ledger does not have"));
    };
    match word::apply(shared, payment.found(state), Comes::Again).await {
        Ok(word) => Ok(format!("{said}, which was {}", word.as_str())),
        Err(silence) if silence.is_silence() => Err(silence),
        Err(PortError::Unavailable(_)) if shared.ledger_writes().await => {
            Ok(format!("{said}, which the ledger rejects too"))
        }
        Err(error) => Err(error),
    }
}
