//! The waiting page without JavaScript: joining, waiting and leaving by forms and a cookie; and what the page's headers
//! promise. What it looks like is the browser tests' business.

use http::Method;
use serde_json::{Value, json};
use sluice_admission::{Config, Cookies, IdentityConfig};
use sluice_core::sale::SaleChange;

use crate::{
    client::{Ask, Reply},
    stage::{Script, Stage},
};

const FORM: &str = "application/x-www-form-urlencoded";

async fn anonymous() -> Stage {
    selling(Script::default().sale).await
}

async fn selling(sale: Value) -> Stage {
    let config = Config {
        identity: IdentityConfig::Anonymous,
        cookies: Cookies::Plain,
        ..Config::default()
    };
    Stage::play(Script { config, sale, ..Script::default() }).await
}

/// What a browser would send back of the cookies it was given.
fn cookies(reply: &Reply) -> String {
    let set = reply.headers.get_all("set-cookie").iter().map(|line| line.to_str().unwrap());
    set.map(|line| line.split(';').next().unwrap()).collect::<Vec<_>>().join("; ")
}

fn submit(stage: &Stage, form: &str, cookies: &str) -> Ask {
    let ask = stage.ask(Method::POST, "/w/demo").body(FORM, form.to_owned());
    ask.header("cookie", cookies).header("origin", format!("http://{}", stage.address))
}

