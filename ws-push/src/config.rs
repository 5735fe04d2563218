//! What can be set, with the limit and the named overflow of each. All of it are plain values: reading files and the
//! environment is the composition root's business.

use std::time::Duration;

/// Limits and pace of the push service. A zero where at least one is needed counts as one.
#[derive(Clone, Debug)]
pub struct Config {
    /// Connections held at once, WebSocket and Server-Sent Events together (20,000). Overflow: a new one is shed with 503
    /// `unavailable` before the upgrade.
    pub connections_max: usize,
    /// Connections of one entry: several tabs are one place (8). Overflow: the new one is closed with 4429; Server-Sent
    /// Events answer 429 `too_many_connections`.
    pub connections_per_entry_max: usize,
    /// Connections without a good proof that are being told why by a close code (256): they take no place from the others.
    /// Overflow: told by a problem in HTTP instead, which a browser does not show to a page.
    pub refusals_max: usize,
    /// Parts of the hub, each with a lock of its own (64).
    pub shards: usize,
    /// Shortest time between two `line` frames of a sale (250). Changes in between are merged into the next.
    pub line_interval_ms: u64,
    /// Longest time between two `line` frames of a sale (8,000): well within the ten seconds that clients are promised, so
    /// that a busy machine keeps the promise.
    pub line_idle_ms: u64,
    /// `line` frames written per second over a sale's connections (60,000). Overflow: the interval of that sale stretches,
    /// so that a crowd costs a steady share of the machine.
    pub line_frames_per_second_max: u32,
    /// How long a passed entry may hear nothing before it is looked up; doubles while it stays called (1,000).
    pub lookup_after_ms: u64,
    /// Longest time between two looks at a called entry, and after a failed look (10,000).
    pub lookup_again_max_ms: u64,
    /// Time between two looks at a parked entry; doubles up to six times this (5,000).
    pub parked_lookup_ms: u64,
    /// Time between two looks at a reserved entry whose order is live, in case a notice was lost (30,000).
    pub reserved_lookup_ms: u64,
    /// Entries that wait to be looked up (16,384). Overflow: the look is postponed.
    pub lookups_queued_max: usize,
    /// Entries looked up by one call to the stores (256).
    pub lookup_batch_max: usize,
    /// Calls to the stores at once (4).
    pub lookups_concurrent_max: usize,
    /// Longest one of them may take (3,000). Overflow: it counts as failed and is tried again later.
    pub lookup_timeout_ms: u64,
    /// After the bulletin lost something, every connected entry is looked up again, spread over this long (5,000).
    pub resync_spread_ms: u64,
    /// Proofs of presence that wait to be told to the line (16,384). Overflow: told at a later sweep.
    pub presence_queued_max: usize,
    /// How often each connection is swept: tokens renewed, presence told, idle connections pinged (10,000).
    pub sweep_interval_ms: u64,
    /// A client that sent nothing for this long is pinged at every sweep (30,000).
    pub ping_after_ms: u64,
    /// A client that answered no ping for this long after `ping_after_ms` is dropped (20,000).
    pub ping_timeout_ms: u64,
    /// Longest one frame may take to be written (10,000). Overflow: closed with 4408.
    pub send_timeout_ms: u64,
    /// Longest a closing handshake may take (3,000). Overflow: the connection is dropped.
    pub close_timeout_ms: u64,
    /// Longest an upgrade may take after it was answered (10,000). Overflow: given up.
    pub upgrade_timeout_ms: u64,
    /// `entry` frames that wait for one connection (4). Overflow: the oldest goes, the newest state wins.
    pub entry_frames_max: usize,
    /// Frames a client may send per minute, pings and pongs too (240). Overflow: closed with 4400.
    pub client_frames_per_minute_max: u32,
    /// Longest message of a client, in bytes (4,096). Overflow: closed with 4400.
    pub client_message_bytes_max: usize,
    /// Clients that are sent away come back spread over this long (5,000).
    pub bye_spread_ms: u64,
    /// How long connections may take to close at shutdown (10,000). Overflow: they are dropped.
    pub drain_timeout_ms: u64,
    /// Longest silence of a Server-Sent Events stream before a comment is sent (15,000).
    pub events_keep_alive_ms: u64,
    /// How long an `EventSource` waits before it reconnects (2,000).
    pub events_retry_ms: u64,
    /// How the page's place cookie is named: as admission sets it.
    pub cookies: Cookies,
    /// Origins other than our own whose pages may use that cookie, such as `https://shop.example`.
    pub allowed_origins: Vec<String>,
}

/// The name under which the place cookie was set.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Cookies {
    /// `__Host-sluice-place-<sale>`: with TLS.
    #[default]
    Host,
    /// `sluice-place-<sale>`: on a loopback address without TLS.
    Plain,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            connections_max: 20_000,
            connections_per_entry_max: 8,
            refusals_max: 256,
            shards: 64,
            line_interval_ms: 250,
            line_idle_ms: 8_000,
            line_frames_per_second_max: 60_000,
            lookup_after_ms: 1_000,
            lookup_again_max_ms: 10_000,
            parked_lookup_ms: 5_000,
            reserved_lookup_ms: 30_000,
            lookups_queued_max: 16_384,
            lookup_batch_max: 256,
            lookups_concurrent_max: 4,
            lookup_timeout_ms: 3_000,
            resync_spread_ms: 5_000,
            presence_queued_max: 16_384,
            sweep_interval_ms: 10_000,
            ping_after_ms: 30_000,
            ping_timeout_ms: 20_000,
            send_timeout_ms: 10_000,
            close_timeout_ms: 3_000,
            upgrade_timeout_ms: 10_000,
            entry_frames_max: 4,
            client_frames_per_minute_max: 240,
            client_message_bytes_max: 4_096,
            bye_spread_ms: 5_000,
            drain_timeout_ms: 10_000,
            events_keep_alive_ms: 15_000,
            events_retry_ms: 2_000,
            cookies: Cookies::Host,
            allowed_origins: Vec::new(),
        }
    }
}

/// A configured number of milliseconds; at least one, so that no loop spins.
pub(crate) fn millis(ms: u64) -> Duration {
    Duration::from_millis(ms.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Clients are promised a `line` frame every ten seconds; timers and busy machines are late by some of it.
    #[test]
    fn the_line_is_told_well_within_what_is_promised() {
        let config = Config::default();
        assert!(config.line_idle_ms + 4 * config.line_interval_ms < 10_000);
    }
}
