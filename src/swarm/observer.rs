//! One who only watches: reads the public sale information four times a second, for the display and for `on-rate`.

use std::{sync::Arc, time::Duration};

use anyhow::{Context, bail};
use http::{HeaderMap, Method};
use serde_json::Value;
use sluice_core::clock::UnixMillis;
use tokio::time::{MissedTickBehavior, interval};

use super::{
    client::{Ask, Client},
    progress::Progress,
};

const LOOK_EVERY: Duration = Duration::from_millis(250);

/// What the public was told at one moment.
#[derive(Clone, Debug)]
pub(crate) struct Sample {
    /// By the server's clock.
    pub(crate) at: UnixMillis,
    pub(crate) state: String,
    pub(crate) serving: u64,
    pub(crate) waiting: u64,
    pub(crate) remaining: u64,
    pub(crate) rate_per_second: f64,
    /// Per SKU.
    pub(crate) skus: Vec<(String, u64)>,
}

impl Sample {
    fn read(json: &Value) -> Option<Self> {
        let sku = |sku: &Value| Some((sku["sku"].as_str()?.to_owned(), sku["remaining"].as_u64()?));
        Some(Self {
            at: UnixMillis::parse(json["now"].as_str()?).ok()?,
            state: json["state"].as_str()?.to_owned(),
            serving: json["serving"].as_u64()?,
            waiting: json["waiting"].as_u64()?,
            remaining: json["remaining"].as_u64()?,
            rate_per_second: json["rate_per_second"].as_f64()?,
            skus: json["skus"].as_array()?.iter().map(sku).collect::<Option<_>>()?,
        })
    }
}

/// Looks once.
pub(crate) async fn look(client: &Client, sale: &str) -> anyhow::Result<Sample> {
    let path = format!("/v1/sales/{sale}");
    let ask =
        Ask { method: Method::GET, path: &path, turns: 0, headers: &HeaderMap::new(), body: None };
    let answer = client.ask(0, ask).await?;
    if !answer.status.is_success() {
        let detail = answer.json();
        bail!(
            "the sale `{sale}`: {} ({})",
            detail["detail"].as_str().unwrap_or("no explanation"),
            answer.status
        );
    }
    Sample::read(&answer.json()).context("the sale information is not as the contract has it")
}

/// Looks until dropped; keeps every sample.
pub(crate) async fn watch(
    client: Arc<Client>,
    sale: String,
    progress: Arc<Progress>,
    samples: Arc<std::sync::Mutex<Vec<Sample>>>,
) {
    let mut tick = interval(LOOK_EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        // A look that fails leaves a gap; shoppers tell of outages.
        if let Ok(sample) = look(&client, &sale).await {
            progress.observe(sample.clone());
            samples.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(sample);
        }
    }
}
