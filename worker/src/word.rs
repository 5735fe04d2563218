//! The provider's authentic word on a payment, applied: the one way it takes, whether it was called back, kept for later, or
//! asked for.

use sluice_core::{
    order::OrderState,
    ports::{PaymentState, PaymentStep, PaymentUpdate, PortResult},
};

use crate::{aftermath::Goods, shared::Shared};

/// When a word comes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Comes {
    /// From the provider, for all that we know the first time.
    Fresh,
    /// Once more: the ledger had not said what it did with it.
    Again,
}

/// What a word did.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Word {
    Applied,
    /// A repeat, or older than what is known.
    Ignored,
    /// Money that no order can take: it goes back.
    Surplus,
    /// Not the amount or currency of the payment: nothing changed, and somebody must look.
    WrongAmount,
    /// The ledger has no such payment of that order.
    Unknown,
}

impl Word {
    /// As metrics tell it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::Ignored => "ignored",
            Self::Surplus => "surplus",
            Self::WrongAmount => "wrong_amount",
            Self::Unknown => "no_such_payment",
        }
    }
}

/// Applies it. Committed when it returns; an error means that nobody knows.
pub(crate) async fn apply(
    shared: &Shared,
    update: PaymentUpdate,
    comes: Comes,
) -> PortResult<Word> {
    let (payment, order, state) = (update.payment, update.order, update.state);
    Ok(match shared.apply(update).await? {
        PaymentStep::Applied { order, gate } => {
            shared.entered_by_payment(&order, gate);
            if order.state == OrderState::Paid {
                shared.take_up(order);
            }
            Word::Applied
        }
        PaymentStep::Ignored { order, gate } => {
            // Whoever applied it may have lost the ledger's answer: the gate hears the same word once more, and the buyer.
            if comes == Comes::Again
                && state == PaymentState::Succeeded
                && order.state == OrderState::Fulfilled
                && order.payment == Some(payment)
            {
                shared.tell_entered(&order);
            }
            if gate.is_some() {
                shared.follow(&order, gate);
            } else if order.state == OrderState::Refunded {
                shared.follow_with(&order, None, Goods::CameBack);
            }
            if order.state == OrderState::Paid {
                shared.take_up(order);
            }
            Word::Ignored
        }
        PaymentStep::Surplus(order) => {
            tracing::warn!(sale = %order.sale, order = %order.id, %payment, state = order.state.as_str(),
                "money came for an order that cannot take it: it goes back");
            Word::Surplus
        }
        PaymentStep::WrongAmount => {
            tracing::error!(%order, %payment, "the provider names another amount or currency than the payment has");
            Word::WrongAmount
        }
        PaymentStep::Unknown => Word::Unknown,
    })
}
