//! The figures of one sale: from memory, the line, the ledger, the gate and the turn queue. A store that is away leaves
//! its figures `null` and is named in `missing`: at the very moment something is broken, the rest must still be seen.

use std::collections::BTreeMap;

use serde::Serialize;
use sluice_core::{
    clock::UnixMillis,
    ids::{SaleId, Seq, SkuId, Version},
    order::OrderState,
    ports::{LineSnapshot, OrderCount, PortResult, QueueDepths, SkuLevel, StockBalance},
    sale::{Sale, SaleState},
    view::Reading,
};
use tokio::time::Instant;

use super::waiting;
use crate::desk::Desk;

/// See the module. Serialises as the answer of `GET …/stats`.
#[derive(Debug, Serialize)]
pub(crate) struct Stats {
    sale: SaleId,
    state: SaleState,
    version: Version,
    now: UnixMillis,
    line: LineStats,
    rate: RateStats,
    waits: WaitStats,
    /// Joins per second, between the last two looks.
    arrivals_per_second: Option<f64>,
    /// Units that can be sold now, as the public is told.
    remaining: u64,
    skus: Vec<SkuStats>,
    /// Orders by state, every state.
    orders: Option<BTreeMap<&'static str, u64>>,
    /// Orders that hold stock unpaid.
    holds: Option<u64>,
    /// Units held unpaid.
    held: Option<u64>,
    /// Units that are free and kept for those who stand by: not part of `remaining`.
    owed: Option<u64>,
    /// Entries that stand by.
    standby: Option<u64>,
    /// Turns released and not yet settled, over all sales.
    turn_queue_depth: Option<u64>,
    /// Turns buried, over all sales.
    dead_letters: Option<u64>,
    /// Units by which gate and ledger differ, summed over the SKUs.
    drift: Option<u64>,
    /// Open push connections, over all nodes; a moment old.
    push_connections: u64,
    /// Stores that did not answer: `line`, `ledger`, `gate`, `turns`.
    missing: Vec<&'static str>,
}

#[derive(Debug, Serialize)]
struct LineStats {
    waiting: u64,
    serving: Seq,
    /// The highest number given out.
    last: Option<Seq>,
    /// Called and not yet settled.
    called: Option<u64>,
    /// Turns released since the sale began.
    turns: Option<u64>,
    /// Whether the dispatcher has been silent for too long.
    stale: bool,
}

/// Turns per second. `wanted` is the law as it is applied now; `null` before the dispatcher's first word.
#[derive(Debug, Serialize)]
struct RateStats {
    wanted_per_second: Option<f64>,
    actual_per_second: Option<f64>,
}

/// From join to call, over the last minute; `null` when nobody was called.
#[derive(Debug, Serialize)]
struct WaitStats {
    p50_ms: Option<u64>,
    p95_ms: Option<u64>,
}

#[derive(Debug, Serialize)]
struct SkuStats {
    sku: SkuId,
    /// As the public is told.
    remaining: u64,
    ledger: Option<Balance>,
    gate: Option<Level>,
    /// Units the gate has beyond the ledger, available and held together; below 0, what it lacks. A sale in full swing
    /// drifts by what is between the two at this moment.
    drift: Option<i64>,
}

#[derive(Debug, Serialize)]
struct Balance {
    total: u64,
    available: u64,
    held: u64,
    sold: u64,
    owed: u64,
}

#[derive(Debug, Serialize)]
struct Level {
    available: u64,
    held: u64,
    in_flight: u64,
}

