//! The page as it leaves the server: what it weighs, what it allows, and what it does with what people wrote.

use sluice_core::{
    clock::UnixMillis,
    entry::EntryState,
    forecast::{EtaSeconds, Odds},
    ids::{BuyerId, EntryId, HoldId, OrderId, SaleId, Seq, ShopOrderId, Version},
    money::{AmountFen, Currency},
    order::{ClosingCause, Order, OrderName, OrderState},
    sale::NewSale,
    view::{
        Directory,
        object::{EntryObject, Links},
    },
};

use super::*;
use crate::shown::{Bought, Filled, ShownSale, Trouble};

/// The most the page may weigh, in bytes.
const WIRE_BYTES_MAX: usize = 25_000;

fn of(title: &str, skus: &serde_json::Value) -> ShownSale {
    let json = serde_json::json!({ "id": "demo", "title": title, "skus": skus });
    let sale = serde_json::from_value::<NewSale>(json).unwrap().build(UnixMillis(0)).unwrap();
    let view = Directory::default().learn_sale(Arc::new(sale));
    ShownSale::of(&view.read(), UnixMillis(0))
}

fn shown_sale(title: &str) -> ShownSale {
    let skus = serde_json::json!([
        { "sku": "standard", "stock": 100, "amount_fen": 9900, "currency": "CNY" },
        { "sku": "deluxe", "stock": 10, "amount_fen": 19900, "currency": "CNY" },
    ]);
    of(title, &skus)
}

