//! A plan and its rehearsal agree: `sluice simulate` on virtual time and a crowd of `sluice swarm` against a real house, with
//! the same numbers, on when it is sold out and on how long buyers wait. A program of its own, so that nothing else runs meanwhile.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test fails where it stands")]

use std::process::Command;

use serde_json::{Value, json};

#[path = "it/house.rs"]
#[allow(dead_code, reason = "most of it is for the other tests")]
mod house;

use house::{BINARY, House};

const STOCK: u64 = 400;
const SHOPPERS: &str = "600";
const ARRIVE_OVER: &str = "3s";
const PAY_WITHIN: &str = "1500ms";
const POLICY: Policy = Policy { fraction: 0.08, tail_per_second: 10.0 };
/// Of what was planned.
const AGREES_WITHIN: f64 = 0.05;
/// A dispatcher that is not let run for longer than `law::TICK_MAX` loses the credit of that time, so that there are no bursts: a
/// starved machine makes a sale slower, never faster. One that is starved is asked again; whoever is too fast is wrong at once.
const REHEARSALS_MAX: usize = 4;

#[derive(Clone, Copy)]
struct Policy {
    fraction: f64,
    tail_per_second: f64,
}

impl Policy {
    fn json(self) -> Value {
        json!({ "fraction": self.fraction, "tail_per_second": self.tail_per_second })
    }
}

/// What both tell.
#[derive(Clone, Copy, Debug)]
struct Course {
    sold_out_seconds: f64,
    wait_p95_seconds: f64,
}

impl Course {
    #[track_caller]
    fn read(report: &Value) -> Self {
        assert_eq!(report["orders"], STOCK, "{report:#}");
        Self {
            sold_out_seconds: report["sold_out_seconds"].as_f64().expect("it was sold out"),
            wait_p95_seconds: report["waits_ms"]["p95"].as_f64().unwrap() / 1000.0,
        }
    }

    /// What was seen by what was planned: when it was sold out, and what 19 in 20 waited at most.
    fn over(self, plan: Self) -> [f64; 2] {
        [
            self.sold_out_seconds / plan.sold_out_seconds,
            self.wait_p95_seconds / plan.wait_p95_seconds,
        ]
    }

    fn agrees_with(self, plan: Self) -> bool {
        self.over(plan).iter().all(|ratio| (ratio - 1.0).abs() <= AGREES_WITHIN)
    }

    fn is_faster_than(self, plan: Self) -> bool {
        self.over(plan).iter().any(|ratio| *ratio < 1.0 - AGREES_WITHIN)
    }
}

fn sluice(arguments: &[&str]) -> Vec<u8> {
    let output = Command::new(BINARY).args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

fn planned(policy: Policy) -> Course {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("policy.json");
    std::fs::write(&file, policy.json().to_string()).unwrap();
    let (stock, arrivals) = (STOCK.to_string(), format!("spike:{ARRIVE_OVER}"));
    let said = sluice(&[
        "simulate",
        "--stock",
        &stock,
        "--shoppers",
        SHOPPERS,
        "--arrivals",
        &arrivals,
        "--pay-within",
        PAY_WITHIN,
        "--policy",
        file.to_str().unwrap(),
        "--json",
    ]);
    Course::read(&serde_json::from_slice(&said).unwrap())
}

async fn rehearsed(policy: Policy) -> Course {
    // Each shopper from an address of its own, as behind a proxy: the limits of one address are none of the plan's.
    let house = House::start("#trusted").await;
    house.sale("drop", STOCK, policy.json()).await;
    let report = house.data().join("report.json");
    let (target, file) = (format!("http://{}", house.public), report.to_str().unwrap().to_owned());
    let crowd = move || {
        sluice(&[
            "swarm",
            "--target",
            &target,
            "--sale",
            "drop",
            "--shoppers",
            SHOPPERS,
            "--arrive-over",
            ARRIVE_OVER,
            "--pay-within",
            PAY_WITHIN,
            // Who polls hears of the call at the next poll, seconds later: a plan knows nothing of that.
            "--push",
            "1",
            "--report",
            &file,
        ])
    };
    tokio::task::spawn_blocking(crowd).await.unwrap();
    Course::read(&serde_json::from_slice(&std::fs::read(report).unwrap()).unwrap())
}

#[tokio::test]
async fn a_plan_and_its_rehearsal_agree() {
    let plan = planned(POLICY);
    let mut seen = Vec::new();
    while !seen.iter().any(|rehearsal: &Course| rehearsal.agrees_with(plan)) {
        assert!(seen.len() < REHEARSALS_MAX, "planned {plan:?}, rehearsed {seen:?}");
        let rehearsal = rehearsed(POLICY).await;
        assert!(!rehearsal.is_faster_than(plan), "planned {plan:?}, rehearsed {rehearsal:?}");
        seen.push(rehearsal);
    }
}

/// A tolerance that lets everything pass would let these pass as well.
#[test]
fn plans_of_other_numbers_do_not_agree() {
    let plan = planned(POLICY);
    assert!(plan.agrees_with(plan) && !plan.is_faster_than(plan));
    for share in [0.9, 1.1] {
        let Policy { fraction, tail_per_second } = POLICY;
        let other = planned(Policy {
            fraction: share * fraction,
            tail_per_second: share * tail_per_second,
        });
        assert!(!other.agrees_with(plan), "{share}: planned {plan:?}, other {other:?}");
        assert_eq!(other.is_faster_than(plan), share > 1.0, "{share}: {other:?}");
    }
}
