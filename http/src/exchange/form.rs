//! A form as a browser sends it without scripts: `application/x-www-form-urlencoded`.

use http::{StatusCode, header::CONTENT_TYPE};

use super::Exchange;
use crate::{Problem, percent};

/// Most fields that are read; a form of ours has a handful.
const FIELDS_MAX: usize = 64;

/// The fields of a form, in order.
#[derive(Clone, Default, Eq, PartialEq)]
pub struct Form(Vec<(String, String)>);

impl Form {
    /// The first value of a field.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    fn parse(text: &str) -> Option<Self> {
        let pairs = text.split('&').filter(|pair| !pair.is_empty()).take(FIELDS_MAX);
        let decoded = pairs.map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let (name, value) = (percent::decode_query(name)?, percent::decode_query(value)?);
            Some((name.into_owned(), value.into_owned()))
        });
        decoded.collect::<Option<_>>().map(Self)
    }
}

/// Shows no values: they are people's.
impl std::fmt::Debug for Form {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(name, _)| name)).finish()
    }
}

impl Exchange {
    /// The body as a form: 415 `unsupported_media_type` unless it says so, 400 `bad_request` when its escapes are broken,
    /// and whatever [`Exchange::body`] refuses.
    pub async fn form(&mut self, bytes_max: usize) -> Result<Form, Problem> {
        let is_form = self.says_form();
        let bytes = self.body(bytes_max).await?;
        if !is_form {
            let detail = "The body must be a form and say so: `Content-Type: application/x-www-form-urlencoded`.";
            return Err(Problem::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "unsupported_media_type",
                detail,
            ));
        }
        let form = std::str::from_utf8(&bytes).ok().and_then(Form::parse);
        form.ok_or_else(|| Problem::bad_request("The form has a broken percent-escape."))
    }

    /// Whether the body says that it is a form.
    #[must_use]
    pub fn says_form(&self) -> bool {
        let said = self.header(CONTENT_TYPE.as_str()).and_then(|kind| kind.split(';').next());
        said.is_some_and(|kind| {
            kind.trim().eq_ignore_ascii_case("application/x-www-form-urlencoded")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_decoded_and_the_first_of_a_name_counts() {
        let form = Form::parse("do=join&sku=front+row%2f1&sku=x&empty=&bare").unwrap();
        assert_eq!(form.get("sku"), Some("front row/1"));
        assert_eq!(
            (form.get("empty"), form.get("bare"), form.get("none")),
            (Some(""), Some(""), None)
        );
        assert_eq!(Form::parse(""), Some(Form::default()));
        assert_eq!(Form::parse("a=%zz"), None);
        let many = "a=1&".repeat(10_000);
        assert_eq!(Form::parse(&many).unwrap().0.len(), FIELDS_MAX);
        assert_eq!(format!("{form:?}"), r#"["do", "sku", "sku", "empty", "bare"]"#);
    }
}
