//! The simulated provider keeps the rules that every payment provider keeps.

use std::sync::Arc;

use async_trait::async_trait;
use sluice_core::ports::{PaymentProvider, conformance::provider::Cashier};

use crate::{house::House, shop::Shop};

/// A buyer who presses the buttons of the pay page.
struct Buyer {
    shop: Shop,
    _house: House,
}

#[async_trait]
impl Cashier for Buyer {
    fn provider(&self) -> Arc<dyn PaymentProvider> {
        Arc::new(self.shop.simulated.clone())
    }

    async fn act(&self, pay_url: &str, succeed: bool) -> bool {
        let pressed = self.shop.press(pay_url, if succeed { "succeed" } else { "fail" }).await;
        assert!(matches!(pressed.status, 200 | 409), "{pressed:?}");
        pressed.status == 200
    }
}

async fn open() -> Buyer {
    let house = House::open(1).await;
    // Its payments are of no order of ours, so nobody could take their callbacks.
    let shop = Shop::open_with(&house, false).await;
    Buyer { shop, _house: house }
}

sluice_core::provider_conformance!(open);
