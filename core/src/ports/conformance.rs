//! What every backend must do: one suite per port, and one for what the ports promise together.
//!
//! A rule is a plain function over a [`House`]; a macro per suite makes one named test of each rule. A backend that
//! keeps only some of the ports runs only their suites, each over a house of just those ports:
//!
//! | suite | macro | the house's port |
//! |---|---|---|
//! | line | `line_…`, `numbers_…`, `calls_conformance!` | `Arc<dyn Line>` |
//! | a line that shares limits | `limits_conformance!` | `Arc<dyn Line>` |
//! | stock gate | `gate_…`, `gate_holds_…`, `rebuilds_…`, `gate_walk_…`, `flight_…`, `standing_conformance!` | `Arc<dyn StockGate>`, [`Stage`] |
//! | waiting queue, turn queue | `waiting_…`, `drains_…`, `turns_conformance!` | [`Queues`] |
//! | dead letters | `letters_conformance!` | [`Buried`](letters::Buried) |
//! | callback inbox | `callbacks_conformance!` | `Arc<dyn CallbackInbox>` |
//! | bulletin | `bulletin_conformance!` | `Arc<dyn Bulletin>` |
//! | ledger | `sales_…`, `audit_…`, `speaker_…`, `entries_…`, `holds_…`, `images_…`, `moves_…`, `orders_…`, `payments_…`, `batches_…`, `aftersales_…`, `changes_…`, `shop_…`, `simulated_…`, `standby_…`, `upkeep_…`, `ledger_walk_conformance!` | `Arc<dyn Ledger>` |
//! | payment provider | `provider_conformance!` | none: a [`Cashier`](provider::Cashier) |
//! | all together | `journey_conformance!` | `Ports` |
//!
//! Rules assume a real server as well as memory: they look again until a deadline where a message needs its time, pass
//! no more than a second or two, and never look at what a backend says about itself. A backend's test is short:
//!
//! ```ignore
//! async fn open() -> Narrowed<MyHouse, Arc<dyn Line>> {
//!     Narrowed::new(MyHouse::open().await, |ports| ports.line)
//! }
//! mod line {
//!     sluice_core::line_conformance!(super::open);
//! }
//! ```

use std::{fmt::Debug, sync::Arc, time::Duration};

use async_trait::async_trait;
use tokio::{task::JoinSet, time::timeout};

use super::{Line, StockGate, TurnQueue, WaitingQueue};

pub mod aftersales;
pub mod audit;
pub mod batches;
pub mod bulletin;
pub mod callbacks;
pub mod calls;
pub mod changes;
pub mod drains;
pub mod entries;
pub mod flight;
pub mod gate;
pub mod gate_holds;
pub mod gate_walk;
pub mod holds;
pub mod images;
pub mod journey;
pub mod ledger_walk;
pub mod letters;
pub mod limits;
pub mod line;
pub mod moves;
pub mod numbers;
pub mod orders;
pub mod payments;
pub mod provider;
pub mod rebuilds;
pub mod sales;
mod samples;
pub mod seat_holds;
pub mod seat_returns;
pub mod seats;
pub mod shop;
pub mod simulated;
pub mod speaker;
pub mod standby;
pub mod standing;
pub mod turns;
pub mod upkeep;
pub mod waiting;

pub use samples::assert_balanced;

/// A whole rule must end within this; it is a hang that fails by name, not a measure of speed.
pub const RULE_TIME_MAX: Duration = Duration::from_secs(90);
/// How long a rule waits for something that must come.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long a rule watches for something that must not come.
const QUIET: Duration = Duration::from_millis(300);

/// A backend in the hands of a suite, empty when it is made.
#[async_trait]
pub trait House: Send + Sync {
    /// What the suite looks at.
    type Port;

    /// Handles to the backend as it runs now. After [`House::crash`] they must be taken anew.
    fn port(&self) -> Self::Port;

    /// The process dies, at once and without a farewell, and another one opens what it left: memory is gone, everything
    /// that was answered `Ok` and promised to be durable is there. A rule drops its handles first, or never uses them again.
    async fn crash(&mut self);

    /// Time passes for the backend's own clock: a clock under our control is moved, a server's is waited for.
    async fn pass(&self, by: Duration);
}

/// A house of which a suite sees only a part.
#[derive(Debug)]
pub struct Narrowed<H: House, P> {
    house: H,
    pick: fn(H::Port) -> P,
}

