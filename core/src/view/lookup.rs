//! Where an entry stands: from memory while it waits, from the line and the ledger once the cursor has passed it.

use std::sync::Arc;

use super::{
    SaleView,
    object::{EntryObject, PublicUrls},
};
use crate::{
    clock::Clock,
    ids::Seq,
    line::Cursor,
    ports::{EntryRecord, Ledger, Line, Place, PlaceState, PortError, PortResult},
    token::Claims,
};

/// Answers for one entry at a time.
#[derive(Clone, Debug)]
pub struct Lookup {
    pub line: Arc<dyn Line>,
    pub ledger: Arc<dyn Ledger>,
    pub clock: Arc<dyn Clock>,
    pub urls: Arc<PublicUrls>,
}

/// What the line says of one entry.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum LineSays {
    State(PlaceState),
    /// It does not know the entry.
    Unknown,
    /// It is cold or away.
    Nothing,
}

impl LineSays {
    /// What an answer of [`Line::find`] says of the `n`-th entry it was asked about.
    #[must_use]
    pub fn of(answer: &PortResult<Vec<Option<Place>>>, n: usize) -> Self {
        match answer.as_ref().ok().and_then(|places| places.get(n)) {
            Some(Some(place)) => Self::State(place.state),
            Some(None) => Self::Unknown,
            None => Self::Nothing,
        }
    }
}

/// Why a lookup fails though every store answered.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error(
    "the line has forgotten an entry that the cursor has passed, and the ledger has no outcome of it"
)]
struct NobodyKnows;

impl Lookup {
    /// The object of an entry the cursor has not reached: no store is asked. `None` once it was passed.
    #[must_use]
    pub fn waiting(
        &self,
        view: &SaleView,
        claims: &Claims,
        seen: Option<Seq>,
    ) -> Option<EntryObject> {
        let reading = view.read();
        let passed = reading.cursor().serving.max(seen.unwrap_or_default());
        (claims.seq > passed)
            .then(|| EntryObject::waiting(&reading, claims, seen, self.clock.now(), &self.urls))
    }

    /// The object of any entry. Fails where nobody can say.
    pub async fn entry(
        &self,
        view: &SaleView,
        claims: &Claims,
        seen: Option<Seq>,
    ) -> PortResult<EntryObject> {
        match self.waiting(view, claims, seen) {
            Some(object) => Ok(object),
            None => self.passed(view, claims, seen).await,
        }
    }

    /// The object of an entry that the cursor has passed, or of which more was heard than that. Fails where nobody can say.
    pub async fn passed(
        &self,
        view: &SaleView,
        claims: &Claims,
        seen: Option<Seq>,
    ) -> PortResult<EntryObject> {
        // First the line, then the ledger, which has every outcome that the line has heard of.
        let found = self.line.find(&claims.sale, &[claims.entry]).await;
        let says = LineSays::of(&found, 0);
        let in_line = matches!(
            says,
            LineSays::State(PlaceState::Waiting | PlaceState::Called | PlaceState::Standby)
        );
        if !in_line && let Some(record) = self.record(claims).await? {
            return Ok(EntryObject::settled(&view.read(), claims, &record, &self.urls));
        }
        if let Some(object) = self.unsettled(view, claims, seen, says) {
            return Ok(object);
        }
        if self.stands(claims).await? {
            return Ok(EntryObject::standby(&view.read(), claims, self.clock.now(), &self.urls));
        }
        Err(found.err().unwrap_or_else(|| PortError::unavailable(NobodyKnows)))
    }

    /// Whether the ledger has it that an entry stands by.
    pub async fn stands(&self, claims: &Claims) -> PortResult<bool> {
        Ok(self.ledger.stand(&[claims.entry]).await?.pop().unwrap_or_default())
    }

