//! The sales that are measured, as a configuration has them.

pub(crate) const SALE: &str = "bench";

/// Takes everybody in and calls nobody.
pub(crate) const STANDING: &str = r#"
[[sale]]
id = "bench"
skus = [{ sku = "a", stock = 1000000, amount_fen = 100, currency = "CNY" }]
policy = { multiplier = 0, line_cap = 10000000 }
"#;

/// Runs at the ceiling of 2,000 a second.
pub(crate) const CEILING: &str = r#"
[[sale]]
id = "bench"
skus = [{ sku = "a", stock = 10000000, amount_fen = 100, currency = "CNY" }]
policy = { line_cap = 10000000 }
"#;