impl<H: House, P> Narrowed<H, P> {
    pub fn new(house: H, pick: fn(H::Port) -> P) -> Self {
        Self { house, pick }
    }
}

#[async_trait]
impl<H: House, P> House for Narrowed<H, P> {
    type Port = P;

    fn port(&self) -> P {
        (self.pick)(self.house.port())
    }

    async fn crash(&mut self) {
        self.house.crash().await;
    }

    async fn pass(&self, by: Duration) {
        self.house.pass(by).await;
    }
}

/// The line and the stock gate, which share what is in flight.
#[derive(Clone, Debug)]
pub struct Stage {
    pub line: Arc<dyn Line>,
    pub gate: Arc<dyn StockGate>,
}

/// The waiting queue and the turn queue: turns leave the one through its drain and arrive in the other.
#[derive(Clone, Debug)]
pub struct Queues {
    pub waiting: Arc<dyn WaitingQueue>,
    pub turns: Arc<dyn TurnQueue>,
}

/// Makes one test of each rule; the suites' own macros call it.
#[macro_export]
macro_rules! conformance_rules {
    ($open:path, $suite:ident: $($rule:ident),+ $(,)?) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
            async fn $rule() {
                let house = $open().await;
                let rule = $crate::ports::conformance::$suite::$rule(house);
                $crate::ports::conformance::within_limit(rule).await;
            }
        )+
    };
}

/// Runs a rule, and fails it when it hangs.
pub async fn within_limit(rule: impl Future<Output = ()>) {
    let ended = timeout(RULE_TIME_MAX, rule).await;
    assert!(ended.is_ok(), "the rule did not end within {RULE_TIME_MAX:?}");
}

/// Waits for what must come.
async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    match timeout(PATIENCE, future).await {
        Ok(value) => value,
        Err(_) => panic!("{what} did not come within {PATIENCE:?}"),
    }
}

/// Watches that something does not come. The future is dropped.
async fn not_now<T: Debug>(what: &str, future: impl Future<Output = T>) {
    if let Ok(came) = timeout(QUIET, future).await {
        panic!("{what} came, and must not: {came:?}");
    }
}

/// Looks again and again, with a little time between, until `look` finds something.
async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let search = async {
        loop {
            if let Some(found) = look().await {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    soon(what, search).await
}

/// Runs `count` tasks at the same time; their results in order.
async fn together<T, Fut>(count: usize, task: impl Fn(usize) -> Fut) -> Vec<T>
where
    T: Send + 'static,
    Fut: Future<Output = T> + Send + 'static,
{
    let start = Arc::new(tokio::sync::Barrier::new(count));
    let mut tasks = JoinSet::new();
    for n in 0..count {
        let (start, work) = (Arc::clone(&start), task(n));
        tasks.spawn(async move {
            start.wait().await;
            (n, work.await)
        });
    }
    let mut results = tasks.join_all().await;
    results.sort_by_key(|(n, _)| *n);
    results.into_iter().map(|(_, result)| result).collect()
}

#[cfg(test)]
mod tests {
    /// A rule that no macro lists would never run.
    #[test]
    fn every_rule_is_listed_by_its_suite() {
        macro_rules! suites {
            ($($name:literal),+ $(,)?) => {
                [$(($name, include_str!(concat!("conformance/", $name, ".rs")))),+]
            };
        }
        let suites = suites![
            "aftersales",
            "audit",
            "batches",
            "bulletin",
            "callbacks",
            "calls",
            "changes",
            "drains",
            "entries",
            "flight",
            "gate",
            "gate_holds",
            "holds",
            "images",
            "journey",
            "letters",
            "limits",
            "line",
            "moves",
            "numbers",
            "orders",
            "payments",
            "provider",
            "rebuilds",
            "sales",
            "seat_holds",
            "seat_returns",
            "seats",
            "shop",
            "simulated",
            "speaker",
            "standby",
            "standing",
            "turns",
            "upkeep",
            "waiting",
        ];
        for (name, text) in suites {
            let (_, list) = text.split_once("macro_rules!").unwrap();
            let (list, rules) = list.split_once("\n}\n").unwrap();
            let listed: Vec<&str> =
                list.lines().map(|line| line.trim().trim_end_matches(',')).collect();
            let mut found = 0;
            for rule in rules.split("\npub async fn ").skip(1) {
                let rule = rule.split(['(', '<']).next().unwrap();
                assert!(listed.contains(&rule), "{name}: {rule} is not listed");
                found += 1;
            }
            assert!(found > 0, "{name} has no rules");
        }
    }
}
