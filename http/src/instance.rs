//! Request ids: what a problem shows the client and what the log line beside it carries.

use std::{fmt::Write, sync::LazyLock, time::Duration};

use sluice_core::random::Random;

static RANDOM: LazyLock<Random> = LazyLock::new(Random::system);

/// Twenty hexadecimal digits. Made only when something has to be told, so that the good path pays nothing for it.
pub(crate) fn fresh() -> String {
    RANDOM.bytes().iter().fold(String::with_capacity(20), |mut text, byte| {
        let _infallible = write!(text, "{byte:02x}");
        text
    })
}

/// A wait of `about` this long, from three quarters to five quarters of it, so that those told to wait do not come back
/// in one wave.
pub(crate) fn spread(about: Duration) -> Duration {
    about.mul_f64(0.75 + RANDOM.unit() / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_hexadecimal_and_differ() {
        let (one, two) = (fresh(), fresh());
        assert!(one.len() == 20 && one.bytes().all(|b| b.is_ascii_hexdigit()));
        assert_ne!(one, two);
    }

    #[test]
    fn a_wait_stays_within_a_quarter() {
        for _ in 0..1_000 {
            let wait = spread(Duration::from_secs(1));
            assert!((750..=1_250).contains(&wait.as_millis()), "{wait:?}");
        }
    }
}
