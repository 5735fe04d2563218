//! The rules of the simulation, each as a test.

use proptest::prelude::*;

use super::*;
use crate::policy::Policy;

fn plan() -> Plan {
    Plan {
        policy: Policy::default(),
        stock: 10_000,
        held: 0,
        waiting: 0,
        shoppers: 20_000,
        arrivals: Arrivals::Spike(Duration::from_secs(5)),
        quantity: 1,
        conduct: Conduct::default(),
        backend_per_second: None,
        seed: 1,
    }
}

fn has_released(course: &Course, turns: u64) -> f64 {
    course.timeline.iter().find(|moment| moment.serving >= turns).unwrap().seconds
}

/// The law in closed form says the same as the law in steps.
#[test]
fn the_line_moves_as_the_law_says() {
    let plan = Plan { arrivals: Arrivals::Spike(Duration::ZERO), ..plan() };
    let course = plan.run();
    for turns in [1_000, 5_000, 9_000, 9_950] {
        let expected = plan.policy.law().seconds_to_release(exact(turns), 10_000.0, 1.0).unwrap();
        let seconds = has_released(&course, turns);
        assert!(
            (seconds - expected).abs() < 0.02 * expected + 1.0,
            "{turns}: {seconds} {expected}"
        );
    }
}

#[test]
fn it_ends_when_it_is_told_to() {
    let mut seconds = 0;
    let cut = plan().run_while(|| {
        seconds += 1;
        seconds <= 5
    });
    assert_eq!((cut, seconds), (None, 6));
    assert_eq!(plan().run_while(|| true), Some(plan().run()));
}

#[test]
fn everything_is_sold_and_the_rest_hear_it() {
    let course = plan().run();
    assert_eq!((course.sold_units, course.paid, course.orders), (10_000, 10_000, 10_000));
    assert_eq!(course.outcomes, [("reserved", 10_000), ("sold_out", 10_000)].into());
    assert!(course.sold_out_seconds.is_some_and(|seconds| seconds <= course.took_seconds));
    assert!(course.waits_ms.p50 < course.waits_ms.p95);
}

#[test]
fn what_lapses_is_sold_to_others() {
    let conduct = Conduct { pay: 0.7, ..Conduct::default() };
    let policy = Policy { payment_window_seconds: 60, tail_per_second: 20.0, ..Policy::default() };
    let course = Plan { conduct, policy, ..plan() }.run();
    assert_eq!(course.sold_units, 10_000);
    assert!(course.orders > 13_000, "{}", course.orders);
}

/// Every late payment is either served or sent back.
#[test]
fn late_money_finds_goods_or_goes_back() {
    let conduct = Conduct { pay: 0.8, late: 0.2, ..Conduct::default() };
    let course = Plan { conduct, ..plan() }.run();
    assert_eq!(course.sold_units, 10_000);
    assert!(course.refunded > 0);
    assert_eq!(course.orders, course.paid + course.refunded);
}

#[test]
fn a_full_line_turns_away() {
    let policy = Policy { line_cap: 1_000, overflow: Overflow::Refuse, ..Policy::default() };
    let course = Plan { policy, ..plan() }.run();
    assert!(course.turned_away > 15_000 && course.joined + course.turned_away == 20_000);
    assert!(course.timeline.iter().all(|moment| moment.waiting <= 1_000));
}

#[test]
fn a_slow_backend_sets_the_pace() {
    let quick = plan().run();
    let slow = Plan { backend_per_second: Some(50.0), ..plan() }.run();
    assert!(has_released(&slow, 5_000) > 95.0);
    assert!(has_released(&quick, 5_000) < 40.0);
}

#[test]
fn a_line_that_may_not_move_ends_with_the_horizon() {
    let policy = Policy { multiplier: 0.0, ..Policy::default() };
    let course = Plan { policy, shoppers: 10, ..plan() }.run();
    assert_eq!(course.outcomes, [("waiting", 10)].into());
    assert!(course.timeline.len() <= MOMENTS_MAX + 1);
}

/// More come late than early.
#[test]
fn a_ramp_rises() {
    let arrivals = plan();
    let arrivals = Plan { arrivals: Arrivals::Ramp(Duration::from_secs(100)), ..arrivals };
    let times = arrivals.arrivals(&Random::seeded(1));
    let half = times.partition_point(|at| *at < 50_000);
    assert!((4_000..6_000).contains(&half), "{half}");
}