async fn seen(stage: &Stage, cookies: &str) -> (Reply, String) {
    let reply = stage.ask(Method::GET, "/w/demo").header("cookie", cookies).send().await;
    let html = String::from_utf8(reply.body.to_vec()).unwrap();
    (reply, html)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_form_joins_the_cookie_keeps_the_place_and_a_form_leaves() {
    let stage = anonymous().await;
    let (page, html) = seen(&stage, "").await;
    assert_eq!(page.status, 200);
    assert!(
        html.contains("<form method=\"post\">") && html.contains("data-scene=\"join\""),
        "{html}"
    );

    let joined = submit(&stage, "do=join&sku=standard&quantity=1", "").send().await;
    assert_eq!((joined.status.as_u16(), joined.header("location")), (303, Some("/w/demo")));
    let jar = cookies(&joined);
    for name in ["sluice-place-demo=", "sluice-buyer=", "sluice-device="] {
        assert!(jar.contains(name), "{jar}");
    }
    let (_, html) = seen(&stage, &jar).await;
    assert!(html.contains("data-scene=\"waiting\"") && html.contains("http-equiv=\"refresh\""));
    let entry = html.split_once("data-entry=\"").unwrap().1.split('"').next().unwrap();
    assert_eq!(entry.len(), 36, "the script finds the place by it");
    // Joining again finds it.
    submit(&stage, "do=join&sku=standard&quantity=1", &jar).send().await;
    assert!(seen(&stage, &jar).await.1.contains(entry));

    let left = submit(&stage, "do=leave", &jar).send().await;
    assert_eq!(left.status, 303);
    let (_, html) = seen(&stage, &jar).await;
    assert!(html.contains("data-scene=\"left\"") && html.contains("value=\"join\""), "{html}");
}

/// The page of somebody who may pay has their token in it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_that_pays_is_neither_kept_nor_packed_on_its_way() {
    let mut stage = anonymous().await;
    let joined = submit(&stage, "do=join&sku=standard&quantity=1", "").send().await;
    let jar = cookies(&joined);
    let token = jar.split("sluice-place-demo=").nth(1).unwrap().split(';').next().unwrap();
    let mut entry = json!({ "token": token });
    entry["entry"] = json!(stage.claims(&entry).entry);
    stage.reserve(&entry).await;
    stage.report(1, false);

    const MINUTE: i64 = 60_000;
    for (life, renewed) in [(10 * MINUTE, false), (MINUTE, true)] {
        let cookie = format!("sluice-place-demo={}", stage.token_ending_in(&entry, life));
        let (page, html) = seen(&stage, &cookie).await;
        assert!(html.contains("name=\"token\""), "{html}");
        assert_eq!(page.header("cache-control"), Some("no-store, no-transform"));
        assert_eq!(page.headers.contains_key("set-cookie"), renewed);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_form_joins_for_a_stretch_and_comes_back_when_it_runs_backwards() {
    let stage = selling(json!({ "id": "demo", "title": "A train", "skus": [
        { "sku": "second", "seats": ["01A", "01B"], "stops": ["Ayton", "Berwick", "Dunbar"], "amount_fen": 100, "currency": "CNY" },
    ] }))
    .await;
    let wanted = |ends: &str| format!("do=join&sku=second&quantity=2&{ends}");
    for ends in ["from=1&to=1", "from=2&to=1", "from=1&to=3", "from=1", "from=1&to=x"] {
        let bad = submit(&stage, &wanted(ends), "").send().await;
        let html = String::from_utf8_lossy(&bad.body).into_owned();
        assert_eq!(bad.status, 400, "{ends}");
        assert!(html.contains("role=\"alert\"") && html.contains("value=\"2\" required"), "{html}");
    }
    let joined = submit(&stage, &wanted("from=1&to=2"), "").send().await;
    assert_eq!(joined.status, 303);
    let (_, html) = seen(&stage, &cookies(&joined)).await;
    assert!(html.contains("data-scene=\"waiting\""), "{html}");
}

/// no-forged-place: a cookie is not for pages of other sites to use.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_site_may_link_to_the_page_and_submit_nothing() {
    let stage = anonymous().await;
    let jar = cookies(&submit(&stage, "do=join&sku=standard&quantity=1", "").send().await);
    for form in ["do=leave", "do=join&sku=standard&quantity=1"] {
        for origin in ["https://evil.example", "null"] {
            let forged = stage.ask(Method::POST, "/w/demo").body(FORM, form);
            let forged = forged.header("cookie", &jar).header("origin", origin).send().await;
            forged.expect(403, "cross_site");
        }
    }
    let linked = stage.ask(Method::GET, "/w/demo").header("cookie", &jar);
    let linked = linked.header("sec-fetch-site", "cross-site").send().await;
    assert!(String::from_utf8_lossy(&linked.body).contains("data-scene=\"waiting\""));
    stage.outlive_tokens();
    let linked = stage.ask(Method::GET, "/w/demo").header("cookie", &jar);
    let linked = linked.header("sec-fetch-site", "cross-site").send().await;
    assert_eq!(linked.header("set-cookie"), None, "another site renewed a token");
    let (own, _) = seen(&stage, &jar).await;
    assert!(own.header("set-cookie").unwrap().starts_with("sluice-place-demo="));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_is_a_page_too() {
    let stage = anonymous().await;
    let bad = submit(&stage, "do=join&sku=standard&quantity=0", "").send().await;
    assert_eq!(bad.status, 400);
    let html = String::from_utf8_lossy(&bad.body).into_owned();
    assert!(html.contains("role=\"alert\"") && html.contains("value=\"join\""), "{html}");
    assert_eq!(submit(&stage, "do=dance", "").send().await.status, 400);
    stage
        .ask(Method::POST, "/w/demo")
        .json(&json!({}))
        .send()
        .await
        .expect(415, "unsupported_media_type");

    let nothing = stage.ask(Method::GET, "/w/nothing").send().await;
    assert_eq!(nothing.status, 404);
    assert!(String::from_utf8_lossy(&nothing.body).contains("data-scene=\"no_such_sale\""));
    stage.change(SaleChange::Close).await;
    let closed = submit(&stage, "do=join&sku=standard&quantity=1", "").send().await;
    assert_eq!(closed.status, 410);
    assert!(String::from_utf8_lossy(&closed.body).contains("data-scene=\"closed_sale\""));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_language_is_the_browsers_until_one_is_chosen() {
    let stage = anonymous().await;
    let ask = |path: &str| stage.ask(Method::GET, path);
    let accepted = ask("/w/demo").header("accept-language", "zh-CN,zh;q=0.9").send().await;
    assert_eq!(accepted.header("content-language"), Some("zh-CN"));
    let chosen = ask("/w/demo?lang=zh-CN").send().await;
    assert_eq!((chosen.status.as_u16(), chosen.header("location")), (303, Some("/w/demo")));
    let remembered = ask("/w/demo").header("cookie", cookies(&chosen)).send().await;
    assert_eq!(remembered.header("content-language"), Some("zh-CN"));
    let unknown = ask("/w/demo?lang=xx%22%3E%3Cscript%3E").send().await;
    assert_eq!(unknown.header("set-cookie"), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_files_are_kept_for_good_and_named_by_what_is_in_them() {
    let stage = anonymous().await;
    let (page, html) = seen(&stage, "").await;
    for (header, says) in [
        ("content-security-policy", "default-src 'none'"),
        ("content-security-policy", "frame-ancestors 'none'"),
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "same-origin"),
        ("cache-control", "no-cache"),
    ] {
        assert!(page.header(header).unwrap().contains(says), "{header}: {:?}", page.header(header));
    }
    let packed =
        stage.ask(Method::GET, "/w/demo").header("accept-encoding", "br, gzip").send().await;
    assert_eq!(packed.header("content-encoding"), Some("gzip"));
    assert!(packed.body.starts_with(&[0x1f, 0x8b]) && packed.body.len() < html.len());
    let path = html.split_once("src=\"").unwrap().1.split('"').next().unwrap().to_owned();
    let plain = stage.ask(Method::GET, &path).send().await;
    assert_eq!((plain.status.as_u16(), plain.header("content-encoding")), (200, None));
    assert!(plain.header("cache-control").unwrap().contains("immutable"));
    let small = stage.ask(Method::GET, &path).header("accept-encoding", "gzip").send().await;
    assert_eq!(small.header("content-encoding"), Some("gzip"));
    assert!(small.body.len() * 2 < plain.body.len());
    let tag = small.header("etag").unwrap();
    assert_ne!(Some(tag), plain.header("etag"));
    let known = stage.ask(Method::GET, &path).header("accept-encoding", "gzip");
    let known = known.header("if-none-match", tag).send().await;
    assert_eq!((known.status.as_u16(), known.body.len()), (304, 0));
    // While a deployment is half done, an older page still gets what there is.
    let older = stage.ask(Method::GET, "/w/assets/000000000000/page.js").send().await;
    assert_eq!((older.status.as_u16(), older.header("cache-control")), (200, Some("no-cache")));
    stage.ask(Method::GET, "/w/assets/x/nothing.js").send().await.expect(404, "not_found");
}
