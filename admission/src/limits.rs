//! Limits: how often an address, a device and a buyer may ask, decided from this node's memory before any other work. A line
//! that several nodes share counts joins of buyers and devices once more, for all nodes together.
//!
//! One [`Limiter`] (GCRA, by `governor`) per scope and [`RateLimit`]: sales that set the same limit share it, a changed
//! policy gets another one at once, and one that no sale uses any more is dropped with its keys. Keys are hashed with a
//! seed of this process; how many are kept is capped, see [`store`].
//!
//! Answers tell limits as in draft-ietf-httpapi-ratelimit-headers: `RateLimit-Policy: "per_buyer";q=10;w=4` is a quota of
//! 10 that is full again after 4 s, `RateLimit: "per_buyer";r=9;t=1` leaves 9 of it, whole again in 1 s.

use std::{
    collections::HashMap,
    hash::{BuildHasher, Hash, RandomState},
    net::IpAddr,
    num::NonZeroU32,
    sync::{Arc, Mutex, PoisonError, Weak},
    time::Duration,
};

use bytes::Bytes;
use governor::{
    Quota, RateLimiter,
    clock::Clock as _,
    middleware::{NoOpMiddleware, StateInformationMiddleware},
    state::{InMemoryState, NotKeyed},
};
use http::{HeaderName, HeaderValue, Response, StatusCode};
use sluice_core::{
    policy::{Limits as PolicyLimits, RateLimit},
    ports::{DeviceKey, JoinLimits, LimitedBy},
};
use sluice_http::Problem;
use tokio::time::Instant;

use crate::{answer::push_decimal, config::DefaultLimits};

mod store;

use store::Cells;

const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// What is counted.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) enum Scope {
    Address,
    Device,
    Buyer,
}

impl Scope {
    pub(crate) const ALL: [Self; 3] = [Self::Address, Self::Device, Self::Buyer];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Address => "per_ip",
            Self::Device => "per_device",
            Self::Buyer => "per_buyer",
        }
    }
}

/// All limiters of this node.
#[derive(Debug)]
pub(crate) struct Limits {
    defaults: DefaultLimits,
    keys_max: usize,
    hasher: RandomState,
    time: Monotonic,
    known: Mutex<HashMap<(Scope, RateLimit), Weak<Limiter>>>,
}

/// The limiters that apply to one sale, or, with the configuration's own limits, to a sale nobody knows.
#[derive(Clone, Debug)]
pub(crate) struct Rules {
    pub(crate) address: Arc<Limiter>,
    pub(crate) device: Arc<Limiter>,
    pub(crate) buyer: Arc<Limiter>,
    policy: HeaderValue,
}

/// One limit over many keys.
#[derive(Debug)]
pub(crate) struct Limiter {
    scope: Scope,
    limit: RateLimit,
    governed: RateLimiter<u64, Cells, Monotonic, StateInformationMiddleware>,
}

/// One limit without keys.
#[derive(Debug)]
pub(crate) struct Tap(RateLimiter<NotKeyed, InMemoryState, Monotonic, NoOpMiddleware<Duration>>);

impl Tap {
    pub(crate) fn take(&self) -> bool {
        self.0.check().is_ok()
    }
}

/// A request within its limit, and what is left of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Allowed {
    limit: RateLimit,
    remaining: u32,
}

/// `tokio`'s monotonic time as the limiters read it, so that paused time pauses them too.
#[derive(Clone, Copy, Debug)]
struct Monotonic {
    started: Instant,
}

impl governor::clock::Clock for Monotonic {
    type Instant = Duration;

    fn now(&self) -> Duration {
        self.started.elapsed()
    }
}

impl Limits {
    pub(crate) fn new(defaults: DefaultLimits, keys_max: usize) -> Self {
        Self {
            defaults,
            keys_max,
            hasher: RandomState::new(),
            time: Monotonic { started: Instant::now() },
            known: Mutex::default(),
        }
    }

    /// The limiters of a sale whose policy says `own`.
    pub(crate) fn rules(&self, own: &PolicyLimits) -> Rules {
        let address = self.limiter(Scope::Address, own.per_ip.unwrap_or(self.defaults.per_ip));
        let device =
            self.limiter(Scope::Device, own.per_device.unwrap_or(self.defaults.per_device));
        let buyer = self.limiter(Scope::Buyer, own.per_buyer.unwrap_or(self.defaults.per_buyer));
        let policy = [&buyer, &device, &address].map(|limiter| limiter.policy()).join(", ");
        let policy = HeaderValue::from_str(&policy).unwrap_or(HeaderValue::from_static(""));
        Rules { address, device, buyer, policy }
    }

