//! Limits: how often an address, a device and a buyer may ask, decided from this process's memory before any other work.
//! The roles of a process share them: an address has one budget, whichever of them it asks. A line that several processes
//! share counts joins of buyers and devices once more, for all of them together.
//!
//! One [`Limiter`] (GCRA, by `governor`) per scope and [`RateLimit`]: policies that set the same limit share it, a changed
//! one gets another at once, and one that nobody uses and that remembers nobody is dropped. Keys are hashed with a
//! seed of this process; how many are kept is capped.
//!
//! Answers tell limits as in draft-ietf-httpapi-ratelimit-headers: `RateLimit-Policy: "per_buyer";q=10;w=4` is a quota of
//! 10 that is full again after 4 s, `RateLimit: "per_buyer";r=9;t=1` leaves 9 of it, whole again in 1 s.

use std::{
    collections::HashMap,
    hash::{BuildHasher, Hash},
    net::IpAddr,
    num::NonZeroU32,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use foldhash::quality::RandomState;
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
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::{Problem, metrics};

mod store;

use store::Cells;

/// How often limiters are swept.
const SWEEP_EVERY: Duration = Duration::from_secs(5);
const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// What is counted.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
enum Scope {
    Address,
    Device,
    Buyer,
}

impl Scope {
    const ALL: [Self; 3] = [Self::Address, Self::Device, Self::Buyer];

    fn as_str(self) -> &'static str {
        match self {
            Self::Address => "per_ip",
            Self::Device => "per_device",
            Self::Buyer => "per_buyer",
        }
    }
}

/// The limits where a policy does not set its own. Both numbers of each are 1 to 1,000,000; a zero counts as one.
#[derive(Clone, Copy, Debug)]
pub struct DefaultLimits {
    /// Joins by buyer, then polls by entry. Default: 3 a second, 10 at once.
    pub per_buyer: RateLimit,
    /// By device: what a trusted proxy says in `x-sluice-device`, else our device cookie; without either it is not
    /// applied. Default: 3 a second, 10 at once.
    pub per_device: RateLimit,
    /// By address, IPv6 by /64. Default: 100 a second, 500 at once.
    pub per_ip: RateLimit,
}

impl Default for DefaultLimits {
    fn default() -> Self {
        Self {
            per_buyer: RateLimit { per_second: 3, burst: 10 },
            per_device: RateLimit { per_second: 3, burst: 10 },
            per_ip: RateLimit { per_second: 100, burst: 500 },
        }
    }
}

/// All limiters of this process.
#[derive(Debug)]
pub struct Limits {
    defaults: DefaultLimits,
    keys_max: usize,
    hasher: RandomState,
    time: Monotonic,
    known: Mutex<HashMap<(Scope, RateLimit), Arc<Limiter>>>,
}

/// The limiters that apply under one policy.
#[derive(Clone, Debug)]
pub struct Rules {
    pub address: Arc<Limiter>,
    pub device: Arc<Limiter>,
    pub buyer: Arc<Limiter>,
    policy: HeaderValue,
}

/// One limit over many keys.
#[derive(Debug)]
pub struct Limiter {
    scope: Scope,
    limit: RateLimit,
    governed: RateLimiter<u64, Cells, Monotonic, StateInformationMiddleware>,
}

/// One limit without keys.
#[derive(Debug)]
pub struct Tap(RateLimiter<NotKeyed, InMemoryState, Monotonic, NoOpMiddleware<Duration>>);

impl Tap {
    /// Whether there is some left, which is then taken.
    pub fn take(&self) -> bool {
        self.0.check().is_ok()
    }
}

/// A request within its limit, and what is left of it.
#[derive(Clone, Copy, Debug)]
pub struct Allowed {
    scope: Scope,
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
    /// Each limiter remembers `keys_max` buyers, devices or addresses, about 40 bytes each. Beyond it, newcomers share a
    /// single allowance until the sweep, every 5 s, has made room.
    #[must_use]
    pub fn new(defaults: DefaultLimits, keys_max: usize) -> Self {
        Self {
            defaults,
            keys_max: keys_max.max(1),
            hasher: RandomState::default(),
            time: Monotonic { started: Instant::now() },
            known: Mutex::default(),
        }
    }

    /// Sweeps until `shutdown`.
    pub async fn run(&self, shutdown: CancellationToken) {
        while shutdown.run_until_cancelled(sleep(SWEEP_EVERY)).await.is_some() {
            metrics::limiter_keys(self.sweep().map(|(scope, keys)| (scope.as_str(), keys)));
        }
    }

    /// Counts one request of an address under a policy whose `per_ip` is `own`, or refuses it with 429. For roles that
    /// keep no [`Rules`].
    pub fn check_address(
        &self,
        address: IpAddr,
        own: Option<RateLimit>,
    ) -> Result<Allowed, Problem> {
        self.address(own).check(self.address_key(address))
    }

    /// The limiters under a policy that says `own`.
    #[must_use]
    pub fn rules(&self, own: &PolicyLimits) -> Rules {
        let address = self.address(own.per_ip);
        let device =
            self.limiter(Scope::Device, own.per_device.unwrap_or(self.defaults.per_device));
        let buyer = self.limiter(Scope::Buyer, own.per_buyer.unwrap_or(self.defaults.per_buyer));
        let policy = [&buyer, &device, &address].map(|limiter| limiter.policy()).join(", ");
        let policy = HeaderValue::from_str(&policy).unwrap_or(HeaderValue::from_static(""));
        Rules { address, device, buyer, policy }
    }

    /// The key of an address: IPv6 by /64, since whoever has one address of it has them all.
    #[must_use]
    pub fn address_key(&self, address: IpAddr) -> u64 {
        match address.to_canonical() {
            IpAddr::V4(four) => self.key(&four),
            IpAddr::V6(six) => self.key(&(six.to_bits() >> 64)),
        }
    }

