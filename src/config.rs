//! Configuration: compiled-in defaults, laid over by a TOML file, laid over by the environment; then checked as a whole,
//! before a port is bound. Every complaint names where the value stands, the key, and how to mend it.

use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf, time::Duration};

use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use sluice_core::{policy::RateLimit, sale::NewSale};

mod check;
mod load;
mod notify;
mod secrets;
mod shop;

pub(crate) use check::authority;
pub(crate) use load::{ConfigError, load, read};
pub(crate) use notify::{ChannelKind, Notify};
pub(crate) use secrets::{Secrets, admin_token, admin_token_file};
pub(crate) use shop::{Fulfilment, FulfilmentKind, Payment};

/// The whole configuration, as `sluice config show` prints it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    pub(crate) process: Process,
    pub(crate) log: Log,
    pub(crate) backend: Backend,
    pub(crate) embedded: Embedded,
    pub(crate) redis: Redis,
    pub(crate) rabbitmq: Rabbitmq,
    pub(crate) postgres: Postgres,
    pub(crate) admission: Admission,
    pub(crate) ws_push: WsPush,
    pub(crate) worker: Worker,
    pub(crate) admin: Admin,
    pub(crate) identity: Identity,
    pub(crate) limits: Limits,
    pub(crate) secrets: ConfiguredSecrets,
    pub(crate) payment: Payment,
    pub(crate) fulfilment: Fulfilment,
    pub(crate) notify: Notify,
    /// Created at start if absent.
    #[serde(default, rename = "sale", skip_serializing_if = "Vec::is_empty")]
    pub(crate) sales: Vec<NewSale>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Process {
    pub(crate) start_timeout_ms: u64,
    pub(crate) drain_timeout_ms: u64,
}

