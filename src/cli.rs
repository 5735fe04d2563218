//! The command line. Doc comments are the help texts: written for the reader who has a sale tonight.

use std::{io::Write, path::PathBuf, time::Duration};

use clap::{Args, Parser, Subcommand};

use crate::{config, exit::Usage, swarm::manners::Manners};

/// A virtual waiting room for flash sales: takes the crowd in, gives every buyer a signed place in line, lets the line
/// move exactly as fast as the stock allows, and carries each order to its end.
#[derive(Debug, Parser)]
#[command(name = "sluice", version, propagate_version = true, arg_required_else_help = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run everything in one process, on one SQLite file
    ///
    /// Without a configuration: buyers on 127.0.0.1:8080, operators on 127.0.0.1:8081, data in ./sluice-data. The first
    /// start generates secrets and an admin token there. SIGTERM and ctrl-c finish what is in hand and exit 0.
    Run(ConfigOption),
    /// Run the role that takes buyers in, on shared stores
    ///
    /// Any number of processes of each role share Redis, RabbitMQ and PostgreSQL (`backend.kind = "distributed"`). Each
    /// needs an admin address of its own (`admin.listen`) for /metrics, /live and /ready. SIGTERM finishes what is in
    /// hand and leaves the rest to the others.
    Admission(ConfigOption),
    /// Run the role that moves the line, on shared stores
    ///
    /// One of them speaks for a sale at a time; another takes over within seconds when it dies.
    Dispatcher(ConfigOption),
    /// Run the role that holds stock and carries orders through payment, on shared stores
    Worker(ConfigOption),
    /// Run the role that tells waiting buyers where they stand, by WebSocket and SSE, on shared stores
    #[command(name = "ws-push")]
    WsPush(ConfigOption),
    /// Run the operator API, on shared stores
    Operator(ConfigOption),
    /// See a whole flash sale in about a minute
    ///
    /// Starts a throw-away sluice and sends a crowd through it over real HTTP and WebSocket: 20,000 shoppers arrive
    /// within five seconds for 8,000 items, a third wait by push and the rest poll, everybody who is served pays. The
    /// policy is quicker than the default (10 % of what remains per second, at most 400/s, at least 25/s), so that it
    /// takes about a minute. Ends with a report of the waits and of every promise, judged from what the shoppers saw.
    Demo(DemoOptions),
    /// Rehearse: send a crowd through a running sluice
    ///
    /// Shoppers arrive on time however slow the answers are (open loop), join, wait by push or poll, and pay. On a
    /// loopback target they come from many 127.x.y.z addresses; elsewhere the target should trust this machine as a
    /// proxy, or limits per address will hold the crowd back. Exits 70 if a promise was broken.
    Swarm(SwarmOptions),
    /// Try a sale out on virtual time, before anybody comes
    ///
    /// The real rate law, no sockets and no waiting: a million shoppers take seconds. Says how long the line gets, when it
    /// sells out and how long buyers wait; with --against, the same under another policy.
    Simulate(SimulateOptions),
    /// Manage sales from the terminal
    Sale(SaleOptions),
    /// Look at what could not be worked, and deal with it
    #[command(name = "dead-letters")]
    DeadLetters(LettersOptions),
    /// Compare the books: stock in the ledger and in the gate, mend what differs, print the balance
    ///
    /// Exits 70 if something does not add up and could not be mended.
    Reconcile(ReconcileOptions),
    /// Bring the schema of the ledger's database up to date
    ///
    /// Every process does so at start; this does it beforehand, by itself. Repeating it is harmless.
    Migrate(ConfigOption),
    /// Print the OpenAPI document: the HTTP API of buyers, operators and order backends
    #[command(name = "openapi")]
    OpenApi,
    /// Print the AsyncAPI document: what is pushed to buyers, and the turns an order backend consumes
    #[command(name = "asyncapi")]
    AsyncApi,
    /// Look at the configuration
    #[command(subcommand)]
    Config(ConfigCommand),
}

#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Print the effective configuration, secrets masked
    Show(ConfigOption),
    /// Check a configuration without starting anything
    Check(ConfigOption),
}

#[derive(Debug, Clone, Args)]
pub(crate) struct ConfigOption {
    /// A TOML file; keys that are absent keep their defaults, `SLUICE_<SECTION>__<KEY>` overrides both
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
}

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

/// Where the operator API is, and how its answers are shown.
#[derive(Debug, Args)]
pub(crate) struct AdminOptions {
    /// The admin address; default: the configuration's
    #[arg(long, global = true, value_name = "URL")]
    pub(crate) admin: Option<String>,
    /// A file with the admin token; default: SLUICE_TOKEN, then the one generated beside the data
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,
    /// The configuration the defaults are read from
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Print the answer as JSON
    #[arg(long, global = true)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct SaleOptions {
    #[command(flatten)]
    pub(crate) admin: AdminOptions,
    #[command(subcommand)]
    pub(crate) command: SaleCommand,
}

#[derive(Debug, Args)]
pub(crate) struct LettersOptions {
    #[command(flatten)]
    pub(crate) admin: AdminOptions,
    #[command(subcommand)]
    pub(crate) command: LettersCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum LettersCommand {
    /// List what could not be worked, last buried first
    List {
        /// First buried first
        #[arg(long)]
        oldest: bool,
        /// Goes on after this letter
        #[arg(long, value_name = "ID")]
        after: Option<String>,
        /// How many at most
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=500))]
        limit: u32,
    },
    /// Show one, with all that is known of it
    Show { id: String },
    /// Put them back into the queues they came from
    Replay(LettersAndReason),
    /// End the entries of these turns as `refused`
    Refuse(LettersAndReason),
    /// Remove what is no turn, for good: a callback that was seen to, a stranger's message
    Remove(LettersAndReason),
}

