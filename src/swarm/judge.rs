//! The judgement: every promise, from what shoppers saw. Pure, but for the forgeries it tries.

use std::collections::HashMap;

use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use sluice_core::law::exact;

use super::{
    client::Ask,
    crowd::{Plan, Seen},
    money::{self, Money},
    observer::Sample,
    record::{Ending, Record},
    shopper::Crowd,
};

/// Whether one promise held.
#[derive(Clone, Debug)]
pub(crate) struct Verdict {
    pub(crate) promise: &'static str,
    pub(crate) held: bool,
    /// Whether there was enough to see: one that was not judged has neither held nor broken.
    pub(crate) judged: bool,
    /// What was checked, in words and numbers.
    pub(crate) checked: String,
    /// Up to a few of the contradictions.
    pub(crate) broken: Vec<String>,
}

const BROKEN_SHOWN: usize = 5;
const FORGERIES: usize = 16;

pub(crate) fn judge(plan: &Plan, seen: &Seen) -> Vec<Verdict> {
    vec![
        no_oversell(plan, seen),
        no_lost_place(plan, seen),
        no_double_order(seen),
        in_order(seen),
        never_backwards(seen),
        on_rate(plan, seen),
        no_swallowed_money(seen),
        no_forged_place(seen),
        bounded(seen),
    ]
}

fn verdict(
    promise: &'static str,
    seen: &Seen,
    checked: String,
    mut broken: Vec<String>,
) -> Verdict {
    let told = seen.records.iter().flat_map(|record| {
        record
            .contradictions
            .iter()
            .filter(|(name, _)| *name == promise)
            .map(|(_, what)| format!("shopper {}: {what}", record.shopper))
    });
    broken.extend(told);
    let held = broken.is_empty();
    broken.truncate(BROKEN_SHOWN);
    Verdict { promise, held, judged: true, checked, broken }
}

fn reserved(seen: &Seen) -> impl Iterator<Item = &Record> {
    seen.records.iter().filter(|record| record.outcome.as_deref() == Some("reserved"))
}

fn entries(seen: &Seen) -> impl Iterator<Item = &Record> {
    seen.records.iter().filter(|record| record.entry.is_some())
}

fn no_oversell(plan: &Plan, seen: &Seen) -> Verdict {
    let stock =
        seen.before.skus.iter().find(|(sku, _)| *sku == seen.sku).map_or(0, |(_, units)| *units);
    // A unit that lapsed or was given back may be reserved again. Of an orderly crowd every order counts but those that lapsed all the
    // same, at their deadline, because the house was too slow to take the payment; of any other, only what was paid and kept.
    let counted = if plan.manners.everybody_pays() {
        reserved(seen).filter(|record| !record.lapsed).count()
    } else {
        reserved(seen).filter(|record| money::keeps_goods(record)).count()
    };
    let units = counted as u64 * u64::from(plan.quantity);
    let broken =
        if units > stock { vec![format!("{units} units went out of {stock}")] } else { Vec::new() };
    verdict("no-oversell", seen, format!("{units} of {stock} units went out"), broken)
}

fn no_lost_place(plan: &Plan, seen: &Seen) -> Verdict {
    let joined = entries(seen).count();
    let settled = entries(seen).filter(|record| record.outcome.is_some()).count();
    let standby = entries(seen).filter(|record| record.outcome.is_none() && record.standby).count();
    let waiting = joined - settled - standby;
    let mut broken = Vec::new();
    if waiting > 0 && plan.manners.everybody_pays() {
        broken.push(format!("{waiting} of {joined} places have no outcome"));
    }
    let mut owners: HashMap<&str, u32> = HashMap::new();
    for record in entries(seen) {
        let entry = record.entry.as_deref().unwrap_or_default();
        if let Some(other) = owners.insert(entry, record.shopper) {
            broken.push(format!(
                "entry {entry} was given to shoppers {other} and {}",
                record.shopper
            ));
        }
    }
    let mut rest = String::new();
    if standby > 0 {
        rest = format!(", {standby} stand by for what comes back");
    }
    if waiting > 0 {
        rest = format!("{rest}, {waiting} still waited when the crowd was called off");
    }
    verdict(
        "no-lost-place",
        seen,
        format!("{settled} of {joined} places have one outcome{rest}"),
        broken,
    )
}

fn no_double_order(seen: &Seen) -> Verdict {
    let mut owners: HashMap<&str, u32> = HashMap::new();
    let mut broken = Vec::new();
    for record in &seen.records {
        let Some(order) = record.order.as_deref() else { continue };
        if let Some(other) = owners.insert(order, record.shopper) {
            broken
                .push(format!("order {order} belongs to shoppers {other} and {}", record.shopper));
        }
    }
    verdict("no-double-order", seen, format!("{} orders, each of one entry", owners.len()), broken)
}

