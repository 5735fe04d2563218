//! What a port could not do, as the client sees it: always 503, the cause logged once, here.

use std::{error::Error, time::Duration};

use sluice_core::ports::PortError;

use super::Problem;
use crate::{instance, throttle::Throttle};

/// How long a store that did not answer, or had no room, is given.
const STORE_WAIT: Duration = Duration::from_secs(1);
/// Warming a sale takes one round trip of its speaker.
const COLD_WAIT: Duration = Duration::from_millis(500);

static THROTTLE: Throttle = Throttle::new(10);

impl From<PortError> for Problem {
    fn from(error: PortError) -> Self {
        let wait = match error {
            PortError::Cold => COLD_WAIT,
            PortError::Unavailable(_) | PortError::Full | PortError::Fenced => STORE_WAIT,
        };
        let mut problem = Self::unavailable(instance::spread(wait));
        if let Some(held_back) = THROTTLE.pass() {
            tracing::warn!(
                instance = problem.instance(),
                %error,
                cause = error.source().map(tracing::field::display),
                held_back,
                "a request was answered 503 because of a port"
            );
        }
        problem
    }
}

#[cfg(test)]
mod tests {
    use http::StatusCode;

    use super::*;
    use crate::Response;

    #[test]
    fn every_port_error_is_a_503_that_says_when_to_come_back_and_not_why() {
        let cause = "redis://secret@host: broken pipe";
        for (error, milliseconds) in [
            (PortError::unavailable(cause), 750..=1_250),
            (PortError::Full, 750..=1_250),
            (PortError::Fenced, 750..=1_250),
            (PortError::Cold, 375..=625),
        ] {
            let problem = Problem::from(error);
            assert_eq!(
                (problem.status(), problem.code()),
                (StatusCode::SERVICE_UNAVAILABLE, "unavailable")
            );
            assert!(milliseconds.contains(&problem.0.retry_after.unwrap().as_millis()));
            assert!(!format!("{problem:?}").contains("secret"));
            assert!(Response::from(problem).headers().contains_key("retry-after"));
        }
    }
}
