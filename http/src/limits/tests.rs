//! What limits allow, refuse and tell.

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
    let response = crate::Response::from(refused(rules.address.check(1)));
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

#[tokio::test(start_paused = true)]
async fn an_address_is_remembered_though_nobody_keeps_its_limiter() {
    let limits = limits(100);
    let own = Some(RateLimit { per_second: 1, burst: 1 });
    let check = |limits: &Limits| limits.check_address("192.0.2.1".parse().unwrap(), own);
    assert!(check(&limits).is_ok());
    limits.sweep();
    refused(check(&limits));
    let rules = limits.rules(&PolicyLimits { per_ip: own, ..PolicyLimits::default() });
    refused(rules.address.check(limits.address_key("192.0.2.1".parse().unwrap())));
}

#[tokio::test(start_paused = true)]
async fn a_refusal_for_another_reason_tells_the_limit_it_passed() {
    let limits = limits(100);
    let allowed = limits.check_address("192.0.2.1".parse().unwrap(), None).unwrap();
    let problem = Problem::forbidden("banned", "no");
    let told = crate::Response::from(allowed.told(Err(problem.clone())).unwrap_err());
    assert_eq!(told.headers()["ratelimit"], "\"per_ip\";r=499;t=1");
    assert_eq!(told.headers()["ratelimit-policy"], "\"per_ip\";q=500;w=5");
    let rules = limits.rules(&PolicyLimits::default());
    let told = crate::Response::from(rules.refuse(problem, rules.buyer.check(1).unwrap()));
    assert_eq!(told.headers()["ratelimit"], "\"per_buyer\";r=9;t=1");
    let over = Problem::new(StatusCode::TOO_MANY_REQUESTS, "too_many_requests", "no");
    let told = crate::Response::from(allowed.told(Err(over)).unwrap_err());
    assert!(!told.headers().contains_key("ratelimit"), "the limit that refused tells itself");
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
