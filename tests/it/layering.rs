//! The dependency rule of docs/ARCHITECTURE.md: crates depend inwards, as drawn.

use std::{collections::BTreeSet, fs, path::Path, process::Command};

use serde_json::Value;

/// Every allowed edge between our own crates. A new one is a change of architecture.
const ALLOWED: &[(&str, &[&str])] = &[
    ("sluice-core", &[]),
    ("sluice-backends", &["sluice-core"]),
    ("sluice-http", &["sluice-core"]),
    ("sluice-pages", &["sluice-core", "sluice-http"]),
    ("sluice-admission", &["sluice-core", "sluice-http", "sluice-pages"]),
    ("sluice-dispatcher", &["sluice-core"]),
    ("sluice-worker", &["sluice-core", "sluice-http"]),
    ("sluice-ws-push", &["sluice-core", "sluice-http"]),
    ("sluice-operator", &["sluice-core", "sluice-http"]),
];

fn metadata(arguments: &[&str]) -> Value {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version=1", "--offline", "--locked"])
        .args(arguments)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn crates_depend_only_inwards() {
    let metadata = metadata(&["--no-deps"]);
    for package in metadata["packages"].as_array().unwrap() {
        let name = package["name"].as_str().unwrap();
        if name == "sluice" {
            continue;
        }
        let (_, allowed) = ALLOWED
            .iter()
            .find(|(known, _)| *known == name)
            .unwrap_or_else(|| panic!("{name} has no row"));
        let actual: BTreeSet<&str> = package["dependencies"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|dependency| dependency["kind"].is_null())
            .filter_map(|dependency| dependency["name"].as_str())
            .filter(|dependency| dependency.starts_with("sluice"))
            .collect();
        let allowed: BTreeSet<&str> = allowed.iter().copied().collect();
        assert!(
            actual.is_subset(&allowed),
            "{name} depends on {actual:?}, allowed are {allowed:?}"
        );
    }
}

/// Without this a `cargo test` at the root silently skips a crate.
#[test]
fn every_member_is_a_default_member() {
    let metadata = metadata(&["--no-deps"]);
    let ids = |key: &str| -> BTreeSet<String> {
        metadata[key].as_array().unwrap().iter().map(|id| id.as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(ids("workspace_members"), ids("workspace_default_members"));
}

/// A page is about 400 lines; nothing is called `utils`.
#[test]
fn files_are_pages() {
    let mut long = Vec::new();
    let mut misnamed = Vec::new();
    visit(Path::new(env!("CARGO_MANIFEST_DIR")), &mut |path, text| {
        if text.lines().count() > 600 {
            long.push(path.display().to_string());
        }
        let stem = path.file_stem().unwrap().to_str().unwrap();
        if ["utils", "util", "common", "helpers", "manager", "misc"].contains(&stem) {
            misnamed.push(path.display().to_string());
        }
        assert!(
            text.starts_with("//!") || text.starts_with("#!"),
            "{} does not say what it is",
            path.display()
        );
    });
    assert!(long.is_empty(), "longer than a page should be: {long:?}");
    assert!(misnamed.is_empty(), "named after nothing: {misnamed:?}");
}

fn visit(folder: &Path, look: &mut impl FnMut(&Path, &str)) {
    for item in fs::read_dir(folder).unwrap() {
        let path = item.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if path.is_dir() {
            if !name.starts_with('.') && name != "target" {
                visit(&path, look);
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            look(&path, &fs::read_to_string(&path).unwrap());
        }
    }
}
