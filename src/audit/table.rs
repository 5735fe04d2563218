//! The audit log as a table for people. What others wrote into it (reasons, names of headers) is printed without control
//! characters: a terminal must not obey a row.

use std::io::{self, Write};

use serde_json::Value;
use sluice_core::ports::AuditRow;

use super::chain::Chain;
use crate::api::text;

/// Changes told of one row; more are counted.
const CHANGES_MAX: usize = 4;
/// Characters told of one value.
const VALUE_CHARS_MAX: usize = 40;

pub(super) fn head(out: &mut impl Write) -> io::Result<()> {
    writeln!(
        out,
        "{:>7}  {:<24} {:<16} {:<15} {:<16} {:<24} {:<14} CHANGE",
        "ID", "AT", "WHO", "FROM", "WHAT", "ON", "RESULT"
    )
}

pub(super) fn row(out: &mut impl Write, row: &AuditRow) -> io::Result<()> {
    let AuditRow { id, author, verb, subject, result, .. } = row;
    let address = author.address.map_or_else(|| "-".to_owned(), |address| address.to_string());
    let [who, verb, on, result] = [&author.name, verb, subject, result].map(|text| plain(text));
    let mut told = changes(&row.before, &row.after);
    if let Some(reason) = &row.reason {
        told.push(format!("({})", plain(reason)));
    }
    writeln!(
        out,
        "{id:>7}  {:<24} {who:<16} {address:<15} {verb:<16} {on:<24} {result:<14} {}",
        row.at.to_string(),
        told.join(", ")
    )
}

/// What was read, whether it holds, and how to read on.
pub(super) fn foot(out: &mut impl Write, chain: &Chain, next: Option<u64>) -> io::Result<()> {
    let Some((oldest, newest)) = chain.range() else {
        return writeln!(out, "nothing is on record");
    };
    for fault in chain.faults() {
        writeln!(out, "row {}: {}", fault.id, fault.what)?;
    }
    let verdict = if chain.holds() { "the chain holds" } else { "the chain is BROKEN" };
    writeln!(out, "{verdict}: rows {oldest} to {newest} were checked")?;
    match next {
        Some(next) => writeln!(out, "more: --before {next}, or --all"),
        None => Ok(()),
    }
}

/// The values that differ, as `key before → after`. What was made or removed as a whole is not listed.
fn changes(before: &Value, after: &Value) -> Vec<String> {
    let mut found = Vec::new();
    if before.is_object() && after.is_object() {
        compare("", before, after, &mut found);
    }
    let more = found.len().saturating_sub(CHANGES_MAX);
    found.truncate(CHANGES_MAX);
    if more > 0 {
        found.push(format!("and {more} more"));
    }
    found
}

fn compare(path: &str, before: &Value, after: &Value, found: &mut Vec<String>) {
    if let (Value::Object(old), Value::Object(new)) = (before, after) {
        let added = new.keys().filter(|key| !old.contains_key(*key));
        for key in old.keys().chain(added) {
            let path = if path.is_empty() { plain(key) } else { format!("{path}.{}", plain(key)) };
            compare(&path, &before[key], &after[key], found);
        }
    } else if before != after {
        found.push(format!("{path} {} → {}", short(before), short(after)));
    }
}

fn short(value: &Value) -> String {
    let whole = plain(&text(value));
    match whole.char_indices().nth(VALUE_CHARS_MAX) {
        Some((end, _)) => format!("{}…", &whole[..end]),
        None => whole,
    }
}

/// Without what a terminal would act on.
fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_what_differs_is_told() {
        let before = json!({ "policy": { "fraction": 0.02, "line_cap": 5 }, "notice": null });
        let after =
            json!({ "policy": { "fraction": 0.05, "line_cap": 5 }, "notice": { "en": "Soon" } });
        assert_eq!(
            changes(&before, &after),
            ["notice - → {\"en\":\"Soon\"}", "policy.fraction 0.02 → 0.05"]
        );
        assert!(changes(&Value::Null, &after).is_empty(), "what was made as a whole");
        let many = json!({ "a": 1, "b": 1, "c": 1, "d": 1, "e": 1, "f": 1 });
        assert_eq!(changes(&json!({}), &many).last().unwrap(), "and 2 more");
        assert!(changes(&json!({ "a": "" }), &json!({ "a": "x".repeat(500) }))[0].len() < 60);
    }

    #[test]
    fn a_terminal_obeys_no_row() {
        let mut rows = super::super::chain::tests::log(1);
        rows[0].reason = Some("\u{1b}[2Jgone\r\n8 forged".into());
        let mut out = Vec::new();
        row(&mut out, &rows[0]).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert_eq!(text.lines().count(), 1);
        assert!(!text.contains('\u{1b}') && text.contains("forged"), "{text:?}");
    }
}
