//! The outbox of refunds: each is asked for at the provider, under its own id, until that confirms it. What the provider
//! refuses is asked for again as well, ever more slowly, with an alarm: money is never given up.

use std::{sync::Arc, time::Duration};

use futures_util::future::join_all;
use sluice_core::{
    order::OrderState,
    ports::{PortResult, ProviderError, RefundStatus},
    refund::{Refund, RefundCause, RefundState},
};
use sluice_http::Throttle;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::{aftermath::Goods, backoff::Backoff, shared::Shared};

const RETRY_FIRST: Duration = Duration::from_secs(1);
/// Tries after which a refund that is not through is worth an alarm, and every so many after that.
const ALARM_EVERY: u32 = 8;

/// Works off what is due until `shutdown`; what is in hand is finished.
pub(crate) async fn run(shared: Arc<Shared>, shutdown: CancellationToken) {
    let mut tick = interval(shared.config.refund_interval);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            () = shutdown.cancelled() => return,
            _ = tick.tick() => {}
        }
        if let Err(error) = work_off(&shared, &shutdown).await {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "the ledger is away: refunds are looked for later"
            );
        }
    }
}

async fn work_off(shared: &Shared, shutdown: &CancellationToken) -> PortResult<()> {
    let (lease, most) = (shared.config.refund_lease, shared.config.refunds_max);
    while !shutdown.is_cancelled() {
        let due = shared.once(shared.ports.ledger.claim_refunds(lease, most)).await?;
        let last = due.len() < most as usize;
        let sent = join_all(due.iter().map(|refund| send(shared, refund))).await;
        sent.into_iter().collect::<PortResult<()>>()?;
        if last {
            break;
        }
    }
    Ok(())
}

/// Asks for one. An error means that the ledger is away: it is due again after the lease.
async fn send(shared: &Shared, refund: &Refund) -> PortResult<()> {
    let Refund { id, order, payment, amount, tries, .. } = *refund;
    // Goods that cost nothing: there is nothing to ask for.
    let status = if amount.0 == 0 {
        Ok(RefundStatus::Done)
    } else {
        shared.provider.refund(payment, id, amount).await
    };
    match status {
        Ok(RefundStatus::Done) => return finish(shared, refund).await,
        Ok(RefundStatus::Pending) if !tries.is_multiple_of(ALARM_EVERY) => {}
        Ok(RefundStatus::Pending) => {
            tracing::error!(%order, %payment, refund = %id, tries, "the provider has not sent a refund yet; it is asked on");
        }
        Err(error)
            if tries.is_multiple_of(ALARM_EVERY) || matches!(error, ProviderError::Refused(_)) =>
        {
            tracing::error!(%order, %payment, refund = %id, tries, error = &error as &dyn std::error::Error,
                "a refund is not sent; it is asked for on");
        }
        Err(error) => {
            static AWAY: Throttle = Throttle::new(1);
            if let Some(held_back) = AWAY.pass() {
                tracing::warn!(%order, %payment, refund = %id, tries, held_back, error = &error as &dyn std::error::Error,
                    "a refund could not be sent; it is asked for again");
            }
        }
    }
    let backoff = Backoff { first: RETRY_FIRST, most: shared.config.retry_delay_max };
    let delay = backoff.after(tries.saturating_sub(1), &shared.ports.random);
    shared.ask(|| shared.ports.ledger.postpone_refund(id, delay)).await
}

async fn finish(shared: &Shared, refund: &Refund) -> PortResult<()> {
    let done = shared.ask(|| shared.ports.ledger.finish_refund(refund.id)).await?;
    let Some((known, order)) = done else {
        tracing::error!(order = %refund.order, refund = %refund.id, "a refund was sent that the ledger does not have");
        return Ok(());
    };
    debug_assert_eq!(known.state, RefundState::Done);
    // Whoever began it may have died before the gate heard of its goods.
    let came_back = known.items.is_some() || known.cause == RefundCause::Changed;
    let goods = if came_back { Goods::CameBack } else { Goods::Stay };
    if order.state == OrderState::Refunded {
        shared.entered_with(&order, None, goods);
    } else {
        shared.follow_with(&order, None, goods);
    }
    Ok(())
}
