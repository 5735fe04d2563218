//! What this node keeps of one sale beside the directory's view: the way its joins travel, the limits that apply, the
//! public answer of the last tenth of a second, its counters.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use arc_swap::{ArcSwap, ArcSwapOption, Guard};
use bytes::Bytes;
use foldhash::fast::RandomState;
use sluice_core::{ids::SaleId, policy::Limits as PolicyLimits, view::SaleView};
use sluice_http::limits::{Limits, Rules};
use tokio::{sync::mpsc, time::Instant};

use crate::{batch::Job, metrics::JoinCounters};

/// How old our own answer about a sale may be.
const INFO_AGE_MAX: Duration = Duration::from_millis(100);

/// See the module.
#[derive(Debug)]
pub(crate) struct Edge {
    pub(crate) sale: SaleId,
    pub(crate) view: Arc<SaleView>,
    pub(crate) joins: mpsc::Sender<Job>,
    pub(crate) counters: JoinCounters,
    rules: ArcSwap<(PolicyLimits, Rules)>,
    info: ArcSwapOption<Info>,
}

#[derive(Debug)]
struct Info {
    made: Instant,
    body: Bytes,
}

impl Edge {
    pub(crate) fn new(view: Arc<SaleView>, joins: mpsc::Sender<Job>, limits: &Limits) -> Self {
        let sale = view.sale();
        let own = sale.policy.limits;
        Self {
            sale: sale.id.clone(),
            view,
            joins,
            counters: JoinCounters::of(&sale.id),
            rules: ArcSwap::from_pointee((own, limits.rules(&own))),
            info: ArcSwapOption::empty(),
        }
    }

    /// The limits as the policy has them now. Whoever keeps them while it waits for something takes them out of the guard first: a
    /// thread has few guards that are cheap, and a crowd that waits would hold them all.
    pub(crate) fn rules(&self, limits: &Limits) -> Guard<Arc<(PolicyLimits, Rules)>> {
        let own = self.view.limits();
        let known = self.rules.load();
        if known.0 == own {
            return known;
        }
        self.rules.store(Arc::new((own, limits.rules(&own))));
        self.rules.load()
    }

    /// The last answer about the sale, or a new one if that is too old.
    pub(crate) fn info(&self, make: impl FnOnce() -> Bytes) -> Bytes {
        if let Some(info) = &*self.info.load()
            && info.made.elapsed() < INFO_AGE_MAX
        {
            return info.body.clone();
        }
        let body = make();
        self.info.store(Some(Arc::new(Info { made: Instant::now(), body: body.clone() })));
        body
    }
}

/// The edges of all sales somebody asked for.
#[derive(Debug, Default)]
pub(crate) struct Edges {
    known: ArcSwap<HashMap<SaleId, Arc<Edge>, RandomState>>,
    making: Mutex<()>,
}

impl Edges {
    /// The edge of a sale that was not deleted: the way of nearly every request, without a lock or a copy.
    pub(crate) fn find(&self, sale: &str) -> Option<Arc<Edge>> {
        self.known.load().get(sale).filter(|edge| !edge.view.is_gone()).cloned()
    }

    /// The edge of a view, made by `make` if there is none. A sale that was deleted and made again has another view,
    /// and so another edge.
    pub(crate) fn of(
        &self,
        sale: &SaleId,
        view: &Arc<SaleView>,
        make: impl FnOnce() -> Edge,
    ) -> Arc<Edge> {
        let find =
            || self.known.load().get(sale).filter(|edge| Arc::ptr_eq(&edge.view, view)).cloned();
        if let Some(edge) = find() {
            return edge;
        }
        let _making = self.making.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(edge) = find() {
            return edge;
        }
        let edge = Arc::new(make());
        let mut next = HashMap::clone(&self.known.load());
        next.insert(sale.clone(), Arc::clone(&edge));
        self.known.store(Arc::new(next));
        edge
    }

    /// Forgets the edges of sales that are gone; their joins end with them.
    pub(crate) fn sweep(&self, is_known: impl Fn(&SaleId) -> bool) {
        let _making = self.making.lock().unwrap_or_else(PoisonError::into_inner);
        let known = self.known.load();
        if known.keys().all(&is_known) {
            return;
        }
        let next = known.iter().filter(|(sale, _)| is_known(sale));
        self.known
            .store(Arc::new(next.map(|(sale, edge)| (sale.clone(), Arc::clone(edge))).collect()));
    }
}
