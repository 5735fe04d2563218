//! The configuration, role by role.

use std::{net::SocketAddr, time::Duration};

use sluice_admission::{self as admission, HeadStarts, IdentityConfig, JwtConfig, JwtKeys};
use sluice_core::{event::SettledBy, random::Random, view::object::PublicUrls};
use sluice_http::{
    ServerConfig, TlsFiles,
    limits::{DefaultLimits, Limits},
};
use sluice_operator::{self as operator, AdminSecret, AdminToken, Role, Shop};
use sluice_ws_push as push;

use super::is_set;
use crate::config::{AdminRole, Config, IdentityMode, WorkerMode};

/// Open files kept for the store, the listeners, outgoing calls and the admin address: a store that cannot open its files
/// ends the process.
const FILES_RESERVED: u64 = 1_024;
/// Connections to the admin address at most.
const ADMIN_CONNECTIONS_MAX: usize = 256;

/// Whether browsers reach us over plain HTTP on this machine: then cookies cannot ask for TLS.
fn is_plain(config: &Config) -> bool {
    config.admission.listen.ip().is_loopback()
        && !config.admission.public_url.starts_with("https://")
}

/// Whose pages may use our cookies and call: the listed ones, and those of our own public addresses. A proxy in front of us
/// may not tell us under which name it was asked.
pub(super) fn origins(config: &Config) -> Vec<String> {
    let own = [&config.admission.public_url, &config.ws_push.public_url, &config.worker.public_url];
    let mut origins = config.admission.allowed_origins.clone();
    for origin in own.into_iter().filter_map(|url| origin_of(url)) {
        if !origins.contains(&origin) {
            origins.push(origin);
        }
    }
    origins
}

/// `https://queue.example.com` of `https://queue.example.com:443/line`, as a browser writes it.
fn origin_of(url: &str) -> Option<String> {
    let (scheme, rest) = url.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next().filter(|authority| !authority.is_empty())?;
    let default_port = if scheme == "https" { ":443" } else { ":80" };
    Some(format!("{scheme}://{}", authority.strip_suffix(default_port).unwrap_or(authority)))
}

pub(super) fn limits(config: &Config) -> Limits {
    let crate::config::Limits { per_buyer, per_device, per_ip, keys_max } = config.limits;
    Limits::new(DefaultLimits { per_buyer, per_device, per_ip }, keys_max)
}

fn in_seconds((class, seconds): (&String, &u32)) -> (String, Duration) {
    (class.clone(), Duration::from_secs(u64::from(*seconds)))
}

pub(super) fn admission(config: &Config) -> admission::Config {
    let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let identity = &config.identity;
    admission::Config {
        identity: match identity.mode {
            IdentityMode::Anonymous => IdentityConfig::Anonymous,
            IdentityMode::Header => IdentityConfig::Header { name: identity.header.clone() },
            IdentityMode::Jwt => IdentityConfig::Jwt(JwtConfig {
                keys: match (text(&identity.jwt_secret), text(&identity.jwks_file)) {
                    (Some(secret), _) => JwtKeys::Secret(secret),
                    (None, Some(file)) => JwtKeys::File(file.into()),
                    (None, None) => JwtKeys::Url(identity.jwks_url.clone()),
                },
                issuer: text(&identity.jwt_issuer),
                audience: text(&identity.jwt_audience),
            }),
        },
        head_starts: HeadStarts {
            class: identity.class.clone(),
            of: identity.head_start_seconds.iter().map(in_seconds).collect(),
        },
        cookies: if is_plain(config) {
            admission::Cookies::Plain
        } else {
            admission::Cookies::Host
        },
        allowed_origins: origins(config),
        joins_waiting_max: config.admission.joins_waiting_max,
        join_timeout: Duration::from_millis(config.admission.join_timeout_ms),
        ..admission::Config::default()
    }
}

/// The waiting page: where its script may connect beside its own address is where push and orders are.
pub(super) fn pages(config: &Config, urls: &PublicUrls) -> sluice_pages::PageSettings {
    let page = &config.admission.page;
    sluice_pages::PageSettings {
        brand: is_set(&page.brand).then(|| page.brand.clone()),
        frame_ancestors: page.frame_ancestors.clone(),
        connect: vec![urls.ws_push.clone(), urls.worker.clone()],
        orders: urls.worker.clone(),
    }
}

/// Leases are held under a name that no other process has, on this machine or another.
pub(super) fn dispatcher(config: &Config, random: &Random) -> sluice_dispatcher::Config {
    let number: String = random.bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    sluice_dispatcher::Config {
        settled_by: settled_by(config),
        ..sluice_dispatcher::Config::new(format!("process-{}-{number}", std::process::id()))
    }
}

fn settled_by(config: &Config) -> SettledBy {
    match config.worker.mode {
        WorkerMode::Builtin => SettledBy::Worker,
        WorkerMode::External => SettledBy::Shop,
    }
}

pub(super) fn worker(config: &Config) -> sluice_worker::Config {
    sluice_worker::Config { settled_by: settled_by(config), ..sluice_worker::Config::default() }
}

