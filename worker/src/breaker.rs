//! A circuit breaker before an outside service: after a few failures in a row the service is left alone for a while, then
//! tried with one call; whoever asks meanwhile is told at once how long it rests.
//!
//! It counts answers, not opinions: a service that says no is there.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// What somebody is told who asks during the probe: nobody knows how long that takes.
const PROBING: Duration = Duration::from_secs(1);

/// The limits of a breaker.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct BreakerSettings {
    /// What is called, for the log.
    pub(crate) name: &'static str,
    /// How many calls in a row go unanswered before the service is left alone.
    pub(crate) failures_max: u32,
    /// How long it is left alone before it is tried again.
    pub(crate) rest: Duration,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Breaker {
    settings: BreakerSettings,
    state: Mutex<State>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum State {
    /// Calls pass. So many in a row were not answered.
    Closed { failures: u32 },
    /// No call passes before this.
    Open { until: Instant },
    /// One call is under way, and the others wait for what comes of it.
    Probing,
}

/// The service is left alone: nothing was asked.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("it did not answer several times in a row and is left alone for {left:?}")]
pub(crate) struct Resting {
    pub(crate) left: Duration,
}

/// Leave to make one call. Say what came of it; one that is dropped says nothing.
#[derive(Debug)]
pub(crate) struct Pass<'a> {
    breaker: &'a Breaker,
    kind: Kind,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Kind {
    Ordinary,
    Probe,
    /// What came of it has been said.
    Spent,
}

impl Breaker {
    pub(crate) fn new(settings: BreakerSettings) -> Self {
        Self { settings, state: Mutex::new(State::Closed { failures: 0 }) }
    }

    /// Asks for leave to make a call.
    pub(crate) fn enter(&self, now: Instant) -> Result<Pass<'_>, Resting> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let kind = match *state {
            State::Closed { .. } => Kind::Ordinary,
            State::Open { until } if now < until => return Err(Resting { left: until - now }),
            State::Open { .. } => {
                *state = State::Probing;
                Kind::Probe
            }
            State::Probing => return Err(Resting { left: PROBING }),
        };
        Ok(Pass { breaker: self, kind })
    }

    /// How long the service is still left alone, if it is.
    pub(crate) fn resting(&self, now: Instant) -> Option<Duration> {
        match *self.state.lock().unwrap_or_else(PoisonError::into_inner) {
            State::Closed { .. } => None,
            State::Open { until } => Some(until.saturating_duration_since(now)),
            State::Probing => Some(PROBING),
        }
    }

    fn answered(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if !matches!(*state, State::Closed { .. }) {
            tracing::info!(what = self.settings.name, "it answers again");
        }
        *state = State::Closed { failures: 0 };
    }

    fn failed(&self, kind: Kind, now: Instant) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let open = State::Open { until: now + self.settings.rest };
        *state = match *state {
            State::Closed { failures } if failures + 1 >= self.settings.failures_max => {
                tracing::error!(
                    what = self.settings.name,
                    failures = failures + 1,
                    "it does not answer: it is left alone for a while, then tried again"
                );
                open
            }
            State::Closed { failures } => State::Closed { failures: failures + 1 },
            State::Probing if kind == Kind::Probe => open,
            // A call that began before: that the service is away is known.
            other @ (State::Probing | State::Open { .. }) => other,
        };
    }

    /// Nobody waited for what came of the probe: the next call is one.
    fn abandoned(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if *state == State::Probing {
            *state = State::Open { until: Instant::now() };
        }
    }
}

impl Pass<'_> {
    /// The service answered, whatever it said.
    pub(crate) fn answered(mut self) {
        self.kind = Kind::Spent;
        self.breaker.answered();
    }

    pub(crate) fn failed(mut self, now: Instant) {
        let kind = std::mem::replace(&mut self.kind, Kind::Spent);
        self.breaker.failed(kind, now);
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        if self.kind == Kind::Probe {
            self.breaker.abandoned();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REST: Duration = Duration::from_secs(5);

    fn breaker() -> Breaker {
        Breaker::new(BreakerSettings { name: "test", failures_max: 3, rest: REST })
    }

    fn fail(breaker: &Breaker, times: usize) {
        for _ in 0..times {
            breaker.enter(Instant::now()).unwrap().failed(Instant::now());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn failures_in_a_row_open_it_and_others_do_not() {
        let breaker = breaker();
        fail(&breaker, 2);
        breaker.enter(Instant::now()).unwrap().answered();
        fail(&breaker, 2);
        assert_eq!(breaker.resting(Instant::now()), None);
        fail(&breaker, 1);
        let refused = breaker.enter(Instant::now()).map(drop);
        assert_eq!(refused, Err(Resting { left: REST }));
        tokio::time::advance(REST / 5).await;
        assert_eq!(breaker.resting(Instant::now()), Some(REST / 5 * 4));
    }

    #[tokio::test(start_paused = true)]
    async fn one_call_probes_and_decides() {
        let breaker = breaker();
        fail(&breaker, 3);
        tokio::time::advance(REST).await;
        let probe = breaker.enter(Instant::now()).unwrap();
        assert!(breaker.enter(Instant::now()).is_err(), "one at a time");
        probe.failed(Instant::now());
        assert_eq!(breaker.resting(Instant::now()), Some(REST), "once more");
        tokio::time::advance(REST).await;
        breaker.enter(Instant::now()).unwrap().answered();
        fail(&breaker, 2);
        assert!(breaker.enter(Instant::now()).is_ok(), "it counts from the beginning");
    }

    #[tokio::test(start_paused = true)]
    async fn a_probe_nobody_waits_for_keeps_nobody_out() {
        let breaker = breaker();
        fail(&breaker, 3);
        tokio::time::advance(REST).await;
        drop(breaker.enter(Instant::now()).unwrap());
        breaker.enter(Instant::now()).unwrap().answered();
        assert_eq!(breaker.resting(Instant::now()), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_from_before_tells_nothing_new_unless_it_is_answered() {
        let breaker = breaker();
        let (slow, slower) =
            (breaker.enter(Instant::now()).unwrap(), breaker.enter(Instant::now()).unwrap());
        fail(&breaker, 3);
        tokio::time::advance(REST).await;
        let probe = breaker.enter(Instant::now()).unwrap();
        slow.failed(Instant::now());
        assert!(breaker.enter(Instant::now()).is_err(), "the probe is still under way");
        slower.answered();
        assert_eq!(breaker.resting(Instant::now()), None);
        probe.answered();
    }
}