impl Stats {
    pub(crate) async fn gather(desk: &Desk, sale: &Sale) -> Self {
        let ports = &desk.ports;
        let (line, stock, orders, gate, depths) = tokio::join!(
            ports.line.snapshot(&sale.id),
            ports.ledger.stock(&sale.id),
            ports.ledger.order_counts(&sale.id),
            ports.gate.levels(&sale.id),
            ports.turns.depths(),
        );
        let mut missing = Vec::new();
        let line = answered(line, "line", &mut missing);
        let stock = answered(stock, "ledger", &mut missing);
        let orders = answered(orders, "ledger", &mut missing);
        // The gate does not know the goods of the shop: what it says of them is no drift.
        let gate = answered(gate, "gate", &mut missing).filter(|_| desk.shop.is_none());
        let depths: Option<QueueDepths> = answered(depths, "turns", &mut missing);
        let view = ports.directory.sale(&sale.id);
        let reading = view.as_ref().map(|view| view.read());
        let report = reading.as_ref().and_then(Reading::report);
        let skus = sku_stats(sale, reading.as_ref(), stock.as_deref(), gate.as_deref());
        Self {
            sale: sale.id.clone(),
            state: desk.state(sale),
            version: sale.version,
            now: ports.clock.now(),
            line: line_stats(reading.as_ref(), line.as_ref()),
            rate: RateStats {
                wanted_per_second: report.map(|report| report.rate_per_second),
                actual_per_second: report.map(|report| report.rate_actual),
            },
            waits: WaitStats {
                p50_ms: report.and_then(|report| report.wait_p50_ms),
                p95_ms: report.and_then(|report| report.wait_p95_ms),
            },
            arrivals_per_second: desk.arrivals.per_second(&sale.id, Instant::now()),
            remaining: skus.iter().map(|sku| sku.remaining).sum(),
            holds: orders.as_deref().map(unpaid),
            orders: orders.as_deref().map(by_state),
            held: stock.as_deref().map(|stock| stock.iter().map(|sku| sku.held).sum()),
            owed: report.map(|report| report.owed),
            standby: report.map(|report| report.standby),
            turn_queue_depth: depths.map(|depths| depths.turns),
            dead_letters: depths.map(|depths| depths.dead),
            drift: (stock.is_some() && gate.is_some())
                .then(|| skus.iter().filter_map(|sku| sku.drift).map(i64::unsigned_abs).sum()),
            skus,
            push_connections: view.as_ref().map_or(0, |view| view.push_connections()),
            missing,
        }
    }
}

/// What is missing is told to whoever asks; it is no fault of this request.
fn answered<T>(
    result: PortResult<T>,
    store: &'static str,
    missing: &mut Vec<&'static str>,
) -> Option<T> {
    result
        .inspect_err(|error| {
            tracing::debug!(
                store,
                error = error as &dyn std::error::Error,
                "statistics go without a store"
            );
            if !missing.contains(&store) {
                missing.push(store);
            }
        })
        .ok()
}

fn line_stats(reading: Option<&Reading>, snapshot: Option<&LineSnapshot>) -> LineStats {
    let report = reading.and_then(Reading::report);
    let reported = report.map_or(Seq(0), |report| report.cursor.serving);
    let stale = reading.is_some_and(Reading::is_stale);
    LineStats {
        waiting: waiting(reading, snapshot).unwrap_or(0),
        serving: snapshot.map_or(reported, |snapshot| snapshot.cursor.serving.max(reported)),
        last: snapshot.map(|snapshot| snapshot.last),
        called: snapshot.map(|snapshot| snapshot.called),
        turns: report.map(|report| report.turns),
        stale,
    }
}

fn sku_stats(
    sale: &Sale,
    reading: Option<&Reading>,
    stock: Option<&[StockBalance]>,
    gate: Option<&[SkuLevel]>,
) -> Vec<SkuStats> {
    let report = reading.and_then(Reading::report);
    let one = |sku: &sluice_core::sale::Sku| {
        let balance = stock.and_then(|stock| stock.iter().find(|balance| balance.sku == sku.sku));
        let level = gate.and_then(|gate| gate.iter().find(|level| level.sku == sku.sku));
        let remaining = report
            .and_then(|report| report.skus.iter().find(|known| known.sku == sku.sku))
            .map(|known| known.remaining)
            .or(level.map(|level| sku.sellable(level.available.saturating_sub(level.in_flight))))
            .or(balance.map(|balance| sku.sellable(balance.available)))
            .unwrap_or(sku.sellable(sku.stock));
        SkuStats {
            sku: sku.sku.clone(),
            remaining,
            ledger: balance.map(|b| Balance {
                total: b.total,
                available: b.available,
                held: b.held,
                sold: b.sold,
                owed: b.owed,
            }),
            gate: level.map(|level| Level {
                available: level.available,
                held: level.held,
                in_flight: level.in_flight,
            }),
            drift: balance.zip(level).map(|(balance, level)| difference(balance, level)),
        }
    };
    sale.skus.iter().map(one).collect()
}

/// A reservation moves units from available to held within each store, so it does not disturb the sums.
fn difference(balance: &StockBalance, level: &SkuLevel) -> i64 {
    let signed = |units: u64| i64::try_from(units).unwrap_or(i64::MAX);
    signed(level.available.saturating_add(level.held))
        - signed(balance.available.saturating_add(balance.held))
}

fn by_state(counts: &[OrderCount]) -> BTreeMap<&'static str, u64> {
    let mut by_state: BTreeMap<_, _> =
        OrderState::ALL.into_iter().map(|state| (state.as_str(), 0)).collect();
    by_state.extend(counts.iter().map(|count| (count.state.as_str(), count.count)));
    by_state
}

fn unpaid(counts: &[OrderCount]) -> u64 {
    counts.iter().filter(|count| count.state.is_unpaid_hold()).map(|count| count.count).sum()
}
