//! The documents of the API, as they are maintained in `docs/api/`: OpenAPI for what is asked and answered, AsyncAPI for what
//! is pushed and what an order backend consumes. Compiled in, printed on the command line, served to buyers.
//!
//! That they say what the program does is the tests' care: every route is in the document and nothing else
//! (`roles/listeners/tests.rs`), and what a running house answers fits its schemas (`tests/it/documents.rs`).

use std::{io::Write, sync::Arc};

use http::{HeaderValue, StatusCode, header};
use sha2::{Digest, Sha256};
use sluice_http::{Body, Exchange, Problem, Response, Routes, empty, limits::Limits};

pub(crate) const OPENAPI: &str = include_str!("../docs/api/openapi.json");
pub(crate) const ASYNCAPI: &str = include_str!("../docs/api/asyncapi.yaml");

/// They change with the version of the program only.
const CACHED: HeaderValue = HeaderValue::from_static("public, max-age=300");

/// `sluice openapi` and `sluice asyncapi`.
pub(crate) fn print(document: &str) -> anyhow::Result<()> {
    std::io::stdout().write_all(document.as_bytes())?;
    Ok(())
}

/// `/openapi.json` and `/asyncapi.yaml`, counted by address like every public answer.
pub(crate) fn routes(limits: &Arc<Limits>) -> Routes {
    // RFC 9512 names the second; the first is JSON to whoever does not know more.
    let openapi = Document::new(OPENAPI, "application/json");
    let asyncapi = Document::new(ASYNCAPI, "application/yaml");
    Routes::new("process")
        .get("/openapi.json", move |exchange| openapi.answer(&exchange))
        .get("/asyncapi.yaml", move |exchange| asyncapi.answer(&exchange))
        .counted(limits, |_of_any_sale| None)
}

/// A document, ready to be sent.
#[derive(Debug)]
struct Document {
    text: &'static str,
    media_type: HeaderValue,
    tag: HeaderValue,
}

impl Document {
    fn new(text: &'static str, media_type: &'static str) -> Self {
        let digest = Sha256::digest(text.as_bytes());
        let start: String = digest.iter().take(12).map(|byte| format!("{byte:02x}")).collect();
        // Hexadecimal digits in quotes are always a legal header.
        let tag = HeaderValue::try_from(format!("\"{start}\""));
        Self {
            text,
            media_type: HeaderValue::from_static(media_type),
            tag: tag.unwrap_or(HeaderValue::from_static("\"\"")),
        }
    }

    /// 304 to whoever has it.
    fn answer(&self, exchange: &Exchange) -> std::future::Ready<Result<Response, Problem>> {
        let asked = exchange.request.headers().get(header::IF_NONE_MATCH);
        let mut response = if asked.is_some_and(|asked| *asked == self.tag) {
            empty(StatusCode::NOT_MODIFIED)
        } else {
            let mut whole = Response::new(Body::from(self.text));
            whole.headers_mut().insert(header::CONTENT_TYPE, self.media_type.clone());
            whole
        };
        let headers = response.headers_mut();
        headers.insert(header::ETAG, self.tag.clone());
        headers.insert(header::CACHE_CONTROL, CACHED);
        std::future::ready(Ok(response))
    }
}
