//! The items of a wish that comes after the sale, as a client writes them: `{"sku","quantity"}`, of seated goods with
//! `"from","to"`, and with the `"seat"` that is given back.

use http::StatusCode;
use serde::Deserialize;
use sluice_core::{
    basket::{BadBasket, Basket, Item},
    ids::SkuId,
    order::Order,
    seats::Stretch,
};
use sluice_http::Problem;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Written {
    sku: SkuId,
    quantity: u32,
    #[serde(default)]
    from: Option<u8>,
    #[serde(default)]
    to: Option<u8>,
    #[serde(default)]
    seat: Option<String>,
}

/// What an order is to become: seats are chosen for it.
pub(super) fn wanted(written: Vec<Written>) -> Result<Basket, Problem> {
    if written.iter().any(|item| item.seat.is_some()) {
        let detail = "`items.seat` must not be given: the seats of a change are chosen for you.";
        return Err(Problem::bad_request(detail).field("items.seat"));
    }
    let items = written.iter().map(item).collect::<Result<_, _>>().map_err(bad)?;
    Basket::new(items).map_err(bad)
}

/// What is given back of an order. A seat is named by its label.
pub(super) fn given_back(written: Vec<Written>, order: &Order) -> Result<Basket, Problem> {
    let one = |written: &Written| {
        let plain = item(written).map_err(bad)?;
        match &written.seat {
            None => Ok(plain),
            Some(label) => seated(plain, label, order),
        }
    };
    let items = written.iter().map(one).collect::<Result<_, Problem>>()?;
    Basket::new(items).map_err(bad)
}

fn item(written: &Written) -> Result<Item, BadBasket> {
    let stretch = match (written.from, written.to) {
        (None, None) => None,
        (Some(from), Some(to)) => Some(Stretch::new(from, to).ok_or(BadBasket::Stretch)?),
        (Some(_), None) | (None, Some(_)) => return Err(BadBasket::Stretch),
    };
    Ok(Item { stretch, ..Item::counted(written.sku.clone(), written.quantity) })
}

fn seated(plain: Item, label: &str, order: &Order) -> Result<Item, Problem> {
    if plain.quantity != 1 {
        let detail = "`items.quantity` must be 1 where `seat` is given: name each seat by itself.";
        return Err(Problem::bad_request(detail).field("items.quantity"));
    }
    let meant = order.lines.iter().find_map(|line| {
        let seat = line.seat.as_ref().filter(|seat| seat.label.as_str() == label)?;
        let fits =
            line.sku == plain.sku && (plain.stretch.is_none() || plain.stretch == line.stretch);
        fits.then(|| Item { stretch: line.stretch, seats: vec![seat.no], ..plain.clone() })
    });
    meant.ok_or_else(|| {
        let detail = format!("The order has no seat `{label}` of `{}`.", plain.sku);
        Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "not_left", detail).field("items.seat")
    })
}

fn bad(bad: BadBasket) -> Problem {
    Problem::bad_request(format!("{bad}."))
}
