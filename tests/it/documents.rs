//! The API documents: what is printed is what is served, and what a running house answers fits the schemas of
//! `docs/api/openapi.json`, field for field; what is pushed is in `frames.rs`. (That it names every route is tested in `src/roles/listeners/tests.rs`.)

use std::process::Command;

use futures_util::StreamExt;
use jsonschema::Validator;
use serde_json::{Value, json};
use tokio_tungstenite::{client_async, tungstenite::client::IntoClientRequest};
use yaml_rust2::{Yaml, YamlLoader};

use super::house::{ADMIN_TOKEN, Answer, BINARY, House, bearer, one, text};

/// A document, with every object of its schemas closed: an answer may have no field that it does not name.
pub(super) struct Documents(Value);

impl Documents {
    fn read() -> Self {
        Self::closed(serde_json::from_str(&printed("openapi")).unwrap())
    }

    /// The one of what is pushed.
    pub(super) fn asyncapi() -> Self {
        let documents = YamlLoader::load_from_str(&printed("asyncapi")).unwrap();
        Self::closed(as_json(&documents[0]))
    }

    fn closed(mut document: Value) -> Self {
        document["components"]["schemas"].as_object_mut().unwrap().values_mut().for_each(close);
        Self(document)
    }

    /// The first example of a message.
    pub(super) fn example(&self, message: &str) -> Value {
        self.0["components"]["messages"][message]["examples"][0]["payload"].clone()
    }

    /// Asserts that an answer is one that the document has for this operation.
    #[track_caller]
    fn fits(&self, path: &str, method: &str, answer: &Answer) {
        let status = answer.status.as_u16();
        let at = format!("/paths/{}/{method}/responses/{status}", escaped(path));
        let response = self.0.pointer(&at).unwrap_or_else(|| panic!("{at} is not documented"));
        let (at, response) = match response["$ref"].as_str() {
            Some(other) => (other[1..].to_owned(), self.0.pointer(&other[1..]).unwrap()),
            None => (at, response),
        };
        let Some(content) = response.get("content") else {
            assert_eq!(answer.body, Value::Null, "{at} has no body");
            return;
        };
        let kind = answer.headers["content-type"].to_str().unwrap();
        let kind = kind.split(';').next().unwrap();
        assert!(content.get(kind).is_some(), "{at} has no {kind}");
        self.is_valid(&format!("{at}/content/{}/schema", escaped(kind)), &answer.body);
    }

    #[track_caller]
    pub(super) fn is_valid(&self, at: &str, value: &Value) {
        let errors: Vec<String> = self
            .schema(at)
            .iter_errors(value)
            .map(|error| format!("{}: {error}", error.instance_path()))
            .collect();
        assert!(errors.is_empty(), "{at}\n{value:#}\n{errors:#?}");
    }

    pub(super) fn schema(&self, at: &str) -> Validator {
        let mut schema = self.0.clone();
        // A pointer in a URI: braces are not at home there.
        let at = at.replace('{', "%7B").replace('}', "%7D");
        schema["$ref"] = json!(format!("#{at}"));
        jsonschema::draft202012::options().should_validate_formats(true).build(&schema).unwrap()
    }
}

/// A document as the program prints it.
fn printed(command: &str) -> String {
    let output = Command::new(BINARY).arg(command).output().unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap()
}

fn as_json(yaml: &Yaml) -> Value {
    match yaml {
        Yaml::Null => Value::Null,
        Yaml::Boolean(word) => json!(word),
        Yaml::Integer(number) => json!(number),
        Yaml::Real(number) => json!(number.parse::<f64>().unwrap()),
        Yaml::String(text) => json!(text),
        Yaml::Array(list) => list.iter().map(as_json).collect(),
        Yaml::Hash(rows) => rows
            .iter()
            .map(|(key, value)| (key.as_str().unwrap().to_owned(), as_json(value)))
            .collect(),
        Yaml::Alias(_) | Yaml::BadValue => panic!("no YAML: {yaml:?}"),
    }
}