/// The provider calls back over the loopback network, on the worker's own address; its pages are where orders are.
pub(super) fn simulated(
    config: &Config,
    worker: SocketAddr,
    urls: &PublicUrls,
) -> sluice_worker::SimulatedSettings {
    let host = if worker.ip().is_unspecified() {
        SocketAddr::new([127, 0, 0, 1].into(), worker.port())
    } else {
        worker
    };
    // Relative, it leads to the waiting page only where that is at the same address.
    let is_known = !urls.admission.is_empty() || config.worker.listen.is_none();
    sluice_worker::SimulatedSettings {
        knobs: config.payment.simulated.knobs(),
        waiting_url: is_known.then(|| urls.admission.clone()),
        ..sluice_worker::SimulatedSettings::new(format!("http://{host}"), urls.worker.clone())
    }
}

pub(super) fn push(config: &Config, files: u64) -> push::Config {
    push::Config {
        connections_max: config.ws_push.connections_max.min(push_files(files)),
        connections_per_entry_max: config.ws_push.connections_per_entry_max,
        send_timeout_ms: config.ws_push.send_timeout_ms,
        drain_timeout_ms: config.process.drain_timeout_ms,
        cookies: if is_plain(config) { push::Cookies::Plain } else { push::Cookies::Host },
        allowed_origins: origins(config),
        ..push::Config::default()
    }
}

pub(super) fn operator(config: &Config, generated: Option<String>) -> operator::Config {
    let configured = config.admin.tokens.iter().map(|token| AdminToken {
        name: token.name.clone(),
        role: match token.role {
            AdminRole::Viewer => Role::Viewer,
            AdminRole::Operator => Role::Operator,
            AdminRole::Admin => Role::Admin,
            AdminRole::Backend => Role::Backend,
        },
        secret: match (&token.token, &token.token_sha256) {
            (Some(token), _) => AdminSecret::Token(token.clone()),
            (None, hash) => AdminSecret::Sha256(hash.clone().unwrap_or_default()),
        },
    });
    let generated = generated.map(|token| AdminToken {
        name: "generated".into(),
        role: Role::Admin,
        secret: AdminSecret::Token(token),
    });
    operator::Config {
        tokens: configured.chain(generated).collect(),
        shop: match config.worker.mode {
            WorkerMode::Builtin => None,
            WorkerMode::External => Some(Shop { link_hosts: config.worker.link_hosts.clone() }),
        },
        ..operator::Config::default()
    }
}

pub(super) fn server(config: &Config, files: u64) -> ServerConfig {
    let admission = &config.admission;
    ServerConfig {
        listen: admission.listen,
        connections_max: admission.connections_max.min(plain_files(files)),
        header_timeout: Duration::from_millis(admission.header_timeout_ms),
        body_timeout: Duration::from_millis(admission.body_timeout_ms),
        header_bytes_max: admission.header_bytes_max,
        drain_timeout: config.process.drain_timeout(),
        tls: None,
    }
}

pub(super) fn admin_server(config: &Config) -> ServerConfig {
    let admin = &config.admin;
    ServerConfig {
        listen: admin.listen,
        connections_max: ADMIN_CONNECTIONS_MAX,
        tls: is_set(&admin.tls_cert)
            .then(|| TlsFiles { certificates: admin.tls_cert.clone(), key: admin.tls_key.clone() }),
        ..server(config, u64::MAX)
    }
}

/// Of the files a process may open, four in five are for push connections, which stay; the rest is for requests. Together
/// they leave what is reserved.
fn push_files(files: u64) -> usize {
    count(spare(files) / 5 * 4)
}

fn plain_files(files: u64) -> usize {
    count(spare(files) / 5)
}

/// Where files are few, a quarter is reserved.
fn spare(files: u64) -> u64 {
    files - FILES_RESERVED.min(files / 4)
}

fn count(files: u64) -> usize {
    usize::try_from(files).unwrap_or(usize::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_of_our_own_addresses_need_no_listing() {
        let mut config = crate::config::load(None, std::iter::empty()).unwrap();
        assert!(origins(&config).is_empty());
        config.admission.public_url = "https://queue.example.com".into();
        config.ws_push.public_url = "https://push.example.com:443/line".into();
        config.worker.public_url = "http://[::1]:8090".into();
        config.admission.allowed_origins =
            vec!["https://shop.example.com".into(), "https://queue.example.com".into()];
        let expected = [
            "https://shop.example.com",
            "https://queue.example.com",
            "https://push.example.com",
            "http://[::1]:8090",
        ];
        assert_eq!(origins(&config), expected);
        assert_eq!(admission(&config).allowed_origins, expected);
        assert_eq!(push(&config, 1_024).allowed_origins, expected);
    }

    #[test]
    fn pages_for_paying_are_where_orders_are() {
        let urls = PublicUrls { worker: "https://pay.example".into(), ..PublicUrls::default() };
        let mut config = crate::config::load(None, std::iter::empty()).unwrap();
        config.payment.simulated.drop = 0.5;
        let settings = simulated(&config, ([0, 0, 0, 0], 8_090).into(), &urls);
        assert!((settings.knobs.drop - 0.5).abs() < f64::EPSILON);
        assert_eq!(settings.public_url, "https://pay.example");
        assert_eq!(settings.callback_base_url, "http://127.0.0.1:8090");
    }

    #[test]
    fn connections_leave_files_for_the_store() {
        for (files, left) in [(1_024, 256), (20_000, 1_024), (1_000_000, 1_024)] {
            let taken = (push_files(files) + plain_files(files)) as u64;
            assert!(taken + left <= files, "{files}");
        }
        assert!(push_files(20_000) >= 15_000);
    }
}
