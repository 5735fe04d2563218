//! What lies outside and belongs to the shop: who takes its money, and what is done for an order that is paid.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use sluice_core::webhook;
use sluice_worker::SimulatedKnobs;

use super::{Config, check::Finding, check::complain};

/// Longest delay of a simulated callback, each part of it.
const DELAY_MS_MAX: u64 = 600_000;

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Payment {
    pub(crate) provider: PaymentProviderKind,
    pub(crate) simulated: SimulatedPayment,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum PaymentProviderKind {
    Simulated,
}

/// How unruly the simulated provider is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SimulatedPayment {
    pub(crate) delay_ms: u64,
    pub(crate) delay_spread_ms: u64,
    pub(crate) duplicate: f64,
    pub(crate) reorder: f64,
    pub(crate) drop: f64,
    pub(crate) fail: f64,
    pub(crate) pay_after_close: f64,
    pub(crate) unreachable: f64,
}

impl SimulatedPayment {
    pub(crate) fn knobs(&self) -> SimulatedKnobs {
        SimulatedKnobs {
            delay: Duration::from_millis(self.delay_ms),
            delay_spread: Duration::from_millis(self.delay_spread_ms),
            duplicate: self.duplicate,
            reorder: self.reorder,
            drop: self.drop,
            fail: self.fail,
            pay_after_close: self.pay_after_close,
            unreachable: self.unreachable,
        }
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Fulfilment {
    pub(crate) kind: FulfilmentKind,
    pub(crate) url: String,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum FulfilmentKind {
    Tickets,
    Webhook,
}

/// The simulated provider's knobs.
pub(super) fn check_payment(config: &Config) -> Finding {
    let simulated = &config.payment.simulated;
    for (key, delay) in
        [("delay_ms", simulated.delay_ms), ("delay_spread_ms", simulated.delay_spread_ms)]
    {
        if delay > DELAY_MS_MAX {
            return complain(
                format!("payment.simulated.{key}"),
                format!("must be 0 to {DELAY_MS_MAX} milliseconds"),
            );
        }
    }
    for (key, share) in [
        ("duplicate", simulated.duplicate),
        ("reorder", simulated.reorder),
        ("drop", simulated.drop),
        ("fail", simulated.fail),
        ("pay_after_close", simulated.pay_after_close),
        ("unreachable", simulated.unreachable),
    ] {
        if !(0.0..=1.0).contains(&share) {
            return complain(
                format!("payment.simulated.{key}"),
                "must be a share from 0 (never) to 1 (always), such as 0.05",
            );
        }
    }
    Ok(())
}

/// A webhook needs an address that may be called, and a secret of its own.
pub(super) fn check_fulfilment(config: &Config) -> Finding {
    let Fulfilment { kind, url } = &config.fulfilment;
    if !url.is_empty()
        && let Err(error) = sluice_http::client::check_outbound(url)
    {
        return complain("fulfilment.url", error.to_string());
    }
    let (secrets, key) = (&config.secrets.fulfilment_webhook, "secrets.fulfilment_webhook");
    if !secrets.is_empty()
        && let Err(error) = webhook::Secrets::new(secrets)
    {
        return complain(key, error.to_string());
    }
    if secrets.iter().any(|secret| config.secrets.payment_webhook.contains(secret)) {
        return complain(
            key,
            "must differ from `secrets.payment_webhook`: whoever knows that one can have any order count as paid",
        );
    }
    if *kind == FulfilmentKind::Webhook && url.is_empty() {
        return complain(
            "fulfilment.url",
            "is required with `fulfilment.kind = \"webhook\"`: where the shop listens, such as https://shop.example.com/paid",
        );
    }
    if *kind == FulfilmentKind::Webhook && secrets.is_empty() {
        return complain(
            key,
            "is required with `fulfilment.kind = \"webhook\"`: [\"whsec_\" and the base64 of 24 to 64 bytes], which the shop checks signatures with",
        );
    }
    Ok(())
}
