//! The form that joins, as the server writes it: what can be had, how many of it, and for seated goods from where to where.
//!
//! Without JavaScript a form cannot change with what is ticked in it: goods that call at other stops have a form of their own.

use std::fmt::Write;

use crate::{
    escape,
    scene::push,
    shown::{Filled, Shown, ShownSale, ShownSku},
    texts::Language,
    words,
};

/// Most units the form offers; the sale's own limit is told when it is passed.
const QUANTITY_MAX: u32 = 1_000;
/// Most numbers of free seats that are written out; of more, the whole stretch alone is told. A page is to be light.
const FREE_SEATS_MAX: usize = 60;

/// A form for all goods that call at the same stops, or at none.
pub(crate) fn forms(
    language: &Language,
    sale: &ShownSale,
    filled: Option<&Filled>,
    button: &str,
) -> String {
    let mut groups: Vec<Vec<&ShownSku>> = Vec::new();
    for sku in &sale.skus {
        match groups.iter_mut().find(|group| group[0].stops == sku.stops) {
            Some(group) => group.push(sku),
            None => groups.push(vec![sku]),
        }
    }
    groups.iter().map(|group| form(language, group, filled, button)).collect()
}

/// What is wrong with a stretch, by the name of the stop: the same sentence as the script says.
pub(crate) fn wrong_stretch(language: &Language, shown: &Shown<'_>) -> String {
    let from = shown.sale.as_ref().zip(shown.filled.as_ref()).and_then(|(sale, filled)| {
        sale.skus.iter().find(|sku| sku.id == filled.sku)?.stops.get(filled.from?)
    });
    match from {
        Some(from) => language.fill("join.stretch", &[("from", from)]),
        None => language.say("join.bad").to_owned(),
    }
}

fn form(language: &Language, group: &[&ShownSku], filled: Option<&Filled>, button: &str) -> String {
    let say = |key| escape(language.say(key));
    // What was filled in belongs to the form it was filled in on.
    let filled = filled.filter(|filled| group.iter().any(|sku| sku.id == filled.sku));
    let chosen = filled.map_or(group[0].id.as_str(), |filled| &filled.sku);
    let mut html = String::from("<form method=\"post\">");
    let _ = write!(html, "<fieldset><legend>{}</legend>", say("join.choose"));
    for sku in group {
        let id = escape(&sku.id);
        let checked = if sku.id == chosen { " checked" } else { "" };
        let mut price = words::money(sku.amount, sku.currency);
        if sku.remaining == 0 {
            push(&mut price, &[" · ", language.say("join.gone")]);
        }
        push(
            &mut html,
            &["<label class=\"choice\"><input type=\"radio\" name=\"sku\" value=\"", &id, "\""],
        );
        push(&mut html, &[checked, "><span>", &id, "</span><span>", &escape(&price)]);
        html.push_str("</span></label>");
    }
    html.push_str("</fieldset>");
    let stops = &group[0].stops;
    if !stops.is_empty() {
        html.push_str(&stretch(language, stops, filled));
        html.push_str(&free_seats(language, group));
    }
    let quantity = filled.and_then(|filled| filled.quantity).unwrap_or(1).clamp(1, QUANTITY_MAX);
    let many = if stops.is_empty() { "join.quantity" } else { "join.passengers" };
    let _ = write!(
        html,
        "<label class=\"quantity\"><span>{}</span><input type=\"number\" name=\"quantity\" min=\"1\" max=\"{QUANTITY_MAX}\" value=\"{quantity}\" required></label>",
        say(many)
    );
    let button = say(button);
    push(
        &mut html,
        &["<button class=\"main\" name=\"do\" value=\"join\">", &button, "</button></form>\n"],
    );
    html
}

/// Where to get on and off: at first, the whole way.
fn stretch(language: &Language, stops: &[String], filled: Option<&Filled>) -> String {
    let last = stops.len() - 1;
    let from = filled.and_then(|filled| filled.from).filter(|from| *from < last).unwrap_or(0);
    let to = filled.and_then(|filled| filled.to).filter(|to| (1..=last).contains(to));
    let to = to.unwrap_or(last);
    // What has to be mended is where the keyboard is, and says why.
    let wrong = r#" autofocus aria-invalid="true" aria-describedby="wrong""#;
    let wrong = if from < to { "" } else { wrong };
    let mut html = String::from("<div class=\"stretch\">");
    let stops = || stops.iter().enumerate();
    select(&mut html, language, ("from", ""), from, stops().take(last));
    select(&mut html, language, ("to", wrong), to, stops().skip(1));
    html.push_str("</div>");
    html
}

fn select<'a>(
    html: &mut String,
    language: &Language,
    (name, more): (&str, &str),
    chosen: usize,
    stops: impl Iterator<Item = (usize, &'a String)>,
) {
    let label = escape(language.say(&format!("join.{name}")));
    let _ = write!(html, "<label><span>{label}</span><select name=\"{name}\"{more}>");
    for (n, stop) in stops {
        let selected = if n == chosen { " selected" } else { "" };
        let _ = write!(html, "<option value=\"{n}\"{selected}>{}", escape(stop));
    }
    html.push_str("</select></label>");
}

/// How many seats are free on each leg, folded away: on a stretch there are at most as many as on its scarcest leg.
fn free_seats(language: &Language, group: &[&ShownSku]) -> String {
    let stops = &group[0].stops;
    let counted = group.iter().all(|sku| sku.free_seats.len() + 1 == stops.len());
    if !counted || stops.len().saturating_mul(group.len()) > FREE_SEATS_MAX {
        return String::new();
    }
    let mut html = format!(
        "<details><summary>{}</summary><div class=\"table\" tabindex=\"0\"><table><tr><td>",
        escape(language.say("join.free_legs"))
    );
    for sku in group {
        let _ = write!(html, "<th scope=\"col\">{}", escape(&sku.id));
    }
    for (leg, ends) in stops.windows(2).enumerate() {
        let named = language.fill("order.stretch", &[("from", &ends[0]), ("to", &ends[1])]);
        let _ = write!(html, "<tr><th scope=\"row\">{}", escape(&named));
        for sku in group {
            let _ = write!(html, "<td>{}", words::number(sku.free_seats[leg].into()));
        }
    }
    html.push_str("</table></div></details>");
    html
}
