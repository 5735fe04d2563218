//! A partial policy, as `PATCH …/policy` brings it: what is absent stays, and a limit that is `null` is removed.

use serde::{Deserialize, Serialize};

use super::{OnSoldOut, OutOfRange, Overflow, RateLimit};

/// A partial policy: the body of `PATCH …/policy`. A field that is absent stays as it is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PolicyPatch {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fraction: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ceiling_per_second: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tail_per_second: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub multiplier: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refuse_while_paused: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line_cap: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub overflow: Option<Overflow>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub standby_cap: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_sold_out: Option<OnSoldOut>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub per_buyer_units: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub payment_window_seconds: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expire_silent_after_seconds: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome_timeout_seconds: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limits: Option<LimitsPatch>,
}

/// Partial limits: what is absent stays as it is, what is `null` is removed.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LimitsPatch {
    #[serde(skip_serializing_if = "LimitPatch::is_keep")]
    pub per_buyer: LimitPatch,
    #[serde(skip_serializing_if = "LimitPatch::is_keep")]
    pub per_device: LimitPatch,
    #[serde(skip_serializing_if = "LimitPatch::is_keep")]
    pub per_ip: LimitPatch,
}

/// What a patch does to one limit, as a merge patch (RFC 7396) says it: absent, `null`, or an object.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(from = "Option<RateLimitPatch>", into = "Option<RateLimitPatch>")]
pub enum LimitPatch {
    /// It stays as it is.
    #[default]
    Keep,
    /// The configuration's own counts again.
    Remove,
    Lay(RateLimitPatch),
}

impl LimitPatch {
    fn is_keep(&self) -> bool {
        *self == Self::Keep
    }
}

/// What stands there; a limit that is kept does not.
impl From<Option<RateLimitPatch>> for LimitPatch {
    fn from(written: Option<RateLimitPatch>) -> Self {
        written.map_or(Self::Remove, Self::Lay)
    }
}

impl From<LimitPatch> for Option<RateLimitPatch> {
    fn from(patch: LimitPatch) -> Self {
        match patch {
            LimitPatch::Keep | LimitPatch::Remove => None,
            LimitPatch::Lay(patch) => Some(patch),
        }
    }
}

impl From<RateLimit> for LimitPatch {
    fn from(limit: RateLimit) -> Self {
        let RateLimit { per_second, burst } = limit;
        Self::Lay(RateLimitPatch { per_second: Some(per_second), burst: Some(burst) })
    }
}

/// A partial rate limit: what is absent stays as it is.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RateLimitPatch {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub per_second: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub burst: Option<u32>,
}

impl RateLimitPatch {
    /// The limit `name` with this laid over it. Fails where half a limit is given and none stands: the configuration's own
    /// may differ from process to process, so the other half cannot come from there.
    pub(super) fn laid_over(
        self,
        standing: Option<RateLimit>,
        name: &str,
    ) -> Result<RateLimit, OutOfRange> {
        let missing = |field: &str| {
            let rule = "must be given too: this sale has no such limit of its own yet";
            OutOfRange::new(format!("limits.{name}.{field}"), rule)
        };
        let per_second = self.per_second.or(standing.map(|limit| limit.per_second));
        let burst = self.burst.or(standing.map(|limit| limit.burst));
        Ok(RateLimit {
            per_second: per_second.ok_or_else(|| missing("per_second"))?,
            burst: burst.ok_or_else(|| missing("burst"))?,
        })
    }
}
