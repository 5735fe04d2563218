//! `sluice plan`: from measured costs, how many nodes a crowd needs, what it asks of the stores and the network, and what breaks
//! first. The sale runs on virtual time as in `sluice simulate`; the rest is arithmetic.
//!
//! What it takes for granted: the crowd comes evenly; each buyer wants one unit, polls as told until called, and pays within a
//! minute; payments come as fast as turns; the peaks of joins and polls fall together; TLS ends in front of the roles.

use std::{
    io::{self, Write},
    time::Duration,
};

use serde::Serialize;
use sluice_core::{
    law::exact,
    policy::Policy,
    simulation::{Arrivals, Conduct, Plan as Rehearsal},
};

use crate::{cli::PlanOptions, config, simulate::read_policy};

mod costs;
mod demand;
mod reckon;
mod words;
mod work;

use costs::{Costs, Figure, Figures};
use demand::{Crowd, Demand};
use reckon::{Machine, Plan};

/// Without `--stock`: there is something for one buyer in so many.
const BUYERS_PER_UNIT: u64 = 10;

/// A plan with what it was made from; serialises as `--json` prints it.
#[derive(Debug, Serialize)]
struct Planned {
    crowd: Crowd,
    stock_is_assumed: bool,
    policy: String,
    machine: Machine,
    demand: Demand,
    #[serde(flatten)]
    plan: Plan,
    /// What the plan reckoned with.
    figures: Vec<Figure>,
    #[serde(skip)]
    defaults: Defaults,
    #[serde(skip)]
    costs: Costs,
}

/// Limits of a process, as the compiled-in configuration has them.
#[derive(Clone, Copy, Debug)]
struct Defaults {
    admission_connections: f64,
    push_connections: f64,
    join_timeout_seconds: f64,
}

impl Planned {
    fn buyers(&self) -> f64 {
        exact(self.crowd.buyers)
    }

    fn stock(&self) -> f64 {
        exact(self.crowd.stock)
    }

    /// Joins per second that the admission nodes take at most, if they do nothing else.
    fn most_joins(&self) -> f64 {
        let nodes = self.plan.role("admission").map_or(0.0, |role| role.nodes);
        nodes * f64::from(self.machine.cores) * self.costs.admission.joins_per_second_per_core
    }
}

pub(crate) fn command(options: &PlanOptions) -> anyhow::Result<()> {
    let Figures { costs, told } = Figures::read(options.costs.as_deref())?;
    let policy = options.policy.as_deref().map_or_else(|| Ok(Policy::default()), read_policy)?;
    let crowd = Crowd {
        buyers: options.buyers,
        arrive_over_seconds: options.arrive_over.as_secs_f64(),
        push: options.push,
        stock: options.stock.unwrap_or_else(|| options.buyers.div_ceil(BUYERS_PER_UNIT)),
    };
    let demand = demand(&crowd, &policy, options.arrive_over, &costs);
    let machine = Machine { cores: options.cores, headroom: options.headroom };
    let planned = Planned {
        plan: Plan::of(&crowd, &demand, &costs, machine),
        crowd,
        stock_is_assumed: options.stock.is_none(),
        policy: options
            .policy
            .as_deref()
            .map_or("the default policy".to_owned(), |file| file.display().to_string()),
        machine,
        demand,
        figures: told,
        defaults: defaults()?,
        costs,
    };
    let mut out = io::stdout().lock();
    if options.json {
        serde_json::to_writer(&mut out, &planned)?;
        writeln!(out)?;
    } else {
        words::print(&mut out, &planned)?;
    }
    Ok(())
}

/// Runs the sale, and says what it asks for at its peak.
fn demand(crowd: &Crowd, policy: &Policy, arrive_over: Duration, costs: &Costs) -> Demand {
    let rehearsal = Rehearsal {
        policy: policy.clone(),
        stock: crowd.stock,
        held: 0,
        waiting: 0,
        shoppers: crowd.buyers,
        arrivals: Arrivals::Spike(arrive_over),
        quantity: 1,
        conduct: Conduct::default(),
        backend_per_second: None,
        seed: 1,
    };
    Demand::of(crowd, policy, &rehearsal.run(), costs)
}

fn defaults() -> anyhow::Result<Defaults> {
    let config = config::read(None, std::iter::empty())?;
    Ok(Defaults {
        admission_connections: exact(config.admission.connections_max as u64),
        push_connections: exact(config.ws_push.connections_max as u64),
        join_timeout_seconds: exact(config.admission.join_timeout_ms) / 1000.0,
    })
}
