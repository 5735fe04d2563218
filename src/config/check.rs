//! What types cannot say: rules between keys, ranges, and the strength of secrets.

use std::{error::Error, path::Path};

use rustls::pki_types::{CertificateDer, pem::PemObject};
use sluice_core::{clock::UnixMillis, token, webhook};
use sluice_http::{BindError, TlsFiles};

use super::{
    Admin, BackendKind, Config, ConfigError, IdentityMode, WorkerMode, load::Places, notify, shop,
};

/// Shortest admin token, in characters.
const ADMIN_TOKEN_CHARS_MIN: usize = 32;
/// Longest head start among those who stand by, in seconds: a day.
const HEAD_START_SECONDS_MAX: u32 = 86_400;

pub(super) type Finding = Result<(), (String, String)>;

/// Checks the whole; the first complaint wins.
pub(super) fn check(config: &Config, places: &Places) -> Result<(), ConfigError> {
    let checks = [
        backend,
        link_hosts,
        listeners,
        identity,
        head_starts,
        limits,
        secrets,
        shop::check_payment,
        shop::check_fulfilment,
        notify::check,
        admin,
        files,
        page,
        urls,
        sales,
    ];
    for check in checks {
        check(config).map_err(|(key, complaint)| ConfigError {
            place: places.of(&key),
            key,
            complaint,
        })?;
    }
    Ok(())
}

pub(super) fn complain(key: impl Into<String>, complaint: impl Into<String>) -> Finding {
    Err((key.into(), complaint.into()))
}

fn backend(config: &Config) -> Finding {
    if config.worker.mode == WorkerMode::External && config.backend.kind == BackendKind::Embedded {
        return complain(
            "worker.mode",
            "\"external\" needs `backend.kind = \"distributed\"`: an order backend of your own takes its turns from RabbitMQ",
        );
    }
    if config.backend.kind == BackendKind::Distributed {
        return distributed(config);
    }
    if config.embedded.data_dir.as_os_str().is_empty() {
        return complain("embedded.data_dir", "must name a folder");
    }
    Ok(())
}

/// Processes that share stores must share secrets: none may make up its own.
fn distributed(config: &Config) -> Finding {
    if config.secrets.queue_token_keys.is_empty() {
        return complain(
            "secrets.queue_token_keys",
            "is required with `backend.kind = \"distributed\"`, the same in every process: [{ id = \"k1\", secret = \"at least 32 bytes\" }]",
        );
    }
    if config.secrets.payment_webhook.is_empty() {
        return complain(
            "secrets.payment_webhook",
            "is required with `backend.kind = \"distributed\"`, the same in every process: [\"whsec_\" and the base64 of 24 to 64 bytes]",
        );
    }
    if config.redis.urls.is_empty() {
        return complain("redis.urls", "must name at least one server");
    }
    if config.rabbitmq.nodes().iter().any(String::is_empty) {
        return complain("rabbitmq.url", "must name a server");
    }
    if !(1..=1_000).contains(&config.postgres.connections_max) {
        return complain("postgres.connections_max", "must be 1 to 1000");
    }
    authority("redis.ca_file", &config.redis.ca_file)?;
    authority("rabbitmq.ca_file", &config.rabbitmq.ca_file).map(drop)
}

/// The certificates of an authority of one's own, in PEM; `None` if no file is named.
pub(crate) fn authority(key: &str, file: &Path) -> Result<Option<String>, (String, String)> {
    if file.as_os_str().is_empty() {
        return Ok(None);
    }
    let pem = read(key, file)?;
    let mut certificates = CertificateDer::pem_slice_iter(&pem);
    if certificates.next().is_none_or(|first| first.is_err())
        || certificates.any(|one| one.is_err())
    {
        let complaint = "must name certificates in PEM: -----BEGIN CERTIFICATE----- and so on";
        return Err((key.to_owned(), complaint.to_owned()));
    }
    Ok(Some(String::from_utf8_lossy(&pem).into_owned()))
}

