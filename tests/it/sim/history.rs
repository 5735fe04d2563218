//! What happened, as seen from outside: what buyers were told, and what left through the drain. And the judgement.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Mutex, PoisonError},
};

use serde_json::Value;
use sluice_core::{event::Turn, law::exact, ports::StockBalance};
use tokio::time::Instant;

/// Virtual seconds since the simulation began.
pub(crate) type Seconds = f64;

/// One buyer's story.
#[derive(Clone, Debug, Default)]
pub(crate) struct Story {
    pub(crate) join_sent: Seconds,
    /// When the 202 or 200 came; `None` if the buyer never got a place.
    pub(crate) join_answered: Option<Seconds>,
    pub(crate) entry: String,
    pub(crate) seq: u64,
    /// The highest cursor shown.
    pub(crate) serving: u64,
    /// Every position with the cursor it was shown with, in order.
    pub(crate) positions: Vec<(u64, u64)>,
    pub(crate) versions: Vec<u64>,
    pub(crate) outcome: Option<String>,
    pub(crate) order: Option<String>,
    pub(crate) paid: bool,
    pub(crate) order_state: Option<String>,
    pub(crate) contradictions: Vec<String>,
    /// Whether the buyer went home.
    pub(crate) done: bool,
}

impl Story {
    /// Takes in an entry object; `told_seen` is whether the request said what had been seen before.
    pub(crate) fn hear(&mut self, object: &Value, told_seen: bool) {
        let (entry, seq) =
            (object["entry"].as_str().unwrap_or_default(), object["seq"].as_u64().unwrap_or(0));
        if self.entry.is_empty() {
            (self.entry, self.seq) = (entry.to_owned(), seq);
        } else if (self.entry.as_str(), self.seq) != (entry, seq) {
            self.contradictions
                .push(format!("place {} became {entry} with number {seq}", self.entry));
        }
        if told_seen {
            let serving = object["serving"].as_u64().unwrap_or(0);
            self.positions.extend(object["position"].as_u64().map(|position| (position, serving)));
            self.versions.extend(object["version"].as_u64());
        }
        self.serving = self.serving.max(object["serving"].as_u64().unwrap_or(0));
        let state = object["state"].as_str().unwrap_or_default();
        if !matches!(state, "waiting" | "called" | "standby") {
            if let Some(known) = &self.outcome
                && known != state
            {
                self.contradictions.push(format!("{} was {known}, then {state}", self.entry));
            }
            self.outcome = Some(state.to_owned());
        }
        if let Some(order) = object["order"].as_str() {
            if self.order.as_deref().is_some_and(|known| known != order) {
                self.contradictions.push(format!("{} has a second order", self.entry));
            }
            self.order = Some(order.to_owned());
        }
    }
}

/// First releases: when, and of which entry.
#[derive(Debug)]
pub(crate) struct History {
    began: Instant,
    releases: Mutex<Releases>,
}

/// In order, and the entries among them.
type Releases = (Vec<(Seconds, String)>, BTreeSet<String>);

impl History {
    pub(crate) fn begin() -> Self {
        Self { began: Instant::now(), releases: Mutex::default() }
    }

    pub(crate) fn now(&self) -> Seconds {
        self.began.elapsed().as_secs_f64()
    }

    /// Every first release, written out.
    pub(crate) fn trace(&self) -> String {
        format!("{:?}", self.releases.lock().unwrap_or_else(PoisonError::into_inner).0)
    }

    pub(crate) fn released(&self, turns: &[Turn]) {
        let now = self.now();
        let mut releases = self.releases.lock().unwrap_or_else(PoisonError::into_inner);
        for turn in turns {
            let entry = turn.line_entry.entry.to_string();
            if releases.1.insert(entry.clone()) {
                releases.0.push((now, entry));
            }
        }
    }

