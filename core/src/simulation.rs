//! A sale on virtual time: the real rate law and the real rule of the line's end, in steps of one tick, without a store, a
//! socket or a clock. What a rehearsal of a policy is made of, and what an operator is shown before tuning one.
//!
//! What it leaves out: the milliseconds of stores and networks, that those who poll hear of their turn at their next poll, buyers
//! who give up in line, several SKUs. `tests/it/rehearsal.rs` holds it against a real crowd.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap, VecDeque},
    time::Duration,
};

use serde::Serialize;

use crate::{
    law::{Credit, TICK_MAX, exact},
    policy::Policy,
    random::Random,
};

/// A sale is not followed for longer than this.
pub const HORIZON: Duration = Duration::from_hours(24);
/// Most points of a timeline; a longer one is thinned.
const MOMENTS_MAX: usize = 3_600;
const STEP_MS: u64 = 10;
const SAMPLE_EVERY_MS: u64 = 1_000;

/// When buyers come.
#[derive(Clone, Debug, PartialEq)]
pub enum Arrivals {
    /// Evenly within this time.
    Spike(Duration),
    /// Ever more, from none at first, within this time.
    Ramp(Duration),
    /// At these times after the beginning, in order; what a real night has left behind.
    Recorded(Vec<Duration>),
}

/// What buyers do with what they get. The rest lets the deadline pass.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Conduct {
    /// Share that pays in time: 0 to 1.
    pub pay: f64,
    /// Share that pays after the deadline, within as long again: 0 to 1; with `pay` at most 1.
    pub late: f64,
    /// Who pays does so evenly within this time after the reservation, the payment window at most.
    pub pay_within: Duration,
}

impl Default for Conduct {
    fn default() -> Self {
        Self { pay: 1.0, late: 0.0, pay_within: Duration::from_mins(1) }
    }
}

/// What is simulated.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    pub policy: Policy,
    /// Units that can be sold.
    pub stock: u64,
    /// Units that somebody holds and has not paid when it begins.
    pub held: u64,
    /// Entries that wait when it begins.
    pub waiting: u64,
    /// Buyers who come after that; those that [`Arrivals::Recorded`] names, if fewer.
    pub shoppers: u64,
    pub arrivals: Arrivals,
    /// Units each of them wants: 1 or more.
    pub quantity: u64,
    pub conduct: Conduct,
    /// Orders per second the backend takes at most; it pushes back, and the line slows down.
    pub backend_per_second: Option<f64>,
    /// The same seed is the same sale.
    pub seed: u64,
}

/// Milliseconds; the smallest value that so many in a hundred do not exceed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Percentiles {
    pub p50: f64,
    pub p95: f64,
    pub p99: f64,
    pub max: f64,
}

impl Percentiles {
    #[must_use]
    pub fn of(mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        let at = |permille: usize| {
            let place = (values.len() * permille / 1000).min(values.len().saturating_sub(1));
            values.get(place).copied().unwrap_or(0.0)
        };
        Self { p50: at(500), p95: at(950), p99: at(990), max: at(1000) }
    }
}

/// The sale at one moment, as the public sees it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Moment {
    pub seconds: f64,
    pub waiting: u64,
    pub serving: u64,
    pub remaining: u64,
    pub rate_per_second: f64,
    /// How long those who were called in the last second had waited, on average.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wait_seconds: Option<f64>,
}

/// How it went. Serialises as a crowd's report does, as far as both have the same to tell.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Course {
    pub shoppers: u64,
    pub joined: u64,
    /// Came when the line was full or everything was sold.
    pub turned_away: u64,
    pub outcomes: BTreeMap<&'static str, u64>,
    pub orders: u64,
    pub paid: u64,
    /// Paid after the deadline, when the goods were gone.
    pub refunded: u64,
    pub sold_units: u64,
    /// When the last unit was sold; absent when some were left.
    pub sold_out_seconds: Option<f64>,
    /// From the join to the call, of those who got something.
    pub waits_ms: Percentiles,
    pub took_seconds: f64,
    pub timeline: Vec<Moment>,
}

impl Plan {
    /// Runs the sale to its end, [`HORIZON`] at most.
    #[must_use]
    pub fn run(&self) -> Course {
        let mut run = Run::new(self);
        while !run.is_over() {
            run.step();
        }
        run.end()
    }

