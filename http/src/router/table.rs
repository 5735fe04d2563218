//! The routing table: patterns to methods to handlers, built once.

use std::{collections::BTreeMap, sync::Arc};

use http::Method;

use super::Place;
use crate::{
    Routes,
    exchange::{PARAMS_MAX, param_names},
    metrics::{RouteMetrics, method_label},
    routes::Handler,
};

/// Two routes claim the same place, or a pattern is malformed: a mistake in the program, found at start.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("route {method} {pattern} of {role}: {reason}")]
pub struct RouteConflict {
    pub role: &'static str,
    pub method: String,
    pub pattern: &'static str,
    pub reason: String,
}

pub(super) struct Table(matchit::Router<Node>);

/// One pattern.
pub(super) struct Node {
    pub(super) pattern: &'static str,
    /// The role that declared the pattern first: the label of what the router answers itself.
    pub(super) role: &'static str,
    /// The names of its parameters, in order.
    pub(super) params: Vec<&'static str>,
    /// The value of `Allow`.
    pub(super) allow: String,
    endpoints: Vec<(Method, Arc<Endpoint>)>,
}

/// One pattern and method.
pub(super) struct Endpoint {
    pub(super) role: &'static str,
    pub(super) route: &'static str,
    pub(super) handler: Handler,
    pub(super) metrics: RouteMetrics,
}

impl Table {
    pub(super) fn new(routes: Vec<Routes>) -> Result<Self, RouteConflict> {
        let mut nodes: BTreeMap<&'static str, Node> = BTreeMap::new();
        for Routes { role, declared } in routes {
            for route in declared {
                let (method, pattern) = (route.method, route.pattern);
                let node = nodes.entry(pattern).or_insert_with(|| Node::new(pattern, role));
                node.declare(role, method.clone(), route.handler).map_err(|reason| {
                    RouteConflict { role, method: method.to_string(), pattern, reason }
                })?;
            }
        }
        let mut table = matchit::Router::new();
        for (pattern, mut node) in nodes {
            node.finish();
            let (role, method) = (node.role, node.allow.clone());
            let conflict = |error: matchit::InsertError| RouteConflict {
                role,
                method,
                pattern,
                reason: error.to_string(),
            };
            table.insert(pattern, node).map_err(conflict)?;
        }
        Ok(Self(table))
    }

    pub(super) fn at<'path>(&self, path: &'path str) -> Option<matchit::Match<'_, 'path, &Node>> {
        self.0.at(path).ok()
    }
}

impl Node {
    fn new(pattern: &'static str, role: &'static str) -> Self {
        Self {
            pattern,
            role,
            params: param_names(pattern),
            allow: String::new(),
            endpoints: Vec::new(),
        }
    }

    fn declare(
        &mut self,
        role: &'static str,
        method: Method,
        handler: Handler,
    ) -> Result<(), String> {
        if self.params.len() > PARAMS_MAX {
            return Err(format!("a pattern may have {PARAMS_MAX} parameters"));
        }
        if let Some(other) = self.endpoint(&method) {
            return Err(format!("{} answers it already", other.role));
        }
        let metrics = RouteMetrics::new(role, method_label(&method), self.pattern);
        self.endpoints
            .push((method, Arc::new(Endpoint { role, route: self.pattern, handler, metrics })));
        Ok(())
    }

    /// `HEAD` is answered by `GET`'s handler; hyper leaves the body out. What may be asked is told in `Allow`.
    fn finish(&mut self) {
        if let Some(get) = self.endpoint(&Method::GET) {
            let head = Endpoint {
                role: get.role,
                route: get.route,
                handler: get.handler.clone(),
                metrics: RouteMetrics::new(get.role, "HEAD", get.route),
            };
            self.endpoints.push((Method::HEAD, Arc::new(head)));
        }
        let mut methods: Vec<&str> =
            self.endpoints.iter().map(|(method, _)| method.as_str()).collect();
        methods.push("OPTIONS");
        methods.sort_unstable();
        methods.dedup();
        self.allow = methods.join(", ");
    }

    pub(super) fn place(&self) -> Place {
        Place { role: self.role, route: self.pattern }
    }

    pub(super) fn endpoint(&self, method: &Method) -> Option<&Arc<Endpoint>> {
        self.endpoints.iter().find(|(known, _)| known == method).map(|(_, endpoint)| endpoint)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Exchange, Problem, Response};

    async fn nothing(_: Exchange) -> Result<Response, Problem> {
        Err(Problem::internal())
    }

    fn reason(routes: Vec<Routes>) -> String {
        Table::new(routes).err().map_or_else(String::new, |conflict| conflict.to_string())
    }

    #[test]
    fn roles_may_share_a_path_but_not_a_method_of_it() {
        let shared = || vec![Routes::new("admission").get("/v1/sales/{sale}", nothing)];
        let mut routes = shared();
        routes.push(Routes::new("operator").delete("/v1/sales/{sale}", nothing));
        let table = Table::new(routes).unwrap();
        assert_eq!(table.at("/v1/sales/demo").unwrap().value.allow, "DELETE, GET, HEAD, OPTIONS");

        let mut routes = shared();
        routes.push(Routes::new("operator").get("/v1/sales/{sale}", nothing));
        assert_eq!(
            reason(routes),
            "route GET /v1/sales/{sale} of operator: admission answers it already"
        );
    }

    #[test]
    fn patterns_that_cannot_stand_side_by_side_are_refused() {
        let routes = vec![
            Routes::new("a").get("/v1/{sale}", nothing),
            Routes::new("b").post("/v1/{id}", nothing),
        ];
        assert!(reason(routes).contains("/v1/{"));
        assert!(
            reason(vec![Routes::new("a").get("/v1/{", nothing)])
                .starts_with("route GET, HEAD, OPTIONS /v1/{ of a: ")
        );
        assert!(
            reason(vec![Routes::new("a").get("/{a}/{b}/{c}/{d}/{e}", nothing)])
                .contains("4 parameters")
        );
    }
}
