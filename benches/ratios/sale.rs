//! The sales that are measured, as a configuration has them.

pub(crate) const SALE: &str = "bench";

/// Takes everybody in and calls nobody.
pub(crate) const STANDING: &str = r#"
[[sale]]
id = "bench"
skus = [{ sku = "a", stock = 1000000, amount_fen = 100, currency = "CNY" }]
policy = { multiplier = 0, line_cap = 10000000 }
"#;

/// One unit, one place in line, and room for everybody to stand by.
pub(crate) const ONE_UNIT: &str = r#"
[[sale]]
id = "bench"
skus = [{ sku = "a", stock = 1, amount_fen = 100, currency = "CNY" }]
policy = { fraction = 1, tail_per_second = 2000, line_cap = 1, standby_cap = 10000000, expire_silent_after_seconds = 0 }
"#;

/// Runs at the ceiling of 2,000 a second.
pub(crate) const CEILING: &str = r#"
[[sale]]
id = "bench"
skus = [{ sku = "a", stock = 10000000, amount_fen = 100, currency = "CNY" }]
policy = { line_cap = 10000000 }
"#;
