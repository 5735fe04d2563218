//! What a policy would do to a sale: its present one and a patched one, each followed to the end on virtual time from where
//! the sale stands now, by the code of `sluice simulate`. Nothing is changed.
//!
//! It reckons as if the sale were open from now (from its opening, if that is still to come), with whom the caller
//! expects to come and nobody else. What it takes for granted is told with the answer.

use std::{sync::Arc, time::Duration};

use http::StatusCode;
use serde::Serialize;
use sluice_core::{
    clock::UnixMillis,
    ids::{SaleId, Version},
    order::OrderState,
    policy::Policy,
    ports::{OrderCount, PortError},
    sale::{Sale, SaleState},
    simulation::{Arrivals, Conduct, Course, Moment, Plan},
};
use sluice_http::{Exchange, Problem, Response};
use tokio::{task::spawn_blocking, time::Instant};

use crate::{
    audited::sale_of,
    desk::Desk,
    reply::{fresh, no_such_sale},
    watch::waiting,
    wire::{Crowd, PreviewBody},
};

/// Points of a timeline: as many as a picture of it shows.
const MOMENTS_MAX: usize = 200;
/// Orders that must have come to an end before the share that was paid says something.
const DECIDED_MIN: u64 = 20;
/// Both policies meet the same buyers.
const SEED: u64 = 1;

/// The answer of `POST …/preview`.
#[derive(Serialize)]
struct Preview {
    sale: SaleId,
    /// The version of the sale that it begins from: the tag for `If-Match` when the policy is then set.
    version: Version,
    state: SaleState,
    now: UnixMillis,
    assumed: Assumed,
    present: Prediction,
    patched: Prediction,
}

/// Where it begins, and what buyers are taken to do.
#[derive(Clone, Copy, Debug, Serialize)]
struct Assumed {
    /// When it begins.
    from: UnixMillis,
    /// Units that can be sold now.
    remaining: u64,
    /// Units that called entries and unpaid orders hold.
    held: u64,
    /// Entries that wait now. Their waits count from the beginning, as those of the others count from when they come.
    waiting: u64,
    /// Buyers who come after that, evenly.
    shoppers: u64,
    within_seconds: u64,
    units_per_turn: u64,
    /// Share of orders that is paid: as in this sale so far, 1 while too few have come to an end.
    pay_share: f64,
    /// Who pays does so evenly within this time.
    pay_within_seconds: u64,
}

/// What comes of one policy.
#[derive(Serialize)]
struct Prediction {
    policy: Policy,
    /// Until the last unit is paid; `null` when some are left, within a day at least.
    sold_out_seconds: Option<f64>,
    sold_out_at: Option<UnixMillis>,
    /// From now or from the join to the call, of those who get something.
    waits_seconds: Waits,
    longest_line: u64,
    orders: u64,
    paid: u64,
    /// Get nothing, because it is sold out, the line is full, or they stand by to the end.
    without: u64,
    timeline: Vec<Moment>,
}

#[derive(Serialize)]
struct Waits {
    p50: f64,
    p95: f64,
    max: f64,
}

/// `POST /v1/sales/{sale}/preview`
pub(crate) async fn show(desk: Arc<Desk>, mut exchange: Exchange) -> Result<Response, Problem> {
    let body: PreviewBody = exchange.json(desk.limits.body_bytes_max).await?;
    let crowd = body.crowd().map_err(|broken| Problem::out_of_range(&broken))?;
    let sale = desk.ports.ledger.sale(&sale_of(&exchange)?).await?.ok_or_else(no_such_sale)?;
    let patched = sale.policy.patched(&body.policy.into_patch()).map_err(|mut broken| {
        broken.field.insert_str(0, "policy.");
        Problem::out_of_range(&broken)
    })?;
    let (now, state) = (desk.ports.clock.now(), desk.state(&sale));
    if state == SaleState::Closed {
        let detail = "The sale is closed for good: no policy changes what becomes of it.";
        return Err(Problem::conflict("sale_closed", detail));
    }
    let assumed = assume(&desk, &sale, crowd, now).await?;
    let (present, patched) = reckon(&desk, [sale.policy.clone(), patched], assumed).await?;
    let (id, version) = (sale.id.clone(), sale.version);
    let preview = Preview { sale: id, version, state, now, assumed, present, patched };
    Ok(fresh(StatusCode::OK, &preview))
}

/// Where the sale stands now.
async fn assume(
    desk: &Desk,
    sale: &Sale,
    crowd: Crowd,
    now: UnixMillis,
) -> Result<Assumed, Problem> {
    let ports = &desk.ports;
    let (stock, orders, levels, line) = tokio::join!(
        ports.ledger.stock(&sale.id),
        ports.ledger.order_counts(&sale.id),
        ports.gate.levels(&sale.id),
        ports.line.snapshot(&sale.id),
    );
    let held: u64 = stock?.iter().map(|sku| sku.held).sum();
    // What is called and not yet held; a gate that is away or cold knows of nothing.
    let in_flight: u64 = levels.unwrap_or_default().iter().map(|level| level.in_flight).sum();
    let reading = ports.directory.sale(&sale.id).map(|view| view.read());
    let report = reading.as_ref().and_then(|reading| reading.report());
    let waiting = match (waiting(reading.as_ref(), line.as_ref().ok()), line) {
        (Some(waiting), _) => waiting,
        // A line that nobody remembers is given back by the ledger; until then, nobody can count it.
        (None, Ok(_) | Err(PortError::Cold)) => 0,
        (None, Err(error)) => return Err(error.into()),
    };
    Ok(Assumed {
        from: sale.opens_at.map_or(now, |opens_at| opens_at.max(now)),
        remaining: desk.remaining(sale),
        held: held + in_flight,
        waiting,
        shoppers: crowd.shoppers,
        within_seconds: crowd.within_seconds,
        units_per_turn: report.map_or(1, |report| whole(report.units_per_turn)),
        pay_share: pay_share(&orders?),
        pay_within_seconds: Conduct::default().pay_within.as_secs(),
    })
}

