//! What a crowd asks of the system at its peak: joins, polls, frames, turns. The course of the sale comes from the simulation, the
//! pace of polls from the forecast that buyers are told. Pure.

use std::iter::once;

use serde::Serialize;
use sluice_core::{
    forecast::{Outlook, Wanted},
    law::exact,
    policy::{Overflow, Policy},
    simulation::{Course, Moment},
    view::object::{POLL_AFTER_MS_MAX, poll_pace_ms},
};

use super::costs::Costs;

/// Of a front-loaded crowd, this share comes in the first tenth of the time.
const FRONT_SHARE: f64 = 0.5;
const FRONT_TIME: f64 = 0.1;
/// A poll comes up to a fifth later than its pace: half of that on average.
const JITTER: f64 = 1.1;
/// A line is looked at in so many places.
const PLACES: u32 = 64;

/// Who comes, and to what.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Crowd {
    pub(crate) buyers: u64,
    pub(crate) arrive_over_seconds: f64,
    /// Share that waits by push: 0 to 1.
    pub(crate) push: f64,
    /// Units; each buyer wants one.
    pub(crate) stock: u64,
}

/// The peaks of each kind of work, and how the sale goes.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Demand {
    pub(crate) joins_per_second: f64,
    /// In the first second, if half of the crowd comes in the first tenth of the time.
    pub(crate) front_loaded_joins_per_second: f64,
    pub(crate) turns_per_second: f64,
    /// What the law would let through: more, where the crowd comes more slowly.
    pub(crate) law_turns_per_second: f64,
    pub(crate) polls_per_second: f64,
    /// Buyers who wait by polling, at most; each keeps a connection.
    pub(crate) polling: f64,
    /// Push connections at most.
    pub(crate) pushing: f64,
    pub(crate) push_connects_per_second: f64,
    pub(crate) line_frames_per_second: f64,
    pub(crate) entry_frames_per_second: f64,
    pub(crate) longest_line: u64,
    pub(crate) most_standing_by: u64,
    pub(crate) turned_away: u64,
    /// Places the crowd would take if there were enough, and places there are.
    pub(crate) places_wanted: f64,
    pub(crate) places: f64,
    /// Called while they still came: their places were free again.
    pub(crate) called_meanwhile: f64,
    pub(crate) joined: u64,
    pub(crate) orders: u64,
    pub(crate) paid: u64,
    /// Who joined and got nothing.
    pub(crate) without: u64,
    pub(crate) sold_out_seconds: Option<f64>,
    pub(crate) over_seconds: f64,
    pub(crate) wait_p95_seconds: f64,
}

impl Demand {
    pub(crate) fn of(crowd: &Crowd, policy: &Policy, course: &Course, costs: &Costs) -> Self {
        let joins = exact(crowd.buyers) / crowd.arrive_over_seconds;
        let law = policy.law().rate(crowd.stock);
        let turns = law.min(joins);
        let most = |of: fn(&Moment) -> u64| course.timeline.iter().map(of).max().unwrap_or(0);
        let waiting = exact(most(|moment| moment.waiting + moment.standby));
        let polls = course.timeline.iter().map(|moment| polls(moment, policy)).fold(0.0, f64::max);
        let pushing = waiting * crowd.push;
        Self {
            joins_per_second: joins,
            front_loaded_joins_per_second: exact(crowd.buyers)
                * first_second(crowd.arrive_over_seconds),
            turns_per_second: turns,
            law_turns_per_second: law,
            polls_per_second: polls * (1.0 - crowd.push),
            polling: waiting - pushing,
            pushing,
            push_connects_per_second: joins * crowd.push,
            line_frames_per_second: pushing * costs.ws_push.line_frames_per_second,
            // One on connecting; called and settled.
            entry_frames_per_second: (joins + 2.0 * turns) * crowd.push,
            longest_line: most(|moment| moment.waiting),
            most_standing_by: most(|moment| moment.standby),
            turned_away: course.turned_away,
            places_wanted: places_wanted(crowd, course).max(waiting),
            places: exact(places(policy)),
            called_meanwhile: called_meanwhile(crowd, course),
            joined: course.joined,
            orders: course.orders,
            paid: course.paid,
            without: course.joined.saturating_sub(course.orders),
            sold_out_seconds: course.sold_out_seconds,
            over_seconds: course.took_seconds,
            wait_p95_seconds: course.waits_ms.p95 / 1000.0,
        }
    }
}

