//! `sluice plan`, from outside: the tables, the JSON, and what is refused.

use std::process::{Command, Output};

use serde_json::Value;

use super::house::BINARY;

fn plan(arguments: &[&str]) -> Output {
    Command::new(BINARY).arg("plan").args(arguments).output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn printed(arguments: &[&str]) -> String {
    let output = plan(arguments);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    String::from_utf8(output.stdout).unwrap()
}

fn json(arguments: &[&str]) -> Value {
    serde_json::from_str(&printed(&[arguments, &["--json"]].concat())).unwrap()
}

/// The row of one role, as a list of its words.
fn row<'a>(text: &'a str, role: &str) -> Vec<&'a str> {
    let words = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let mut rows = words.filter(|words| words.first() == Some(&role) && words.len() > 5);
    rows.next().unwrap_or_else(|| panic!("no {role}: {text}"))
}

const CROWD: [&str; 6] = ["--buyers", "40000", "--arrive-over", "10s", "--stock", "5000"];

#[test]
fn a_planner_reads_how_many_and_what_breaks_first() {
    let text = printed(&CROWD);
    for word in [
        "4,000/s if they come evenly",
        "Redis",
        "RabbitMQ",
        "PostgreSQL",
        "What breaks first: ",
        "One `sluice run` on 2 cores",
        "Not measured yet",
    ] {
        assert!(text.contains(word), "{word}: {text}");
    }
    for role in ["admission", "ws-push", "worker", "dispatcher"] {
        assert!(row(&text, role)[1].parse::<u32>().unwrap() >= 2, "{role}: {text}");
    }
    let text = printed(&[&CROWD[..], &["--push", "0"]].concat());
    assert_eq!(row(&text, "ws-push")[1], "0", "{text}");
}

#[test]
fn a_script_reads_the_same() {
    let even = json(&CROWD);
    let full: Vec<f64> = even["resources"]
        .as_array()
        .unwrap()
        .iter()
        .map(|resource| resource["full"].as_f64().unwrap())
        .collect();
    assert!(full.len() >= 8 && full.is_sorted_by(|a, b| a >= b), "{full:?}");
    let quick = json(&["--buyers", "40000", "--arrive-over", "5s", "--stock", "5000"]);
    let joins = |plan: &Value| plan["demand"]["joins_per_second"].as_f64().unwrap();
    assert!((joins(&quick) - 2.0 * joins(&even)).abs() < 1e-6);
    assert!(even["roles"][0]["nodes"].is_u64(), "{}", even["roles"]);
}

#[test]
fn figures_and_policies_of_ones_own_are_reckoned_with() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let file = folder.path().join(name);
        std::fs::write(&file, text).unwrap();
        file.to_str().unwrap().to_owned()
    };
    let costs = write("costs.toml", "[admission]\njoins_per_second_per_core = 500\n");
    let policy = write("policy.toml", "ceiling_per_second = 30\nline_cap = 1000\n");
    let nodes = |plan: &Value| plan["roles"][0]["nodes"].as_u64().unwrap();
    let slow = json(&[&CROWD[..], &["--costs", &costs]].concat());
    assert!(nodes(&slow) > nodes(&json(&CROWD)));
    let slow = json(&[&CROWD[..], &["--policy", &policy]].concat());
    assert_eq!(slow["demand"]["turns_per_second"], 30.0);
    assert!(slow["demand"]["longest_line"].as_u64().unwrap() <= 1_000);
}

#[test]
fn what_cannot_be_planned_exits_64() {
    let folder = tempfile::tempdir().unwrap();
    let costs = folder.path().join("mine.toml");
    std::fs::write(&costs, "[admission]\njoins = 5\n").unwrap();
    let costs = costs.to_str().unwrap();
    let with = |more: &[&'static str]| [&CROWD[..], more].concat();
    for (arguments, words) in [
        (vec!["--buyers", "0", "--arrive-over", "10s"], ["--buyers", "0"]),
        (vec!["--buyers", "10", "--arrive-over", "0s"], ["--arrive-over", "1ms or more"]),
        (vec!["--buyers", "10", "--arrive-over", "10"], ["--arrive-over", "a unit"]),
        (with(&["--push", "1.5"]), ["--push", "from 0 to 1"]),
        (with(&["--headroom", "0"]), ["--headroom", "to 1"]),
        (with(&["--cores", "0"]), ["--cores", "0"]),
        (with(&["--policy", "/nowhere/policy.toml"]), ["/nowhere/policy.toml", "cannot be read"]),
        (with(&["--costs", "/nowhere/costs.toml"]), ["/nowhere/costs.toml", "cannot be read"]),
        ([&CROWD[..], &["--costs", costs]].concat(), [costs, "`admission.joins`"]),
        (vec!["--buyers", "10"], ["--arrive-over", "required"]),
    ] {
        let output = plan(&arguments);
        assert_eq!(output.status.code(), Some(64), "{arguments:?}: {}", said(&output));
        for word in words {
            assert!(said(&output).contains(word), "{word}: {}", said(&output));
        }
    }
}
