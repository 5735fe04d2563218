//! What is asked of a preview.

use serde::Deserialize;
use sluice_core::policy::OutOfRange;

use super::{PolicyBody, Whole, present};

/// Most buyers who may be expected.
const SHOPPERS_MAX: u64 = 1_000_000;
/// Longest time within which they come.
const WITHIN_SECONDS_MAX: u64 = 86_400;

/// The body of `POST …/preview`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PreviewBody {
    pub(crate) policy: PolicyBody,
    /// Who is still expected; nobody, if absent.
    #[serde(default, deserialize_with = "present")]
    crowd: Option<CrowdBody>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct CrowdBody {
    shoppers: Whole,
    within_seconds: Whole,
}

/// Buyers who come evenly within a time.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Crowd {
    pub(crate) shoppers: u64,
    pub(crate) within_seconds: u64,
}

impl PreviewBody {
    pub(crate) fn crowd(&self) -> Result<Crowd, OutOfRange> {
        let Some(body) = &self.crowd else { return Ok(Crowd::default()) };
        let within = |field: &str, number: Whole, most: u64| match number.to_u64() {
            number if number <= most => Ok(number),
            _ => Err(OutOfRange::new(format!("crowd.{field}"), format!("must be 0 to {most}"))),
        };
        Ok(Crowd {
            shoppers: within("shoppers", body.shoppers, SHOPPERS_MAX)?,
            within_seconds: within("within_seconds", body.within_seconds, WITHIN_SECONDS_MAX)?,
        })
    }
}
