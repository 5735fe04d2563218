//! One run of the reconciliation of one sale, over the ports. Runs may overlap: everything they do is keyed.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use serde_json::json;
use tokio::time::{sleep, timeout};

use super::{
    Consequence, Finding, FindingKind, GateFound, ReconcileSettings, Reconciliation, Remedy,
    SkuFound, Suspect, Verdict, consequence, differences, drifts, gaps, is_broken, misplaced,
    remedy, residual, suspects,
};
use crate::{
    clock::Clock,
    ids::{HoldId, SkuId},
    ports::{
        Audit, Author, Books, Bulletin, Changed, GateHold, HoldUpdate, HoldWord, Ledger, Notice,
        PortError, PortResult, SkuLevel, StockGate,
    },
    sale::{Control, Sale, SaleChange},
};

/// Holds of which the ledger is asked at a time.
const ASKED_MAX: usize = 1_000;
/// Pages of holds that one run reads of a gate; a gate with more is compared by its sums alone.
const PAGES_MAX: usize = 4_096;
/// Whom the audit log names.
const AUTHOR: &str = "reconciliation";

/// On whose behalf a run is made.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Hand {
    /// One after the other, by whoever has the duty: what stays unexplained for long has consequences.
    Continuous,
    /// Now and then, by an operator.
    Operator,
}

/// See the module.
#[derive(Clone, Debug)]
pub struct Reconciler {
    pub ledger: Arc<dyn Ledger>,
    pub gate: Arc<dyn StockGate>,
    pub bulletin: Arc<dyn Bulletin>,
    pub clock: Arc<dyn Clock>,
    pub settings: ReconcileSettings,
}

/// What a comparison of holds came to.
#[derive(Debug, Default)]
struct Compared {
    set: Vec<HoldUpdate>,
    release: Vec<HoldUpdate>,
    /// What the gate's sums do not show.
    misplaced: BTreeMap<SkuId, i64>,
}

impl Reconciler {
    /// Reconciles a sale whose goods our own workers hold, and keeps what was found.
    pub async fn run(
        &self,
        sale: &Sale,
        hand: Hand,
        before: Option<&Reconciliation>,
    ) -> PortResult<Reconciliation> {
        let held = self.held_in_gate(sale).await?;
        let books = self.ask(self.ledger.books(&sale.id)).await?;
        let compared = match &held {
            Some(held) => self.compare(held, &books).await?,
            None => Compared::default(),
        };
        let drift = self.drift(sale).await?;
        self.mend(sale, &compared).await?;
        let remaining = if compared.is_empty() { drift.clone() } else { self.drift(sale).await? };

        let mut findings = gaps(&books);
        findings.extend(drifts(&remaining));
        let mut found = self.found(sale, &books, &compared, &drift, &remaining).await?;
        found.unexplained_runs = unexplained_runs(&findings, hand, before);
        found.findings = findings;
        let known = before.map_or(&[][..], |before| &before.frozen_for);
        let still = found.findings.iter().filter(|one| one.is_among(known));
        found.frozen_for = still.cloned().collect();
        self.conclude(sale, hand, &mut found).await?;
        self.ask(self.ledger.keep_reconciliation(&found)).await?;
        Ok(found)
    }

    /// What the gate counts as held; `None` while it is cold.
    async fn held_in_gate(&self, sale: &Sale) -> PortResult<Option<HashMap<HoldId, GateHold>>> {
        let (mut all, mut place) = (HashMap::new(), None);
        for _ in 0..PAGES_MAX {
            let page = match self.ask(self.gate.holds(&sale.id, place.as_ref())).await {
                Ok(page) => page,
                Err(PortError::Cold) => return Ok(None),
                Err(error) => return Err(error),
            };
            all.extend(page.holds.into_iter().map(|held| (held.hold, held)));
            place = page.next;
            if place.is_none() {
                return Ok(Some(all));
            }
        }
        tracing::error!(sale = %sale.id, holds = all.len(), "the gate has too many holds to be compared one by one");
        Ok(None)
    }

    async fn compare(
        &self,
        held: &HashMap<HoldId, GateHold>,
        books: &Books,
    ) -> PortResult<Compared> {
        let mut compared = Compared::default();
        for some in suspects(held, &books.image.holds).chunks(ASKED_MAX) {
            let holds: Vec<HoldId> = some.iter().map(|suspect| suspect.hold).collect();
            let words = self.ask(self.ledger.hold_words(&holds)).await?;
            for (suspect, word) in some.iter().zip(words) {
                compared.take(suspect, word.as_ref(), &self.settings);
            }
        }
        Ok(compared)
    }

