//! The names of a sale's keys. The braces make a cluster keep all of them on one node.

use sluice_core::ids::SaleId;

#[derive(Debug)]
pub(super) struct Names {
    prefix: String,
}

/// The keys of one sale.
#[derive(Debug)]
pub(super) struct Keys {
    pub(super) line: String,
    /// Settled places whose buyer is free, oldest first.
    pub(super) over: String,
    /// Settlements of entries whose place is not known, oldest first.
    pub(super) strangers: String,
    /// How often buyers and devices joined: lately, and in the time before that.
    pub(super) limits: String,
    pub(super) limits_before: String,
    /// Entries a worker reserved for before the line knew them.
    pub(super) worked: String,
    pub(super) worked_order: String,
    pub(super) gate: String,
    /// Holds that were sold or released, oldest first.
    pub(super) holds_over: String,
    /// Holds by the movement of the latest word on them, if the gate's image has not seen it.
    pub(super) heard: String,
}

impl Names {
    pub(super) fn new(prefix: String) -> Self {
        Self { prefix }
    }

    pub(super) fn of(&self, sale: &SaleId) -> Keys {
        let key = |name: &str| format!("{}:{{{sale}}}:{name}", self.prefix);
        Keys {
            line: key("line"),
            over: key("line:over"),
            strangers: key("line:strangers"),
            limits: key("line:limits"),
            limits_before: key("line:limits:before"),
            worked: key("worked"),
            worked_order: key("worked:order"),
            gate: key("gate"),
            holds_over: key("gate:over"),
            heard: key("gate:heard"),
        }
    }
}