    /// The key of anything else.
    #[must_use]
    pub fn key(&self, of: &(impl Hash + ?Sized)) -> u64 {
        self.hasher.hash_one(of)
    }

    /// Forgets keys whose allowance is whole again, and limiters that nobody uses. Answers how many keys each scope keeps.
    fn sweep(&self) -> [(Scope, usize); 3] {
        let known = || self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let limiters: Vec<_> = known().values().cloned().collect();
        let mut sizes = Scope::ALL.map(|scope| (scope, 0));
        for limiter in limiters {
            limiter.governed.retain_recent();
            limiter.governed.shrink_to_fit();
            for (_, keys) in sizes.iter_mut().filter(|(scope, _)| *scope == limiter.scope) {
                *keys += limiter.governed.len();
            }
        }
        known().retain(|_, limiter| Arc::strong_count(limiter) > 1 || !limiter.governed.is_empty());
        sizes
    }

    /// A limit over everything together.
    #[must_use]
    pub fn tap(&self, per_second: u32) -> Tap {
        let per_second = NonZeroU32::new(per_second).unwrap_or(NonZeroU32::MIN);
        Tap(RateLimiter::new(Quota::per_second(per_second), InMemoryState::default(), self.time))
    }

    fn address(&self, own: Option<RateLimit>) -> Arc<Limiter> {
        self.limiter(Scope::Address, own.unwrap_or(self.defaults.per_ip))
    }

    fn limiter(&self, scope: Scope, limit: RateLimit) -> Arc<Limiter> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(limiter) = known.get(&(scope, limit)) {
            return Arc::clone(limiter);
        }
        // Policies and configuration are checked to be 1 or more.
        let [per_second, burst] =
            [limit.per_second, limit.burst].map(|n| NonZeroU32::new(n).unwrap_or(NonZeroU32::MIN));
        let quota = Quota::per_second(per_second).allow_burst(burst);
        let governed = RateLimiter::new(quota, Cells::new(self.keys_max), self.time);
        let limiter = Arc::new(Limiter { scope, limit, governed });
        known.insert((scope, limit), Arc::clone(&limiter));
        limiter
    }
}

impl Limiter {
    /// Counts one request of `key`, or refuses it with 429.
    pub fn check(&self, key: u64) -> Result<Allowed, Problem> {
        match self.governed.check_key(&key) {
            Ok(state) => Ok(Allowed {
                scope: self.scope,
                limit: self.limit,
                remaining: state.remaining_burst_capacity(),
            }),
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
        quota(self.scope, self.limit)
    }
}

impl Rules {
    /// What a join counts in at a line that shares limits.
    #[must_use]
    pub fn shared(&self, device: Option<DeviceKey>) -> JoinLimits {
        let of_device = |device| (device, self.device.limit);
        JoinLimits { buyer: self.buyer.limit, device: device.map(of_device) }
    }

    /// The refusal of a join that such a line limits.
    #[must_use]
    pub fn refused(&self, by: LimitedBy, retry_after: Duration) -> Problem {
        match by {
            LimitedBy::Buyer => self.buyer.refusal(retry_after),
            LimitedBy::Device => self.device.refusal(retry_after),
        }
    }

    /// Tells the limits with an answer: all quotas, and what is left of the one that `allowed` it.
    pub fn tell<B>(&self, response: &mut Response<B>, allowed: Allowed) {
        response.headers_mut().insert(RATE_LIMIT_POLICY, self.policy.clone());
        response.headers_mut().insert(RATE_LIMIT, allowed.left());
    }

    /// The same with a refusal for another reason.
    #[must_use]
    pub fn refuse(&self, problem: Problem, allowed: Allowed) -> Problem {
        allowed.refuse(problem, self.policy.clone())
    }
}

impl Allowed {
    /// Tells this limit with whatever is answered.
    pub fn told(
        self,
        answered: Result<crate::Response, Problem>,
    ) -> Result<crate::Response, Problem> {
        let policy = HeaderValue::from_str(&quota(self.scope, self.limit));
        let policy = policy.unwrap_or(HeaderValue::from_static(""));
        match answered {
            Ok(mut response) => {
                response.headers_mut().insert(RATE_LIMIT_POLICY, policy);
                response.headers_mut().insert(RATE_LIMIT, self.left());
                Ok(response)
            }
            Err(problem) => Err(self.refuse(problem, policy)),
        }
    }

    /// A limit that was passed tells its own state.
    fn refuse(self, problem: Problem, policy: HeaderValue) -> Problem {
        if problem.status() == StatusCode::TOO_MANY_REQUESTS {
            return problem;
        }
        problem.header(RATE_LIMIT_POLICY, policy).header(RATE_LIMIT, self.left())
    }

    /// `"per_buyer";r=9;t=1`.
    fn left(self) -> HeaderValue {
        let used = self.limit.burst.saturating_sub(self.remaining);
        let seconds = used.div_ceil(self.limit.per_second.max(1));
        let (mut remaining, mut until) = (itoa::Buffer::new(), itoa::Buffer::new());
        let parts = [
            "\"",
            self.scope.as_str(),
            "\";r=",
            remaining.format(self.remaining),
            ";t=",
            until.format(seconds),
        ];
        HeaderValue::try_from(parts.concat()).unwrap_or(HeaderValue::from_static(""))
    }
}

/// `"per_buyer";q=10;w=4`.
fn quota(scope: Scope, limit: RateLimit) -> String {
    let RateLimit { per_second, burst } = limit;
    format!("\"{}\";q={burst};w={}", scope.as_str(), burst.div_ceil(per_second.max(1)))
}

#[cfg(test)]
mod tests;
