//! Keeping the connection: it is watched while it lasts, and made anew when it is lost, silent, or leads to a server that is
//! the primary no more.

use std::{sync::Arc, time::Duration};

use sluice_core::random::Random;
use tokio::time::{sleep, timeout};

use super::{BACKEND, Link, Live, UNANSWERED_MAX};
use crate::{
    metrics::{self, Up},
    redis::{dial, endpoint::Endpoint, sentinel::Lookout, wire::Life},
};

/// Between two signs of life.
const WATCH_EVERY: Duration = Duration::from_secs(1);
/// The same while there is doubt.
const DOUBT_EVERY: Duration = Duration::from_millis(250);
/// So many signs of life in a row that did not come in time end a connection: about 3 s after it was cut.
const SILENCES_MAX: u32 = 3;
/// So often in a row must the sentinels name another server.
const ELSEWHERE_MAX: u32 = 2;
/// Waits between tries to connect: they double from the shortest to the longest, less a random part.
const RETRY_WAIT_MIN: Duration = Duration::from_millis(50);
const RETRY_WAIT_MAX: Duration = Duration::from_millis(800);

/// Why a connection is given up.
#[derive(Debug)]
enum End {
    Stopped,
    Broken,
    Silent,
    Demoted,
    Elsewhere,
}

impl Link {
    /// Runs until the link is stopped.
    pub(super) async fn keep(self: Arc<Self>, mut live: Arc<Live>) {
        let random = Random::system();
        loop {
            let end = self.watch(&live).await;
            metrics::set_up_of(BACKEND, Up::No);
            match &self.endpoint {
                Endpoint::Single(_) | Endpoint::Sentinel(_) => self.live.store(None),
                // It may yet lead to the nodes that are there, until there is a better one.
                Endpoint::Cluster(_) => {}
            }
            let reason = match end {
                End::Stopped => return self.live.store(None),
                End::Broken => "it broke",
                End::Silent => "it fell silent",
                End::Demoted => "the server is a primary no more",
                End::Elsewhere => "the sentinels name another primary",
            };
            tracing::warn!(address = %live.address, reason, "the connection to Redis is given up");
            let dialling = self.dial_again(&random);
            let Some(next) = self.stop.run_until_cancelled(dialling).await else {
                return self.live.store(None);
            };
            live = next;
            self.answered();
            self.live.store(Some(Arc::clone(&live)));
            if self.stop.is_cancelled() {
                self.live.store(None);
                return;
            }
            metrics::set_up_of(BACKEND, Up::Yes);
        }
    }

    /// Returns when the connection is to be given up.
    async fn watch(&self, live: &Live) -> End {
        let mut lookout = match &self.endpoint {
            Endpoint::Sentinel(of) => Some(Lookout::new(of.clone())),
            Endpoint::Single(_) | Endpoint::Cluster(_) => None,
        };
        let (mut silences, mut elsewhere) = (0, 0);
        loop {
            tokio::select! {
                () = self.stop.cancelled() => return End::Stopped,
                () = live.lost.cancelled() => return End::Broken,
                () = self.next_look(silences) => {}
            }
            match timeout(self.timings.call, live.wire.life()).await {
                Ok(Ok(Life::Serving)) => {
                    silences = 0;
                    self.answered();
                }
                Ok(Ok(Life::Troubled)) => silences = 0,
                Ok(Ok(Life::Demoted)) => return End::Demoted,
                Ok(Err(error)) if live.wire.is_lost(&error) => return End::Broken,
                Ok(Err(_)) | Err(_) => silences += 1,
            }
            if silences >= SILENCES_MAX {
                return End::Silent;
            }
            if let Some(lookout) = &mut lookout {
                match lookout.primary(self.timings).await {
                    Some(address) if address != live.address => elsewhere += 1,
                    Some(_) => elsewhere = 0,
                    None => {}
                }
                if elsewhere >= ELSEWHERE_MAX {
                    return End::Elsewhere;
                }
            }
        }
    }

    /// Waits until it is time for the next sign of life: sooner while the last did not come, or calls go unanswered.
    async fn next_look(&self, silences: u32) {
        if silences > 0 {
            sleep(DOUBT_EVERY).await;
            return;
        }
        let mut waited = Duration::ZERO;
        while waited < WATCH_EVERY {
            sleep(DOUBT_EVERY).await;
            waited += DOUBT_EVERY;
            if self.unanswered.load(std::sync::atomic::Ordering::Relaxed) >= UNANSWERED_MAX {
                return;
            }
        }
    }

    async fn dial_again(&self, random: &Random) -> Arc<Live> {
        let (mut wait, mut said) = (RETRY_WAIT_MIN, String::new());
        loop {
            match dial::dial(&self.endpoint, self.timings).await {
                Ok(dialled) => return Live::new(dialled),
                Err(error) => {
                    let saying = error.to_string();
                    if saying != said {
                        tracing::warn!(error = &error as &dyn std::error::Error, "Redis is away");
                        said = saying;
                    }
                }
            }
            sleep(wait.mul_f64(0.5 + random.unit() / 2.0)).await;
            wait = (wait * 2).min(RETRY_WAIT_MAX);
        }
    }
}
