//! The console's files: what they are, how they are guarded, and that a page finds everything it names.

use std::collections::BTreeSet;

use bytes::Bytes;
use http::{HeaderMap, Request};
use http_body_util::{BodyExt, Full};

use crate::house::House;

async fn fetch(house: &House, path: &str, headers: &[(&str, &str)]) -> (u16, HeaderMap, String) {
    let mut request = Request::get(format!("http://{}{path}", house.address));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Full::<Bytes>::default()).unwrap();
    let (parts, body) = house.send(request).await.into_parts();
    let bytes = body.collect().await.unwrap().to_bytes();
    (parts.status.as_u16(), parts.headers, String::from_utf8(bytes.to_vec()).unwrap())
}

/// The files a text names: `"/console/…"` in the page, `"./…"` in a module.
fn named(text: &str, from: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for piece in text.split('"').skip(1).step_by(2) {
        if piece.starts_with("/console/") {
            names.insert(piece.to_owned());
        } else if piece.ends_with(".js") && piece.starts_with('.') {
            let mut folder: Vec<&str> = from.split('/').collect();
            folder.pop();
            for step in piece.split('/') {
                match step {
                    "." => {}
                    ".." => drop(folder.pop()),
                    step => folder.push(step),
                }
            }
            names.insert(folder.join("/"));
        }
    }
    names
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_page_and_every_file_it_names_are_served_and_guarded() {
    let house = House::open().await;
    let (mut to_see, mut seen) = (BTreeSet::from(["/".to_owned()]), BTreeSet::new());
    while let Some(path) = to_see.pop_first() {
        let (status, headers, text) = fetch(&house, &path, &[]).await;
        assert_eq!(status, 200, "{path}");
        let policy = headers["content-security-policy"].to_str().unwrap();
        assert!(policy.starts_with("default-src 'none'; script-src 'self';"), "{policy}");
        assert!(!policy.contains("unsafe") && policy.contains("frame-ancestors 'none'"));
        assert_eq!(headers["x-content-type-options"], "nosniff");
        assert_eq!(headers["cache-control"], "no-cache");
        let media_type = headers["content-type"].to_str().unwrap();
        let expected = match path.rsplit('.').next() {
            Some("js") => "text/javascript",
            Some("css") => "text/css",
            Some("svg") => "image/svg+xml",
            _ => "text/html",
        };
        assert!(media_type.starts_with(expected), "{path}: {media_type}");
        seen.insert(path.clone());
        to_see.extend(named(&text, &path).into_iter().filter(|name| !seen.contains(name)));
    }
    assert!(seen.len() > 10, "{seen:?}");
    assert!(seen.contains("/console/main.js") && seen.contains("/console/console.css"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_browser_has_is_not_sent_again() {
    let house = House::open().await;
    let (_, headers, text) = fetch(&house, "/", &[]).await;
    assert!(!text.is_empty());
    let tag = headers["etag"].to_str().unwrap();
    let (status, _, text) = fetch(&house, "/", &[("if-none-match", tag)]).await;
    assert_eq!((status, text.as_str()), (304, ""));
    let (status, ..) = fetch(&house, "/", &[("if-none-match", "\"another\"")]).await;
    assert_eq!(status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn there_is_nothing_else_beside_them() {
    let house = House::open().await;
    for path in ["/console/none.js", "/console/../routes.rs", "/console/%2e%2e/lib.rs", "/console/"]
    {
        let (status, _, text) = fetch(&house, path, &[]).await;
        assert_eq!(status, 404, "{path}: {text}");
    }
    let (status, ..) = fetch(&house, "/", &[("host", "evil.example")]).await;
    assert_eq!(status, 421, "a page of another name that resolves here gets nothing");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_is_told_whose_it_is() {
    let house = House::open().await;
    let me = house.get("/v1/me").await.is(200);
    assert_eq!(
        me,
        serde_json::json!({ "name": "viewer", "role": "viewer", "order_backend": "builtin" })
    );
    let shop = House::open_for_a_shop().await;
    assert_eq!(shop.get("/v1/me").await.is(200)["order_backend"], "external");
}
