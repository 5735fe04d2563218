//! Asking the ledger for holds, and finding the one turn it cannot store among many it could.

use sluice_core::{
    ids::SaleId,
    ports::{HoldReply, HoldRequest, PortError, PortResult},
};

use crate::shared::Shared;

/// Asks for a batch in one transaction; replies in the order of `requests`, `None` for a request that the ledger rejects
/// although it takes others. An error means that the ledger is away.
///
/// A batch that fails while the ledger can write is halved, the lower half first, so that grants stay in order of `seq`.
pub(crate) async fn hold(
    shared: &Shared,
    sale: &SaleId,
    requests: &[HoldRequest],
) -> PortResult<Vec<Option<HoldReply>>> {
    let mut replies: Vec<Option<HoldReply>> = vec![None; requests.len()];
    let mut parts = Vec::new();
    parts.push(0..requests.len());
    while let Some(part) = parts.pop() {
        let asked = &requests[part.clone()];
        match shared.ask(|| shared.ports.ledger.hold(sale, asked.to_vec())).await {
            Ok(answers) if answers.len() == asked.len() => {
                for (reply, answer) in replies[part].iter_mut().zip(answers) {
                    *reply = Some(answer);
                }
            }
            Ok(_) => return Err(PortError::unavailable("the ledger's replies were miscounted")),
            Err(PortError::Unavailable(cause)) if shared.ledger_writes().await => {
                if part.len() > 1 {
                    let middle = part.start + part.len() / 2;
                    parts.push(middle..part.end);
                    parts.push(part.start..middle);
                } else {
                    tracing::error!(%sale, error = &*cause, "the ledger rejects a turn");
                }
            }
            Err(error) => return Err(error),
        }
    }
    Ok(replies)
}
