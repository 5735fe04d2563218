//! A drain: the single active consumer of one sale's queue, and the releases that leave through its very channel. Who
//! lost the queue has lost the channel, and cannot release.
//!
//! A broker does not say who the active consumer is, and an empty queue says nothing at all. So there is a *baton*: every
//! consumer that begins puts one into the queue, and whoever is given anything is the active one. It keeps the last baton
//! it was given without acknowledging it; when it ends, the baton goes to the next consumer, as the queue itself does.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use lapin::{
    message::Delivery,
    options::{BasicConsumeOptions, BasicQosOptions},
    types::FieldTable,
};
use sluice_core::{
    event::Turn,
    ids::SaleId,
    ports::{Drain, DrainIntake, DrainOutlet, PortError, PortResult, WaitingMessage},
};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::codec::{self, Read};
use crate::rabbitmq::{
    Shared,
    fault::{Fault, answered},
    hands::Hands,
    link::{Link, Wire},
    metrics::watch,
    notes::Parcel,
    press::{self, Press},
    reader::Reader,
    sync::locked,
    topology,
    turns::outgoing,
    writer::{Confirms, Sent, Settle, Writer},
};

/// A broker closes a channel that has kept a delivery for half an hour; the baton is put back, and comes again, before.
const BATON_KEPT_MAX: Duration = Duration::from_secs(600);
const NOT_FOUND: u16 = 404;

/// What both halves know.
#[derive(Debug)]
struct Shop {
    shared: Arc<Shared>,
    press: Link<Press>,
    sale: SaleId,
    writer: Writer,
    /// Ends with the channel, and when the intake is dropped.
    over: CancellationToken,
    hands: Mutex<Hands<()>>,
    baton: Mutex<Option<Baton>>,
    /// Settlements for which the writer had no room.
    unsettled: Mutex<Vec<Settle>>,
}

#[derive(Clone, Copy, Debug)]
struct Baton {
    tag: u64,
    since: Instant,
}

/// Becomes the active consumer; waits for it.
pub(super) async fn begin(
    shared: &Arc<Shared>,
    wire: &Arc<Wire>,
    press: Link<Press>,
    sale: &SaleId,
) -> PortResult<Drain> {
    let limit = shared.options.answer_timeout;
    let channel = press::confirming(wire, limit).await?;
    let over = wire.over().child_token();
    let ends = over.clone().drop_guard();
    let writer = shared.writer(channel.clone(), wire, over.clone(), Confirms::Awaited);
    // One more than asked for: the baton.
    let prefetch = shared.options.drain_messages_max.saturating_add(1);
    let qos = channel.basic_qos(prefetch, BasicQosOptions::default());
    answered(limit, "a prefetch", qos).await?;
    let queue = topology::waiting_queue(sale);
    let (plain, none) = (BasicConsumeOptions::default(), FieldTable::default());
    let consume = channel.basic_consume(queue, "".into(), plain, none);
    let consumer = answered(limit, "a consumer", consume).await.map_err(|fault| {
        if fault.reply_code() == NOT_FOUND { Fault::NotDeclared } else { fault }
    })?;
    let reader = Reader::new(consumer, writer.hatch(), over.clone());
    // From here on the reader ends the channel.
    ends.disarm();
    let shop = Arc::new(Shop {
        shared: Arc::clone(shared),
        press,
        sale: sale.clone(),
        writer,
        over,
        hands: Mutex::default(),
        baton: Mutex::default(),
        unsettled: Mutex::default(),
    });
    let mut intake = Intake { reader, shop: Arc::clone(&shop), ahead: VecDeque::new() };
    let sent = shop.writer.publish(vec![codec::baton(sale)], limit).await;
    PortResult::from(sent)?;
    // Whatever comes first proves that this is the active consumer.
    let first = intake.reader.next().await?;
    let first = shop.sort(first);
    intake.ahead.extend(first);
    Ok(Drain { intake: Box::new(intake), outlet: Arc::new(Outlet(shop)) })
}

