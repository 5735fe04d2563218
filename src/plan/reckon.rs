//! From demand and costs: how many nodes of each role, what each of them carries, how full everything is, and what breaks first. Pure.
//!
//! Every load is the sum of two parts: one that grows with the crowd, and that of its turns, which grow no further than the law lets
//! them. What breaks at which crowd follows from that, with the nodes as planned and everything else the same.

use serde::{Serialize, Serializer};
use sluice_core::law::exact;

use super::{
    costs::Costs,
    demand::{Crowd, Demand},
    work::{Load, Work, admission, megabits, push, rabbitmq, redis, worker},
};

/// Of each role, so that one may die.
const NODES_MIN: f64 = 2.0;
/// Files of a process beside its connections: stores, listeners, logs.
const FILES_RESERVED: f64 = 200.0;
/// How long a buyer who pays keeps the connection to a worker, in seconds: `admission.header_timeout_ms`.
const KEPT_ALIVE: f64 = 30.0;

/// What a node is, and how much of it is planned for.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Machine {
    pub(crate) cores: u32,
    /// 0 < x ≤ 1.
    pub(crate) headroom: f64,
}

/// Counts are written as such.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::trivially_copy_pass_by_ref,
    reason = "not negative, far below 2^53; serde asks for a reference"
)]
fn whole<S: Serializer>(count: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(count.max(0.0).floor() as u64)
}

#[expect(clippy::ref_option, reason = "serde asks for a reference")]
fn perhaps_whole<S: Serializer>(count: &Option<f64>, serializer: S) -> Result<S::Ok, S::Error> {
    match count {
        Some(count) => whole(count, serializer),
        None => serializer.serialize_none(),
    }
}

/// One role, on nodes of its own.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Role {
    pub(crate) role: &'static str,
    #[serde(serialize_with = "whole")]
    pub(crate) nodes: f64,
    #[serde(serialize_with = "whole")]
    pub(crate) connections_each: f64,
    #[serde(serialize_with = "whole")]
    pub(crate) files_each: f64,
    #[serde(serialize_with = "whole")]
    pub(crate) memory_bytes_each: f64,
    pub(crate) megabits_in_each: f64,
    pub(crate) megabits_out_each: f64,
}

#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Stores {
    pub(crate) redis_commands_per_second: f64,
    pub(crate) redis_bytes: f64,
    pub(crate) rabbitmq_messages_per_second: f64,
    /// What waits in the queue while the line is longest.
    pub(crate) rabbitmq_bytes: f64,
    pub(crate) postgres_rows_per_second: f64,
    pub(crate) postgres_commits_per_second: f64,
    /// For the whole sale, its log included.
    pub(crate) postgres_bytes: f64,
    /// How long it takes to write down who got nothing.
    pub(crate) postgres_end_seconds: f64,
}

/// What can break.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum What {
    AdmissionCores,
    AdmissionNetwork,
    PushCores,
    PushNetwork,
    WorkerCores,
    Dispatcher,
    Redis,
    RabbitMq,
    PostgreSql,
    Places,
}

/// One thing that can break, and how full it is at the peak.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Resource {
    pub(crate) what: What,
    pub(crate) load: f64,
    pub(crate) ceiling: f64,
    pub(crate) unit: &'static str,
    /// 1 is full.
    pub(crate) full: f64,
    /// The crowd at which it is full; `None` where the crowd has no part in it.
    #[serde(serialize_with = "perhaps_whole")]
    pub(crate) breaks_at_buyers: Option<f64>,
}

/// All of it in one `sluice run`.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Single {
    /// How full that of its cores, its writer, its network and its places is which is fullest; 1 is full.
    pub(crate) full: f64,
    pub(crate) fullest: &'static str,
    pub(crate) would_do: bool,
    pub(crate) connections: f64,
    pub(crate) memory_bytes: f64,
}

#[derive(Clone, Debug, Serialize)]
pub(crate) struct Plan {
    pub(crate) roles: Vec<Role>,
    pub(crate) stores: Stores,
    /// The fullest first: it is what breaks first.
    pub(crate) resources: Vec<Resource>,
    pub(crate) single: Single,
    /// Megabits per second, if nothing in front of admission serves the waiting page.
    pub(crate) page_megabits_per_second: f64,
}

impl Resource {
    fn of(what: What, load: Load, ceiling: f64, unit: &'static str, buyers: u64) -> Self {
        let breaks_at_buyers = load.grows_to(ceiling).map(|times| times * exact(buyers));
        let load = load.total();
        Self { what, load, ceiling, unit, full: load / ceiling, breaks_at_buyers }
    }
}

