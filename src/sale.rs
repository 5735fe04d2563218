//! `sluice sale …`: sales from a terminal, over the operator API.

use std::{
    fs,
    io::{self, Read},
    path::Path,
};

use anyhow::bail;
use http::Method;
use serde_json::{Map, Value, json};

use crate::{
    api::{self, Api, Call},
    cli::{CreateSale, SaleCommand, SaleOptions},
    exit::Usage,
};

mod table;

/// Largest file of a seated SKU: far more than the most seats need.
const SEATS_BYTES_MAX: u64 = 1024 * 1024;

pub(crate) fn command(options: &SaleOptions) -> anyhow::Result<()> {
    let call = call_of(&options.command)?;
    let answer = Api::of(&options.admin)?.ask(call)?;
    let mut out = io::stdout().lock();
    if options.admin.json {
        api::print_json(&mut out, &answer)
    } else {
        Ok(table::print(&mut out, &options.command, &answer)?)
    }
}

fn call_of(command: &SaleCommand) -> anyhow::Result<Call> {
    let verb = |sale: &str, verb: &str, reason: &Option<String>| {
        Call::post(format!("/v1/sales/{sale}/{verb}"), api::reason_body(reason.as_ref()))
    };
    let told = |path: String, mut body: Value, reason: &Option<String>| {
        if let Some(reason) = reason {
            body["reason"] = json!(reason);
        }
        Call::post(path, body)
    };
    Ok(match command {
        SaleCommand::Create(create) => Call::post("/v1/sales", new_sale(create)?),
        SaleCommand::List => Call::get("/v1/sales"),
        SaleCommand::Show { sale } => Call::get(format!("/v1/sales/{sale}/stats")),
        SaleCommand::Tune { sale, changes, if_version, reason } => Call {
            method: Method::PATCH,
            path: format!("/v1/sales/{sale}/policy"),
            body: Some(Value::Object(pairs(changes)?)),
            if_version: *if_version,
            reason: reason.clone(),
        },
        SaleCommand::Pause(it) => verb(&it.sale, "pause", &it.reason),
        SaleCommand::Resume(it) => verb(&it.sale, "resume", &it.reason),
        SaleCommand::Close(it) => verb(&it.sale, "close", &it.reason),
        SaleCommand::Freeze(it) => verb(&it.sale, "freeze", &it.reason),
        SaleCommand::Delete(it) => Call {
            method: Method::DELETE,
            reason: it.reason.clone(),
            ..Call::get(format!("/v1/sales/{}", it.sale))
        },
        SaleCommand::Notice { sale, texts, reason } => {
            let text = if texts.is_empty() { Value::Null } else { Value::Object(notice(texts)?) };
            told(format!("/v1/sales/{sale}/notice"), json!({ "text": text }), reason)
        }
        SaleCommand::Stock { sale, sku, add, reason } => {
            told(format!("/v1/sales/{sale}/skus/{sku}/stock"), json!({ "add": add }), reason)
        }
    })
}

fn new_sale(create: &CreateSale) -> anyhow::Result<Value> {
    let mut skus = Vec::new();
    for text in &create.skus {
        let parts: Vec<&str> = text.split(':').collect();
        let [sku, stock, price] = parts[..] else {
            bail!(Usage(format!(
                "--sku {text}: write SKU:STOCK:PRICE, such as standard:10000:9900"
            )));
        };
        let number = |what: &str, text: &str| {
            text.parse::<u64>().map_err(|_| {
                Usage(format!("--sku {sku}: the {what} must be a whole number, not `{text}`"))
            })
        };
        skus.push(json!({
            "sku": sku, "stock": number("stock", stock)?, "amount_fen": number("price", price)?, "currency": create.currency,
        }));
    }
    for file in &create.seats {
        skus.push(seated_sku(file, &create.currency)?);
    }
    let mut sale = json!({ "id": create.sale, "skus": skus, "policy": pairs(&create.policy)? });
    for (key, value) in
        [("title", &create.title), ("opens_at", &create.opens_at), ("closes_at", &create.closes_at)]
    {
        if let Some(value) = value {
            sale[key] = json!(value);
        }
    }
    Ok(sale)
}

/// A seated SKU as a file describes it. What is in it the operator API checks.
fn seated_sku(file: &Path, currency: &str) -> anyhow::Result<Value> {
    let shown = file.display();
    let mut text = String::new();
    let read = fs::File::open(file)
        .and_then(|opened| opened.take(SEATS_BYTES_MAX + 1).read_to_string(&mut text));
    read.map_err(|error| Usage(format!("--seats {shown}: cannot be read: {error}")))?;
    if text.len() as u64 > SEATS_BYTES_MAX {
        bail!(Usage(format!("--seats {shown}: must be at most {SEATS_BYTES_MAX} bytes")));
    }
    let mut sku: Map<String, Value> = toml::from_str(&text).map_err(|error| {
        Usage(format!(
            "--seats {shown}: write TOML with sku, amount_fen, stops = [\"…\"] and seats = [\"01A\", …]: {error}"
        ))
    })?;
    sku.entry("currency").or_insert_with(|| json!(currency));
    Ok(Value::Object(sku))
}

/// `key=value` pairs as JSON; dots make inner objects: `limits.per_ip.burst=50`.
fn pairs(texts: &[String]) -> anyhow::Result<Map<String, Value>> {
    let mut all = Map::new();
    for text in texts {
        let Some((key, value)) = text.split_once('=') else {
            bail!(Usage(format!("`{text}`: write KEY=VALUE, such as fraction=0.05")));
        };
        let value = serde_json::from_str(value).unwrap_or_else(|_| json!(value));
        put(&mut all, key, value);
    }
    Ok(all)
}

