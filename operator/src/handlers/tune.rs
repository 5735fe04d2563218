//! Changes of a sale: its policy, its course, its notice, its stock. All of them honour `If-Match`.

use http::StatusCode;
use serde_json::json;
use sluice_core::{
    policy::OutOfRange,
    ports::{Audit, Changed, Notice, PortError},
    sale::{ChangeRefused, Sale, SaleChange},
};
use sluice_http::{Problem, Response};

use crate::{
    audited::{Attempt, Refusal, stale},
    desk::Desk,
    reply::{self, if_match, no_such_sale, no_such_sku},
    wire::{NoticeBody, PolicyBody, ReasonBody, StockBody},
};

type Answer = Result<Response, Refusal>;

pub(crate) async fn policy(mut attempt: Attempt) -> Answer {
    let body: PolicyBody = attempt.json().await?;
    apply(attempt, SaleChange::Policy(body.into_patch()), None).await
}

pub(crate) async fn pause(attempt: Attempt) -> Answer {
    steer(attempt, SaleChange::Pause).await
}

/// Also lifts a freeze.
pub(crate) async fn resume(attempt: Attempt) -> Answer {
    steer(attempt, SaleChange::Resume).await
}

pub(crate) async fn close(attempt: Attempt) -> Answer {
    steer(attempt, SaleChange::Close).await
}

pub(crate) async fn freeze(attempt: Attempt) -> Answer {
    steer(attempt, SaleChange::Freeze).await
}

async fn steer(mut attempt: Attempt, change: SaleChange) -> Answer {
    let body: ReasonBody = attempt.json_if_any().await?;
    apply(attempt, change, body.reason).await
}

pub(crate) async fn notice(mut attempt: Attempt) -> Answer {
    let body: NoticeBody = attempt.json().await?;
    apply(attempt, SaleChange::Notice(body.text), body.reason).await
}

/// The one change that a repeat makes twice: a client that did not hear the answer repeats it with `If-Match`.
pub(crate) async fn stock(mut attempt: Attempt) -> Answer {
    let body: StockBody = attempt.json().await?;
    let sku = attempt.sku()?;
    apply(attempt, SaleChange::AddStock { sku, units: body.add.to_u64() }, body.reason).await
}

/// The ledger first, with the audit row; then whoever has to hear of it.
async fn apply(attempt: Attempt, change: SaleChange, reason: Option<String>) -> Answer {
    let Attempt { desk, caller, exchange } = &attempt;
    let reason = attempt.reason(reason)?;
    let expected = if_match(exchange)?;
    let id = attempt.sale()?;
    let sale = desk.ports.ledger.sale(&id).await?.ok_or_else(no_such_sale)?;
    if expected.is_none_or(|expected| expected == sale.version) && alters_nothing(&sale, &change) {
        let audit = Audit {
            author: caller.author(),
            verb: change.verb().to_owned(),
            subject: id.to_string(),
            before: json!({ "version": sale.version }),
            after: json!({ "version": sale.version }),
            result: "unchanged".to_owned(),
            reason,
        };
        desk.ports.ledger.record(audit).await?;
        // It may be a repeat because the first answer was lost, and with it the news.
        desk.announce(&sale).await;
        return Ok(reply::sale(desk, StatusCode::OK, &sale));
    }
    match desk
        .ports
        .ledger
        .change_sale(&id, expected, change.clone(), &caller.author(), reason)
        .await?
    {
        Changed::Done(sale) => {
            restock(desk, &sale, &change).await;
            desk.announce(&sale).await;
            if let SaleChange::AddStock { .. } = change {
                desk.tell(Notice::StockReturned { sale: sale.id.clone() }).await;
            }
            Ok(reply::sale(desk, StatusCode::OK, &sale))
        }
        Changed::NoSuchSale => Err(no_such_sale().into()),
        Changed::Stale { current } => Err(stale(current).into()),
        Changed::Refused(refused) => Err(Refusal::Recorded(refusal(&refused))),
    }
}

/// A pause of what is paused, a close of what is closed, a policy that says what is so: no version, no news.
fn alters_nothing(sale: &Sale, change: &SaleChange) -> bool {
    sale.changed(change).is_ok_and(|next| Sale { version: sale.version, ..next } == *sale)
}

/// Tells the gate of added stock. The ledger has it; a gate that cannot be told is rebuilt from there.
async fn restock(desk: &Desk, sale: &Sale, change: &SaleChange) {
    let SaleChange::AddStock { sku, .. } = change else { return };
    let told = async {
        // The ledger's own word: what was given back counts there too.
        let stock = desk.ports.ledger.stock(&sale.id).await?;
        match stock.iter().find(|balance| balance.sku == *sku) {
            Some(balance) => desk.ports.gate.restock(&sale.id, &balance.restock()).await,
            None => Ok(()),
        }
    };
    match told.await {
        // A cold gate is rebuilt from the ledger before it is asked for anything.
        Ok(()) | Err(PortError::Cold) => {}
        Err(error) => tracing::warn!(
            sale = %sale.id,
            %sku,
            error = &error as &dyn std::error::Error,
            "the gate could not be told of added stock; it learns of it when it is next set right from the ledger"
        ),
    }
}

fn refusal(refused: &ChangeRefused) -> Problem {
    match refused {
        ChangeRefused::OutOfRange(broken) => Problem::out_of_range(&as_written(broken)),
        ChangeRefused::Closed => Problem::conflict(
            "sale_closed",
            "The sale is closed for good. Make a new one to go on selling.",
        ),
        ChangeRefused::NoSuchSku => no_such_sku(),
    }
}

/// The range of `add` when the SKU is full reads `1 to 0`: say what is meant.
fn as_written(broken: &OutOfRange) -> OutOfRange {
    if broken.rule == "must be 1 to 0" {
        return OutOfRange::new(
            broken.field.clone(),
            "cannot be more: the SKU has the most units it can have",
        );
    }
    broken.clone()
}

#[cfg(test)]
mod tests {
    use sluice_core::{clock::UnixMillis, sale::NewSale};

    use super::*;

    fn sale() -> Sale {
        let json =
            r#"{"id":"drop","skus":[{"sku":"a","stock":10,"amount_fen":1,"currency":"CNY"}]}"#;
        serde_json::from_str::<NewSale>(json).unwrap().build(UnixMillis(0)).unwrap()
    }

    #[test]
    fn what_is_so_already_alters_nothing() {
        let patch = |json: &str| SaleChange::Policy(serde_json::from_str(json).unwrap());
        let paused = sale().changed(&SaleChange::Pause).unwrap();
        assert!(alters_nothing(&paused, &SaleChange::Pause));
        assert!(alters_nothing(&sale(), &patch(r#"{"fraction":0.02}"#)));
        assert!(alters_nothing(&sale(), &SaleChange::Notice(None)));
        assert!(!alters_nothing(&paused, &SaleChange::Resume));
        assert!(!alters_nothing(&sale(), &patch(r#"{"fraction":0.03}"#)));
        assert!(
            !alters_nothing(&sale(), &patch(r#"{"fraction":7}"#)),
            "a refusal is for the ledger to record"
        );
    }
}
