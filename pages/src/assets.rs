//! The files of the page, ready to be sent: compressed once, tagged, named by what is in all of them, so that browsers and
//! caches may keep them for good.

use std::{collections::BTreeMap, io::Write, sync::Arc};

use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};
use http::{
    HeaderMap, HeaderName, HeaderValue, StatusCode,
    header::{
        ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE,
        ETAG, IF_NONE_MATCH, VARY, X_CONTENT_TYPE_OPTIONS,
    },
};
use sluice_http::{Exchange, Problem, Response, Routes, empty};

use crate::{brand::Brand, bundle, texts::Languages};

/// Of this version: for good.
const FOR_GOOD: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");
/// Of another, while a deployment is half done: what there is, asked for again next time.
const FOR_NOW: HeaderValue = HeaderValue::from_static("no-cache");
/// Whatever a file is opened as, it may do nothing.
const POLICY: HeaderValue =
    HeaderValue::from_static("default-src 'none'; style-src 'unsafe-inline'; sandbox");
/// A shop's own pages may take them in.
const RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");

/// What is under `/w/assets/`.
#[derive(Clone, Debug)]
pub(crate) struct Assets(Arc<Kept>);

#[derive(Debug)]
struct Kept {
    version: String,
    files: BTreeMap<String, File>,
}

#[derive(Debug)]
struct File {
    kind: HeaderValue,
    plain: Form,
    /// `None` for what does not get smaller: pictures.
    compressed: Option<Form>,
}

/// A file in one encoding.
#[derive(Debug)]
struct Form {
    bytes: Bytes,
    tag: HeaderValue,
}