/// Links of buyers go to named hosts only: nothing that a browser could read as more than a host.
fn link_hosts(config: &Config) -> Finding {
    for (index, host) in config.worker.link_hosts.iter().enumerate() {
        let is_plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'.';
        if !(1..=253).contains(&host.len()) || !host.bytes().all(is_plain) {
            return complain(
                format!("worker.link_hosts[{index}]"),
                "must be the name of a host, without `https://`, port or path, such as \"shop.example.com\"",
            );
        }
    }
    Ok(())
}

fn listeners(config: &Config) -> Finding {
    let admission = &config.admission;
    for (key, value) in [
        ("process.start_timeout_ms", config.process.start_timeout_ms),
        ("process.drain_timeout_ms", config.process.drain_timeout_ms),
        ("admission.header_timeout_ms", admission.header_timeout_ms),
        ("admission.body_timeout_ms", admission.body_timeout_ms),
        ("admission.join_timeout_ms", admission.join_timeout_ms),
        ("ws_push.send_timeout_ms", config.ws_push.send_timeout_ms),
    ] {
        if !(1..=600_000).contains(&value) {
            return complain(key, "must be 1 to 600000 milliseconds");
        }
    }
    for (key, value) in [
        ("admission.connections_max", admission.connections_max),
        ("admission.joins_waiting_max", admission.joins_waiting_max),
        ("ws_push.connections_max", config.ws_push.connections_max),
        ("ws_push.connections_per_entry_max", config.ws_push.connections_per_entry_max),
        ("limits.keys_max", config.limits.keys_max),
    ] {
        if !(1..=100_000_000).contains(&value) {
            return complain(key, "must be 1 to 100000000");
        }
    }
    if !(4_096..=65_536).contains(&admission.header_bytes_max) {
        return complain("admission.header_bytes_max", "must be 4096 to 65536 bytes");
    }
    let mut taken = vec![("admission.listen", Some(admission.listen))];
    for (key, address) in [
        ("ws_push.listen", config.ws_push.listen),
        ("worker.listen", config.worker.listen),
        ("admin.listen", Some(config.admin.listen)),
    ] {
        let twice = taken
            .iter()
            .find(|(_, other)| address.is_some_and(|a| a.port() != 0) && *other == address);
        if let Some((other, _)) = twice {
            return complain(key, format!("is the same address as `{other}`; give each its own"));
        }
        taken.push((key, address));
    }
    Ok(())
}

fn identity(config: &Config) -> Finding {
    let identity = &config.identity;
    match identity.mode {
        IdentityMode::Anonymous => Ok(()),
        IdentityMode::Header if config.admission.trusted_proxies.is_empty() => complain(
            "admission.trusted_proxies",
            "must list your proxies: with `identity.mode = \"header\"` anybody else could claim to be any buyer",
        ),
        IdentityMode::Header => {
            let clean = identity
                .header
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
            if identity.header.is_empty() || !clean {
                return complain(
                    "identity.header",
                    "must be a lower-case header name such as x-sluice-buyer",
                );
            }
            Ok(())
        }
        IdentityMode::Jwt => {
            let given = [&identity.jwt_secret, &identity.jwks_file, &identity.jwks_url];
            if given.iter().filter(|text| !text.is_empty()).count() != 1 {
                return complain(
                    "identity.jwt_secret",
                    "set exactly one of jwt_secret, jwks_file and jwks_url",
                );
            }
            if !identity.jwt_secret.is_empty()
                && identity.jwt_secret.len() < token::SECRET_BYTES_MIN
            {
                return complain(
                    "identity.jwt_secret",
                    format!("must have at least {} bytes", token::SECRET_BYTES_MIN),
                );
            }
            if !identity.jwks_url.is_empty()
                && let Err(error) = sluice_http::client::check_outbound(&identity.jwks_url)
            {
                return complain("identity.jwks_url", error.to_string());
            }
            Ok(())
        }
    }
}

