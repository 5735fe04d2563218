//! One sale's loop, from asking for the lease to giving it back. Its state is [`Phase`]; it never fails, it tries again.

use std::{sync::Arc, time::Duration};

use sluice_core::{
    ids::{Epoch, Seq, Version},
    line::Cursor,
    ports::{Drain, LeaseReply, PortError, PortResult},
};
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::{
    metrics::LineMetrics,
    ports::{Feed, Shared, backoff, within},
    speech::{End, Speech},
    takeover,
};

/// Where a sale's loop stands.
enum Phase {
    /// Somebody else may hold the lease: ask for it.
    Standby,
    /// The lease is ours: make the line and the gate speak under its epoch.
    Warming(Held),
    /// The line is warm: wait until the queue is ours. The lease is renewed meanwhile.
    Queueing(Held),
    /// Lease and queue are ours: the line moves.
    Speaking(Held, Drain),
    /// The line or the gate went cold: ask for a higher epoch and warm them again.
    Chilled,
    /// A port failed: wait a little, then begin anew.
    Failed(PortError),
    /// Told to stop.
    Over,
}

/// A lease, as long as it is surely ours.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Held {
    pub(crate) epoch: Epoch,
    /// Reckoned from before it was asked for, on the monotonic clock.
    pub(crate) until: Instant,
    pub(crate) renew_at: Instant,
}

impl Held {
    pub(crate) fn asked_at(asked: Instant, epoch: Epoch, ttl: Duration) -> Self {
        Self { epoch, until: asked + ttl, renew_at: asked + ttl / 3 }
    }
}

/// What a sale's loop keeps from one speech to the next.
#[derive(Clone, Debug, Default)]
pub(crate) struct Memory {
    pub(crate) turns: u64,
    pub(crate) units: u64,
    /// The last report's epoch and version.
    pub(crate) reported: (Epoch, Version),
    /// How far the line has come.
    pub(crate) cursor: Option<Cursor>,
    /// The highest number that was seen to be given out.
    pub(crate) given_out: Seq,
}

/// See the module.
pub(crate) struct DrainLoop {
    pub(crate) shared: Arc<Shared>,
    pub(crate) feed: Feed,
    pub(crate) stop: CancellationToken,
    memory: Memory,
    metrics: LineMetrics,
    failures: u32,
}

impl DrainLoop {
    pub(crate) fn new(shared: Arc<Shared>, feed: Feed, stop: CancellationToken) -> Self {
        let metrics = LineMetrics::of(&feed.id);
        Self { shared, feed, stop, memory: Memory::default(), metrics, failures: 0 }
    }

    /// Runs until told to stop; then the lease is given back, so that the next speaker need not wait for its end.
    pub(crate) async fn run(mut self) {
        let mut phase = Phase::Standby;
        loop {
            let stop = self.stop.clone();
            phase = match phase {
                Phase::Standby => or_stop(&stop, self.ask()).await,
                Phase::Warming(held) => or_stop(&stop, self.warm(held)).await,
                Phase::Queueing(held) => or_stop(&stop, self.queue(held)).await,
                Phase::Speaking(held, drain) => self.speak(held, drain).await,
                Phase::Chilled => or_stop(&stop, self.renew_epoch()).await,
                Phase::Failed(error) => or_stop(&stop, self.recover(error)).await,
                Phase::Over => break,
            };
        }
        let Shared { config, ports, .. } = &*self.shared;
        let given_back = ports.ledger.release_lease(&self.feed.id, &config.holder);
        if let Err(error) = within(config.finish_timeout, given_back).await {
            tracing::info!(
                sale = %self.feed.id,
                error = &error as &dyn std::error::Error,
                "the lease was not given back; it runs out by itself"
            );
        }
    }

    async fn ask(&mut self) -> Phase {
        let Shared { config, ports, .. } = &*self.shared;
        match self.lease().await {
            Ok(Some(held)) => Phase::Warming(held),
            Ok(None) => {
                // Not all at the same moment, and soon enough that a lease given back is not left lying.
                sleep(config.lease_ttl.mul_f64((0.5 + ports.random.unit()) / 4.0)).await;
                Phase::Standby
            }
            Err(error) => Phase::Failed(error),
        }
    }

