//! The exchanges and queues, and their declaration. Declaring again what is there as it should be changes nothing;
//! anything there that differs is an error that names it.
//!
//! | name | what |
//! |---|---|
//! | `sluice.joins` → `sluice.waiting.<sale>` | joined entries; single active consumer |
//! | `sluice.turns` | called entries; order workers compete |
//! | `sluice.retry.<s>s` | what waits out a delay; it goes back to the queue its routing key names |
//! | `sluice.dead` | buried messages |
//! | `sluice.callbacks` | payment callbacks that the ledger could not store; at most 100,000 |
//! | `sluice.unrouted` | what found no queue; anything in it is an alarm |
//! | `sluice.bulletin` | broadcasts; each listener has a queue of its own |
//!
//! Each durable queue has an exchange of its own name, or is reached by its own name as routing key.

use std::{sync::Arc, time::Duration};

use lapin::{
    Channel, ExchangeKind,
    options::{ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions, QueueDeleteOptions},
    types::{AMQPValue, FieldTable, ShortString},
};
use sluice_core::ids::SaleId;
use tokio::time::sleep;

use super::{
    fault::{Fault, answered, reply_code},
    link::Wire,
    open::OpenError,
};

pub(super) const JOINS: &str = "sluice.joins";
pub(super) const TURNS: &str = "sluice.turns";
pub(super) const DEAD: &str = "sluice.dead";
pub(super) const CALLBACKS: &str = "sluice.callbacks";
pub(super) const UNROUTED: &str = "sluice.unrouted";
pub(super) const BULLETIN: &str = "sluice.bulletin";
const WAITING: &str = "sluice.waiting.";
/// The delays a message can wait out, in seconds.
pub(super) const DELAYS: [u32; 8] = [1, 2, 4, 8, 16, 32, 64, LONGEST_DELAY];
const LONGEST_DELAY: u32 = 128;
/// How often a message may come back before the broker gives it up. Crashes and hand-overs count, so it is never reached;
/// -1 would drop a message at its first return on RabbitMQ 3.10, and leaving it out means 20 on 4.x.
const DELIVERY_LIMIT: i64 = 1_000_000;
/// Most callbacks that are kept while the ledger is away; the next one is refused, and the provider has to repeat it.
const CALLBACKS_MAX: i64 = 100_000;
/// Why the broker refuses a declaration: it differs from what is there; it is not allowed.
const PRECONDITION_FAILED: u16 = 406;
const ACCESS_REFUSED: u16 = 403;
const NOT_FOUND: u16 = 404;

/// The queue of a sale's joined entries; also its routing key.
pub(super) fn waiting_queue(sale: &SaleId) -> ShortString {
    format!("{WAITING}{sale}").into()
}

/// Whether a queue of this name is of a sale's joined entries.
pub(super) fn is_waiting_queue(name: &str) -> bool {
    name.strip_prefix(WAITING).is_some_and(|sale| SaleId::new(sale).is_ok())
}

/// The exchange and the queue of one delay.
pub(super) fn retry(delay_seconds: u32) -> ShortString {
    format!("sluice.retry.{delay_seconds}s").into()
}

/// The smallest delay that is not below `delay`; the longest for what is longer.
pub(super) fn delay_for(delay: Duration) -> u32 {
    let fits = |seconds: &&u32| Duration::from_secs((**seconds).into()) >= delay;
    DELAYS.iter().find(fits).copied().unwrap_or(LONGEST_DELAY)
}

/// Properties that all our queues share.
fn quorum() -> FieldTable {
    let mut table = FieldTable::default();
    table.insert("x-queue-type".into(), text("quorum"));
    table.insert("x-delivery-limit".into(), AMQPValue::LongLongInt(DELIVERY_LIMIT));
    table.insert("x-overflow".into(), text("reject-publish"));
    table
}

/// A queue whose rejected messages are buried, none lost on the way.
fn worked() -> FieldTable {
    let mut table = quorum();
    table.insert("x-dead-letter-exchange".into(), text(DEAD));
    table.insert("x-dead-letter-strategy".into(), text("at-least-once"));
    table
}

/// What comes at the provider's pace has an end.
fn kept() -> FieldTable {
    let mut table = worked();
    table.insert("x-max-length".into(), AMQPValue::LongLongInt(CALLBACKS_MAX));
    table
}