fn head_starts(config: &Config) -> Finding {
    let identity = &config.identity;
    let listed = &identity.head_start_seconds;
    if identity.class.is_empty() != listed.is_empty() {
        return complain(
            "identity.class",
            "goes with head_start_seconds: say what names a buyer's class, and which classes have a head start, or neither",
        );
    }
    if identity.mode == IdentityMode::Anonymous && !listed.is_empty() {
        return complain(
            "identity.class",
            "needs `identity.mode` header or jwt: a buyer known by our cookie has no class",
        );
    }
    if identity.mode == IdentityMode::Header
        && !listed.is_empty()
        && http::HeaderName::try_from(identity.class.as_str()).is_err()
    {
        return complain("identity.class", "must be a header name such as x-sluice-class");
    }
    match listed.iter().find(|(_, seconds)| !(1..=HEAD_START_SECONDS_MAX).contains(*seconds)) {
        Some((class, seconds)) => complain(
            "identity.head_start_seconds",
            format!("{class} = {seconds}: must be between 1 and {HEAD_START_SECONDS_MAX}"),
        ),
        None => Ok(()),
    }
}

fn limits(config: &Config) -> Finding {
    let limits = &config.limits;
    for (key, limit) in [
        ("per_buyer", limits.per_buyer),
        ("per_device", limits.per_device),
        ("per_ip", limits.per_ip),
    ] {
        let range = 1..=1_000_000;
        if !range.contains(&limit.per_second) || !range.contains(&limit.burst) {
            return complain(
                format!("limits.{key}"),
                "per_second and burst must each be 1 to 1000000",
            );
        }
    }
    Ok(())
}

fn secrets(config: &Config) -> Finding {
    let keys = super::secrets::keys(&config.secrets.queue_token_keys);
    if !keys.is_empty()
        && let Err(error) = token::Keyring::new(&keys)
    {
        return complain("secrets.queue_token_keys", error.to_string());
    }
    let webhook = &config.secrets.payment_webhook;
    if !webhook.is_empty()
        && let Err(error) = webhook::Secrets::new(webhook)
    {
        return complain("secrets.payment_webhook", error.to_string());
    }
    Ok(())
}

fn admin(config: &Config) -> Finding {
    let admin = &config.admin;
    let tls = !admin.tls_cert.as_os_str().is_empty();
    if tls == admin.tls_key.as_os_str().is_empty() {
        return complain("admin.tls_cert", "tls_cert and tls_key go together");
    }
    if !admin.listen.ip().is_loopback() && !tls && !admin.insecure {
        return complain(
            "admin.listen",
            "is reachable from outside without TLS; set tls_cert and tls_key, or insecure = true if a proxy encrypts",
        );
    }
    for token in &admin.tokens {
        let key = "admin.tokens";
        if token.name.is_empty() || token.name.len() > 64 {
            return complain(key, "each token needs a name of 1 to 64 characters");
        }
        match (&token.token, &token.token_sha256) {
            (Some(text), None) if text.len() < ADMIN_TOKEN_CHARS_MIN => {
                return complain(
                    key,
                    format!(
                        "`{}`: must have at least {ADMIN_TOKEN_CHARS_MIN} characters",
                        token.name
                    ),
                );
            }
            (Some(_), None) => {}
            (None, Some(hash))
                if hash.len() == 64 && hash.bytes().all(|b| b.is_ascii_hexdigit()) => {}
            (None, Some(_)) => {
                return complain(
                    key,
                    format!("`{}`: token_sha256 must be 64 hexadecimal characters", token.name),
                );
            }
            (Some(_), Some(_)) | (None, None) => {
                return complain(
                    key,
                    format!("`{}`: give either token or token_sha256", token.name),
                );
            }
        }
    }
    Ok(())
}

