//! What is said about bodies that do not fit.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;
use sluice_core::{clock::UnixMillis, ids::SaleId};

use super::*;
use crate::Response;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "only parsed")]
struct Join {
    items: Vec<Item>,
    #[serde(default)]
    contact: Option<Contact>,
    #[serde(default)]
    pace: Option<Pace>,
    #[serde(default)]
    sale: Option<SaleId>,
    #[serde(default)]
    opens_at: Option<UnixMillis>,
    #[serde(default)]
    open: bool,
    #[serde(default)]
    nothing: Option<Nothing>,
    #[serde(default)]
    pairs: Vec<(String, Item)>,
    #[serde(default)]
    named: BTreeMap<String, Item>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "only parsed")]
struct Item {
    sku: String,
    quantity: u32,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "only parsed")]
struct Contact {
    phone: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(dead_code, reason = "only parsed")]
enum Pace {
    Fast,
    Slow,
    Still,
    Far { miles: u32 },
    Near(Vec<Item>),
}

fn refused(body: &str) -> (String, Option<String>) {
    let problem = read_json::<Join>(body.as_bytes()).unwrap_err();
    assert_eq!((problem.status(), problem.code()), (StatusCode::BAD_REQUEST, "bad_request"));
    (problem.detail().to_owned(), problem.field_path().map(str::to_owned))
}

#[track_caller]
fn check(body: &str, field: &str, words: &str) {
    let (detail, named) = refused(body);
    assert_eq!(named.as_deref(), Some(field), "{detail}");
    assert!(detail.starts_with(&format!("`{field}` {words}")), "{detail}");
    assert!(detail.contains("line 1 column "), "{detail}");
}

