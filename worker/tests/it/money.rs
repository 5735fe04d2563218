//! The order routes and the money, over real HTTP.

use std::{sync::Arc, time::Duration};

use http::Method;
use serde_json::{Value, json};
use sluice_core::{
    clock::UnixMillis,
    ids::OrderId,
    line::LineEntry,
    order::OrderState,
    policy::{LimitsPatch, PolicyPatch, RateLimit},
    ports::PlaceMove,
    sale::SaleChange,
    token::Claims,
    webhook::Secrets,
};

use crate::{
    house::{House, PRICE, SECRET, until},
    shop::{Answer, Shop},
};

/// A house with one order that awaits payment, and a shop beside it.
struct Scene {
    house: House,
    shop: Shop,
    entry: LineEntry,
    order: OrderId,
    token: String,
}

impl Scene {
    async fn open() -> Self {
        Self::open_with(true).await
    }

    async fn open_with(callbacks: bool) -> Self {
        let house = House::open(10).await;
        let entry = house.entry(1, "ada", 2);
        let order = house.order(std::slice::from_ref(&entry)).await[0];
        let shop = Shop::open_with(&house, callbacks).await;
        let token = house.token(&entry);
        Self { house, shop, entry, order, token }
    }

    fn path(&self, verb: &str) -> String {
        format!("/v1/orders/{}{verb}", self.order)
    }

    async fn show(&self) -> Value {
        let answer = self.shop.get(&self.path(""), &self.token).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()
    }

    /// Opens a payment and answers its id and page.
    async fn payment(&self) -> (String, String) {
        let answer = self.shop.post(&self.path("/payment"), &self.token).await;
        assert_eq!(answer.status, 201, "{answer:?}");
        let text = |field: &str| answer.json()[field].as_str().unwrap().to_owned();
        (text("payment"), text("pay_url"))
    }

    /// Asks until this address is told that it asked too often.
    async fn spent(&self, ask: impl AsyncFn() -> Answer) {
        for _ in 0..50_000 {
            let answer = ask().await;
            if answer.status == 429 {
                return answer.assert_problem(429, "too_many_requests");
            }
        }
        panic!("nobody counts");
    }

    fn word(&self, payment: &str, version: u64, status: &str) -> Value {
        json!({"payment": payment, "order": self.order.to_string(), "version": version, "status": status,
            "amount_fen": 2 * PRICE, "currency": "CNY", "occurred_at": "2026-11-11T12:00:00Z", "extra": true})
    }

    /// Calls back with a good signature.
    async fn call_back(&self, word: &Value) -> Answer {
        self.call_back_signed(word, SECRET).await
    }

    async fn call_back_signed(&self, word: &Value, secret: &str) -> Answer {
        let body = serde_json::to_vec(word).unwrap();
        let now = self.house.turn(&self.entry).called_at;
        let signed = Secrets::new(&[secret]).unwrap().sign("msg_1", now, &body);
        let headers = [
            ("content-type", "application/json"),
            ("webhook-id", signed.id.as_str()),
            ("webhook-timestamp", signed.timestamp.as_str()),
            ("webhook-signature", signed.signature.as_str()),
        ];
        self.shop.send(Method::POST, "/v1/payments/simulated/callback", &headers, body).await
    }

