//! The report at the end: for people on the terminal, as JSON for laying over a plan.

use std::{
    collections::BTreeMap,
    io::{self, Write},
};

use serde::Serialize;

use super::{
    crowd::{Plan, Seen},
    judge::Verdict,
    money::{self, Money},
    observer::Sample,
};

#[derive(Debug, Serialize)]
pub(crate) struct Report {
    sale: String,
    shoppers: u32,
    joined: usize,
    turned_away: usize,
    outcomes: BTreeMap<String, u64>,
    orders: usize,
    paid: usize,
    sold_units: u64,
    /// Payments that the provider refused to take.
    declined: u64,
    money: Money,
    /// From the answer to the join to the news of the reservation.
    waits_ms: Percentiles,
    /// From sending a join to its answer.
    joins_ms: Percentiles,
    refusals: BTreeMap<String, u64>,
    took_seconds: f64,
    /// From when on nothing was left and nothing could come back; as a plan of `simulate` has it.
    sold_out_seconds: Option<f64>,
    called_off: bool,
    /// What the public was told, over time.
    timeline: Vec<Moment>,
    promises: Vec<Promise>,
}

#[derive(Clone, Copy, Debug, Default, Serialize)]
struct Percentiles {
    p50: f64,
    p95: f64,
    p99: f64,
    max: f64,
}

#[derive(Debug, Serialize)]
struct Moment {
    seconds: f64,
    waiting: u64,
    serving: u64,
    remaining: u64,
    rate_per_second: f64,
}

#[derive(Debug, Serialize)]
struct Promise {
    name: &'static str,
    held: bool,
    judged: bool,
    checked: String,
    broken: Vec<String>,
}

impl Report {
    pub(crate) fn new(plan: &Plan, seen: &Seen, verdicts: &[Verdict]) -> Self {
        let records = &seen.records;
        let mut outcomes: BTreeMap<String, u64> = BTreeMap::new();
        let mut refusals: BTreeMap<String, u64> = BTreeMap::new();
        for record in records {
            if let Some(outcome) = &record.outcome {
                *outcomes.entry(outcome.clone()).or_default() += 1;
            }
            for (code, n) in &record.refusals {
                *refusals.entry(code.clone()).or_default() += u64::from(*n);
            }
        }
        let reserved =
            records.iter().filter(|record| record.outcome.as_deref() == Some("reserved"));
        let waits = reserved
            .filter_map(|record| Some(1000.0 * (record.outcome_at? - record.join_answered?)));
        let joins = records
            .iter()
            .filter_map(|record| Some(1000.0 * (record.join_answered? - record.join_sent?)));
        let paid = records.iter().filter(|record| record.paid).count();
        let kept = records.iter().filter(|record| money::keeps_goods(record)).count();
        let (money, _) = money::count(records);
        Self {
            sale: plan.sale.clone(),
            shoppers: plan.shoppers,
            joined: records.iter().filter(|record| record.entry.is_some()).count(),
            turned_away: records.iter().filter(|record| record.entry.is_none()).count(),
            outcomes,
            orders: records.iter().filter(|record| record.order.is_some()).count(),
            paid,
            sold_units: kept as u64 * u64::from(plan.quantity),
            declined: records.iter().map(|record| u64::from(record.declined)).sum(),
            money,
            waits_ms: percentiles(waits.collect()),
            joins_ms: percentiles(joins.collect()),
            refusals,
            took_seconds: seen.took.as_secs_f64(),
            sold_out_seconds: sold_out(&seen.samples),
            called_off: seen.called_off,
            timeline: timeline(seen),
            promises: verdicts
                .iter()
                .map(|verdict| Promise {
                    name: verdict.promise,
                    held: verdict.held,
                    judged: verdict.judged,
                    checked: verdict.checked.clone(),
                    broken: verdict.broken.clone(),
                })
                .collect(),
        }
    }

