//! The rules of `sale`, each as a test.

use super::*;

fn sale() -> Sale {
    let json =
        r#"{"id":"drop","skus":[{"sku":"a","stock":10,"amount_fen":9900,"currency":"CNY"}]}"#;
    serde_json::from_str::<NewSale>(json).unwrap().build(UnixMillis(0)).unwrap()
}

#[test]
fn the_state_follows_the_clock_and_the_operator() {
    let mut sale = sale();
    sale.opens_at = Some(UnixMillis(100));
    sale.closes_at = Some(UnixMillis(200));
    assert_eq!(sale.state(UnixMillis(99), false), SaleState::Scheduled);
    assert_eq!(sale.state(UnixMillis(100), false), SaleState::Open);
    assert_eq!(sale.state(UnixMillis(100), true), SaleState::SoldOut);
    assert_eq!(sale.state(UnixMillis(200), true), SaleState::Closed);
    let paused = sale.changed(&SaleChange::Pause).unwrap();
    assert_eq!(paused.state(UnixMillis(100), false), SaleState::Paused);
    assert_eq!(paused.version, Version(2));
    let closed = paused.changed(&SaleChange::Close).unwrap();
    assert_eq!(closed.state(UnixMillis(100), false), SaleState::Closed);
    assert_eq!(closed.changed(&SaleChange::Resume), Err(ChangeRefused::Closed));
}

#[test]
fn pausing_never_lifts_a_freeze() {
    let frozen = sale().changed(&SaleChange::Freeze).unwrap();
    assert_eq!(frozen.changed(&SaleChange::Pause).unwrap().control, Control::Frozen);
    assert_eq!(frozen.changed(&SaleChange::Resume).unwrap().control, Control::Running);
}

#[test]
fn stock_is_added_within_its_limit() {
    let add =
        |units| sale().changed(&SaleChange::AddStock { sku: SkuId::new("a").unwrap(), units });
    assert_eq!(add(5).unwrap().skus[0].stock, 15);
    assert!(add(0).is_err());
    assert!(add(STOCK_MAX).is_err());
}

#[test]
fn a_basket_must_fit_the_sale() {
    let basket = |json: &str| serde_json::from_str::<Basket>(json).unwrap();
    let sale = sale();
    assert!(sale.check_basket(&basket(r#"[{"sku":"a","quantity":10}]"#)).is_ok());
    assert_eq!(
        sale.check_basket(&basket(r#"[{"sku":"b","quantity":1}]"#)).unwrap_err().field,
        "items.sku"
    );
    assert_eq!(
        sale.check_basket(&basket(r#"[{"sku":"a","quantity":11}]"#)).unwrap_err().field,
        "items.quantity"
    );
    assert_eq!(sale.price(&basket(r#"[{"sku":"a","quantity":2}]"#)), Some(AmountFen(19_800)));
}

fn train(seats: &[&str], stops: &[&str]) -> Result<Sale, OutOfRange> {
    let body = serde_json::json!({
        "id": "train",
        "skus": [{ "sku": "second", "seats": seats, "stops": stops, "amount_fen": 100, "currency": "CNY" }],
    });
    serde_json::from_value::<NewSale>(body).unwrap().build(UnixMillis(0))
}

#[test]
fn a_seated_sku_is_counted_in_seat_legs() {
    let sale = train(&["01A", "01B"], &["a", "b", "c", "d"]).unwrap();
    assert_eq!(sale.skus[0].stock, 6);
    let sellable = |units| sale.skus[0].sellable(units);
    assert_eq!([6, 5, 3, 2, 1, 0].map(sellable), [2, 1, 1, 1, 1, 0]);
    let written = serde_json::to_value(&sale).unwrap();
    let sku = &written["skus"][0];
    assert_eq!((&sku["stock"], &sku["seats"][1]), (&serde_json::Value::Null, &"01B".into()));
    assert_eq!(serde_json::from_value::<Sale>(written).unwrap(), sale);
    let add = SaleChange::AddStock { sku: SkuId::new("second").unwrap(), units: 1 };
    let refused = sale.changed(&add).unwrap_err();
    assert!(
        matches!(refused, ChangeRefused::OutOfRange(OutOfRange { field, .. }) if field == "add")
    );
}

#[test]
fn a_sku_is_counted_or_seated() {
    let read = |sku: &str| {
        let json = format!(r#"{{"sku":"a","amount_fen":1,"currency":"CNY"{sku}}}"#);
        serde_json::from_str::<Sku>(&json).map_err(|error| error.to_string())
    };
    assert!(read(r#","stock":1"#).is_ok());
    assert!(read(r#","seats":["01A"],"stops":["x","y"]"#).is_ok());
    for (given, said) in [
        ("", "`skus.stock`"),
        (r#","stock":1,"seats":["01A"],"stops":["x","y"]"#, "not both"),
        (r#","stock":1,"stops":["x","y"]"#, "not both"),
        (r#","seats":["01A"]"#, "`skus.stops`"),
        (r#","stops":["x","y"]"#, "`skus.seats`"),
        (r#","seats":["01A","01A"],"stops":["x","y"]"#, "`01A` comes twice"),
        (r#","seats":["01A"],"stops":["x"]"#, "2 to 65 stops"),
        (r#","seats":["1 A"],"stops":["x","y"]"#, "label of a seat"),
    ] {
        let error = read(given).unwrap_err();
        assert!(error.contains(said), "{given}: {error}");
    }
}

#[test]
fn a_stretch_belongs_to_seated_goods_alone_and_within_their_stops() {
    let counted = sale();
    let seated = train(&["01A"], &["a", "b", "c"]).unwrap();
    let check = |sale: &Sale, json: &str| {
        sale.check_basket(&serde_json::from_str(json).unwrap()).map_err(|error| error.field)
    };
    assert_eq!(check(&seated, r#"[{"sku":"second","quantity":1,"from":0,"to":2}]"#), Ok(()));
    let field = |sale: &Sale, json: &str| check(sale, json).unwrap_err();
    assert_eq!(field(&seated, r#"[{"sku":"second","quantity":1}]"#), "items.from");
    assert_eq!(field(&seated, r#"[{"sku":"second","quantity":1,"from":0,"to":3}]"#), "items.to");
    assert_eq!(field(&counted, r#"[{"sku":"a","quantity":1,"from":0,"to":1}]"#), "items.from");
    let two = r#"[{"sku":"second","quantity":2,"from":0,"to":2}]"#;
    let basket: Basket = serde_json::from_str(two).unwrap();
    assert_eq!(seated.price(&basket), Some(AmountFen(200)), "per seat, whatever the stretch");
}
