//! `sluice dead-letters …`: what could not be worked, from a terminal, over the operator API.

use std::io::{self, Write};

use anyhow::bail;
use http::Method;
use serde_json::{Value, json};

use crate::{
    api::{self, Api, Call, figures, text},
    cli::{LettersAndReason, LettersCommand, LettersOptions},
    exit::Usage,
};

pub(crate) fn command(options: &LettersOptions) -> anyhow::Result<()> {
    let api = Api::of(&options.admin)?;
    let mut answers = Vec::new();
    for call in calls_of(&options.command)? {
        answers.push(api.ask(call)?);
    }
    let mut out = io::stdout().lock();
    if options.admin.json {
        return match answers.as_slice() {
            [one] => api::print_json(&mut out, one),
            several => api::print_json(&mut out, &json!(several)),
        };
    }
    Ok(print(&mut out, &options.command, &answers)?)
}

/// One call for each letter that is named.
fn calls_of(command: &LettersCommand) -> anyhow::Result<Vec<Call>> {
    match command {
        LettersCommand::List { oldest, after, limit } => {
            let order = if *oldest { "oldest" } else { "newest" };
            let mut path = format!("/v1/dead-letters?order={order}&limit={limit}");
            if let Some(after) = after {
                path.push_str("&after=");
                path.push_str(checked(after)?);
            }
            Ok(vec![Call::get(path)])
        }
        LettersCommand::Show { id } => Ok(vec![Call::get(path(id)?)]),
        LettersCommand::Replay(it) => posts(it, "replay"),
        LettersCommand::Refuse(it) => posts(it, "refuse"),
        LettersCommand::Remove(it) => {
            let reason = it.reason.as_ref();
            let remove = |id: &String| -> anyhow::Result<Call> {
                let call = Call::post(path(id)?, api::reason_body(reason));
                Ok(Call { method: Method::DELETE, ..call })
            };
            it.ids.iter().map(remove).collect()
        }
    }
}

fn posts(it: &LettersAndReason, verb: &str) -> anyhow::Result<Vec<Call>> {
    let post = |id: &String| -> anyhow::Result<Call> {
        Ok(Call::post(format!("{}/{verb}", path(id)?), api::reason_body(it.reason.as_ref())))
    };
    it.ids.iter().map(post).collect()
}

fn path(id: &str) -> anyhow::Result<String> {
    Ok(format!("/v1/dead-letters/{}", checked(id)?))
}

/// What is no id must not become another path.
fn checked(id: &str) -> anyhow::Result<&str> {
    if sluice_core::ids::LetterId::new(id).is_err() {
        bail!(Usage(format!(
            "`{id}` is not the id of a letter; `sluice dead-letters list` shows them"
        )));
    }
    Ok(id)
}

fn print(out: &mut impl Write, command: &LettersCommand, answers: &[Value]) -> io::Result<()> {
    match command {
        LettersCommand::List { .. } => answers.iter().try_for_each(|answer| list(out, answer)),
        LettersCommand::Show { .. } => {
            answers.iter().try_for_each(|answer| figures(out, "", answer))
        }
        LettersCommand::Replay(_) => answers.iter().try_for_each(|answer| {
            writeln!(
                out,
                "{} is back in the queue `{}`",
                text(&answer["id"]),
                text(&answer["queue"])
            )
        }),
        LettersCommand::Refuse(_) => answers.iter().try_for_each(|answer| {
            let [id, entry, outcome] = ["id", "entry", "outcome"].map(|key| text(&answer[key]));
            writeln!(out, "{id} is gone: the entry {entry} is `{outcome}`")
        }),
        LettersCommand::Remove(it) => {
            it.ids.iter().try_for_each(|id| writeln!(out, "{id} is gone"))
        }
    }
}

fn list(out: &mut impl Write, answer: &Value) -> io::Result<()> {
    let letters = answer["letters"].as_array().map(Vec::as_slice).unwrap_or_default();
    if letters.is_empty() {
        return writeln!(out, "nothing is buried");
    }
    writeln!(
        out,
        "{:<36} {:<9} {:>5} {:>8}  {:<24} {:<36} REASON",
        "ID", "QUEUE", "TRIES", "AGE", "SALE", "ENTRY OR ORDER"
    )?;
    for letter in letters {
        let about = match (&letter["turn"]["entry"], &letter["callback"]["order"]) {
            (Value::String(entry), _) => entry.as_str(),
            (_, Value::String(order)) => order.as_str(),
            _ => "-",
        };
        let [id, queue, tries, reason] =
            ["id", "queue", "tries", "reason"].map(|key| text(&letter[key]));
        let (sale, age) = (text(&letter["turn"]["sale"]), age(&letter["age_seconds"]));
        writeln!(out, "{id:<36} {queue:<9} {tries:>5} {age:>8}  {sale:<24} {about:<36} {reason}")?;
    }
    match answer["next_after"].as_str() {
        Some(next) => writeln!(out, "more: --after {next}"),
        None => Ok(()),
    }
}

/// `45s`, `12m`, `5h`, `3d`.
fn age(seconds: &Value) -> String {
    match seconds.as_u64() {
        None => "-".to_owned(),
        Some(seconds @ 0..60) => format!("{seconds}s"),
        Some(seconds @ 60..3_600) => format!("{}m", seconds / 60),
        Some(seconds @ 3_600..86_400) => format!("{}h", seconds / 3_600),
        Some(seconds) => format!("{}d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::{Cli, Command};

    fn calls(line: &str) -> anyhow::Result<Vec<Call>> {
        let Command::DeadLetters(options) = Cli::try_parse_from(line.split(' ')).unwrap().command
        else {
            panic!("{line}")
        };
        calls_of(&options.command)
    }

    #[test]
    fn commands_are_calls_of_the_operator_api() {
        let list = calls("sluice dead-letters list --oldest --after 7 --limit 3").unwrap();
        assert_eq!(list, [Call::get("/v1/dead-letters?order=oldest&limit=3&after=7")]);
        let replay = calls("sluice dead-letters replay 7 8 --reason mended").unwrap();
        let body = json!({ "reason": "mended" });
        assert_eq!(
            replay,
            ["7", "8"].map(|id| Call::post(format!("/v1/dead-letters/{id}/replay"), body.clone()))
        );
        let remove = calls("sluice dead-letters remove 7").unwrap();
        assert_eq!((&remove[0].method, &*remove[0].path), (&Method::DELETE, "/v1/dead-letters/7"));
    }

    #[test]
    fn what_is_no_id_is_refused_before_anything_is_asked() {
        for line in ["sluice dead-letters show ../sales", "sluice dead-letters replay 7 7?x=1"] {
            assert!(calls(line).unwrap_err().is::<Usage>(), "{line}");
        }
    }

    #[test]
    fn a_list_is_a_table() {
        let letter = json!({
            "id": "7", "queue": "turns", "reason": "odd goods", "tries": 8, "age_seconds": 7_300,
            "turn": { "sale": "drop", "entry": "e-1" }, "callback": null, "foreign": null,
        });
        let mut out = Vec::new();
        list(&mut out, &json!({ "letters": [letter], "next_after": "7" })).unwrap();
        let text = String::from_utf8(out).unwrap();
        let rows: Vec<Vec<&str>> =
            text.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(rows[1], ["7", "turns", "8", "2h", "drop", "e-1", "odd", "goods"]);
        assert_eq!(rows[2], ["more:", "--after", "7"]);
    }
}
