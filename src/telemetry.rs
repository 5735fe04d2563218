//! Logs and metrics of the process: installed here, once.

use std::{io::IsTerminal, time::Duration};

use anyhow::Context;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::{
    filter::Targets, fmt, layer::SubscriberExt, registry, util::SubscriberInitExt,
};

use crate::config::{ConfigError, Log, LogFormat};

/// Bounds of request and store times, in seconds.
const SHORT_SECONDS: &[f64] =
    &[0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.12, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
/// Bounds of waits in line, in seconds.
const LONG_SECONDS: &[f64] = &[
    0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 180.0, 300.0, 600.0, 900.0, 1800.0,
    3600.0,
];
const UPKEEP_EVERY: Duration = Duration::from_secs(5);

/// Installs the log: text for people on a terminal, JSON for machines otherwise. To standard error.
pub(crate) fn install_log(log: &Log) -> anyhow::Result<()> {
    let filter = read_filter(&log.filter)?;
    let json = match log.format {
        LogFormat::Json => true,
        LogFormat::Text => false,
        LogFormat::Auto => !std::io::stderr().is_terminal(),
    };
    let (told, lines) = (registry().with(filter), fmt::layer().with_writer(std::io::stderr));
    let installed = if json {
        told.with(lines.json().flatten_event(true)).try_init()
    } else {
        told.with(lines.compact()).try_init()
    };
    installed.map_err(|error| anyhow::anyhow!("installing the log: {error}"))
}

/// A level, or pairs of module and level, separated by commas. What is left empty between them is left out.
fn read_filter(text: &str) -> Result<Targets, ConfigError> {
    let refused = |complaint: String| ConfigError {
        place: "configuration".into(),
        key: "log.filter".into(),
        complaint: format!("{complaint}; write a level such as info, or module=level pairs"),
    };
    let parts: Vec<&str> = text.split(',').map(str::trim).filter(|part| !part.is_empty()).collect();
    if let Some(odd) = parts.iter().find(|part| part.contains(['[', ' ', '{'])) {
        return Err(refused(format!("`{odd}` is no such pair")));
    }
    parts.join(",").parse().map_err(|error| refused(format!("{error}")))
}

/// Installs the metrics recorder.
pub(crate) fn install_metrics() -> anyhow::Result<PrometheusHandle> {
    PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Full("sluice_wait_seconds".into()), LONG_SECONDS)
        .and_then(|builder| {
            builder.set_buckets_for_metric(Matcher::Suffix("_seconds".into()), SHORT_SECONDS)
        })
        .and_then(|builder| builder.set_buckets(&[1.0, 4.0, 16.0, 64.0, 256.0, 1024.0, 4096.0]))
        .and_then(PrometheusBuilder::install_recorder)
        .context("installing the metrics recorder")
}

/// Keeps the recorder's histograms small until `shutdown`.
pub(crate) async fn upkeep(handle: PrometheusHandle, shutdown: CancellationToken) {
    let mut tick = interval(UPKEEP_EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            _ = tick.tick() => handle.run_upkeep(),
        }
    }
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::filter::LevelFilter;

    use super::*;

    #[test]
    fn a_filter_is_read_as_people_write_it() {
        for text in ["info,lapin=off", "info, lapin=off", "lapin=off,,info,"] {
            let filter = read_filter(text).unwrap();
            assert!(filter.would_enable("sluice", &tracing::Level::INFO), "{text}");
            assert!(!filter.would_enable("sluice", &tracing::Level::DEBUG), "{text}");
            assert!(!filter.would_enable("lapin", &tracing::Level::ERROR), "{text}");
        }
        assert_eq!(read_filter("off").unwrap().default_level(), Some(LevelFilter::OFF));
        for bad in ["sluice=loud", "sluice[join]=debug", "sluice debug"] {
            let error = read_filter(bad).unwrap_err().to_string();
            assert!(error.contains("log.filter") && error.contains("module=level"), "{error}");
        }
    }
}
