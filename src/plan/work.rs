//! The work that demand makes of each role and store, at the costs of it. Pure.

use super::{costs::Costs, demand::Demand};

const BITS_PER_MEGABIT: f64 = 1e6;

/// A load: what grows with the crowd, and what its turns make, which grow with it as far as the law lets them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load {
    crowd: f64,
    turns: f64,
    /// So many times as many turns at most: 1 where the law sets the pace already.
    turns_grow: f64,
}

impl Load {
    pub(crate) fn of(crowd: f64) -> Self {
        Self { crowd, turns: 0.0, turns_grow: 1.0 }
    }

    /// So much of the crowd's, and so much for its turns.
    pub(crate) fn with_turns(crowd: f64, turns: f64, demand: &Demand) -> Self {
        let Demand { turns_per_second: now, law_turns_per_second: law, .. } = *demand;
        Self { crowd, turns, turns_grow: if now > 0.0 { law / now } else { 1.0 } }
    }

    /// So much of the crowd's, less what the law takes off.
    pub(crate) fn less(crowd: f64, taken: f64) -> Self {
        Self { crowd, turns: -taken, turns_grow: 1.0 }
    }

    pub(crate) fn total(self) -> f64 {
        self.crowd + self.turns
    }

    /// How many times as large a crowd makes it as large as `ceiling`; `None` if none does.
    pub(crate) fn grows_to(self, ceiling: f64) -> Option<f64> {
        let together = ceiling / self.total();
        if self.turns_grow > 1.0 && together <= self.turns_grow {
            return Some(together);
        }
        let room = ceiling - self.turns * self.turns_grow;
        (self.crowd > 0.0).then(|| (room / self.crowd).max(0.0))
    }
}

/// Cores busy and megabits per second, of all nodes of a role together.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Work {
    pub(crate) cores: Load,
    pub(crate) megabits_in: f64,
    pub(crate) megabits_out: f64,
}

/// Of bytes of HTTP per second.
pub(crate) fn megabits(bytes: f64, costs: &Costs) -> f64 {
    bytes * 8.0 * costs.wire.overhead_factor / BITS_PER_MEGABIT
}

/// The requests of those who join and poll.
pub(crate) fn admission(demand: &Demand, costs: &Costs, joins_per_second_per_core: f64) -> Work {
    let Demand { joins_per_second: joins, polls_per_second: polls, .. } = *demand;
    let (cost, wire) = (&costs.admission, &costs.wire);
    Work {
        cores: Load::of(joins / joins_per_second_per_core + polls / cost.polls_per_second_per_core),
        megabits_in: megabits(
            joins * wire.join_request_bytes + polls * wire.poll_request_bytes,
            costs,
        ),
        megabits_out: megabits(
            joins * wire.join_answer_bytes + polls * wire.poll_answer_bytes,
            costs,
        ),
    }
}

pub(crate) fn push(demand: &Demand, costs: &Costs) -> Work {
    let Demand { push_connects_per_second: connects, .. } = *demand;
    let (lines, entries) = (demand.line_frames_per_second, demand.entry_frames_per_second);
    let (cost, wire) = (&costs.ws_push, &costs.wire);
    let cores = connects / cost.connects_per_second_per_core
        + (lines + entries) / cost.frames_per_second_per_core;
    let out = connects * wire.connect_answer_bytes
        + lines * wire.line_frame_bytes
        + entries * wire.entry_frame_bytes;
    Work {
        cores: Load::of(cores),
        megabits_in: megabits(connects * wire.connect_request_bytes, costs),
        megabits_out: megabits(out, costs),
    }
}

/// Turns into orders, and as many payments: whoever is called pays as soon.
pub(crate) fn worker(demand: &Demand, costs: &Costs) -> Work {
    let cost = &costs.worker;
    let turns = demand.turns_per_second;
    let cores =
        turns / cost.turns_per_second_per_core + turns / cost.settlements_per_second_per_core;
    let (request, answer) = (costs.wire.join_request_bytes, costs.wire.join_answer_bytes);
    Work {
        cores: Load::with_turns(0.0, cores, demand),
        megabits_in: megabits(turns * request, costs),
        megabits_out: megabits(turns * answer, costs),
    }
}

pub(crate) fn redis(demand: &Demand, costs: &Costs) -> Load {
    let cost = &costs.redis;
    let joins = demand.joins_per_second * cost.commands_per_join;
    Load::with_turns(joins, demand.turns_per_second * cost.commands_per_turn, demand)
}

pub(crate) fn rabbitmq(demand: &Demand, costs: &Costs) -> Load {
    let cost = &costs.rabbitmq;
    let joins = demand.joins_per_second / cost.joins_per_message;
    Load::with_turns(joins, demand.turns_per_second * cost.messages_per_turn, demand)
}