#[derive(Debug, Args)]
pub(crate) struct LettersAndReason {
    /// As `list` shows them
    #[arg(required = true, value_name = "ID")]
    pub(crate) ids: Vec<String>,
    /// For the audit log
    #[arg(long)]
    pub(crate) reason: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct ReconcileOptions {
    #[command(flatten)]
    pub(crate) admin: AdminOptions,
    /// Only this sale
    #[arg(long, value_name = "ID")]
    pub(crate) sale: Option<String>,
    /// Show what was found last, without looking anew or mending anything
    #[arg(long)]
    pub(crate) last: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum SaleCommand {
    /// Create a sale
    Create(CreateSale),
    /// List every sale
    List,
    /// Show a sale and how it goes
    Show { sale: String },
    /// Change the policy, such as `sluice sale tune drop fraction=0.05 ceiling_per_second=500`
    Tune {
        sale: String,
        /// KEY=VALUE, as in the policy; several at once are one change; `limits.per_ip=null` takes a limit away
        #[arg(required = true, value_name = "KEY=VALUE")]
        changes: Vec<String>,
        /// Only if the sale still has this version
        #[arg(long)]
        if_version: Option<u64>,
    },
    /// Hold the line; everybody keeps their place
    Pause(SaleAndReason),
    /// Let the line move again; also lifts a freeze
    Resume(SaleAndReason),
    /// End the sale for good; everybody who waits is told
    Close(SaleAndReason),
    /// Stop everything but payments and refunds, until `resume`; for admins
    Freeze(SaleAndReason),
    /// Tell the crowd something; without a text, take the notice down
    Notice {
        sale: String,
        /// LANGUAGE=TEXT, such as en="Back in ten minutes"
        #[arg(value_name = "LANGUAGE=TEXT")]
        texts: Vec<String>,
    },
    /// Add stock
    Stock {
        sale: String,
        sku: String,
        /// How many units
        #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
        add: u64,
    },
}

#[derive(Debug, Args)]
pub(crate) struct SaleAndReason {
    pub(crate) sale: String,
    /// For the audit log
    #[arg(long)]
    pub(crate) reason: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct CreateSale {
    /// The id: a-z, 0-9 and -
    pub(crate) sale: String,
    /// SKU:STOCK:PRICE in the currency's smallest unit, such as standard:10000:9900; may be repeated
    #[arg(long = "sku", required_unless_present = "seats", value_name = "SKU:STOCK:PRICE")]
    pub(crate) skus: Vec<String>,
    /// A file with a seated SKU, in TOML: sku, amount_fen, stops and seats (lists of names), perhaps currency; may be repeated
    #[arg(long = "seats", value_name = "FILE")]
    pub(crate) seats: Vec<PathBuf>,
    /// ISO 4217
    #[arg(long, default_value = "CNY")]
    pub(crate) currency: String,
    #[arg(long)]
    pub(crate) title: Option<String>,
    /// RFC 3339, such as 2026-11-11T20:00:00+08:00; open at once if absent
    #[arg(long)]
    pub(crate) opens_at: Option<String>,
    /// RFC 3339
    #[arg(long)]
    pub(crate) closes_at: Option<String>,
    /// KEY=VALUE of the policy, such as --policy fraction=0.05; may be repeated
    #[arg(long = "policy", value_name = "KEY=VALUE")]
    pub(crate) policy: Vec<String>,
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

/// Reads the configuration that an option names, with the environment laid over it.
#[expect(
    clippy::disallowed_methods,
    reason = "the composition root reads the environment, here and nowhere else"
)]
pub(crate) fn configured(option: &ConfigOption) -> anyhow::Result<config::Config> {
    Ok(config::load(option.config.as_deref(), std::env::vars())?)
}

/// The configuration of whoever only asks a process that runs.
#[expect(
    clippy::disallowed_methods,
    reason = "the composition root reads the environment, here and nowhere else"
)]
pub(crate) fn asking(option: &ConfigOption) -> anyhow::Result<config::Config> {
    Ok(config::read(option.config.as_deref(), std::env::vars())?)
}

/// The admin token in the environment, for `sluice sale`.
#[expect(
    clippy::disallowed_methods,
    reason = "the composition root reads the environment, here and nowhere else"
)]
pub(crate) fn token_in_environment() -> Option<String> {
    std::env::var("SLUICE_TOKEN").ok().filter(|token| !token.is_empty())
}

pub(crate) fn config_show(option: &ConfigOption) -> anyhow::Result<()> {
    let text = toml::to_string_pretty(&configured(option)?.masked())?;
    std::io::stdout().write_all(text.as_bytes())?;
    Ok(())
}

/// `sluice migrate`.
pub(crate) fn migrate(option: &ConfigOption) -> anyhow::Result<()> {
    let config = configured(option)?;
    if config.backend.kind == config::BackendKind::Embedded {
        return Err(Usage(
            "the embedded store needs no migration; it is brought up to date when it is opened"
                .into(),
        )
        .into());
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let version = runtime.block_on(crate::backends::migrate(&config))?;
    writeln!(std::io::stdout(), "the schema is at version {version}")?;
    Ok(())
}

pub(crate) fn config_check(option: &ConfigOption) -> anyhow::Result<()> {
    let Some(file) = &option.config else {
        return Err(Usage("name the file to check with --config FILE".into()).into());
    };
    configured(option)?;
    writeln!(std::io::stdout(), "{}: sound", file.display())?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

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
