//! Dead letters: the messages in `sluice.dead`.
//!
//! A broker shows what lies in a queue only by delivering it. So whoever looks takes everything, on a channel of its own,
//! settles the one letter it came for, and gives the rest back, in order. One looks at a time, or two would each see a part:
//! within a process by a lock, among processes by a queue that one connection has to itself.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use futures_util::StreamExt;
use lapin::{
    Channel, Consumer,
    message::Delivery,
    options::{
        BasicAckOptions, BasicCancelOptions, BasicConsumeOptions, BasicNackOptions,
        BasicQosOptions, QueueDeclareOptions, QueueDeleteOptions,
    },
    types::FieldTable,
};
use sluice_core::{
    ids::LetterId,
    ports::{
        CallbackDelivery, DeadLetter, DeadLetters, FOREIGN_CHARS_MAX, LetterContent, LetterOrder,
        LetterPage, LetterReplay, LetterSource, PortResult, TurnDelivery,
    },
};
use tokio::{
    sync::Mutex,
    time::{Instant, sleep, timeout},
};

use super::{
    Shared,
    consumer::Work,
    fault::{Fault, answered},
    link::{Bare, Link, Wire},
    metrics::watch,
    notes::Parcel,
    press::Press,
    topology,
    writer::Outgoing,
};

/// Letters that are looked at; those behind them come into sight as these are dealt with.
const LETTERS_MAX: u16 = 5_000;
/// How long nothing may come before nothing more is expected.
const QUIET: Duration = Duration::from_millis(300);
/// Held by whoever looks.
const DESK: &str = "sluice.dead.desk";
const LOCKED: u16 = 405;
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// See the module.
#[derive(Debug)]
pub(super) struct Letters {
    shared: Arc<Shared>,
    press: Link<Press>,
    consumers: Link<Bare>,
    desk: Arc<Mutex<()>>,
}

impl Letters {
    pub(super) fn new(shared: Arc<Shared>, press: Link<Press>, consumers: Link<Bare>) -> Self {
        Self { shared, press, consumers, desk: Arc::default() }
    }

    /// Looks through the letters. It goes on to its end even if nobody waits for it any more, so that nothing is left in
    /// hand.
    async fn look<T, F, Fut>(&self, op: &'static str, with: F) -> PortResult<T>
    where
        T: Send + 'static,
        F: FnOnce(Tray) -> Fut + Send + 'static,
        Fut: Future<Output = PortResult<T>> + Send + 'static,
    {
        let (shared, press) = (Arc::clone(&self.shared), self.press.clone());
        let (consumers, desk) = (self.consumers.clone(), Arc::clone(&self.desk));
        let looking = self.shared.tasks.spawn(async move {
            let _watch = watch(op);
            let limit = shared.options.answer_timeout;
            let _alone = timeout(limit, desk.lock()).await.map_err(|_| Fault::Busy)?;
            let live = consumers.soon(limit).await?;
            let held = hold_desk(&live.wire, limit).await?;
            let tray = Tray::fill(Arc::clone(&shared), press, &live.wire).await;
            let looked = match tray {
                Ok(tray) => with(tray).await,
                Err(fault) => Err(fault.into()),
            };
            let free = held.queue_delete(DESK.into(), QueueDeleteOptions::default());
            if answered(limit, "the end of a look at dead letters", free).await.is_ok() {
                topology::close(&held, limit).await;
            }
            looked
        });
        looking.await.map_err(|_| Fault::Ended)?
    }
}

/// Waits until nobody else looks, on the channel that this answers.
async fn hold_desk(wire: &Wire, limit: Duration) -> Result<Channel, Fault> {
    let deadline = Instant::now() + limit;
    loop {
        let channel = wire.channel(limit).await?;
        let own = QueueDeclareOptions { exclusive: true, auto_delete: true, ..Default::default() };
        let declare = channel.queue_declare(DESK.into(), own, FieldTable::default());
        match answered(limit, "a look at dead letters", declare).await {
            Ok(_) => return Ok(channel),
            Err(fault) if fault.reply_code() == LOCKED => {
                if Instant::now() >= deadline {
                    return Err(Fault::Busy);
                }
                sleep(LOOK_AGAIN).await;
            }
            Err(fault) => return Err(fault),
        }
    }
}

/// All letters that are in sight, in hand.
struct Tray {
    shared: Arc<Shared>,
    press: Link<Press>,
    wire: Arc<Wire>,
    channel: Channel,
    letters: Vec<Delivery>,
}

impl Tray {
    async fn fill(
        shared: Arc<Shared>,
        press: Link<Press>,
        wire: &Arc<Wire>,
    ) -> Result<Self, Fault> {
        let limit = shared.options.answer_timeout;
        let ready = topology::ready(wire, &[topology::DEAD.into()], limit).await?;
        let expected = ready.into_iter().flatten().next().unwrap_or_default();
        let channel = wire.channel(limit).await?;
        match take_all(&channel, expected, limit).await {
            Ok(letters) => Ok(Self { shared, press, wire: Arc::clone(wire), channel, letters }),
            Err(fault) => {
                // What was taken goes back with it.
                topology::close(&channel, limit).await;
                Err(fault)
            }
        }
    }

