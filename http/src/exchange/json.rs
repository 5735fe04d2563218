//! JSON bodies, and what is said about those that do not fit: the field, the place, and what was expected, but never
//! what was sent. It may be long, and it may be somebody's telephone number.

use http::{Method, StatusCode, header::CONTENT_TYPE};
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::error::Category;
use serde_path_to_error::{Path, Segment};

use super::Exchange;
use crate::Problem;

mod objects;

use objects::Objects;

/// Longest name of the client's own choosing that is repeated, in characters.
const NAME_CHARS_MAX: usize = 64;
/// Longest message of a type's own that is passed on, in characters.
const MESSAGE_CHARS_MAX: usize = 256;

impl Exchange {
    /// The body as JSON: 415 `unsupported_media_type` unless it says `application/json`, 400 `bad_request` naming the
    /// field, line and column when it does not fit `T`, and whatever [`Exchange::body`] refuses.
    pub async fn json<T: DeserializeOwned>(&mut self, bytes_max: usize) -> Result<T, Problem> {
        let is_json = self.says_json();
        let bytes = self.body(bytes_max).await?;
        match (is_json, bytes.is_empty()) {
            (false, _) => Err(not_json()),
            (true, true) => Err(Problem::bad_request("The body is empty. Send a JSON value.")),
            (true, false) => read_json(&bytes),
        }
    }

    /// As [`Exchange::json`], for a body that may be left out: `None` when it is empty.
    pub async fn json_or_empty<T: DeserializeOwned>(
        &mut self,
        bytes_max: usize,
    ) -> Result<Option<T>, Problem> {
        let is_json = self.says_json();
        let bytes = self.body(bytes_max).await?;
        if bytes.is_empty() {
            return Ok(None);
        }
        if is_json { read_json(&bytes).map(Some) } else { Err(not_json()) }
    }

    fn says_json(&self) -> bool {
        let mut lines = self.request.headers().get_all(CONTENT_TYPE).iter();
        let Some(line) = lines.next().filter(|_| lines.next().is_none()) else { return false };
        let media_type = line.to_str().unwrap_or_default().split(';').next().unwrap_or_default();
        let said = |known: &str| media_type.trim().eq_ignore_ascii_case(known);
        // What a PATCH sends is a merge patch (RFC 7396), and may say so.
        let is_patch = self.request.method() == Method::PATCH;
        said("application/json") || is_patch && said("application/merge-patch+json")
    }
}

fn not_json() -> Problem {
    let detail = "The body must be JSON and say so: `Content-Type: application/json`.";
    Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", detail)
        .header("accept", "application/json")
}

/// The JSON of a body that was read already, as [`Exchange::json`] reads it: 400 `bad_request` when it does not fit `T`.
pub fn read_json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    // Keeping track of the path doubles the cost: it is done for those that do not fit.
    parse(bytes).or_else(|_| parse_tracked(bytes))
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, serde_json::Error> {
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let value = T::deserialize(Objects(&mut deserializer))?;
    deserializer.end()?;
    Ok(value)
}

fn parse_tracked<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(Objects(&mut deserializer)).map_err(|error| {
        let path = error.path().clone();
        explain(&path, error.inner(), bytes)
    })?;
    deserializer.end().map_err(|error| explain_syntax(&error))?;
    Ok(value)
}

fn explain(path: &Path, error: &serde_json::Error, bytes: &[u8]) -> Problem {
    match error.classify() {
        Category::Data => explain_data(path, error),
        // Well-formed, but beyond any number we could hold.
        Category::Syntax if error.to_string().starts_with("number out of range") => {
            explain_data(path, error)
        }
        // A word was wanted and something else came: to the parser that is a fault of syntax.
        Category::Syntax if serde_json::from_slice::<IgnoredAny>(bytes).is_ok() => {
            say_of(path, None, "is of the wrong type", &place_of(error))
        }
        Category::Syntax | Category::Eof | Category::Io => explain_syntax(error),
    }
}

/// serde_json's own words for these name tokens, never input.
fn explain_syntax(error: &serde_json::Error) -> Problem {
    Problem::bad_request(format!("The body is not valid JSON: {error}."))
}

fn explain_data(path: &Path, error: &serde_json::Error) -> Problem {
    let text = error.to_string();
    let place = place_of(error);
    let message = text.strip_suffix(&format!(" at {place}")).unwrap_or(&text);
    let (last, what) = reword(message);
    say_of(path, last.as_deref(), &what, &place)
}

fn place_of(error: &serde_json::Error) -> String {
    format!("line {} column {}", error.line(), error.column())
}

fn say_of(path: &Path, last: Option<&str>, what: &str, place: &str) -> Problem {
    let field = spell(path, last);
    if field.is_empty() {
        return Problem::bad_request(format!("The body {what} ({place})."));
    }
    Problem::bad_request(format!("`{field}` {what} ({place}).")).field(field)
}

