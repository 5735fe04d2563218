//! The dependency policy of deny.toml, as far as it needs no outside service.

use std::{collections::BTreeSet, process::Command};

/// What we may ship under; an `AND` needs all, an `OR` needs one.
const LICENCES: &[&str] = &[
    "0BSD",
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

/// What is built on this platform, as `cargo tree` has it: the lock file and the metadata hold more.
#[test]
fn every_dependency_keeps_the_policy() {
    let output = Command::new(env!("CARGO"))
        .args([
            "tree",
            "--workspace",
            "--edges",
            "normal,build,dev",
            "--prefix",
            "none",
            "--format",
            "{p}|{l}",
            "--offline",
            "--locked",
        ])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let lines: BTreeSet<&str> = text
        .lines()
        .map(|line| line.trim_end_matches(" (*)"))
        .filter(|line| !line.is_empty())
        .collect();
    assert!(lines.len() > 100, "the tree was not read");
    let mut broken = Vec::new();
    for line in lines {
        let (package, licence) = line.split_once('|').unwrap();
        let name = package.split(' ').next().unwrap();
        // A package from a registry names no source; one from elsewhere names it in brackets.
        let ours = name == "sluice" || name.starts_with("sluice-");
        if package.contains("://") || (!ours && package.contains("(/")) {
            broken.push(format!("{package} does not come from the registry"));
        }
        if BANNED.contains(&name) {
            broken.push(format!("{name} is banned"));
        }
        if !is_allowed(licence.trim_end_matches(" (*)")) {
            broken.push(format!("{name} is under `{licence}`"));
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
}

/// Whether an SPDX expression can be met with the licences above.
fn is_allowed(expression: &str) -> bool {
    let allowed: BTreeSet<&str> = LICENCES.iter().copied().collect();
    let plain = expression.replace(['(', ')'], " ").replace('/', " OR ");
    plain.split(" AND ").all(|all| {
        all.split(" OR ").any(|one| {
            allowed.contains(one.split_whitespace().collect::<Vec<_>>().join(" ").as_str())
        })
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
