//! The entry object of the contract: what a buyer is told of one place, by poll and by push alike.

use serde::Serialize;

use super::Reading;
use crate::{
    clock::UnixMillis,
    entry::EntryState,
    forecast::{EtaSeconds, Odds},
    ids::{EntryId, SaleId, Seq, Version},
    order::OrderName,
    ports::{EntryRecord, OutcomeReason},
    token::Claims,
};

/// Shortest and longest time a client is asked to wait between two polls, in milliseconds.
pub const POLL_AFTER_MS_MIN: u64 = 1_000;
pub const POLL_AFTER_MS_MAX: u64 = 15_000;

/// A place as its buyer sees it. Serialises as the contract's entry object.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct EntryObject {
    pub entry: EntryId,
    pub sale: SaleId,
    pub state: EntryState,
    pub version: Version,
    /// `None` where it joined beyond the line's cap: it has no number.
    pub seq: Option<Seq>,
    /// 1 is next; `None` once it no longer waits in line.
    pub position: Option<u64>,
    pub serving: Seq,
    pub eta_seconds: Option<EtaSeconds>,
    /// `None` once it neither waits nor stands by.
    pub odds: Option<Odds>,
    pub poll_after_ms: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    pub token_expires_at: UnixMillis,
    /// Of a shop's own order backend: what the shop calls it.
    pub order: Option<OrderName>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pay_by: Option<UnixMillis>,
    /// Why it was refused or sold out, in one word, when there is more to say than the state does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<&'static str>,
    /// The node that answers has not heard of the line for a while.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub stale: bool,
    pub links: Links,
}

#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Links {
    #[serde(rename = "self")]
    pub own: String,
    pub push: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub order: Option<String>,
}

/// Where links point: the configured public addresses of the roles; empty means relative.
#[derive(Clone, Debug, Default)]
pub struct PublicUrls {
    pub admission: String,
    pub ws_push: String,
    pub worker: String,
}

impl EntryObject {
    /// An entry that waits, from memory alone. `seen` is the highest `serving` its client was shown.
    #[must_use]
    pub fn waiting(
        reading: &Reading,
        claims: &Claims,
        seen: Option<Seq>,
        now: UnixMillis,
        urls: &PublicUrls,
    ) -> Self {
        let serving = reading.cursor().serving.max(seen.unwrap_or_default());
        let position = reading.cursor().position(claims.seq, claims.holes_below, seen);
        let outlook = reading.outlook(now);
        // The cursor has passed it: its goods are all held by others, whatever else the sale has left.
        let cursor = reading.cursor();
        let parked = claims.seq <= cursor.serving && cursor.holes.end_of(claims.seq).is_none();
        let goods = reading.wanted(&claims.wants);
        let odds = outlook.odds(position, goods.clone());
        let (eta, odds) = if parked && odds != Odds::Gone {
            (None, Odds::Unlikely)
        } else {
            (outlook.eta(position, goods), odds)
        };
        Self {
            state: EntryState::Waiting,
            version: EntryState::Waiting.version(None),
            position: Some(position),
            serving,
            eta_seconds: eta,
            odds: Some(odds),
            poll_after_ms: poll_after_ms(eta, claims, now),
            stale: reading.is_stale(),
            ..Self::bare(reading, claims, urls)
        }
    }

    /// An entry that was called and has no outcome yet.
    #[must_use]
    pub fn called(reading: &Reading, claims: &Claims, urls: &PublicUrls) -> Self {
        Self {
            state: EntryState::Called,
            version: EntryState::Called.version(None),
            ..Self::bare(reading, claims, urls)
        }
    }

    /// An entry that stands by: an offer comes when goods are there that nobody before it wants.
    #[must_use]
    pub fn standby(reading: &Reading, claims: &Claims, now: UnixMillis, urls: &PublicUrls) -> Self {
        Self {
            state: EntryState::Standby,
            version: EntryState::Standby.version(None),
            odds: Some(Odds::Unlikely),
            poll_after_ms: spread(POLL_AFTER_MS_MAX, claims, now),
            stale: reading.is_stale(),
            ..Self::bare(reading, claims, urls)
        }
    }

