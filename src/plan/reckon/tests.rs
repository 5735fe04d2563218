//! The arithmetic of a plan, over real courses of simulated sales.

use std::time::Duration;

use sluice_core::{
    policy::Policy,
    simulation::{Arrivals, Conduct, Plan as Rehearsal},
};

use super::*;
use crate::plan::costs::Figures;

const MACHINE: Machine = Machine { cores: 2, headroom: 0.5 };
const CROWD: Crowd = Crowd { buyers: 20_000, arrive_over_seconds: 10.0, push: 0.33, stock: 2_000 };

fn costs() -> Costs {
    Figures::read(None).unwrap().costs
}

fn demand(crowd: &Crowd, policy: &Policy) -> Demand {
    let rehearsal = Rehearsal {
        policy: policy.clone(),
        stock: crowd.stock,
        held: 0,
        waiting: 0,
        shoppers: crowd.buyers,
        arrivals: Arrivals::Spike(Duration::from_secs_f64(crowd.arrive_over_seconds)),
        quantity: 1,
        conduct: Conduct::default(),
        backend_per_second: None,
        seed: 1,
    };
    Demand::of(crowd, policy, &rehearsal.run(), &costs())
}

fn plan(crowd: &Crowd) -> Plan {
    Plan::of(crowd, &demand(crowd, &Policy::default()), &costs(), MACHINE)
}

fn resource(plan: &Plan, what: What) -> Resource {
    *plan.resources.iter().find(|one| one.what == what).unwrap()
}

/// More buyers never need less of anything.
#[test]
fn it_is_monotone_in_buyers() {
    let mut before: Option<(Demand, Plan)> = None;
    for buyers in [1, 10, 150, 1_000, 4_000, 10_000, 25_000, 60_000, 130_000, 300_000] {
        let crowd = Crowd { buyers, ..CROWD };
        let demand = demand(&crowd, &Policy::default());
        let plan = Plan::of(&crowd, &demand, &costs(), MACHINE);
        if let Some((old, fewer)) = &before {
            for (less, more) in [
                (old.joins_per_second, demand.joins_per_second),
                (old.polls_per_second, demand.polls_per_second),
                (old.pushing, demand.pushing),
                (old.turns_per_second, demand.turns_per_second),
                (fewer.stores.redis_bytes, plan.stores.redis_bytes),
                (fewer.stores.rabbitmq_bytes, plan.stores.rabbitmq_bytes),
                (fewer.stores.postgres_bytes, plan.stores.postgres_bytes),
                (fewer.single.full, plan.single.full),
            ] {
                assert!(less <= more, "{buyers}: {less} {more}");
            }
            for role in &fewer.roles {
                let more = plan.role(role.role).unwrap().nodes;
                assert!(role.nodes <= more, "{buyers}, {}: {} {more}", role.role, role.nodes);
            }
            for what in
                [What::Redis, What::RabbitMq, What::PostgreSql, What::Dispatcher, What::Places]
            {
                let (less, more) = (resource(fewer, what).full, resource(&plan, what).full);
                assert!(less <= more, "{buyers}, {what:?}: {less} {more}");
            }
        }
        before = Some((demand, plan));
    }
}

#[test]
fn what_breaks_first_is_the_fullest() {
    for buyers in [100, 20_000, 90_000, 400_000] {
        for stock in [10, 2_000, 200_000] {
            let plan = plan(&Crowd { buyers, stock, ..CROWD });
            let first = plan.breaks_first().unwrap();
            assert!(plan.resources.iter().all(|one| one.full <= first.full), "{plan:?}");
        }
    }
}

/// At the crowd that is named, it is full, with the nodes there are.
#[test]
fn it_breaks_where_it_is_said_to() {
    let plan = plan(&CROWD);
    for one in &plan.resources {
        let Some(at) = one.breaks_at_buyers else {
            assert!(
                matches!(one.what, What::PostgreSql | What::Dispatcher | What::WorkerCores),
                "{one:?}"
            );
            continue;
        };
        assert!((at > exact(CROWD.buyers)) == (one.full < 1.0), "{one:?}");
    }
    let more = Crowd { buyers: 100_000, ..CROWD };
    let redis = |plan: &Plan| resource(plan, What::Redis);
    let said = redis(&plan).breaks_at_buyers.unwrap();
    let found = redis(&super::tests::plan(&more)).breaks_at_buyers.unwrap();
    assert!((said - found).abs() < 1.0, "{said} {found}");
}

