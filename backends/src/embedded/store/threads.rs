//! The threads of the store: one that writes, a few that read. They end when the store is closed, halted or has failed.

use std::{
    io,
    path::PathBuf,
    sync::{Arc, Mutex, atomic::Ordering},
    thread::{Builder, JoinHandle},
    time::Duration,
};

use rusqlite::Connection;
use tokio::sync::mpsc;

use super::{Engine, Order, Read, Shared, Store, group};
use crate::{
    embedded::sync::locked,
    metrics::{self, Up},
};

/// How often the writer lets others go first before it begins a group.
const YIELDS_MAX: usize = 3;

/// How much may wait, and for how long.
#[derive(Clone, Copy, Debug)]
pub(in crate::embedded) struct Limits {
    pub(in crate::embedded) jobs_max: usize,
    pub(in crate::embedded) reads_max: usize,
    pub(in crate::embedded) group_jobs_max: usize,
    pub(in crate::embedded) answer_timeout: Duration,
}

/// The threads of a store. They end after [`Store::close`] or [`Store::halt`].
#[derive(Debug)]
pub(in crate::embedded) struct Threads(Vec<JoinHandle<()>>);

impl Threads {
    /// Starts the threads. The first connection writes, the others read.
    pub(in crate::embedded) fn start(
        file: PathBuf,
        writer: Connection,
        readers: Vec<Connection>,
        limits: Limits,
    ) -> io::Result<(Store, Self)> {
        let (orders, taken) = mpsc::channel(limits.jobs_max.max(1));
        let (reads, asked) = mpsc::channel(limits.reads_max.max(1));
        let shared = Arc::new(Shared::new(file));
        let store = Store {
            engine: Engine::Threads { orders, reads, readers: readers.len() },
            shared: Arc::clone(&shared),
            answer_timeout: limits.answer_timeout,
        };
        let mut threads = Vec::with_capacity(readers.len() + 1);
        let asked = Arc::new(Mutex::new(asked));
        for connection in readers {
            let (asked, shared) = (Arc::clone(&asked), Arc::clone(&shared));
            let reader = Builder::new().name("sluice-reader".into());
            threads.push(reader.spawn(move || read(&connection, &asked, &shared))?);
        }
        let most = limits.group_jobs_max.max(1);
        let work = move || {
            let ended = Ended(Arc::clone(&shared));
            write(&writer, taken, &shared, most);
            drop(ended);
        };
        threads.push(Builder::new().name("sluice-writer".into()).spawn(work)?);
        metrics::set_up(Up::Yes);
        Ok((store, Self(threads)))
    }

    /// Waits until every thread has ended: the file is closed then.
    pub(in crate::embedded) fn join(self) {
        for thread in self.0 {
            // A thread that panicked has said so, and has ended as well.
            let _ = thread.join();
        }
    }
}

/// Tells that the writer has ended, even if it panicked.
struct Ended(Arc<Shared>);

impl Drop for Ended {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.fail(rusqlite::Error::UnwindingPanic);
        }
        self.0.end();
    }
}

fn write(
    connection: &Connection,
    mut orders: mpsc::Receiver<Order>,
    shared: &Shared,
    group_jobs_max: usize,
) {
    let mut taken = Vec::with_capacity(group_jobs_max);
    while orders.blocking_recv_many(&mut taken, group_jobs_max) > 0 {
        gather(&mut orders, &mut taken, group_jobs_max);
        if shared.halted.load(Ordering::Acquire) {
            return;
        }
        let mut group = Vec::with_capacity(taken.len());
        for order in taken.drain(..) {
            match order {
                Order::Job(job) => group.push(job),
                // Takes nothing new; what is in the channel is still worked off.
                Order::Close => orders.close(),
            }
        }
        if group.is_empty() {
            continue;
        }
        if let Err(error) = group::commit(connection, group) {
            shared.fail(error);
            return;
        }
    }
    group::checkpoint(connection);
}

/// Lets those run who are about to ask, so that they share the commit: on a busy machine the writer is woken before them.
/// Where nobody else wants the processor this waits for nothing.
fn gather(orders: &mut mpsc::Receiver<Order>, taken: &mut Vec<Order>, group_jobs_max: usize) {
    for _ in 0..YIELDS_MAX {
        let before = taken.len();
        std::thread::yield_now();
        while taken.len() < group_jobs_max
            && let Ok(order) = orders.try_recv()
        {
            taken.push(order);
        }
        if taken.len() == before {
            return;
        }
    }
}

fn read(connection: &Connection, asked: &Mutex<mpsc::Receiver<Option<Read>>>, shared: &Shared) {
    loop {
        // Whoever holds the lock waits for the next read; the others wait for the lock.
        let next = locked(asked).blocking_recv();
        let Some(Some(read)) = next else { return };
        if shared.halted.load(Ordering::Acquire) {
            return;
        }
        read(connection);
    }
}
