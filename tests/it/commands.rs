//! The commands of the binary: exit codes, and a small rehearsal judged from outside.

use std::process::{Command, Output};

use serde_json::{Value, json};

use super::house::{ADMIN_TOKEN, BINARY, House};

fn sluice(arguments: &[&str]) -> Output {
    Command::new(BINARY).args(arguments).output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn mistakes_exit_64_before_a_port_is_bound() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("bad.toml");
    std::fs::write(&file, "[admission]\nlisten = \"127.0.0.1:1\"\nconections_max = 5\n").unwrap();
    let path = file.to_str().unwrap();
    for arguments in [&["run", "--config", path][..], &["config", "check", "--config", path]] {
        let output = sluice(arguments);
        assert_eq!(output.status.code(), Some(64), "{}", said(&output));
        assert!(
            said(&output).contains(path) && said(&output).contains("admission.conections_max"),
            "{}",
            said(&output)
        );
    }
    for arguments in [
        &["run", "--config", "/nowhere/sluice.toml"][..],
        &["frobnicate"],
        &["swarm", "--target", "x"],
        &[],
    ] {
        assert_eq!(sluice(arguments).status.code(), Some(64), "{arguments:?}");
    }
    for (arguments, word) in [
        (&["sale", "list", "--admin", "nonsense"][..], "--admin nonsense"),
        (&["sale", "list", "--token-file", "/nowhere/token"], "/nowhere/token"),
    ] {
        let output = sluice(arguments);
        assert_eq!(output.status.code(), Some(64), "{}", said(&output));
        assert!(said(&output).contains(word), "{}", said(&output));
    }
    let output = sluice(&["config", "show"]);
    assert!(output.status.success());
    assert!(String::from_utf8_lossy(&output.stdout).contains("[admission]"));
    assert!(sluice(&["--help"]).status.success());
}

#[test]
fn a_store_that_cannot_be_opened_exits_69() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(
        folder.path().join("sluice.sqlite"),
        "this is not a database, and never was one",
    )
    .unwrap();
    let file = folder.path().join("sluice.toml");
    let config = format!(
        "[embedded]\ndata_dir = {:?}\n[admission]\nlisten = \"127.0.0.1:0\"\n[admin]\nlisten = \"127.0.0.1:0\"\n",
        folder.path()
    );
    std::fs::write(&file, config).unwrap();
    let output = sluice(&["run", "--config", file.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(69), "{}", said(&output));
    assert!(said(&output).contains("sluice.sqlite"), "{}", said(&output));
}

#[tokio::test]
async fn a_second_process_on_the_same_data_exits_69() {
    let house = House::start("").await;
    let config = house.config();
    let output =
        tokio::task::spawn_blocking(move || sluice(&["run", "--config", config.to_str().unwrap()]))
            .await
            .unwrap();
    assert_eq!(output.status.code(), Some(69), "{}", said(&output));
}

#[test]
fn a_crowd_that_reaches_nobody_says_whom_it_wanted_to_reach() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let target = format!("http://{free}");
    let output = sluice(&[
        "swarm",
        "--target",
        &target,
        "--sale",
        "x",
        "--shoppers",
        "1",
        "--arrive-over",
        "1s",
    ]);
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert!(said(&output).contains(&free.to_string()), "{}", said(&output));
}

#[tokio::test]
async fn a_small_crowd_finds_every_promise_kept() {
    let house = House::start("").await;
    house.sale("drop", 150, json!({ "fraction": 0.5, "tail_per_second": 40 })).await;
    let report = house.data().join("report.json");
    let (target, path) = (format!("http://{}", house.public), report.to_str().unwrap().to_owned());
    let output = tokio::task::spawn_blocking(move || {
        let crowd =
            ["--shoppers", "300", "--arrive-over", "2s", "--push", "0.4", "--report", &path];
        sluice(&[&["swarm", "--target", &target, "--sale", "drop"][..], &crowd].concat())
    });
    let output = output.await.unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(0), "{text}{}", said(&output));
    let report: Value = serde_json::from_slice(&std::fs::read(report).unwrap()).unwrap();
    assert_eq!(report["outcomes"]["reserved"], 150, "{text}");
    assert_eq!(report["outcomes"]["sold_out"], 150, "{text}");
    assert_eq!(report["paid"], 150, "{text}");
    assert_eq!(report["promises"].as_array().unwrap().len(), 9);
}

#[tokio::test]
async fn the_audit_log_is_read_in_pages_and_its_chain_is_checked() {
    let house = House::start("").await;
    house.sale("drop", 150, json!({})).await;
    for verb in ["pause", "resume"] {
        let reason = json!({ "reason": "tea" });
        house.operate("POST", &format!("/v1/sales/drop/{verb}"), Some(reason)).await;
    }
    let token = house.data().join("token");
    std::fs::write(&token, ADMIN_TOKEN).unwrap();
    let (admin, token) = (format!("http://{}", house.admin), token.to_str().unwrap().to_owned());
    let audit = move |more: &[&str]| {
        let place = ["audit", "--admin", &admin, "--token-file", &token];
        let output = sluice(&[&place[..], more].concat());
        assert_eq!(output.status.code(), Some(0), "{}", said(&output));
        String::from_utf8(output.stdout).unwrap()
    };
    let reading = tokio::task::spawn_blocking(move || {
        let newest = audit(&["--limit", "2"]);
        let row = newest.lines().nth(1).unwrap();
        for word in ["sale.resume", "drop", "ok", "127.0.0.1", "(tea)", "paused"] {
            assert!(row.contains(word), "{word}: {row}");
        }
        let last = newest.lines().last().unwrap();
        let before = last.strip_prefix("more: --before ").unwrap().split(',').next().unwrap();
        let older: Value = serde_json::from_str(&audit(&["--before", before, "--json"])).unwrap();
        assert_eq!(older["rows"][0]["verb"], "sale.create");
        assert_eq!((&older["chain"]["holds"], &older["next_before"]), (&json!(true), &Value::Null));
        assert!(audit(&["--all"]).contains("the chain holds: rows 1 to 3"));
    });
    reading.await.unwrap();
}

#[test]
fn every_shell_is_told_every_command() {
    for (shell, word) in
        [("bash", "complete -F"), ("zsh", "#compdef sluice"), ("fish", "complete -c sluice")]
    {
        let output = sluice(&["completions", shell]);
        assert!(output.status.success(), "{}", said(&output));
        let script = String::from_utf8(output.stdout).unwrap();
        for word in [word, "dead-letters", "reconcile", "token-file"] {
            assert!(script.contains(word), "{shell}: {word}");
        }
    }
    assert_eq!(sluice(&["completions", "csh"]).status.code(), Some(64));
}
