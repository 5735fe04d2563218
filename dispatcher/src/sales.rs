//! Which sales there are, and the drain loop of each: begun when a sale is heard of, ended when it is deleted.

use std::{collections::BTreeMap, sync::Arc};

use sluice_core::{ids::SaleId, sale::Sale};
use tokio::{
    sync::watch,
    task::{Id, JoinError, JoinSet},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use crate::{
    drain_loop::DrainLoop,
    ports::{Feed, Shared},
};

/// See the module.
#[derive(Debug)]
pub(crate) struct Sales {
    shared: Arc<Shared>,
    shutdown: CancellationToken,
    known: BTreeMap<SaleId, Known>,
    loops: JoinSet<()>,
    /// The last time a sale was heard to be deleted: what was read before it may be stale.
    deleted_at: Option<Instant>,
}

#[derive(Debug)]
struct Known {
    sale: watch::Sender<Arc<Sale>>,
    stock_returned: watch::Sender<u64>,
    stop: CancellationToken,
    task: Id,
    learned_at: Instant,
}

impl Sales {
    pub(crate) fn new(shared: Arc<Shared>, shutdown: CancellationToken) -> Self {
        Self { shared, shutdown, known: BTreeMap::new(), loops: JoinSet::new(), deleted_at: None }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    /// A sale was made or changed; an older version changes nothing.
    pub(crate) fn learn(&mut self, sale: Arc<Sale>) {
        if self.shutdown.is_cancelled() {
            return;
        }
        if let Some(known) = self.known.get(&sale.id) {
            known.sale.send_if_modified(|current| {
                let newer = current.version < sale.version;
                if newer {
                    *current = sale;
                }
                newer
            });
            return;
        }
        let id = sale.id.clone();
        let (sale, sale_feed) = watch::channel(sale);
        let (stock_returned, stock_feed) = watch::channel(0);
        let stop = self.shutdown.child_token();
        let feed = Feed { id: id.clone(), sale: sale_feed, stock_returned: stock_feed };
        let drain_loop = DrainLoop::new(Arc::clone(&self.shared), feed, stop.clone());
        let task = self.loops.spawn(drain_loop.run()).id();
        let learned_at = Instant::now();
        self.known.insert(id, Known { sale, stock_returned, stop, task, learned_at });
    }

    /// Everything the ledger has, by a reading that began at `began`. `false` if a deletion was heard of meanwhile: the
    /// reading may be stale and is ignored.
    pub(crate) fn learn_all(&mut self, sales: Vec<Arc<Sale>>, began: Instant) -> bool {
        if self.deleted_at.is_some_and(|deleted| deleted >= began) {
            return false;
        }
        for (id, known) in &self.known {
            let gone = !sales.iter().any(|sale| sale.id == *id);
            if gone && known.learned_at < began {
                known.stop.cancel();
            }
        }
        for sale in sales {
            self.learn(sale);
        }
        true
    }

    pub(crate) fn delete(&mut self, sale: &SaleId) {
        self.deleted_at = Some(Instant::now());
        if let Some(known) = self.known.get(sale) {
            known.stop.cancel();
        }
    }

    /// Stock of a sale came back.
    pub(crate) fn stock_returned(&self, sale: &SaleId) {
        if let Some(known) = self.known.get(sale) {
            known.stock_returned.send_modify(|times| *times += 1);
        }
    }

    /// Waits for a loop to end, and forgets it: if its sale is still there, the next reading begins it anew. Waits for
    /// ever while there is none.
    pub(crate) async fn ended(&mut self) {
        let Some(ended) = self.loops.join_next_with_id().await else {
            return std::future::pending().await;
        };
        self.forget(ended);
    }

    /// Waits until every loop has ended.
    pub(crate) async fn all_ended(&mut self) {
        while let Some(ended) = self.loops.join_next_with_id().await {
            self.forget(ended);
        }
    }

    fn forget(&mut self, ended: Result<(Id, ()), JoinError>) {
        let task = match &ended {
            Ok((task, ())) => *task,
            Err(error) => error.id(),
        };
        let Some(sale) =
            self.known.iter().find(|(_, known)| known.task == task).map(|(sale, _)| sale.clone())
        else {
            return;
        };
        self.known.remove(&sale);
        if let Err(error) = ended {
            tracing::error!(
                %sale,
                error = &error as &dyn std::error::Error,
                "a drain loop broke down; it is begun anew with the next reading"
            );
        }
    }
}