    pub(crate) fn print(&self, out: &mut impl Write) -> io::Result<()> {
        let Percentiles { p50, p95, p99, max } = self.waits_ms;
        let seconds = |ms: f64| ms / 1000.0;
        writeln!(
            out,
            "\nThe sale `{}`, as {} shoppers saw it in {:.1} s",
            self.sale, self.shoppers, self.took_seconds
        )?;
        writeln!(out, "  joined        {:>8}   turned away {}", self.joined, self.turned_away)?;
        writeln!(
            out,
            "  orders        {:>8}   paid {}   units sold {}",
            self.orders, self.paid, self.sold_units
        )?;
        let Money { refunded_fen, in_flight_fen, .. } = self.money;
        if self.declined + refunded_fen + in_flight_fen > 0 {
            writeln!(
                out,
                "  money         {:>8} fen paid   kept {}   back {refunded_fen}   on the way {in_flight_fen}   payments declined {}",
                self.money.paid_fen, self.money.kept_fen, self.declined
            )?;
        }
        for (outcome, n) in &self.outcomes {
            writeln!(out, "  {outcome:<13} {n:>8}")?;
        }
        writeln!(
            out,
            "  wait in line  p50 {:.1} s   p95 {:.1} s   p99 {:.1} s   longest {:.1} s",
            seconds(p50),
            seconds(p95),
            seconds(p99),
            seconds(max)
        )?;
        let Percentiles { p50, p95, p99, .. } = self.joins_ms;
        writeln!(out, "  join answered p50 {p50:.0} ms   p95 {p95:.0} ms   p99 {p99:.0} ms")?;
        if !self.refusals.is_empty() {
            let list: Vec<String> =
                self.refusals.iter().map(|(code, n)| format!("{code} {n}")).collect();
            writeln!(out, "  refusals      {}", list.join(", "))?;
        }
        if let Some(at) = self.sold_out_seconds {
            writeln!(out, "  sold out after {at:.1} s")?;
        }
        if self.called_off {
            writeln!(out, "  the rest was called off: nothing happened to anybody any more")?;
        }
        writeln!(out, "\nThe promises, judged from what the shoppers saw")?;
        for promise in &self.promises {
            let word = match (promise.judged, promise.held) {
                (false, _) => "not judged",
                (true, true) => "held",
                (true, false) => "BROKEN",
            };
            writeln!(out, "  {word:<10}  {:<19} {}", promise.name, promise.checked)?;
            for what in &promise.broken {
                writeln!(out, "          {what}")?;
            }
        }
        Ok(())
    }
}

/// The first of the last looks that all saw it sold out.
fn sold_out(samples: &[Sample]) -> Option<f64> {
    let start = samples.first()?.at;
    let first = samples.iter().rev().take_while(|sample| sample.state == "sold_out").last()?;
    Some(first.at.since(start).as_secs_f64())
}

fn timeline(seen: &Seen) -> Vec<Moment> {
    let Some(start) = seen.samples.first().map(|sample| sample.at) else { return Vec::new() };
    let every_second = seen.samples.iter().step_by(4);
    every_second
        .map(|sample| Moment {
            seconds: sample.at.since(start).as_secs_f64(),
            waiting: sample.waiting,
            serving: sample.serving,
            remaining: sample.remaining,
            rate_per_second: sample.rate_per_second,
        })
        .collect()
}

fn percentiles(mut values: Vec<f64>) -> Percentiles {
    values.sort_by(f64::total_cmp);
    let at = |permille: usize| {
        values
            .get((values.len() * permille / 1000).min(values.len().saturating_sub(1)))
            .copied()
            .unwrap_or(0.0)
    };
    Percentiles { p50: at(500), p95: at(950), p99: at(990), max: at(1000) }
}

#[cfg(test)]
mod tests {
    use sluice_core::clock::UnixMillis;

    use super::*;

    #[test]
    fn percentiles_of_few_and_none() {
        let p = percentiles((1..=100).map(f64::from).collect());
        assert_eq!((p.p50, p.p95, p.p99, p.max), (51.0, 96.0, 100.0, 100.0));
        assert!(percentiles(Vec::new()).max.abs() < f64::EPSILON);
    }

    #[test]
    fn it_is_sold_out_from_when_it_stayed_so() {
        let looks = |states: &[&str]| -> Vec<Sample> {
            let look = |(n, state): (i64, &&str)| Sample {
                at: UnixMillis(1_000 * n),
                state: (*state).to_owned(),
                serving: 0,
                waiting: 0,
                remaining: 0,
                rate_per_second: 0.0,
                skus: Vec::new(),
            };
            (3..).zip(states).map(look).collect()
        };
        let sold_out_at = |states: &[&str]| sold_out(&looks(states));
        assert_eq!(sold_out_at(&["open", "sold_out", "open", "sold_out", "sold_out"]), Some(3.0));
        assert_eq!(sold_out_at(&["sold_out"]), Some(0.0));
        assert_eq!(sold_out_at(&["open", "sold_out", "closed"]), None);
        assert_eq!(sold_out_at(&[]), None);
    }
}