/// If A was answered before B asked, A has the lower number; and nobody was served past somebody who was told that
/// nothing was left.
fn in_order(seen: &Seen) -> Verdict {
    let mut joins: Vec<(f64, f64, u64)> = entries(seen)
        .filter_map(|record| Some((record.join_first_sent?, record.join_answered?, record.seq?)))
        .collect();
    let mut broken = Vec::new();
    let mut numbers: Vec<u64> = joins.iter().map(|(_, _, seq)| *seq).collect();
    numbers.sort_unstable();
    if let Some(twice) = numbers.windows(2).find(|pair| pair[0] == pair[1]) {
        broken.push(format!("number {} was given twice", twice[0]));
    }
    let mut answered: Vec<(f64, u64)> =
        joins.iter().map(|(_, answered, seq)| (*answered, *seq)).collect();
    answered.sort_by(|a, b| a.0.total_cmp(&b.0));
    joins.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (mut next, mut highest) = (0, 0);
    for (sent, _, seq) in &joins {
        while next < answered.len() && answered[next].0 < *sent {
            highest = highest.max(answered[next].1);
            next += 1;
        }
        if *seq < highest {
            broken.push(format!("number {seq} was given after {highest} had been answered"));
        }
    }
    // What was given back after it had been sold is new stock, for whoever comes next.
    let given_back = seen.records.iter().filter_map(|record| record.refund_asked);
    let first_back = given_back.fold(f64::INFINITY, f64::min);
    let served_before = reserved(seen).filter(|record| record.outcome_at < Some(first_back));
    let last_served = served_before.filter_map(|record| record.seq).max().unwrap_or(0);
    let passed = seen.records.iter().filter(|record| {
        record.outcome.as_deref() == Some("sold_out")
            && record.seq.is_some_and(|seq| seq < last_served)
    });
    broken.extend(passed.map(|record| {
        format!("number {} heard sold_out while {last_served} was served", record.seq.unwrap_or(0))
    }));
    verdict(
        "in-order",
        seen,
        format!("{} joins, numbered as they came and served in that order", joins.len()),
        broken,
    )
}

fn never_backwards(seen: &Seen) -> Verdict {
    let mut broken = Vec::new();
    for pair in seen.samples.windows(2) {
        if pair[1].serving < pair[0].serving {
            broken
                .push(format!("serving went from {} back to {}", pair[0].serving, pair[1].serving));
        }
    }
    verdict(
        "never-backwards",
        seen,
        format!("{} shoppers and {} public looks", seen.records.len(), seen.samples.len()),
        broken,
    )
}

/// In every window, no more were called than the public rate allows. Looks are a quarter of a second old at most, so the
/// windows are long and the slack is what that age can hide. A line whose store forgot everything goes on at a new block
/// of numbers: a leap of `serving` by more than ever joined says nothing of how many were called and is left out, and
/// counted; what was called before and after it in the same window is not.
fn on_rate(plan: &Plan, seen: &Seen) -> Verdict {
    const WINDOW: usize = 20; // looks: about five seconds
    let moving: Vec<&Sample> = seen.samples.iter().filter(|sample| sample.remaining > 0).collect();
    let (mut broken, mut checked) = (Vec::new(), 0_u64);
    let step = |pair: &[&Sample]| pair[1].serving.saturating_sub(pair[0].serving);
    let leaps = |step: u64| step > u64::from(plan.shoppers) * 2;
    for window in moving.windows(WINDOW) {
        let Some(last) = window.last() else { continue };
        checked += 1;
        let fastest = window.iter().map(|sample| sample.rate_per_second).fold(0.0, f64::max);
        let integral: f64 = window
            .windows(2)
            .map(|pair| {
                pair[0].rate_per_second.max(pair[1].rate_per_second)
                    * pair[1].at.since(pair[0].at).as_secs_f64()
            })
            .sum();
        let called: u64 = window.windows(2).map(step).filter(|step| !leaps(*step)).sum();
        let called = exact(called);
        let allowed = integral * 1.02 + fastest * 0.6 + 2.0;
        if called > allowed {
            broken.push(format!(
                "{called} were called by {} where the law allows {allowed:.0}",
                last.at
            ));
        }
    }
    let note = match moving.windows(2).map(step).filter(|step| leaps(*step)).count() {
        0 => String::new(),
        n => format!(", but for {n} leaps of the numbers to a new block"),
    };
    if checked == 0 {
        let why = "the line moved for less than five seconds".to_owned();
        let verdict = verdict("on-rate", seen, why, broken);
        return Verdict { judged: !verdict.held, ..verdict };
    }
    verdict("on-rate", seen, format!("{checked} windows of about five seconds{note}"), broken)
}

