//! Takes the turns off the queue as an order backend does, and counts them.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, MutexGuard},
};

use sluice_backends::{
    clock::SystemClock,
    rabbitmq::{self, Rabbitmq, RabbitmqOptions},
};
use sluice_core::{
    event::Turn,
    ids::{EntryId, Epoch},
    ports::TurnIntake,
};
use tokio::task::JoinSet;

const PREFETCH: usize = 1_024;

/// What came so far.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Heard {
    /// Distinct entries that were called.
    pub(crate) entries: u32,
    /// Turns of an earlier epoch than one that had come before.
    pub(crate) stale: u32,
}

#[derive(Default)]
struct Books {
    heard: Heard,
    entries: HashSet<EntryId>,
    epoch: Epoch,
}

/// See the module.
pub(crate) struct Shop {
    books: Arc<Mutex<Books>>,
    _tasks: JoinSet<()>,
    _rabbitmq: Rabbitmq,
}

impl Shop {
    pub(crate) async fn open(url: &str) -> Self {
        let rabbitmq = connect(url).await;
        let intake = rabbitmq.turns().consume(PREFETCH).await.unwrap();
        let books = Arc::<Mutex<Books>>::default();
        let mut tasks = JoinSet::new();
        tasks.spawn(take(intake, Arc::clone(&books)));
        Self { books, _tasks: tasks, _rabbitmq: rabbitmq }
    }

    pub(crate) fn heard(&self) -> Heard {
        locked(&self.books).heard
    }
}

pub(crate) async fn connect(url: &str) -> Rabbitmq {
    let options = RabbitmqOptions { urls: vec![url.to_owned()], ..RabbitmqOptions::default() };
    rabbitmq::open(options, Arc::new(SystemClock)).await.unwrap()
}

async fn take(mut intake: TurnIntake, books: Arc<Mutex<Books>>) {
    loop {
        let deliveries = intake.deliveries.next(PREFETCH).await.unwrap();
        for delivery in &deliveries {
            locked(&books).note(&delivery.turn);
        }
        let tags: Vec<u64> = deliveries.iter().map(|delivery| delivery.tag).collect();
        intake.outlet.ack(&tags).await.unwrap();
    }
}

impl Books {
    fn note(&mut self, turn: &Turn) {
        self.heard.entries += u32::from(self.entries.insert(turn.line_entry.entry));
        self.heard.stale += u32::from(turn.epoch < self.epoch);
        self.epoch = self.epoch.max(turn.epoch);
    }
}

fn locked(books: &Mutex<Books>) -> MutexGuard<'_, Books> {
    books.lock().unwrap()
}
