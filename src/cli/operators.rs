//! The commands that ask the operator API: `sale`, `dead-letters`, `reconcile` and `audit`.

use std::path::PathBuf;

use clap::{ArgGroup, Args, Subcommand};

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

#[derive(Debug, Args)]
pub(crate) struct AuditOptions {
    #[command(flatten)]
    pub(crate) admin: AdminOptions,
    /// Only rows older than this one
    #[arg(long, value_name = "ID", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) before: Option<u64>,
    /// How many at most, newest first
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=500))]
    pub(crate) limit: u32,
    /// Read on to the first row ever written, page by page, so that the whole chain is checked
    #[arg(long, conflicts_with = "limit")]
    pub(crate) all: bool,
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
        /// For the audit log
        #[arg(long)]
        reason: Option<String>,
    },
    /// Hold the line; everybody keeps their place
    Pause(SaleAndReason),
    /// Let the line move again; also lifts a freeze
    Resume(SaleAndReason),
    /// End the sale for good; everybody who waits is told
    Close(SaleAndReason),
    /// Stop everything but payments and refunds, until `resume`; for admins
    Freeze(SaleAndReason),
    /// Remove a sale for good, once every entry has its outcome and every order is final; for admins
    Delete(SaleAndReason),
    /// Tell the crowd something; without a text, take the notice down
    Notice {
        sale: String,
        /// LANGUAGE=TEXT, such as en="Back in ten minutes"
        #[arg(value_name = "LANGUAGE=TEXT")]
        texts: Vec<String>,
        /// For the audit log
        #[arg(long)]
        reason: Option<String>,
    },
    /// Add stock
    Stock {
        sale: String,
        sku: String,
        /// How many units
        #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
        add: u64,
        /// For the audit log
        #[arg(long)]
        reason: Option<String>,
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
#[command(group(ArgGroup::new("goods").args(["skus", "seats"]).required(true).multiple(true)))]
pub(crate) struct CreateSale {
    /// The id: a-z, 0-9 and -
    pub(crate) sale: String,
    /// SKU:STOCK:PRICE in the currency's smallest unit, such as standard:10000:9900; may be repeated
    #[arg(long = "sku", value_name = "SKU:STOCK:PRICE")]
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