proptest! {
    /// Nobody is lost and nothing is sold twice, whatever the plan.
    #[test]
    fn it_adds_up(
        stock in 0_u64..400, held in 0_u64..50, waiting in 0_u64..200, shoppers in 0_u64..300,
        quantity in 1_u64..4, pay in 0.0..1.0_f64, cap in 1_u64..300, seed in 0_u64..1_000,
    ) {
        let policy = Policy {
            fraction: 0.5, tail_per_second: 20.0, line_cap: cap, payment_window_seconds: 5, ..Policy::default()
        };
        let conduct = Conduct { pay, late: (1.0 - pay) / 2.0, pay_within: Duration::from_secs(3) };
        let arrivals = Arrivals::Ramp(Duration::from_secs(20));
        let course = Plan {
            policy, stock, held, waiting, shoppers, arrivals, quantity, conduct,
            backend_per_second: None, seed,
        }.run();
        prop_assert_eq!(course.joined + course.turned_away, waiting + shoppers);
        prop_assert_eq!(course.outcomes.values().sum::<u64>(), course.joined);
        prop_assert!(course.sold_units <= stock + held);
        let serving: Vec<u64> = course.timeline.iter().map(|moment| moment.serving).collect();
        prop_assert!(serving.is_sorted());
    }
}

#[test]
fn odds_are_those_of_when_one_came() {
    let plan =
        Plan { shoppers: 40_000, arrivals: Arrivals::Ramp(Duration::from_secs(5)), ..plan() };
    let course = plan.run();
    let odds = course.odds_by_tenth;
    assert_eq!(&odds[..2], &[1.0; 2], "10,000 units for 40,000: {odds:?}");
    assert!((odds[2] - 0.5).abs() < 1e-9 && odds[3..].iter().all(|odds| *odds == 0.0), "{odds:?}");
    for shoppers in [1, 7, 10, 101] {
        let sizes = tenths_of(shoppers);
        assert_eq!(sizes.iter().sum::<u64>(), shoppers, "{sizes:?}");
        let all = Plan { shoppers, ..self::plan() }.run();
        assert!(
            all.odds_by_tenth.iter().zip(sizes).all(|(odds, size)| *odds == f64::from(size > 0))
        );
    }
}

/// What the line has no room for stands by, as far as the policy lets it, and is served by what the line leaves.
#[test]
fn beyond_the_cap_one_stands_by_or_is_turned_away() {
    let policy = |standby_cap, overflow| Policy {
        line_cap: 5_000,
        standby_cap,
        overflow,
        ..Policy::default()
    };
    let with = |policy| Plan { policy, arrivals: Arrivals::Spike(Duration::ZERO), ..plan() }.run();
    let course = with(policy(50_000, Overflow::Standby));
    assert_eq!((course.joined, course.turned_away, course.orders), (20_000, 0, 10_000));
    let most = course.timeline.iter().map(|moment| moment.standby).max();
    assert_eq!(most, Some(15_000));
    let course = with(policy(3_000, Overflow::Standby));
    assert_eq!((course.joined, course.turned_away, course.orders), (8_000, 12_000, 8_000));
    for refusing in [policy(50_000, Overflow::Refuse), policy(0, Overflow::Standby)] {
        let course = with(refusing);
        assert_eq!((course.joined, course.turned_away), (5_000, 15_000));
    }
}

#[test]
fn whoever_was_told_to_stand_by_goes_before_those_who_join_the_line_later() {
    let times = [0, 0, 0, 60, 60].map(Duration::from_secs);
    let policy = Policy { line_cap: 2, fraction: 1.0, tail_per_second: 1.0, ..Policy::default() };
    let arrivals = Arrivals::Recorded(times.into());
    let course = Plan { policy, stock: 3, shoppers: 5, arrivals, ..plan() }.run();
    assert_eq!(course.odds_by_tenth, [1.0, 0.0, 1.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0]);
}

#[test]
fn what_was_sold_out_may_stand_by_for_what_comes_back() {
    let policy =
        Policy { on_sold_out: OnSoldOut::Standby, standby_cap: 4_000, ..Policy::default() };
    let course = Plan { policy, ..plan() }.run();
    assert_eq!(
        course.outcomes,
        [("reserved", 10_000), ("sold_out", 6_000), ("standby", 4_000)].into()
    );
}
