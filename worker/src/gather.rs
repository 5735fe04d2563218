//! Natural batches: what is asked while two batches are under way makes the next one. Nothing waits for a timer; asked alone, a
//! question is a batch of its own.
//!
//! One that the ledger rejects must not fail the others: a rejected batch is asked again one by one.

use std::sync::Arc;

use sluice_core::{
    ids::OrderId,
    ports::{OrderStep, PaymentStep, PaymentUpdate, PortError, PortResult, StepReply},
};
use tokio::sync::{Mutex, mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use crate::shared::Shared;

/// Most questions of one batch: what the ledger takes in one transaction.
const BATCH_MAX: usize = 256;
/// Most questions that wait for their batch. Whoever comes after them waits for room, under a deadline of their own.
const WAITING_MAX: usize = 2_048;

/// Where questions are handed in.
#[derive(Debug)]
pub(crate) struct Gather<A, R>(mpsc::Sender<Asked<A, R>>);

/// Where they come out, for whoever answers them.
pub(crate) type Gathered<A, R> = mpsc::Receiver<Asked<A, R>>;

/// A question and who waits for its answer.
#[derive(Debug)]
pub(crate) struct Asked<A, R> {
    what: A,
    reply: oneshot::Sender<PortResult<R>>,
}

/// The worker that would answer has ended.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the worker has ended")]
struct Ended;

pub(crate) fn gather<A, R>() -> (Gather<A, R>, Gathered<A, R>) {
    let (sender, receiver) = mpsc::channel(WAITING_MAX);
    (Gather(sender), receiver)
}

impl<A, R> Gather<A, R> {
    /// Asks with the next batch. Whoever stops waiting may have been asked for or not.
    pub(crate) async fn ask(&self, what: A) -> PortResult<R> {
        let (reply, answer) = oneshot::channel();
        let handed = self.0.send(Asked { what, reply }).await;
        handed.map_err(|_| PortError::silent(Ended))?;
        answer.await.map_err(|_| PortError::silent(Ended))?
    }
}

/// The provider's words, until `ended`.
pub(crate) async fn words(
    shared: Arc<Shared>,
    gathered: Gathered<PaymentUpdate, PaymentStep>,
    ended: CancellationToken,
) {
    let once_paid = shared.fulfilment.once_paid();
    let ask = |words| {
        let shared = Arc::clone(&shared);
        async move { shared.once(shared.ports.ledger.apply_payments(words, once_paid)).await }
    };
    answer(gathered, ask, ended).await;
}

/// Steps of orders, until `ended`.
pub(crate) async fn steps(
    shared: Arc<Shared>,
    gathered: Gathered<(OrderId, OrderStep), StepReply>,
    ended: CancellationToken,
) {
    let ask = |steps| {
        let shared = Arc::clone(&shared);
        async move { shared.once(shared.ports.ledger.step_orders(steps)).await }
    };
    answer(gathered, ask, ended).await;
}

/// Two batches at a time: while one waits for the ledger's disk or for the row that all of them write last, the other goes on.
async fn answer<A: Clone, R, F>(
    gathered: Gathered<A, R>,
    ask: impl Fn(Vec<A>) -> F,
    ended: CancellationToken,
) where
    F: Future<Output = PortResult<Vec<R>>>,
{
    let gathered = Mutex::new(gathered);
    let batches = || answer_batches(&gathered, &ask, &ended);
    tokio::join!(batches(), batches());
}

async fn answer_batches<A: Clone, R, F>(
    gathered: &Mutex<Gathered<A, R>>,
    ask: &impl Fn(Vec<A>) -> F,
    ended: &CancellationToken,
) where
    F: Future<Output = PortResult<Vec<R>>>,
{
    let mut batch = Vec::new();
    loop {
        let come = async { gathered.lock().await.recv_many(&mut batch, BATCH_MAX).await };
        let came = tokio::select! {
            biased;
            () = ended.cancelled() => return,
            came = come => came,
        };
        if came == 0 {
            return;
        }
        // Who has given up is not asked for.
        batch.retain(|asked| !asked.reply.is_closed());
        let whats: Vec<A> = batch.iter().map(|asked| asked.what.clone()).collect();
        if whats.is_empty() {
            continue;
        }
        let one = whats.len() == 1;
        match ask(whats).await {
            Ok(replies) => {
                for (asked, reply) in batch.drain(..).zip(replies) {
                    let _ = asked.reply.send(Ok(reply));
                }
            }
            Err(error)
                if one || error.is_silence() || !matches!(error, PortError::Unavailable(_)) =>
            {
                refuse(batch.drain(..), &error);
            }
            Err(_) => one_by_one(&mut batch, ask).await,
        }
    }
}

/// The ledger rejects the whole: each is asked for by itself, until it falls silent.
async fn one_by_one<A: Clone, R, F>(batch: &mut Vec<Asked<A, R>>, ask: &impl Fn(Vec<A>) -> F)
where
    F: Future<Output = PortResult<Vec<R>>>,
{
    let mut rest = batch.drain(..);
    while let Some(asked) = rest.next() {
        let answered = ask(vec![asked.what.clone()]).await;
        let silence = answered.as_ref().err().filter(|error| error.is_silence()).map(copy);
        let answered = answered.and_then(|mut replies| {
            replies.pop().ok_or_else(|| PortError::unavailable("the ledger answered nothing"))
        });
        let _ = asked.reply.send(answered);
        if let Some(silence) = silence {
            refuse(rest, &silence);
            return;
        }
    }
}

fn refuse<A, R>(asked: impl Iterator<Item = Asked<A, R>>, error: &PortError) {
    for asked in asked {
        let _ = asked.reply.send(Err(copy(error)));
    }
}

/// The same error for one more caller; of its causes, what they say.
fn copy(error: &PortError) -> PortError {
    match error {
        PortError::Unavailable(cause) => {
            let mut said = cause.to_string();
            let mut next = cause.source();
            while let Some(deeper) = next {
                said = format!("{said}: {deeper}");
                next = deeper.source();
            }
            if error.is_silence() { PortError::silent(said) } else { PortError::unavailable(said) }
        }
        PortError::Full => PortError::Full,
        PortError::Cold => PortError::Cold,
        PortError::Fenced => PortError::Fenced,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Mutex,
        atomic::{AtomicU32, Ordering::SeqCst},
    };

    use tokio::task::JoinSet;

    use super::*;

    /// Answers a number with its double, but for 13; keeps the sizes of what it was asked.
    async fn run(count: u32) -> (Vec<(u32, PortResult<u32>)>, Vec<usize>) {
        let (gather, gathered) = gather::<u32, u32>();
        let gather = Arc::new(gather);
        let sizes = Mutex::new(Vec::new());
        let ended = CancellationToken::new();
        let asked = &sizes;
        let ask = |numbers: Vec<u32>| async move {
            asked.lock().unwrap().push(numbers.len());
            tokio::task::yield_now().await;
            if numbers.contains(&13) {
                return Err(PortError::unavailable("not thirteen"));
            }
            Ok(numbers.into_iter().map(|number| 2 * number).collect())
        };
        let mut asking = JoinSet::new();
        for number in 0..count {
            let gather = Arc::clone(&gather);
            asking.spawn(async move { (number, gather.ask(number).await) });
        }
        let (answers, ()) = tokio::join!(
            async {
                let answers = asking.join_all().await;
                ended.cancel();
                answers
            },
            answer(gathered, ask, ended.clone())
        );
        (answers, sizes.into_inner().unwrap())
    }

    #[tokio::test]
    async fn what_is_asked_together_is_answered_together() {
        let (answers, sizes) = run(10).await;
        assert!(answers.iter().all(|(number, answer)| *answer.as_ref().unwrap() == 2 * number));
        assert_eq!(sizes.iter().sum::<usize>(), 10);
        assert!(sizes.len() < 10, "one at a time: {sizes:?}");
    }

    #[tokio::test]
    async fn two_batches_are_under_way_at_a_time() {
        let (gather, gathered) = gather::<u32, u32>();
        let (gather, ended) = (Arc::new(gather), CancellationToken::new());
        let (under_way, most) = (AtomicU32::new(0), AtomicU32::new(0));
        let counts = (&under_way, &most);
        let ask = |numbers: Vec<u32>| async move {
            let (under_way, most) = counts;
            most.fetch_max(under_way.fetch_add(1, SeqCst) + 1, SeqCst);
            for _ in 0..10 {
                tokio::task::yield_now().await;
            }
            under_way.fetch_sub(1, SeqCst);
            Ok(numbers)
        };
        let questions = async {
            let mut asking = JoinSet::new();
            for number in 0..4 * BATCH_MAX as u32 {
                let gather = Arc::clone(&gather);
                asking.spawn(async move { assert_eq!(gather.ask(number).await.unwrap(), number) });
            }
            asking.join_all().await;
            ended.cancel();
        };
        tokio::join!(questions, answer(gathered, ask, ended.clone()));
        assert_eq!(most.into_inner(), 2);
    }

    #[tokio::test]
    async fn one_that_is_rejected_takes_no_other_with_it() {
        let (answers, _) = run(30).await;
        for (number, answer) in answers {
            assert_eq!(answer.is_err(), number == 13, "{number}");
        }
    }

    #[tokio::test]
    async fn a_silent_ledger_is_not_asked_for_each() {
        let (gather, gathered) = gather::<u32, u32>();
        let asked = Mutex::new(0);
        let count = &asked;
        let ask = |_| async move {
            *count.lock().unwrap() += 1;
            Err::<Vec<u32>, _>(PortError::silent("away"))
        };
        let ended = CancellationToken::new();
        let questions = async {
            let (a, b, c) = tokio::join!(gather.ask(1), gather.ask(2), gather.ask(3));
            ended.cancel();
            [a, b, c]
        };
        let (answers, ()) = tokio::join!(questions, answer(gathered, ask, ended.clone()));
        assert!(answers.iter().all(|answer| answer.as_ref().is_err_and(PortError::is_silence)));
        assert_eq!(asked.into_inner().unwrap(), 1);
    }
}