/// Joined entries of one sale: one drain at a time.
fn waiting() -> FieldTable {
    let mut table = worked();
    table.insert("x-single-active-consumer".into(), AMQPValue::Boolean(true));
    table
}

/// No dead-letter routing key: the default exchange takes each message to the queue it was sent with.
fn delayed(delay_seconds: u32) -> FieldTable {
    let mut table = quorum();
    let ttl = i64::from(delay_seconds) * 1_000;
    table.insert("x-message-ttl".into(), AMQPValue::LongLongInt(ttl));
    table.insert("x-dead-letter-exchange".into(), text(""));
    table.insert("x-dead-letter-strategy".into(), text("at-least-once"));
    table
}

fn text(value: &str) -> AMQPValue {
    AMQPValue::LongString(value.into())
}

/// Declares on a channel of its own.
struct Declarer {
    channel: Channel,
    wire: Arc<Wire>,
    limit: Duration,
}

/// Whether a declaration found what it declares.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Declared {
    There,
    /// A broker that is killed within its first second may come back without what was in it; see [`settle`].
    New,
}

/// Waits until a broker has written down that a queue exists. RabbitMQ writes its list of quorum queues to the disk half a
/// second late: one that is killed before that starts such a queue anew, without the messages it has confirmed, and
/// without a leader.
pub(super) async fn settle(declared: Declared, limit: Duration) {
    if declared == Declared::New {
        sleep(limit).await;
    }
}

/// Declares everything that is not of one sale. Source queues come before the delays that lead back to them: one that is
/// missing would hold up its whole delay.
pub(super) async fn declare(wire: &Arc<Wire>, limit: Duration) -> Result<Declared, OpenError> {
    let setup = |source| OpenError::Setup {
        at: wire.address().to_string(),
        what: "opening a channel".into(),
        source: Box::new(source),
    };
    // The last of them: whoever was interrupted declared those before it only.
    let found = found(wire, retry(LONGEST_DELAY), limit).await.map_err(setup)?;
    let channel = wire.channel(limit).await.map_err(setup)?;
    let declarer = Declarer { channel, wire: Arc::clone(wire), limit };
    declarer.exchange(UNROUTED, ExchangeKind::Fanout, Unrouted::Stays).await?;
    declarer.queue(UNROUTED.into(), quorum(), UNROUTED).await?;
    declarer.exchange(DEAD, ExchangeKind::Fanout, Unrouted::Kept).await?;
    declarer.queue(DEAD.into(), quorum(), DEAD).await?;
    declarer.exchange(JOINS, ExchangeKind::Direct, Unrouted::Kept).await?;
    for (name, properties) in [(TURNS, worked()), (CALLBACKS, kept())] {
        declarer.exchange(name, ExchangeKind::Direct, Unrouted::Kept).await?;
        declarer.queue(name.into(), properties, name).await?;
    }
    for delay in DELAYS {
        let name = retry(delay);
        declarer.exchange(name.as_str(), ExchangeKind::Fanout, Unrouted::Kept).await?;
        declarer.queue(name.clone(), delayed(delay), name.as_str()).await?;
    }
    declarer.exchange(BULLETIN, ExchangeKind::Fanout, Unrouted::Stays).await?;
    declarer.done().await;
    Ok(found)
}

/// Declares the queue of a sale.
pub(super) async fn declare_waiting(
    wire: &Arc<Wire>,
    sale: &SaleId,
    limit: Duration,
) -> Result<Declared, Fault> {
    let found = found(wire, waiting_queue(sale), limit).await?;
    let declarer = Declarer { channel: wire.channel(limit).await?, wire: Arc::clone(wire), limit };
    declarer.queue(waiting_queue(sale), waiting(), JOINS).await?;
    declarer.done().await;
    Ok(found)
}

async fn found(wire: &Wire, queue: ShortString, limit: Duration) -> Result<Declared, Fault> {
    match ready(wire, &[queue], limit).await {
        Ok(counts) if counts == [None] => Ok(Declared::New),
        Ok(_) => Ok(Declared::There),
        // The declaration itself is refused then, and explained.
        Err(fault) if fault.reply_code() != 0 => Ok(Declared::There),
        Err(fault) => Err(fault),
    }
}

/// Removes the queue of a sale, with all that is in it. That it is not there is no fault.
pub(super) async fn remove_waiting(
    wire: &Wire,
    sale: &SaleId,
    limit: Duration,
) -> Result<(), Fault> {
    let channel = wire.channel(limit).await?;
    let delete = channel.queue_delete(waiting_queue(sale), QueueDeleteOptions::default());
    answered(limit, "the deletion of a queue", delete).await?;
    close(&channel, limit).await;
    Ok(())
}

