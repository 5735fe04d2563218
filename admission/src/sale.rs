//! `GET /v1/sales/{sale}`: what anybody may know of a sale. One snapshot, at most 100 ms old, shared by all who ask.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderValue, StatusCode, header::CACHE_CONTROL};
use serde::Serialize;
use sluice_core::{
    clock::UnixMillis,
    ids::{SaleId, Seq, SkuId, Version},
    money::{AmountFen, Currency},
    sale::{Notice, SaleState, Sku},
    seats::Seating,
    view::Reading,
};
use sluice_http::{Exchange, Problem, Response, raw_json};

use crate::Admission;

const PUBLIC: HeaderValue = HeaderValue::from_static("public, max-age=1");

#[derive(Serialize)]
struct SaleObject<'a> {
    sale: &'a SaleId,
    title: &'a str,
    state: SaleState,
    opens_at: Option<UnixMillis>,
    closes_at: Option<UnixMillis>,
    now: UnixMillis,
    waiting: u64,
    serving: Seq,
    rate_per_second: f64,
    remaining: u64,
    notice: Option<&'a Notice>,
    policy_version: Version,
    skus: Vec<SkuObject<'a>>,
    /// This node has not heard of the line for a while.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    stale: bool,
}

#[derive(Serialize)]
struct SkuObject<'a> {
    sku: &'a SkuId,
    amount_fen: AmountFen,
    currency: Currency,
    remaining: u64,
    /// Of a seated SKU.
    #[serde(skip_serializing_if = "Option::is_none")]
    stops: Option<&'a [String]>,
    /// Free seats on each leg: they say nothing about a seat that is free on several.
    #[serde(skip_serializing_if = "Option::is_none")]
    free_seats: Option<Vec<u32>>,
}

pub(crate) async fn show(
    admission: Arc<Admission>,
    exchange: Exchange,
) -> Result<Response, Problem> {
    let edge = admission.edge(exchange.param("sale"), exchange.peer.address).await?;
    let rules = edge.rules(&admission.ports.limits);
    admission.check_origin_limits(&exchange, &rules.1)?;
    let body = edge.info(|| write(&edge.view.read(), admission.ports.clock.now()));
    let mut response = raw_json(StatusCode::OK, body);
    response.headers_mut().insert(CACHE_CONTROL, PUBLIC);
    Ok(response)
}

fn sku_object<'a>(reading: &'a Reading, sku: &'a Sku) -> SkuObject<'a> {
    let told = reading.report().map(|report| report.skus.iter().find(|told| told.sku == sku.sku));
    let seating = sku.seating.as_deref();
    let free_seats = |seating: &Seating| match told {
        None => {
            vec![u32::try_from(seating.seats().len()).unwrap_or(u32::MAX); seating.legs().into()]
        }
        Some(told) => told.map_or_else(Vec::new, |told| told.free_seats.clone()),
    };
    SkuObject {
        sku: &sku.sku,
        amount_fen: sku.amount_fen,
        currency: sku.currency,
        remaining: match told {
            None => sku.sellable(sku.stock),
            Some(told) => told.map_or(0, |told| told.remaining),
        },
        stops: seating.map(Seating::stops),
        free_seats: seating.map(free_seats),
    }
}

fn write(reading: &Reading, now: UnixMillis) -> Bytes {
    let sale = &reading.sale;
    let skus = sale.skus.iter().map(|sku| sku_object(reading, sku));
    let object = SaleObject {
        sale: &sale.id,
        title: &sale.title,
        state: reading.state(now),
        opens_at: sale.opens_at,
        closes_at: sale.closes_at,
        now,
        waiting: reading.report().map_or(0, |report| report.waiting),
        serving: reading.cursor().serving,
        rate_per_second: reading.rate_per_second(),
        remaining: reading.remaining(),
        notice: sale.notice.as_ref(),
        policy_version: sale.version,
        skus: skus.collect(),
        stale: reading.is_stale(),
    };
    // Strings, whole numbers and finite floats always serialise.
    serde_json::to_vec(&object).unwrap_or_default().into()
}
