//! How many connections this node has of each sale, told to everybody by the bulletin: operators see the sum of all nodes.

use std::{collections::HashMap, sync::Arc, time::Duration};

use sluice_core::{
    ids::SaleId,
    ports::{Bulletin, Notice, PUSH_REPORT_EVERY, PushReport},
};
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::service::Service;

const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What was told of each sale that somebody is connected to, and when.
type Told = HashMap<SaleId, (u64, Instant)>;

/// Never returns.
pub(crate) async fn run(service: Arc<Service>, bulletin: Arc<dyn Bulletin>) {
    let node = service.random.below(u64::MAX);
    let mut told = Told::new();
    let mut look = interval(LOOK_EVERY);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        look.tick().await;
        for (sale, connections) in due(&mut told, service.connected(), Instant::now()) {
            let report = PushReport { sale, node, connections };
            if let Err(error) = bulletin.publish(Notice::Pushed(report)).await {
                tracing::debug!(
                    error = &error as &dyn std::error::Error,
                    "operators are not told how many are connected"
                );
            }
        }
    }
}

/// What is news, or was not said for a while. That nobody is left is said once.
fn due(told: &mut Told, mut counts: HashMap<SaleId, u64>, now: Instant) -> Vec<(SaleId, u64)> {
    for sale in told.keys() {
        counts.entry(sale.clone()).or_default();
    }
    let is_due = |(sale, count): &(SaleId, u64)| match told.get(sale) {
        Some((before, at)) => before != count || now.duration_since(*at) >= PUSH_REPORT_EVERY,
        None => *count > 0,
    };
    let due: Vec<_> = counts.into_iter().filter(is_due).collect();
    for (sale, count) in &due {
        told.insert(sale.clone(), (*count, now));
    }
    told.retain(|_, (count, _)| *count > 0);
    due
}

#[cfg(test)]
mod tests {
    use sluice_core::{clock::UnixMillis, sale::NewSale, view::Directory};
    use tokio::time::sleep;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn news_are_told_and_what_stays_is_told_now_and_then() {
        let sale = SaleId::new("drop").unwrap();
        let (mut told, mut now) = (Told::new(), Instant::now());
        let mut said = |count: Option<u64>, later: Duration| {
            now += later;
            let counts = count.map(|count| (sale.clone(), count)).into_iter().collect();
            let due = due(&mut told, counts, now);
            due.first().map(|(_, count)| *count)
        };
        assert_eq!(said(Some(0), LOOK_EVERY), None, "nobody was ever there");
        assert_eq!(said(Some(7), LOOK_EVERY), Some(7));
        assert_eq!(said(Some(7), LOOK_EVERY), None);
        assert_eq!(said(Some(8), LOOK_EVERY), Some(8));
        assert_eq!(said(Some(8), PUSH_REPORT_EVERY), Some(8));
        assert_eq!(said(None, LOOK_EVERY), Some(0), "the room is closed");
        assert_eq!(said(None, PUSH_REPORT_EVERY), None, "once");
    }

    #[tokio::test(start_paused = true)]
    async fn nodes_are_added_up_and_one_that_falls_silent_is_forgotten() {
        let sale: NewSale = serde_json::from_value(serde_json::json!({
            "id": "drop",
            "skus": [{"sku": "standard", "stock": 1, "amount_fen": 1, "currency": "CNY"}],
        }))
        .unwrap();
        let directory = Directory::default();
        let view = directory.learn_sale(Arc::new(sale.build(UnixMillis(0)).unwrap()));
        let says = |node, connections| {
            let sale = SaleId::new("drop").unwrap();
            directory.learn_pushed(&PushReport { sale, node, connections });
        };
        says(1, 10);
        says(2, 5);
        says(1, 11);
        assert_eq!(view.push_connections(), 16);
        sleep(2 * PUSH_REPORT_EVERY).await;
        says(2, 5);
        sleep(PUSH_REPORT_EVERY).await;
        assert_eq!(view.push_connections(), 5, "the first is gone");
        says(2, 0);
        assert_eq!(view.push_connections(), 0);
    }
}