    /// Everything that contradicts a promise, each by its name.
    pub(crate) fn judge(
        &self,
        stories: &[Story],
        balances: &[StockBalance],
        ceiling: f64,
    ) -> Vec<String> {
        let mut broken = Vec::new();
        for story in stories {
            broken.extend(story.contradictions.iter().map(|what| format!("no-lost-place: {what}")));
            if !story.positions.is_sorted_by(|a, b| a.0 >= b.0) {
                let shown = &story.positions;
                broken.push(format!(
                    "never-backwards: number {} was shown (position, serving) {shown:?}",
                    story.seq
                ));
            }
            if !story.done {
                broken.push(format!("liveness: a buyer was never done: {story:?}"));
            }
            if !story.versions.is_sorted() {
                broken.push(format!(
                    "never-backwards: versions of {} were {:?}",
                    story.entry, story.versions
                ));
            }
            if story.join_answered.is_some() && story.outcome.is_none() {
                broken.push(format!(
                    "no-lost-place: {} (number {}) never got an outcome",
                    story.entry, story.seq
                ));
            }
            if story.paid && story.order_state.as_deref() != Some("fulfilled") {
                broken.push(format!(
                    "no-swallowed-money: {} paid and is {:?}",
                    story.entry, story.order_state
                ));
            }
        }
        broken.extend(no_double_order(stories));
        broken.extend(no_oversell(stories, balances));
        broken.extend(self.in_order(stories));
        broken.extend(self.on_rate(ceiling));
        broken
    }

    /// If A was answered before B asked, A is released before B.
    fn in_order(&self, stories: &[Story]) -> Vec<String> {
        let releases = self.releases.lock().unwrap_or_else(PoisonError::into_inner);
        let rank: HashMap<&str, usize> =
            releases.0.iter().enumerate().map(|(n, (_, entry))| (entry.as_str(), n)).collect();
        let mut joined: Vec<(Seconds, Seconds, usize, &str)> = stories
            .iter()
            .filter_map(|story| {
                let answered = story.join_answered?;
                Some((
                    story.join_sent,
                    answered,
                    *rank.get(story.entry.as_str())?,
                    story.entry.as_str(),
                ))
            })
            .collect();
        joined.sort_by(|a, b| a.0.total_cmp(&b.0));
        let mut answered = joined.clone();
        answered.sort_by(|a, b| a.1.total_cmp(&b.1));
        let (mut next, mut latest) = (0, None::<(usize, &str)>);
        let mut broken = Vec::new();
        for (sent, _, rank, entry) in joined {
            while next < answered.len() && answered[next].1 < sent {
                let candidate = (answered[next].2, answered[next].3);
                latest = Some(latest.map_or(candidate, |known| known.max(candidate)));
                next += 1;
            }
            if let Some((other, earlier)) = latest
                && rank < other
            {
                broken.push(format!("in-order: {entry} was released before {earlier}, which was answered before it joined"));
            }
        }
        broken
    }

    /// In no window were more released than the ceiling, one tick and the fraction allow.
    fn on_rate(&self, ceiling: f64) -> Vec<String> {
        let releases = self.releases.lock().unwrap_or_else(PoisonError::into_inner);
        let times: Vec<Seconds> = releases.0.iter().map(|(at, _)| *at).collect();
        let mut broken = Vec::new();
        for (first, from) in times.iter().enumerate() {
            for (last, to) in times.iter().enumerate().skip(first).take(400) {
                let released = exact((last - first + 1) as u64);
                let allowed = ceiling * (to - from) + (ceiling * 0.010) + 2.0;
                if released > allowed {
                    broken.push(format!("on-rate: {released} released within {:.3} s", to - from));
                    return broken;
                }
            }
        }
        broken
    }
}

fn no_double_order(stories: &[Story]) -> Vec<String> {
    let mut owners: BTreeMap<&str, &str> = BTreeMap::new();
    let mut broken = Vec::new();
    for story in stories {
        if let Some(order) = &story.order
            && let Some(other) = owners.insert(order, &story.entry)
            && other != story.entry
        {
            broken.push(format!("no-double-order: {order} belongs to {other} and {}", story.entry));
        }
    }
    broken
}

fn no_oversell(stories: &[Story], balances: &[StockBalance]) -> Vec<String> {
    let mut broken = Vec::new();
    let total: u64 = balances.iter().map(|balance| balance.total).sum();
    for balance in balances {
        let sum = balance.available + balance.owed + balance.held + balance.sold;
        if sum != balance.total {
            broken.push(format!("no-oversell: {balance:?} does not add up"));
        }
    }
    let paid =
        stories.iter().filter(|story| story.order_state.as_deref() == Some("fulfilled")).count()
            as u64;
    let sold: u64 = balances.iter().map(|balance| balance.sold).sum();
    if paid > total || paid != sold {
        broken.push(format!(
            "no-oversell: {paid} buyers have their goods, the books say {sold} of {total}"
        ));
    }
    broken
}