#[test]
fn half_the_time_is_twice_the_joins() {
    let slow = demand(&CROWD, &Policy::default());
    let quick = demand(&Crowd { arrive_over_seconds: 5.0, ..CROWD }, &Policy::default());
    assert!((quick.joins_per_second - 2.0 * slow.joins_per_second).abs() < 1e-6);
    let work = |demand: &Demand| admission(demand, &costs(), 1.0);
    let polls =
        |demand: &Demand| demand.polls_per_second / costs().admission.polls_per_second_per_core;
    let joins = |demand: &Demand| work(demand).cores.total() - polls(demand);
    assert!((joins(&quick) - 2.0 * joins(&slow)).abs() < 1e-6);
}

#[test]
fn nobody_pushes_and_nothing_is_there_for_it() {
    let plan = plan(&Crowd { push: 0.0, ..CROWD });
    assert!(plan.role("ws-push").is_none());
    assert!(
        plan.resources
            .iter()
            .all(|one| { !matches!(one.what, What::PushCores | What::PushNetwork) })
    );
    let all = super::tests::plan(&Crowd { push: 1.0, ..CROWD });
    assert!(all.role("ws-push").unwrap().connections_each > 0.0);
    assert!(all.role("admission").unwrap().connections_each <= 0.0);
}

#[test]
fn nodes_stay_within_the_headroom() {
    let demand = demand(&Crowd { buyers: 200_000, ..CROWD }, &Policy::default());
    for (cores, headroom) in [(1, 0.3), (2, 0.5), (8, 0.9), (64, 1.0)] {
        let machine = Machine { cores, headroom };
        let plan = Plan::of(&CROWD, &demand, &costs(), machine);
        for what in [
            What::AdmissionCores,
            What::AdmissionNetwork,
            What::PushCores,
            What::PushNetwork,
            What::WorkerCores,
        ] {
            assert!(resource(&plan, what).full <= headroom + 1e-9, "{what:?} {machine:?}");
        }
        assert!(plan.roles.iter().all(|role| role.nodes >= 2.0), "one may die");
    }
}

#[test]
fn one_process_does_for_a_small_sale_only() {
    assert!(plan(&Crowd { buyers: 5_000, push: 0.0, ..CROWD }).single.would_do);
    assert!(!plan(&Crowd { buyers: 1_000_000, ..CROWD }).single.would_do);
}

/// The law alone sets how fast turns go, unless fewer buyers come than it would let through.
#[test]
fn the_pace_is_the_laws() {
    let law = demand(&CROWD, &Policy::default());
    assert!(
        law.law_turns_per_second <= law.turns_per_second
            && (law.turns_per_second - 40.0).abs() < 1e-9
    );
    let few = demand(&Crowd { buyers: 100, ..CROWD }, &Policy::default());
    assert!(
        few.law_turns_per_second > few.turns_per_second
            && (few.turns_per_second - 10.0).abs() < 1e-9
    );
    let slower = Policy { multiplier: 0.5, ..Policy::default() };
    assert!((demand(&CROWD, &slower).turns_per_second - 20.0).abs() < 1e-9);
}

/// Turns grow with the crowd, and no further than the law: what they fill may never break.
#[test]
fn turns_stop_growing_at_the_law() {
    let demand = Demand {
        turns_per_second: 10.0,
        law_turns_per_second: 40.0,
        ..demand(&CROWD, &Policy::default())
    };
    let load = |crowd| Load::with_turns(crowd, 10.0, &demand);
    let times = |crowd, ceiling| load(crowd).grows_to(ceiling);
    assert_eq!((times(0.0, 30.0), times(0.0, 41.0)), (Some(3.0), None));
    assert_eq!((times(10.0, 60.0), times(10.0, 100.0)), (Some(3.0), Some(6.0)));
    assert_eq!(Load::less(10.0, 5.0).grows_to(25.0), Some(3.0));
}

#[test]
fn a_line_that_is_too_short_is_said_to_be() {
    let policy = Policy { line_cap: 1_000, standby_cap: 1_000, ..Policy::default() };
    let demand = demand(&CROWD, &policy);
    let plan = Plan::of(&CROWD, &demand, &costs(), MACHINE);
    let first = plan.breaks_first().unwrap();
    assert_eq!(first.what, What::Places);
    assert!(first.full > 1.0 && demand.turned_away > 15_000);
    let at = first.breaks_at_buyers.unwrap();
    let away = |buyers: f64| {
        // The crowd that is named is far below 2^53, and whole.
        let buyers = format!("{buyers:.0}").parse().unwrap();
        super::tests::demand(&Crowd { buyers, ..CROWD }, &policy).turned_away
    };
    assert!(away(0.95 * at) == 0 && away(1.05 * at) > 0, "{at}");
}