    /// The key of an address: IPv6 by /64, since whoever has one address of it has them all.
    pub(crate) fn address_key(&self, address: IpAddr) -> u64 {
        match address.to_canonical() {
            IpAddr::V4(four) => self.key(&four),
            IpAddr::V6(six) => self.key(&(six.to_bits() >> 64)),
        }
    }

    pub(crate) fn key(&self, of: &(impl Hash + ?Sized)) -> u64 {
        self.hasher.hash_one(of)
    }

    /// Forgets keys whose allowance is whole again, and limiters nobody uses. Answers how many keys each scope keeps.
    pub(crate) fn sweep(&self) -> [(Scope, usize); 3] {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|_, limiter| limiter.strong_count() > 0);
        let limiters: Vec<_> = known.values().filter_map(Weak::upgrade).collect();
        drop(known);
        let mut sizes = Scope::ALL.map(|scope| (scope, 0));
        for limiter in limiters {
            limiter.governed.retain_recent();
            limiter.governed.shrink_to_fit();
            for (_, keys) in sizes.iter_mut().filter(|(scope, _)| *scope == limiter.scope) {
                *keys += limiter.governed.len();
            }
        }
        sizes
    }

    /// A limit over everything together.
    pub(crate) fn tap(&self, per_second: u32) -> Tap {
        let per_second = NonZeroU32::new(per_second).unwrap_or(NonZeroU32::MIN);
        Tap(RateLimiter::new(Quota::per_second(per_second), InMemoryState::default(), self.time))
    }

    fn limiter(&self, scope: Scope, limit: RateLimit) -> Arc<Limiter> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(limiter) = known.get(&(scope, limit)).and_then(Weak::upgrade) {
            return limiter;
        }
        // Policies and configuration are checked to be 1 or more.
        let [per_second, burst] =
            [limit.per_second, limit.burst].map(|n| NonZeroU32::new(n).unwrap_or(NonZeroU32::MIN));
        let quota = Quota::per_second(per_second).allow_burst(burst);
        let governed = RateLimiter::new(quota, Cells::new(self.keys_max), self.time);
        let limiter = Arc::new(Limiter { scope, limit, governed });
        known.insert((scope, limit), Arc::downgrade(&limiter));
        limiter
    }
}

impl Limiter {
    /// Counts one request of `key`, or refuses it with 429.
    pub(crate) fn check(&self, key: u64) -> Result<Allowed, Problem> {
        match self.governed.check_key(&key) {
            Ok(state) => {
                Ok(Allowed { limit: self.limit, remaining: state.remaining_burst_capacity() })
            }
            Err(until) => Err(self.refusal(until.wait_time_from(self.governed.clock().now()))),
        }
    }

    fn refusal(&self, wait: Duration) -> Problem {
        let seconds = wait.as_secs() + 1;
        let name = self.scope.as_str();
        let RateLimit { per_second, burst } = self.limit;
        let detail = format!(
            "More than {per_second} requests a second, after a burst of {burst} ({name}): slow down."
        );
        Problem::new(StatusCode::TOO_MANY_REQUESTS, "too_many_requests", detail)
            .retry_after(wait.max(Duration::from_millis(1)))
            .header(RATE_LIMIT_POLICY, self.policy())
            .header(RATE_LIMIT, format!("\"{name}\";r=0;t={seconds}"))
    }

    fn policy(&self) -> String {
        let RateLimit { per_second, burst } = self.limit;
        format!("\"{}\";q={burst};w={}", self.scope.as_str(), burst.div_ceil(per_second))
    }
}

impl Rules {
    /// What a join counts in at a line that shares limits.
    pub(crate) fn shared(&self, device: Option<DeviceKey>) -> JoinLimits {
        let of_device = |device| (device, self.device.limit);
        JoinLimits { buyer: self.buyer.limit, device: device.map(of_device) }
    }

    /// The refusal of a join that such a line limits.
    pub(crate) fn refused(&self, by: LimitedBy, retry_after: Duration) -> Problem {
        match by {
            LimitedBy::Buyer => self.buyer.refusal(retry_after),
            LimitedBy::Device => self.device.refusal(retry_after),
        }
    }