/// The last segment of the path, when the message and not the path knows it, and the message without what was sent.
fn reword(message: &str) -> (Option<String>, String) {
    if let Some((name, expected)) = quoted(message, "unknown field ") {
        let known =
            expected.strip_prefix(", expected ").unwrap_or("none, this object has no fields");
        let known = known.strip_prefix("one of ").unwrap_or(known);
        return (
            Some(name.to_owned()),
            format!("is not a known field; known here: {}", shorten(known, MESSAGE_CHARS_MAX)),
        );
    }
    if let Some((name, _)) = quoted(message, "missing field ") {
        return (Some(name.to_owned()), "is missing".into());
    }
    if let Some((name, _)) = quoted(message, "duplicate field ") {
        return (Some(name.to_owned()), "appears twice".into());
    }
    if let Some((_, expected)) = quoted(message, "unknown variant ") {
        let expected = expected.strip_prefix(", expected ").unwrap_or("another value");
        return (None, format!("must be {}", shorten(expected, MESSAGE_CHARS_MAX)));
    }
    for (prefix, doubt) in
        [("invalid type: ", ""), ("invalid value: ", " that does not fit"), ("invalid length ", "")]
    {
        let Some(rest) = message.strip_prefix(prefix) else { continue };
        // The input stands between the kind and the last `, expected `; neither of them repeats it.
        let Some((sent, expected)) = rest.rsplit_once(", expected ") else { continue };
        let kind = if prefix == "invalid length " { "another length" } else { kind(sent) };
        return (
            None,
            format!("must be {}, not {kind}{doubt}", shorten(&plain(expected), MESSAGE_CHARS_MAX)),
        );
    }
    if message == "number out of range" {
        return (None, "is a number out of range".into());
    }
    (None, shorten(message, MESSAGE_CHARS_MAX))
}

/// Splits ``prefix`name`rest``.
fn quoted<'a>(message: &'a str, prefix: &str) -> Option<(&'a str, &'a str)> {
    let rest = message.strip_prefix(prefix)?.strip_prefix('`')?;
    // A name the client chose may hold anything, these words too; serde's own come last.
    let end = rest
        .rfind("`, expected")
        .or_else(|| rest.rfind("`, there are no fields"))
        .or_else(|| rest.rfind('`'))?;
    Some((rest.get(..end)?, rest.get(end + 1..)?))
}

fn kind(sent: &str) -> &'static str {
    let kinds = [
        ("string", "a string"),
        ("integer", "a whole number"),
        ("floating point", "a fractional number"),
        ("number", "a number"),
        ("boolean", "true or false"),
        ("null", "null"),
        ("unit", "null"),
        ("map", "an object"),
        ("sequence", "a list"),
    ];
    kinds
        .into_iter()
        .find(|(word, _)| sent.starts_with(word))
        .map_or("what was sent", |(_, said)| said)
}

/// What Rust expects, in words a client of ours knows.
fn plain(expected: &str) -> String {
    let whole = |range: &str| format!("a whole number {range}");
    match expected {
        "u8" => whole("from 0 to 255"),
        "u16" => whole("from 0 to 65535"),
        "u32" => whole("from 0 to 4294967295"),
        "u64" | "usize" => whole("from 0 to 18446744073709551615"),
        "i8" => whole("from -128 to 127"),
        "i16" => whole("from -32768 to 32767"),
        "i32" => whole("from -2147483648 to 2147483647"),
        "i64" | "isize" => whole("from -9223372036854775808 to 9223372036854775807"),
        "f32" | "f64" => "a number".into(),
        "a boolean" => "true or false".into(),
        "a sequence" => "a list".into(),
        "a map" => "an object".into(),
        "a borrowed string" | "string or map" | "str" => "a string".into(),
        other if other.starts_with("struct ") || other.starts_with("internally tagged enum ") => {
            "an object".into()
        }
        other if other.starts_with("tuple ") || other.starts_with("a tuple ") => "a list".into(),
        other => other.into(),
    }
}

/// `items[0].quantity`, with `last` below it. Names the client chose are cut.
fn spell(path: &Path, last: Option<&str>) -> String {
    let mut spelt = String::new();
    let name = |spelt: &mut String, key: &str| {
        if !spelt.is_empty() {
            spelt.push('.');
        }
        spelt.push_str(&shorten(key, NAME_CHARS_MAX));
    };
    let mut deepest = None;
    for segment in path {
        deepest = None;
        match segment {
            Segment::Seq { index } => spelt.push_str(&format!("[{index}]")),
            Segment::Map { key } => {
                name(&mut spelt, key);
                deepest = Some(key.as_str());
            }
            Segment::Enum { .. } | Segment::Unknown => {}
        }
    }
    // For an unknown field the path already ends in its name.
    if let Some(last) = last.filter(|last| deepest != Some(*last)) {
        name(&mut spelt, last);
    }
    spelt
}

/// Cut to `chars_max`, control characters made harmless.
fn shorten(text: &str, chars_max: usize) -> String {
    let mut short: String =
        text.chars().take(chars_max).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
    if text.chars().nth(chars_max).is_some() {
        short.push('…');
    }
    short
}

#[cfg(test)]
mod tests;
