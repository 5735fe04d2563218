//! Every route, every role.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use sluice_operator::{
    Limits,
    Role::{self, Admin, Operator, Viewer},
};

use crate::{
    house::{House, ROLES, sale_body},
    letters::bury,
};

/// Method, route, who may, the body, and what a success is. `{sale}` and `{id}` are made anew for every request.
fn routes() -> Vec<(&'static str, &'static str, Role, Value, u16)> {
    let none = || Value::Null;
    vec![
        ("GET", "/v1/me", Viewer, none(), 200),
        ("GET", "/v1/sales", Viewer, none(), 200),
        ("POST", "/v1/sales", Operator, sale_body("{new}"), 201),
        ("GET", "/v1/sales/{sale}", Viewer, none(), 200),
        ("DELETE", "/v1/sales/{sale}", Admin, none(), 204),
        ("PATCH", "/v1/sales/{sale}/policy", Operator, json!({ "fraction": 0.5 }), 200),
        ("POST", "/v1/sales/{sale}/pause", Operator, none(), 200),
        ("POST", "/v1/sales/{sale}/resume", Operator, none(), 200),
        ("POST", "/v1/sales/{sale}/close", Operator, none(), 200),
        ("POST", "/v1/sales/{sale}/freeze", Admin, none(), 200),
        ("POST", "/v1/sales/{sale}/notice", Operator, json!({ "text": { "en": "Soon" } }), 200),
        ("POST", "/v1/sales/{sale}/skus/{sku}/stock", Operator, json!({ "add": 1 }), 200),
        ("POST", "/v1/sales/{sale}/preview", Viewer, json!({ "policy": {} }), 200),
        ("GET", "/v1/sales/{sale}/stats", Viewer, none(), 200),
        ("GET", "/v1/sales/{sale}/stats/stream", Viewer, none(), 200),
        ("GET", "/v1/sales/{sale}/report.csv", Viewer, none(), 200),
        ("GET", "/v1/reconciliation", Viewer, none(), 200),
        ("POST", "/v1/reconciliation/run", Operator, json!({ "sale": "{sale}" }), 200),
        ("GET", "/v1/dead-letters", Viewer, none(), 200),
        ("GET", "/v1/dead-letters/{letter}", Viewer, none(), 200),
        ("POST", "/v1/dead-letters/{letter}/replay", Operator, none(), 200),
        ("POST", "/v1/dead-letters/{letter}/refuse", Operator, none(), 200),
        // It is a turn, which nobody may throw away.
        ("DELETE", "/v1/dead-letters/{letter}", Admin, none(), 409),
        ("GET", "/v1/audit", Viewer, none(), 200),
        ("GET", "/v1/bans", Viewer, none(), 200),
        ("POST", "/v1/bans", Admin, json!({ "buyer": "{new}" }), 201),
        ("DELETE", "/v1/bans/{id}", Admin, none(), 204),
        ("DELETE", "/v1/bans?id={id}", Admin, none(), 204),
    ]
}

fn may(role: Role, needed: Role) -> bool {
    let rank = |role: Role| {
        ["backend", "viewer", "operator", "admin"].iter().position(|name| *name == role.as_str())
    };
    rank(role) >= rank(needed)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_route_asks_for_its_role() {
    let house = House::open().await;
    let of_letters = house.sale("letters").await;
    let mut made = 0;
    for (method, route, needed, body, success) in routes() {
        for role in ROLES {
            made += 1;
            let sale = house.sale(&format!("sale-{made}")).await;
            let ban =
                house.post("/v1/bans", json!({ "buyer": format!("buyer-{made}") })).await.is(201);
            let letter = bury(&house, &of_letters, 1).await.remove(0).0;
            let path = route
                .replace("{sale}", sale.as_str())
                .replace("{sku}", "standard")
                .replace("{letter}", &letter)
                .replace("{id}", &ban["id"].to_string());
            let body = body.to_string().replace("{sale}", sale.as_str());
            let body = body.replace("{new}", &format!("new-{made}"));
            let body = serde_json::from_str(&body).unwrap();
            let request = house.request(role, method, &path, &body);
            if may(role, needed) {
                let status = house.send(request).await.status();
                assert_eq!(status.as_u16(), success, "{method} {path} as {}", role.as_str());
                continue;
            }
            let before = house.ports.ledger.sale(&sale).await.unwrap().unwrap();
            let refusal = house.ask(request).await.refuses(403, "forbidden");
            let detail = refusal["detail"].as_str().unwrap();
            assert!(
                detail.contains(&format!("the role `{}`", needed.as_str())),
                "{method} {path}: {detail}"
            );
            let after = house.ports.ledger.sale(&sale).await.unwrap().unwrap();
            assert_eq!(before, after, "{method} {path} as {} changed something", role.as_str());
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_comes_in_without_a_token() {
    // One try for each route is more than an address has in a minute.
    let limits = Limits { failures_per_minute_max: 1_000, ..Limits::default() };
    let house = House::open_with(limits, |ports| ports).await;
    let sale = house.sale("drop").await;
    for (method, route, _, body, _) in routes() {
        let path = route
            .replace("{sale}", sale.as_str())
            .replace("{sku}", "standard")
            .replace("{letter}", "1")
            .replace("{id}", "1");
        let mut request = house.request(Admin, method, &path, &body);
        request.headers_mut().remove("authorization");
        let answer = house.ask(request).await;
        assert_eq!(answer.header("www-authenticate"), "Bearer", "{method} {path}");
        answer.refuses(401, "identity_required");
    }
    let now = house.ports.ledger.sales().await.unwrap();
    assert_eq!((now.len(), now[0].version.0), (1, 1), "something was changed");
}

/// A route without a line in the table above would go untested.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_table_has_every_route() {
    let house = House::open().await;
    let declared = format!("{:?}", house.operator.routes());
    let mut known = BTreeSet::new();
    for (method, route, ..) in routes() {
        let route = route.split('?').next().unwrap();
        known.insert(format!("{method} {route}"));
        assert!(
            declared.contains(&format!("\"{method} {route}\"")),
            "{method} {route} is not in {declared}"
        );
    }
    // The reports of a shop's own backend are tried in `shop.rs`.
    let of_the_shop = ["/v1/turns/{entry}/outcome", "/v1/sales/{sale}/skus/{sku}/remaining"];
    assert!(of_the_shop.iter().all(|route| declared.contains(route)), "{declared}");
    assert_eq!(declared.matches("/v1/").count(), known.len() + of_the_shop.len(), "{declared}");
}
