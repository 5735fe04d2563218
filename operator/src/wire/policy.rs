//! A partial policy as operators send it.

use serde::Deserialize;
use sluice_core::policy::{
    LimitPatch, LimitsPatch, OnSoldOut, Overflow, PolicyPatch, RateLimitPatch,
};

use super::{Whole, present};

/// The body of `PATCH …/policy`, and `policy` of a new sale: absent fields stay as they are, a limit that is `null` goes.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct PolicyBody {
    #[serde(deserialize_with = "present")]
    fraction: Option<f64>,
    #[serde(deserialize_with = "present")]
    ceiling_per_second: Option<f64>,
    #[serde(deserialize_with = "present")]
    tail_per_second: Option<f64>,
    #[serde(deserialize_with = "present")]
    multiplier: Option<f64>,
    #[serde(deserialize_with = "present")]
    refuse_while_paused: Option<bool>,
    #[serde(deserialize_with = "present")]
    line_cap: Option<Whole>,
    #[serde(deserialize_with = "present")]
    overflow: Option<Overflow>,
    #[serde(deserialize_with = "present")]
    standby_cap: Option<Whole>,
    #[serde(deserialize_with = "present")]
    on_sold_out: Option<OnSoldOut>,
    #[serde(deserialize_with = "present")]
    per_buyer_units: Option<Whole>,
    #[serde(deserialize_with = "present")]
    payment_window_seconds: Option<Whole>,
    #[serde(deserialize_with = "present")]
    expire_silent_after_seconds: Option<Whole>,
    #[serde(deserialize_with = "present")]
    outcome_timeout_seconds: Option<Whole>,
    #[serde(deserialize_with = "present")]
    limits: Option<LimitsBody>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct LimitsBody {
    per_buyer: LimitBody,
    per_device: LimitBody,
    per_ip: LimitBody,
}

/// `null` takes the sale's own limit away.
#[derive(Debug, Default, Deserialize)]
#[serde(from = "Option<RateLimitBody>")]
struct LimitBody(LimitPatch);

impl From<Option<RateLimitBody>> for LimitBody {
    fn from(body: Option<RateLimitBody>) -> Self {
        Self(body.map(RateLimitBody::into_patch).into())
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RateLimitBody {
    #[serde(deserialize_with = "present")]
    per_second: Option<Whole>,
    #[serde(deserialize_with = "present")]
    burst: Option<Whole>,
}

impl PolicyBody {
    pub(crate) fn into_patch(self) -> PolicyPatch {
        PolicyPatch {
            fraction: self.fraction,
            ceiling_per_second: self.ceiling_per_second,
            tail_per_second: self.tail_per_second,
            multiplier: self.multiplier,
            refuse_while_paused: self.refuse_while_paused,
            line_cap: self.line_cap.map(Whole::to_u64),
            overflow: self.overflow,
            standby_cap: self.standby_cap.map(Whole::to_u64),
            on_sold_out: self.on_sold_out,
            per_buyer_units: self.per_buyer_units.map(Whole::to_u32),
            payment_window_seconds: self.payment_window_seconds.map(Whole::to_u32),
            expire_silent_after_seconds: self.expire_silent_after_seconds.map(Whole::to_u32),
            outcome_timeout_seconds: self.outcome_timeout_seconds.map(Whole::to_u32),
            limits: self.limits.map(|limits| LimitsPatch {
                per_buyer: limits.per_buyer.0,
                per_device: limits.per_device.0,
                per_ip: limits.per_ip.0,
            }),
        }
    }
}

impl RateLimitBody {
    fn into_patch(self) -> RateLimitPatch {
        RateLimitPatch {
            per_second: self.per_second.map(Whole::to_u32),
            burst: self.burst.map(Whole::to_u32),
        }
    }
}
