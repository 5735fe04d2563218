//! Reconciliation: does what the ledger says of itself add up, and does the gate say the same? What differs is set right from
//! the ledger, hold by hold; what cannot be explained stops the sale.
//!
//! Two stores are never read at the same moment, and a sale does not stand still for it. So nothing is mended that may only
//! be on its way: a word must be some seconds old before the gate counts as behind it. And of how much the two differ in
//! all, only that counts which is there however the sale moved meanwhile ([`residual`]).
//!
//! This module decides; [`Reconciler`] reads and writes.

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use serde::{Deserialize, Serialize};

use crate::{
    basket::Basket,
    clock::UnixMillis,
    ids::{HoldId, SaleId, SkuId},
    ports::{
        Books, GateHold, HeldStock, HoldPhase, HoldUpdate, HoldWord, MoneyBalance, SkuLevel,
        StockBalance,
    },
};

mod run;

pub use run::{Hand, Reconciler};

/// What a reconciliation found and did.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Reconciliation {
    pub sale: SaleId,
    pub at: UnixMillis,
    pub verdict: Verdict,
    pub skus: Vec<SkuFound>,
    /// What the ledger says of the money, by currency.
    pub money: Vec<MoneyBalance>,
    /// Live holds in the ledger.
    pub live_holds: u64,
    /// Holds that the gate was told of anew.
    pub repaired: u64,
    /// Holds of the gate that the ledger never heard of, released.
    pub leaks: u64,
    pub findings: Vec<Finding>,
    /// For which of these findings the sale was frozen: it is not frozen for the same once an operator has lifted that.
    #[serde(default)]
    pub frozen_for: Vec<Finding>,
    /// How many runs in a row have left something that nobody can explain.
    pub unexplained_runs: u32,
}

impl Reconciliation {
    /// Whether everything adds up now.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        match self.verdict {
            Verdict::Balanced | Verdict::Repaired => true,
            Verdict::Drifting | Verdict::Broken => false,
        }
    }
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It adds up. Of a gate that is cold nothing is said: it is rebuilt from the ledger before it is used.
    Balanced,
    /// It adds up now.
    Repaired,
    /// The gate differs from the ledger although every hold agrees.
    Drifting,
    /// The ledger's own sums do not add up, or the drift stayed: the sale is frozen, once for each such finding.
    Broken,
}

/// One SKU: the ledger's balance, what the gate counts, and by how much it differs.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct SkuFound {
    pub sku: SkuId,
    pub total: u64,
    pub available: u64,
    pub owed: u64,
    pub held: u64,
    pub sold: u64,
    /// `None` while the gate is cold.
    pub gate: Option<GateFound>,
    /// Units the gate had beyond the ledger before anything was mended; below 0, what it lacked.
    pub drift: i64,
    /// What is left of that.
    pub remaining_drift: i64,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct GateFound {
    pub available: u64,
    pub held: u64,
    pub in_flight: u64,
}

/// Something that does not add up.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    pub kind: FindingKind,
    pub sku: Option<SkuId>,
    /// By how many units; of money, by how many fen.
    pub units: i64,
    /// For people.
    pub detail: String,
}

impl Finding {
    /// Whether the same was found then, however it is told.
    fn is_among(&self, then: &[Self]) -> bool {
        let same =
            |one: &Self| (one.kind, &one.sku, one.units) == (self.kind, &self.sku, self.units);
        then.iter().any(same)
    }
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FindingKind {
    /// available + owed + held + sold is not the total.
    LedgerSum,
    /// What is held is not what the live holds hold.
    LedgerHolds,
    /// Money was taken that is neither kept, nor given back, nor on its way.
    Money,
    /// The gate differs from the ledger, and no hold explains it.
    Drift,
}

/// What is waited for, and what is borne.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ReconcileSettings {
    /// How old a hold of the gate must be before its absence from the ledger is a leak.
    pub leak_after: Duration,
    /// How old the ledger's word on a hold must be before the gate counts as behind it.
    pub behind_after: Duration,
    /// How long the gate is given to hear what the ledger has just committed, before a difference between them counts.
    pub settle: Duration,
    /// After how many runs with an unexplained drift in a row the gate is emptied, for the speaker to rebuild it.
    pub rebuild_after_runs: u32,
    /// After how many the sale is frozen, if it is more than `drift_units_max`.
    pub freeze_after_runs: u32,
    /// Units of unexplained drift, over all SKUs, that freeze nothing.
    pub drift_units_max: u64,
    /// Units by which the ledger's own sums may be wrong without freezing the sale.
    pub gap_units_max: u64,
    /// Longest wait for one call of a store.
    pub port_timeout: Duration,
}

