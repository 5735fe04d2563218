//! `sluice swarm`: a crowd against a running sluice, and the judgement of what it saw. `sluice demo` brings the same crowd.
//!
//! Arrivals are open-loop: a shopper comes when its time is there, however slow the answers to others are. Nothing is
//! believed that the server says of itself: every verdict is made from what shoppers were told.

use std::{fs, sync::Arc};

use anyhow::Context;

use crate::{
    cli::SwarmOptions,
    exit::{Broken, Usage},
};

pub(crate) mod checkout;
pub(crate) mod client;
pub(crate) mod crowd;
pub(crate) mod display;
pub(crate) mod judge;
pub(crate) mod manners;
pub(crate) mod money;
pub(crate) mod observer;
pub(crate) mod progress;
pub(crate) mod push;
pub(crate) mod record;
pub(crate) mod report;
pub(crate) mod shopper;

use self::{client::Target, crowd::Plan, progress::Progress};

/// Open files kept for everything but push connections.
const FILES_RESERVED: u64 = 3_000;

pub(crate) fn command(options: &SwarmOptions) -> anyhow::Result<()> {
    options.manners.check()?;
    let targets: Vec<Target> = options
        .targets
        .iter()
        .map(|text| Target::parse(text).map_err(|error| Usage(format!("--target {text}: {error}"))))
        .collect::<Result<_, _>>()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let plan = Plan {
        targets,
        sale: options.sale.clone(),
        shoppers: options.shoppers,
        arrive_over: options.arrive_over,
        push: push_share(options.shoppers, options.push, 1),
        manners: options.manners,
        sku: options.sku.clone(),
        quantity: options.quantity,
        seed: options.seed,
        patience: options.patience,
    };
    let progress = Arc::new(Progress::default());
    let seen = runtime.block_on(async {
        let live = display::Display::start(Arc::clone(&progress), plan.shoppers);
        let seen = crowd::run(&plan, Arc::clone(&progress)).await;
        live.stop().await;
        seen
    })?;
    finish(&plan, &seen, options.report.as_deref())
}

/// Prints the report, writes it if asked to, and fails if a promise was broken.
pub(crate) fn finish(
    plan: &Plan,
    seen: &crowd::Seen,
    file: Option<&std::path::Path>,
) -> anyhow::Result<()> {
    let verdicts = judge::judge(plan, seen);
    let report = report::Report::new(plan, seen, &verdicts);
    report.print(&mut std::io::stdout().lock())?;
    if let Some(path) = file {
        let text = serde_json::to_vec_pretty(&report)?;
        fs::write(path, text).with_context(|| format!("writing {}", path.display()))?;
    }
    if verdicts.iter().all(|verdict| verdict.held) { Ok(()) } else { Err(Broken.into()) }
}

/// Raises the limit of open files as far as it goes, and lowers the share of push connections to what fits.
/// `ends` is how many ends of a connection this process holds.
pub(crate) fn push_share(shoppers: u32, wanted: f64, ends: u64) -> f64 {
    let files = rlimit::increase_nofile_limit(u64::MAX).unwrap_or(1024);
    let room = sluice_core::law::exact(files.saturating_sub(FILES_RESERVED) / ends);
    let share = wanted.min(room / f64::from(shoppers.max(1)));
    if share < wanted {
        tracing::warn!(
            files,
            wanted,
            share,
            "fewer shoppers push than asked for: raise the limit of open files (ulimit -n)"
        );
    }
    share
}