    /// An entry that has its outcome.
    #[must_use]
    pub fn settled(
        reading: &Reading,
        claims: &Claims,
        record: &EntryRecord,
        urls: &PublicUrls,
    ) -> Self {
        let state = EntryState::from(record.outcome);
        let bare = Self::bare(reading, claims, urls);
        Self {
            state,
            version: state.version(record.order.map(|order| order.version)),
            order: order_name(record),
            pay_by: record.order.map(|order| order.pay_by),
            reason: (record.reason != OutcomeReason::Plain).then(|| record.reason.as_str()),
            poll_after_ms: 5 * POLL_AFTER_MS_MIN,
            links: Links { order: order_link(record, urls), ..bare.links },
            ..bare
        }
    }

    fn bare(reading: &Reading, claims: &Claims, urls: &PublicUrls) -> Self {
        let sale = &claims.sale;
        let mut own = joined(&[&urls.admission, "/v1/sales/", sale.as_str(), "/entries/"]);
        claims.entry.write_to(&mut own);
        Self {
            entry: claims.entry,
            sale: sale.clone(),
            state: EntryState::Waiting,
            version: Version(1),
            seq: (claims.seq > Seq(0)).then_some(claims.seq),
            position: None,
            serving: reading.cursor().serving,
            eta_seconds: None,
            odds: None,
            poll_after_ms: POLL_AFTER_MS_MIN,
            token: None,
            token_expires_at: claims.expires_at,
            order: None,
            pay_by: None,
            reason: None,
            stale: false,
            links: Links {
                own,
                push: joined(&[&urls.ws_push, "/v1/sales/", sale.as_str(), "/push"]),
                order: None,
            },
        }
    }
}

fn order_name(record: &EntryRecord) -> Option<OrderName> {
    match &record.shop {
        Some(shop) => Some(OrderName::Shop(shop.id.clone())),
        None => record.order.map(|order| OrderName::Own(order.order)),
    }
}

/// Where the buyer goes with the order: to the shop, if it has said where.
fn order_link(record: &EntryRecord, urls: &PublicUrls) -> Option<String> {
    if let Some(link) = record.shop.as_ref().and_then(|shop| shop.link.clone()) {
        return Some(link);
    }
    record.order.map(|order| {
        let mut link = joined(&[&urls.worker, "/v1/orders/"]);
        order.order.write_to(&mut link);
        link
    })
}

/// The parts in one, with room for an id. Every poll writes links: a formatter was measured to cost too much.
fn joined(parts: &[&str]) -> String {
    let mut text = String::with_capacity(parts.iter().map(|part| part.len()).sum::<usize>() + 36);
    parts.iter().for_each(|part| text.push_str(part));
    text
}

/// How long a waiting client is asked to wait between two polls, in milliseconds, before the jitter of up to a fifth: near places
/// poll often, far ones rarely.
#[must_use]
pub fn poll_pace_ms(eta: Option<EtaSeconds>) -> u64 {
    eta.map_or(5_000, |eta| eta.p50.saturating_mul(1000) / 4)
        .clamp(POLL_AFTER_MS_MIN, POLL_AFTER_MS_MAX)
}

/// The jitter keeps a crowd from marching in step.
fn poll_after_ms(eta: Option<EtaSeconds>, claims: &Claims, now: UnixMillis) -> u64 {
    spread(poll_pace_ms(eta), claims, now)
}

/// Up to a fifth later.
fn spread(base: u64, claims: &Claims, now: UnixMillis) -> u64 {
    let bytes = claims.entry.as_bytes();
    let own = u64::from(u16::from_be_bytes([bytes[14], bytes[15]])) ^ now.0.unsigned_abs();
    base + own % (base / 5).max(1)
}
