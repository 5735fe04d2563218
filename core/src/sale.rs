//! A sale: its goods, its policy, and what an operator may do to it. Changes are pure; the ledger applies them as a
//! compare-and-swap on the version and writes the audit row in the same transaction.

use std::{collections::BTreeMap, sync::Arc};

use serde::{Deserialize, Serialize};

use crate::{
    basket::{Basket, Item, Want, Wants},
    clock::UnixMillis,
    ids::{SaleId, SkuId, Version},
    money::{AMOUNT_FEN_MAX, AmountFen, Currency},
    policy::{OutOfRange, Policy, PolicyPatch},
    seats::Seating,
};

mod sku;

pub use sku::sellable;

/// Most units of one SKU.
pub const STOCK_MAX: u64 = 1_000_000_000;
/// Most SKUs in one sale.
pub const SKUS_MAX: usize = 200;
/// Longest title and longest notice in one language, in characters.
pub const TEXT_CHARS_MAX: usize = 500;
/// Most languages of one notice.
pub const LANGUAGES_MAX: usize = 20;

/// What can be bought: so many units, or seats on legs.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "sku::Written", into = "sku::Written")]
pub struct Sku {
    pub sku: SkuId,
    /// Units in all: what the sale began with and what was added since. Of a seated SKU its seat-legs, which are fixed.
    pub stock: u64,
    /// Present for a seated SKU.
    pub seating: Option<Arc<Seating>>,
    /// Price of one unit, or of one passenger whatever the stretch.
    pub amount_fen: AmountFen,
    pub currency: Currency,
}

/// What the operator has set.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Control {
    #[default]
    Running,
    Paused,
    /// Stopped by an admin or by an unexplained gap in the books; `resume` lifts it.
    Frozen,
    /// Over for good.
    Closed,
}

/// What the public is told.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SaleState {
    Scheduled,
    Open,
    Paused,
    /// Nothing available and no unpaid hold.
    SoldOut,
    Closed,
    Frozen,
}

impl SaleState {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Scheduled => "scheduled",
            Self::Open => "open",
            Self::Paused => "paused",
            Self::SoldOut => "sold_out",
            Self::Closed => "closed",
            Self::Frozen => "frozen",
        }
    }
}

/// What an operator tells the crowd: a text by language tag.
pub type Notice = BTreeMap<String, String>;

/// A sale as the ledger keeps it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sale {
    pub id: SaleId,
    pub title: String,
    pub opens_at: Option<UnixMillis>,
    pub closes_at: Option<UnixMillis>,
    pub skus: Vec<Sku>,
    pub policy: Policy,
    pub control: Control,
    pub notice: Option<Notice>,
    /// Counts every change, from 1; frames carry it as `policy_version`.
    pub version: Version,
    pub created_at: UnixMillis,
}

/// What an operator asks for: the body of `POST /v1/sales`, and `[[sale]]` in the configuration.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewSale {
    pub id: SaleId,
    #[serde(default)]
    pub title: String,
    #[serde(default)]
    pub opens_at: Option<UnixMillis>,
    #[serde(default)]
    pub closes_at: Option<UnixMillis>,
    pub skus: Vec<Sku>,
    #[serde(default)]
    pub policy: PolicyPatch,
}