impl Default for ReconcileSettings {
    fn default() -> Self {
        Self {
            leak_after: Duration::from_secs(5),
            behind_after: Duration::from_secs(3),
            settle: Duration::from_millis(500),
            rebuild_after_runs: 2,
            freeze_after_runs: 4,
            drift_units_max: 10,
            gap_units_max: 0,
            port_timeout: Duration::from_secs(5),
        }
    }
}

/// A hold on which gate and ledger may disagree.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Suspect {
    pub hold: HoldId,
    pub basket: Basket,
    /// The last movement the gate has heard of it, and how long ago; `None` if the gate does not count it as held.
    pub in_gate: Option<(u64, Duration)>,
}

/// The holds on which the two do not agree at sight. The gate must have been read first: what it had heard by then is in
/// the books.
#[must_use]
pub fn suspects(gate: &HashMap<HoldId, GateHold>, live: &[HeldStock]) -> Vec<Suspect> {
    let by_hold: HashMap<HoldId, &HeldStock> = live.iter().map(|held| (held.hold, held)).collect();
    let odd_in_gate = gate
        .values()
        .filter(|held| by_hold.get(&held.hold).is_none_or(|live| held.movement < live.movement));
    let odd_in_gate = odd_in_gate.map(|held| Suspect {
        hold: held.hold,
        basket: held.basket.clone(),
        in_gate: Some((held.movement, held.age)),
    });
    let missing = live.iter().filter(|live| !gate.contains_key(&live.hold));
    let missing =
        missing.map(|live| Suspect { hold: live.hold, basket: live.basket.clone(), in_gate: None });
    let mut all: Vec<Suspect> = odd_in_gate.chain(missing).collect();
    all.sort_by_key(|suspect| suspect.hold);
    all
}

/// What is done about a suspect.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Remedy {
    /// They agree, or what differs is on its way.
    None,
    /// The gate is told the ledger's word.
    Set(HoldUpdate),
    /// The ledger never heard of it: the gate lets it go.
    Release(HoldUpdate),
}

/// Decides about a suspect by the ledger's last word on it, which was read after everything else.
#[must_use]
pub fn remedy(suspect: &Suspect, word: Option<&HoldWord>, settings: &ReconcileSettings) -> Remedy {
    let basket = || suspect.basket.clone();
    match (suspect.in_gate, word) {
        (Some((0, age)), None) if age >= settings.leak_after => {
            Remedy::Release(HoldUpdate::unrecorded(suspect.hold, basket()))
        }
        (_, None) => Remedy::None,
        (None, Some(word)) if word.phase != HoldPhase::Held => Remedy::None,
        (Some((heard, _)), Some(word)) if heard >= word.movement => Remedy::None,
        (_, Some(word)) if word.age < settings.behind_after => Remedy::None,
        (_, Some(HoldWord { movement, phase, .. })) => Remedy::Set(HoldUpdate {
            hold: suspect.hold,
            movement: *movement,
            phase: *phase,
            basket: basket(),
        }),
    }
}

/// Units that a remedy moves between the gate's available and held, per SKU: what its sum does not show. Above 0, units
/// that the gate would have sold although they are held; below 0, units it kept from being sold.
#[must_use]
pub fn misplaced(suspect: &Suspect, remedy: &Remedy) -> i64 {
    match (suspect.in_gate, remedy) {
        (_, Remedy::None) => 0,
        (Some(_), Remedy::Release(_)) => -1,
        (Some(_), Remedy::Set(update)) if update.phase == HoldPhase::Released => -1,
        (None, Remedy::Set(update)) if update.phase == HoldPhase::Held => 1,
        (_, Remedy::Set(_) | Remedy::Release(_)) => 0,
    }
}

/// Of how much the gate has beyond the ledger (available and held together), what no movement of the sale explains: the gate
/// was read before the ledger and once more a while after it, so what is only on its way lies between the two.
#[must_use]
pub fn residual(before: i64, after: i64) -> i64 {
    match (before.min(after), before.max(after)) {
        (low, _) if low > 0 => low,
        (_, high) if high < 0 => high,
        _ => 0,
    }
}

