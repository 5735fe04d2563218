//! The operator API from a terminal: where it is, who asks, and how its answers are printed.

use std::{
    fs,
    io::{self, Write},
    time::Duration,
};

use anyhow::{Context, bail};
use bytes::Bytes;
use http::{Method, Request, header};
use serde_json::{Value, json};
use sluice_http::client::Client;

use crate::{
    cli::{self, AdminOptions, ConfigOption},
    config,
    exit::Usage,
    swarm::client::Target,
};

/// Longer than the operator API itself waits for its stores.
const TIMEOUT: Duration = Duration::from_secs(60);
const ANSWER_BYTES_MAX: usize = 16 * 1024 * 1024;

/// One call of the operator API.
#[derive(Debug, PartialEq)]
pub(crate) struct Call {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) body: Option<Value>,
    pub(crate) if_version: Option<u64>,
    /// For the audit log, where the body has no place for it.
    pub(crate) reason: Option<String>,
}

impl Call {
    pub(crate) fn get(path: impl Into<String>) -> Self {
        let path = path.into();
        Self { method: Method::GET, path, body: None, if_version: None, reason: None }
    }

    pub(crate) fn post(path: impl Into<String>, body: Value) -> Self {
        Self { method: Method::POST, body: Some(body), ..Self::get(path) }
    }
}

/// The operator API of one process.
#[derive(Debug)]
pub(crate) struct Api {
    base: String,
    token: String,
}

impl Api {
    /// Where it is and who asks, as the options, the environment and the configuration say.
    pub(crate) fn of(options: &AdminOptions) -> anyhow::Result<Self> {
        let config = cli::asking(&ConfigOption { config: options.config.clone() })?;
        let base = options.admin.clone().unwrap_or_else(|| {
            let scheme =
                if config.admin.tls_cert.as_os_str().is_empty() { "http" } else { "https" };
            format!("{scheme}://{}", config.admin.listen)
        });
        let base = base.trim_end_matches('/').to_owned();
        Target::parse(&base).map_err(|error| Usage(format!("--admin {base}: {error}")))?;
        let file = options.token_file.clone();
        let token = match (file, cli::token_in_environment()) {
            (Some(file), _) => fs::read_to_string(&file).map_err(|error| {
                Usage(format!(
                    "--token-file {}: cannot be read ({error}); name the file that holds an admin token",
                    file.display()
                ))
            })?,
            (None, Some(token)) => token,
            (None, None) => {
                let file = config::admin_token_file(&config.embedded.data_dir);
                fs::read_to_string(&file).with_context(|| {
                    format!("no admin token: give --token-file or SLUICE_TOKEN, or run beside the data ({})", file.display())
                })?
            }
        };
        Ok(Self { base, token: token.trim().to_owned() })
    }

    /// Sends one call and waits for its answer.
    pub(crate) fn ask(&self, call: Call) -> anyhow::Result<Value> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(self.send(call))
    }

    async fn send(&self, call: Call) -> anyhow::Result<Value> {
        let mut request = Request::builder()
            .method(call.method)
            .uri(format!("{}{}", self.base, call.path))
            .header(header::AUTHORIZATION, format!("Bearer {}", self.token));
        if let Some(version) = call.if_version {
            request = request.header(header::IF_MATCH, format!("\"{version}\""));
        }
        if let Some(reason) = &call.reason {
            request = request.header("x-sluice-reason", escaped(reason));
        }
        if call.body.is_some() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        let body = call.body.map_or_else(Bytes::new, |body| Bytes::from(body.to_string()));
        let answer = Client::new(TIMEOUT)
            .send(request.body(body)?, ANSWER_BYTES_MAX)
            .await
            .with_context(|| format!("asking {}: is sluice running there?", self.base))?;
        let value: Value = serde_json::from_slice(answer.body()).unwrap_or(Value::Null);
        if answer.status().is_success() {
            return Ok(value);
        }
        let detail = value["detail"]
            .as_str()
            .or(value["title"].as_str())
            .unwrap_or("no explanation was given");
        bail!("{}: {} ({})", self.base, detail, answer.status());
    }
}

/// The optional reason that goes to the audit log, as a body.
pub(crate) fn reason_body(reason: Option<&String>) -> Value {
    reason.map_or_else(|| json!({}), |reason| json!({ "reason": reason }))
}

/// Text of any language as a header carries it: percent-encoded UTF-8.
fn escaped(text: &str) -> String {
    text.bytes().fold(String::with_capacity(text.len()), |mut escaped, byte| {
        match byte {
            b' ' | b'!'..=b'$' | b'&'..=b'~' => escaped.push(char::from(byte)),
            _ => escaped.push_str(&format!("%{byte:02X}")),
        }
        escaped
    })
}

pub(crate) fn print_json(out: &mut impl Write, answer: &Value) -> anyhow::Result<()> {
    serde_json::to_writer_pretty(&mut *out, answer).map_err(io::Error::from)?;
    Ok(writeln!(out)?)
}

/// Every figure on a line of its own, named by its path.
pub(crate) fn figures(out: &mut impl Write, path: &str, value: &Value) -> io::Result<()> {
    let inner = |key: &str| if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
    match value {
        Value::Object(object) => {
            object.iter().try_for_each(|(key, value)| figures(out, &inner(key), value))
        }
        Value::Array(list) => list.iter().enumerate().try_for_each(|(n, value)| {
            let named = ["sku", "state"].iter().find_map(|key| value[*key].as_str());
            figures(out, &inner(named.unwrap_or(&n.to_string())), value)
        }),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            writeln!(out, "  {path:<36} {}", text(value))
        }
    }
}

/// A value as people read it.
pub(crate) fn text(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_of_any_language_fits_into_a_header() {
        assert_eq!(escaped("Tea, at 100% (now)"), "Tea, at 100%25 (now)");
        assert_eq!(escaped("候补\n"), "%E5%80%99%E8%A1%A5%0A");
        assert!(http::HeaderValue::try_from(escaped("\u{0}\u{7f}ü€")).is_ok());
    }
}
