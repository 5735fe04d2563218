//! `sluice reconcile`: the balance of every sale, over the operator API. Exits 70 when something does not add up.

use std::io::{self, Write};

use anyhow::bail;
use serde_json::{Value, json};
use sluice_core::ids::SaleId;

use crate::{
    api::{self, Api, Call, text},
    cli::ReconcileOptions,
    exit::{Broken, Usage},
};

pub(crate) fn command(options: &ReconcileOptions) -> anyhow::Result<()> {
    let answer = Api::of(&options.admin)?.ask(call_of(options)?)?;
    let mut out = io::stdout().lock();
    if options.admin.json {
        api::print_json(&mut out, &answer)?;
    } else {
        print(&mut out, &answer)?;
    }
    // What is not said to be sound is not.
    if answer["sound"] == json!(true) { Ok(()) } else { bail!(Broken) }
}

fn call_of(options: &ReconcileOptions) -> anyhow::Result<Call> {
    if let Some(sale) = &options.sale
        && SaleId::new(sale).is_err()
    {
        bail!(Usage(format!(
            "--sale {sale}: is not the id of a sale; `sluice sale list` shows them"
        )));
    }
    Ok(match (options.last, &options.sale) {
        (true, None) => Call::get("/v1/reconciliation"),
        (true, Some(sale)) => Call::get(format!("/v1/reconciliation?sale={sale}")),
        (false, sale) => Call::post(
            "/v1/reconciliation/run",
            sale.as_ref().map_or_else(|| json!({}), |sale| json!({ "sale": sale })),
        ),
    })
}

fn print(out: &mut impl Write, answer: &Value) -> io::Result<()> {
    let sales = answer["sales"].as_array().map(Vec::as_slice).unwrap_or_default();
    if sales.is_empty() {
        return writeln!(out, "no sale has been reconciled");
    }
    for sale in sales {
        let [id, verdict, at] = ["sale", "verdict", "at"].map(|key| text(&sale[key]));
        let [repaired, leaks] = ["repaired", "leaks"].map(|key| text(&sale[key]));
        writeln!(
            out,
            "{id}: {verdict} at {at} ({repaired} holds set right, {leaks} leaks released)"
        )?;
        writeln!(
            out,
            "  {:<24} {:>11} {:>11} {:>9} {:>9} {:>11} {:>12} {:>9} {:>7} {:>7}",
            "SKU",
            "TOTAL",
            "AVAILABLE",
            "OWED",
            "HELD",
            "SOLD",
            "GATE FREE",
            "GATE HELD",
            "DRIFT",
            "LEFT"
        )?;
        for sku in sale["skus"].as_array().into_iter().flatten() {
            let ledger = ["total", "available", "owed", "held", "sold"].map(|key| text(&sku[key]));
            let [total, available, owed, held, sold] = ledger;
            let [free, in_gate] = ["available", "held"].map(|key| text(&sku["gate"][key]));
            let [name, drift, left] =
                ["sku", "drift", "remaining_drift"].map(|key| text(&sku[key]));
            writeln!(
                out,
                "  {name:<24} {total:>11} {available:>11} {owed:>9} {held:>9} {sold:>11} {free:>12} {in_gate:>9} {drift:>7} {left:>7}"
            )?;
        }
        print_money(out, sale)?;
        for finding in sale["findings"].as_array().into_iter().flatten() {
            writeln!(out, "  does not add up: {}", text(&finding["detail"]))?;
        }
    }
    Ok(())
}

fn print_money(out: &mut impl Write, sale: &Value) -> io::Result<()> {
    for money in sale["money"].as_array().into_iter().flatten() {
        let [currency, taken, kept, refunded, in_flight] =
            ["currency", "taken", "kept", "refunded", "in_flight"].map(|key| text(&money[key]));
        writeln!(
            out,
            "  money ({currency}, fen): {taken} taken = {kept} kept + {refunded} refunded + {in_flight} on their way back"
        )?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::{Cli, Command};

    fn call(line: &str) -> anyhow::Result<Call> {
        let Command::Reconcile(options) = Cli::try_parse_from(line.split(' ')).unwrap().command
        else {
            panic!("{line}")
        };
        call_of(&options)
    }

    #[test]
    fn it_looks_anew_unless_told_otherwise() {
        let run = Call::post("/v1/reconciliation/run", json!({ "sale": "drop" }));
        assert_eq!(call("sluice reconcile --sale drop").unwrap(), run);
        assert_eq!(call("sluice reconcile --last").unwrap(), Call::get("/v1/reconciliation"));
        assert!(call("sluice reconcile --sale ../x").unwrap_err().is::<Usage>());
    }

    #[test]
    fn the_balance_is_a_table_and_what_does_not_add_up_is_said() {
        let answer = json!({ "sound": false, "sales": [{
            "sale": "drop", "verdict": "broken", "at": "2026-01-01T00:00:00Z", "repaired": 1, "leaks": 2,
            "skus": [{ "sku": "a", "total": 10, "available": 5, "owed": 0, "held": 2, "sold": 2,
                "gate": { "available": 5, "held": 2 }, "drift": -1, "remaining_drift": 0 }],
            "money": [{ "currency": "CNY", "taken": 600, "kept": 300, "refunded": 200, "in_flight": 100 }],
            "findings": [{ "detail": "a: 9 of 10 units are accounted for" }],
        }] });
        let mut out = Vec::new();
        print(&mut out, &answer).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert!(text.contains("drop: broken"), "{text}");
        assert!(text.contains("9 of 10 units"), "{text}");
        assert!(text.contains("600 taken = 300 kept + 200 refunded + 100 on"), "{text}");
        let row: Vec<&str> = text.lines().nth(2).unwrap().split_whitespace().collect();
        assert_eq!(row, ["a", "10", "5", "0", "2", "2", "5", "2", "-1", "0"]);
    }
}
