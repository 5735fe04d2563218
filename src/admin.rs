//! What every process serves beside its roles: `/metrics`, `/live`, `/ready`.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use http::{HeaderValue, StatusCode, header};
use metrics_exporter_prometheus::PrometheusHandle;
use sluice_http::{Body, Problem, Response, Routes};

/// Whether the process may be sent traffic: up once it has started, down for good when it drains.
#[derive(Clone, Debug, Default)]
pub(crate) struct Readiness(Arc<AtomicBool>);

impl Readiness {
    pub(crate) fn set(&self, ready: bool) {
        self.0.store(ready, Ordering::Release);
    }

    fn is_ready(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// `/live` and `/ready`, for both addresses.
pub(crate) fn health(readiness: Readiness) -> Routes {
    Routes::new("process").get("/live", |_| async { Ok(text("live\n".into())) }).get(
        "/ready",
        move |_| {
            let ready = readiness.is_ready();
            async move {
                if ready {
                    Ok(text("ready\n".into()))
                } else {
                    let detail = "the process is starting or draining";
                    Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", detail))
                }
            }
        },
    )
}

/// `/metrics`, for the admin address.
pub(crate) fn metrics(handle: PrometheusHandle) -> Routes {
    let process = metrics_process::Collector::default();
    process.describe();
    Routes::new("process").get("/metrics", move |_| {
        let (handle, process) = (handle.clone(), process.clone());
        async move {
            process.collect();
            // Rendering walks every series: not on a thread that serves buyers.
            let rendered =
                tokio::task::spawn_blocking(move || handle.render()).await.unwrap_or_default();
            Ok(text(rendered))
        }
    })
}

fn text(text: String) -> Response {
    let mut response = Response::new(Body::from(text));
    let kind = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}
