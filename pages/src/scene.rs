//! What the server writes into the page: enough to join, to wait and to leave without JavaScript, and what is seen in
//! the first moment with it. Everything that came from a person is escaped where it is written.

use std::fmt::Write;

use sluice_core::{entry::EntryState, sale::SaleState, view::object::EntryObject};

use crate::{
    escape, goods,
    shown::{Bought, Filled, Scene, Shown, ShownSale, Trouble},
    texts::Language,
    words,
};

/// The HTML of a scene.
pub(crate) fn body(language: &Language, shown: &Shown<'_>) -> String {
    let scene = shown.scene();
    let mut html = match (scene, &shown.sale, shown.entry) {
        (Scene::Before, Some(sale), _) => before(language, sale),
        (Scene::Join, Some(sale), _) => join(language, sale, shown.filled.as_ref()),
        (Scene::Waiting | Scene::Parked, _, Some(entry)) => {
            waiting(language, shown.sale.as_ref(), entry, scene)
        }
        (Scene::Reserved | Scene::Shop, _, Some(entry)) => {
            reserved(language, entry, shown.order, scene)
        }
        _ => told(language, shown, scene),
    };
    // An address that is kept says that a payment failed long after another one was made.
    let old = |trouble: &Trouble| *trouble == Trouble::Payment && scene != Scene::Reserved;
    if let Some(trouble) = shown.trouble.filter(|trouble| !old(trouble)) {
        let told = match trouble {
            Trouble::TooMany => language.say("join.fewer").to_owned(),
            Trouble::Stretch => goods::wrong_stretch(language, shown),
            Trouble::Payment => language.say("reserved.failed").to_owned(),
            Trouble::Other => language.say("join.bad").to_owned(),
        };
        push(
            &mut html,
            &[r#"<p class="trouble" id="wrong" role="alert">"#, &escape(&told), "</p>"],
        );
    }
    if let Some(seconds) = scene.refresh_seconds() {
        let hint = language.fill("script.off", &[("seconds", &seconds.to_string())]);
        let again = escape(language.say("script.refresh"));
        push(
            &mut html,
            &["<noscript><p class=\"hint\">", &escape(&hint), " <a href=\"\">", &again],
        );
        html.push_str("</a></p></noscript>");
    }
    html
}

pub(crate) fn push(html: &mut String, parts: &[&str]) {
    parts.iter().for_each(|part| html.push_str(part));
}

/// `<tag class="kind">` and a sentence of ours.
fn line(language: &Language, tag: &str, kind: &str, key: &str) -> String {
    let class = if kind.is_empty() { String::new() } else { format!(" class=\"{kind}\"") };
    format!("<{tag}{class}>{}</{tag}>\n", escape(language.say(key)))
}

fn fact(language: &Language, key: &str, value: &str) -> String {
    format!("<div><dt>{}</dt><dd>{}</dd></div>", escape(language.say(key)), escape(value))
}

fn before(language: &Language, sale: &ShownSale) -> String {
    let mut html = line(language, "h1", "label", "before.heading");
    if let Some(at) = sale.opens_at {
        let left = at.since(sale.now).as_secs();
        let (hours, minutes, seconds) = (left / 3_600, left / 60 % 60, left % 60);
        let _ = writeln!(html, "<p class=\"big\">{hours}:{minutes:02}:{seconds:02}</p>");
        let told = language.fill("before.at_server", &[("when", &words::when(at))]);
        let _ = writeln!(
            html,
            "<p class=\"lead\"><time datetime=\"{at}\">{}</time></p>",
            escape(&told)
        );
    }
    html
}

fn join(language: &Language, sale: &ShownSale, filled: Option<&Filled>) -> String {
    let mut html = line(language, "h1", "", "join.heading");
    html.push_str(&line(language, "p", "lead", "join.lead"));
    html.push_str("<dl class=\"facts\">");
    html.push_str(&fact(language, "join.waiting", &words::number(sale.waiting)));
    html.push_str(&fact(language, "join.remaining", &words::number(sale.remaining)));
    html.push_str("</dl>\n");
    html.push_str(&goods::forms(language, sale, filled, "join.button"));
    html
}

fn waiting(
    language: &Language,
    sale: Option<&ShownSale>,
    entry: &EntryObject,
    scene: Scene,
) -> String {
    let position = entry.position.unwrap_or(1);
    let place = if scene == Scene::Parked {
        language.say("waiting.next").to_owned()
    } else {
        words::number(position)
    };
    let ahead = language.fill("waiting.ahead", &[("count", &words::number(position - 1))]);
    let mut html = line(language, "h1", "label", "waiting.heading");
    let kind = if scene == Scene::Parked { "big words" } else { "big" };
    push(&mut html, &["<p class=\"", kind, "\">", &escape(&place), "</p>\n"]);
    if position > 1 {
        push(&mut html, &["<p class=\"hint\">", &escape(&ahead), "</p>\n"]);
    }
    html.push_str("<dl class=\"facts\">");
    html.push_str(&fact(language, "waiting.wait", &words::wait(language, entry.eta_seconds)));
    let odds = format!("odds.{}", entry.odds.map_or("unknown", |odds| odds.as_str()));
    html.push_str(&fact(language, "waiting.odds", language.say(&odds)));
    html.push_str("</dl>\n");
    let lead = match (scene, sale.map(|sale| sale.state)) {
        (Scene::Parked, _) => "waiting.parked",
        (_, Some(SaleState::Paused)) => "paused.waiting",
        (_, Some(SaleState::Frozen)) => "frozen.waiting",
        _ => "waiting.lead",
    };
    html.push_str(&line(language, "p", "lead", lead));
    html.push_str(&leave(language, "leave"));
    html
}

/// Leaving, asked twice; `what` is how the sentences call it.
fn leave(language: &Language, what: &str) -> String {
    let say = |key| escape(language.say(&format!("{what}.{key}")));
    format!(
        "<details><summary class=\"quiet\">{}</summary><p class=\"lead\">{}</p><form method=\"post\"><button class=\"quiet\" name=\"do\" value=\"leave\">{}</button></form></details>\n",
        say("button"),
        say("warning"),
        say("yes")
    )
}

fn reserved(
    language: &Language,
    entry: &EntryObject,
    bought: Option<Bought<'_>>,
    scene: Scene,
) -> String {
    let mut html = line(language, "h1", "", "reserved.heading");
    if let Some(at) = entry.pay_by {
        let told = language.fill("before.at_server", &[("when", &words::when(at))]);
        let by = language.fill("reserved.by", &[("when", &told)]);
        let _ =
            writeln!(html, "<p class=\"hint\"><time datetime=\"{at}\">{}</time></p>", escape(&by));
    }
    match (scene, entry.links.order.as_deref()) {
        (Scene::Shop, Some(link)) => {
            html.push_str(&line(language, "p", "lead", "reserved.shop_lead"));
            // The operator API takes links to listed hosts over https only; here nothing else is followed either.
            let link = if link.starts_with("https://") { escape(link) } else { String::new() };
            let label = escape(language.say("reserved.shop"));
            push(&mut html, &["<a class=\"main button\" rel=\"noopener\" href=\"", &link, "\">"]);
            push(&mut html, &[&label, "</a>\n"]);
        }
        _ => {
            html.push_str(&line(language, "p", "lead", "reserved.lead"));
            push(&mut html, &["<noscript>", &pay(language, entry, bought), "</noscript>"]);
        }
    }
    html
}

/// The button that pays without a script: a form for where orders are kept, with what proves whose order it is.
fn pay(language: &Language, entry: &EntryObject, bought: Option<Bought<'_>>) -> String {
    let (Some(link), Some(Bought { order, token: Some(token) })) =
        (entry.links.order.as_deref(), bought)
    else {
        return line(language, "p", "lead", "reserved.script");
    };
    let amount = words::money(order.amount, order.currency);
    let label = language.fill("reserved.pay", &[("amount", &amount)]);
    format!(
        "<form method=\"post\" action=\"{}/payment\"><input type=\"hidden\" name=\"token\" value=\"{}\"><button class=\"main\">{}</button></form>\n",
        escape(link),
        escape(token),
        escape(&label)
    )
}

/// A heading and a sentence; where a place was given up, passed or taken elsewhere, and the sale is on, the way back into the
/// line.
fn told(language: &Language, shown: &Shown<'_>, scene: Scene) -> String {
    let name = scene.as_str();
    let reason = shown.entry.and_then(|entry| entry.reason);
    let lead = match (scene, reason) {
        (Scene::Refused, Some(reason @ ("duplicate" | "over_limit"))) => {
            format!("refused.{reason}")
        }
        (Scene::ClosedSale, Some(_)) => "closed_sale.waited".to_owned(),
        (Scene::SoldOut, _) if shown.entry.is_none() => "sold_out.sale".to_owned(),
        _ => format!("{name}.lead"),
    };
    let mut html = line(language, "h1", "", &format!("{name}.heading"));
    html.push_str(&line(language, "p", "lead", &lead));
    if let (Scene::Ordered(_) | Scene::Cancelled, Some(Bought { order, .. })) = (scene, shown.order)
    {
        html.push_str("<dl class=\"facts\">");
        let total = words::money(order.amount, order.currency);
        html.push_str(&fact(language, "order.total", &total));
        html.push_str(&fact(language, "order.number", &order.id.to_string()));
        html.push_str("</dl>\n");
    }
    if scene == Scene::Standby {
        html.push_str(&leave(language, "standby"));
    }
    let ended = matches!(
        shown.entry.map(|entry| entry.state),
        Some(EntryState::Left | EntryState::Expired)
    ) || scene == Scene::Moved;
    if let Some(sale) = shown.sale.as_ref().filter(|sale| ended && sale.state == SaleState::Open) {
        html.push_str(&goods::forms(language, sale, None, "again.button"));
    }
    html
}
