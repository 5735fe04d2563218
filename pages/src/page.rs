//! The frame of the page: its head, its security headers, its languages; and everything together, built once at start.

use std::{fmt::Write, path::PathBuf, sync::Arc};

use flate2::Compression;
use http::{
    HeaderValue, StatusCode,
    header::{
        CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_SECURITY_POLICY, CONTENT_TYPE,
        REFERRER_POLICY, VARY, X_CONTENT_TYPE_OPTIONS,
    },
};
use sluice_http::{Response, Routes};

use crate::{
    assets::{Assets, allows_gzip, gzip},
    brand::{Brand, BrandError},
    escape, scene,
    shown::{Scene, Shown},
    texts::{Language, Languages},
    words,
};

const TEMPLATE: &str = include_str!("../waiting/page.html");

/// What the page can be told.
#[derive(Clone, Debug, Default)]
pub struct PageSettings {
    /// A folder with an operator's brand.
    pub brand: Option<PathBuf>,
    /// Origins whose pages may show this one in a frame; none by default.
    pub frame_ancestors: Vec<String>,
    /// Addresses other than the page's own where push and orders are.
    pub connect: Vec<String>,
    /// Where orders are kept; empty means at the page's own address. What a shop keeps itself is elsewhere.
    pub orders: String,
}

/// Who asks, as far as a page cares.
#[derive(Clone, Copy, Debug, Default)]
pub struct Visit<'a> {
    /// The language once chosen here.
    pub chosen: Option<&'a str>,
    /// `Accept-Language`.
    pub accepted: Option<&'a str>,
    /// `Accept-Encoding`.
    pub encodings: Option<&'a str>,
    /// The entry that the page's cookie proves.
    pub entry: Option<&'a str>,
    /// The highest `serving` this visitor was shown.
    pub seen: Option<u64>,
}

/// The pages of one process. Cheap to clone; all clones are one.
#[derive(Clone, Debug)]
pub struct Pages(Arc<Kept>);

#[derive(Debug)]
struct Kept {
    assets: Assets,
    languages: Languages,
    brand: Brand,
    policy: HeaderValue,
    orders: String,
}

/// What differs between a page for buyers and one for looking at.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Purpose<'a> {
    Buyers,
    /// The state to be shown.
    Preview(&'a str),
}

impl Pages {
    /// Reads the brand and gets the files ready.
    pub fn build(settings: &PageSettings) -> Result<Self, BrandError> {
        let brand = settings.brand.as_deref().map(Brand::read).transpose()?.unwrap_or_default();
        let languages = Languages::with(&brand);
        Ok(Self(Arc::new(Kept {
            assets: Assets::new(&languages, &brand),
            policy: policy(settings),
            orders: origin(&settings.orders).unwrap_or_default().to_owned(),
            languages,
            brand,
        })))
    }

    /// `GET /w/assets/…`, answered as `role`. Not counted against an address: they are this process's own memory, and
    /// caches keep them for good.
    #[must_use]
    pub fn assets(&self, role: &'static str) -> Routes {
        self.0.assets.routes(role)
    }

    /// The tag of a language the page speaks, as it writes it.
    #[must_use]
    pub fn language(&self, tag: &str) -> Option<&str> {
        self.0.languages.find(tag).map(|language| language.tag.as_str())
    }

    /// The page.
    #[must_use]
    pub fn show(&self, status: StatusCode, visit: &Visit<'_>, shown: &Shown<'_>) -> Response {
        self.write(status, visit, shown, Purpose::Buyers)
    }