fn no_swallowed_money(seen: &Seen) -> Verdict {
    let (money, broken) = money::count(&seen.records);
    let mut checked = format!("{} payments, each fulfilled or given back", money.payments);
    if money.refunded_fen + money.in_flight_fen > 0 {
        let Money { paid_fen, kept_fen, refunded_fen, in_flight_fen, .. } = money;
        checked = format!(
            "{} payments: {paid_fen} fen = {kept_fen} in orders + {refunded_fen} back + {in_flight_fen} on the way",
            money.payments
        );
    }
    verdict("no-swallowed-money", seen, checked, broken)
}

fn no_forged_place(seen: &Seen) -> Verdict {
    let broken = (seen.forgeries_accepted > 0)
        .then(|| format!("{} forged tokens were accepted", seen.forgeries_accepted));
    verdict(
        "no-forged-place",
        seen,
        format!("{} forged tokens, all refused", seen.forgeries),
        broken.into_iter().collect(),
    )
}

fn bounded(seen: &Seen) -> Verdict {
    let unfinished = seen
        .records
        .iter()
        .filter(|record| record.ending == Ending::Unfinished && record.entry.is_none())
        .count();
    let broken = (unfinished > 0)
        .then(|| format!("{unfinished} shoppers never got an answer to their join"));
    verdict(
        "bounded",
        seen,
        "every refusal was named and had an end".to_owned(),
        broken.into_iter().collect(),
    )
}

/// Tries places with tokens that are not theirs: another shopper's, and a changed one. Returns tried and accepted.
pub(crate) async fn try_forgeries(crowd: &Crowd, records: &[Record]) -> (u32, u32) {
    let entries: Vec<&Record> =
        records.iter().filter(|record| record.entry.is_some()).take(FORGERIES).collect();
    let (mut tried, mut accepted) = (0, 0);
    for record in entries {
        let path = format!(
            "/v1/sales/{}/entries/{}",
            crowd.sale,
            record.entry.as_deref().unwrap_or_default()
        );
        for token in ["", "AAAA", "AQACazFkZWZpbml0ZWx5LW5vdC1hLXRva2VuLW9mLXRoaXMtc2FsZQ"] {
            let mut headers = HeaderMap::new();
            if let Ok(value) = HeaderValue::from_str(&format!("Bearer {token}")) {
                headers.insert(header::AUTHORIZATION, value);
            }
            let ask =
                Ask { method: Method::GET, path: &path, turns: 0, headers: &headers, body: None };
            if let Ok(answer) = crowd.client.ask(record.shopper, ask).await
                && answer.status != StatusCode::TOO_MANY_REQUESTS
            {
                tried += 1;
                accepted += u32::from(answer.status.is_success());
            }
        }
    }
    (tried, accepted)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use sluice_core::clock::UnixMillis;

    use super::*;
    use crate::swarm::manners::Manners;

    fn sample(n: u64, serving: u64) -> Sample {
        Sample {
            at: UnixMillis(0).plus(Duration::from_millis(250 * n)),
            state: "open".into(),
            serving,
            waiting: 10,
            remaining: 10,
            rate_per_second: 4.0,
            skus: Vec::new(),
        }
    }

    /// On the rate of four per second, `per_look` were called at each of `looks` looks.
    fn verdict_of(looks: u64, per_look: u64) -> Verdict {
        let plan = Plan {
            targets: Vec::new(),
            sale: "drop".into(),
            shoppers: 1_000,
            arrive_over: Duration::from_secs(1),
            push: 0.0,
            manners: Manners {
                pay: 1.0,
                pay_within: Duration::ZERO,
                dawdle: 0.0,
                abandon: 0.0,
                cancel: 0.0,
                late: 0.0,
                refund: 0.0,
            },
            sku: None,
            quantity: 1,
            seed: 1,
            patience: Duration::from_secs(1),
        };
        let seen = Seen {
            records: Vec::new(),
            samples: (0..looks).map(|n| sample(n, n * per_look)).collect(),
            before: sample(0, 0),
            sku: "a".into(),
            took: Duration::from_secs(1),
            called_off: false,
            forgeries: 0,
            forgeries_accepted: 0,
        };
        on_rate(&plan, &seen)
    }

    #[test]
    fn a_rate_is_judged_only_where_there_is_enough_to_see() {
        for (looks, per_look, judged, held) in
            [(19, 9, false, true), (20, 1, true, true), (20, 9, true, false)]
        {
            let verdict = verdict_of(looks, per_look);
            assert_eq!((verdict.judged, verdict.held), (judged, held), "{looks} {per_look}");
        }
    }
}
