//! The document of the HTTP API names every route of every address, and no other.

use std::collections::BTreeSet;

use http::Method;
use metrics_exporter_prometheus::PrometheusBuilder;
use serde_json::Value;
use sluice_backends::clock::SystemClock;

use super::*;
use crate::{
    backends::Backend,
    config::{self, Secrets},
};

/// What a whole process answers, as `<who> <method> <path>`.
async fn served() -> BTreeSet<String> {
    let folder = tempfile::tempdir().unwrap();
    let variables = [
        ("SLUICE_EMBEDDED__DATA_DIR", folder.path().to_str().unwrap()),
        ("SLUICE_ADMISSION__LISTEN", "127.0.0.1:0"),
        ("SLUICE_ADMIN__LISTEN", "127.0.0.1:0"),
    ];
    let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let config = config::load(None, variables.into_iter()).unwrap();
    let clock = Arc::new(SystemClock);
    let backend = Backend::open(&config, clock.clone()).await.unwrap();
    let secrets = Secrets::ready(&config).unwrap();
    let listeners = Listeners::bind(Parts::All, &config).unwrap();
    let shared = Shared::new(&config, &backend, secrets, &listeners, clock);
    let roles = Roles::build(Parts::All, &config, &shared, &listeners, 1024).unwrap();
    let (readiness, metrics) = (Readiness::default(), PrometheusBuilder::new().build_recorder());
    let mut tables = Tables::of(&roles, &readiness, metrics.handle(), &shared);
    tables.public.push(admin::health(readiness));
    let buyers = tables.public.iter().chain(&tables.push).chain(&tables.orders);
    let mut served = BTreeSet::new();
    for (who, routes) in buyers
        .map(|routes| ("buyers", routes))
        .chain(tables.operator.iter().map(|o| ("operators", o)))
    {
        for (method, pattern) in routes.declared() {
            served.insert(format!("{who} {method} {}", pattern.replace("{*", "{")));
        }
    }
    backend.close().await;
    served
}

/// What the document says of it. A path may name servers of its own, and an operation again: their paths are put before it.
fn documented() -> BTreeSet<String> {
    let document: Value = serde_json::from_str(documents::OPENAPI).unwrap();
    let mut documented = BTreeSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        let operations = item.as_object().unwrap().iter().filter_map(|(name, operation)| {
            let method = Method::from_bytes(name.to_ascii_uppercase().as_bytes()).ok()?;
            operation.get("responses").map(|_| (method, operation))
        });
        for (method, operation) in operations {
            let servers = [operation, item, &document].into_iter().find_map(|at| at.get("servers"));
            for server in servers.unwrap().as_array().unwrap() {
                let url = server["url"].as_str().unwrap();
                let (who, before) = match url.strip_prefix("http://{operator}") {
                    Some(before) => ("operators", before),
                    None => ("buyers", url.trim_end_matches('/')),
                };
                documented.insert(format!("{who} {method} {before}{path}"));
            }
        }
    }
    documented
}

#[tokio::test]
async fn every_route_is_in_the_document_and_nothing_else() {
    let (served, documented) = (served().await, documented());
    assert!(served.len() > 50, "the routes were not read");
    let missing: Vec<_> = served.difference(&documented).collect();
    let invented: Vec<_> = documented.difference(&served).collect();
    assert!(
        missing.is_empty() && invented.is_empty(),
        "docs/api/openapi.json lacks {missing:#?} and invents {invented:#?}"
    );
}