/// Fields that a schema does not name are errors, here and in all that it holds.
fn close(schema: &mut Value) {
    match schema {
        Value::Object(object) => {
            if object.contains_key("properties") && !object.contains_key("additionalProperties") {
                object.insert("additionalProperties".into(), json!(false));
            }
            object
                .iter_mut()
                .filter(|(key, _)| *key != "examples")
                .for_each(|(_, inner)| close(inner));
        }
        Value::Array(list) => list.iter_mut().for_each(close),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// As a segment of a JSON pointer.
fn escaped(segment: &str) -> String {
    segment.replace('~', "~0").replace('/', "~1")
}

const SALE: &str = "/v1/sales/{sale}";
const ENTRIES: &str = "/v1/sales/{sale}/entries";
const ENTRY: &str = "/v1/sales/{sale}/entries/{entry}";
const ORDER: &str = "/v1/orders/{order}";

#[tokio::test]
async fn what_is_printed_is_what_is_served_and_kept_by_those_who_have_it() {
    let house = House::start("").await;
    for (command, path, kind) in [
        ("openapi", "/openapi.json", "application/json"),
        ("asyncapi", "/asyncapi.yaml", "application/yaml"),
    ] {
        let printed = Command::new(BINARY).arg(command).output().unwrap().stdout;
        let client = sluice_http::client::Client::new(super::house::LONG);
        let request = http::Request::get(format!("http://{}{path}", house.public));
        let answer =
            client.send(request.body(bytes::Bytes::new()).unwrap(), 1 << 20).await.unwrap();
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.headers()["content-type"], kind);
        assert!(answer.headers().contains_key("ratelimit"), "it is counted like other answers");
        assert!(answer.body() == &printed, "{command} prints another document than {path}");
        let tag = answer.headers()["etag"].to_str().unwrap();
        let again = house.ask("GET", path, &[("if-none-match", tag)], None).await;
        assert_eq!((again.status.as_u16(), again.body), (304, Value::Null));
    }
}

/// A schema that lets everything pass would let these pass as well.
#[test]
fn the_schemas_refuse_what_is_wrong() {
    let documents = Documents::read();
    let entry = documents.schema("/components/schemas/Entry");
    let good = documents.0["components"]["schemas"]["Entry"]["examples"][0].clone();
    assert!(entry.is_valid(&good));
    for (field, value) in [
        ("state", json!("lost")),
        ("position", json!(0)),
        ("token_expires_at", json!("soon")),
        ("entry", json!("1")),
        ("unheard_of", json!(1)),
        ("links", json!({})),
    ] {
        let mut bad = good.clone();
        bad[field] = value;
        assert!(!entry.is_valid(&bad), "{bad:#}");
    }
}

#[tokio::test]
async fn what_buyers_are_answered_is_in_the_document() {
    let documents = Documents::read();
    let house = House::start("").await;
    house
        .sale(
            "drop",
            2,
            json!({ "multiplier": 0, "ceiling_per_second": 100, "tail_per_second": 100 }),
        )
        .await;
    documents.fits(SALE, "get", &house.ask("GET", "/v1/sales/drop", &[], None).await);
    documents.fits(SALE, "get", &house.ask("GET", "/v1/sales/none", &[], None).await);

    let joined = house.ask("POST", "/v1/sales/drop/entries", &[], Some(one())).await;
    assert_eq!(joined.status, 202);
    documents.fits(ENTRIES, "post", &joined);
    let bad = house.ask("POST", "/v1/sales/drop/entries", &[], Some(json!({ "items": [] }))).await;
    assert_eq!(bad.status, 400);
    documents.fits(ENTRIES, "post", &bad);
    let own = text(&joined.body["links"]["self"]).to_owned();
    let authorization = bearer(&joined.body);
    let holder = [("authorization", authorization.as_str())];
    let waiting = house.poll(&joined.body).await;
    assert_eq!(waiting.body["state"], "waiting");
    documents.fits(ENTRY, "get", &waiting);
    documents.fits(ENTRY, "get", &house.ask("GET", &own, &[], None).await);
    let renewed = house.ask("POST", &format!("{own}/token"), &holder, None).await;
    documents.fits("/v1/sales/{sale}/entries/{entry}/token", "post", &renewed);
    let ticket = house.ask("POST", &format!("{own}/ticket"), &holder, None).await;
    documents.fits("/v1/sales/{sale}/entries/{entry}/ticket", "post", &ticket);
    let offer = house.ask("POST", &format!("{own}/move"), &holder, None).await;
    documents.fits("/v1/sales/{sale}/entries/{entry}/move", "post", &offer);
    let page = format!("http://{}", house.public);
    let offer = house
        .ask("POST", &format!("{own}/move"), &[holder[0], ("origin", page.as_str())], None)
        .await;
    assert!(offer.body["qr"].is_string(), "{}", offer.body);
    documents.fits("/v1/sales/{sale}/entries/{entry}/move", "post", &offer);
    pushed_entry_is_the_same(&house, &documents, text(&ticket.body["ticket"])).await;
    let body = json!({ "ticket": offer.body["ticket"] });
    let moved = house.ask("POST", "/v1/sales/drop/move", &[], Some(body.clone())).await;
    assert_eq!(moved.status, 200, "{}", moved.body);
    documents.fits("/v1/sales/{sale}/move", "post", &moved);
    let used = house.ask("POST", "/v1/sales/drop/move", &[], Some(body)).await;
    assert_eq!(used.status, 409);
    documents.fits("/v1/sales/{sale}/move", "post", &used);
    let gone = house.ask("GET", &own, &holder, None).await;
    assert_eq!((gone.status.as_u16(), &gone.body["code"]), (401, &json!("moved")));
    documents.fits(ENTRY, "get", &gone);
    let joined = moved;
    let left = house.join("drop").await;
    let answer = house
        .ask("DELETE", text(&left["links"]["self"]), &[("authorization", &bearer(&left))], None)
        .await;
    documents.fits(ENTRY, "delete", &answer);
    documents.fits(ENTRY, "get", &house.poll(&left).await);

    house.operate("PATCH", "/v1/sales/drop/policy", Some(json!({ "multiplier": 1 }))).await;
    house.until(&joined.body, |entry| entry["state"] == "reserved").await;
    let mut reserved = house.poll(&joined.body).await;
    documents.fits(ENTRY, "get", &reserved);
    reserved.body["token"] = joined.body["token"].clone();
    orders_are_in_the_document(&house, &documents, &reserved.body).await;
}

/// What a socket is told of a place is what a poll tells.
async fn pushed_entry_is_the_same(house: &House, documents: &Documents, ticket: &str) {
    let address = format!("ws://{}/v1/sales/drop/push?ticket={ticket}", house.public);
    let stream = tokio::net::TcpStream::connect(house.public).await.unwrap();
    let request = address.into_client_request().unwrap();
    let (mut socket, _) = client_async(request, stream).await.unwrap();
    let frame = socket.next().await.unwrap().unwrap();
    let mut frame: Value = serde_json::from_str(frame.to_text().unwrap()).unwrap();
    assert_eq!(frame.as_object_mut().unwrap().remove("type"), Some(json!("entry")));
    documents.is_valid("/components/schemas/Entry", &frame);
}

async fn orders_are_in_the_document(house: &House, documents: &Documents, reserved: &Value) {
    let order = text(&reserved["links"]["order"]).to_owned();
    let authorization = bearer(reserved);
    let holder = [("authorization", authorization.as_str())];
    documents.fits(ORDER, "get", &house.ask("GET", &order, &holder, None).await);
    documents.fits(ORDER, "get", &house.ask("GET", &order, &[], None).await);
    let payment = house.ask("POST", &format!("{order}/payment"), &holder, None).await;
    documents.fits("/v1/orders/{order}/payment", "post", &payment);
    let page = text(&payment.body["pay_url"]).to_owned();
    let json = [("accept", "application/json")];
    documents.fits(
        "/v1/payments/simulated/{payment}",
        "get",
        &house.ask("GET", &page, &json, None).await,
    );
    house.pay(reserved).await;
    let again = house.ask("POST", &page, &[], Some(json!({ "result": "fail" }))).await;
    assert_eq!(again.status, 409);
    documents.fits("/v1/payments/simulated/{payment}", "post", &again);
    documents.fits(ORDER, "get", &house.ask("GET", &order, &holder, None).await);
    let cancelled = house.ask("POST", &format!("{order}/cancel"), &holder, None).await;
    assert_eq!(cancelled.status, 409);
    documents.fits("/v1/orders/{order}/cancel", "post", &cancelled);
    let refunded = house.ask("POST", &format!("{order}/refund"), &holder, None).await;
    assert_eq!(refunded.status, 200, "{}", refunded.body);
    documents.fits("/v1/orders/{order}/refund", "post", &refunded);
    let forged = house.ask("POST", "/v1/payments/simulated/callback", &[], Some(json!({}))).await;
    assert_eq!(forged.status, 401);
    documents.fits("/v1/payments/simulated/callback", "post", &forged);
}

#[tokio::test]
async fn what_seated_goods_answer_is_in_the_document() {
    let documents = Documents::read();
    let house = House::start("").await;
    let sku = json!({ "sku": "second", "seats": ["01A", "01B"], "stops": ["A", "B", "C"], "amount_fen": 100, "currency": "CNY" });
    let sale = json!({ "id": "train", "skus": [sku], "policy": { "tail_per_second": 50 } });
    let made = house.operate("POST", "/v1/sales", Some(sale)).await;
    documents.fits("/sales", "post", &made);
    documents.fits(SALE, "get", &house.ask("GET", "/v1/sales/train", &[], None).await);
    let wish = json!({ "items": [{ "sku": "second", "quantity": 1, "from": 0, "to": 2 }] });
    let joined = house.ask("POST", "/v1/sales/train/entries", &[], Some(wish)).await;
    documents.fits(ENTRIES, "post", &joined);
    let reserved = house.until(&joined.body, |entry| entry["state"] == "reserved").await;
    let authorization = bearer(&joined.body);
    let holder = [("authorization", authorization.as_str())];
    let order = house.ask("GET", text(&reserved["links"]["order"]), &holder, None).await;
    assert_eq!(order.body["items"][0]["to"], 2);
    documents.fits(ORDER, "get", &order);
}

#[tokio::test]
async fn what_operators_are_answered_is_in_the_document() {
    let documents = Documents::read();
    let house = House::start("").await;
    house
        .sale(
            "drop",
            5,
            json!({ "multiplier": 0, "limits": { "per_ip": { "per_second": 9, "burst": 9 } } }),
        )
        .await;
    house.join("drop").await;
    let ban = json!({ "header": { "name": "user-agent", "value": "curl" }, "reason": "a script" });
    let notice = json!({ "text": { "en": "Back soon", "zh": "马上回来" } });
    // More than the line has room for, so that some are seen to stand by.
    let crowd = json!({
        "policy": { "multiplier": 1, "line_cap": 2 },
        "crowd": { "shoppers": 10, "within_seconds": 1 }
    });
    for (method, path, of, body) in [
        ("GET", "/me", "/me", None),
        ("GET", "/sales", "/sales", None),
        ("GET", "/sales/drop", "/sales/{sale}", None),
        ("GET", "/sales/none", "/sales/{sale}", None),
        ("DELETE", "/sales/drop", "/sales/{sale}", None),
        ("PATCH", "/sales/drop/policy", "/sales/{sale}/policy", Some(json!({ "fraction": 0.5 }))),
        ("PATCH", "/sales/drop/policy", "/sales/{sale}/policy", Some(json!({ "fraction": 7 }))),
        ("POST", "/sales/drop/notice", "/sales/{sale}/notice", Some(notice)),
        ("POST", "/sales/drop/pause", "/sales/{sale}/pause", Some(json!({ "reason": "a pause" }))),
        ("POST", "/sales/drop/resume", "/sales/{sale}/resume", None),
        (
            "POST",
            "/sales/drop/skus/standard/stock",
            "/sales/{sale}/skus/{sku}/stock",
            Some(json!({ "add": 5 })),
        ),
        ("POST", "/sales/drop/preview", "/sales/{sale}/preview", Some(crowd)),
        ("GET", "/sales/drop/stats", "/sales/{sale}/stats", None),
        ("POST", "/reconciliation/run", "/reconciliation/run", None),
        ("GET", "/reconciliation", "/reconciliation", None),
        ("GET", "/dead-letters", "/dead-letters", None),
        ("GET", "/dead-letters/none", "/dead-letters/{letter}", None),
        ("POST", "/bans", "/bans", Some(ban.clone())),
        ("POST", "/bans", "/bans", Some(ban)),
        ("GET", "/bans", "/bans", None),
        ("DELETE", "/bans/1", "/bans/{id}", None),
        ("DELETE", "/bans?id=1", "/bans", None),
        ("GET", "/audit?limit=5", "/audit", None),
        ("GET", "/audit?limit=0", "/audit", None),
        (
            "POST",
            "/turns/none/outcome",
            "/turns/{entry}/outcome",
            Some(json!({ "outcome": "refused" })),
        ),
    ] {
        let answer = house.operate(method, &format!("/v1{path}"), body).await;
        documents.fits(of, &method.to_lowercase(), &answer);
    }
    let stranger = house.ask("GET", &format!("http://{}/v1/sales", house.admin), &[], None).await;
    assert_eq!(stranger.status, 401);
    documents.fits("/sales", "get", &stranger);
}

/// The roles that the document names are those that are asked for.
#[tokio::test]
async fn an_operation_needs_the_role_that_the_document_names() {
    let documents = Documents::read();
    let token = |role: &str| format!("a-{role}-token-for-tests-only-0123456789");
    let tokens: Vec<String> = ["viewer", "operator", "backend"]
        .map(|role| {
            format!("{{ name = \"{role}\", role = \"{role}\", token = \"{}\" }}", token(role))
        })
        .into();
    let house = House::start_with_tokens(&tokens.join(", ")).await;
    for (path, item) in documents.0["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let Some(needed) = operation["security"][0]["operatorToken"][0].as_str() else {
                continue;
            };
            let url = format!("http://{}/v1{}", house.admin, path.replace(['{', '}'], "0"));
            for role in ["viewer", "operator", "backend", "admin"] {
                let secret = if role == "admin" { ADMIN_TOKEN.to_owned() } else { token(role) };
                let may = match needed {
                    "backend" => role == "backend",
                    "admin" => role == "admin",
                    "operator" => ["operator", "admin"].contains(&role),
                    _ => role != "backend",
                };
                let authorization = format!("Bearer {secret}");
                // A body that fits nothing: nobody changes anything.
                let answer = house
                    .ask(
                        &method.to_uppercase(),
                        &url,
                        &[("authorization", &authorization)],
                        Some(json!([])),
                    )
                    .await;
                assert_eq!(answer.status != 403, may, "{role}: {method} {url}: {}", answer.body);
            }
        }
    }
}
