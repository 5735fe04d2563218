//! `sluice audit`: who did what, over the operator API, page by page. The rows are a chain, and what is read of it is checked:
//! exits 70 when a row is not as it was written.

use std::io::{self, Write};

use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};
use sluice_core::ports::AuditRow;

use crate::{
    api::{self, Api, Call},
    cli::AuditOptions,
    exit::Broken,
};

mod chain;
mod table;

use chain::{Chain, Fault};

/// Rows of one answer when all are read: the most the operator API gives.
const PAGE_ROWS: u32 = 500;

/// One answer of the operator API.
#[derive(Debug, Deserialize)]
struct Page {
    rows: Vec<AuditRow>,
    next_before: Option<u64>,
}

/// What `--json` prints.
#[derive(Debug, Serialize)]
struct Answer<'a> {
    rows: &'a [AuditRow],
    next_before: Option<u64>,
    chain: Verdict<'a>,
}

#[derive(Debug, Serialize)]
struct Verdict<'a> {
    /// Of the rows in this answer.
    holds: bool,
    faults: &'a [Fault],
}

pub(crate) fn command(options: &AuditOptions) -> anyhow::Result<()> {
    let api = Api::of(&options.admin)?;
    let mut out = io::stdout().lock();
    let chain = read(options, |call| page(api.ask(call)?), &mut out)?;
    if chain.holds() { Ok(()) } else { bail!(Broken) }
}

fn page(answer: serde_json::Value) -> anyhow::Result<Page> {
    serde_json::from_value(answer).context("the answer is no page of an audit log")
}

/// Asks page by page and prints: people see each page when it is there, scripts get one answer at the end.
fn read(
    options: &AuditOptions,
    ask: impl Fn(Call) -> anyhow::Result<Page>,
    out: &mut impl Write,
) -> anyhow::Result<Chain> {
    let (json, mut kept) = (options.admin.json, Vec::new());
    let (mut chain, mut before) = (Chain::default(), options.before);
    if !json {
        table::head(out)?;
    }
    loop {
        let Page { rows, next_before } = ask(call_of(options, before))?;
        for row in &rows {
            chain.take(row);
            if !json {
                table::row(out, row)?;
            }
        }
        if json {
            kept.extend(rows);
        }
        // A server that sends us back where we were would keep us for ever.
        let goes_on = next_before.is_some_and(|next| before.is_none_or(|before| next < before));
        before = next_before;
        if !(options.all && goes_on) {
            break;
        }
    }
    if json {
        let chain = Verdict { holds: chain.holds(), faults: chain.faults() };
        let answer = Answer { rows: &kept, next_before: before, chain };
        api::print_json(out, &serde_json::to_value(answer)?)?;
    } else {
        table::foot(out, &chain, before)?;
    }
    Ok(chain)
}

fn call_of(options: &AuditOptions, before: Option<u64>) -> Call {
    let limit = if options.all { PAGE_ROWS } else { options.limit };
    let before = before.map_or_else(String::new, |id| format!("&before={id}"));
    Call::get(format!("/v1/audit?limit={limit}{before}"))
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use clap::Parser;
    use serde_json::Value;

    use super::{chain::tests::log, *};
    use crate::cli::{Cli, Command};

    fn options(line: &str) -> AuditOptions {
        let Command::Audit(options) = Cli::try_parse_from(line.split(' ')).unwrap().command else {
            panic!("not `audit`: {line}");
        };
        options
    }

    /// What is printed for a log that is served `page_rows` rows at a time, what was asked for, and whether the chain holds.
    fn printed(line: &str, rows: &[AuditRow], page_rows: usize) -> (String, Vec<String>, bool) {
        let (asked, mut out) = (RefCell::new(Vec::new()), Vec::new());
        let ask = |call: Call| {
            let before = call.path.split_once("before=").map(|(_, id)| id.parse().unwrap());
            asked.borrow_mut().push(call.path);
            let older = rows.iter().filter(|row| before.is_none_or(|before| row.id < before));
            let rows: Vec<AuditRow> = older.take(page_rows).cloned().collect();
            let next_before = rows.last().map(|row| row.id).filter(|id| *id > 1);
            Ok(Page { rows, next_before })
        };
        let chain = read(&options(line), ask, &mut out).unwrap();
        (String::from_utf8(out).unwrap(), asked.into_inner(), chain.holds())
    }

    #[test]
    fn one_page_is_read_and_says_how_to_go_on() {
        let (text, asked, holds) = printed("sluice audit --before 8 --limit 3", &log(9), 3);
        assert_eq!(asked, ["/v1/audit?limit=3&before=8"]);
        assert!(holds && text.contains("rows 5 to 7"), "{text}");
        assert!(text.contains("--before 5"), "{text}");
        let ids: Vec<&str> = text
            .lines()
            .skip(1)
            .take(3)
            .map(|line| line.split_whitespace().next().unwrap())
            .collect();
        assert_eq!(ids, ["7", "6", "5"]);
    }

    #[test]
    fn all_of_it_is_read_page_by_page() {
        let (text, asked, holds) = printed("sluice audit --all", &log(9), 4);
        assert_eq!(
            asked,
            ["/v1/audit?limit=500", "/v1/audit?limit=500&before=6", "/v1/audit?limit=500&before=2"]
        );
        assert!(holds && text.contains("rows 1 to 9"), "{text}");
    }

    #[test]
    fn a_break_between_two_pages_is_found_and_said() {
        let mut rows = log(9);
        rows[4].subject = "other".into();
        rows[4].hash = rows[4].content_hash();
        let (text, _, holds) = printed("sluice audit --all", &rows, 4);
        assert!(!holds && text.contains("BROKEN") && text.contains("row 6"), "{text}");
        let (text, _, holds) = printed("sluice audit --all --json", &rows, 4);
        let answer: Value = serde_json::from_str(&text).unwrap();
        assert!(!holds);
        assert_eq!(answer["rows"].as_array().unwrap().len(), 9);
        assert_eq!(
            (&answer["chain"]["holds"], &answer["chain"]["faults"][0]["id"]),
            (&false.into(), &6.into())
        );
        assert_eq!(answer["next_before"], Value::Null);
    }

    #[test]
    fn an_empty_log_and_a_strange_answer_are_told_apart() {
        let (text, _, holds) = printed("sluice audit", &[], 4);
        assert!(holds && text.contains("nothing"), "{text}");
        assert!(page(serde_json::json!({ "rows": [{ "id": 1 }], "next_before": null })).is_err());
    }

    #[test]
    fn how_far_is_said_in_one_way() {
        assert!(Cli::try_parse_from(["sluice", "audit", "--all", "--limit", "5"]).is_err());
        assert!(Cli::try_parse_from(["sluice", "audit", "--limit", "501"]).is_err());
    }
}