impl Assets {
    pub(crate) fn new(languages: &Languages, brand: &Brand) -> Self {
        let mut files: BTreeMap<String, (&'static str, Bytes)> = BTreeMap::new();
        let mut add = |name: &str, kind, bytes| files.insert(name.to_owned(), (kind, bytes));
        add("page.js", "text/javascript; charset=utf-8", bundle::script().into());
        let preview = bundle::lean(include_str!("../waiting/preview.js"));
        add("preview.js", "text/javascript; charset=utf-8", preview.into());
        let moves = bundle::lean(include_str!("../waiting/move.js"));
        add("move.js", "text/javascript; charset=utf-8", moves.into());
        let style = bundle::lean(include_str!("../waiting/page.css"));
        add("page.css", "text/css; charset=utf-8", style.into());
        let icon = include_bytes!("../waiting/icon.svg").as_slice();
        add("icon.svg", "image/svg+xml", Bytes::from_static(icon));
        for (name, json) in languages.files() {
            add(&name, "application/json", json.into());
        }
        for file in brand.files() {
            add(file.name, file.kind, file.bytes.clone());
        }
        let mut hasher = blake3::Hasher::new();
        for (name, (_, bytes)) in &files {
            hasher.update(name.as_bytes()).update(&[0]).update(bytes).update(&[0]);
        }
        let version = hasher.finalize().to_hex().as_str()[..12].to_owned();
        let ready = |(name, (kind, bytes))| (name, File::new(kind, bytes));
        Self(Arc::new(Kept { version, files: files.into_iter().map(ready).collect() }))
    }

    /// Where this version's files are.
    pub(crate) fn path(&self) -> String {
        format!("/w/assets/{}", self.0.version)
    }

    /// `GET /w/assets/{version}/{file}`, as `role` answers it.
    pub(crate) fn routes(&self, role: &'static str) -> Routes {
        let assets = self.clone();
        Routes::new(role).get("/w/assets/{version}/{file}", move |exchange| {
            let answer = assets.answer(&exchange);
            async move { answer }
        })
    }

    fn answer(&self, exchange: &Exchange) -> Result<Response, Problem> {
        let file = self.0.files.get(exchange.param("file")).ok_or_else(|| {
            Problem::not_found("not_found", "The waiting page has no file of this name.")
        })?;
        let headers = exchange.request.headers();
        let form = file.compressed.as_ref().filter(|_| takes_gzip(headers));
        let compressed = form.is_some();
        let form = form.unwrap_or(&file.plain);
        let known = headers.get(IF_NONE_MATCH).is_some_and(|asked| asked == form.tag);
        let mut response = if known {
            empty(StatusCode::NOT_MODIFIED)
        } else {
            Response::new(form.bytes.clone().into())
        };
        let answer = response.headers_mut();
        answer.insert(CONTENT_TYPE, file.kind.clone());
        answer.insert(ETAG, form.tag.clone());
        answer.insert(VARY, HeaderValue::from_static("accept-encoding"));
        answer.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        answer.insert(CONTENT_SECURITY_POLICY, POLICY);
        answer.insert(RESOURCE_POLICY, HeaderValue::from_static("cross-origin"));
        if compressed {
            answer.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        let of_this_version = exchange.param("version") == self.0.version;
        answer.insert(CACHE_CONTROL, if of_this_version { FOR_GOOD } else { FOR_NOW });
        Ok(response)
    }

    /// Bytes of a file as a browser gets it.
    #[cfg(test)]
    pub(crate) fn wire_bytes(&self, name: &str) -> usize {
        let file = &self.0.files[name];
        file.compressed.as_ref().unwrap_or(&file.plain).bytes.len()
    }
}

impl File {
    fn new(kind: &'static str, bytes: Bytes) -> Self {
        let compressed =
            gzip(&bytes, Compression::best()).filter(|smaller| smaller.len() < bytes.len());
        Self {
            kind: HeaderValue::from_static(kind),
            plain: Form::new(bytes),
            compressed: compressed.map(|bytes| Form::new(bytes.into())),
        }
    }
}

impl Form {
    fn new(bytes: Bytes) -> Self {
        let hash = blake3::hash(&bytes).to_hex();
        // Hexadecimal digits in quotes are always a legal header.
        let tag = HeaderValue::try_from(format!("\"{}\"", &hash.as_str()[..16]))
            .unwrap_or(HeaderValue::from_static("\"\""));
        Self { bytes, tag }
    }
}

/// `None` if it cannot be compressed, which memory always can.
pub(crate) fn gzip(bytes: &[u8], level: Compression) -> Option<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), level);
    encoder.write_all(bytes).ok()?;
    encoder.finish().ok()
}

fn takes_gzip(headers: &HeaderMap) -> bool {
    let mut lines = headers.get_all(ACCEPT_ENCODING).iter().filter_map(|line| line.to_str().ok());
    lines.any(allows_gzip)
}

/// Of one `Accept-Encoding`.
pub(crate) fn allows_gzip(line: &str) -> bool {
    line.split(',').any(|coding| {
        let (name, weight) = coding.split_once(';').unwrap_or((coding, ""));
        let weight = weight.trim().trim_start_matches("q=").trim();
        name.trim().eq_ignore_ascii_case("gzip") && weight.parse::<f32>().unwrap_or(1.0) > 0.0
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_takes_gzip_says_so() {
        let takes = |value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT_ENCODING, HeaderValue::from_static(value));
            takes_gzip(&headers)
        };
        assert!(takes("gzip, deflate, br") && takes("br;q=1.0, gzip;q=0.5") && takes("GZIP"));
        assert!(!takes("br") && !takes("gzip;q=0") && !takes("identity") && !takes("x-gzip"));
        assert!(!takes_gzip(&HeaderMap::new()));
    }

    #[test]
    fn a_version_is_what_is_in_it() {
        let languages = Languages::ours();
        let plain = Assets::new(&languages, &Brand::default());
        assert_eq!(plain.path(), Assets::new(&languages, &Brand::default()).path());
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("brand.css"), ":root { --accent: #f00 }").unwrap();
        let branded = Assets::new(&languages, &Brand::read(folder.path()).unwrap());
        assert_ne!(plain.path(), branded.path());
    }
}
