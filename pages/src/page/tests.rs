//! The page as it leaves the server: what it weighs, what it allows, and what it does with what people wrote.

use sluice_core::{
    clock::UnixMillis,
    entry::EntryState,
    forecast::{EtaSeconds, Odds},
    ids::{EntryId, SaleId, Seq, Version},
    sale::{NewSale, Sale},
    view::{
        Directory,
        object::{EntryObject, Links},
    },
};

use super::*;
use crate::shown::ShownSale;

/// The most the page may weigh, in bytes.
const WIRE_BYTES_MAX: usize = 25_000;

fn sale(title: &str) -> Sale {
    let json = serde_json::json!({ "id": "demo", "title": title, "skus": [
        { "sku": "standard", "stock": 100, "amount_fen": 9900, "currency": "CNY" },
        { "sku": "deluxe", "stock": 10, "amount_fen": 19900, "currency": "CNY" },
    ] });
    serde_json::from_value::<NewSale>(json).unwrap().build(UnixMillis(0)).unwrap()
}

fn shown_sale(title: &str) -> ShownSale {
    let view = Directory::default().learn_sale(Arc::new(sale(title)));
    let reading = view.read();
    ShownSale::of(&reading, UnixMillis(0))
}

fn entry(state: EntryState) -> EntryObject {
    EntryObject {
        entry: EntryId::from_bytes([7; 16]),
        sale: SaleId::new("demo").unwrap(),
        state,
        version: Version(1),
        seq: Some(Seq(9_244)),
        position: (state == EntryState::Waiting).then_some(1_203),
        serving: Seq(8_041),
        eta_seconds: Some(EtaSeconds { p50: 190, p90: 290 }),
        odds: Some(Odds::Likely),
        poll_after_ms: 2_000,
        token: None,
        token_expires_at: UnixMillis(0),
        order: None,
        pay_by: None,
        reason: None,
        stale: false,
        links: Links { own: String::new(), push: String::new(), order: None },
    }
}

fn pages(settings: &PageSettings) -> Pages {
    Pages::build(settings).unwrap()
}

fn html(visit: &Visit<'_>, shown: &Shown<'_>) -> String {
    let pages = pages(&PageSettings::default());
    let languages = &pages.0.languages;
    let language = languages.find(visit.chosen.unwrap_or("en")).unwrap();
    pages.html(language, visit, shown, Purpose::Buyers)
}

fn shown<'a>(sale: &ShownSale, entry: Option<&'a EntryObject>) -> Shown<'a> {
    Shown { sale_id: "demo", sale: Some(sale.clone()), entry, refusal: None, trouble: None }
}

/// Everything a first visit loads, as a browser gets it that takes gzip: the page as it is, script, style, the larger
/// language, the icon.
#[test]
fn the_page_is_light() {
    let pages = pages(&PageSettings::default());
    let assets = pages.assets_of();
    let sale = shown_sale("Harbour Lights");
    let page = html(&Visit::default(), &shown(&sale, None)).len();
    let texts = assets.wire_bytes("en.json").max(assets.wire_bytes("zh-CN.json"));
    let files = ["page.js", "page.css", "icon.svg"].map(|file| assets.wire_bytes(file));
    let sum = page + texts + files.iter().sum::<usize>();
    assert!(sum < WIRE_BYTES_MAX, "{sum} bytes: page {page}, texts {texts}, files {files:?}");
}

#[test]
fn nothing_is_left_to_fill_in_whatever_is_shown() {
    let sale = shown_sale("Harbour Lights");
    for chosen in ["en", "zh-CN"] {
        let visit = Visit { chosen: Some(chosen), ..Visit::default() };
        for state in [
            EntryState::Waiting,
            EntryState::Called,
            EntryState::Standby,
            EntryState::Reserved,
            EntryState::SoldOut,
            EntryState::Left,
            EntryState::Expired,
            EntryState::Refused,
        ] {
            let html = html(&visit, &shown(&sale, Some(&entry(state))));
            assert!(!html.contains("{{") && html.contains("<h1"), "{state:?}");
            let bare = html
                .split('>')
                .any(|part| part.trim().starts_with(&format!("{}.", state.as_str())));
            assert!(!bare, "{state:?} shows a key for a sentence");
        }
        for refusal in [
            "banned",
            "sale_closed",
            "sold_out",
            "sale_paused",
            "line_full",
            "identity_required",
            "no_such_sale",
            "not_open_yet",
            "unavailable",
        ] {
            let shown = Shown { refusal: Some(refusal), ..shown(&sale, None) };
            assert!(html(&visit, &shown).contains("<h1"), "{refusal}");
        }
    }
}

#[test]
fn what_people_wrote_is_text() {
    let evil = "</title><script>alert(1)</script>{{assets}}\" onload=\"x";
    let mut sale = shown_sale(evil);
    sale.notice = Some([("en".to_owned(), evil.to_owned())].into());
    let html = html(
        &Visit { entry: Some(evil), ..Visit::default() },
        &Shown { sale_id: evil, ..shown(&sale, None) },
    );
    assert!(!html.contains("<script>") && !html.contains("\" onload"), "{html}");
    assert!(html.contains("{{assets}}"), "what was filled in was looked at again");
    assert_eq!(html.matches("<script").count(), 1);
}

#[test]
fn a_page_without_javascript_comes_again_and_never_forgets_what_it_showed() {
    let sale = shown_sale("A drop");
    let visit = Visit { seen: Some(9_000), ..Visit::default() };
    let waiting = html(&visit, &shown(&sale, Some(&entry(EntryState::Waiting))));
    assert!(waiting.contains("content=\"20;url=/w/demo?seen=9000\""), "{waiting}");
    assert!(waiting.contains("1,203") && waiting.contains("3 to 5 min"));
    let joining = html(&visit, &shown(&sale, None));
    assert!(joining.contains("<form method=\"post\">") && !joining.contains("http-equiv"));
}

#[test]
fn the_policy_allows_what_the_page_needs_and_nothing_else() {
    let policy = |settings: &PageSettings| super::policy(settings).to_str().unwrap().to_owned();
    let plain = policy(&PageSettings::default());
    assert_eq!(
        plain,
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    );
    let spread = policy(&PageSettings {
        connect: vec!["https://push.example/line".into(), String::new(), "https://x;y".into()],
        frame_ancestors: vec!["https://shop.example".into()],
        brand: None,
    });
    assert!(
        spread.contains("connect-src 'self' https://push.example wss://push.example;"),
        "{spread}"
    );
    assert!(spread.ends_with("frame-ancestors https://shop.example"), "{spread}");
}
