//! The program: reads the command line and the configuration, picks the backends, runs the chosen roles.
//!
//! A library, so that it is compiled beside the backends and not after them; `main.rs` calls it.

use std::process::ExitCode;

use clap::Parser;

mod admin;
mod api;
mod audit;
mod backends;
mod cli;
mod config;
mod demo;
mod documents;
mod exit;
mod letters;
mod plan;
mod reconcile;
mod roles;
mod sale;
mod simulate;
mod swarm;
mod telemetry;

use cli::{Cli, Command, ConfigCommand};
use roles::{Part, Parts};

/// Does what the command line says.
#[must_use]
pub fn main() -> ExitCode {
    // Asking it anything links mimalloc in, and then its `malloc` serves Rust and SQLite alike, by a shorter way than as a global
    // allocator. The C library's gives memory back after every commit of SQLite, and takes three times as much for an idle connection.
    let _version = mimalloc::MiMalloc.version();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return exit::command_line(&error),
    };
    exit::code(match cli.command {
        Command::Run(options) => roles::run(&options, Parts::All),
        Command::Admission(options) => roles::run(&options, Parts::Only(Part::Admission)),
        Command::Dispatcher(options) => roles::run(&options, Parts::Only(Part::Dispatcher)),
        Command::Worker(options) => roles::run(&options, Parts::Only(Part::Worker)),
        Command::WsPush(options) => roles::run(&options, Parts::Only(Part::WsPush)),
        Command::Operator(options) => roles::run(&options, Parts::Only(Part::Operator)),
        Command::Migrate(options) => cli::migrate(&options),
        Command::Demo(options) => demo::run(&options),
        Command::Swarm(options) => swarm::command(&options),
        Command::Simulate(options) => simulate::command(&options),
        Command::Plan(options) => plan::command(&options),
        Command::Sale(options) => sale::command(&options),
        Command::DeadLetters(options) => letters::command(&options),
        Command::Audit(options) => audit::command(&options),
        Command::Reconcile(options) => reconcile::command(&options),
        Command::OpenApi => documents::print(documents::OPENAPI),
        Command::AsyncApi => documents::print(documents::ASYNCAPI),
        Command::Config(ConfigCommand::Show(options)) => cli::config_show(&options),
        Command::Config(ConfigCommand::Check(options)) => cli::config_check(&options),
        Command::Completions { shell } => cli::completions(shell),
    })
}