impl NewSale {
    /// The sale this describes, checked.
    pub fn build(self, now: UnixMillis) -> Result<Sale, OutOfRange> {
        if self.title.chars().count() > TEXT_CHARS_MAX {
            return Err(OutOfRange::new(
                "title",
                format!("must have at most {TEXT_CHARS_MAX} characters"),
            ));
        }
        if self.skus.is_empty() || self.skus.len() > SKUS_MAX {
            return Err(OutOfRange::new("skus", format!("must name 1 to {SKUS_MAX} SKUs")));
        }
        for (n, sku) in self.skus.iter().enumerate() {
            if sku.stock > STOCK_MAX {
                return Err(OutOfRange::new("skus.stock", format!("must be 0 to {STOCK_MAX}")));
            }
            if !(0..=AMOUNT_FEN_MAX).contains(&sku.amount_fen.0) {
                return Err(OutOfRange::new(
                    "skus.amount_fen",
                    format!("must be 0 to {AMOUNT_FEN_MAX}"),
                ));
            }
            if sku.currency != self.skus[0].currency {
                return Err(OutOfRange::new(
                    "skus.currency",
                    "must be the same for every SKU of a sale",
                ));
            }
            if self.skus[..n].iter().any(|other| other.sku == sku.sku) {
                return Err(OutOfRange::new("skus.sku", "must name each SKU once"));
            }
        }
        if let (Some(opens), Some(closes)) = (self.opens_at, self.closes_at)
            && closes <= opens
        {
            return Err(OutOfRange::new("closes_at", "must be after `opens_at`"));
        }
        Ok(Sale {
            policy: Policy::default().patched(&self.policy).map_err(|error| OutOfRange {
                field: format!("policy.{}", error.field),
                rule: error.rule,
            })?,
            title: if self.title.is_empty() { self.id.to_string() } else { self.title },
            id: self.id,
            opens_at: self.opens_at,
            closes_at: self.closes_at,
            skus: self.skus,
            control: Control::Running,
            notice: None,
            version: Version(1),
            created_at: now,
        })
    }
}

/// One thing an operator does to a sale.
#[derive(Clone, Debug, PartialEq)]
pub enum SaleChange {
    Policy(PolicyPatch),
    Pause,
    /// Lifts a pause and a freeze.
    Resume,
    Freeze,
    Close,
    Notice(Option<Notice>),
    AddStock {
        sku: SkuId,
        units: u64,
    },
}

impl SaleChange {
    /// The name the audit log uses.
    #[must_use]
    pub fn verb(&self) -> &'static str {
        match self {
            Self::Policy(_) => "sale.policy",
            Self::Pause => "sale.pause",
            Self::Resume => "sale.resume",
            Self::Freeze => "sale.freeze",
            Self::Close => "sale.close",
            Self::Notice(_) => "sale.notice",
            Self::AddStock { .. } => "sale.stock",
        }
    }
}

/// Why a change was refused. Nothing changed.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ChangeRefused {
    #[error(transparent)]
    OutOfRange(#[from] OutOfRange),
    #[error("the sale is closed")]
    Closed,
    #[error("the sale has no such SKU")]
    NoSuchSku,
}

impl Sale {
    /// The sale after `change`, one version on.
    pub fn changed(&self, change: &SaleChange) -> Result<Self, ChangeRefused> {
        let mut next = self.clone();
        next.version = self.version.next();
        match change {
            SaleChange::Policy(patch) => next.policy = self.policy.patched(patch)?,
            SaleChange::Notice(notice) => {
                if let Some(texts) = notice {
                    check_notice(texts)?;
                }
                next.notice.clone_from(notice);
            }
            SaleChange::AddStock { sku, units } => {
                let known = next
                    .skus
                    .iter_mut()
                    .find(|known| known.sku == *sku)
                    .ok_or(ChangeRefused::NoSuchSku)?;
                if known.seating.is_some() {
                    let rule = "cannot be given: the seats of a seated SKU are fixed when the sale is made";
                    return Err(OutOfRange::new("add", rule).into());
                }
                if *units == 0 || *units > STOCK_MAX - known.stock {
                    let rule = format!("must be 1 to {}", STOCK_MAX - known.stock);
                    return Err(OutOfRange::new("add", rule).into());
                }
                known.stock += units;
            }
            SaleChange::Pause => next.control = self.open_control(Control::Paused)?,
            SaleChange::Resume => next.control = self.open_control(Control::Running)?,
            SaleChange::Freeze => next.control = self.open_control(Control::Frozen)?,
            SaleChange::Close => next.control = Control::Closed,
        }
        Ok(next)
    }

    fn open_control(&self, control: Control) -> Result<Control, ChangeRefused> {
        match self.control {
            Control::Closed => Err(ChangeRefused::Closed),
            Control::Frozen if control == Control::Paused => Ok(Control::Frozen),
            Control::Running | Control::Paused | Control::Frozen => Ok(control),
        }
    }