    /// The first letter of this id.
    fn find(&self, id: &LetterId) -> Option<&Delivery> {
        self.letters.iter().find(|delivery| id_of(delivery) == *id)
    }

    /// Removes a letter from the queue.
    async fn settle(&self, tag: u64) -> Result<(), Fault> {
        let limit = self.shared.options.answer_timeout;
        let ack = self.channel.basic_ack(tag, BasicAckOptions::default());
        answered(limit, "an acknowledgement", ack).await
    }

    /// Gives back what is still in hand. A channel that ends does so by itself.
    async fn give_back(self) {
        let limit = self.shared.options.answer_timeout;
        let all = BasicNackOptions { multiple: true, requeue: true };
        let back = answered(limit, "the letters' return", self.channel.basic_nack(0, all)).await;
        if back.is_ok() {
            topology::close(&self.channel, limit).await;
        }
    }

    async fn replay(&self, delivery: &Delivery) -> PortResult<LetterReplay> {
        let limit = self.shared.options.answer_timeout;
        let parcel = parcel(delivery);
        let Some(queue) = parcel.source().filter(|queue| source(queue) != LetterSource::Unknown)
        else {
            return Ok(LetterReplay::NoSource);
        };
        // The queue of a sale that was deleted.
        let there = topology::ready(&self.wire, &[queue.as_str().into()], limit).await?;
        if there == [None] {
            return Ok(LetterReplay::NoSource);
        }
        let exchange = match source(&queue) {
            LetterSource::Waiting | LetterSource::Unknown => topology::JOINS,
            LetterSource::Callbacks => topology::CALLBACKS,
            LetterSource::Turns => topology::TURNS,
        };
        let message: Outgoing = parcel.replayed(exchange, &queue);
        let live = self.press.live()?;
        PortResult::from(live.kit.publish(vec![message], limit).await)?;
        // A crash before this repeats what is done once by its entry or its payment.
        self.settle(delivery.delivery_tag).await?;
        Ok(LetterReplay::Replayed)
    }
}

async fn take_all(
    channel: &Channel,
    expected: u64,
    limit: Duration,
) -> Result<Vec<Delivery>, Fault> {
    let qos = channel.basic_qos(LETTERS_MAX, BasicQosOptions::default());
    answered(limit, "a prefetch", qos).await?;
    let (plain, none) = (BasicConsumeOptions::default(), FieldTable::default());
    let consume = channel.basic_consume(topology::DEAD.into(), "".into(), plain, none);
    let mut consumer = answered(limit, "a consumer", consume).await?;
    let letters = take(&mut consumer, expected, limit).await?;
    // Or what is given back would come again.
    let cancel = channel.basic_cancel(consumer.tag(), BasicCancelOptions::default());
    answered(limit, "a consumer's end", cancel).await?;
    Ok(letters)
}

/// Takes what comes: all that is expected, or until nothing has come for a while.
async fn take(
    consumer: &mut Consumer,
    expected: u64,
    limit: Duration,
) -> Result<Vec<Delivery>, Fault> {
    let expected = usize::try_from(expected.min(LETTERS_MAX.into())).unwrap_or(usize::MAX);
    let mut letters = Vec::with_capacity(expected);
    while letters.len() < LETTERS_MAX.into() {
        // Letters that were given back a moment ago are not always counted yet.
        let patience = if letters.len() < expected { limit } else { QUIET };
        match timeout(patience, consumer.next()).await {
            Ok(Some(Ok(delivery))) => letters.push(delivery),
            Ok(Some(Err(source))) => return Err(Fault::Refused { what: "a consumer", source }),
            Ok(None) => return Err(Fault::Cancelled),
            Err(_) => break,
        }
    }
    Ok(letters)
}

fn parcel(delivery: &Delivery) -> Parcel {
    Parcel::new(delivery.data.clone(), delivery.properties.clone())
}

/// What it was given when it was buried; else what follows from the message.
fn id_of(delivery: &Delivery) -> LetterId {
    parcel_id(&Parcel::new(Vec::new(), delivery.properties.clone()), &delivery.data)
}

fn parcel_id(parcel: &Parcel, body: &[u8]) -> LetterId {
    parcel.letter().unwrap_or_else(|| {
        let source = parcel.source().unwrap_or_default();
        let message = parcel.message_id().unwrap_or_default();
        LetterId::of_message(&[source.as_bytes(), message.as_bytes(), body])
    })
}

/// Which of our queues has this name.
fn source(queue: &str) -> LetterSource {
    match queue {
        topology::TURNS => LetterSource::Turns,
        topology::CALLBACKS => LetterSource::Callbacks,
        _ if topology::is_waiting_queue(queue) => LetterSource::Waiting,
        _ => LetterSource::Unknown,
    }
}

fn read(delivery: &Delivery) -> DeadLetter {
    let parcel = parcel(delivery);
    let source = parcel.source().map_or(LetterSource::Unknown, |queue| source(&queue));
    let foreign = || {
        let text = String::from_utf8_lossy(&parcel.body);
        LetterContent::Foreign {
            bytes: parcel.body.len() as u64,
            text: text.chars().take(FOREIGN_CHARS_MAX).collect(),
        }
    };
    let content = match source {
        LetterSource::Turns => TurnDelivery::read(0, &parcel)
            .map_or_else(|_| foreign(), |delivery| LetterContent::Turn(delivery.turn)),
        LetterSource::Callbacks => CallbackDelivery::read(0, &parcel)
            .map_or_else(|_| foreign(), |kept| LetterContent::Callback(kept.update)),
        LetterSource::Waiting | LetterSource::Unknown => foreign(),
    };
    DeadLetter {
        id: parcel_id(&parcel, &parcel.body),
        source,
        reason: parcel.reason().unwrap_or_else(|| "its consumer rejected it".to_owned()),
        tries: parcel.tries(),
        since: parcel.since(),
        content,
    }
}

#[async_trait]
impl DeadLetters for Letters {
    async fn list(
        &self,
        order: LetterOrder,
        after: Option<&LetterId>,
        limit: usize,
    ) -> PortResult<LetterPage> {
        let after = after.cloned();
        self.look("letters.list", move |tray| async move {
            let ids: Vec<LetterId> = tray.letters.iter().map(id_of).collect();
            let mut places: Vec<usize> = (0..ids.len()).collect();
            if order == LetterOrder::Newest {
                places.reverse();
            }
            let passed = after.and_then(|after| places.iter().position(|n| ids[*n] == after));
            let rest = places.split_off(passed.map_or(0, |n| n + 1));
            let more = rest.len() > limit;
            let letters = rest.iter().take(limit).map(|n| read(&tray.letters[*n])).collect();
            tray.give_back().await;
            Ok(LetterPage { letters, more })
        })
        .await
    }

    async fn letter(&self, id: &LetterId) -> PortResult<Option<DeadLetter>> {
        let id = id.clone();
        self.look("letters.letter", move |tray| async move {
            let letter = tray.find(&id).map(read);
            tray.give_back().await;
            Ok(letter)
        })
        .await
    }

    async fn replay(&self, id: &LetterId) -> PortResult<LetterReplay> {
        let id = id.clone();
        self.look("letters.replay", move |tray| async move {
            let replayed = match tray.find(&id) {
                Some(delivery) => tray.replay(delivery).await,
                None => Ok(LetterReplay::NoSuchLetter),
            };
            tray.give_back().await;
            replayed
        })
        .await
    }

    async fn remove(&self, id: &LetterId) -> PortResult<bool> {
        let id = id.clone();
        self.look("letters.remove", move |tray| async move {
            let removed = match tray.find(&id) {
                Some(delivery) => match tray.settle(delivery.delivery_tag).await {
                    Ok(()) => Ok(true),
                    Err(fault) => Err(fault.into()),
                },
                None => Ok(false),
            };
            tray.give_back().await;
            removed
        })
        .await
    }
}