impl Plan {
    pub(crate) fn of(crowd: &Crowd, demand: &Demand, costs: &Costs, machine: Machine) -> Self {
        let roles = roles(demand, costs, machine);
        let workers = nodes_of(&roles, "worker");
        let mut resources = resources(crowd, demand, costs, machine, &roles);
        resources.sort_by(|a, b| b.full.total_cmp(&a.full));
        Self {
            stores: stores(demand, costs, workers),
            resources,
            single: single(demand, costs, machine),
            page_megabits_per_second: megabits(
                demand.joins_per_second * costs.wire.page_bytes,
                costs,
            ),
            roles,
        }
    }

    /// The fullest.
    pub(crate) fn breaks_first(&self) -> Option<&Resource> {
        self.resources.first()
    }

    /// Of nodes and stores that a larger crowd fills, what is full at the smallest one.
    pub(crate) fn machine_breaks_first(&self) -> Option<(&Resource, f64)> {
        let machines = self.resources.iter().filter(|one| one.what != What::Places);
        machines
            .filter_map(|one| Some((one, one.breaks_at_buyers?)))
            .min_by(|a, b| a.1.total_cmp(&b.1))
    }

    pub(crate) fn role(&self, name: &str) -> Option<&Role> {
        self.roles.iter().find(|role| role.role == name)
    }
}

fn nodes_of(roles: &[Role], name: &str) -> f64 {
    roles.iter().find(|role| role.role == name).map_or(0.0, |role| role.nodes)
}

fn roles(demand: &Demand, costs: &Costs, machine: Machine) -> Vec<Role> {
    let role = |role, nodes: f64, work: &Work, connections: f64, memory: f64| {
        let each = |all: f64| if nodes > 0.0 { all / nodes } else { 0.0 };
        Role {
            role,
            nodes,
            connections_each: each(connections).ceil(),
            files_each: (each(connections) + FILES_RESERVED).ceil(),
            memory_bytes_each: each(memory),
            megabits_in_each: each(work.megabits_in),
            megabits_out_each: each(work.megabits_out),
        }
    };
    let serving = |name, work: &Work, connections: f64, idle: f64, bytes: f64| {
        let nodes = nodes(work, costs, machine);
        role(name, nodes, work, connections, nodes * idle + connections * bytes)
    };
    let (edge, hub, till) = (
        admission(demand, costs, costs.admission.joins_per_second_per_core),
        push(demand, costs),
        worker(demand, costs),
    );
    let mut roles = vec![serving(
        "admission",
        &edge,
        demand.polling,
        costs.admission.idle_bytes,
        costs.admission.bytes_per_connection,
    )];
    if demand.push_connects_per_second > 0.0 {
        let cost = &costs.ws_push;
        roles.push(serving(
            "ws-push",
            &hub,
            demand.pushing,
            cost.idle_bytes,
            cost.bytes_per_connection,
        ));
    }
    let paying = demand.turns_per_second * KEPT_ALIVE;
    let bytes = costs.admission.bytes_per_connection;
    roles.push(serving("worker", &till, paying, costs.worker.idle_bytes, bytes));
    let idle = Work { cores: Load::of(0.0), megabits_in: 0.0, megabits_out: 0.0 };
    // Either may come to speak for the line.
    let in_hand = costs.dispatcher.bytes_per_entry * exact(demand.longest_line);
    let memory = NODES_MIN * (costs.dispatcher.idle_bytes + in_hand);
    roles.push(role("dispatcher", NODES_MIN, &idle, 0.0, memory));
    roles
}

/// As many as keep cores and network within the headroom.
fn nodes(work: &Work, costs: &Costs, machine: Machine) -> f64 {
    let network = work.megabits_in.max(work.megabits_out);
    let by_cores = work.cores.total() / (f64::from(machine.cores) * machine.headroom);
    let by_network = network / (costs.network.megabits_per_second_per_node * machine.headroom);
    by_cores.max(by_network).ceil().max(NODES_MIN)
}

