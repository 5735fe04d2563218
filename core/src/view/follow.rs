//! Keeps a [`Directory`] fresh: from the bulletin while it speaks, from the stores when it is silent or lost something.

use std::{sync::Arc, time::Duration};

use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep};
use tokio_util::sync::CancellationToken;

use super::{Directory, SILENCE_MAX, moves};
use crate::{
    clock::UnixMillis,
    ports::{Bulletin, Heard, Ledger, Line, Notice, PortError, PortResult},
};

/// How often silence is looked for.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long to wait before a broken subscription is tried again.
const RESUBSCRIBE_AFTER: Duration = Duration::from_millis(200);
/// How often the ledger is asked for moves that the bulletin may have lost.
const MOVES_EVERY: Duration = Duration::from_secs(5);
/// Moves may be committed in another order than their times say: so much of what is known is read again.
const MOVES_OVERLAP_MS: i64 = 60_000;
/// Most that are read at once; of more, the newest: as many as are remembered.
const MOVES_MAX: u32 = moves::PLACES_MAX;

/// What is followed.
#[derive(Clone, Debug)]
pub struct Sources {
    pub bulletin: Arc<dyn Bulletin>,
    pub ledger: Arc<dyn Ledger>,
    pub line: Arc<dyn Line>,
}

/// Reads everything once: what a role does before it is ready.
pub async fn pull(directory: &Directory, sources: &Sources) -> PortResult<()> {
    // Before the ledger is asked: a sale that is made and heard of meanwhile is not in its answer.
    let known = directory.sales();
    let sales = sources.ledger.sales().await?;
    let bans = sources.ledger.bans().await?;
    for view in known {
        if !sales.iter().any(|sale| sale.id == view.sale().id) {
            directory.forget(&view.sale().id);
        }
    }
    for sale in sales {
        let view = directory.learn_sale(sale);
        if view.silent_for().is_none() {
            view.learn_start(sources.ledger.cursor(&view.sale().id).await?);
        }
    }
    directory.learn_bans(bans);
    Ok(())
}

/// Follows until `shutdown`. A store that is away is waited for; the directory stays as it was.
pub async fn follow(directory: Arc<Directory>, sources: Sources, shutdown: CancellationToken) {
    tokio::join!(
        follow_bulletin(&directory, &sources, &shutdown),
        follow_moves(&directory, &*sources.ledger, &shutdown),
    );
}

async fn follow_bulletin(directory: &Directory, sources: &Sources, shutdown: &CancellationToken) {
    while !shutdown.is_cancelled() {
        let ended = tokio::select! {
            biased;
            () = shutdown.cancelled() => return,
            ended = listen(directory, sources) => ended,
        };
        if let Err(error) = ended {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "the bulletin is away; trying again"
            );
        }
        tokio::select! {
            biased;
            () = shutdown.cancelled() => return,
            () = sleep(RESUBSCRIBE_AFTER) => {}
        }
    }
}

/// Apart from the bulletin: a ledger that is away must not keep a node from hearing how lines stand.
async fn follow_moves(directory: &Directory, ledger: &dyn Ledger, shutdown: &CancellationToken) {
    loop {
        let heal = async {
            heal_moves(directory, ledger).await;
            sleep(MOVES_EVERY).await;
        };
        tokio::select! {
            biased;
            () = shutdown.cancelled() => return,
            () = heal => {}
        }
    }
}

/// Reads what was moved lately. What cannot be read now is read the next time.
async fn heal_moves(directory: &Directory, ledger: &dyn Ledger) {
    let newest = directory.moves.newest();
    let after = UnixMillis(newest.0.saturating_sub(MOVES_OVERLAP_MS));
    if let Ok(moved) = ledger.moves(after, MOVES_MAX).await {
        // The oldest first: they are the first to be forgotten.
        moved.into_iter().rev().for_each(|told| directory.learn_move(told));
    }
}

async fn listen(directory: &Directory, sources: &Sources) -> Result<(), PortError> {
    let mut subscription = sources.bulletin.subscribe().await?;
    pull(directory, sources).await?;
    let mut look = interval_at(Instant::now() + LOOK_EVERY, LOOK_EVERY);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            _ = look.tick() => break_silence(directory, sources).await,
            heard = subscription.next() => take(directory, sources, heard?).await?,
        }
    }
}

async fn take(directory: &Directory, sources: &Sources, heard: Heard) -> PortResult<()> {
    let Heard::Notice(notice) = heard else { return pull(directory, sources).await };
    match &*notice {
        Notice::Line(report) => {
            let known = directory.learn_line(report.clone());
            let behind = known.is_none_or(|view| view.sale().version < report.sale_version);
            if behind && let Some(sale) = sources.ledger.sale(&report.sale).await? {
                directory.learn_sale(sale);
            }
        }
        Notice::Sale { sale } => {
            directory.learn_sale(Arc::clone(sale));
        }
        Notice::SaleDeleted { sale } => directory.forget(sale),
        Notice::Bans => directory.learn_bans(sources.ledger.bans().await?),
        Notice::Moved(told) => directory.learn_move(*told),
        Notice::Pushed(report) => directory.learn_pushed(report),
        Notice::Entries { .. } | Notice::StockReturned { .. } => {}
    }
    Ok(())
}

/// Pulls the cursor of every line that was silent too long; what cannot be pulled is served stale.
async fn break_silence(directory: &Directory, sources: &Sources) {
    for view in directory.sales() {
        if view.silent_for().is_some_and(|silence| silence > SILENCE_MAX)
            && let Ok(snapshot) = sources.line.snapshot(&view.sale().id).await
        {
            let waiting = snapshot.cursor.waiting(snapshot.last);
            view.learn_snapshot(snapshot.cursor, waiting);
        }
    }
}