    /// Takes or renews the lease; `None` if somebody else holds it.
    async fn lease(&self) -> PortResult<Option<Held>> {
        let Shared { config, ports, .. } = &*self.shared;
        let asked = Instant::now();
        let lease = ports.ledger.lease(&self.feed.id, &config.holder, config.lease_ttl);
        Ok(match within(config.port_timeout, lease).await? {
            LeaseReply::Held(lease) => Some(Held::asked_at(asked, lease.epoch, config.lease_ttl)),
            LeaseReply::Taken { .. } => None,
        })
    }

    async fn warm(&mut self, held: Held) -> Phase {
        let Memory { cursor, given_out, .. } = &self.memory;
        let warmed =
            takeover::warm(&self.shared, &self.feed, held.epoch, cursor.as_ref(), *given_out).await;
        match warmed {
            Ok(()) => Phase::Queueing(held),
            Err(PortError::Fenced) => {
                // A higher epoch spoke. If the lease is ours all the same, ours must become higher still.
                self.pause().await;
                Phase::Chilled
            }
            Err(error @ (PortError::Unavailable(_) | PortError::Full | PortError::Cold)) => {
                Phase::Failed(error)
            }
        }
    }

    async fn queue(&mut self, mut held: Held) -> Phase {
        let ports = &self.shared.ports;
        let drain = ports.waiting.drain(&self.feed.id);
        tokio::pin!(drain);
        loop {
            tokio::select! {
                biased;
                drained = &mut drain => return match drained {
                    Ok(drain) => Phase::Speaking(held, drain),
                    Err(error) => Phase::Failed(error),
                },
                () = sleep_until(held.renew_at) => {}
            }
            match self.lease().await {
                Ok(Some(renewed)) if renewed.epoch == held.epoch => held = renewed,
                Ok(Some(anew)) => return Phase::Warming(anew),
                Ok(None) => return Phase::Standby,
                Err(error) => return Phase::Failed(error),
            }
        }
    }

    async fn speak(&mut self, held: Held, drain: Drain) -> Phase {
        let began = Instant::now();
        let (shared, feed) = (Arc::clone(&self.shared), self.feed.clone());
        let opened =
            Speech::open(shared, feed, held, drain, &mut self.memory, &mut self.metrics).await;
        let end = match opened {
            Ok(speech) => {
                tracing::info!(sale = %self.feed.id, epoch = held.epoch.0, "speaking for the line");
                speech.run(&self.stop).await
            }
            Err(error) => End::from(error),
        };
        self.metrics.clear();
        let short = began.elapsed() < self.shared.config.lease_ttl;
        if !short {
            self.failures = 0;
        }
        match end {
            End::Stopped => Phase::Over,
            // What ends a speech again and again must not spin.
            End::Fenced if short => Phase::Failed(PortError::Fenced),
            End::Cold if short => Phase::Failed(PortError::Cold),
            End::Fenced => {
                tracing::warn!(sale = %self.feed.id, epoch = held.epoch.0, "somebody else speaks now");
                Phase::Standby
            }
            End::Cold => Phase::Chilled,
            End::Failed(error) => Phase::Failed(error),
            End::MayMoveAgain => Phase::Standby,
        }
    }

    async fn renew_epoch(&mut self) -> Phase {
        let Shared { config, ports, .. } = &*self.shared;
        let asked = Instant::now();
        let renewed = ports.ledger.renew_epoch(&self.feed.id, &config.holder);
        match within(config.port_timeout, renewed).await {
            Ok(Some(epoch)) => {
                tracing::warn!(sale = %self.feed.id, epoch = epoch.0, "the line went cold; warming it");
                // The lease itself was not prolonged, and is renewed next.
                let third = config.lease_ttl / 3;
                Phase::Warming(Held { epoch, until: asked + third, renew_at: asked })
            }
            Ok(None) => Phase::Standby,
            Err(error) => Phase::Failed(error),
        }
    }

    async fn recover(&mut self, error: PortError) -> Phase {
        tracing::warn!(
            sale = %self.feed.id,
            error = &error as &dyn std::error::Error,
            failures = self.failures,
            "the line stands; taking it up again soon"
        );
        self.pause().await;
        Phase::Standby
    }

    /// Waits longer each time, until a speech has lasted.
    async fn pause(&mut self) {
        let Shared { config, ports, .. } = &*self.shared;
        let pause = backoff(config, &ports.random, self.failures);
        self.failures = self.failures.saturating_add(1);
        sleep(pause).await;
    }
}

/// A phase that may be left at any moment.
async fn or_stop(stop: &CancellationToken, next: impl Future<Output = Phase>) -> Phase {
    tokio::select! {
        biased;
        () = stop.cancelled() => Phase::Over,
        next = next => next,
    }
}
