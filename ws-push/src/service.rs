//! What every connection shares, and the way in: is there room, which sale, may this buyer watch.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use sluice_core::{
    clock::Clock,
    ids::{EntryId, SaleId},
    policy::RateLimit,
    ports::PortResult,
    random::Random,
    token::Keyring,
    view::{Directory, SaleView, lookup::Lookup},
};
use sluice_http::{Exchange, Problem};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    close::Close,
    config::{Config, millis},
    credentials::{self, Pass, Refused},
    frame::{LineFrame, Standing},
    hub::{Asked, Hub, TooMany},
    metrics::{self, Frames},
    room::Room,
    watcher::Watcher,
};

/// When a client that was shed may try again.
const RETRY_AFTER: Duration = Duration::from_secs(2);

/// See the module.
#[derive(Debug)]
pub(crate) struct Service {
    pub(crate) config: Arc<Config>,
    pub(crate) hub: Arc<Hub>,
    pub(crate) keyring: Arc<Keyring>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) random: Arc<Random>,
    pub(crate) lookup: Lookup,
    pub(crate) directory: Arc<Directory>,
    pub(crate) frames: Frames,
    /// Every connection's task and every room's.
    pub(crate) tasks: TaskTracker,
    /// The rooms stop telling.
    pub(crate) stop: CancellationToken,
    /// Connections that did not close in time are dropped.
    pub(crate) cut: CancellationToken,
    pub(crate) connections: Arc<Semaphore>,
    pub(crate) refusals: Arc<Semaphore>,
    pub(crate) draining: AtomicBool,
    pub(crate) rooms: Mutex<HashMap<SaleId, Arc<Room>>>,
}

/// One connection's place in the hub; given up when dropped.
#[derive(Debug)]
pub(crate) struct Seat {
    service: Arc<Service>,
    room: Arc<Room>,
    entry: EntryId,
    pub(crate) watcher: Arc<Watcher>,
    pub(crate) line: watch::Receiver<LineFrame>,
}

impl Service {
    /// Takes one of the connections this node may hold, or sheds the request.
    pub(crate) fn admit(&self) -> Result<OwnedSemaphorePermit, Problem> {
        self.take(&self.connections).ok_or_else(|| Problem::unavailable(RETRY_AFTER))
    }

    /// Takes one of the few connections that are only told why they are refused.
    pub(crate) fn admit_refused(&self, refused: Refused) -> Result<OwnedSemaphorePermit, Problem> {
        self.take(&self.refusals).ok_or_else(|| refused.into())
    }

    fn take(&self, places: &Arc<Semaphore>) -> Option<OwnedSemaphorePermit> {
        let permit = Arc::clone(places).try_acquire_owned().ok()?;
        (!self.draining.load(Ordering::SeqCst)).then_some(permit)
    }

    /// The `per_ip` that the sale of the path sets.
    pub(crate) fn limit(&self, exchange: &Exchange) -> Option<RateLimit> {
        let sale = SaleId::new(exchange.param("sale")).ok()?;
        self.directory.sale(&sale)?.limits().per_ip
    }

    /// What a request proves.
    pub(crate) fn check(&self, exchange: &Exchange) -> Result<Pass, Refused> {
        let bans = self.directory.bans();
        let now = self.clock.now();
        let pass = credentials::check(exchange, &self.keyring, &bans, &self.config, now)?;
        if self.directory.has_moved(&pass.claims) { Err(Refused::Moved) } else { Ok(pass) }
    }

    /// Turns away who waits and carries a banned header; whoever has an outcome may hear it.
    pub(crate) fn bar(&self, pass: &Pass, room: &Room) -> Result<(), Refused> {
        let waits = || self.lookup.waiting(&room.view, &pass.claims, pass.seen).is_some();
        if pass.has_banned_header && waits() { Err(Refused::Banned) } else { Ok(()) }
    }

    /// The room of a sale, if there is such a sale. One this node has not heard of is asked for: only a request that
    /// brings an authentic token gets here.
    pub(crate) async fn room(self: &Arc<Self>, sale: &SaleId) -> PortResult<Option<Arc<Room>>> {
        let view = match self.directory.sale(sale) {
            Some(view) => view,
            None => match self.lookup.ledger.sale(sale).await? {
                Some(sale) => self.directory.learn_sale(sale),
                None => return Ok(None),
            },
        };
        Ok(Some(self.open_room(sale, view)))
    }

    fn open_room(self: &Arc<Self>, sale: &SaleId, view: Arc<SaleView>) -> Arc<Room> {
        let mut rooms = self.rooms.lock().unwrap_or_else(PoisonError::into_inner);
        // A sale that was deleted and made again has another view.
        if let Some(room) = rooms.get(sale).filter(|room| Arc::ptr_eq(&room.view, &view)) {
            return Arc::clone(room);
        }
        let now = self.clock.now();
        let standing = Standing::of(&view.read(), now);
        let room = Arc::new(Room::new(view, &standing, now));
        rooms.insert(sale.clone(), Arc::clone(&room));
        let (service, told) = (Arc::clone(self), Arc::clone(&room));
        self.tasks.spawn(async move {
            tokio::select! {
                () = service.stop.cancelled() => {}
                _gone = told.tell(standing, &service.config, &*service.clock, || {
                    service.hub.look_at_room(&told);
                }) => service.close_room(&told),
            }
        });
        room
    }

    /// Connections by sale.
    pub(crate) fn connected(&self) -> HashMap<SaleId, u64> {
        let rooms = self.rooms.lock().unwrap_or_else(PoisonError::into_inner);
        rooms.iter().map(|(sale, room)| (sale.clone(), room.connections())).collect()
    }

    fn close_room(&self, room: &Arc<Room>) {
        let mut rooms = self.rooms.lock().unwrap_or_else(PoisonError::into_inner);
        rooms.retain(|_, known| !Arc::ptr_eq(known, room));
        drop(rooms);
        self.hub.end_room(room);
    }

    /// Gives a connection its place in the hub. Its first frame is offered at once, or asked for.
    pub(crate) fn seat(self: &Arc<Self>, pass: Pass, room: Arc<Room>) -> Result<Seat, TooMany> {
        let entry = pass.claims.entry;
        let now = self.clock.now();
        let watcher = Arc::new(Watcher::new(
            pass.proof,
            pass.claims.held_since,
            self.config.entry_frames_max,
            now,
        ));
        let line = room.listen(entry);
        let asked = Asked { claims: pass.claims, seen: pass.seen, room: Arc::clone(&room) };
        self.hub.enter(asked, &watcher)?;
        room.entered();
        if self.draining.load(Ordering::SeqCst) {
            // It came while the others were told to go.
            watcher.end(self.bye());
        }
        Ok(Seat { service: Arc::clone(self), room, entry, watcher, line })
    }

    /// A goodbye with a time of its own to come back.
    pub(crate) fn bye(&self) -> Close {
        let spread = millis(self.config.bye_spread_ms);
        let spread_ms = u64::try_from(spread.as_millis()).unwrap_or(u64::MAX);
        Close::Drain { reconnect_after: Duration::from_millis(self.random.below(spread_ms)) }
    }

    /// How long the first frame may take to come.
    pub(crate) fn first_frame_timeout(&self) -> Duration {
        2 * millis(self.config.lookup_timeout_ms)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.service.hub.leave(self.entry, &self.watcher);
        self.room.left();
    }
}

/// Counts a connection's end.
pub(crate) fn ended(close: Close) {
    metrics::closed(close.label());
}