/// How many messages lie ready in each of these queues; `None` for one that is not there.
pub(super) async fn ready(
    wire: &Wire,
    queues: &[ShortString],
    limit: Duration,
) -> Result<Vec<Option<u64>>, Fault> {
    let mut counts = Vec::with_capacity(queues.len());
    let mut channel = wire.channel(limit).await?;
    for queue in queues {
        let look = QueueDeclareOptions::default().passive();
        let look = channel.queue_declare(queue.clone(), look, FieldTable::default());
        match answered(limit, "the depth of a queue", look).await {
            Ok(queue) => counts.push(Some(queue.message_count().into())),
            Err(fault) if fault.reply_code() == NOT_FOUND => {
                counts.push(None);
                channel = wire.channel(limit).await?;
            }
            Err(fault) => return Err(fault),
        }
    }
    close(&channel, limit).await;
    Ok(counts)
}

/// Closes a channel that is done with: the library closes a dropped one less carefully.
pub(super) async fn close(channel: &Channel, limit: Duration) {
    let closed = answered(limit, "closing a channel", channel.close(200, "done".into())).await;
    if let Err(fault) = closed {
        tracing::debug!(error = &fault as &dyn std::error::Error, "a channel was not closed");
    }
}

/// Where an exchange sends what no queue takes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Unrouted {
    /// To `sluice.unrouted`.
    Kept,
    /// Nowhere.
    Stays,
}

impl Declarer {
    async fn exchange(
        &self,
        name: &str,
        kind: ExchangeKind,
        unrouted: Unrouted,
    ) -> Result<(), OpenError> {
        let mut table = FieldTable::default();
        if unrouted == Unrouted::Kept {
            table.insert("alternate-exchange".into(), text(UNROUTED));
        }
        let durable = ExchangeDeclareOptions { durable: true, ..Default::default() };
        let declare = self.channel.exchange_declare(name.into(), kind, durable, table);
        let declared = answered(self.limit, "an exchange's declaration", declare).await;
        declared.map_err(|fault| self.explain("exchange", name, fault))
    }

    /// Declares a queue and binds it, with its own name as key.
    async fn queue(
        &self,
        name: ShortString,
        table: FieldTable,
        exchange: &str,
    ) -> Result<(), OpenError> {
        let durable = QueueDeclareOptions::durable();
        let declare = self.channel.queue_declare(name.clone(), durable, table);
        let declared = answered(self.limit, "a queue's declaration", declare).await;
        declared.map_err(|fault| self.explain("queue", name.as_str(), fault))?;
        let (key, plain) = (name.clone(), QueueBindOptions::default());
        let bind = self.channel.queue_bind(
            name.clone(),
            exchange.into(),
            key,
            plain,
            FieldTable::default(),
        );
        let bound = answered(self.limit, "a queue's binding", bind).await;
        bound.map_err(|fault| self.explain("queue", name.as_str(), fault))
    }

    fn explain(&self, kind: &'static str, name: &str, fault: Fault) -> OpenError {
        let address = self.wire.address();
        let (name, vhost) = (name.to_owned(), address.vhost().to_owned());
        let (at, what) = (address.to_string(), format!("the declaration of the {kind} {name}"));
        let Fault::Refused { source, .. } = fault else {
            return OpenError::Setup { at, what, source: Box::new(fault) };
        };
        let (code, source) = (reply_code(&source), Box::new(source));
        let elsewise = |source| Box::new(Fault::Refused { what: "a declaration", source });
        match code {
            PRECONDITION_FAILED => OpenError::Mismatch { kind, name, vhost, source },
            ACCESS_REFUSED => {
                OpenError::Denied { kind, name, vhost, user: address.user().into(), source }
            }
            _ => OpenError::Setup { at, what, source: elsewise(*source) },
        }
    }

    async fn done(self) {
        close(&self.channel, self.limit).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delay_is_rounded_up_to_one_there_is() {
        for (asked_ms, got) in
            [(0, 1), (1_000, 1), (1_001, 2), (3_000, 4), (128_000, 128), (3_600_000, 128)]
        {
            assert_eq!(delay_for(Duration::from_millis(asked_ms)), got, "{asked_ms} ms");
        }
    }
}