impl Process {
    pub(crate) fn drain_timeout(&self) -> Duration {
        Duration::from_millis(self.drain_timeout_ms)
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Log {
    pub(crate) filter: String,
    pub(crate) format: LogFormat,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum LogFormat {
    Auto,
    Text,
    Json,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Backend {
    pub(crate) kind: BackendKind,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum BackendKind {
    Embedded,
    Distributed,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Embedded {
    pub(crate) data_dir: PathBuf,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Redis {
    pub(crate) urls: Vec<String>,
    pub(crate) topology: RedisTopology,
    pub(crate) ca_file: PathBuf,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum RedisTopology {
    Single,
    Sentinel,
    Cluster,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rabbitmq {
    pub(crate) url: String,
    pub(crate) urls: Vec<String>,
    pub(crate) ca_file: PathBuf,
}

impl Rabbitmq {
    /// The nodes to try in turn.
    pub(crate) fn nodes(&self) -> Vec<String> {
        if self.urls.is_empty() { vec![self.url.clone()] } else { self.urls.clone() }
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Postgres {
    pub(crate) url: String,
    pub(crate) connections_max: u32,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Admission {
    pub(crate) listen: SocketAddr,
    pub(crate) public_url: String,
    pub(crate) trusted_proxies: Vec<IpNet>,
    pub(crate) allowed_origins: Vec<String>,
    pub(crate) connections_max: usize,
    pub(crate) header_timeout_ms: u64,
    pub(crate) body_timeout_ms: u64,
    pub(crate) header_bytes_max: usize,
    pub(crate) joins_waiting_max: usize,
    pub(crate) join_timeout_ms: u64,
    pub(crate) page: WaitingPage,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct WaitingPage {
    pub(crate) brand: PathBuf,
    pub(crate) frame_ancestors: Vec<String>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct WsPush {
    #[serde(with = "optional_address")]
    pub(crate) listen: Option<SocketAddr>,
    pub(crate) public_url: String,
    pub(crate) connections_max: usize,
    pub(crate) connections_per_entry_max: usize,
    pub(crate) send_timeout_ms: u64,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Worker {
    #[serde(with = "optional_address")]
    pub(crate) listen: Option<SocketAddr>,
    pub(crate) public_url: String,
    pub(crate) link_hosts: Vec<String>,
    pub(crate) mode: WorkerMode,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum WorkerMode {
    Builtin,
    External,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Admin {
    pub(crate) listen: SocketAddr,
    pub(crate) hosts: Vec<String>,
    pub(crate) tokens: Vec<AdminToken>,
    pub(crate) tls_cert: PathBuf,
    pub(crate) tls_key: PathBuf,
    pub(crate) insecure: bool,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AdminToken {
    pub(crate) name: String,
    pub(crate) role: AdminRole,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) token: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) token_sha256: Option<String>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum AdminRole {
    Viewer,
    Operator,
    Admin,
    Backend,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Identity {
    pub(crate) mode: IdentityMode,
    pub(crate) header: String,
    pub(crate) class: String,
    pub(crate) head_start_seconds: BTreeMap<String, u32>,
    pub(crate) jwt_secret: String,
    pub(crate) jwks_file: String,
    pub(crate) jwks_url: String,
    pub(crate) jwt_issuer: String,
    pub(crate) jwt_audience: String,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum IdentityMode {
    Anonymous,
    Header,
    Jwt,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Limits {
    pub(crate) per_buyer: RateLimit,
    pub(crate) per_device: RateLimit,
    pub(crate) per_ip: RateLimit,
    pub(crate) keys_max: usize,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ConfiguredSecrets {
    pub(crate) queue_token_keys: Vec<QueueTokenKey>,
    pub(crate) payment_webhook: Vec<String>,
    pub(crate) fulfilment_webhook: Vec<String>,
    pub(crate) notify_webhook: Vec<String>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct QueueTokenKey {
    pub(crate) id: String,
    pub(crate) secret: String,
}

/// Printed instead of a secret.
const MASK: &str = "***";

impl Config {
    /// A copy that may be shown: every secret is masked.
    pub(crate) fn masked(&self) -> Self {
        let mut shown = self.clone();
        for key in &mut shown.secrets.queue_token_keys {
            MASK.clone_into(&mut key.secret);
        }
        let secrets = &mut shown.secrets;
        let webhooks = secrets.payment_webhook.iter_mut().chain(&mut secrets.fulfilment_webhook);
        for secret in webhooks.chain(&mut secrets.notify_webhook) {
            MASK.clone_into(secret);
        }
        for token in &mut shown.admin.tokens {
            token.token = token.token.as_ref().map(|_| MASK.to_owned());
        }
        for secret in [&mut shown.identity.jwt_secret, &mut shown.notify.smtp.password] {
            if !secret.is_empty() {
                MASK.clone_into(secret);
            }
        }
        let stores = shown.redis.urls.iter_mut().chain(&mut shown.rabbitmq.urls);
        for url in stores.chain([&mut shown.rabbitmq.url, &mut shown.postgres.url]) {
            *url = without_password(url);
        }
        shown
    }
}

/// A store's URL with what stands between its user and its host masked, and its query too if that may hold a password.
fn without_password(url: &str) -> String {
    let (main, query) =
        url.split_once('?').map_or((url, None), |(main, query)| (main, Some(query)));
    let masked = main
        .split_once("://")
        .and_then(|(scheme, rest)| {
            let (login, host) = rest.rsplit_once('@')?;
            let (user, _) = login.split_once(':')?;
            Some(format!("{scheme}://{user}:{MASK}@{host}"))
        })
        .unwrap_or_else(|| main.to_owned());
    match query {
        Some(query) if query.contains("password") => format!("{masked}?{MASK}"),
        Some(query) => format!("{masked}?{query}"),
        None => masked,
    }
}

/// An address, or "" for none.
mod optional_address {
    use std::net::SocketAddr;

    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    #[expect(clippy::ref_option, reason = "serde asks for a reference to the field")]
    pub(super) fn serialize<S: Serializer>(
        address: &Option<SocketAddr>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match address {
            Some(address) => serializer.collect_str(address),
            None => serializer.serialize_str(""),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<SocketAddr>, D::Error> {
        match String::deserialize(deserializer)?.as_str() {
            "" => Ok(None),
            text => text.parse().map(Some).map_err(|_| {
                D::Error::custom("must be an address such as 127.0.0.1:8080, or \"\"")
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_in_urls_are_masked() {
        for (url, shown) in [
            ("postgres://ada:s3cret@db:5432/sluice", "postgres://ada:***@db:5432/sluice"),
            ("postgres://localhost/sluice", "postgres://localhost/sluice"),
            ("redis://:p@ss@cache:6379", "redis://:***@cache:6379"),
            ("postgres://ada@db/sluice?password=x", "postgres://ada@db/sluice?***"),
            ("amqps://ada:x@mq/%2f?heartbeat=3", "amqps://ada:***@mq/%2f?heartbeat=3"),
        ] {
            assert_eq!(without_password(url), shown);
        }
    }
}
