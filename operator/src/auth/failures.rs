//! How often each address failed to prove who it is. Bounded: when too many fail at once, the newcomers share one count.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

const WINDOW: Duration = Duration::from_secs(60);

/// What to do about one more failure.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Failure {
    /// The first of its address in a minute: write it down.
    First,
    /// Another one.
    Again,
    /// More than are answered in a minute: tell it to wait.
    TooMany { retry_after: Duration },
}

#[derive(Debug)]
pub(crate) struct Failures {
    per_minute_max: u32,
    addresses_max: usize,
    windows: Mutex<Windows>,
}

#[derive(Debug, Default)]
struct Windows {
    by_network: HashMap<IpAddr, Window>,
    /// Of all for whom there was no room.
    shared: Option<Window>,
}

#[derive(Clone, Copy, Debug)]
struct Window {
    began: Instant,
    failures: u32,
}

impl Failures {
    pub(crate) fn new(per_minute_max: u32, addresses_max: usize) -> Self {
        Self { per_minute_max, addresses_max, windows: Mutex::default() }
    }

    /// Counts a failure of `address`.
    pub(crate) fn note(&self, address: IpAddr) -> Failure {
        let now = Instant::now();
        let network = network(address);
        let mut windows = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
        if windows.by_network.len() >= self.addresses_max
            && !windows.by_network.contains_key(&network)
        {
            windows.by_network.retain(|_, window| !window.is_over(now));
        }
        let room = windows.by_network.len() < self.addresses_max;
        let window = if room || windows.by_network.contains_key(&network) {
            windows.by_network.entry(network).or_insert(Window { began: now, failures: 0 })
        } else {
            windows.shared.get_or_insert(Window { began: now, failures: 0 })
        };
        if window.is_over(now) {
            *window = Window { began: now, failures: 0 };
        }
        window.failures = window.failures.saturating_add(1);
        match window.failures {
            1 => Failure::First,
            n if n > self.per_minute_max => Failure::TooMany {
                retry_after: (window.began + WINDOW).saturating_duration_since(now),
            },
            _ => Failure::Again,
        }
    }
}

impl Window {
    fn is_over(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.began) >= WINDOW
    }
}

/// One customer's address: IPv4 as it is, IPv6 by /64.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => {
            IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(n: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, n])
    }

    #[tokio::test(start_paused = true)]
    async fn an_address_is_written_down_once_a_minute_and_then_told_to_wait() {
        let failures = Failures::new(3, 10);
        let said = [(); 4].map(|()| failures.note(address(1)));
        assert_eq!(said[..3], [Failure::First, Failure::Again, Failure::Again]);
        assert_eq!(said[3], Failure::TooMany { retry_after: WINDOW });
        assert_eq!(failures.note(address(2)), Failure::First, "others are not concerned");
        tokio::time::advance(WINDOW).await;
        assert_eq!(failures.note(address(1)), Failure::First);
    }

    #[tokio::test(start_paused = true)]
    async fn the_table_is_bounded_and_newcomers_share_a_count() {
        let failures = Failures::new(2, 2);
        for n in 1..=2 {
            assert_eq!(failures.note(address(n)), Failure::First);
        }
        let shared = [3, 4, 5].map(|n| failures.note(address(n)));
        assert_eq!(shared[..2], [Failure::First, Failure::Again]);
        assert_eq!(shared[2], Failure::TooMany { retry_after: WINDOW });
        assert_eq!(failures.windows.lock().unwrap().by_network.len(), 2);
        tokio::time::advance(WINDOW).await;
        assert_eq!(failures.note(address(6)), Failure::First, "what is over makes room");
        assert_eq!(failures.windows.lock().unwrap().by_network.len(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn one_customer_cannot_fail_from_many_addresses() {
        let failures = Failures::new(1, 10);
        let within = |last: u16| IpAddr::from([0x2001, 0xdb8, 0, 1, 0, 0, 0, last]);
        assert_eq!(failures.note(within(1)), Failure::First);
        assert!(matches!(failures.note(within(2)), Failure::TooMany { .. }));
    }
}