    /// As [`Plan::run`], for as long as `go_on` says; it is asked once per simulated second. `None` when it said no.
    #[must_use]
    pub fn run_while(&self, mut go_on: impl FnMut() -> bool) -> Option<Course> {
        let mut run = Run::new(self);
        while !run.is_over() {
            if run.now_ms.is_multiple_of(SAMPLE_EVERY_MS) && !go_on() {
                return None;
            }
            run.step();
        }
        Some(run.end())
    }

    /// Milliseconds at which buyers come, in order.
    fn arrivals(&self, random: &Random) -> Vec<u64> {
        let within = |over: Duration, share: f64| whole(over.as_secs_f64() * 1000.0 * share);
        let mut times: Vec<u64> = match &self.arrivals {
            Arrivals::Spike(over) => {
                (0..self.shoppers).map(|_| within(*over, random.unit())).collect()
            }
            // As many have come as the square of the time that has passed.
            Arrivals::Ramp(over) => {
                (0..self.shoppers).map(|_| within(*over, random.unit().sqrt())).collect()
            }
            Arrivals::Recorded(times) => {
                let most = usize::try_from(self.shoppers).unwrap_or(usize::MAX);
                times.iter().take(most).map(|time| within(*time, 1.0)).collect()
            }
        };
        times.sort_unstable();
        times
    }
}

/// What becomes of a hold.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Ends {
    Paid,
    Lapsed,
    /// The goods go back, and money comes all the same.
    LapsedThenPaid,
    PaidLate,
}

struct Run<'a> {
    plan: &'a Plan,
    random: Random,
    arrivals: std::iter::Peekable<std::vec::IntoIter<u64>>,
    now_ms: u64,
    credit: Credit,
    /// When those in line joined.
    line: VecDeque<u64>,
    /// Units.
    available: u64,
    held: u64,
    due: BinaryHeap<Reverse<(u64, Ends, u64)>>,
    serving: u64,
    waits: Vec<f64>,
    /// How many of `waits` the last sample had seen.
    sampled: usize,
    course: Course,
}

impl<'a> Run<'a> {
    fn new(plan: &'a Plan) -> Self {
        let random = Random::seeded(plan.seed);
        let arrivals = plan.arrivals(&random);
        let course = Course {
            shoppers: plan.waiting + arrivals.len() as u64,
            joined: plan.waiting,
            turned_away: 0,
            outcomes: BTreeMap::new(),
            orders: 0,
            paid: 0,
            refunded: 0,
            sold_units: 0,
            sold_out_seconds: None,
            waits_ms: Percentiles::default(),
            took_seconds: 0.0,
            timeline: Vec::new(),
        };
        let mut run = Self {
            plan,
            random,
            arrivals: arrivals.into_iter().peekable(),
            now_ms: 0,
            credit: Credit::default(),
            line: std::iter::repeat_n(0, usize::try_from(plan.waiting).unwrap_or(0)).collect(),
            available: plan.stock,
            held: 0,
            due: BinaryHeap::new(),
            serving: 0,
            waits: Vec::new(),
            sampled: 0,
            course,
        };
        let quantity = plan.quantity.max(1);
        for _ in 0..plan.held / quantity {
            run.hold(quantity);
        }
        run
    }

    fn is_over(&self) -> bool {
        let quiet = self.arrivals.len() == 0 && self.line.is_empty() && self.due.is_empty();
        quiet || u128::from(self.now_ms) >= HORIZON.as_millis()
    }

    fn step(&mut self) {
        self.arrive();
        self.settle_due();
        let rate = self.rate();
        let turns = self.credit.accrue(rate, TICK_MAX);
        self.call(turns);
        self.end_line();
        if self.now_ms.is_multiple_of(SAMPLE_EVERY_MS) {
            self.sample(rate);
        }
        self.now_ms += STEP_MS;
    }

    fn rate(&self) -> f64 {
        let law = self.plan.policy.law().rate(self.available);
        self.plan.backend_per_second.map_or(law, |most| law.min(most))
    }

    fn wants(&self) -> u64 {
        self.plan.quantity.max(1)
    }

    /// Nothing is left that one of them could have, and nothing can come back.
    fn is_sold_out(&self) -> bool {
        self.available < self.wants() && self.held == 0
    }