    /// The object of an entry that has no outcome in the ledger; `None` where nobody can say.
    #[must_use]
    pub fn unsettled(
        &self,
        view: &SaleView,
        claims: &Claims,
        seen: Option<Seq>,
        says: LineSays,
    ) -> Option<EntryObject> {
        let reading = view.read();
        match standing(says, claims.seq, seen, reading.cursor())? {
            Standing::Called => Some(EntryObject::called(&reading, claims, &self.urls)),
            Standing::Standby => {
                Some(EntryObject::standby(&reading, claims, self.clock.now(), &self.urls))
            }
            Standing::Waiting => {
                let now = self.clock.now();
                Some(EntryObject::waiting(&reading, claims, seen, now, &self.urls))
            }
        }
    }

    /// The ledger's record of an entry, if it has an outcome.
    pub async fn record(&self, claims: &Claims) -> PortResult<Option<EntryRecord>> {
        Ok(self.ledger.entries(&[claims.entry]).await?.pop().flatten())
    }
}

/// What may be shown of an entry without an outcome.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Standing {
    Waiting,
    Called,
    Standby,
}

/// Where an entry stands that has no outcome in the ledger, by what the line says.
///
/// One that the cursor has not reached waits. One that it has passed was called, or is parked, or came late: it may have
/// been shown as `called`, and must never be shown as waiting after that. So it waits only if the line says so. A line
/// that is cold or away says nothing. One that does not know the entry has forgotten what became of it, unless its number
/// lies in a hole: then the line forgot that it ever gave the number out, which the cursor had not reached by then, and
/// would know of a call since. `None` where nobody can say: an error must not become a guess.
fn standing(says: LineSays, seq: Seq, seen: Option<Seq>, cursor: &Cursor) -> Option<Standing> {
    let passed = seq <= cursor.serving.max(seen.unwrap_or_default());
    let waits = match says {
        LineSays::State(PlaceState::Called) => return Some(Standing::Called),
        LineSays::State(PlaceState::Standby) => return Some(Standing::Standby),
        LineSays::State(PlaceState::Waiting) => true,
        LineSays::State(PlaceState::Settled(_)) | LineSays::Nothing => !passed,
        LineSays::Unknown => !passed || cursor.holes.end_of(seq).is_some(),
    };
    waits.then_some(Standing::Waiting)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{entry::Outcome, line::Hole, ports::Settlement};

    const SETTLED: LineSays =
        LineSays::State(PlaceState::Settled(Settlement { outcome: Outcome::Reserved, live: true }));

    fn cursor() -> Cursor {
        let mut cursor = Cursor { serving: Seq(100), ..Cursor::default() };
        cursor.holes.push(Hole { from: Seq(51), to: Seq(100) });
        cursor
    }

    /// never-backwards: it may have been shown as called.
    #[test]
    fn who_was_passed_is_not_guessed_to_wait() {
        for says in [LineSays::Nothing, LineSays::Unknown, SETTLED] {
            assert_eq!(standing(says, Seq(50), None, &cursor()), None, "{says:?}");
            let seen = Some(Seq(110));
            assert_eq!(standing(says, Seq(110), seen, &cursor()), None, "another node passed it");
        }
        for says in [LineSays::Nothing, SETTLED] {
            assert_eq!(standing(says, Seq(60), None, &cursor()), None, "{says:?} of a hole");
        }
    }

    #[test]
    fn who_waits_by_the_line_or_by_number_waits() {
        let waits = Some(Standing::Waiting);
        for says in [LineSays::Nothing, LineSays::Unknown, SETTLED] {
            assert_eq!(standing(says, Seq(101), Some(Seq(100)), &cursor()), waits, "{says:?}");
        }
        let says = LineSays::State(PlaceState::Waiting);
        assert_eq!(standing(says, Seq(50), None, &cursor()), waits, "parked");
        assert_eq!(standing(LineSays::Unknown, Seq(60), None, &cursor()), waits, "in a hole");
    }

    #[test]
    fn the_line_knows_whom_it_called() {
        let says = LineSays::State(PlaceState::Called);
        for seq in [50, 60, 101] {
            assert_eq!(standing(says, Seq(seq), None, &cursor()), Some(Standing::Called));
        }
    }
}
