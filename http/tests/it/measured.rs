//! What the metrics say of requests.

use metrics_exporter_prometheus::PrometheusBuilder;
use sluice_http::{RouterSettings, Routes};

use crate::house::{House, config, hello, until};

/// On one thread, because a recorder of a test's own is one thread's.
#[test]
fn requests_and_connections_are_counted() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let recorder = PrometheusBuilder::new().build_recorder();
    let handle = recorder.handle();
    metrics::with_local_recorder(&recorder, || {
        runtime.block_on(async {
            let mut config = config();
            config.connections_max = 1;
            let routes = Routes::new("admission").get("/v1/sales/{sale}", hello);
            let house = House::with(routes, RouterSettings::default(), config).await;
            let port = house.address.port();
            let mut wire = house.wire().await;
            for request in ["GET /v1/sales/a", "GET /v1/sales/b", "HEAD /v1/sales/c", "PUT /v1/sales/d", "BREW /x"] {
                wire.ask(request).await;
            }
            house.ask("GET /v1/sales/a").await.problem(503, "unavailable");
            assert!(handle.render().contains(&format!("http_connections{{port=\"{port}\"}} 1")));
            drop(wire);
            until("that nobody is connected", || {
                handle.render().contains(&format!("http_connections{{port=\"{port}\"}} 0"))
            })
            .await;
            let text = handle.render();
            for line in [
                r#"http_requests_total{role="admission",method="GET",route="/v1/sales/{sale}",status="200"} 2"#,
                r#"http_requests_total{role="admission",method="HEAD",route="/v1/sales/{sale}",status="200"} 1"#,
                r#"http_requests_total{role="admission",method="PUT",route="/v1/sales/{sale}",status="405"} 1"#,
                r#"http_requests_total{role="none",method="other",route="none",status="404"} 1"#,
                r#"http_request_duration_seconds_count{role="admission",route="/v1/sales/{sale}"} 4"#,
                &format!(r#"http_connections_refused_total{{port="{port}",how="answered"}} 1"#),
            ] {
                assert!(text.contains(line), "{line} is not in\n{text}");
            }
            // No value a client chose is a label.
            assert!(!text.contains("BREW") && !text.contains("sales/a"));
        });
    });
}
