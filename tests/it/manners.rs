//! Crowds that do not all just pay, at a payment company that has a bad day: from what they saw, no money is lost.

use std::process::Command;

use serde_json::{Value, json};

use super::house::{BINARY, House};

/// Disorder of every kind, in a measure that leaves an end in sight.
const BAD_DAY: &str = "[payment.simulated]\ndelay_ms = 20\ndelay_spread_ms = 200\nduplicate = 0.5\nreorder = 0.5\ndrop = 0.2\nfail = 0.2\npay_after_close = 1\nunreachable = 0.1\n";

#[tokio::test]
async fn a_crowd_of_all_manners_finds_its_money() {
    let house = House::start(BAD_DAY).await;
    let quick = json!({ "fraction": 0.5, "tail_per_second": 40, "payment_window_seconds": 8 });
    house.sale("drop", 60, quick).await;
    let file = house.data().join("report.json");
    let (target, path) = (format!("http://{}", house.public), file.to_str().unwrap().to_owned());
    let output = tokio::task::spawn_blocking(move || {
        Command::new(BINARY)
            .args(["swarm", "--target", &target, "--sale", "drop", "--report", &path])
            .args([
                "--shoppers",
                "160",
                "--arrive-over",
                "1s",
                "--push",
                "0.3",
                "--patience",
                "40s",
            ])
            .args([
                "--abandon",
                "0.2",
                "--cancel",
                "0.1",
                "--dawdle",
                "0.1",
                "--late",
                "0.1",
                "--refund",
                "0.3",
            ])
            .output()
            .unwrap()
    });
    let output = output.await.unwrap();
    let text = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    assert_eq!(output.status.code(), Some(0), "{text}");
    let report: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    let fen = |place: &str| report["money"][place].as_u64().unwrap();
    assert_eq!(report["called_off"], false, "everybody came to an end: {text}");
    assert_eq!(fen("paid_fen"), fen("kept_fen") + fen("refunded_fen"), "{text}");
    assert_eq!((fen("in_flight_fen"), fen("swallowed_fen")), (0, 0), "{text}");
    assert!(report["declined"].as_u64().unwrap() > 0, "some cards were declined: {text}");
    // What lapsed, was cancelled or came back was sold to somebody else.
    assert!(report["orders"].as_u64().unwrap() > 60, "{text}");
    assert_eq!(report["outcomes"]["reserved"], report["orders"], "{text}");
}

#[test]
fn shares_that_do_not_fit_together_are_refused() {
    let output = Command::new(BINARY)
        .args(["swarm", "--target", "http://127.0.0.1:1", "--sale", "x", "--shoppers", "1"])
        .args(["--arrive-over", "1s", "--abandon", "0.7", "--late", "0.7"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(64), "{said}");
    assert!(said.contains("--abandon") && said.contains("at most 1"), "{said}");
}
