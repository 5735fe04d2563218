//! Dead letters: the turns in the journal that were buried. A letter is a row, and its number is its id.

use std::sync::{Arc, atomic::Ordering};

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension, Row, params};
use sluice_core::{
    event::Turn,
    ids::LetterId,
    ports::{
        DeadLetter, DeadLetters, LetterContent, LetterOrder, LetterPage, LetterReplay,
        LetterSource, PortError, PortResult,
    },
};

use super::{Lies, Turns};
use crate::embedded::{
    codec::{Baskets, int, small, time, turn, whole},
    sync::locked,
};

/// The port over the shared queue.
#[derive(Debug)]
pub(in crate::embedded) struct LetterPort(pub(in crate::embedded) Arc<Turns>);

/// A letter from the columns of `turns/letters_…`.
fn letter(row: &Row<'_>, baskets: &mut Baskets) -> rusqlite::Result<DeadLetter> {
    Ok(DeadLetter {
        id: LetterId::of_row(whole(row, 0)?),
        source: LetterSource::Turns,
        reason: row.get::<_, Option<String>>(14)?.unwrap_or_default(),
        tries: small(row, 12)?,
        since: Some(time(row, 13)?),
        content: LetterContent::Turn(turn(row, 1, baskets)?),
    })
}

fn page(
    connection: &Connection,
    order: LetterOrder,
    after: Option<u64>,
    limit: usize,
) -> rusqlite::Result<LetterPage> {
    let after = match after {
        Some(id) if find(connection, id)?.is_some() => Some(int(id)),
        Some(_) | None => None,
    };
    let (statement, first) = match order {
        LetterOrder::Oldest => (sql!("turns/letters_oldest"), after.unwrap_or(i64::MIN)),
        LetterOrder::Newest => (sql!("turns/letters_newest"), after.unwrap_or(i64::MAX)),
    };
    let asked = i64::try_from(limit.saturating_add(1)).unwrap_or(i64::MAX);
    let mut baskets = Baskets::default();
    let mut statement = connection.prepare_cached(statement)?;
    let rows = statement.query_map(params![first, asked], |row| letter(row, &mut baskets))?;
    let mut letters = rows.collect::<rusqlite::Result<Vec<_>>>()?;
    let more = letters.len() > limit;
    letters.truncate(limit);
    Ok(LetterPage { letters, more })
}

fn find(connection: &Connection, id: u64) -> rusqlite::Result<Option<DeadLetter>> {
    let mut baskets = Baskets::default();
    let mut statement = connection.prepare_cached(sql!("turns/letter"))?;
    statement.query_row([int(id)], |row| letter(row, &mut baskets)).optional()
}

/// What a replay did in the file.
enum Revived {
    Turn(Box<Turn>),
    NoSuchLetter,
    Full,
}

#[async_trait]
impl DeadLetters for LetterPort {
    async fn list(
        &self,
        order: LetterOrder,
        after: Option<&LetterId>,
        limit: usize,
    ) -> PortResult<LetterPage> {
        let after = after.and_then(LetterId::row);
        let work = move |connection: &Connection| page(connection, order, after, limit);
        self.0.store.read("turns.letters", work).await
    }

    async fn letter(&self, id: &LetterId) -> PortResult<Option<DeadLetter>> {
        let Some(id) = id.row() else { return Ok(None) };
        self.0.store.read("turns.letter", move |connection| find(connection, id)).await
    }

    async fn replay(&self, id: &LetterId) -> PortResult<LetterReplay> {
        let Some(id) = id.row() else { return Ok(LetterReplay::NoSuchLetter) };
        let (counted, queue) = (Arc::clone(&self.0), Arc::clone(&self.0));
        let work = move |connection: &Connection| {
            let Some(DeadLetter { content: LetterContent::Turn(turn), .. }) = find(connection, id)?
            else {
                return Ok(Revived::NoSuchLetter);
            };
            if counted.stored.load(Ordering::Acquire) >= counted.turns_max {
                return Ok(Revived::Full);
            }
            connection.prepare_cached(sql!("turns/replay"))?.execute([int(id)])?;
            counted.stored.fetch_add(1, Ordering::AcqRel);
            Ok(Revived::Turn(Box::new(turn)))
        };
        let then = move |revived: &Revived| {
            let Revived::Turn(turn) = revived else { return };
            {
                let mut state = locked(&queue.state);
                state.dead = state.dead.saturating_sub(1);
                state.add(id, Turn::clone(turn), 0, Lies::Ready);
            }
            queue.news.notify_waiters();
        };
        match self.0.store.write("turns.replay", work, then).await? {
            Revived::Turn(_) => Ok(LetterReplay::Replayed),
            Revived::NoSuchLetter => Ok(LetterReplay::NoSuchLetter),
            Revived::Full => Err(PortError::Full),
        }
    }

    async fn remove(&self, id: &LetterId) -> PortResult<bool> {
        let Some(id) = id.row() else { return Ok(false) };
        let work = move |connection: &Connection| {
            let removed =
                connection.prepare_cached(sql!("turns/letter_remove"))?.execute([int(id)])?;
            Ok(removed > 0)
        };
        let queue = Arc::clone(&self.0);
        let then = move |removed: &bool| {
            if *removed {
                queue.buried_gone(1);
            }
        };
        self.0.store.write("turns.letter_remove", work, then).await
    }
}
