//! What a deployment may set. Every limit says what happens when it is reached; intervals are measured on the monotonic
//! clock.

use std::time::Duration;

use sluice_core::event::SettledBy;

/// The dispatcher's settings. `Config::new` gives the documented defaults.
#[derive(Clone, Debug)]
pub struct Config {
    /// Who asks for leases: unique among the dispatchers of a deployment, also across restarts of one process.
    pub holder: String,
    /// Who settles the turns that are released.
    pub settled_by: SettledBy,
    /// How long a lease holds without renewal; renewed each third of it. Beyond it another dispatcher takes over.
    pub lease_ttl: Duration,
    /// How often credit is accrued while somebody can be called. Well below `law::TICK_MAX`: what a scheduling delay adds
    /// beyond that is lost for good.
    pub tick: Duration,
    /// How often an empty line, or one that stands, looks around.
    pub idle_tick: Duration,
    /// How long a missing number is waited for once a higher one was seen; then it is passed as a gap.
    pub reorder_wait: Duration,
    /// How long nothing may come before numbers that were given out and never came are passed at the end of the line. Longer
    /// than a broker can be silent unnoticed.
    pub absent_wait: Duration,
    /// Entries in memory per sale, parked ones included. Beyond it no more are taken in: the queue keeps them.
    pub window_entries_max: usize,
    /// Parked entries per sale. Beyond it nobody else is parked: the line stands until one of them can be called.
    pub parked_max: usize,
    /// Release calls under way at once per sale. Beyond it nobody is called: the line waits for the broker.
    pub releases_max: usize,
    /// Settling calls under way at once per sale. Beyond it those to be passed wait in the window.
    pub settlements_max: usize,
    /// Entries in one settling call.
    pub settlement_entries_max: usize,
    /// Notices under way at once per sale. Beyond it notices about entries are dropped: the bulletin is lossy, and
    /// whoever hears nothing looks the entry up.
    pub notices_max: usize,
    /// How often the depth of the turn queue is read.
    pub depths_every: Duration,
    /// Turns that may lie in the turn queue before the rate is lowered, as seconds of the law's rate; at twice this
    /// the line stands.
    pub backlog_seconds: f64,
    /// The least such backlog, in turns.
    pub backlog_turns_min: u64,
    /// How old the stock levels may be while somebody waits or was called lately.
    pub levels_every: Duration,
    /// How often the cursor is saved in the ledger, then moved in the line's store, then told.
    pub cursor_every: Duration,
    /// A line that changed is reported at most this often.
    pub report_every_min: Duration,
    /// A line that did not change is reported at least this often.
    pub report_every_max: Duration,
    /// How often sales and bans are read again, in case the bulletin lost something.
    pub reread_every: Duration,
    /// A line that may not move for this long gives its window back to the queue and takes it again when it may: a
    /// broker closes the channels of consumers that sit on messages for long.
    pub give_back_after: Duration,
    /// How long one call to a port may take before its effect counts as unknown.
    pub port_timeout: Duration,
    /// How long a stopping line waits for the releases it has in hand.
    pub finish_timeout: Duration,
    /// The first pause before a failed line is taken up again; doubles, with full jitter, up to `backoff_max`.
    pub backoff_min: Duration,
    /// The longest such pause.
    pub backoff_max: Duration,
    /// The fewest sequence numbers asked of the ledger at a time; a long line asks for twice its cap.
    pub block_numbers_min: u64,
}

impl Config {
    /// The defaults, for a dispatcher of this name.
    #[must_use]
    pub fn new(holder: impl Into<String>) -> Self {
        Self {
            holder: holder.into(),
            settled_by: SettledBy::Worker,
            lease_ttl: Duration::from_secs(2),
            tick: Duration::from_millis(3),
            idle_tick: Duration::from_millis(250),
            reorder_wait: Duration::from_millis(250),
            absent_wait: Duration::from_secs(15),
            window_entries_max: 65_536,
            parked_max: 10_000,
            releases_max: 16,
            settlements_max: 2,
            settlement_entries_max: 1_000,
            notices_max: 16,
            depths_every: Duration::from_millis(250),
            backlog_seconds: 2.0,
            backlog_turns_min: 1_000,
            levels_every: Duration::from_millis(50),
            cursor_every: Duration::from_millis(100),
            report_every_min: Duration::from_millis(100),
            report_every_max: Duration::from_secs(1),
            reread_every: Duration::from_secs(2),
            give_back_after: Duration::from_mins(10),
            port_timeout: Duration::from_secs(5),
            finish_timeout: Duration::from_secs(3),
            backoff_min: Duration::from_millis(50),
            backoff_max: Duration::from_secs(2),
            block_numbers_min: 100_000,
        }
    }
}

/// Why a configuration cannot be used. Names the setting.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("dispatcher.{setting} {rule}")]
pub struct BadConfig {
    pub setting: &'static str,
    pub rule: &'static str,
}

impl Config {
    /// Checks what would make the loop stand still or spin.
    pub fn check(&self) -> Result<(), BadConfig> {
        let rules = [
            ("holder", !self.holder.is_empty(), "must not be empty"),
            (
                "lease_ttl",
                self.lease_ttl >= Duration::from_millis(100),
                "must be at least 100 ms: it is renewed each third of that",
            ),
            (
                "tick",
                !self.tick.is_zero() && self.tick < sluice_core::law::TICK_MAX,
                "must be above 0 and below 10 ms: credit of a longer stretch is lost",
            ),
            ("idle_tick", self.idle_tick >= self.tick, "must be at least `tick`"),
            ("window_entries_max", self.window_entries_max > 0, "must be at least 1"),
            ("releases_max", self.releases_max > 0, "must be at least 1"),
            ("settlements_max", self.settlements_max > 0, "must be at least 1"),
            ("settlement_entries_max", self.settlement_entries_max > 0, "must be at least 1"),
            ("notices_max", self.notices_max > 0, "must be at least 1"),
            ("backlog_turns_min", self.backlog_turns_min > 0, "must be at least 1"),
            ("depths_every", !self.depths_every.is_zero(), "must be above 0"),
            ("reread_every", !self.reread_every.is_zero(), "must be above 0"),
            ("report_every_min", !self.report_every_min.is_zero(), "must be above 0"),
            (
                "report_every_max",
                self.report_every_max >= self.report_every_min,
                "must be at least `report_every_min`",
            ),
            ("block_numbers_min", self.block_numbers_min > 0, "must be at least 1"),
        ];
        match rules.into_iter().find(|(_, holds, _)| !holds) {
            Some((setting, _, rule)) => Err(BadConfig { setting, rule }),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_hold_and_mistakes_are_named() {
        assert_eq!(Config::new("a").check(), Ok(()));
        assert_eq!(Config::new("").check().unwrap_err().setting, "holder");
        let slow = Config { tick: Duration::from_millis(10), ..Config::new("a") };
        assert_eq!(
            slow.check().unwrap_err().to_string(),
            "dispatcher.tick must be above 0 and below 10 ms: credit of a longer stretch is lost"
        );
    }
}