#[test]
fn a_field_that_does_not_fit_is_named_with_its_path() {
    let number = "must be a whole number from 0 to 4294967295, not a";
    check(
        r#"{"items":[{"sku":"a","quantity":1},{"sku":"a","quantity":"x"}]}"#,
        "items[1].quantity",
        &format!("{number} string"),
    );
    check(
        r#"{"items":[{"sku":"a","quantity":-1}]}"#,
        "items[0].quantity",
        &format!("{number} whole number that does not fit"),
    );
    check(r#"{"items":[{"sku":"a","quantity":9223372036854775808}]}"#, "items[0].quantity", number);
    check(
        r#"{"items":[{"sku":"a","quantity":1e400}]}"#,
        "items[0].quantity",
        "is a number out of range",
    );
    check(
        r#"{"items":[{"sku":"a","quantity":1.5}]}"#,
        "items[0].quantity",
        &format!("{number} fractional number"),
    );
    check(r#"{"items":{}}"#, "items", "must be a list, not an object");
    check(r#"{"items":[7]}"#, "items[0]", "must be an object, not a whole number");
    check(r#"{"items":[],"open":null}"#, "open", "must be true or false, not null");
    check(r#"{"items":[],"pace":"warp"}"#, "pace", "must be one of `fast`, `slow`, `still`, `far`");
    check(r#"{"items":[],"pace":"wa`, expected rp"}"#, "pace", "must be one of `fast`");
    check(r#"{"items":[],"sale":"No Slug"}"#, "sale", "must be 1 to 63 characters");
    check(r#"{"items":[],"opens_at":"soon"}"#, "opens_at", "must be an RFC 3339 time");
}

/// Derived types take a list of their fields in order; no client means that.
#[test]
fn a_list_is_no_object_at_any_depth() {
    for body in ["[]", "[1]", r#"[[{"sku":"a","quantity":1}],null,null,null,null,false,null]"#] {
        let (detail, field) = refused(body);
        assert!(detail.starts_with("The body must be an object, not a list"), "{detail}");
        assert_eq!(field, None);
    }
    let words = "must be an object, not a list";
    check(r#"{"items":[["a",1]]}"#, "items[0]", words);
    check(r#"{"items":[],"contact":["123456"]}"#, "contact", words);
    check(r#"{"items":[],"nothing":[]}"#, "nothing", words);
    check(r#"{"items":[],"pace":{"far":[1]}}"#, "pace", words);
    check(r#"{"items":[],"pace":{"near":[["a",1]]}}"#, "pace[0]", words);
    check(
        r#"{"items":[],"pairs":[["a",{"sku":"b","quantity":1}],["b",["c",2]]]}"#,
        "pairs[1][1]",
        words,
    );
    check(r#"{"items":[],"named":{"a":["b",2]}}"#, "named.a", words);
    let fits = r#"{"items":[{"sku":"a","quantity":1}],"contact":{"phone":"1"},"nothing":{},
        "pace":{"far":{"miles":3}},"pairs":[["a",{"sku":"b","quantity":2}]],
        "named":{"a":{"sku":"b","quantity":2}},"sale":"demo","opens_at":"2030-01-01T00:00:00Z","open":true}"#;
    assert!(read_json::<Join>(fits.as_bytes()).is_ok());
    for pace in [r#""fast""#, r#"{"near":[{"sku":"a","quantity":1}]}"#, "null"] {
        let body = format!(r#"{{"items":[],"pace":{pace}}}"#);
        assert!(read_json::<Join>(body.as_bytes()).is_ok(), "{body}");
    }
}

#[test]
fn unknown_missing_and_repeated_fields_are_named() {
    check(
        r#"{"items":[{"sku":"a","quantity":1,"colour":"red"}]}"#,
        "items[0].colour",
        "is not a known field; known here: `sku`",
    );
    check(
        r#"{"items":[],"contact":{"fax":1}}"#,
        "contact.fax",
        "is not a known field; known here: `phone`",
    );
    check(
        r#"{"items":[],"nothing":{"a":1}}"#,
        "nothing.a",
        "is not a known field; known here: none",
    );
    check(r#"{"items":[{"sku":"a"}]}"#, "items[0].quantity", "is missing");
    check("{}", "items", "is missing");
    check(r#"{"items":[],"items":[]}"#, "items", "appears twice");
    check(r#"{"items":[{"sku":"a","sku":"b","quantity":1}]}"#, "items[0].sku", "appears twice");
}

#[test]
fn something_else_than_a_word_is_no_fault_of_syntax() {
    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "snake_case")]
    enum Word {
        Refuse,
    }
    #[derive(Debug, Deserialize)]
    struct Policy {
        overflow: Word,
    }
    let refused = read_json::<Policy>(br#"{"overflow":1}"#).unwrap_err();
    assert!(refused.detail().starts_with("`overflow` is of the wrong type (line 1"), "{refused:?}");
    let refused = read_json::<Policy>(br#"{"overflow":1"#).unwrap_err();
    assert!(refused.detail().starts_with("The body is not valid JSON"), "{refused:?}");
    assert!(matches!(
        read_json(br#"{"overflow":"refuse"}"#),
        Ok(Policy { overflow: Word::Refuse })
    ));
}

#[test]
fn what_is_not_json_is_told_by_place() {
    for body in [
        "{",
        "",
        "{\"items\":[}",
        "nonsense",
        "{\"items\":[]} trailing",
        "{\"items\":[],}",
        "\u{feff}{}",
        "{\"items\":[\u{1}]}",
    ] {
        let (detail, field) = refused(body);
        assert!(
            detail.starts_with("The body is not valid JSON: ") && detail.contains("line 1 column "),
            "{body}: {detail}"
        );
        assert_eq!(field, None, "{body}");
    }
    assert!(read_json::<Join>(b"{\"items\":[\"\xff\"]}").is_err());
    assert!(read_json::<Value>("[".repeat(100_000).as_bytes()).is_err(), "nesting has a limit");
    let (detail, _) = refused("7");
    assert!(detail.starts_with("The body must be an object, not a whole number"), "{detail}");
}

#[test]
fn what_was_sent_is_never_repeated() {
    let secret = "13800138000";
    for body in [
        format!(r#"{{"items":[],"contact":{{"phone":{secret}}}}}"#),
        format!(r#"{{"items":[],"contact":{{"phone":["{secret}"]}}}}"#),
        format!(r#"{{"items":"{secret}, expected nothing"}}"#),
        format!(r#"{{"items":[],"pace":"{secret}"}}"#),
        format!(r#"{{"items":[{{"sku":"a","quantity":"{secret}"}}]}}"#),
        format!(r#"{{"items":[],"contact":"{secret}"}}"#),
        format!(r#"{{"items":[],"sale":"{secret} !"}}"#),
    ] {
        let (detail, _) = refused(&body);
        assert!(!detail.contains(secret), "{body}: {detail}");
    }
}

#[test]
fn what_the_client_named_is_cut_and_made_harmless() {
    let long = "k".repeat(10_000);
    let (detail, field) = refused(&format!(r#"{{"{long}":1}}"#));
    assert!(detail.len() < 512, "{}", detail.len());
    assert_eq!(field.unwrap(), format!("{}…", "k".repeat(64)));
    let (detail, _) = refused("{\"a\\u0000\\r\\nb\":1}");
    assert!(!detail.contains(char::is_control), "{detail:?}");
    let response =
        Response::from(read_json::<Join>(format!(r#"{{"{long}":1}}"#).as_bytes()).unwrap_err());
    assert_eq!(response.status(), StatusCode::BAD_REQUEST);
}
