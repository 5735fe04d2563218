//! The addresses of a process, and what is served on each.

use std::{net::SocketAddr, sync::Arc};

use anyhow::Context;
use metrics_exporter_prometheus::PrometheusHandle;
use sluice_core::view::object::PublicUrls;
use sluice_http::{Listener, Router, RouterSettings, Routes, Server};
use sluice_pages::preview_routes;

use super::{
    Shared,
    build::Roles,
    part::{Part, Parts},
    settings,
};
use crate::{
    admin::{self, Readiness},
    config::Config,
    documents,
    exit::Usage,
};

#[cfg(test)]
mod tests;

/// Bound, and serving nothing yet. Only what the process's roles need is bound; the admin address always is.
#[derive(Debug)]
pub(super) struct Listeners {
    public: Option<Listener>,
    push: Option<Listener>,
    worker: Option<Listener>,
    admin: Listener,
}

impl Listeners {
    /// Whether every role of the process has an address to serve buyers on.
    pub(super) fn check(parts: Parts, config: &Config) -> Result<(), Usage> {
        let needed = [
            (Part::WsPush, "ws_push.listen", config.ws_push.listen),
            (Part::Worker, "worker.listen", config.worker.listen),
        ];
        for (part, key, address) in needed {
            if parts == Parts::Only(part) && address.is_none() {
                return Err(Usage(format!(
                    "`sluice {}` needs `{key}`: the address it serves buyers on, such as \"0.0.0.0:8090\"",
                    part.as_str()
                )));
            }
        }
        Ok(())
    }

    pub(super) fn bind(parts: Parts, config: &Config) -> anyhow::Result<Self> {
        let bind = |key: &str, address: SocketAddr| {
            Listener::bind(address).with_context(|| format!("{key} = \"{address}\""))
        };
        // A role without an address of its own is served on admission's.
        let own = |key: &str, address: Option<SocketAddr>| {
            address.map(|address| bind(key, address)).transpose()
        };
        let (push, worker) = (config.ws_push.listen, config.worker.listen);
        Ok(Self {
            public: parts
                .with(Part::Admission, || bind("admission.listen", config.admission.listen))?,
            push: parts.with(Part::WsPush, || own("ws_push.listen", push))?.flatten(),
            worker: parts.with(Part::Worker, || own("worker.listen", worker))?.flatten(),
            admin: bind("admin.listen", config.admin.listen)?,
        })
    }

    /// Where buyers connect first; the admin address if this process serves none.
    pub(super) fn main_address(&self) -> SocketAddr {
        let first = self.public.as_ref().or(self.push.as_ref()).or(self.worker.as_ref());
        first.unwrap_or(&self.admin).local_addr()
    }

    pub(super) fn admin_address(&self) -> SocketAddr {
        self.admin.local_addr()
    }

    pub(super) fn worker_address(&self) -> anyhow::Result<SocketAddr> {
        let listener = self.worker.as_ref().or(self.public.as_ref());
        Ok(listener.context("the worker has no address")?.local_addr())
    }

    /// What links are built on: the configured addresses; for a role on an address of its own, at least that.
    pub(super) fn urls(&self, config: &Config) -> PublicUrls {
        let of = |configured: &str, own: Option<&Listener>| match own {
            _ if !configured.is_empty() => configured.to_owned(),
            Some(listener) => format!("http://{}", listener.local_addr()),
            None => config.admission.public_url.clone(),
        };
        PublicUrls {
            admission: config.admission.public_url.clone(),
            ws_push: of(&config.ws_push.public_url, self.push.as_ref()),
            worker: of(&config.worker.public_url, self.worker.as_ref()),
        }
    }

    pub(super) fn serve(
        self,
        config: &Config,
        roles: &Roles,
        readiness: &Readiness,
        metrics: PrometheusHandle,
        shared: &Shared,
        files: u64,
    ) -> anyhow::Result<Vec<Server>> {
        let Tables { mut public, push, orders, operator } =
            Tables::of(roles, readiness, metrics, shared);
        let mut servers = Vec::new();
        let mut add = |listener: Listener, mut routes: Vec<Routes>| -> anyhow::Result<()> {
            routes.push(admin::health(readiness.clone()));
            let router = Router::new(routes, public_settings(config))?;
            servers.push(Server::on(listener, settings::server(config, files), Arc::new(router))?);
            Ok(())
        };
        for (listener, routes) in [(self.push, push), (self.worker, orders)] {
            match listener {
                Some(listener) => add(listener, routes)?,
                None => public.extend(routes),
            }
        }
        if let Some(listener) = self.public {
            add(listener, public)?;
        }
        let settings = RouterSettings {
            trusted_proxies: Vec::new(),
            allowed_origins: Vec::new(),
            allowed_hosts: Some(admin_hosts(config, self.admin.local_addr())),
            any_host_paths: ["/live", "/ready", "/metrics"].map(str::to_owned).to_vec(),
        };
        let router = Router::new(operator, settings)?;
        servers.push(Server::on(self.admin, settings::admin_server(config), Arc::new(router))?);
        Ok(servers)
    }
}

/// What a process answers: to buyers, of each role what it may serve on an address of its own; to operators.
#[derive(Debug)]
struct Tables {
    public: Vec<Routes>,
    push: Vec<Routes>,
    orders: Vec<Routes>,
    operator: Vec<Routes>,
}

impl Tables {
    fn of(
        roles: &Roles,
        readiness: &Readiness,
        metrics: PrometheusHandle,
        shared: &Shared,
    ) -> Self {
        let mut public: Vec<Routes> =
            roles.admission.iter().map(|admission| admission.routes()).collect();
        if !public.is_empty() {
            public.push(roles.pages.assets("admission"));
            public.push(documents::routes(&shared.limits));
        }
        let orders = roles.worker.iter();
        let orders = orders.flat_map(|(worker, simulated)| [worker.routes(), simulated.routes()]);
        let operator = roles.operator.iter().map(|operator| operator.routes());
        let mut operator: Vec<Routes> =
            operator.chain([admin::health(readiness.clone()), admin::metrics(metrics)]).collect();
        if roles.operator.is_some() {
            operator.extend(preview_routes(&roles.pages, &shared.directory));
        }
        Self {
            public,
            push: roles.push.iter().map(|push| push.routes()).collect(),
            orders: orders.collect(),
            operator,
        }
    }
}

fn public_settings(config: &Config) -> RouterSettings {
    RouterSettings {
        trusted_proxies: config.admission.trusted_proxies.clone(),
        allowed_origins: settings::origins(config),
        allowed_hosts: None,
        any_host_paths: Vec::new(),
    }
}

/// Names the admin address answers to: a page of another name that resolves here gets nothing. No page can take a name of
/// this machine's own, so those count whatever the port: a tunnel or a published port has another.
fn admin_hosts(config: &Config, bound: SocketAddr) -> Vec<String> {
    let mut hosts = vec![bound.to_string(), "localhost".to_owned()];
    if bound.ip().is_loopback() || bound.ip().is_unspecified() {
        hosts.push("127.0.0.1".to_owned());
        hosts.push("::1".to_owned());
    }
    hosts.extend(config.admin.hosts.iter().cloned());
    hosts
}
