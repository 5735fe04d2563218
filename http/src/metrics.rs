//! The metrics of this crate, described in one place and cached where requests pass.
//!
//! A handle is looked up by its labels once, at the first request that needs it, and kept beside the route: counting a
//! request allocates nothing. (At the first request, not before, so that a route nobody calls adds no series.)

use std::{sync::OnceLock, time::Duration};

use http::{Method, StatusCode};
use metrics::{Counter, Gauge, Histogram, Unit};

const REQUESTS: &str = "http_requests_total";
const SECONDS: &str = "http_request_duration_seconds";
const CONNECTIONS: &str = "http_connections";
const REFUSED: &str = "http_connections_refused_total";
const LIMITER_KEYS: &str = "sluice_limiter_keys";

/// Statuses that have a cached counter; any other is looked up each time.
const STATUSES: [u16; 36] = [
    101, 200, 201, 202, 203, 204, 206, 301, 302, 303, 304, 307, 308, 400, 401, 403, 404, 405, 406,
    408, 409, 410, 412, 413, 415, 421, 422, 423, 425, 429, 431, 500, 501, 502, 503, 504,
];
const NO_SLOT: u8 = u8::MAX;
const SLOTS: [u8; 600] = slots();

#[expect(clippy::cast_possible_truncation, reason = "there are 36 statuses")]
const fn slots() -> [u8; 600] {
    let mut slots = [NO_SLOT; 600];
    let mut index = 0;
    while index < STATUSES.len() {
        slots[STATUSES[index] as usize] = index as u8;
        index += 1;
    }
    slots
}

/// Help texts. Repeating it is harmless.
pub(crate) fn describe() {
    metrics::describe_counter!(
        REQUESTS,
        Unit::Count,
        "Requests answered, by role, method, route and status."
    );
    metrics::describe_histogram!(
        SECONDS,
        Unit::Seconds,
        "Time from the end of a request's headers to its answer, by role and route."
    );
    metrics::describe_gauge!(
        CONNECTIONS,
        Unit::Count,
        "Open HTTP connections, upgraded ones not counted."
    );
    metrics::describe_counter!(
        REFUSED,
        Unit::Count,
        "Connections refused at connections_max: `answered` with 503, or `dropped` when too many were being answered."
    );
    metrics::describe_gauge!(
        LIMITER_KEYS,
        Unit::Count,
        "Addresses, devices and buyers the limiters remember, by scope."
    );
}

#[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
pub(crate) fn limiter_keys(sizes: [(&'static str, usize); 3]) {
    for (scope, keys) in sizes {
        metrics::gauge!(LIMITER_KEYS, "scope" => scope).set(keys as f64);
    }
}

/// The handles of one route and method.
pub(crate) struct RouteMetrics {
    role: &'static str,
    method: &'static str,
    route: &'static str,
    requests: [OnceLock<Counter>; STATUSES.len()],
    seconds: OnceLock<Histogram>,
}

impl RouteMetrics {
    pub(crate) fn new(role: &'static str, method: &'static str, route: &'static str) -> Self {
        Self {
            role,
            method,
            route,
            requests: [const { OnceLock::new() }; STATUSES.len()],
            seconds: OnceLock::new(),
        }
    }

    pub(crate) fn count(&self, status: StatusCode, took: Duration) {
        let slot = SLOTS.get(usize::from(status.as_u16())).copied().unwrap_or(NO_SLOT);
        match self.requests.get(usize::from(slot)) {
            Some(counter) => counter
                .get_or_init(|| requests(self.role, self.method, self.route, status))
                .increment(1),
            None => requests(self.role, self.method, self.route, status).increment(1),
        }
        self.seconds.get_or_init(|| seconds(self.role, self.route)).record(took);
    }
}

/// Counts a request that no route answered. Looked up each time: it is the rare case.
pub(crate) fn count_stray(
    role: &'static str,
    method: &Method,
    route: &'static str,
    status: StatusCode,
    took: Duration,
) {
    requests(role, method_label(method), route, status).increment(1);
    seconds(role, route).record(took);
}

/// Clients may invent methods; labels may not follow them.
pub(crate) fn method_label(method: &Method) -> &'static str {
    const KNOWN: [&str; 9] =
        ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT", "TRACE"];
    KNOWN.into_iter().find(|known| *known == method.as_str()).unwrap_or("other")
}

/// Open connections of the listener on `port`.
pub(crate) fn connections(port: u16) -> Gauge {
    metrics::gauge!(CONNECTIONS, "port" => port.to_string())
}

pub(crate) fn refused(port: u16, how: &'static str) -> Counter {
    metrics::counter!(REFUSED, "port" => port.to_string(), "how" => how)
}

fn requests(
    role: &'static str,
    method: &'static str,
    route: &'static str,
    status: StatusCode,
) -> Counter {
    metrics::counter!(REQUESTS, "role" => role, "method" => method, "route" => route, "status" => status.as_str().to_owned())
}

fn seconds(role: &'static str, route: &'static str) -> Histogram {
    metrics::histogram!(SECONDS, "role" => role, "route" => route)
}

#[cfg(test)]
mod tests {
    use metrics_exporter_prometheus::PrometheusBuilder;

    use super::*;

    #[test]
    fn requests_are_counted_under_the_labels_of_the_contract() {
        let recorder = PrometheusBuilder::new().build_recorder();
        let handle = recorder.handle();
        metrics::with_local_recorder(&recorder, || {
            let route = RouteMetrics::new("admission", "GET", "/v1/sales/{sale}");
            route.count(StatusCode::OK, Duration::from_millis(2));
            route.count(StatusCode::OK, Duration::from_millis(2));
            route.count(StatusCode::IM_A_TEAPOT, Duration::ZERO);
            count_stray(
                "none",
                &Method::from_bytes(b"BREW").unwrap(),
                "none",
                StatusCode::NOT_FOUND,
                Duration::ZERO,
            );
        });
        let text = handle.render();
        for line in [
            r#"http_requests_total{role="admission",method="GET",route="/v1/sales/{sale}",status="200"} 2"#,
            r#"http_requests_total{role="admission",method="GET",route="/v1/sales/{sale}",status="418"} 1"#,
            r#"http_requests_total{role="none",method="other",route="none",status="404"} 1"#,
            r#"http_request_duration_seconds_count{role="admission",route="/v1/sales/{sale}"} 3"#,
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
    }
}