/// What the gate has beyond the ledger of each SKU, available and held together. A reservation moves units between the
/// two within each store, so it does not disturb the sums.
#[must_use]
pub fn differences(levels: &[SkuLevel], balances: &[StockBalance]) -> BTreeMap<SkuId, i64> {
    let one = |balance: &StockBalance| {
        let level = levels.iter().find(|level| level.sku == balance.sku);
        let in_gate = level.map_or(0, |level| level.available.saturating_add(level.held));
        let units = signed(in_gate) - signed(balance.available.saturating_add(balance.held));
        (balance.sku.clone(), units)
    };
    balances.iter().map(one).collect()
}

/// What does not add up within the ledger itself.
#[must_use]
pub fn gaps(books: &Books) -> Vec<Finding> {
    let mut held: BTreeMap<&SkuId, u64> = BTreeMap::new();
    for item in books.image.holds.iter().flat_map(|hold| hold.basket.items()) {
        *held.entry(&item.sku).or_default() += item.units();
    }
    let mut findings = Vec::new();
    for balance in &books.balances {
        let sum = balance.available + balance.owed + balance.held + balance.sold;
        if sum != balance.total {
            findings.push(Finding {
                kind: FindingKind::LedgerSum,
                sku: Some(balance.sku.clone()),
                units: signed(sum) - signed(balance.total),
                detail: format!(
                    "`{}`: available, owed, held and sold are {sum} units, of {} in all",
                    balance.sku, balance.total
                ),
            });
        }
        let in_holds = held.get(&balance.sku).copied().unwrap_or_default();
        if in_holds != balance.held {
            findings.push(Finding {
                kind: FindingKind::LedgerHolds,
                sku: Some(balance.sku.clone()),
                units: signed(in_holds) - signed(balance.held),
                detail: format!(
                    "`{}`: {} units are held, but the live holds have {in_holds}",
                    balance.sku, balance.held
                ),
            });
        }
    }
    findings.extend(books.money.iter().filter(|money| money.gap() != 0).map(swallowed));
    findings
}

fn swallowed(money: &MoneyBalance) -> Finding {
    let MoneyBalance { currency, taken, kept, refunded, in_flight } = money;
    let parts = [kept, refunded, in_flight].map(|amount| amount.0);
    Finding {
        kind: FindingKind::Money,
        sku: None,
        units: money.gap(),
        detail: format!(
            "{currency}: {} fen were taken, but {} are kept, {} refunded and {} on their way back",
            taken.0, parts[0], parts[1], parts[2]
        ),
    }
}

/// What is left of the drift, as findings.
#[must_use]
pub fn drifts(remaining: &BTreeMap<SkuId, i64>) -> Vec<Finding> {
    let one = |(sku, units): (&SkuId, &i64)| Finding {
        kind: FindingKind::Drift,
        sku: Some(sku.clone()),
        units: *units,
        detail: format!(
            "`{sku}`: the gate has {} units {} than the ledger, and no hold explains it",
            units.unsigned_abs(),
            if *units < 0 { "less" } else { "more" }
        ),
    };
    remaining.iter().filter(|(_, units)| **units != 0).map(one).collect()
}

/// What is done about findings.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Consequence {
    None,
    /// The gate is emptied: the speaker rebuilds it from the ledger.
    Rebuild,
    Freeze,
}

/// Whether findings, of which drift has been there for so many runs in a row, are more than can be borne.
#[must_use]
pub fn is_broken(
    findings: &[Finding],
    unexplained_runs: u32,
    settings: &ReconcileSettings,
) -> bool {
    units(findings, false) > settings.gap_units_max
        || unexplained_runs >= settings.freeze_after_runs
            && units(findings, true) > settings.drift_units_max
}

/// Decides about findings; `known` are those for which the sale has been frozen before.
#[must_use]
pub fn consequence(
    findings: &[Finding],
    known: &[Finding],
    unexplained_runs: u32,
    settings: &ReconcileSettings,
) -> Consequence {
    let news: Vec<Finding> = findings.iter().filter(|one| !one.is_among(known)).cloned().collect();
    if is_broken(&news, unexplained_runs, settings) {
        return Consequence::Freeze;
    }
    if units(findings, true) == 0 {
        return Consequence::None;
    }
    // Once is enough, unless it is needed again later.
    if unexplained_runs > 0 && unexplained_runs.is_multiple_of(settings.rebuild_after_runs.max(1)) {
        return Consequence::Rebuild;
    }
    Consequence::None
}

/// Units of drift, or of all else.
fn units(findings: &[Finding], is_drift: bool) -> u64 {
    let those = findings.iter().filter(|f| (f.kind == FindingKind::Drift) == is_drift);
    those.map(|finding| finding.units.unsigned_abs()).sum()
}

fn signed(units: u64) -> i64 {
    i64::try_from(units).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