fn stores(demand: &Demand, costs: &Costs, workers: f64) -> Stores {
    let turns = demand.turns_per_second;
    let pg = &costs.postgres;
    let commits_max = workers * 1000.0 / pg.batch_milliseconds;
    let rows = exact(demand.orders) * pg.bytes_per_order
        + exact(demand.paid) * pg.bytes_per_settlement
        + exact(demand.without) * pg.bytes_per_outcome;
    Stores {
        redis_commands_per_second: redis(demand, costs).total(),
        redis_bytes: exact(demand.joined) * costs.redis.bytes_per_join,
        rabbitmq_messages_per_second: rabbitmq(demand, costs).total(),
        rabbitmq_bytes: exact(demand.longest_line) * costs.rabbitmq.bytes_per_join,
        postgres_rows_per_second: turns * (pg.rows_per_order + pg.rows_per_settlement),
        // Orders, and as many payments.
        postgres_commits_per_second: 2.0 * turns.min(commits_max),
        postgres_bytes: rows * (1.0 + pg.log_factor),
        postgres_end_seconds: exact(demand.without) / pg.outcomes_per_second,
    }
}

fn resources(
    crowd: &Crowd,
    demand: &Demand,
    costs: &Costs,
    machine: Machine,
    roles: &[Role],
) -> Vec<Resource> {
    let turns = |each: f64| Load::with_turns(0.0, demand.turns_per_second * each, demand);
    let pg = &costs.postgres;
    // One server does both: what orders leave of it is for payments.
    let orders = turns(1.0 + pg.orders_per_second / pg.settlements_per_second);
    let mut all = Vec::new();
    let mut add = |what, load, ceiling, unit| {
        all.push(Resource::of(what, load, ceiling, unit, crowd.buyers));
    };
    add(What::Places, places(crowd, demand), demand.places, "places");
    add(What::Dispatcher, turns(1.0), costs.dispatcher.turns_per_second, "turns/s");
    add(What::Redis, redis(demand, costs), costs.redis.commands_per_second, "commands/s");
    add(What::RabbitMq, rabbitmq(demand, costs), costs.rabbitmq.messages_per_second, "messages/s");
    add(What::PostgreSql, orders, pg.orders_per_second, "orders/s, payments reckoned as orders");
    let edge = admission(demand, costs, costs.admission.joins_per_second_per_core);
    for (name, work, cores, network) in [
        ("admission", edge, What::AdmissionCores, Some(What::AdmissionNetwork)),
        ("ws-push", push(demand, costs), What::PushCores, Some(What::PushNetwork)),
        ("worker", worker(demand, costs), What::WorkerCores, None),
    ] {
        let nodes = nodes_of(roles, name);
        if nodes > 0.0 {
            add(cores, work.cores, nodes * f64::from(machine.cores), "cores");
        }
        if let Some(network) = network.filter(|_| nodes > 0.0) {
            let busier = Load::of(work.megabits_in.max(work.megabits_out));
            let have = nodes * costs.network.megabits_per_second_per_node;
            add(network, busier, have, "Mbit/s");
        }
    }
    all
}

/// A larger crowd needs a place for each buyer more; how many are called meanwhile, the law says.
fn places(crowd: &Crowd, demand: &Demand) -> Load {
    let buyers = exact(crowd.buyers);
    let called = buyers - demand.places_wanted;
    let law_sets_it = demand.law_turns_per_second <= demand.turns_per_second;
    if law_sets_it && called <= demand.called_meanwhile {
        Load::less(buyers, called)
    } else {
        Load::of(demand.places_wanted)
    }
}

fn single(demand: &Demand, costs: &Costs, machine: Machine) -> Single {
    let edge = admission(demand, costs, costs.embedded.joins_per_second_per_core);
    let (hub, till) = (push(demand, costs), worker(demand, costs));
    let sent = edge.megabits_out + hub.megabits_out + till.megabits_out;
    let network = sent.max(edge.megabits_in + hub.megabits_in + till.megabits_in);
    let cores = edge.cores.total() + hub.cores.total() + till.cores.total();
    let turns = demand.turns_per_second;
    let writer = demand.joins_per_second / costs.embedded.joins_per_second
        + 2.0 * turns / costs.embedded.orders_per_second;
    let fullest = [
        ("its cores", cores / f64::from(machine.cores)),
        ("its one writer", writer),
        ("its network", network / costs.network.megabits_per_second_per_node),
    ];
    let most = fullest.into_iter().max_by(|a, b| a.1.total_cmp(&b.1));
    let (fullest, full) = most.unwrap_or(("", 0.0));
    let connections = demand.polling + demand.pushing;
    Single {
        full,
        fullest,
        would_do: full <= machine.headroom,
        connections,
        memory_bytes: costs.admission.idle_bytes
            + demand.polling * costs.admission.bytes_per_connection
            + demand.pushing * costs.ws_push.bytes_per_connection
            + exact(demand.longest_line) * costs.dispatcher.bytes_per_entry,
    }
}

#[cfg(test)]
mod tests;