fn put(object: &mut Map<String, Value>, key: &str, value: Value) {
    match key.split_once('.') {
        None => {
            object.insert(key.to_owned(), value);
        }
        Some((first, rest)) => {
            let inner = object.entry(first).or_insert_with(|| json!({}));
            if let Value::Object(inner) = inner {
                put(inner, rest, value);
            }
        }
    }
}

fn notice(texts: &[String]) -> anyhow::Result<Map<String, Value>> {
    let pair = |text: &String| {
        let (language, words) = text.split_once('=').ok_or_else(|| {
            Usage(format!("`{text}`: write LANGUAGE=TEXT, such as en=\"Back in ten minutes\""))
        })?;
        Ok((language.to_owned(), json!(words)))
    };
    texts.iter().map(pair).collect()
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::{Cli, Command};

    fn call(line: &str) -> anyhow::Result<Call> {
        let Command::Sale(options) = Cli::try_parse_from(line.split(' ')).unwrap().command else {
            panic!("{line}")
        };
        call_of(&options.command)
    }

    #[test]
    fn commands_are_calls_of_the_operator_api() {
        let tune =
            call("sluice sale tune drop fraction=0.05 limits.per_ip.burst=50 --if-version 7")
                .unwrap();
        assert_eq!(tune.method, Method::PATCH);
        assert_eq!(tune.path, "/v1/sales/drop/policy");
        assert_eq!(
            tune.body,
            Some(json!({ "fraction": 0.05, "limits": { "per_ip": { "burst": 50 } } }))
        );
        assert_eq!((tune.if_version, tune.reason), (Some(7), None));
        let remove = call("sluice sale tune drop limits.per_ip=null").unwrap();
        assert_eq!(remove.body, Some(json!({ "limits": { "per_ip": null } })));
        let create =
            call("sluice sale create drop --sku a:10:9900 --policy tail_per_second=1").unwrap();
        let sku = json!({ "sku": "a", "stock": 10, "amount_fen": 9900, "currency": "CNY" });
        assert_eq!(
            create.body,
            Some(json!({ "id": "drop", "skus": [sku], "policy": { "tail_per_second": 1 } }))
        );
        assert_eq!(call("sluice sale notice drop").unwrap().body, Some(json!({ "text": null })));
        assert_eq!(
            call("sluice sale notice drop en=Soon").unwrap().body,
            Some(json!({ "text": { "en": "Soon" } }))
        );
    }

    #[test]
    fn a_reason_goes_into_the_body_or_where_there_is_none_beside_it() {
        let tune = call("sluice sale tune drop fraction=0.05 --reason slow").unwrap();
        assert_eq!(tune.reason.as_deref(), Some("slow"));
        assert_eq!(tune.body, Some(json!({ "fraction": 0.05 })), "the body is the policy");
        let delete = call("sluice sale delete drop --reason over").unwrap();
        assert_eq!((&delete.method, &*delete.path), (&Method::DELETE, "/v1/sales/drop"));
        assert_eq!((delete.body, delete.reason.as_deref()), (None, Some("over")));
        let stock = call("sluice sale stock drop a --add 5 --reason found").unwrap();
        assert_eq!(stock.body, Some(json!({ "add": 5, "reason": "found" })));
        let notice = call("sluice sale notice drop --reason over").unwrap();
        assert_eq!(notice.body, Some(json!({ "text": null, "reason": "over" })));
        let pause = call("sluice sale pause drop --reason tea").unwrap();
        assert_eq!(pause.body, Some(json!({ "reason": "tea" })));
    }

    #[test]
    fn seats_come_from_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("second.toml");
        let second =
            "sku = \"second\"\namount_fen = 100\nstops = [\"a\", \"b\"]\nseats = [\"01A\"]\n";
        fs::write(&file, second).unwrap();
        let line = format!("sluice sale create train --currency EUR --seats {}", file.display());
        let seats = json!({ "sku": "second", "amount_fen": 100, "stops": ["a", "b"], "seats": ["01A"], "currency": "EUR" });
        let body = call(&line).unwrap().body.unwrap();
        assert_eq!(body["skus"], json!([seats]));
        fs::write(&file, "sku = ").unwrap();
        assert!(call(&line).unwrap_err().is::<Usage>());
        fs::remove_file(&file).unwrap();
        let error = call(&line).unwrap_err();
        assert!(error.to_string().contains("cannot be read"), "{error}");
    }

    #[test]
    fn a_sale_without_goods_is_told_of_both_kinds() {
        let error = Cli::try_parse_from("sluice sale create drop".split(' ')).unwrap_err();
        let said = error.to_string();
        assert!(said.contains("--sku <") && said.contains("--seats <"), "{said}");
        let both = "sluice sale create drop --sku a:1:1 --seats b.toml";
        assert!(Cli::try_parse_from(both.split(' ')).is_ok());
    }

    #[test]
    fn mistakes_say_how_to_write_it() {
        for line in [
            "sluice sale tune drop fast",
            "sluice sale create drop --sku a:x:1",
            "sluice sale create drop --sku a",
        ] {
            let error = call(line).unwrap_err();
            assert!(error.is::<Usage>(), "{error}");
        }
    }
}