    /// Tells the limits with an answer: all quotas, and what is left of the buyer's.
    pub(crate) fn tell<B>(&self, response: &mut Response<B>, buyer: Allowed) {
        let used = buyer.limit.burst.saturating_sub(buyer.remaining);
        let mut left = Vec::with_capacity(40);
        left.extend_from_slice(b"\"per_buyer\";r=");
        push_decimal(&mut left, buyer.remaining.into());
        left.extend_from_slice(b";t=");
        push_decimal(&mut left, used.div_ceil(buyer.limit.per_second).into());
        response.headers_mut().insert(RATE_LIMIT_POLICY, self.policy.clone());
        if let Ok(left) = HeaderValue::from_maybe_shared(Bytes::from(left)) {
            response.headers_mut().insert(RATE_LIMIT, left);
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    fn limits(keys_max: usize) -> Limits {
        Limits::new(DefaultLimits::default(), keys_max)
    }

    fn refused(answer: Result<Allowed, Problem>) -> Problem {
        answer.expect_err("the limit must refuse")
    }

    #[tokio::test(start_paused = true)]
    async fn a_burst_then_a_steady_rate() {
        let limits = limits(100);
        let rules = limits.rules(&PolicyLimits::default());
        for left in (0..10).rev() {
            assert_eq!(rules.buyer.check(1).unwrap().remaining, left);
        }
        let problem = refused(rules.buyer.check(1));
        assert_eq!((problem.status().as_u16(), problem.code()), (429, "too_many_requests"));
        assert!(rules.buyer.check(2).is_ok(), "another buyer has an allowance of its own");
        advance(Duration::from_millis(334)).await;
        assert!(rules.buyer.check(1).is_ok());
        refused(rules.buyer.check(1));
    }

    #[tokio::test(start_paused = true)]
    async fn a_refusal_tells_when_and_what() {
        let limits = limits(100);
        let own = PolicyLimits {
            per_ip: Some(RateLimit { per_second: 1, burst: 1 }),
            ..PolicyLimits::default()
        };
        let rules = limits.rules(&own);
        assert!(rules.address.check(1).is_ok());
        let response = sluice_http::Response::from(refused(rules.address.check(1)));
        assert_eq!(response.headers()["retry-after"], "1");
        assert_eq!(response.headers()["ratelimit-policy"], "\"per_ip\";q=1;w=1");
        assert!(response.headers()["ratelimit"].to_str().unwrap().starts_with("\"per_ip\";r=0;t="));
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_tells_what_is_left() {
        let limits = limits(100);
        let rules = limits.rules(&PolicyLimits::default());
        let mut response = Response::new(());
        let allowed = rules.buyer.check(1).unwrap();
        rules.tell(&mut response, allowed);
        assert_eq!(response.headers()["ratelimit"], "\"per_buyer\";r=9;t=1");
        assert_eq!(
            response.headers()["ratelimit-policy"],
            "\"per_buyer\";q=10;w=4, \"per_device\";q=10;w=4, \"per_ip\";q=500;w=5"
        );
    }

    #[test]
    fn an_address_is_its_64() {
        let limits = limits(100);
        let key = |text: &str| limits.address_key(text.parse().unwrap());
        assert_eq!(key("2001:db8::1"), key("2001:db8::ffff:1"));
        assert_ne!(key("2001:db8::1"), key("2001:db8:0:1::1"));
        assert_eq!(key("::ffff:192.0.2.1"), key("192.0.2.1"));
        assert_ne!(key("192.0.2.1"), key("192.0.2.2"));
    }

    #[tokio::test(start_paused = true)]
    async fn beyond_the_cap_newcomers_share_one_allowance() {
        let limits = limits(100);
        let rules = limits.rules(&PolicyLimits::default());
        for key in 0..100 {
            assert!(rules.buyer.check(key).is_ok());
        }
        let served = (1_000..1_100).filter(|key| rules.buyer.check(*key).is_ok()).count();
        assert_eq!(served, 10, "a hundred newcomers share one burst");
        assert!(rules.buyer.check(5).is_ok(), "who is known keeps an allowance");
        advance(Duration::from_secs(5)).await;
        limits.sweep();
        let served = (1_000..1_050).filter(|key| rules.buyer.check(*key).is_ok()).count();
        assert_eq!(served, 50, "the sweep made room");
    }

    #[tokio::test(start_paused = true)]
    async fn what_nobody_uses_is_swept() {
        let limits = limits(100);
        let rules = limits.rules(&PolicyLimits::default());
        assert!(rules.address.check(1).is_ok());
        assert_eq!(limits.sweep()[0], (Scope::Address, 1));
        advance(Duration::from_secs(60)).await;
        assert_eq!(limits.sweep()[0], (Scope::Address, 0), "its allowance is whole again");
        drop(rules);
        limits.sweep();
        assert!(limits.known.lock().unwrap().is_empty());
    }

    #[test]
    fn equal_limits_are_one_limiter_and_a_changed_one_is_another() {
        let limits = limits(100);
        let (first, second) =
            (limits.rules(&PolicyLimits::default()), limits.rules(&PolicyLimits::default()));
        assert!(Arc::ptr_eq(&first.buyer, &second.buyer));
        let own = PolicyLimits {
            per_buyer: Some(RateLimit { per_second: 1, burst: 1 }),
            ..PolicyLimits::default()
        };
        assert!(!Arc::ptr_eq(&first.buyer, &limits.rules(&own).buyer));
    }
}
