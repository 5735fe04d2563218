//! The waiting page: what a buyer sees in a browser. Its assets, its languages, an operator's brand, and the HTML that a
//! server writes, with or without JavaScript on the other side.
//!
//! Nothing here decides: who asks, what place a cookie proves and whether a form may join are admission's business. The
//! page itself is plain files (`waiting/`, `texts/`, and the client of `clients/js`), embedded as they are.
//!
//! Reading order: [`Pages`] (built once, shared), `shown` (what is known), `page` (the frame), `scene` (what is in it), `goods`
//! (its form), `qr` (a link as a picture), `assets` and `bundle` (files as they go over the wire), `texts` (languages), `brand` (an operator's folder).

mod assets;
mod brand;
mod bundle;
mod goods;
mod page;
mod preview;
mod qr;
mod scene;
mod shown;
mod texts;
mod words;

pub use brand::{Brand, BrandError};
pub use page::{PageSettings, Pages, Visit, is_origin};
pub use preview::preview_routes;
pub use qr::qr_code;
pub use shown::{Bought, Filled, Shown, ShownSale, Trouble};

/// `text` where HTML may stand, in text and in quoted attributes alike.
fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            other => safe.push(other),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    #[test]
    fn nothing_that_a_person_wrote_is_markup() {
        let escaped = super::escape(r#"<img src=x onerror='a("&")'>"#);
        assert_eq!(escaped, "&lt;img src=x onerror=&#39;a(&quot;&amp;&quot;)&#39;&gt;");
    }
}
