//! Port: dead letters. What could not be worked lies here until an operator looks at it: turns and callbacks whose tries are
//! exhausted, and strangers' messages.
//!
//! Looking loses nothing and changes nothing. A letter is known by an id that it keeps for as long as it lies here.

use std::fmt::Debug;

use async_trait::async_trait;

use super::{PaymentUpdate, PortResult};
use crate::{clock::UnixMillis, event::Turn, ids::LetterId};

/// Most characters of a stranger's message that are shown.
pub const FOREIGN_CHARS_MAX: usize = 2_000;

/// The queue a letter was taken from.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum LetterSource {
    Turns,
    Callbacks,
    /// The queue of a sale's joined entries: only what is none is buried from there.
    Waiting,
    /// Nobody wrote it down, or it is none of ours: such a letter cannot be replayed.
    Unknown,
}

impl LetterSource {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Turns => "turns",
            Self::Callbacks => "callbacks",
            Self::Waiting => "waiting",
            Self::Unknown => "unknown",
        }
    }
}

/// What a letter says.
#[derive(Clone, Debug, PartialEq)]
pub enum LetterContent {
    Turn(Turn),
    Callback(PaymentUpdate),
    /// Not a message of ours, or a damaged one: its size, and its beginning as far as it is text.
    Foreign {
        bytes: u64,
        text: String,
    },
}

/// A buried message.
#[derive(Clone, Debug, PartialEq)]
pub struct DeadLetter {
    pub id: LetterId,
    pub source: LetterSource,
    /// Why it was buried.
    pub reason: String,
    /// How often it was retried before.
    pub tries: u32,
    /// Since when it has been failing, to the second at least; `None` where nobody wrote it down.
    pub since: Option<UnixMillis>,
    pub content: LetterContent,
}

/// From which end letters are listed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum LetterOrder {
    /// Last buried, first listed.
    Newest,
    Oldest,
}

/// Some of the letters.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LetterPage {
    pub letters: Vec<DeadLetter>,
    /// Whether more come after the last of these.
    pub more: bool,
}

/// What became of a replay.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum LetterReplay {
    /// It is back in the queue it came from, without its tries.
    Replayed,
    /// It was replayed or removed before, or never was.
    NoSuchLetter,
    /// There is no queue it could go back to. It stays.
    NoSource,
}

/// See the module.
#[async_trait]
pub trait DeadLetters: Debug + Send + Sync {
    /// At most `limit` letters that come after `after` in this order; from the first if `None`, or if that one is gone.
    /// A backend may look no further than the 5,000 oldest: those behind them come into sight as these are dealt with.
    async fn list(
        &self,
        order: LetterOrder,
        after: Option<&LetterId>,
        limit: usize,
    ) -> PortResult<LetterPage>;

    async fn letter(&self, id: &LetterId) -> PortResult<Option<DeadLetter>>;

    /// Puts a letter back into the queue it came from, as if it were new. Durable when it returns. A repeat finds no such
    /// letter; a crash in between may deliver twice what is made once by its entry or payment.
    async fn replay(&self, id: &LetterId) -> PortResult<LetterReplay>;

    /// Removes a letter for good; `false` if there is none.
    async fn remove(&self, id: &LetterId) -> PortResult<bool>;
}
