//! A sale's policy: what an operator tunes, with its ranges and defaults.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{law::RateLaw, line::Caps};

mod patch;

pub use patch::{LimitPatch, LimitsPatch, PolicyPatch, RateLimitPatch};

/// A rate limit: `per_second` steadily, `burst` at once. Both 1 to 1,000,000.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RateLimit {
    pub per_second: u32,
    pub burst: u32,
}

/// The limits of a sale; `None` means the configuration's own.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub per_buyer: Option<RateLimit>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub per_device: Option<RateLimit>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub per_ip: Option<RateLimit>,
}

/// What to do with a join beyond the line's cap.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Overflow {
    Refuse,
    #[default]
    Standby,
}

/// What to do with the line when its goods are gone.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnSoldOut {
    #[default]
    Settle,
    Standby,
}

/// Everything an operator may tune while a sale runs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Policy {
    /// Share of what remains that is released per second: 0 < x ≤ 1.
    pub fraction: f64,
    /// Turns per second at most: 0 < x ≤ 1,000,000.
    pub ceiling_per_second: f64,
    /// Turns per second at least while anything remains: 0 to 1,000,000.
    pub tail_per_second: f64,
    /// Slows the law: 0 to 1.
    pub multiplier: f64,
    /// Whether joins are refused (423) while the sale is paused.
    pub refuse_while_paused: bool,
    /// Entries that may wait: 1 to 10,000,000.
    pub line_cap: u64,
    pub overflow: Overflow,
    /// Entries that may stand by: 0 to 10,000,000.
    pub standby_cap: u64,
    pub on_sold_out: OnSoldOut,
    /// Live and paid units of one buyer: 1 to 1000.
    pub per_buyer_units: u32,
    /// From reservation to payment deadline: 1 to 86,400 s.
    pub payment_window_seconds: u32,
    /// A place that nobody renewed for this long is passed as `expired`: 0 (never) to 86,400 s.
    pub expire_silent_after_seconds: u32,
    /// An external order backend must settle a turn within this: 1 to 3600 s.
    pub outcome_timeout_seconds: u32,
    pub limits: Limits,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            fraction: 0.02,
            ceiling_per_second: 2000.0,
            tail_per_second: 0.0,
            multiplier: 1.0,
            refuse_while_paused: false,
            line_cap: 50_000,
            overflow: Overflow::Standby,
            standby_cap: 50_000,
            on_sold_out: OnSoldOut::Settle,
            per_buyer_units: 10,
            payment_window_seconds: 900,
            expire_silent_after_seconds: 900,
            outcome_timeout_seconds: 60,
            limits: Limits::default(),
        }
    }
}

/// A value out of its range. `field` is a path as the client writes it.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("`{field}` {rule}")]
pub struct OutOfRange {
    pub field: String,
    pub rule: String,
}

impl OutOfRange {
    #[must_use]
    pub fn new(field: impl Into<String>, rule: impl Into<String>) -> Self {
        Self { field: field.into(), rule: rule.into() }
    }
}

impl Policy {
    /// Checks every range and returns the first that is broken.
    pub fn check(&self) -> Result<(), OutOfRange> {
        let above_zero = |field: &str, x: f64, max: f64| {
            if x > 0.0 && x <= max {
                Ok(())
            } else {
                Err(OutOfRange::new(field, format!("must be above 0 and at most {max}")))
            }
        };
        let within = |field: &str, x: f64, max: f64| {
            if (0.0..=max).contains(&x) {
                Ok(())
            } else {
                Err(OutOfRange::new(field, format!("must be 0 to {max}")))
            }
        };
        above_zero("fraction", self.fraction, 1.0)?;
        above_zero("ceiling_per_second", self.ceiling_per_second, 1e6)?;
        within("tail_per_second", self.tail_per_second, 1e6)?;
        within("multiplier", self.multiplier, 1.0)?;
        whole("line_cap", self.line_cap, 1, 10_000_000)?;
        whole("standby_cap", self.standby_cap, 0, 10_000_000)?;
        whole("per_buyer_units", self.per_buyer_units.into(), 1, 1_000)?;
        whole("payment_window_seconds", self.payment_window_seconds.into(), 1, 86_400)?;
        whole("expire_silent_after_seconds", self.expire_silent_after_seconds.into(), 0, 86_400)?;
        whole("outcome_timeout_seconds", self.outcome_timeout_seconds.into(), 1, 3_600)?;
        self.check_limits()
    }

    fn check_limits(&self) -> Result<(), OutOfRange> {
        let limits = &self.limits;
        for (name, limit) in [
            ("per_buyer", limits.per_buyer),
            ("per_device", limits.per_device),
            ("per_ip", limits.per_ip),
        ] {
            if let Some(limit) = limit {
                whole(&format!("limits.{name}.per_second"), limit.per_second.into(), 1, 1_000_000)?;
                whole(&format!("limits.{name}.burst"), limit.burst.into(), 1, 1_000_000)?;
            }
        }
        Ok(())
    }

    #[must_use]
    pub fn law(&self) -> RateLaw {
        RateLaw {
            fraction: self.fraction,
            ceiling: self.ceiling_per_second,
            tail: self.tail_per_second,
            multiplier: self.multiplier,
        }
    }

    /// How many may have a place while the sale has something left, or once it has not.
    #[must_use]
    pub fn caps(&self, sold_out: bool) -> Caps {
        let standby = |may| if may { self.standby_cap } else { 0 };
        if sold_out && self.on_sold_out == OnSoldOut::Standby {
            return Caps { line: 0, standby: standby(true) };
        }
        Caps { line: self.line_cap, standby: standby(self.overflow == Overflow::Standby) }
    }

