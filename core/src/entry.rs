//! An entry and the states it passes through. Forward only; an outcome is final and the first one wins, in the ledger.

use serde::{Deserialize, Serialize};

use crate::ids::Version;

/// Where an entry stands.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EntryState {
    /// In line, or parked at position 1.
    Waiting,
    /// Released as a turn; an order worker will settle it.
    Called,
    /// Beyond the line's cap, or left when stock ran out: served by offers.
    Standby,
    Reserved,
    SoldOut,
    Left,
    Expired,
    Refused,
}

/// What an entry finally came to. One per entry.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Stock is held for it and it has an order.
    Reserved,
    /// Its goods are gone, or the sale closed before its turn.
    SoldOut,
    /// The buyer gave the place up.
    Left,
    /// Nobody was seen holding the place when its turn came.
    Expired,
    /// Banned, a second live order of one buyer, or over the buyer's limit.
    Refused,
}

impl Outcome {
    pub const ALL: [Self; 5] =
        [Self::Reserved, Self::SoldOut, Self::Left, Self::Expired, Self::Refused];

    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Reserved => "reserved",
            Self::SoldOut => "sold_out",
            Self::Left => "left",
            Self::Expired => "expired",
            Self::Refused => "refused",
        }
    }

    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|outcome| outcome.as_str() == text)
    }
}

impl From<Outcome> for EntryState {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Reserved => Self::Reserved,
            Outcome::SoldOut => Self::SoldOut,
            Outcome::Left => Self::Left,
            Outcome::Expired => Self::Expired,
            Outcome::Refused => Self::Refused,
        }
    }
}

impl EntryState {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Called => "called",
            Self::Standby => "standby",
            Self::Reserved => Outcome::Reserved.as_str(),
            Self::SoldOut => Outcome::SoldOut.as_str(),
            Self::Left => Outcome::Left.as_str(),
            Self::Expired => Outcome::Expired.as_str(),
            Self::Refused => Outcome::Refused.as_str(),
        }
    }

    /// The outcome this state stands for, if it is one.
    #[must_use]
    pub fn outcome(self) -> Option<Outcome> {
        match self {
            Self::Waiting | Self::Called | Self::Standby => None,
            Self::Reserved => Some(Outcome::Reserved),
            Self::SoldOut => Some(Outcome::SoldOut),
            Self::Left => Some(Outcome::Left),
            Self::Expired => Some(Outcome::Expired),
            Self::Refused => Some(Outcome::Refused),
        }
    }

    /// Whether an entry in this state may pass to `next` (see `domain`: States).
    #[must_use]
    pub fn may_become(self, next: Self) -> bool {
        match self {
            Self::Waiting => !matches!(next, Self::Waiting | Self::Reserved),
            Self::Called => {
                matches!(next, Self::Reserved | Self::SoldOut | Self::Refused | Self::Left)
            }
            Self::Standby => next.outcome().is_some(),
            Self::Reserved | Self::SoldOut | Self::Left | Self::Expired | Self::Refused => false,
        }
    }

    /// The version an entry shows in this state; `order_version` counts the changes of its order, from 1.
    /// It only grows along every allowed path, so a client can drop what arrives late.
    #[must_use]
    pub fn version(self, order_version: Option<Version>) -> Version {
        match self {
            Self::Waiting => Version(1),
            Self::Called | Self::Standby => Version(2),
            Self::Reserved | Self::SoldOut | Self::Left | Self::Expired | Self::Refused => {
                Version(2 + order_version.map_or(1, |version| version.0))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATES: [EntryState; 8] = [
        EntryState::Waiting,
        EntryState::Called,
        EntryState::Standby,
        EntryState::Reserved,
        EntryState::SoldOut,
        EntryState::Left,
        EntryState::Expired,
        EntryState::Refused,
    ];

    #[test]
    fn every_allowed_step_raises_the_version() {
        for from in STATES {
            for to in STATES.into_iter().filter(|to| from.may_become(*to)) {
                assert!(from.version(None) < to.version(Some(Version(1))), "{from:?} -> {to:?}");
            }
        }
    }

    #[test]
    fn an_outcome_is_final() {
        for from in STATES.into_iter().filter(|state| state.outcome().is_some()) {
            assert!(STATES.into_iter().all(|to| !from.may_become(to)));
        }
    }

    #[test]
    fn nobody_gets_an_order_without_a_turn_or_an_offer() {
        assert!(!EntryState::Waiting.may_become(EntryState::Reserved));
        assert!(EntryState::Called.may_become(EntryState::Reserved));
        assert!(EntryState::Standby.may_become(EntryState::Reserved));
    }
}
