//! The publishing connection: its confirm channels, one channel for the bulletin, and what it knows to be declared.

use std::{
    collections::HashSet,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use lapin::{Channel, options::ConfirmSelectOptions};
use sluice_core::ids::SaleId;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::{
    Shared,
    fault::{Fault, answered},
    link::{Kit, Link, Wire},
    notes::Parcel,
    open::OpenError,
    sync::locked,
    topology,
    writer::{Confirms, Outgoing, Sent, Writer},
};

/// Sales whose queue is known to be there; beyond it all are looked up anew.
const KNOWN_MAX: usize = 4_096;
/// Pause before a message that could not be buried is tried again.
const BURY_AGAIN: Duration = Duration::from_millis(500);

/// See the module. One of each generation.
#[derive(Debug)]
pub(super) struct Press {
    writers: Vec<Writer>,
    turn: AtomicUsize,
    pub(super) bulletin: Writer,
    known: Mutex<HashSet<SaleId>>,
}

impl Kit for Press {
    async fn prepare(wire: &Arc<Wire>, shared: &Arc<Shared>) -> Result<Self, OpenError> {
        let limit = shared.options.answer_timeout;
        let declared = topology::declare(wire, limit).await?;
        topology::settle(declared, shared.options.settle_time).await;
        let setup = |source| OpenError::Setup {
            at: wire.address().to_string(),
            what: "opening its channels".into(),
            source: Box::new(source),
        };
        let mut writers = Vec::new();
        for _ in 0..shared.options.publish_channels.max(1) {
            let channel = confirming(wire, limit).await.map_err(setup)?;
            writers.push(shared.writer(channel, wire, wire.over().clone(), Confirms::Awaited));
        }
        let channel = wire.channel(limit).await.map_err(setup)?;
        let bulletin = shared.writer(channel, wire, wire.over().clone(), Confirms::None);
        Ok(Self { writers, turn: AtomicUsize::new(0), bulletin, known: Mutex::default() })
    }
}

/// Opens a channel whose messages are confirmed.
pub(super) async fn confirming(wire: &Wire, limit: Duration) -> Result<Channel, Fault> {
    let channel = wire.channel(limit).await?;
    let select = channel.confirm_select(ConfirmSelectOptions::default());
    answered(limit, "confirms", select).await?;
    Ok(channel)
}

impl Press {
    /// Publishes over one of the channels, and waits until all are stored.
    pub(super) async fn publish(&self, messages: Vec<Outgoing>, limit: Duration) -> Sent {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed) % self.writers.len().max(1);
        match self.writers.get(turn) {
            Some(writer) => writer.publish(messages, limit).await,
            None => Sent::Unsent(Fault::Away),
        }
    }

    pub(super) fn know(&self, sale: &SaleId) {
        let mut known = locked(&self.known);
        if known.len() >= KNOWN_MAX {
            known.clear();
        }
        known.insert(sale.clone());
    }

    pub(super) fn forget(&self, sale: &SaleId) {
        locked(&self.known).remove(sale);
    }

    pub(super) fn knows(&self, sale: &SaleId) -> bool {
        locked(&self.known).contains(sale)
    }
}

/// Buries a message that nobody can read, however long that takes, then calls `then`. Ends early with `over`: the message
/// was not settled, and comes back to somebody.
pub(super) fn bury_foreign(
    shared: &Arc<Shared>,
    press: Link<Press>,
    parcel: Parcel,
    source: String,
    reason: String,
    over: CancellationToken,
    then: impl FnOnce() + Send + 'static,
) {
    super::metrics::foreign(&source);
    // The reason may quote the message: it goes with it, and is not logged.
    tracing::error!(queue = source, "a message that is not ours is buried; its headers say why");
    let (clock, limit) = (Arc::clone(&shared.clock), shared.options.answer_timeout);
    let letter = shared.new_letter();
    shared.tasks.spawn(async move {
        let bury = async {
            loop {
                let message = parcel.buried(&source, &reason, &letter, clock.now());
                if let Ok(live) = press.live()
                    && let Sent::Stored = live.kit.publish(vec![message], limit).await
                {
                    return;
                }
                sleep(BURY_AGAIN).await;
            }
        };
        tokio::select! {
            () = over.cancelled() => {}
            () = bury => then(),
        }
    });
}
