//! `sluice demo`: a whole flash sale on a throw-away sluice, with the crowd of `sluice swarm`.

use std::{io::Write, sync::Arc, time::Duration};

use serde_json::json;
use sluice_core::sale::NewSale;

use crate::{
    cli::{self, ConfigOption, DemoOptions},
    roles::{Parts, Process},
    swarm::{
        self,
        client::Target,
        crowd::{self, Plan},
        display::Display,
        progress::Progress,
    },
    telemetry,
};

const SALE: &str = "demo";
const ARRIVE_OVER: Duration = Duration::from_secs(5);
const PUSH_SHARE: f64 = 1.0 / 3.0;
const PATIENCE: Duration = Duration::from_secs(90);
/// How long there is to pay, in a demonstration of what comes of not paying.
const WINDOW_SECONDS: u32 = 20;

pub(crate) fn run(options: &DemoOptions) -> anyhow::Result<()> {
    options.manners.check()?;
    let mut config = cli::configured(&ConfigOption { config: None })?;
    // Whoever pays late wants to see late money.
    let simulated = &mut config.payment.simulated;
    if options.manners.late > 0.0 && simulated.pay_after_close <= 0.0 {
        simulated.pay_after_close = 1.0;
    }
    // A warning in the middle of the picture would tear it; the report tells what went wrong.
    config.log.filter = "off".into();
    telemetry::install_log(&config.log)?;
    let folder = tempfile::tempdir()?;
    config.embedded.data_dir = folder.path().to_owned();
    for address in [&mut config.admission.listen, &mut config.admin.listen] {
        *address = ([127, 0, 0, 1], 0).into();
    }
    config.sales = vec![sale(options)?];
    writeln!(
        std::io::stdout(),
        "{} shoppers arrive within {} s for {} items. It takes about a minute.",
        options.shoppers,
        ARRIVE_OVER.as_secs(),
        options.stock
    )?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let (plan, seen) = runtime.block_on(async {
        let process = Process::start(config, Parts::All).await?;
        let plan = Plan {
            targets: vec![Target::parse(&format!("http://{}", process.public_address()))?],
            sale: SALE.into(),
            shoppers: options.shoppers,
            arrive_over: ARRIVE_OVER,
            push: swarm::push_share(options.shoppers, PUSH_SHARE, 2),
            manners: options.manners,
            sku: None,
            quantity: 1,
            seed: options.seed,
            patience: PATIENCE,
        };
        let progress = Arc::new(Progress::default());
        let live = Display::start(Arc::clone(&progress), options.shoppers);
        let seen = crowd::run(&plan, progress).await;
        live.stop().await;
        process.stop().await?;
        anyhow::Ok((plan, seen?))
    })?;
    swarm::finish(&plan, &seen, None)
}

/// Quicker than the default law, so that it takes about a minute; said so in the help. Where deadlines are met, they come
/// soon.
fn sale(options: &DemoOptions) -> anyhow::Result<NewSale> {
    let window = if options.manners.meet_deadlines() { WINDOW_SECONDS } else { 900 };
    Ok(serde_json::from_value(json!({
        "id": SALE,
        "title": "The demo drop",
        "skus": [{ "sku": "standard", "stock": options.stock, "amount_fen": 9900, "currency": "CNY" }],
        "policy": {
            "fraction": 0.1, "ceiling_per_second": 400, "tail_per_second": 25, "payment_window_seconds": window,
        },
    }))?)
}
