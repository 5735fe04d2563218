//! What the broker itself says of our queues: none is lost with a node, none drops a message in silence.

use std::collections::BTreeMap;

use serde_json::Value;
use sluice_core::{ids::SaleId, ports::conformance::House as _};

use crate::home;

/// Every queue that holds somebody's place, turn or money.
const KEPT: [&str; 13] = [
    "sluice.callbacks",
    "sluice.dead",
    "sluice.retry.128s",
    "sluice.retry.16s",
    "sluice.retry.1s",
    "sluice.retry.2s",
    "sluice.retry.32s",
    "sluice.retry.4s",
    "sluice.retry.64s",
    "sluice.retry.8s",
    "sluice.turns",
    "sluice.unrouted",
    "sluice.waiting.drop",
];

#[tokio::test(flavor = "multi_thread")]
async fn every_queue_is_kept_by_a_quorum_and_refuses_what_it_cannot_hold() {
    let home = home().await;
    home.port().waiting.declare(&SaleId::new("drop").unwrap()).await.unwrap();
    let path = format!("/api/queues/{}", home.vhost());
    let told = tokio::task::block_in_place(|| home.server().ask("GET", &path, ""));
    let queues: Vec<Value> = serde_json::from_str(&told).unwrap();
    // A listener of the bulletin has a queue that goes with it.
    let queues = queues.iter().filter(|queue| queue["exclusive"] == false);
    let queues: BTreeMap<&str, &Value> =
        queues.map(|queue| (queue["name"].as_str().unwrap(), queue)).collect();
    assert_eq!(queues.keys().copied().collect::<Vec<_>>(), KEPT);
    for (name, queue) in queues {
        let arguments = &queue["arguments"];
        assert_eq!(queue["durable"], true, "{name}");
        assert_eq!(queue["type"], "quorum", "{name}");
        assert_eq!(arguments["x-overflow"], "reject-publish", "{name}");
        assert_eq!(arguments["x-delivery-limit"], 1_000_000, "{name}");
        if !["sluice.dead", "sluice.unrouted"].contains(&name) {
            assert_eq!(arguments["x-dead-letter-strategy"], "at-least-once", "{name}");
        }
        let one_drain = name.starts_with("sluice.waiting.");
        assert_eq!(arguments["x-single-active-consumer"] == true, one_drain, "{name}");
    }
}
