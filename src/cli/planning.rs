//! The command that plans: `plan`.

use std::{path::PathBuf, time::Duration};

use clap::Args;

use super::crowd::{duration, fraction};

pub(crate) const EXAMPLES: &str = "Examples:
  sluice plan --buyers 100000 --arrive-over 10s
  sluice plan --buyers 1000000 --arrive-over 5m --stock 50000 --push 0.6 --policy mine.toml
  sluice plan --buyers 100000 --arrive-over 10s --costs measured-here.toml --json";

#[derive(Debug, Args)]
pub(crate) struct PlanOptions {
    /// How many buyers come
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    pub(crate) buyers: u64,
    /// Over how long they arrive, evenly, such as 5s, 500ms or 2m
    #[arg(long, value_name = "DUR", value_parser = some_time)]
    pub(crate) arrive_over: Duration,
    /// Share that waits by push; the others poll
    #[arg(long, value_name = "FRACTION", default_value_t = 0.33, value_parser = fraction)]
    pub(crate) push: f64,
    /// How many units there are; each buyer wants one. Default: a tenth of the buyers
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    pub(crate) stock: Option<u64>,
    /// A TOML or JSON file with the policy's keys, as in the operator API; what is absent has its default
    #[arg(long, value_name = "FILE")]
    pub(crate) policy: Option<PathBuf>,
    /// Cores of a node
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub(crate) cores: u32,
    /// Share of a node that is planned for; the rest is for what nobody foresaw
    #[arg(long, value_name = "FRACTION", default_value_t = 0.5, value_parser = some_fraction)]
    pub(crate) headroom: f64,
    /// A TOML file with figures of your own, laid over the compiled-in ones: sections and keys as in src/plan/costs.toml
    #[arg(long, value_name = "FILE")]
    pub(crate) costs: Option<PathBuf>,
    /// Print JSON, for scripts
    #[arg(long)]
    pub(crate) json: bool,
}

fn some_time(text: &str) -> Result<Duration, String> {
    let time = duration(text)?;
    if time < Duration::from_millis(1) { Err("must be 1ms or more".into()) } else { Ok(time) }
}

fn some_fraction(text: &str) -> Result<f64, String> {
    fraction(text)
        .ok()
        .filter(|share| *share >= 0.01)
        .ok_or_else(|| "must be a number from 0.01 to 1".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_not_planned_for() {
        assert_eq!(some_time("500ms"), Ok(Duration::from_millis(500)));
        for bad in ["0s", "0ms", "5"] {
            assert!(some_time(bad).is_err(), "{bad}");
        }
        assert_eq!(some_fraction("1"), Ok(1.0));
        for bad in ["0", "1.1", "-1", "nan", "half"] {
            assert!(some_fraction(bad).is_err(), "{bad}");
        }
    }
}