/// Goods of these names that call at these stops.
fn train(skus: &[&str], stops: &[&str]) -> serde_json::Value {
    let sku = |sku: &&str| serde_json::json!({ "sku": sku, "seats": ["01A", "01B"], "stops": stops, "amount_fen": 100, "currency": "CNY" });
    skus.iter().map(sku).collect()
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

/// An order of the entry that waits for its payment.
fn order() -> Order {
    Order {
        id: OrderId::from_bytes([8; 16]),
        sale: SaleId::new("demo").unwrap(),
        entry: EntryId::from_bytes([7; 16]),
        buyer: BuyerId::new("ada").unwrap(),
        hold: HoldId::from_bytes([9; 16]),
        state: OrderState::AwaitingPayment,
        version: Version(1),
        closing_cause: None,
        lines: Vec::new(),
        amount: AmountFen(9_905),
        currency: Currency::CNY,
        pay_by: UnixMillis(0),
        payment: None,
        shop: None,
        reach: None,
        history: Vec::new(),
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
    Shown {
        sale_id: "demo",
        sale: Some(sale.clone()),
        entry,
        refusal: None,
        trouble: None,
        filled: None,
        order: None,
    }
}

/// Everything a first visit loads, as a browser gets it that takes gzip: the page, script, style, the larger language, the
/// icon.
#[test]
fn the_page_is_light() {
    let pages = pages(&PageSettings::default());
    let assets = pages.assets_of();
    let stops = [
        "Beijing South",
        "Tianjin South",
        "Jinan West",
        "Xuzhou East",
        "Nanjing South",
        "Wuxi East",
        "Suzhou North",
        "Shanghai Hongqiao",
    ];
    let classes = train(&["second-class", "first-class", "business-class"], &stops);
    let page = [shown_sale("Harbour Lights"), of("G1 Beijing – Shanghai, 22 November", &classes)]
        .map(|sale| html(&Visit::default(), &shown(&sale, None)))
        .map(|html| gzip(html.as_bytes(), Compression::fast()).unwrap().len());
    let page = page[0].max(page[1]);
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
            "moved",
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
fn a_shops_order_is_the_shops_however_its_link_looks() {
    let sale = shown_sale("Harbour Lights");
    let id = OrderId::from_bytes([9; 16]);
    let page = |order, link: String| {
        let links = Links { own: String::new(), push: String::new(), order: Some(link) };
        let entry = EntryObject { order: Some(order), links, ..entry(EntryState::Reserved) };
        html(&Visit::default(), &shown(&sale, Some(&entry)))
    };
    let shops = OrderName::Shop(ShopOrderId::new(&id.to_string()).unwrap());
    let link = format!("https://shop.example/v1/orders/{id}");
    let at_shop = page(shops, link.clone());
    assert!(at_shop.contains("data-scene=\"shop\"") && at_shop.contains(&link), "{at_shop}");
    for link in [format!("/v1/orders/{id}"), format!("https://orders.example/v1/orders/{id}")] {
        let own = page(OrderName::Own(id), link);
        assert!(own.contains("data-scene=\"reserved\"") && !own.contains("orders/"), "{own}");
    }
}

#[test]
fn the_script_hears_where_orders_are_kept() {
    let pages = pages(&PageSettings {
        orders: "https://orders.example/api".into(),
        ..PageSettings::default()
    });
    let language = pages.0.languages.find("en").unwrap();
    let sale = shown_sale("Harbour Lights");
    let html = pages.html(language, &Visit::default(), &shown(&sale, None), Purpose::Buyers);
    assert!(html.contains("data-orders=\"https://orders.example\""), "{html}");
}

#[test]
fn goods_that_call_somewhere_ask_from_where_to_where() {
    let sale = of("A train", &train(&["second", "first"], &["Ayton", "B & C", "Dunbar"]));
    let page = html(&Visit::default(), &shown(&sale, None));
    for part in [
        "<span>From</span><select name=\"from\"><option value=\"0\" selected>Ayton<option value=\"1\">B &amp; C</select>",
        "<span>To</span><select name=\"to\"><option value=\"1\">B &amp; C<option value=\"2\" selected>Dunbar</select>",
        "<span>Passengers</span>",
        "<tr><th scope=\"row\">Ayton to B &amp; C<td>2<td>2",
    ] {
        assert!(page.contains(part), "{part} is not in {page}");
    }
    assert_eq!(page.matches("<form").count(), 1);
    let counted = html(&Visit::default(), &shown(&shown_sale("A drop"), None));
    assert!(!counted.contains("<select") && counted.contains("<span>How many?</span>"));
}

#[test]
fn a_stretch_that_runs_backwards_comes_back_to_be_mended() {
    let sale = of("A train", &train(&["second", "first"], &["Ayton", "Berwick", "Dunbar"]));
    let filled = Filled { sku: "first".into(), quantity: Some(3), from: Some(1), to: Some(1) };
    let (refusal, trouble) = (Some("bad_request"), Some(Trouble::Stretch));
    for (tag, says) in [("en", "“To” must be a stop after Berwick"), ("zh-CN", "必须在Berwick之后")]
    {
        let (sale, filled) = (Some(sale.clone()), Some(filled.clone()));
        let shown = Shown { sale, refusal, trouble, filled, ..Shown::nothing_of("demo") };
        let page = html(&Visit { chosen: Some(tag), ..Visit::default() }, &shown);
        for part in [
            says,
            "value=\"first\" checked",
            "value=\"3\" required",
            "<option value=\"1\" selected>Berwick<",
            "name=\"to\" autofocus aria-invalid=\"true\" aria-describedby=\"wrong\"",
            "id=\"wrong\" role=\"alert\"",
        ] {
            assert!(page.contains(part), "{part} is not in {page}");
        }
    }
}

#[test]
fn goods_that_call_elsewhere_have_a_form_of_their_own() {
    let mut skus = train(&["second"], &["Ayton", "Dunbar"]);
    let coach = train(&["coach"], &["Ayton", "Leith", "Dunbar"]);
    let lunch =
        serde_json::json!({ "sku": "lunch", "stock": 5, "amount_fen": 1, "currency": "CNY" });
    skus.as_array_mut().unwrap().extend([lunch, coach[0].clone()]);
    let page = html(&Visit::default(), &shown(&of("A train", &skus), None));
    assert_eq!(page.matches("<form method=\"post\">").count(), 3);
    assert_eq!(page.matches("name=\"from\"").count(), 2);
}

#[test]
fn a_page_without_javascript_comes_again_and_never_forgets_what_it_showed() {
    let sale = shown_sale("A drop");
    let visit = Visit { seen: Some(9_000), ..Visit::default() };
    let waiting = html(&visit, &shown(&sale, Some(&entry(EntryState::Waiting))));
    assert!(waiting.contains("content=\"20;url=/w/demo?seen=9000\""), "{waiting}");
    assert!(waiting.contains("1,203") && waiting.contains("3 to 5 min"));
    assert!(waiting.contains("<title>1,203 – A drop</title>"));
    let reserved = html(&visit, &shown(&sale, Some(&entry(EntryState::Reserved))));
    assert!(reserved.contains("<title>Your turn! – A drop</title>"));
    let standby = html(&visit, &shown(&sale, Some(&entry(EntryState::Standby))));
    assert!(standby.contains("You are standing by") && standby.contains("value=\"leave\""));
    assert!(standby.contains("<title>A drop</title>") && standby.contains("content=\"30;url="));
    let joining = html(&visit, &shown(&sale, None));
    assert!(joining.contains("<form method=\"post\">") && !joining.contains("http-equiv"));
}

#[test]
fn an_order_is_paid_and_followed_without_a_script() {
    let sale = shown_sale("A drop");
    let link = Some("https://orders.example/v1/orders/1".to_owned());
    let bare = entry(EntryState::Reserved);
    let entry = EntryObject { links: Links { order: link, ..bare.links }, ..bare };
    let mut order = order();
    let trouble = Some(Trouble::Payment);
    let page = |order: &Order, token, trouble| {
        let order = Some(Bought { order, token });
        let shown = Shown { order, trouble, ..shown(&sale, Some(&entry)) };
        let visit = Visit { encodings: Some("gzip"), ..Visit::default() };
        let response = pages(&PageSettings::default()).show(StatusCode::OK, &visit, &shown);
        let keep = response.headers()[CACHE_CONTROL].to_str().unwrap().to_owned();
        (html(&visit, &shown), response.headers().contains_key(CONTENT_ENCODING), keep)
    };
    let (payable, packed, keep) = page(&order, Some("t0k"), trouble);
    for part in [
        "<noscript><form method=\"post\" action=\"https://orders.example/v1/orders/1/payment\">",
        "<input type=\"hidden\" name=\"token\" value=\"t0k\">",
        "Pay 99.05 CNY",
        "The payment could not be opened just now.",
    ] {
        assert!(payable.contains(part), "{part} is not in {payable}");
    }
    assert_eq!((packed, keep.as_str()), (false, "no-store, no-transform"));
    let (unproven, packed, keep) = page(&order, None, None);
    assert!(unproven.contains("please allow JavaScript") && !unproven.contains("/payment"));
    assert_eq!((packed, keep.as_str()), (true, "private, no-cache"));
    for (state, cause, says, comes_again) in [
        (OrderState::Paid, None, "Payment received", true),
        (OrderState::Fulfilled, None, "All done", false),
        (OrderState::Closing, None, "Checking for your payment", true),
        (OrderState::Closed, Some(ClosingCause::Deadline), "was not paid in time", false),
        (OrderState::Closed, Some(ClosingCause::Cancelled), "is cancelled", false),
        (OrderState::Refunded, None, "Refunded", false),
    ] {
        (order.state, order.closing_cause) = (state, cause);
        let (html, ..) = page(&order, None, trouble);
        assert!(!html.contains("could not be opened"), "{state:?}");
        assert!(html.contains(says) && !html.contains("/payment"), "{says} is not in {html}");
        assert!(html.contains(&order.id.to_string()) && html.contains("99.05 CNY"), "{html}");
        assert_eq!(html.contains("http-equiv=\"refresh\""), comes_again, "{state:?}");
    }
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
        ..PageSettings::default()
    });
    assert!(
        spread.contains("connect-src 'self' https://push.example wss://push.example;"),
        "{spread}"
    );
    assert!(spread.ends_with("frame-ancestors https://shop.example"), "{spread}");
    let orders = "https://orders.example/v1".into();
    let elsewhere = policy(&PageSettings { orders, ..PageSettings::default() });
    assert!(elsewhere.contains("form-action 'self' https://orders.example;"), "{elsewhere}");
}
