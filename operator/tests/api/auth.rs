//! Wrong tokens: refused, counted, written down sparsely, and never in the way of the right one.

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use serde_json::Value;
use sluice_operator::{Limits, Role};

use crate::house::{House, token};

fn with_authorization(house: &House, value: &str) -> Request<Full<Bytes>> {
    let mut request = house.request(Role::Admin, "GET", "/v1/sales", &Value::Null);
    request.headers_mut().insert("authorization", value.parse().unwrap());
    request
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_a_whole_token_of_the_right_scheme_is_right() {
    let house = House::open().await;
    let right = token(Role::Admin);
    for wrong in [
        format!("Bearer {}", &right[1..]),
        format!("Bearer {right}x"),
        format!("Bearer {}", right.to_uppercase()),
        format!("Basic {right}"),
        "Bearer".to_owned(),
        right.clone(),
    ] {
        house.ask(with_authorization(&house, &wrong)).await.refuses(401, "identity_required");
    }
    house.ask(with_authorization(&house, &format!("bearer {right}"))).await.is(200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_that_keeps_failing_is_told_to_wait_and_written_down_once() {
    let house =
        House::open_with(Limits { failures_per_minute_max: 5, ..Limits::default() }, |ports| ports)
            .await;
    let wrong = format!("Bearer {}", "w".repeat(40));
    for _ in 0..5 {
        house.ask(with_authorization(&house, &wrong)).await.refuses(401, "identity_required");
    }
    for _ in 0..5 {
        let answer = house.ask(with_authorization(&house, &wrong)).await;
        assert!(answer.header("retry-after").parse::<u64>().unwrap() >= 1);
        answer.refuses(429, "too_many_requests");
    }
    let rows: Vec<_> =
        house.log().await.into_iter().filter(|(_, verb, ..)| verb == "auth").collect();
    assert_eq!(
        rows,
        [("unknown".into(), "auth".into(), String::new(), "identity_required".into())]
    );
    house.ask(with_authorization(&house, &format!("Bearer {}", token(Role::Viewer)))).await.is(200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_never_shows_up_in_what_is_said_or_written() {
    let house = House::open().await;
    let secret = "wwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwww";
    let refusal = house.ask(with_authorization(&house, &format!("Bearer {secret}"))).await.is(401);
    assert!(!refusal.to_string().contains(secret));
    let log = house.get("/v1/audit").await.is(200).to_string();
    assert!(!log.contains(secret) && !log.contains(&token(Role::Viewer)), "{log}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_foreign_host_is_refused() {
    let house = House::open().await;
    let mut request = house.request(Role::Admin, "GET", "/v1/sales", &Value::Null);
    request.headers_mut().insert("host", "evil.example".parse().unwrap());
    assert_eq!(house.ask(request).await.status.as_u16(), 421);
}
