//! Faults of a turn itself, as opposed to a store that is away: only these count as tries.

/// What is wrong with a turn.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum Fault {
    #[error("the sale does not exist")]
    NoSuchSale,
    #[error("the turn asks for goods or a stretch that the sale does not have")]
    ForeignGoods,
    #[error("the ledger stores other turns but not this one")]
    LedgerRejects,
    #[error("the stock gate refuses goods that the ledger still has")]
    GateDisagrees,
}

/// What is done about a fault.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Remedy {
    Retry,
    Bury,
}

impl Fault {
    /// What to do with a turn that was retried `tries` times before; `tries_max` counts the first attempt too.
    pub(crate) fn remedy(self, tries: u32, tries_max: u32) -> Remedy {
        match self {
            Self::NoSuchSale | Self::ForeignGoods => Remedy::Bury,
            Self::LedgerRejects | Self::GateDisagrees if tries.saturating_add(1) < tries_max => {
                Remedy::Retry
            }
            Self::LedgerRejects | Self::GateDisagrees => Remedy::Bury,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_mend_is_buried_at_once_and_the_rest_after_eight_tries() {
        assert_eq!(Fault::ForeignGoods.remedy(0, 8), Remedy::Bury);
        assert_eq!(Fault::NoSuchSale.remedy(0, 8), Remedy::Bury);
        let remedies: Vec<_> = (0..9).map(|tries| Fault::LedgerRejects.remedy(tries, 8)).collect();
        assert_eq!(remedies.iter().filter(|remedy| **remedy == Remedy::Retry).count(), 7);
        assert_eq!(remedies[7], Remedy::Bury);
    }
}
