//! One connection as the hub sees it: a small inbox that the hub fills and the connection's task empties.
//!
//! The inbox never grows: `entry` frames beyond the limit push the oldest out (every frame is a whole snapshot, so the
//! newest state wins), everything else is a flag.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use sluice_core::{
    clock::UnixMillis,
    ids::Version,
    token::{TOKEN_LIFE, Verified},
    view::object::EntryObject,
};
use tokio::{sync::Notify, time::Instant};

use crate::close::Close;

/// How the buyer proved the place when the connection was opened, and how alive it is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Proof {
    /// By the queue token: it is renewed over this connection.
    Token { expires_at: UnixMillis },
    /// By a ticket, which opens the push stream and nothing else: no token is ever given for it. It knows the end of the
    /// token it was made with.
    Ticket { token_expires_at: UnixMillis },
}

/// An `entry` frame that waits to be written.
#[derive(Debug)]
pub(crate) struct Mail {
    object: Arc<EntryObject>,
    token: Option<String>,
    /// End of the newest token this connection was given, or came with.
    token_expires_at: UnixMillis,
}

impl Mail {
    pub(crate) fn version(&self) -> Version {
        self.object.version
    }

    /// The text of the frame.
    pub(crate) fn encode(self) -> String {
        let mut object = Arc::unwrap_or_clone(self.object);
        object.token = self.token;
        object.token_expires_at = self.token_expires_at;
        crate::frame::entry(&object)
    }
}

/// What a connection's task takes out of its inbox at once.
#[derive(Debug, Default)]
pub(crate) struct Taken {
    pub(crate) mail: VecDeque<Mail>,
    pub(crate) ping: bool,
    /// The connection ends, after the mail.
    pub(crate) end: Option<Close>,
}

/// One connection.
#[derive(Debug)]
pub(crate) struct Watcher {
    /// Since when whoever opened it has held the place.
    held_since: UnixMillis,
    inbox: Mutex<Inbox>,
    wake: Notify,
    /// When the client was last heard, in milliseconds since `opened`.
    heard_ms: AtomicU64,
    opened: Instant,
}

#[derive(Debug)]
struct Inbox {
    taken: Taken,
    frames_max: usize,
    /// The highest version put into this inbox; 0 before the first.
    offered: Version,
    proof: Proof,
    /// When the line was last told that somebody holds this place.
    seen_at: UnixMillis,
    /// The next `entry` frame carries a fresh token, whatever its version.
    token_wanted: bool,
}

/// What a sweep found to do for a connection.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Chores {
    /// A frame with a fresh token is due.
    pub(crate) token: bool,
    /// The line should be told that somebody holds the place.
    pub(crate) presence: bool,
}

impl Watcher {
    /// A connection that was opened with these claims at `now`.
    pub(crate) fn new(
        proof: Proof,
        held_since: UnixMillis,
        frames_max: usize,
        now: UnixMillis,
    ) -> Self {
        let (seen_at, token_wanted) = match proof {
            // Whoever was given this token was seen then.
            Proof::Token { expires_at } => (expires_at.minus(TOKEN_LIFE), is_due(expires_at, now)),
            Proof::Ticket { .. } => (UnixMillis::default(), false),
        };
        let inbox = Inbox {
            taken: Taken::default(),
            frames_max: frames_max.max(1),
            offered: Version(0),
            proof,
            seen_at,
            token_wanted,
        };
        Self {
            held_since,
            inbox: Mutex::new(inbox),
            wake: Notify::new(),
            heard_ms: AtomicU64::new(0),
            opened: Instant::now(),
        }
    }

    pub(crate) fn held_since(&self) -> UnixMillis {
        self.held_since
    }