impl Shop {
    /// What a delivery is. Batons, and messages that are not ours, are dealt with here.
    fn sort(self: &Arc<Self>, delivery: Delivery) -> Option<WaitingMessage> {
        let tag = delivery.delivery_tag;
        match codec::read(&delivery) {
            Read::Joins(entries) => {
                locked(&self.hands).hand(tag, ());
                Some(WaitingMessage { tag, entries })
            }
            Read::Baton => {
                locked(&self.hands).keep(tag);
                let baton = Baton { tag, since: Instant::now() };
                if let Some(older) = locked(&self.baton).replace(baton) {
                    self.let_go(Settle::Ack(older.tag));
                }
                None
            }
            Read::Foreign(reason) => {
                locked(&self.hands).keep(tag);
                let parcel = Parcel::new(delivery.data, delivery.properties);
                let source = topology::waiting_queue(&self.sale).to_string();
                let (shop, over) = (Arc::clone(self), self.over.clone());
                let then = move || shop.let_go(Settle::Ack(tag));
                let press = self.press.clone();
                press::bury_foreign(&self.shared, press, parcel, source, reason, over, then);
                None
            }
        }
    }

    /// Settles one that was kept back.
    fn let_go(&self, settle: Settle) {
        locked(&self.unsettled).push(settle);
        self.settle_rest();
    }

    /// Hands the writer what it had no room for.
    fn settle_rest(&self) {
        let mut unsettled = locked(&self.unsettled);
        if !unsettled.is_empty() {
            let mut hands = locked(&self.hands);
            unsettled
                .retain(|settle| !hands.let_go(*settle, |settle| self.writer.settle_later(settle)));
        }
    }

    fn baton_due(&self) -> Option<Instant> {
        locked(&self.baton).map(|baton| baton.since + BATON_KEPT_MAX)
    }

    /// Puts the baton back; it comes again at once, and may be kept as long again.
    fn renew_baton(&self) {
        if let Some(baton) = locked(&self.baton).take() {
            self.let_go(Settle::Return(baton.tag));
        }
    }

    /// `Fenced` once the intake is dropped, or the channel has ended.
    fn check(&self) -> PortResult<()> {
        let over = self.over.is_cancelled() || locked(&self.hands).is_closed();
        if over { Err(PortError::Fenced) } else { Ok(()) }
    }
}

/// A call that came too late did nothing.
fn told(sent: Sent) -> PortResult<()> {
    match sent {
        Sent::Unsent(_) => Err(PortError::Fenced),
        Sent::Stored | Sent::Full | Sent::Unknown(_) => sent.into(),
    }
}

#[derive(Debug)]
struct Intake {
    // Dropped first: it ends the channel.
    reader: Reader,
    shop: Arc<Shop>,
    ahead: VecDeque<WaitingMessage>,
}

impl Drop for Intake {
    fn drop(&mut self) {
        locked(&self.shop.hands).close();
    }
}

#[async_trait]
impl DrainIntake for Intake {
    async fn next(&mut self) -> PortResult<WaitingMessage> {
        loop {
            self.shop.settle_rest();
            if let Some(message) = self.ahead.pop_front() {
                return Ok(message);
            }
            let due = self.shop.baton_due();
            let renewal = async {
                match due {
                    Some(due) => sleep_until(due).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                delivery = self.reader.next() => {
                    let message = self.shop.sort(delivery.map_err(ended)?);
                    self.ahead.extend(message);
                }
                () = renewal => self.shop.renew_baton(),
            }
        }
    }

    fn try_next(&mut self) -> PortResult<Option<WaitingMessage>> {
        self.shop.settle_rest();
        if let Some(message) = self.ahead.pop_front() {
            return Ok(Some(message));
        }
        while let Some(delivery) = self.reader.try_next().map_err(ended)? {
            if let Some(message) = self.shop.sort(delivery) {
                return Ok(Some(message));
            }
        }
        Ok(None)
    }
}

/// A consumer that the broker ended has lost the queue, or the queue is gone.
fn ended(fault: Fault) -> PortError {
    if let Fault::Cancelled = fault { PortError::Fenced } else { fault.into() }
}

#[derive(Debug)]
struct Outlet(Arc<Shop>);

#[async_trait]
impl DrainOutlet for Outlet {
    async fn release(&self, turns: Vec<Turn>) -> PortResult<()> {
        let Self(shop) = self;
        shop.check()?;
        if turns.is_empty() {
            return Ok(());
        }
        let _watch = watch("turns.release");
        let messages = turns.iter().map(outgoing).collect::<Result<_, Fault>>()?;
        let sent = shop.writer.publish(messages, shop.shared.options.answer_timeout).await;
        told(sent)
    }

    async fn ack(&self, tags: &[u64]) -> PortResult<()> {
        let Self(shop) = self;
        shop.check()?;
        let _watch = watch("waiting.ack");
        let settling =
            locked(&shop.hands).settle(tags, |settles| shop.writer.begin_settling(settles));
        match settling {
            Ok(settling) => told(settling.written(shop.shared.options.answer_timeout).await),
            Err(sent) => told(sent),
        }
    }
}
