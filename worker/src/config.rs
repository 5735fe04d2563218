//! What can be set about a worker, and what each limit does when it is met.

use std::time::Duration;

use sluice_core::{event::SettledBy, reconcile::ReconcileSettings};

/// Settings of a worker. [`Config::default`] is what a deployment should begin with.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Who settles turns. The shop's: no turn is consumed here, and those it says nothing about are released again.
    pub settled_by: SettledBy,
    /// How many tasks consume turns, each with its own intake.
    /// More than two add latency, not throughput: they wait for the same rows of the ledger.
    pub consumers: usize,
    /// Most turns that are held in one transaction of the ledger. What waits is taken at once; no timer fills a batch.
    pub batch_max: usize,
    /// Most turns one consumer may have unsettled, those that wait for a cold gate included. Beyond it the rest stays in the queue.
    pub prefetch: usize,
    /// How often a turn is tried for faults of its own before it is buried for an operator.
    pub tries_max: u32,
    /// How often a turn asks again when the gate refuses goods the ledger still has, before that counts as a try.
    pub disagreements_max: u32,
    /// Longest delay of a retry; the delays double from 1 s up to it, with full jitter.
    pub retry_delay_max: Duration,
    /// Longest wait for one call of a store. Beyond it the call counts as unknown and is repeated.
    pub port_timeout: Duration,
    /// How often a call of a store is repeated in a row before the store counts as away.
    pub port_tries_max: u32,
    /// Most requests on orders served at a time; four times as many wait for a moment,
    /// and the rest are answered 503 with when to come again.
    pub served_max: usize,
    /// Longest wait for the ledger while a provider waits for the answer to its callback. Beyond it the callback is kept for
    /// later, and answered 503; the ledger's word is followed all the same if it comes within `port_timeout`.
    pub callback_timeout: Duration,
    /// Most callbacks being applied or kept at a time, those included whose provider has hung up; more are answered 503.
    pub callbacks_max: u32,
    /// How often a kept callback is tried for faults of its own before the provider is asked, and it is buried for an operator.
    pub callback_tries_max: u32,
    /// Longest wait for one call of the payment provider. Beyond it the call counts as unanswered, and its effect as unknown.
    pub provider_timeout: Duration,
    /// How many calls in a row the payment provider may leave unanswered, before it is left alone for `provider_rest`.
    pub provider_failures_max: u32,
    /// How long it is left alone. Whoever needs it meanwhile is told to come again: buyers by a 503.
    pub provider_rest: Duration,
    /// Longest wait for one call of the fulfilment, beyond any deadline it keeps by itself.
    pub fulfilment_timeout: Duration,
    /// How often passed payment deadlines are looked for.
    pub sweep_interval: Duration,
    /// How often orders that somebody else began to close are looked for.
    pub closing_interval: Duration,
    /// How long an order may rest on its way to `fulfilled` before it counts as left behind by a crash.
    pub idle_after: Duration,
    /// How long the provider may stay out of reach before an order is closed without its word.
    pub closing_max: Duration,
    /// Most orders taken up by one look at the ledger; the next look takes the rest.
    pub sweep_max: u32,
    /// Most orders being closed or fulfilled at a time; more wait their turn.
    pub finishing_max: usize,
    /// How often refunds that are due are looked for.
    pub refund_interval: Duration,
    /// Most refunds asked for at a time; the next look takes the rest.
    pub refunds_max: u32,
    /// How long a refund in the hands of a worker is left to it, before another asks for it. Longer than the calls it takes.
    pub refund_lease: Duration,
    /// Most orders waiting to be closed or fulfilled in memory; more stay in the ledger until they are found again.
    pub agenda_max: usize,
    /// How often turns are looked for of which the shop has said nothing in time.
    pub silence_interval: Duration,
    /// Most such turns released again by one call.
    pub silence_max: u32,
    /// How often a turn is released to a shop that says nothing, before it is buried for an operator.
    pub silence_releases_max: u32,
    /// How long an order that the shop has closed keeps its goods from being counted as gone: by then the shop has said how
    /// many it has again. Shorter, and a line could end between the two.
    pub shop_closing_grace: Duration,
    /// How often outcomes that were not announced are looked for.
    pub relay_interval: Duration,
    /// Most outcomes announced again at a time.
    pub relay_max: u32,
    /// How often each sale is reconciled, by one worker at a time.
    pub reconcile_interval: Duration,
    pub reconcile: ReconcileSettings,
    /// How often old idempotency keys are archived and swept.
    pub keys_interval: Duration,
    /// Most keys moved by one transaction; a sweep goes on while it finds so many, at most 100 times in a row. What is left
    /// waits for the next.
    pub keys_max: u32,
    /// Most consequences of order steps (for gate, line and bulletin) waiting in memory. Beyond it they are dropped with an
    /// error in the log, and the gate is right again once it is reconciled or rebuilt.
    pub aftermath_max: usize,
    /// Most notifications to buyers waiting in memory to be sent. One more is shed, and counted.
    pub notices_max: usize,
    /// Most notifications being sent at a time; the rest waits.
    pub notices_at_once_max: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            settled_by: SettledBy::Worker,
            consumers: 2,
            batch_max: 256,
            prefetch: 1_024,
            tries_max: 8,
            disagreements_max: 20,
            retry_delay_max: Duration::from_secs(128),
            port_timeout: Duration::from_secs(5),
            port_tries_max: 3,
            served_max: 64,
            callback_timeout: Duration::from_secs(2),
            callbacks_max: 1_024,
            callback_tries_max: 8,
            provider_timeout: Duration::from_secs(3),
            provider_failures_max: 5,
            provider_rest: Duration::from_secs(5),
            fulfilment_timeout: Duration::from_secs(4),
            sweep_interval: Duration::from_secs(1),
            closing_interval: Duration::from_millis(250),
            idle_after: Duration::from_secs(5),
            closing_max: Duration::from_secs(60),
            sweep_max: 1_000,
            finishing_max: 128,
            refund_interval: Duration::from_millis(250),
            refunds_max: 64,
            refund_lease: Duration::from_secs(30),
            agenda_max: 8_192,
            silence_interval: Duration::from_secs(1),
            silence_max: 256,
            silence_releases_max: 8,
            shop_closing_grace: Duration::from_secs(3),
            relay_interval: Duration::from_secs(1),
            relay_max: 1_000,
            reconcile_interval: Duration::from_secs(10),
            reconcile: ReconcileSettings::default(),
            keys_interval: Duration::from_secs(60),
            keys_max: 1_000,
            aftermath_max: 16_384,
            notices_max: 4_096,
            notices_at_once_max: 32,
        }
    }
}