    fn arrive(&mut self) {
        while let Some(at) = self.arrivals.next_if(|at| *at <= self.now_ms) {
            if self.is_sold_out() || self.line.len() as u64 >= self.plan.policy.line_cap {
                self.course.turned_away += 1;
            } else {
                self.course.joined += 1;
                self.line.push_back(at);
            }
        }
    }

    fn call(&mut self, turns: u64) {
        let units = self.wants();
        for _ in 0..turns {
            if self.available < units {
                return;
            }
            let Some(joined) = self.line.pop_front() else { return };
            self.credit.spend(1);
            self.serving += 1;
            self.available -= units;
            self.waits.push(exact(self.now_ms.saturating_sub(joined)));
            self.course.orders += 1;
            self.hold(units);
        }
    }

    /// Draws what becomes of a hold, and when.
    fn hold(&mut self, units: u64) {
        let window = u64::from(self.plan.policy.payment_window_seconds) * 1000;
        let Conduct { pay, late, pay_within } = self.plan.conduct;
        let patience = u64::try_from(pay_within.as_millis()).unwrap_or(u64::MAX).min(window);
        let lot = self.random.unit();
        let (after, ends) = if lot < pay {
            (self.random.below(patience + 1), Ends::Paid)
        } else if lot < pay + late {
            (window, Ends::LapsedThenPaid)
        } else {
            (window, Ends::Lapsed)
        };
        self.held += units;
        self.due.push(Reverse((self.now_ms + after, ends, units)));
    }

    fn settle_due(&mut self) {
        while let Some(&Reverse((at, ends, units))) = self.due.peek()
            && at <= self.now_ms
        {
            self.due.pop();
            match ends {
                Ends::Paid => {
                    self.held -= units;
                    self.sell(units);
                }
                Ends::Lapsed => self.release(units),
                Ends::LapsedThenPaid => {
                    self.release(units);
                    let window = u64::from(self.plan.policy.payment_window_seconds) * 1000;
                    let at = at + self.random.below(window);
                    self.due.push(Reverse((at, Ends::PaidLate, units)));
                }
                // Held again if there is enough, else the money goes back.
                Ends::PaidLate if self.available >= units => {
                    self.available -= units;
                    self.sell(units);
                }
                Ends::PaidLate => self.course.refunded += 1,
            }
        }
    }

    fn release(&mut self, units: u64) {
        self.held -= units;
        self.available += units;
    }

    fn sell(&mut self, units: u64) {
        self.course.paid += 1;
        self.course.sold_units += units;
        if self.available == 0 && self.held == 0 {
            self.course.sold_out_seconds = Some(self.seconds());
        }
    }

    /// Free of the law: all who can get nothing hear it at once.
    fn end_line(&mut self) {
        if !self.line.is_empty() && self.is_sold_out() {
            let rest = self.line.len() as u64;
            self.serving += rest;
            *self.course.outcomes.entry("sold_out").or_default() += rest;
            self.line.clear();
        }
    }

    fn seconds(&self) -> f64 {
        exact(self.now_ms) / 1000.0
    }

    fn sample(&mut self, rate: f64) {
        let called = self.waits.get(self.sampled..).unwrap_or_default();
        let wait = (!called.is_empty())
            .then(|| called.iter().sum::<f64>() / exact(called.len() as u64) / 1000.0);
        self.sampled = self.waits.len();
        self.course.timeline.push(Moment {
            seconds: self.seconds(),
            waiting: self.line.len() as u64,
            serving: self.serving,
            remaining: self.available,
            rate_per_second: rate,
            wait_seconds: wait,
        });
    }

    fn end(mut self) -> Course {
        self.sample(self.rate());
        let mut course = self.course;
        for (outcome, n) in [("reserved", course.orders), ("waiting", self.line.len() as u64)] {
            if n > 0 {
                course.outcomes.insert(outcome, n);
            }
        }
        course.waits_ms = Percentiles::of(self.waits);
        course.took_seconds = exact(self.now_ms) / 1000.0;
        let every = course.timeline.len().div_ceil(MOMENTS_MAX).max(1);
        let last = course.timeline.len().saturating_sub(1);
        let mut place = 0;
        course.timeline.retain(|_| {
            place += 1;
            (place - 1) % every == 0 || place - 1 == last
        });
        course
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "milliseconds of a day at most, not negative"
)]
fn whole(ms: f64) -> u64 {
    ms.clamp(0.0, HORIZON.as_secs_f64() * 1000.0) as u64
}

#[cfg(test)]
mod tests;
