//! Answers of the operator API as tables for people.

use std::io::{self, Write};

use serde_json::Value;

use crate::{
    api::{figures, text},
    cli::SaleCommand,
};

pub(super) fn print(out: &mut impl Write, command: &SaleCommand, answer: &Value) -> io::Result<()> {
    match command {
        SaleCommand::List => list(out, answer),
        SaleCommand::Show { sale } => show(out, sale, answer),
        SaleCommand::Delete(it) => writeln!(out, "{} is deleted", it.sale),
        SaleCommand::Create(_)
        | SaleCommand::Tune { .. }
        | SaleCommand::Pause(_)
        | SaleCommand::Resume(_)
        | SaleCommand::Close(_)
        | SaleCommand::Freeze(_)
        | SaleCommand::Notice { .. }
        | SaleCommand::Stock { .. } => {
            writeln!(
                out,
                "{} is {} (version {})",
                text(&answer["id"]),
                text(&answer["state"]),
                text(&answer["version"])
            )
        }
    }
}

fn list(out: &mut impl Write, answer: &Value) -> io::Result<()> {
    let sales = answer["sales"].as_array().or(answer.as_array());
    writeln!(
        out,
        "{:<24} {:<10} {:>8} {:>12} {:>12}  TITLE",
        "SALE", "STATE", "VERSION", "REMAINING", "STOCK"
    )?;
    for sale in sales.into_iter().flatten() {
        let stock: u64 = sale["skus"].as_array().into_iter().flatten().filter_map(stock).sum();
        let [id, state, version, remaining, title] =
            ["id", "state", "version", "remaining", "title"].map(|key| text(&sale[key]));
        writeln!(out, "{id:<24} {state:<10} {version:>8} {remaining:>12} {stock:>12}  {title}")?;
    }
    Ok(())
}

/// Units of a counted SKU, seats of a seated one.
fn stock(sku: &Value) -> Option<u64> {
    sku["stock"].as_u64().or_else(|| sku["seats"].as_array().map(|seats| seats.len() as u64))
}

fn show(out: &mut impl Write, sale: &str, answer: &Value) -> io::Result<()> {
    writeln!(out, "{sale}")?;
    figures(out, "", answer)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_list_shows_what_remains_beside_the_stock() {
        let sale = json!({
            "id": "drop", "title": "A drop", "state": "open", "version": 3, "remaining": 12,
            "skus": [{ "sku": "a", "stock": 10 }, { "sku": "b", "stock": 5 }],
        });
        let mut out = Vec::new();
        print(&mut out, &SaleCommand::List, &json!({ "sales": [sale] })).unwrap();
        let text = String::from_utf8(out).unwrap();
        let rows: Vec<Vec<&str>> =
            text.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(rows[0], ["SALE", "STATE", "VERSION", "REMAINING", "STOCK", "TITLE"]);
        assert_eq!(rows[1], ["drop", "open", "3", "12", "15", "A", "drop"]);
    }
}
