//! Keeps a fault that strikes every request from becoming a flood in the log. Not a limiter of requests.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

const WINDOW: Duration = Duration::from_secs(1);

/// Lets a few lines pass each second and counts the rest.
#[derive(Debug)]
pub struct Throttle {
    lines_per_second: u32,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    window: Option<Instant>,
    passed: u32,
    held_back: u64,
}

impl Throttle {
    /// At most `lines_per_second`.
    #[must_use]
    pub const fn new(lines_per_second: u32) -> Self {
        Self {
            lines_per_second,
            state: Mutex::new(State { window: None, passed: 0, held_back: 0 }),
        }
    }

    /// `Some` when a line may be written now; it says how many were held back since the last one that passed.
    pub fn pass(&self) -> Option<u64> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        if state.window.is_none_or(|began| now.saturating_duration_since(began) >= WINDOW) {
            state.window = Some(now);
            state.passed = 0;
        }
        if state.passed < self.lines_per_second {
            state.passed += 1;
            Some(std::mem::take(&mut state.held_back))
        } else {
            state.held_back += 1;
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_is_held_back_is_counted_and_told_later() {
        let throttle = Throttle::new(2);
        assert_eq!(
            [throttle.pass(), throttle.pass(), throttle.pass(), throttle.pass()],
            [Some(0), Some(0), None, None]
        );
        tokio::time::advance(WINDOW).await;
        assert_eq!([throttle.pass(), throttle.pass()], [Some(2), Some(0)]);
    }
}
