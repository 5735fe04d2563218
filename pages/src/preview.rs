//! Every state of the page, for whoever brands it: on the operators' address only, without a sale behind it.

use std::sync::Arc;

use http::StatusCode;
use sluice_core::{ids::SaleId, view::Directory};
use sluice_http::{Exchange, Problem, Response, Routes};

use crate::page::{Pages, Purpose, Visit};
use crate::shown::Shown;

/// What is shown when nothing else is asked for.
const STATE_USUAL: &str = "waiting";

/// `GET /w/{sale}?preview=<state>` and the files it needs. The sale lends its title, if there is one.
#[must_use]
pub fn preview_routes(pages: &Pages, directory: &Arc<Directory>) -> Vec<Routes> {
    let (shown, directory) = (pages.clone(), Arc::clone(directory));
    let page = Routes::new("operator").get("/w/{sale}", move |exchange| {
        let answer = show(&shown, &directory, &exchange);
        async move { answer }
    });
    vec![page, pages.assets("operator")]
}

fn show(pages: &Pages, directory: &Directory, exchange: &Exchange) -> Result<Response, Problem> {
    let state = exchange.query("preview").unwrap_or(STATE_USUAL.into());
    let known =
        state.len() <= 32 && state.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-');
    if !known {
        let detail = "`preview` must be the name of a state, such as waiting or sold-out.";
        return Err(Problem::bad_request(detail).field("preview"));
    }
    let sale = SaleId::new(exchange.param("sale")).ok().and_then(|id| directory.sale(&id));
    let title =
        sale.map_or_else(|| exchange.param("sale").to_owned(), |view| view.sale().title.clone());
    let chosen = exchange.query("lang");
    let visit = Visit {
        chosen: chosen.as_deref(),
        accepted: exchange.header("accept-language"),
        ..Visit::default()
    };
    // The script fills the scene; without it there is nothing to look at.
    let shown = Shown::nothing_of(&title);
    Ok(pages.write(StatusCode::OK, &visit, &shown, Purpose::Preview(&state)))
}
