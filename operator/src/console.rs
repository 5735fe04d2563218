//! The console: a page that works the operator API from a browser. Plain files of `operator/console/`, compiled in.
//!
//! They hold nothing secret and need no token: whoever reads them still has to sign in, and every request the page makes
//! carries the operator's own token and is judged like any other.

use bytes::Bytes;
use http::{HeaderName, HeaderValue, StatusCode, header};
use sha2::{Digest, Sha256};
use sluice_http::{Body, Exchange, Problem, Response, Routes, empty};

/// Only our own files run, nothing is set as markup, nobody may frame the page, and forms go nowhere.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
     base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'";

const GUARDS: [(HeaderName, &str); 5] = [
    (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
];

#[derive(Clone, Copy, Debug)]
struct Asset {
    path: &'static str,
    media_type: &'static str,
    text: &'static str,
}

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";

macro_rules! assets {
    ($($path:literal: $media_type:ident),+ $(,)?) => {
        [$(Asset { path: $path, media_type: $media_type, text: include_str!(concat!("../console/", $path)) }),+]
    };
}

const INDEX: Asset =
    Asset { path: "", media_type: HTML, text: include_str!("../console/index.html") };

const ASSETS: &[Asset] = &assets![
    "charts.css": CSS,
    "console.css": CSS,
    "forms.css": CSS,
    "icon.svg": SVG,
    "main.js": SCRIPT,
    "print.css": CSS,
    "tables.css": CSS,
    "theme.css": CSS,
    "parts/api.js": SCRIPT,
    "parts/chart.js": SCRIPT,
    "parts/dialog.js": SCRIPT,
    "parts/dom.js": SCRIPT,
    "parts/format.js": SCRIPT,
    "parts/freshness.js": SCRIPT,
    "parts/goods.js": SCRIPT,
    "parts/law.js": SCRIPT,
    "parts/minutes.js": SCRIPT,
    "parts/node.js": SCRIPT,
    "parts/samples.js": SCRIPT,
    "parts/seats.js": SCRIPT,
    "parts/session.js": SCRIPT,
    "parts/stream.js": SCRIPT,
    "parts/tell.js": SCRIPT,
    "screens/actions.js": SCRIPT,
    "screens/audit.js": SCRIPT,
    "screens/bans.js": SCRIPT,
    "screens/books.js": SCRIPT,
    "screens/checklist.js": SCRIPT,
    "screens/create-goods.js": SCRIPT,
    "screens/create.js": SCRIPT,
    "screens/effect.js": SCRIPT,
    "screens/letters.js": SCRIPT,
    "screens/live-charts.js": SCRIPT,
    "screens/live.js": SCRIPT,
    "screens/notice.js": SCRIPT,
    "screens/policy-fields.js": SCRIPT,
    "screens/report.js": SCRIPT,
    "screens/sale.js": SCRIPT,
    "screens/sales.js": SCRIPT,
    "screens/sign-in.js": SCRIPT,
    "screens/stock.js": SCRIPT,
    "screens/tune.js": SCRIPT,
    "words/en-names.js": SCRIPT,
    "words/en.js": SCRIPT,
    "words/words.js": SCRIPT,
    "words/zh-names.js": SCRIPT,
    "words/zh.js": SCRIPT,
];

/// Adds the page and its files.
pub(crate) fn routes(routes: Routes) -> Routes {
    routes.get("/", |exchange| async move { Ok(INDEX.answer(&exchange)) }).get(
        "/console/{*file}",
        |exchange| async move {
            let file = exchange.param("file");
            match ASSETS.iter().find(|asset| asset.path == file) {
                Some(asset) => Ok(asset.answer(&exchange)),
                None => Err(Problem::not_found("not_found", "The console has no such file.")),
            }
        },
    )
}

impl Asset {
    fn answer(&self, exchange: &Exchange) -> Response {
        let tag = self.tag();
        let known = exchange.header("if-none-match").is_some_and(|known| known == tag);
        let mut response = if known {
            empty(StatusCode::NOT_MODIFIED)
        } else {
            Response::new(Body::from(Bytes::from_static(self.text.as_bytes())))
        };
        let headers = response.headers_mut();
        if !known {
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(self.media_type));
        }
        for (name, value) in GUARDS {
            headers.insert(name, HeaderValue::from_static(value));
        }
        // Kept, and asked for again each time: after an upgrade no page may run on files of two versions.
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        if let Ok(tag) = HeaderValue::try_from(tag) {
            headers.insert(header::ETAG, tag);
        }
        response
    }

    fn tag(&self) -> String {
        let digest = Sha256::digest(self.text.as_bytes());
        let start: String = digest.iter().take(12).map(|byte| format!("{byte:02x}")).collect();
        format!("\"{start}\"")
    }
}