    /// What the gate has beyond the ledger in all, and nothing explains. Empty while the gate is cold.
    async fn drift(&self, sale: &Sale) -> PortResult<BTreeMap<SkuId, i64>> {
        let Some(levels) = self.levels(sale).await? else { return Ok(BTreeMap::new()) };
        let balances = self.ask(self.ledger.stock(&sale.id)).await?;
        let before = differences(&levels, &balances);
        if before.values().all(|units| *units == 0) {
            return Ok(before);
        }
        sleep(self.settings.settle).await;
        let Some(levels) = self.levels(sale).await? else { return Ok(BTreeMap::new()) };
        let mut after = differences(&levels, &balances);
        for (sku, units) in &mut after {
            *units = residual(before.get(sku).copied().unwrap_or_default(), *units);
        }
        Ok(after)
    }

    async fn levels(&self, sale: &Sale) -> PortResult<Option<Vec<SkuLevel>>> {
        match self.ask(self.gate.levels(&sale.id)).await {
            Ok(levels) => Ok(Some(levels)),
            Err(PortError::Cold) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn mend(&self, sale: &Sale, compared: &Compared) -> PortResult<()> {
        let all: Vec<HoldUpdate> = compared.set.iter().chain(&compared.release).cloned().collect();
        if all.is_empty() {
            return Ok(());
        }
        match self.ask(self.gate.set(&sale.id, &all)).await {
            // It is rebuilt from the ledger, which is just as well.
            Ok(()) | Err(PortError::Cold) => {}
            Err(error) => return Err(error),
        }
        self.tell(Notice::StockReturned { sale: sale.id.clone() }).await;
        Ok(())
    }

    async fn found(
        &self,
        sale: &Sale,
        books: &Books,
        compared: &Compared,
        drift: &BTreeMap<SkuId, i64>,
        remaining: &BTreeMap<SkuId, i64>,
    ) -> PortResult<Reconciliation> {
        let levels = self.levels(sale).await?;
        let units =
            |of: &BTreeMap<SkuId, i64>, sku: &SkuId| of.get(sku).copied().unwrap_or_default();
        let skus = books.balances.iter().map(|balance| {
            let sku = &balance.sku;
            let level = levels.as_ref().and_then(|all| all.iter().find(|level| level.sku == *sku));
            SkuFound {
                sku: sku.clone(),
                total: balance.total,
                available: balance.available,
                owed: balance.owed,
                held: balance.held,
                sold: balance.sold,
                gate: level.map(|level| GateFound {
                    available: level.available,
                    held: level.held,
                    in_flight: level.in_flight,
                }),
                drift: units(drift, sku) + units(&compared.misplaced, sku),
                remaining_drift: units(remaining, sku),
            }
        });
        Ok(Reconciliation {
            sale: sale.id.clone(),
            at: self.clock.now(),
            verdict: Verdict::Balanced,
            skus: skus.collect(),
            money: books.money.clone(),
            live_holds: books.image.holds.len() as u64,
            repaired: compared.set.len() as u64,
            leaks: compared.release.len() as u64,
            findings: Vec::new(),
            frozen_for: Vec::new(),
            unexplained_runs: 0,
        })
    }

    /// The verdict, and what follows from it.
    async fn conclude(
        &self,
        sale: &Sale,
        hand: Hand,
        found: &mut Reconciliation,
    ) -> PortResult<()> {
        if found.repaired > 0 || found.leaks > 0 {
            found.verdict = Verdict::Repaired;
            tracing::warn!(sale = %sale.id, repaired = found.repaired, leaks = found.leaks,
                "the gate was set right from the ledger");
            self.record("reconciliation.repair", found, None).await?;
        }
        if found.findings.is_empty() {
            return Ok(());
        }
        for finding in &found.findings {
            tracing::error!(sale = %sale.id, kind = ?finding.kind, units = finding.units, runs = found.unexplained_runs,
                "the books do not add up: {}", finding.detail);
        }
        let (findings, runs) = (&found.findings, found.unexplained_runs);
        let broken = is_broken(findings, runs, &self.settings);
        let consequence = consequence(findings, &found.frozen_for, runs, &self.settings);
        found.verdict = if broken { Verdict::Broken } else { Verdict::Drifting };
        match consequence {
            Consequence::Freeze => {
                if self.freeze(sale, found).await? {
                    found.frozen_for = found.findings.clone();
                }
            }
            Consequence::Rebuild if hand == Hand::Continuous => {
                tracing::error!(sale = %sale.id, "the gate is emptied, so that it is rebuilt from the ledger");
                self.record("reconciliation.rebuild", found, None).await?;
                self.ask(self.gate.forget(&sale.id)).await?;
            }
            Consequence::Rebuild | Consequence::None => {}
        }
        Ok(())
    }

    /// Whether it was frozen here, and not before.
    async fn freeze(&self, sale: &Sale, found: &Reconciliation) -> PortResult<bool> {
        let known = self.ask(self.ledger.sale(&sale.id)).await?;
        let selling = |sale: &Arc<Sale>| matches!(sale.control, Control::Running | Control::Paused);
        if !known.as_ref().is_some_and(selling) {
            return Ok(false);
        }
        let details: Vec<&str> = found.findings.iter().map(|f| f.detail.as_str()).collect();
        let reason = details.join("; ");
        tracing::error!(sale = %sale.id, reason = reason.as_str(), "the sale is frozen: its books do not add up");
        self.record("reconciliation.gap", found, Some(reason.clone())).await?;
        let (freeze, author) = (SaleChange::Freeze, author());
        let change = self.ledger.change_sale(&sale.id, None, freeze, &author, Some(reason));
        let Changed::Done(sale) = self.ask(change).await? else { return Ok(false) };
        self.tell(Notice::Sale { sale }).await;
        Ok(true)
    }

    async fn record(
        &self,
        verb: &str,
        found: &Reconciliation,
        reason: Option<String>,
    ) -> PortResult<()> {
        let drift = |of: fn(&SkuFound) -> i64| -> serde_json::Value {
            found.skus.iter().map(|sku| (sku.sku.to_string(), json!(of(sku)))).collect()
        };
        let audit = Audit {
            author: author(),
            verb: verb.to_owned(),
            subject: found.sale.to_string(),
            before: json!({ "drift": drift(|sku| sku.drift) }),
            after: json!({
                "drift": drift(|sku| sku.remaining_drift),
                "repaired": found.repaired,
                "leaks": found.leaks,
            }),
            result: "ok".to_owned(),
            reason,
        };
        self.ask(self.ledger.record(audit)).await
    }

    /// The bulletin is lossy: who misses it looks by itself.
    async fn tell(&self, notice: Notice) {
        if let Err(error) = self.ask(self.bulletin.publish(notice)).await {
            tracing::debug!(
                error = &error as &dyn std::error::Error,
                "what the reconciliation did was not announced"
            );
        }
    }

    async fn ask<T>(&self, call: impl Future<Output = PortResult<T>>) -> PortResult<T> {
        let limit = self.settings.port_timeout;
        timeout(limit, call).await.unwrap_or_else(|elapsed| Err(PortError::silent(elapsed)))
    }
}

impl Compared {
    fn is_empty(&self) -> bool {
        self.set.is_empty() && self.release.is_empty()
    }

    fn take(&mut self, suspect: &Suspect, word: Option<&HoldWord>, settings: &ReconcileSettings) {
        let remedy = remedy(suspect, word, settings);
        let sign = misplaced(suspect, &remedy);
        for item in suspect.basket.items() {
            let units = i64::try_from(item.units()).unwrap_or(i64::MAX);
            *self.misplaced.entry(item.sku.clone()).or_default() += sign * units;
        }
        match remedy {
            Remedy::None => {}
            Remedy::Set(update) => self.set.push(update),
            Remedy::Release(update) => self.release.push(update),
        }
    }
}

/// Operators who look often make nothing worse.
fn unexplained_runs(findings: &[Finding], hand: Hand, before: Option<&Reconciliation>) -> u32 {
    let before = before.map_or(0, |before| before.unexplained_runs);
    match (findings.iter().any(|finding| finding.kind == FindingKind::Drift), hand) {
        (false, _) => 0,
        (true, Hand::Continuous) => before.saturating_add(1),
        (true, Hand::Operator) => before,
    }
}

fn author() -> Author {
    Author { name: AUTHOR.to_owned(), address: None }
}