    /// What the public is told at `now`. `sold_out` is the dispatcher's finding: nothing available, no unpaid hold.
    #[must_use]
    pub fn state(&self, now: UnixMillis, sold_out: bool) -> SaleState {
        if self.is_over(now) {
            return SaleState::Closed;
        }
        match self.control {
            Control::Closed => SaleState::Closed,
            Control::Frozen => SaleState::Frozen,
            Control::Running | Control::Paused if self.opens_at.is_some_and(|at| now < at) => {
                SaleState::Scheduled
            }
            Control::Running | Control::Paused if sold_out => SaleState::SoldOut,
            Control::Paused => SaleState::Paused,
            Control::Running => SaleState::Open,
        }
    }

    /// Whether the sale has closed, by hand or by the clock.
    #[must_use]
    pub fn is_over(&self, now: UnixMillis) -> bool {
        self.control == Control::Closed || self.closes_at.is_some_and(|at| at <= now)
    }

    /// Whether goods are held for a buyer who is not in line: an order that is changed, or whose money came late.
    #[must_use]
    pub fn holds_at(&self, now: UnixMillis) -> bool {
        !self.is_over(now) && self.control != Control::Frozen
    }

    #[must_use]
    pub fn sku(&self, sku: &SkuId) -> Option<&Sku> {
        self.skus.iter().find(|known| known.sku == *sku)
    }

    /// What a basket wants, as a token carries it.
    #[must_use]
    pub fn wants(&self, basket: &Basket) -> Wants {
        Wants::new(basket.items(), |sku| self.skus.iter().position(|known| known.sku == *sku))
    }

    /// The items that a token says its entry wants.
    #[must_use]
    pub fn items(&self, wants: &Wants) -> Vec<Item> {
        let item = |want: &Want| {
            let sku = self.skus.get(usize::from(want.sku))?.sku.clone();
            Some(match want.stretch {
                None => Item::counted(sku, want.quantity.into()),
                Some(stretch) => Item::seated(sku, want.quantity.into(), stretch),
            })
        };
        wants.lines().iter().filter_map(item).collect()
    }

    /// Checks that a basket names goods of this sale, seated ones with a stretch of theirs, and stays within
    /// `per_buyer_units`.
    pub fn check_basket(&self, basket: &Basket) -> Result<(), OutOfRange> {
        for item in basket.items() {
            let Some(sku) = self.sku(&item.sku) else {
                let rule = format!("`{}` is not sold in this sale", item.sku);
                return Err(OutOfRange::new("items.sku", rule));
            };
            sku.check_stretch(item)?;
        }
        let most = self.policy.per_buyer_units;
        if basket.units() > most {
            return Err(OutOfRange::new(
                "items.quantity",
                format!("must be at most {most} units for one buyer"),
            ));
        }
        Ok(())
    }

    /// Whether every line of a basket is of a SKU of this sale, with a stretch of its exactly if it is seated.
    #[must_use]
    pub fn has_goods_of(&self, basket: &Basket) -> bool {
        let fits = |item: &Item| self.sku(&item.sku)?.check_stretch(item).ok();
        basket.items().iter().all(|item| fits(item).is_some())
    }

    /// The currency of its prices.
    #[must_use]
    pub fn currency(&self) -> Currency {
        self.skus.first().map_or(Currency::CNY, |sku| sku.currency)
    }

    /// What a basket costs; `None` if it names foreign goods or the sum is beyond an i64.
    #[must_use]
    pub fn price(&self, basket: &Basket) -> Option<AmountFen> {
        basket.items().iter().try_fold(AmountFen(0), |sum, item| {
            sum.checked_add(self.sku(&item.sku)?.amount_fen.times(item.quantity)?)
        })
    }
}

fn check_notice(texts: &Notice) -> Result<(), OutOfRange> {
    if texts.is_empty() || texts.len() > LANGUAGES_MAX {
        return Err(OutOfRange::new("text", format!("must have 1 to {LANGUAGES_MAX} languages")));
    }
    for (language, text) in texts {
        let tag = (2..=35).contains(&language.len())
            && language.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        if !tag {
            return Err(OutOfRange::new(
                "text",
                "must be keyed by language tags such as `en` or `zh-CN`",
            ));
        }
        if text.is_empty() || text.chars().count() > TEXT_CHARS_MAX {
            return Err(OutOfRange::new(
                format!("text.{language}"),
                format!("must have 1 to {TEXT_CHARS_MAX} characters"),
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