    /// Puts an `entry` frame into the inbox, if it says something new or a token is wanted. `sign` makes the token.
    pub(crate) fn offer(
        &self,
        object: &Arc<EntryObject>,
        now: UnixMillis,
        sign: impl FnOnce(UnixMillis) -> String,
    ) {
        let mut inbox = self.inbox();
        let news = object.version > inbox.offered;
        let renews = inbox.token_wanted && object.version == inbox.offered;
        if !news && !renews {
            return;
        }
        inbox.offered = object.version;
        let mut token = None;
        if inbox.token_wanted {
            inbox.token_wanted = false;
            let expires_at = now.plus(TOKEN_LIFE);
            inbox.proof = Proof::Token { expires_at };
            token = Some(sign(expires_at));
        }
        let (Proof::Token { expires_at: token_expires_at } | Proof::Ticket { token_expires_at }) =
            inbox.proof;
        if inbox.taken.mail.len() >= inbox.frames_max {
            // A token must not be lost with the frame that carried it.
            let oldest = inbox.taken.mail.pop_front();
            token = token.or(oldest.and_then(|mail| mail.token));
        }
        inbox.taken.mail.push_back(Mail { object: Arc::clone(object), token, token_expires_at });
        drop(inbox);
        self.wake.notify_one();
    }

    /// Ends the connection once its mail is written. The first reason stays.
    pub(crate) fn end(&self, close: Close) {
        self.inbox().taken.end.get_or_insert(close);
        self.wake.notify_one();
    }

    /// A client that cannot speak (Server-Sent Events) is never pinged.
    pub(crate) fn is_mute(&self) {
        self.heard_ms.store(u64::MAX, Ordering::Relaxed);
    }

    /// Notes that the client sent something.
    pub(crate) fn heard(&self) {
        let ms = u64::try_from(self.opened.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.heard_ms.store(ms, Ordering::Relaxed);
    }

    /// Asks the task to ping a client that was not heard for `ping_after`; ends one that did not answer for
    /// `ping_timeout` more.
    pub(crate) fn sweep_silence(&self, ping_after: Duration, ping_timeout: Duration) {
        let heard = Duration::from_millis(self.heard_ms.load(Ordering::Relaxed));
        let silent = self.opened.elapsed().saturating_sub(heard);
        if silent >= ping_after + ping_timeout {
            self.end(Close::Gone);
        } else if silent >= ping_after {
            self.inbox().taken.ping = true;
            self.wake.notify_one();
        }
    }

    /// What is due for a connection at `now`. `presence_every` is how often the line wants to hear of it.
    pub(crate) fn chores(&self, now: UnixMillis, presence_every: Duration) -> Chores {
        let mut inbox = self.inbox();
        if inbox.taken.end.is_some() {
            return Chores::default();
        }
        if let Proof::Token { expires_at } = inbox.proof
            && is_due(expires_at, now)
        {
            inbox.token_wanted = true;
        }
        Chores {
            token: inbox.token_wanted,
            presence: inbox.token_wanted || now.since(inbox.seen_at) >= presence_every,
        }
    }

    /// The line will be told that the place was held at `now`.
    pub(crate) fn presence_told(&self, now: UnixMillis) {
        self.inbox().seen_at = now;
    }

    /// Waits until there is something to take. Cancel-safe.
    pub(crate) async fn wait(&self) {
        self.wake.notified().await;
    }

    /// Waits for the first frame, or the end before it.
    pub(crate) async fn wait_first(&self) {
        loop {
            self.wait().await;
            let inbox = self.inbox();
            if !inbox.taken.mail.is_empty() || inbox.taken.end.is_some() {
                return;
            }
        }
    }

    /// Empties the inbox.
    pub(crate) fn take(&self) -> Taken {
        let mut inbox = self.inbox();
        let end = inbox.taken.end;
        let taken = std::mem::take(&mut inbox.taken);
        inbox.taken.end = end;
        taken
    }

    fn inbox(&self) -> MutexGuard<'_, Inbox> {
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Proof {
    /// How a verified token counts.
    pub(crate) fn of_token(verified: &Verified) -> Self {
        Self::Token { expires_at: verified.claims().expires_at }
    }

    /// How a verified ticket counts.
    pub(crate) fn of_ticket(verified: &Verified) -> Self {
        Self::Ticket { token_expires_at: verified.claims().expires_at }
    }
}

/// A token is renewed when a third of its life is left.
fn is_due(expires_at: UnixMillis, now: UnixMillis) -> bool {
    expires_at.since(now) <= TOKEN_LIFE / 3
}

#[cfg(test)]
mod tests;