    #[must_use]
    pub fn payment_window(&self) -> Duration {
        Duration::from_secs(self.payment_window_seconds.into())
    }

    /// How long a place may go unrenewed; `None` means for ever.
    #[must_use]
    pub fn outcome_timeout(&self) -> Duration {
        Duration::from_secs(self.outcome_timeout_seconds.into())
    }

    #[must_use]
    pub fn silence_allowed(&self) -> Option<Duration> {
        (self.expire_silent_after_seconds > 0)
            .then(|| Duration::from_secs(self.expire_silent_after_seconds.into()))
    }

    /// This policy with the fields of `patch` laid over it, checked.
    pub fn patched(&self, patch: &PolicyPatch) -> Result<Self, OutOfRange> {
        let mut next = self.clone();
        macro_rules! take {
            ($($field:ident),+) => { $( if let Some(value) = patch.$field { next.$field = value; } )+ };
        }
        take!(
            fraction,
            ceiling_per_second,
            tail_per_second,
            multiplier,
            refuse_while_paused,
            line_cap,
            overflow
        );
        take!(
            standby_cap,
            on_sold_out,
            per_buyer_units,
            payment_window_seconds,
            expire_silent_after_seconds
        );
        take!(outcome_timeout_seconds);
        if let Some(limits) = patch.limits {
            for (name, patch, standing) in [
                ("per_buyer", limits.per_buyer, &mut next.limits.per_buyer),
                ("per_device", limits.per_device, &mut next.limits.per_device),
                ("per_ip", limits.per_ip, &mut next.limits.per_ip),
            ] {
                match patch {
                    LimitPatch::Keep => {}
                    LimitPatch::Remove => *standing = None,
                    LimitPatch::Lay(patch) => *standing = Some(patch.laid_over(*standing, name)?),
                }
            }
        }
        next.check()?;
        Ok(next)
    }
}

fn whole(field: &str, x: u64, min: u64, max: u64) -> Result<(), OutOfRange> {
    if (min..=max).contains(&x) {
        Ok(())
    } else {
        Err(OutOfRange::new(field, format!("must be {min} to {max}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn patch(json: &str) -> PolicyPatch {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn a_patch_is_merged() {
        let next = Policy::default()
            .patched(&patch(r#"{"fraction":0.1,"limits":{"per_ip":{"per_second":5,"burst":6}}}"#));
        let next = next.unwrap();
        assert!((next.fraction - 0.1).abs() < f64::EPSILON);
        assert_eq!(next.limits.per_ip, Some(RateLimit { per_second: 5, burst: 6 }));
        assert_eq!(next.line_cap, 50_000);
    }

    #[test]
    fn half_a_limit_is_laid_over_the_one_that_stands() {
        let whole = r#"{"limits":{"per_ip":{"per_second":5,"burst":6}}}"#;
        let standing = Policy::default().patched(&patch(whole)).unwrap();
        let half = patch(r#"{"limits":{"per_ip":{"per_second":7}}}"#);
        let next = standing.patched(&half).unwrap();
        assert_eq!(next.limits.per_ip, Some(RateLimit { per_second: 7, burst: 6 }));
        assert_eq!(next.limits.per_buyer, None);
        let error = Policy::default().patched(&half).unwrap_err();
        assert_eq!(error.field, "limits.per_ip.burst");
    }

    #[test]
    fn a_limit_that_is_null_is_removed() {
        let both = r#"{"limits":{"per_ip":{"per_second":5,"burst":6},"per_buyer":{"per_second":1,"burst":1}}}"#;
        let standing = Policy::default().patched(&patch(both)).unwrap();
        let removal = patch(r#"{"limits":{"per_ip":null}}"#);
        let next = standing.patched(&removal).unwrap();
        assert_eq!((next.limits.per_ip, next.limits.per_buyer), (None, standing.limits.per_buyer));
        for said in [removal, patch(both), PolicyPatch::default()] {
            assert_eq!(patch(&serde_json::to_string(&said).unwrap()), said, "as it was said");
        }
    }

    #[test]
    fn ranges_are_named() {
        for (json, field) in [
            (r#"{"fraction":0}"#, "fraction"),
            (r#"{"fraction":1.5}"#, "fraction"),
            (r#"{"ceiling_per_second":2e6}"#, "ceiling_per_second"),
            (r#"{"tail_per_second":-1}"#, "tail_per_second"),
            (r#"{"multiplier":1.01}"#, "multiplier"),
            (r#"{"line_cap":0}"#, "line_cap"),
            (r#"{"per_buyer_units":1001}"#, "per_buyer_units"),
            (r#"{"payment_window_seconds":0}"#, "payment_window_seconds"),
            (r#"{"standby_cap":10000001}"#, "standby_cap"),
            (
                r#"{"limits":{"per_buyer":{"per_second":0,"burst":1}}}"#,
                "limits.per_buyer.per_second",
            ),
        ] {
            let error = Policy::default().patched(&patch(json)).unwrap_err();
            assert_eq!(error.field, field, "{json}");
        }
    }

    #[test]
    fn unknown_fields_are_named() {
        let error = serde_json::from_str::<PolicyPatch>(r#"{"fractoin":0.1}"#).unwrap_err();
        assert!(error.to_string().contains("fractoin"));
    }
}
