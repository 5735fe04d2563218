//! The command line. Doc comments are the help texts: written for the reader who has a sale tonight.

use std::{io::Write, path::PathBuf};

use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum};

use crate::{config, exit::Usage};

mod crowd;
mod operators;
mod planning;

pub(crate) use crowd::{DemoOptions, SimulateOptions, SwarmOptions, duration, fraction};
pub(crate) use operators::{
    AdminOptions, AuditOptions, CreateSale, LettersAndReason, LettersCommand, LettersOptions,
    ReconcileOptions, SaleCommand, SaleOptions,
};
pub(crate) use planning::PlanOptions;

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
    /// Say what a crowd needs: nodes, stores, bandwidth, and what breaks first
    ///
    /// From costs that were measured on two cores; figures that are targets or guesses are named. The sale runs on virtual time
    /// under the real rate law, and nothing is started. docs/planning.md says what is assumed.
    #[command(after_help = planning::EXAMPLES)]
    Plan(PlanOptions),
    /// Manage sales from the terminal
    Sale(SaleOptions),
    /// Look at what could not be worked, and deal with it
    #[command(name = "dead-letters")]
    DeadLetters(LettersOptions),
    /// Read the audit log: who did what, from where, and what came of it
    ///
    /// The rows are a chain: each holds the hash of the one before. What is read is checked, and exits 70 if a row was changed
    /// or taken out since it was written.
    Audit(AuditOptions),
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
    /// Print what a shell needs to complete these commands
    ///
    /// For bash: source <(sluice completions bash)
    Completions {
        /// Which shell
        shell: Shell,
    },
}

/// The shells whose completions are tried out.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum Shell {
    Bash,
    Zsh,
    Fish,
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

/// `sluice completions`.
pub(crate) fn completions(shell: Shell) -> anyhow::Result<()> {
    let shell = match shell {
        Shell::Bash => clap_complete::Shell::Bash,
        Shell::Zsh => clap_complete::Shell::Zsh,
        Shell::Fish => clap_complete::Shell::Fish,
    };
    // Into memory first: the generator panics where it cannot write.
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "sluice", &mut script);
    std::io::stdout().write_all(&script)?;
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
    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }
}
