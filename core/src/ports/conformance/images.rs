//! Rules of the image that the ledger gives of a sale's stock: which holds are live, and up to which movement it is true.

#![expect(clippy::unwrap_used, reason = "test code that lives behind a feature")]

use std::{collections::BTreeSet, sync::Arc};

use super::{
    House,
    holds::{hold, open},
    samples::*,
    together,
};
use crate::{
    order::ClosingCause,
    ports::{HoldReply, Ledger, StepReply},
};

#[macro_export]
macro_rules! images_conformance {
    ($open:path) => {
        $crate::conformance_rules!(
            $open,
            images:
            the_image_shows_live_holds,
            an_image_has_seen_every_movement_up_to_its_last,
        );
    };
}

type Port = Arc<dyn Ledger>;

pub async fn the_image_shows_live_holds(house: impl House<Port = Port>) {
    let (ledger, sale) = open(&house, &[("a", 10), ("b", 10)]).await;
    let (ada, bob) = (request(wanting(1, "ada", &[("a", 2), ("b", 1)])), request(entry(2, "bob")));
    let replies = hold(&*ledger, &sale, vec![ada.clone(), bob.clone()]).await;
    let image = ledger.gate_image(&sale).await.unwrap();
    assert_eq!(image.skus, [(sku("a"), 10, 0), (sku("b"), 10, 0)]);
    for (asked, reply) in [(&ada, &replies[0]), (&bob, &replies[1])] {
        let shown = image.holds.iter().find(|held| held.hold == asked.hold).unwrap();
        assert_eq!(shown.basket, asked.line_entry.basket);
        let HoldReply::Settled { movement, .. } = reply else { panic!("{reply:?}") };
        assert_eq!(Some(shown.movement), *movement);
    }
    ledger.begin_closing(ada.order, ClosingCause::Cancelled).await.unwrap();
    assert_eq!(ledger.gate_image(&sale).await.unwrap().holds.len(), 2, "still held");
    ledger.close_unpaid(ada.order).await.unwrap();
    let image = ledger.gate_image(&sale).await.unwrap();
    assert_eq!(image.holds.iter().map(|held| held.hold).collect::<Vec<_>>(), [bob.hold]);
}

/// Many hold and close at once, of different goods, while others read: whatever is up to the last movement of an image is
/// in it, and nothing above.
pub async fn an_image_has_seen_every_movement_up_to_its_last(house: impl House<Port = Port>) {
    const GOODS: [&str; 4] = ["a", "b", "c", "d"];
    let (ledger, sale) = open(&house, &GOODS.map(|name| (name, 100))).await;
    let parts = together(6, |n| {
        let (ledger, sale) = (Arc::clone(&ledger), sale.clone());
        async move {
            let (mut moved, mut images) = (Vec::new(), Vec::new());
            for round in 0..12 {
                let Some(name) = GOODS.get(n) else {
                    images.push(ledger.gate_image(&sale).await.unwrap());
                    continue;
                };
                let (seq, buyer) = ((n * 100 + round) as u64, format!("buyer-{n}-{round}"));
                let turn = request(wanting(seq, &buyer, &[(name, 1)]));
                let replies = ledger.hold(&sale, vec![turn.clone()]).await.unwrap();
                let [HoldReply::Settled { movement: Some(held), .. }] = replies[..] else {
                    panic!("{replies:?}")
                };
                ledger.begin_closing(turn.order, ClosingCause::Cancelled).await.unwrap();
                let closed = ledger.close_unpaid(turn.order).await.unwrap();
                let StepReply::Done { gate: Some(over), .. } = closed else { panic!("{closed:?}") };
                assert!(held < over.movement);
                moved.push((turn.hold, held..over.movement));
            }
            (moved, images)
        }
    });
    let (moved, images): (Vec<_>, Vec<_>) = parts.await.into_iter().unzip();
    let last = ledger.gate_image(&sale).await.unwrap();
    for image in images.iter().flatten().chain([&last]) {
        for (hold, held) in moved.iter().flatten() {
            let is_listed = image.holds.iter().any(|listed| listed.hold == *hold);
            assert_eq!(is_listed, held.contains(&image.moved), "{held:?} of {}", image.moved);
        }
    }
    let numbers: BTreeSet<u64> =
        moved.iter().flatten().flat_map(|(_, held)| [held.start, held.end]).collect();
    assert_eq!(numbers.len(), 2 * 12 * GOODS.len(), "no number comes twice");
    assert_eq!(numbers.last(), Some(&last.moved));
}