/// The share of a front-loaded crowd that is there after one second.
fn first_second(arrive_over_seconds: f64) -> f64 {
    let front = FRONT_TIME * arrive_over_seconds;
    if front >= 1.0 {
        FRONT_SHARE / front
    } else {
        let rest = arrive_over_seconds - front;
        (FRONT_SHARE + (1.0 - FRONT_SHARE) * (1.0 - front) / rest).min(1.0)
    }
}

/// Places that would be taken when the last one has come; none if everything is sold by then.
fn places_wanted(crowd: &Crowd, course: &Course) -> f64 {
    let sold_out = course.sold_out_seconds.is_some_and(|at| at <= crowd.arrive_over_seconds);
    if sold_out { 0.0 } else { exact(crowd.buyers) - called_meanwhile(crowd, course) }
}

fn called_meanwhile(crowd: &Crowd, course: &Course) -> f64 {
    let meanwhile =
        course.timeline.iter().take_while(|moment| moment.seconds <= crowd.arrive_over_seconds);
    exact(meanwhile.last().map_or(0, |moment| moment.serving))
}

/// Those in line and, where the policy has the others stand by, those.
fn places(policy: &Policy) -> u64 {
    let standby = if policy.overflow == Overflow::Standby { policy.standby_cap } else { 0 };
    policy.line_cap + standby
}

/// Polls per second at one moment if nobody pushed: the nearer, the more often, as each is told with every answer.
fn polls(moment: &Moment, policy: &Policy) -> f64 {
    let outlook = Outlook {
        law: policy.law(),
        moving: policy.multiplier > 0.0,
        opens_in_seconds: 0.0,
        remaining: moment.remaining,
        unpaid: 0,
        units_per_turn: 1.0,
        sold_out: false,
    };
    let each = exact(moment.waiting) / f64::from(PLACES);
    let often = |place: u32| {
        let wanted = Wanted { units: 1, remaining: moment.remaining };
        let eta = outlook.eta(position(each * (f64::from(place) + 0.5)), once(wanted));
        1000.0 / (exact(poll_pace_ms(eta)) * JITTER)
    };
    let line: f64 = (0..PLACES).map(|place| each * often(place)).sum();
    line + exact(moment.standby) * 1000.0 / (exact(POLL_AFTER_MS_MAX) * JITTER)
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a place in line: from 1 to ten million"
)]
fn position(place: f64) -> u64 {
    place.ceil().clamp(1.0, 1e9) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_front_loaded_crowd_comes_first() {
        for (over, share) in [(100.0, 0.05), (10.0, 0.5), (0.5, 1.0), (1.0, 1.0)] {
            assert!((first_second(over) - share).abs() < 1e-9, "{over}: {}", first_second(over));
        }
        let shares: Vec<f64> = (1..100).map(|n| first_second(f64::from(n) * 0.37)).collect();
        assert!(shares.is_sorted_by(|a, b| a >= b), "{shares:?}");
    }

    #[test]
    fn the_far_end_of_a_line_polls_rarely() {
        let moment = |waiting, standby| Moment {
            seconds: 1.0,
            waiting,
            standby,
            serving: 0,
            remaining: 10_000,
            rate_per_second: 200.0,
            wait_seconds: None,
        };
        let polls = |waiting, standby| polls(&moment(waiting, standby), &Policy::default());
        // Within 4 s of their turn: once a second, and the jitter.
        assert!((polls(100, 0) - 100.0 / 1.1).abs() < 1.0, "{}", polls(100, 0));
        assert!(polls(9_000, 0) < 9_000.0 / 4.0);
        assert!((polls(0, 1_500) - 100.0 / 1.1).abs() < 1e-6);
        assert!(polls(20_000, 0) > polls(10_000, 0), "who comes too late asks every 5 s");
    }

    #[test]
    fn places_are_those_in_line_and_those_standing_by() {
        let policy = Policy::default();
        assert_eq!(places(&policy), 100_000);
        assert_eq!(places(&Policy { overflow: Overflow::Refuse, ..policy }), 50_000);
    }
}