/// Every file that is read at start can be read now, and holds what it should.
fn files(config: &Config) -> Finding {
    tls(&config.admin)?;
    let identity = &config.identity;
    if identity.mode != IdentityMode::Jwt || identity.jwks_file.is_empty() {
        return Ok(());
    }
    let key = "identity.jwks_file";
    if sluice_admission::is_key_set(&read(key, Path::new(&identity.jwks_file))?) {
        return Ok(());
    }
    complain(
        key,
        format!(
            "{} is not a JSON Web Key Set with at least one RS256, ES256 or EdDSA key; save there what your identity provider serves, {{\"keys\":[…]}}",
            identity.jwks_file
        ),
    )
}

/// The waiting page's brand is read here so that what is wrong with it is said before a port is bound.
fn page(config: &Config) -> Finding {
    let page = &config.admission.page;
    if !page.brand.as_os_str().is_empty()
        && let Err(error) = sluice_pages::Brand::read(&page.brand)
    {
        return complain("admission.page.brand", format!("{error}"));
    }
    for (index, origin) in page.frame_ancestors.iter().enumerate() {
        if !sluice_pages::is_origin(origin) {
            return complain(
                format!("admission.page.frame_ancestors[{index}]"),
                "must be an origin, such as \"https://shop.example.com\"",
            );
        }
    }
    Ok(())
}

fn tls(admin: &Admin) -> Finding {
    let files = TlsFiles { certificates: admin.tls_cert.clone(), key: admin.tls_key.clone() };
    if files.certificates.as_os_str().is_empty() {
        return Ok(());
    }
    read("admin.tls_cert", &files.certificates)?;
    read("admin.tls_key", &files.key)?;
    let Err(error) = files.check() else { return Ok(()) };
    let (key, wanted) = match &error {
        BindError::Tls { path, .. } if *path == files.certificates => {
            ("admin.tls_cert", "the PEM of the certificate and its chain, leaf first")
        }
        BindError::Tls { .. } | BindError::Listen { .. } | BindError::Limit { .. } => {
            ("admin.tls_key", "the PEM of the private key that belongs to tls_cert")
        }
    };
    let cause = error.source().map_or_else(String::new, |cause| format!(" ({cause})"));
    complain(key, format!("{error}{cause}; name a file that holds {wanted}"))
}

pub(super) fn read(key: &str, file: &Path) -> Result<Vec<u8>, (String, String)> {
    std::fs::read(file).map_err(|error| {
        let file = file.display();
        let fix = "name a file that exists and that this user may read";
        (key.to_owned(), format!("{file} cannot be read ({error}); {fix}"))
    })
}

fn urls(config: &Config) -> Finding {
    for (key, url) in [
        ("admission.public_url", &config.admission.public_url),
        ("ws_push.public_url", &config.ws_push.public_url),
        ("worker.public_url", &config.worker.public_url),
    ] {
        let web = url.starts_with("https://") || url.starts_with("http://");
        if !url.is_empty() && (!web || url.ends_with('/')) {
            return complain(
                key,
                "must be \"\" or an address such as https://queue.example.com, without a slash at the end",
            );
        }
    }
    for origin in &config.admission.allowed_origins {
        let web = origin.starts_with("https://") || origin.starts_with("http://");
        if !web || origin.ends_with('/') || origin.matches('/').count() != 2 {
            return complain(
                "admission.allowed_origins",
                format!("`{origin}` must be an origin such as https://shop.example.com"),
            );
        }
    }
    Ok(())
}

fn sales(config: &Config) -> Finding {
    for (n, sale) in config.sales.iter().enumerate() {
        if let Err(error) = sale.clone().build(UnixMillis(0)) {
            return complain(format!("sale[{n}].{}", error.field), error.rule);
        }
        if config.sales[..n].iter().any(|other| other.id == sale.id) {
            return complain(format!("sale[{n}].id"), "must be used once");
        }
    }
    Ok(())
}
