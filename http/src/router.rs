//! From a request to its answer: whose host, which route, which handler; and whatever every answer needs (a request id
//! on problems, CORS headers, a count and a duration).
//!
//! This is the hot path. A request that matches costs one allocation here: its answer, or its handler's future.

use std::{
    fmt::{self, Debug},
    net::SocketAddr,
    sync::Arc,
    time::Duration,
};

use http::{HeaderValue, Method, StatusCode, header::ALLOW};
use ipnet::IpNet;
use tokio::time::Instant;

use crate::{
    Body, Peer, Problem, Request, Response, Routes,
    exchange::{Arrival, BodyLimits, Content, Exchange, Leftover, Params},
    metrics,
};

mod answering;
mod cors;
mod host;
mod table;

pub(crate) use answering::Answering;
use answering::Call;
use cors::Cors;
use host::Hosts;
pub use table::RouteConflict;
use table::{Endpoint, Node, Table};

/// The body timeout of a request that did not come through a [`Server`](crate::Server), which brings its own.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// What a router is told besides its routes.
#[derive(Clone, Debug, Default)]
pub struct RouterSettings {
    /// Networks whose `X-Forwarded-For` is believed. IPv4 peers are compared as IPv4, whatever the listener.
    pub trusted_proxies: Vec<IpNet>,
    /// Origins (`https://shop.example`) whose pages may call with credentials.
    pub allowed_origins: Vec<String>,
    /// `None`: any `Host`. `Some`: a `Host` that is not listed is 421. An entry without a port allows every port.
    pub allowed_hosts: Option<Vec<String>>,
    /// Paths that are answered whatever the `Host`: what a probe asks by an address of its own.
    pub any_host_paths: Vec<String>,
}

/// All routes of one address.
pub struct Router {
    table: Table,
    trusted_proxies: Vec<IpNet>,
    cors: Cors,
    hosts: Hosts,
}

/// Where a request is to be answered.
enum Found<'a> {
    Endpoint(&'a Arc<Endpoint>, Params),
    /// By the router itself, for a route it knows.
    Answered(Place, Response),
    Refused(Place, Problem),
}

/// The labels of what the router answers itself.
#[derive(Clone, Copy)]
struct Place {
    role: &'static str,
    route: &'static str,
}

const NOWHERE: Place = Place { role: "none", route: "none" };

impl Router {
    /// Joins the routes of several roles. Fails when two of them claim the same place.
    pub fn new(routes: Vec<Routes>, settings: RouterSettings) -> Result<Self, RouteConflict> {
        metrics::describe();
        Ok(Self {
            table: Table::new(routes)?,
            trusted_proxies: settings.trusted_proxies,
            cors: Cors::new(settings.allowed_origins),
            hosts: Hosts::new(settings.allowed_hosts, settings.any_host_paths),
        })
    }

    /// Answers one request. An unknown path is 404 `not_found`, a known one with another method 405
    /// `method_not_allowed` with `Allow`; a handler that panics is 500 `internal`.
    pub async fn handle(&self, request: Request, socket: SocketAddr) -> Response {
        let arrival = Arrival { socket, at: Instant::now(), body_timeout: BODY_TIMEOUT };
        match self.answer(request, arrival).await {
            Ok(response) => response,
            Err(never) => match never {},
        }
    }

    /// As [`Router::handle`], as a future that is small and borrows nothing: the request is moved once, into its handler.
    pub(crate) fn answer(&self, request: Request, arrival: Arrival) -> Answering {
        let permission = self.cors.permission(&request);
        let deadline = arrival.at + arrival.body_timeout;
        let (place, mut response) = match self.find(&request) {
            Found::Endpoint(endpoint, params) => {
                let peer = Peer::find(arrival.socket, request.headers(), &self.trusted_proxies);
                let body = BodyLimits { deadline, timeout: arrival.body_timeout };
                let (request, left) = Content::split(request, deadline);
                let exchange = Exchange { request, peer, params, body };
                let call =
                    Call { endpoint: Arc::clone(endpoint), arrived_at: arrival.at, permission };
                return Answering::call(call, exchange, left);
            }
            Found::Answered(place, response) => (place, response),
            Found::Refused(place, problem) => (place, tell(place.route, problem)),
        };
        let took = arrival.at.elapsed();
        metrics::count_stray(place.role, request.method(), place.route, response.status(), took);
        permission.mark(&mut response);
        Answering::after(response, Leftover::of(request, deadline))
    }

    fn find(&self, request: &Request) -> Found<'_> {
        if let Err(problem) = self.hosts.check(request) {
            return Found::Refused(NOWHERE, problem);
        }
        let path = request.uri().path();
        let Some(matched) = self.table.at(path) else {
            let detail = "There is nothing at this path. The paths of the API begin with /v1/.";
            return Found::Refused(NOWHERE, Problem::not_found("not_found", detail));
        };
        let node = matched.value;
        if let Some(endpoint) = node.endpoint(request.method()) {
            if request.method() == Method::OPTIONS && cors::is_preflight(request) {
                return self.preflight(node, request);
            }
            let values = matched.params.iter().map(|(_, value)| value);
            return match Params::new(path, &node.params, values) {
                Ok(params) => Found::Endpoint(endpoint, params),
                Err(_) => Found::Refused(
                    node.place(),
                    Problem::bad_request(
                        "The path has a broken percent-escape, or one that is not UTF-8.",
                    ),
                ),
            };
        }
        if request.method() == Method::OPTIONS {
            return self.preflight(node, request);
        }
        let detail = format!("This path does not take this method. It takes {}.", node.allow);
        let problem = Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", detail);
        Found::Refused(node.place(), problem.header(ALLOW, node.allow.as_str()))
    }

    /// `OPTIONS`, asked by a browser before a cross-origin request or by anybody who wants to know the methods.
    fn preflight(&self, node: &Node, request: &Request) -> Found<'_> {
        match self.cors.preflight(request, &node.allow) {
            Ok(response) => Found::Answered(node.place(), response),
            Err(problem) => Found::Refused(node.place(), problem),
        }
    }
}

/// The answer to a refusal. The cause of a fault was logged where it was found; this line ties it to the request.
fn tell(route: &'static str, mut problem: Problem) -> Response {
    let (status, code) = (problem.status().as_u16(), problem.code());
    tracing::debug!(instance = problem.instance(), route, status, code, "refused");
    problem.into()
}

/// `Allow` on a plain 204.
fn allow_only(allow: &str) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    if let Ok(allow) = HeaderValue::from_str(allow) {
        response.headers_mut().insert(ALLOW, allow);
    }
    response
}

impl Debug for Router {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Router")
            .field("cors", &self.cors)
            .field("hosts", &self.hosts)
            .finish_non_exhaustive()
    }
}