/// Both policies, one after the other, off the threads that answer others.
async fn reckon(
    desk: &Desk,
    policies: [Policy; 2],
    assumed: Assumed,
) -> Result<(Prediction, Prediction), Problem> {
    let Ok(permit) = Arc::clone(&desk.previews).try_acquire_owned() else {
        let detail =
            "A preview is being reckoned, and there is one at a time. Ask again in a second.";
        return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "preview_busy", detail)
            .retry_after(Duration::from_secs(1)));
    };
    let most = Duration::from_millis(desk.limits.preview_ms_max);
    let (deadline, closing) = (Instant::now() + most, desk.closing.clone());
    let reckoned = spawn_blocking(move || {
        // Kept until it is done, though whoever asked may have gone.
        let _permit = permit;
        let go_on = || Instant::now() < deadline && !closing.is_cancelled();
        let [present, patched] = policies.map(|policy| {
            let course = assumed.plan(&policy).run_while(go_on)?;
            Some(Prediction::new(policy, &course, assumed.from))
        });
        present.zip(patched)
    });
    match reckoned.await {
        Ok(Some(predictions)) => Ok(predictions),
        Ok(None) => {
            let detail = format!(
                "The sale could not be reckoned to its end within {} s. Expect a smaller crowd, or use `sluice simulate`.",
                most.as_secs()
            );
            Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "preview_too_long", detail))
        }
        Err(error) => {
            let mut problem = Problem::internal();
            tracing::error!(instance = problem.instance(), %error, "a preview failed");
            Err(problem)
        }
    }
}

impl Assumed {
    fn plan(&self, policy: &Policy) -> Plan {
        Plan {
            policy: policy.clone(),
            stock: self.remaining,
            held: self.held,
            waiting: self.waiting,
            shoppers: self.shoppers,
            arrivals: Arrivals::Spike(Duration::from_secs(self.within_seconds)),
            quantity: self.units_per_turn,
            conduct: Conduct { pay: self.pay_share, ..Conduct::default() },
            backend_per_second: None,
            seed: SEED,
        }
    }
}

impl Prediction {
    fn new(policy: Policy, course: &Course, from: UnixMillis) -> Self {
        let waits = course.waits_ms;
        let every = course.timeline.len().div_ceil(MOMENTS_MAX).max(1);
        let last = course.timeline.len().saturating_sub(1);
        let moments = course.timeline.iter().enumerate();
        let seen = moments.filter(|(place, _)| place % every == 0 || *place == last);
        let sold_out = course.sold_out_seconds;
        let outcome = |name| course.outcomes.get(name).copied().unwrap_or(0);
        Self {
            policy,
            sold_out_seconds: sold_out,
            sold_out_at: sold_out.map(|seconds| from.plus(Duration::from_secs_f64(seconds))),
            waits_seconds: Waits {
                p50: waits.p50 / 1000.0,
                p95: waits.p95 / 1000.0,
                max: waits.max / 1000.0,
            },
            longest_line: course.timeline.iter().map(|moment| moment.waiting).max().unwrap_or(0),
            orders: course.orders,
            paid: course.paid,
            without: course.turned_away + outcome("sold_out") + outcome("standby"),
            timeline: seen.map(|(_, moment)| *moment).collect(),
        }
    }
}

/// Of the orders that came to an end, one way or the other, the share that was paid.
fn pay_share(counts: &[OrderCount]) -> f64 {
    let (mut paid, mut unpaid) = (0, 0);
    for one in counts {
        match one.state {
            OrderState::AwaitingPayment | OrderState::Closing => {}
            OrderState::Closed => unpaid += one.count,
            OrderState::Paid
            | OrderState::Fulfilling
            | OrderState::Fulfilled
            | OrderState::Failed
            | OrderState::Refunding
            | OrderState::Refunded
            | OrderState::Changing => paid += one.count,
        }
    }
    let decided = paid + unpaid;
    if decided < DECIDED_MIN {
        return 1.0;
    }
    sluice_core::law::exact(paid) / sluice_core::law::exact(decided)
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "units of a basket: at least 1, and few"
)]
fn whole(units: f64) -> u64 {
    units.round().max(1.0) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_that_pays_is_that_of_the_orders_that_ended() {
        let count = |state, count| OrderCount { state, count };
        let few = [count(OrderState::Closed, 5), count(OrderState::Paid, 10)];
        assert!((pay_share(&few) - 1.0).abs() < f64::EPSILON, "too few to say");
        let many = [
            count(OrderState::AwaitingPayment, 1_000),
            count(OrderState::Closed, 25),
            count(OrderState::Paid, 5),
            count(OrderState::Fulfilled, 70),
        ];
        assert!((pay_share(&many) - 0.75).abs() < f64::EPSILON);
    }
}