    pub(crate) fn write(
        &self,
        status: StatusCode,
        visit: &Visit<'_>,
        shown: &Shown<'_>,
        purpose: Purpose<'_>,
    ) -> Response {
        let languages = &self.0.languages;
        let language = visit
            .chosen
            .and_then(|tag| languages.find(tag))
            .unwrap_or_else(|| languages.preferred(visit.accepted.unwrap_or_default()));
        let html = self.html(language, visit, shown, purpose);
        // Written for one visitor and sent once: packed quickly. But not with the token in it: what comes packed with words of the
        // address can be guessed by its length.
        let secret = shown.order.is_some_and(|bought| bought.token.is_some());
        let packed = visit.encodings.filter(|encodings| !secret && allows_gzip(encodings));
        let packed = packed.and_then(|_| gzip(html.as_bytes(), Compression::fast()));
        let encoded = packed.is_some();
        let mut response = Response::new(packed.map_or_else(|| html.into(), Into::into));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        if encoded {
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
        headers.insert(CONTENT_SECURITY_POLICY, self.0.policy.clone());
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        // Not `no-referrer`: a browser would then keep the origin of the page's own forms to itself.
        headers.insert(REFERRER_POLICY, HeaderValue::from_static("same-origin"));
        let keep = if secret { "no-store, no-transform" } else { "private, no-cache" };
        headers.insert(CACHE_CONTROL, HeaderValue::from_static(keep));
        headers.insert(VARY, HeaderValue::from_static("accept-language, accept-encoding, cookie"));
        if let Ok(tag) = HeaderValue::try_from(&language.tag) {
            headers.insert(CONTENT_LANGUAGE, tag);
        }
        response
    }

    fn html(
        &self,
        language: &Language,
        visit: &Visit<'_>,
        shown: &Shown<'_>,
        purpose: Purpose<'_>,
    ) -> String {
        let assets = self.0.assets.path();
        let say = |key| escape(language.say(key));
        let title = escape(shown.title());
        let notice =
            shown.sale.as_ref().and_then(|sale| words::notice(language, sale.notice.as_ref()));
        let (preview, sale) = match purpose {
            Purpose::Buyers => (String::new(), escape(shown.sale_id)),
            Purpose::Preview(state) => (escape(state), "preview".to_owned()),
        };
        let brand = &self.0.brand;
        let logo = brand.logo().map(|file| format!("<img src=\"{assets}/{file}\" alt=\"\">"));
        let style = brand
            .has_style()
            .then(|| format!("<link rel=\"stylesheet\" href=\"{assets}/brand.css\">\n"));
        let scene = shown.scene();
        fill(&[
            ("language", &language.tag),
            ("direction", &say("language.direction")),
            ("refresh", &refresh(scene.refresh_seconds(), visit, shown)),
            ("tab", &escape(&tab(language, shown))),
            ("assets", &assets),
            ("brand_style", &style.unwrap_or_default()),
            ("sale", &sale),
            ("title", &title),
            ("entry", &escape(visit.entry.unwrap_or_default())),
            ("preview", &preview),
            ("orders", &self.0.orders),
            ("skip", &say("page.skip")),
            ("logo", &logo.unwrap_or_default()),
            ("languages", &self.choices(language, purpose)),
            ("notice_hidden", if notice.is_some() { "" } else { " hidden" }),
            ("notice_label", &say("notice.label")),
            ("notice", &notice.map(|(_, text)| escape(text)).unwrap_or_default()),
            ("scene", scene.as_str()),
            ("body", &scene::body(language, shown)),
            ("powered", &say("page.powered")),
        ])
    }

    /// The languages to choose from. Links, so that they work without JavaScript; the choice is remembered.
    fn choices(&self, now: &Language, purpose: Purpose<'_>) -> String {
        let (label, name) = (escape(now.say("language.choose")), escape(now.say("language.name")));
        let mut html = format!(
            "<details class=\"languages\"><summary aria-label=\"{label}: {name}\">{name}</summary><ul>"
        );
        for language in self.0.languages.all() {
            let (tag, name) = (escape(&language.tag), escape(language.say("language.name")));
            let current = if language.tag == now.tag { " aria-current=\"true\"" } else { "" };
            let preview = match purpose {
                Purpose::Buyers => String::new(),
                Purpose::Preview(state) => format!("&amp;preview={}", escape(state)),
            };
            let _ = write!(
                html,
                "<li><a href=\"?lang={tag}{preview}\" hreflang=\"{tag}\" lang=\"{tag}\"{current}>{name}</a></li>"
            );
        }
        html.push_str("</ul></details>");
        html
    }

    #[cfg(test)]
    pub(crate) fn assets_of(&self) -> &Assets {
        &self.0.assets
    }
}

/// What the browser's tab says: whose turn it is sees it from another tab.
fn tab(language: &Language, shown: &Shown<'_>) -> String {
    let position = shown.entry.and_then(|entry| entry.position).map(words::number);
    let title = ("title", shown.title());
    match (shown.scene(), position) {
        (Scene::Called | Scene::Reserved | Scene::Shop, _) => language.fill("tab.turn", &[title]),
        (_, Some(position)) => language.fill("tab.waiting", &[("position", &position), title]),
        (_, None) => language.fill("tab.plain", &[title]),
    }
}

/// Without JavaScript the page comes again by itself, and brings what it was shown, so that a position never rises.
fn refresh(seconds: Option<u32>, visit: &Visit<'_>, shown: &Shown<'_>) -> String {
    let Some(seconds) = seconds else { return String::new() };
    let serving = shown.entry.map_or(0, |entry| entry.serving.0).max(visit.seen.unwrap_or(0));
    let sale = escape(shown.sale_id);
    format!(
        "<noscript><meta http-equiv=\"refresh\" content=\"{seconds};url=/w/{sale}?seen={serving}\"></noscript>\n"
    )
}

/// The template with its places filled. What is filled in is not looked at again.
fn fill(values: &[(&str, &str)]) -> String {
    let mut html = String::with_capacity(TEMPLATE.len() * 3);
    let mut rest = TEMPLATE;
    while let Some((before, after)) = rest.split_once("{{") {
        html.push_str(before);
        let (name, after) = after.split_once("}}").unwrap_or((after, ""));
        if let Some((_, value)) = values.iter().find(|(known, _)| *known == name) {
            html.push_str(value);
        }
        rest = after;
    }
    html.push_str(rest);
    html
}

/// Scripts, styles and pictures from here alone; connections to here and to where push and orders are; forms to here and to where
/// orders are.
fn policy(settings: &PageSettings) -> HeaderValue {
    let mut connect = String::from("'self'");
    for origin in settings.connect.iter().filter_map(|url| origin(url)) {
        let _ = write!(connect, " {origin} {}", origin.replacen("http", "ws", 1));
    }
    let mut forms = String::from("'self'");
    if let Some(origin) = origin(&settings.orders) {
        let _ = write!(forms, " {origin}"); // where they are paid without a script
    }
    let mut ancestors = String::new();
    for origin in settings.frame_ancestors.iter().filter_map(|url| origin(url)) {
        let _ = write!(ancestors, " {origin}");
    }
    if ancestors.is_empty() {
        ancestors.push_str(" 'none'");
    }
    let text = format!(
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src {connect}; form-action {forms}; base-uri 'none'; frame-ancestors{ancestors}"
    );
    // Origins are taken apart below; what is no header is no policy at all, and then nothing is allowed.
    HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static("default-src 'none'"))
}

/// Whether `text` is an origin and nothing more, so that a browser can be told of it.
#[must_use]
pub fn is_origin(text: &str) -> bool {
    origin(text) == Some(text)
}

/// `https://push.example` of `https://push.example/line`; `None` of anything that is no such address.
fn origin(url: &str) -> Option<&str> {
    let (scheme, rest) =
        url.split_once("://").filter(|(scheme, _)| matches!(*scheme, "http" | "https"))?;
    let authority = rest.split(['/', '?', '#']).next().filter(|authority| !authority.is_empty())?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-:[]".contains(&byte);
    authority.bytes().all(plain).then(|| &url[..scheme.len() + 3 + authority.len()])
}

#[cfg(test)]
mod tests;
