//! A sale on virtual time: the real rate law and the real rule of the line's end, in steps of one tick, without a store, a
//! socket or a clock. What a rehearsal of a policy is made of, and what an operator is shown before tuning one.
//!
//! What it leaves out: the milliseconds of stores and networks, that those who poll hear of their turn at their next poll, buyers
//! who give up in line, several SKUs. `tests/rehearsal.rs` holds it against a real crowd.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap, VecDeque},
    time::Duration,
};

use crate::{
    law::{Credit, TICK_MAX, exact},
    policy::{OnSoldOut, Overflow},
    random::Random,
};

mod course;
mod plan;

pub use course::{Course, Moment, Percentiles, TENTHS};
pub use plan::{Arrivals, Conduct, Plan};

/// A sale is not followed for longer than this.
pub const HORIZON: Duration = Duration::from_hours(24);
/// Most points of a timeline; a longer one is thinned.
const MOMENTS_MAX: usize = 3_600;
const STEP_MS: u64 = 10;
const SAMPLE_EVERY_MS: u64 = 1_000;

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

/// One who waits, in line or standing by.
#[derive(Clone, Copy, Debug)]
struct Buyer {
    /// Milliseconds.
    joined: u64,
    /// Which tenth of the crowd, from 0.
    tenth: usize,
}

struct Run<'a> {
    plan: &'a Plan,
    random: Random,
    arrivals: std::iter::Peekable<std::vec::IntoIter<u64>>,
    now_ms: u64,
    credit: Credit,
    line: VecDeque<Buyer>,
    /// Who came when the line was full, or lost their turn when stock ran out.
    standby: VecDeque<Buyer>,
    /// How many have come.
    came: u64,
    /// How many of each tenth were called.
    called: [u64; TENTHS],
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
            odds_by_tenth: [0.0; TENTHS],
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
            line: VecDeque::new(),
            standby: VecDeque::new(),
            came: 0,
            called: [0; TENTHS],
            available: plan.stock,
            held: 0,
            due: BinaryHeap::new(),
            serving: 0,
            waits: Vec::new(),
            sampled: 0,
            course,
        };
        for _ in 0..plan.waiting {
            let buyer = run.comes(0);
            run.line.push_back(buyer);
        }
        let quantity = plan.quantity.max(1);
        for _ in 0..plan.held / quantity {
            run.hold(quantity);
        }
        run
    }

    fn is_over(&self) -> bool {
        let nobody_waits =
            self.line.is_empty() && (self.standby.is_empty() || self.available < self.wants());
        let quiet = self.arrivals.len() == 0 && nobody_waits && self.due.is_empty();
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
            let buyer = self.comes(at);
            let policy = &self.plan.policy;
            let may_stand = if self.is_sold_out() {
                policy.on_sold_out == OnSoldOut::Standby
            } else if (self.line.len() as u64) < policy.line_cap {
                self.course.joined += 1;
                self.line.push_back(buyer);
                continue;
            } else {
                policy.overflow == Overflow::Standby
            };
            if may_stand && (self.standby.len() as u64) < policy.standby_cap {
                self.course.joined += 1;
                self.standby.push_back(buyer);
            } else {
                self.course.turned_away += 1;
            }
        }
    }

    /// One more has come, at this time.
    fn comes(&mut self, joined: u64) -> Buyer {
        let tenth =
            (self.came * TENTHS as u64 / self.course.shoppers.max(1)).min(TENTHS as u64 - 1);
        self.came += 1;
        Buyer { joined, tenth: usize::try_from(tenth).unwrap_or_default() }
    }

    /// The line comes first, but for those who stand by since before its first had joined.
    fn next(&mut self) -> Option<Buyer> {
        let first = |buyers: &VecDeque<Buyer>| buyers.front().map(|buyer| buyer.joined);
        match (first(&self.line), first(&self.standby)) {
            (Some(line), Some(standby)) if standby < line => self.standby.pop_front(),
            (Some(_), _) => self.line.pop_front(),
            (None, _) => self.standby.pop_front(),
        }
    }

    fn call(&mut self, turns: u64) {
        let units = self.wants();
        for _ in 0..turns {
            if self.available < units {
                return;
            }
            let Some(buyer) = self.next() else { return };
            self.called[buyer.tenth] += 1;
            self.credit.spend(1);
            self.serving += 1;
            self.available -= units;
            self.waits.push(exact(self.now_ms.saturating_sub(buyer.joined)));
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

    /// Free of the law: all who can get nothing hear it at once, or stand by if the sale says so.
    fn end_line(&mut self) {
        if !self.is_sold_out() {
            return;
        }
        self.serving += self.line.len() as u64;
        let policy = &self.plan.policy;
        let mut ended = std::mem::take(&mut self.line);
        match policy.on_sold_out {
            OnSoldOut::Settle => ended.append(&mut self.standby),
            OnSoldOut::Standby => {
                let room = policy.standby_cap.saturating_sub(self.standby.len() as u64);
                let rest = ended.split_off(
                    usize::try_from(room).map_or(ended.len(), |room| room.min(ended.len())),
                );
                self.standby.append(&mut ended);
                ended = rest;
            }
        }
        if !ended.is_empty() {
            *self.course.outcomes.entry("sold_out").or_default() += ended.len() as u64;
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
            standby: self.standby.len() as u64,
            serving: self.serving,
            remaining: self.available,
            rate_per_second: rate,
            wait_seconds: wait,
        });
    }

    fn end(mut self) -> Course {
        self.sample(self.rate());
        let mut course = self.course;
        for (outcome, n) in [
            ("reserved", course.orders),
            ("standby", self.standby.len() as u64),
            ("waiting", self.line.len() as u64),
        ] {
            if n > 0 {
                course.outcomes.insert(outcome, n);
            }
        }
        let sizes = tenths_of(course.shoppers);
        for (odds, (called, size)) in
            course.odds_by_tenth.iter_mut().zip(self.called.iter().zip(sizes))
        {
            *odds = exact(*called) / exact(size.max(1));
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

/// How many there are in each tenth of a crowd.
fn tenths_of(shoppers: u64) -> [u64; TENTHS] {
    let begins = |tenth: usize| (tenth as u64 * shoppers).div_ceil(TENTHS as u64);
    std::array::from_fn(|tenth| begins(tenth + 1) - begins(tenth))
}

#[cfg(test)]
mod tests;
