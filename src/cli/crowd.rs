//! The commands that bring a crowd, a real one or one on virtual time: `demo`, `swarm` and `simulate`.

use std::{path::PathBuf, time::Duration};

use clap::Args;

use crate::swarm::manners::Manners;

#[derive(Debug, Args)]
pub(crate) struct DemoOptions {
    /// How many shoppers come
    #[arg(long, default_value_t = 20_000, value_parser = clap::value_parser!(u32).range(1..=50_000))]
    pub(crate) shoppers: u32,
    /// How many items there are
    #[arg(long, default_value_t = 8_000, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    pub(crate) stock: u64,
    /// Decides who arrives when and who waits how; the same seed is the same crowd
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    #[command(flatten)]
    pub(crate) manners: Manners,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct SwarmOptions {
    /// Where buyers connect, such as http://127.0.0.1:8080; several are used in turn
    #[arg(long = "target", value_name = "URL", required = true)]
    pub(crate) targets: Vec<String>,
    /// The sale to join
    #[arg(long, value_name = "ID")]
    pub(crate) sale: String,
    /// How many shoppers come
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) shoppers: u32,
    /// Over how long they arrive, such as 5s, 500ms or 2m
    #[arg(long, value_name = "DUR", value_parser = duration)]
    pub(crate) arrive_over: Duration,
    /// Share that waits by push; the others poll
    #[arg(long, value_name = "FRACTION", default_value_t = 0.33, value_parser = fraction)]
    pub(crate) push: f64,
    #[command(flatten)]
    pub(crate) manners: Manners,
    /// What to buy; the sale's first SKU if absent
    #[arg(long, value_name = "SKU")]
    pub(crate) sku: Option<String>,
    /// Units each shopper wants
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) quantity: u32,
    /// Decides who arrives when and who waits how
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// Gives up on those who still wait after this long without any news for anybody
    #[arg(long, value_name = "DUR", default_value = "120s", value_parser = duration)]
    pub(crate) patience: Duration,
    /// Writes the report as JSON
    #[arg(long, value_name = "FILE")]
    pub(crate) report: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct SimulateOptions {
    /// How many units there are
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    pub(crate) stock: u64,
    /// How many shoppers come
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    pub(crate) shoppers: u64,
    /// When they come: spike:DUR (evenly within), ramp:DUR (ever more), or a CSV file with a line per moment: seconds[,how many]
    #[arg(long, value_name = "SHAPE", default_value = "spike:10s")]
    pub(crate) arrivals: String,
    /// A TOML or JSON file with the policy's keys, as in the operator API; what is absent has its default
    #[arg(long, value_name = "FILE")]
    pub(crate) policy: Option<PathBuf>,
    /// A second policy, for the same shoppers: both are shown side by side
    #[arg(long, value_name = "FILE")]
    pub(crate) against: Option<PathBuf>,
    /// Units each of them wants
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=1000))]
    pub(crate) quantity: u64,
    /// Share of those who are served that pays in time
    #[arg(long, value_name = "FRACTION", default_value_t = 1.0, value_parser = fraction)]
    pub(crate) pay: f64,
    /// Share that pays after the deadline: served if there is something left, else refunded. The rest does not pay
    #[arg(long, value_name = "FRACTION", default_value_t = 0.0, value_parser = fraction)]
    pub(crate) late: f64,
    /// Who pays does so within this time of the reservation
    #[arg(long, value_name = "DUR", default_value = "60s", value_parser = duration)]
    pub(crate) pay_within: Duration,
    /// Orders per second that your order backend takes at most; default: as many as the law releases
    #[arg(long, value_name = "PER_SECOND", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) backend_speed: Option<u32>,
    /// The same seed is the same crowd
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// Draw line, rate, remaining and waits over time into an SVG file
    #[arg(long, value_name = "FILE")]
    pub(crate) plot: Option<PathBuf>,
    /// Print JSON, for scripts: the shape of a swarm's report
    #[arg(long)]
    pub(crate) json: bool,
}

/// `5s`, `500ms`, `2m`, `1h`.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let seconds_per_unit = match unit {
        "ms" => 0.001,
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return Err("write a number and a unit, such as 5s, 500ms or 2m".into()),
    };
    let number: f64 =
        number.parse().map_err(|_| "write a number and a unit, such as 5s, 500ms or 2m")?;
    let seconds = number * seconds_per_unit;
    if seconds <= 86_400.0 {
        Ok(Duration::from_secs_f64(seconds))
    } else {
        Err("at most 24h".into())
    }
}

pub(crate) fn fraction(text: &str) -> Result<f64, String> {
    let number: f64 = text.parse().map_err(|_| "must be a number from 0 to 1")?;
    if (0.0..=1.0).contains(&number) {
        Ok(number)
    } else {
        Err("must be a number from 0 to 1".into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_need_a_unit() {
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("1.5s"), Ok(Duration::from_millis(1500)));
        assert_eq!(duration("2m"), Ok(Duration::from_secs(120)));
        for bad in ["", "5", "s", "5x", "-1s", "25h"] {
            assert!(duration(bad).is_err(), "{bad}");
        }
    }
}
