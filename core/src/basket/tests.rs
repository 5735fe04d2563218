//! The rules of `basket`, each as a test.

use super::*;

fn sku(name: &str) -> SkuId {
    SkuId::new(name).unwrap()
}

fn item(name: &str, quantity: u32) -> Item {
    Item::counted(sku(name), quantity)
}

fn seated(name: &str, quantity: u32, from: u8, to: u8) -> Item {
    Item::seated(sku(name), quantity, Stretch::new(from, to).unwrap())
}

#[test]
fn lines_of_one_sku_are_summed_before_they_are_checked() {
    let basket = Basket::new(vec![item("b", 1), item("a", 2), item("b", 3)]).unwrap();
    assert_eq!(basket.items(), [item("a", 2), item("b", 4)]);
    assert_eq!(basket.units(), 6);
    assert_eq!(Basket::new(vec![item("a", 600), item("a", 600)]), Err(BadBasket::Quantity));
}

#[test]
fn lines_of_one_stretch_are_summed_and_others_stay_apart() {
    let lines = vec![seated("t", 1, 2, 5), seated("t", 1, 0, 5), seated("t", 2, 2, 5)];
    let basket = Basket::new(lines).unwrap();
    assert_eq!(basket.items(), [seated("t", 1, 0, 5), seated("t", 3, 2, 5)]);
    assert_eq!(basket.units(), 4, "a passenger is a unit, however far the journey");
    let seat_legs: u64 = basket.items().iter().map(Item::units).sum();
    assert_eq!(seat_legs, 5 + 3 * 3);
}

#[test]
fn a_basket_reads_back_as_it_was() {
    let mut chosen = seated("train-1", 2, 3, 7);
    chosen.seats = vec![SeatNo(5), SeatNo(6)];
    let baskets = [
        (vec![item("vip-1", 1_000), item("a", 2)], "a:2,vip-1:1000"),
        (vec![seated("train-1", 2, 3, 7), item("a", 1)], "a:1,train-1:8@2/3-7"),
        (vec![chosen], "train-1:8@2/3-7=5.6"),
    ];
    for (items, text) in baskets {
        let basket = Basket::new(items).unwrap();
        assert_eq!(basket.to_string(), text);
        assert_eq!(text.parse(), Ok(basket.clone()));
        let json = serde_json::to_string(&basket).unwrap();
        assert_eq!(serde_json::from_str::<Basket>(&json).unwrap(), basket);
    }
    let bad =
        ["", "a", "a:0", "A:1", "a:1,", "a:x", "t:8@2", "t:8@2/7-3", "t:7@2/3-7", "t:8@2/3-7=5"];
    for bad in bad {
        assert_eq!(bad.parse::<Basket>(), Err(NotABasket), "{bad:?}");
    }
}

#[test]
fn an_item_in_json_names_both_ends_of_its_stretch_or_none() {
    let read = |json: &str| serde_json::from_str::<Item>(json).map_err(|error| error.to_string());
    let whole = r#"{"sku":"t","quantity":1,"from":2,"to":5}"#;
    assert_eq!(read(whole), Ok(seated("t", 1, 2, 5)));
    assert_eq!(serde_json::to_string(&seated("t", 1, 2, 5)).unwrap(), whole);
    assert_eq!(serde_json::to_string(&item("a", 1)).unwrap(), r#"{"sku":"a","quantity":1}"#);
    for ends in [
        r#""from":2"#,
        r#""to":5"#,
        r#""from":5,"to":5"#,
        r#""from":5,"to":2"#,
        r#""from":0,"to":65"#,
    ] {
        let error = read(&format!(r#"{{"sku":"t","quantity":1,{ends}}}"#)).unwrap_err();
        assert!(error.contains("`items.from` and `items.to`"), "{ends}: {error}");
    }
}

#[test]
fn a_seating_seats_everybody_and_changes_nothing_else() {
    let wanted = Basket::new(vec![seated("t", 2, 0, 3), item("a", 1)]).unwrap();
    let with = |seats: &[u16]| {
        let mut line = seated("t", 2, 0, 3);
        line.seats = seats.iter().map(|seat| SeatNo(*seat)).collect();
        Basket::new(vec![line, item("a", 1)])
    };
    assert!(with(&[4, 5]).unwrap().is_seating_of(&wanted));
    assert!(!wanted.is_seating_of(&wanted));
    assert_eq!(with(&[4]), Err(BadBasket::Quantity), "one seat for two");
    let other = Basket::new(vec![seated("t", 2, 0, 2), item("a", 1)]).unwrap();
    assert!(!with(&[4, 5]).unwrap().is_seating_of(&other));
}

#[test]
fn wants_are_read_as_they_were_written() {
    let place = |sku: &SkuId| ["a", "b", "c"].iter().position(|known| *known == sku.as_str());
    let wants =
        Wants::new(&[item("c", 1_000), item("a", 2), item("x", 9), seated("b", 3, 0, 64)], place);
    let stretch = Stretch::new(0, 64);
    assert_eq!(
        wants.lines(),
        [
            Want { sku: 2, quantity: 1_000, stretch: None },
            Want { sku: 0, quantity: 2, stretch: None },
            Want { sku: 1, quantity: 3, stretch },
        ],
        "what the sale does not have is left out"
    );
    assert_eq!(wants.units(), 1_005);
    let mut bytes = Vec::new();
    wants.write(&mut bytes);
    bytes.extend_from_slice(b"rest");
    assert_eq!(Wants::read(&bytes), Some((wants, &b"rest"[..])));
    assert_eq!(Wants::read(&[2, 0, 0, 1, 1]), None, "cut off");
    assert_eq!(Wants::read(&[1, 0, 0x80, 1, 5, 2]), None, "a stretch that runs backwards");
    assert_eq!(Wants::read(&[u8::MAX; 1_000]), None, "more lines than any basket has");
}

#[test]
fn nothing_and_too_much_are_refused() {
    assert_eq!(Basket::new(vec![]), Err(BadBasket::Empty));
    assert_eq!(Basket::new(vec![item("a", 0)]), Err(BadBasket::Quantity));
    assert_eq!(Basket::new(vec![item("a", QUANTITY_MAX + 1)]), Err(BadBasket::Quantity));
    let many = (0..=LINES_MAX).map(|n| item(&format!("s{n}"), 1)).collect();
    assert_eq!(Basket::new(many), Err(BadBasket::TooManyLines));
}
