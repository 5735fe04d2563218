//! The dependency policy of deny.toml, as far as it needs no outside service.

use std::collections::BTreeSet;

use super::layering::metadata;

const REGISTRY: &str = "registry+https://github.com/rust-lang/crates.io-index";
/// What we may ship under; an `AND` needs all, an `OR` needs one.
const LICENCES: &[&str] = &[
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "CDLA-Permissive-2.0",
    "ISC",
    "MIT",
    "MIT-0",
    "OpenSSL",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];
const BANNED: &[&str] = &["openssl", "ring", "rsa"];

#[test]
fn every_dependency_keeps_the_policy() {
    let metadata = metadata(&["--filter-platform", "x86_64-unknown-linux-gnu"]);
    let mut broken = Vec::new();
    for package in metadata["packages"].as_array().unwrap() {
        let name = package["name"].as_str().unwrap();
        let Some(source) = package["source"].as_str() else { continue };
        if source != REGISTRY {
            broken.push(format!("{name} comes from {source}"));
        }
        if BANNED.contains(&name) {
            broken.push(format!("{name} is banned"));
        }
        let licence = package["license"].as_str().unwrap_or("none");
        if !is_allowed(licence) {
            broken.push(format!("{name} is under {licence}"));
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
}

/// Whether an SPDX expression can be met with the licences above.
fn is_allowed(expression: &str) -> bool {
    let allowed: BTreeSet<&str> = LICENCES.iter().copied().collect();
    let plain = expression.replace(['(', ')'], " ").replace('/', " OR ");
    plain.split(" AND ").all(|all| {
        all.split(" OR ").any(|one| allowed.contains(one.trim().split_whitespace().collect::<Vec<_>>().join(" ").as_str()))
    })
}

#[test]
fn licence_expressions_are_read() {
    assert!(is_allowed("MIT OR GPL-3.0"));
    assert!(is_allowed("MIT/Apache-2.0"));
    assert!(is_allowed("(MIT OR Apache-2.0) AND Unicode-3.0"));
    assert!(!is_allowed("MIT AND GPL-3.0"));
    assert!(!is_allowed("none"));
}