    async fn close(self) {
        self.house.assert_balanced().await;
        self.shop.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_is_paid_on_its_page_and_fulfilled() {
    let scene = Scene::open().await;
    let shown = scene.show().await;
    assert_eq!(shown["state"], "awaiting_payment");
    assert_eq!(shown["version"], 1);
    assert_eq!(shown["entry"], scene.entry.entry.to_string());
    let item = json!({"sku": "standard", "quantity": 2, "seat": null, "from": null, "to": null, "amount_fen": PRICE, "refunded": 0});
    assert_eq!(shown["items"], json!([item]));
    assert_eq!((&shown["amount_fen"], &shown["currency"]), (&json!(2 * PRICE), &json!("CNY")));
    assert_eq!(shown["history"][0]["state"], "awaiting_payment");
    assert!(shown["pay_by"].as_str().unwrap().ends_with('Z'), "{shown}");

    let (payment, pay_url) = scene.payment().await;
    assert_eq!(pay_url, format!("/v1/payments/simulated/{payment}"));
    let again = scene.shop.post(&scene.path("/payment"), &scene.token).await;
    assert_eq!((again.status, again.json()["payment"].as_str()), (200, Some(payment.as_str())));
    assert_eq!(again.json()["amount_fen"], 2 * PRICE);

    let pressed = scene.shop.press(&pay_url, "succeed").await;
    assert_eq!((pressed.status, pressed.json()["state"].as_str()), (200, Some("succeeded")));
    scene.house.order_in(scene.order, OrderState::Fulfilled).await;
    let shown = scene.show().await;
    let states: Vec<&str> = shown["history"]
        .as_array()
        .unwrap()
        .iter()
        .map(|change| change["state"].as_str().unwrap())
        .collect();
    assert_eq!(states, ["awaiting_payment", "paid", "fulfilling", "fulfilled"]);
    assert_eq!(scene.house.balance().await.sold, 2);

    for result in ["succeed", "fail"] {
        scene.shop.press(&pay_url, result).await.assert_problem(409, "payment_over");
    }
    scene.shop.post(&scene.path("/payment"), &scene.token).await.assert_problem(409, "wrong_state");
    scene.shop.post(&scene.path("/cancel"), &scene.token).await.assert_problem(409, "wrong_state");
    scene.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_browser_without_scripts_pays_with_the_form() {
    let scene = Scene::open().await;
    let (payment, pay_url) = scene.payment().await;
    let page = scene.shop.send(Method::GET, &pay_url, &[("accept", "text/html")], "").await;
    assert_eq!((page.status, page.header("content-type")), (200, "text/html; charset=utf-8"));
    assert!(page.header("content-security-policy").contains("default-src 'none'"));
    assert_eq!(page.header("cache-control"), "no-store");
    for part in ["Pay 198.00 CNY", r#"name="result" value="succeed""#, r#"value="fail""#, &payment]
    {
        assert!(page.text().contains(part), "{part}");
    }
    let has_way_back = |page: &str| page.contains("<a href=\"https://queue.example/w/");
    assert!(!has_way_back(&page.text()) && !page.text().contains("{{"), "every blank is filled in");
    let style = scene.shop.send(Method::GET, "/v1/payments/simulated/page.css", &[], "").await;
    assert_eq!((style.status, style.header("content-type")), (200, "text/css; charset=utf-8"));

    let form = [("content-type", "application/x-www-form-urlencoded")];
    let wrong = scene.shop.send(Method::POST, &pay_url, &form, "result=perhaps").await;
    wrong.assert_problem(400, "bad_request");
    let paid = scene.shop.send(Method::POST, &pay_url, &form, "result=succeed").await;
    assert_eq!(paid.status, 200);
    assert!(paid.text().contains("This payment succeeded.") && has_way_back(&paid.text()));
    assert!(!paid.text().contains("{{"));
    let twice = scene.shop.send(Method::POST, &pay_url, &form, "result=fail").await;
    assert_eq!(twice.status, 409);
    assert!(twice.text().contains("This payment succeeded."));
    scene.house.order_in(scene.order, OrderState::Fulfilled).await;
    scene.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_waiting_pages_form_leads_on_to_the_payment_or_back() {
    let scene = Scene::open().await;
    let send = async |token: &str| {
        let kind = [("content-type", "application/x-www-form-urlencoded")];
        let body = format!("token={token}");
        scene.shop.send(Method::POST, &scene.path("/payment"), &kind, body).await
    };
    let first = send(&scene.token).await;
    assert_eq!((first.status, first.header("content-type")), (200, "text/html; charset=utf-8"));
    assert_eq!(first.header("cache-control"), "no-store");
    let html = first.text();
    let (_, after) = html.split_once("content=\"0;url=").expect("a page that goes on by itself");
    let pay_url = after.split_once('"').unwrap().0.to_owned();
    assert!(html.contains(&format!("<a href=\"{pay_url}\">")), "{html}");
    assert_eq!(send(&scene.token).await.text(), html, "the live payment is found again");
    let live = scene.shop.post(&scene.path("/payment"), &scene.token).await;
    assert_eq!((live.status, live.json()["pay_url"].as_str()), (200, Some(pay_url.as_str())));

    send("nonsense").await.assert_problem(401, "bad_token");
    let bearer = format!("Bearer {}", scene.token);
    let program =
        [("content-type", "application/x-www-form-urlencoded"), ("authorization", &bearer)];
    let asked = scene.shop.send(Method::POST, &scene.path("/payment"), &program, "").await;
    assert_eq!((asked.status, asked.json()["pay_url"].as_str()), (200, Some(pay_url.as_str())));
    let other = scene.house.token(&scene.house.entry(2, "eve", 1));
    let page = format!("/w/{}", scene.house.sale);
    let turned_away = send(&other).await;
    assert_eq!(turned_away.status, 303);
    assert_eq!(turned_away.header("location"), format!("{page}?trouble=payment"));

    assert_eq!(scene.shop.press(&pay_url, "succeed").await.status, 200);
    scene.house.order_in(scene.order, OrderState::Fulfilled).await;
    let late = send(&scene.token).await;
    assert_eq!((late.status, late.header("location")), (303, page.as_str()));
    scene.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_payment_leaves_the_order_open_for_another() {
    let scene = Scene::open().await;
    let (failed, pay_url) = scene.payment().await;
    assert_eq!(scene.shop.press(&pay_url, "fail").await.status, 200);
    let mut second = None;
    until("another payment may be begun", async || {
        let answer = scene.shop.post(&scene.path("/payment"), &scene.token).await;
        second = Some(answer.json()["pay_url"].as_str().unwrap().to_owned());
        answer.status == 201
    })
    .await;
    let second = second.unwrap();
    assert!(!second.ends_with(&failed), "it is another payment");
    assert_eq!(scene.show().await["state"], "awaiting_payment");
    assert_eq!(scene.shop.press(&second, "succeed").await.status, 200);
    scene.house.order_in(scene.order, OrderState::Fulfilled).await;
    scene.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancelled_order_closes_its_payment_and_frees_its_stock() {
    let scene = Scene::open().await;
    let (_, pay_url) = scene.payment().await;
    let bearer = format!("Bearer {}", scene.token);
    let headers = [("authorization", bearer.as_str()), ("idempotency-key", "once")];
    let cancelled = scene.shop.send(Method::POST, &scene.path("/cancel"), &headers, "").await;
    assert_eq!((cancelled.status, cancelled.json()["state"].as_str()), (200, Some("closing")));
    assert_eq!(cancelled.json()["closing_cause"], "cancelled", "a program is told why, too");
    scene.house.order_in(scene.order, OrderState::Closed).await;
    scene.shop.press(&pay_url, "succeed").await.assert_problem(409, "payment_over");
    let page = scene.shop.send(Method::GET, &pay_url, &[], "").await;
    assert!(page.text().contains("This payment was closed."), "{page:?}");
    assert_eq!(scene.house.balance().await.available, 10);

    let again = scene.shop.send(Method::POST, &scene.path("/cancel"), &headers, "").await;
    assert_eq!((again.status, again.json()["state"].as_str()), (200, Some("closed")), "a repeat");
    scene.shop.post(&scene.path("/cancel"), &scene.token).await.assert_problem(409, "wrong_state");
    scene.shop.post(&scene.path("/refund"), &scene.token).await.assert_problem(409, "wrong_state");
    scene.shop.post(&scene.path("/payment"), &scene.token).await.assert_problem(409, "wrong_state");
    scene.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deadline_closes_the_page_too() {
    let scene = Scene::open().await;
    let (_, pay_url) = scene.payment().await;
    scene.house.clock.advance(Duration::from_secs(900));
    scene.house.order_in(scene.order, OrderState::Closed).await;
    scene.shop.press(&pay_url, "succeed").await.assert_problem(409, "payment_over");
    scene.close().await;
}

/// The order goes along with the place: the device it was taken from pays and cancels nothing any more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_is_not_reached_by_a_token_of_before_its_place_was_moved() {
    let scene = Scene::open().await;
    let (house, shop) = (&scene.house, &scene.shop);
    let at = scene.entry.joined_at.plus(Duration::from_secs(1));
    house.directory.learn_move(PlaceMove { entry: scene.entry.entry, at });
    shop.get(&scene.path(""), &scene.token).await.assert_problem(401, "moved");
    shop.post(&scene.path("/cancel"), &scene.token).await.assert_problem(401, "moved");
    let claims = house.keyring.verify_claims(&scene.token, UnixMillis(0)).unwrap().claims().clone();
    let after = house.keyring.sign_claims(&Claims { held_since: at, ..claims });
    assert_eq!(shop.get(&scene.path(""), &after).await.status, 200);
    scene.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_touches_an_order_without_its_token() {
    let scene = Scene::open().await;
    let (house, shop, path) = (&scene.house, &scene.shop, scene.path(""));
    let bare = shop.send(Method::GET, &path, &[], "").await;
    bare.assert_problem(401, "bad_token");
    shop.get(&path, "forged").await.assert_problem(401, "bad_token");
    let expired = house.token_until(&scene.entry, house.turn(&scene.entry).called_at);
    shop.get(&path, &expired).await.assert_problem(401, "token_expired");
    shop.post(&scene.path("/cancel"), &expired).await.assert_problem(401, "token_expired");
    let other = house.token(&house.entry(2, "bob", 1));
    shop.get(&path, &other).await.assert_problem(403, "wrong_entry");
    shop.post(&scene.path("/payment"), &other).await.assert_problem(403, "wrong_entry");
    shop.post(&scene.path("/cancel"), &other).await.assert_problem(403, "wrong_entry");
    let unknown = OrderId::generate(house.turn(&scene.entry).called_at, &house.random);
    shop.get(&format!("/v1/orders/{unknown}"), &scene.token)
        .await
        .assert_problem(404, "no_such_order");
    shop.get("/v1/orders/7", &scene.token).await.assert_problem(404, "no_such_order");
    assert_eq!(house.find(scene.order).await.version.0, 1, "nothing changed");
    scene.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_requests_are_named() {
    let scene = Scene::open().await;
    let bearer = format!("Bearer {}", scene.token);
    let with = async |verb: &str, headers: &[(&str, &str)], body: &'static str| {
        let mut all = vec![("authorization", bearer.as_str())];
        all.extend_from_slice(headers);
        scene.shop.send(Method::POST, &scene.path(verb), &all, body).await
    };
    let json = ("content-type", "application/json");
    let unknown = with("/cancel", &[json], r#"{"why":"because"}"#).await;
    unknown.assert_problem(400, "bad_request");
    assert!(unknown.json()["detail"].as_str().unwrap().contains("why"), "{unknown:?}");
    with("/payment", &[json], "{").await.assert_problem(400, "bad_request");
    with("/payment", &[("content-type", "text/plain")], "{}")
        .await
        .assert_problem(415, "unsupported_media_type");
    let long = "k".repeat(256);
    with("/payment", &[("idempotency-key", &long)], "").await.assert_problem(400, "bad_request");
    assert_eq!(with("/payment", &[json], "{}").await.status, 201);

    let (_, pay_url) = (0, format!("/v1/payments/simulated/{}", scene.house.new_payment()));
    scene.shop.press(&pay_url, "succeed").await.assert_problem(404, "no_such_payment");
    scene
        .shop
        .press("/v1/payments/simulated/7", "succeed")
        .await
        .assert_problem(404, "no_such_payment");
    scene.shop.press(&pay_url, "perhaps").await.assert_problem(400, "bad_request");
    scene.close().await;
}

/// Guessing signatures has an end; the provider's own callbacks have none.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn callbacks_that_are_not_authentic_are_limited_by_address_and_others_are_not() {
    let scene = Scene::open_with(false).await;
    let (payment, pay_url) = scene.payment().await;
    let old = scene.word(&payment, 0, "failed");
    let forged =
        async || scene.call_back_signed(&old, "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA").await;
    let mut tries = 0;
    let limited = loop {
        let answer = forged().await;
        if answer.status != 401 {
            break answer;
        }
        tries += 1;
        assert!(tries < 50_000, "signatures may be guessed for ever");
    };
    limited.assert_problem(429, "too_many_requests");
    assert!(limited.json()["retry_after_ms"].as_u64().is_some_and(|wait| wait > 0), "{limited:?}");
    for name in ["retry-after", "ratelimit", "ratelimit-policy"] {
        assert!(!limited.header(name).is_empty(), "{name}: {limited:?}");
    }
    for _ in 0..1_000 {
        assert_eq!(scene.call_back(&old).await.status, 200);
    }
    scene.spent(async || scene.shop.get(&pay_url, "").await).await;
    scene.close().await;
}

/// Orders and pay pages draw on the same budget of an address; a sale may set its own for its orders.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn orders_and_pay_pages_are_limited_by_address() {
    let scene = Scene::open_with(false).await;
    let (_, pay_url) = scene.payment().await;
    let told = scene.shop.get(&scene.path(""), "not a token").await;
    told.assert_problem(401, "bad_token");
    assert!(told.header("ratelimit").starts_with("\"per_ip\";r="), "{told:?}");
    scene.spent(async || scene.shop.get(&scene.path(""), "not a token").await).await;
    scene.spent(async || scene.shop.get(&scene.path(""), &scene.token).await).await;
    scene.spent(async || scene.shop.get(&pay_url, "").await).await;
    scene.spent(async || scene.shop.press(&pay_url, "succeed").await).await;

    let wide = RateLimit { per_second: 1_000_000, burst: 1_000_000 };
    let limits = Some(LimitsPatch { per_ip: wide.into(), ..LimitsPatch::default() });
    let sale = scene.house.ports.ledger.sale(&scene.house.sale).await.unwrap().unwrap();
    let policy = SaleChange::Policy(PolicyPatch { limits, ..PolicyPatch::default() });
    scene.house.directory.learn_sale(Arc::new(sale.changed(&policy).unwrap()));
    assert_eq!(scene.show().await["state"], "awaiting_payment", "nothing was pressed");
    scene.spent(async || scene.shop.get(&scene.path(""), "not a token").await).await;
    scene.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_callback_counts_once_and_only_if_it_is_authentic_and_right() {
    let scene = Scene::open_with(false).await;
    let (payment, _) = scene.payment().await;
    let good = scene.word(&payment, 2, "succeeded");

    let forged = scene.call_back_signed(&good, "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA").await;
    forged.assert_problem(401, "bad_signature");
    let unsigned =
        scene.shop.send(Method::POST, "/v1/payments/simulated/callback", &[], "{}").await;
    unsigned.assert_problem(401, "bad_signature");
    let mut cheap = good.clone();
    cheap["amount_fen"] = json!(1);
    scene.call_back(&cheap).await.assert_problem(422, "wrong_amount");
    let mut foreign = good.clone();
    foreign["currency"] = json!("EUR");
    scene.call_back(&foreign).await.assert_problem(422, "wrong_amount");
    let mut lost = good.clone();
    lost["payment"] = json!(scene.house.new_payment().to_string());
    scene.call_back(&lost).await.assert_problem(404, "no_such_payment");
    scene.call_back(&json!({"payment": payment})).await.assert_problem(400, "bad_request");
    let names = ["payment", "order", "version", "status", "amount_fen", "currency", "occurred_at"];
    let in_order: Vec<_> = names.iter().map(|name| good[name].clone()).collect();
    scene.call_back(&json!(in_order)).await.assert_problem(400, "bad_request");
    let elsewhere = scene.shop.send(Method::POST, "/v1/payments/another/callback", &[], "{}").await;
    elsewhere.assert_problem(404, "no_such_provider");
    assert_eq!(scene.show().await["state"], "awaiting_payment", "none of it counted");

    let applied = scene.call_back(&good).await;
    assert_eq!((applied.status, applied.json()["result"].as_str()), (200, Some("applied")));
    scene.house.order_in(scene.order, OrderState::Fulfilled).await;
    let version = scene.house.find(scene.order).await.version;
    for repeat in [good, scene.word(&payment, 1, "failed"), scene.word(&payment, 0, "succeeded")] {
        let answer = scene.call_back(&repeat).await;
        assert_eq!((answer.status, answer.json()["result"].as_str()), (200, Some("ignored")));
    }
    assert_eq!(scene.house.find(scene.order).await.version, version);
    assert_eq!(scene.house.balance().await.sold, 2);
    scene.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn callbacks_that_nobody_took_are_made_by_the_next_worker() {
    let scene = Scene::open_with(false).await;
    let (_, pay_url) = scene.payment().await;
    assert_eq!(scene.shop.press(&pay_url, "succeed").await.status, 200);
    assert_eq!(scene.show().await["state"], "awaiting_payment", "nobody was told");
    let Scene { house, shop, order, .. } = scene;
    shop.close().await;

    house.clock.advance(Duration::from_secs(60));
    let shop = Shop::open(&house).await;
    house.order_in(order, OrderState::Fulfilled).await;
    until("the callback is on record as answered", async || {
        house.ports.ledger.untold_simulated(Duration::ZERO, 10).await.unwrap().is_empty()
    })
    .await;
    shop.close().await;
}
