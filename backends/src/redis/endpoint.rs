//! Where the server is: the URLs, read into what is dialled.

use std::{fmt, time::Duration};

use redis::{
    Client, ConnectionAddr, ConnectionInfo, IntoConnectionInfo, RedisConnectionInfo, RedisResult,
    TlsCertificates,
    io::tcp::{TcpSettings, socket2::TcpKeepalive},
};
use rustls::pki_types::{CertificateDer, pem::PemObject};

/// What a master is called if nobody says otherwise.
const MASTER: &str = "mymaster";

/// How servers are found.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Topology {
    /// One server, at a fixed address.
    Single,
    /// A primary that sentinels know.
    Sentinel,
    /// A cluster.
    Cluster,
}

/// What is wrong with the URLs. Says which one by its place, never what is in it: it may hold a password.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum BadUrl {
    #[error("must name at least one URL")]
    None,
    #[error(
        "URL {0} must begin with redis://, rediss://, redis+sentinel://, rediss+sentinel://, redis+cluster:// or rediss+cluster://"
    )]
    Scheme(usize),
    #[error(
        "URL {0} is not a URL: hosts, ports, the user and the password must be written as in a URL"
    )]
    Unreadable(usize),
    #[error("URL {0} names another master than the URL before it")]
    OtherMaster(usize),
    #[error("URL {0} names another topology than redis.topology, or than the URL before it")]
    Mixed(usize),
    #[error("one server has one URL; several need redis.topology = \"cluster\"")]
    Several,
    #[error("URL {0} names a database; a cluster has only number 0")]
    ClusterDatabase(usize),
    #[error("the certificates of the authority are not PEM")]
    Authority,
}

/// What is dialled. The socket settings are in it.
#[derive(Clone, Debug)]
pub(super) enum Endpoint {
    Single(ConnectionInfo),
    Sentinel(Sentinels),
    Cluster(Nodes),
}

/// Some nodes of a cluster.
#[derive(Clone, Debug)]
pub(super) struct Nodes {
    pub(super) infos: Vec<ConnectionInfo>,
    /// What the certificates of all its nodes are checked against, if not what the system trusts.
    pub(super) authority: Option<TlsCertificates>,
}

/// Certificates of an authority of one's own.
fn authority_of(pem: &str) -> TlsCertificates {
    TlsCertificates { client_tls: None, root_cert: Some(pem.as_bytes().to_vec()) }
}

/// The same server, its certificate checked against an authority of one's own.
fn trusting(info: ConnectionInfo, authority: &TlsCertificates) -> RedisResult<ConnectionInfo> {
    Client::build_with_tls(info, authority.clone())
        .map(|client| client.get_connection_info().clone())
}

/// The sentinels of one master.
#[derive(Clone, Debug)]
pub(super) struct Sentinels {
    pub(super) sentinels: Vec<ConnectionInfo>,
    pub(super) master: String,
    encrypted: Encrypted,
    authority: Option<TlsCertificates>,
    credentials: RedisConnectionInfo,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Encrypted {
    No,
    Yes,
}

impl Sentinels {
    /// The server that a sentinel named.
    pub(super) fn server(&self, host: String, port: u16) -> Option<ConnectionInfo> {
        let addr = match self.encrypted {
            Encrypted::No => ConnectionAddr::Tcp(host, port),
            Encrypted::Yes => {
                ConnectionAddr::TcpTls { host, port, insecure: false, tls_params: None }
            }
        };
        let info = addr.into_connection_info().ok()?;
        let info = match (self.encrypted, &self.authority) {
            (Encrypted::Yes, Some(authority)) => trusting(info, authority).ok()?,
            (Encrypted::Yes, None) | (Encrypted::No, _) => info,
        };
        Some(info.set_redis_settings(self.credentials.clone()).set_tcp_settings(tcp_settings()))
    }
}

impl Endpoint {
    /// `authority` is what certificates are checked against, in PEM, if not what the system trusts.
    pub(super) fn read(
        urls: &[String],
        topology: Option<Topology>,
        authority: Option<&str>,
    ) -> Result<Self, BadUrl> {
        if authority
            .is_some_and(|pem| CertificateDer::pem_slice_iter(pem.as_bytes()).next().is_none())
        {
            return Err(BadUrl::Authority);
        }
        let authority = authority.map(authority_of);
        let mut parts = Vec::with_capacity(urls.len());
        for (n, url) in urls.iter().enumerate() {
            let part = Part::read(n + 1, url, authority.as_ref())?;
            let wanted = topology.or(parts.first().map(|first: &Part<'_>| first.topology));
            // A plain URL is what it is said to be.
            let said = topology.is_some() && part.topology == Topology::Single;
            if !said && wanted.is_some_and(|wanted| wanted != part.topology) {
                return Err(BadUrl::Mixed(n + 1));
            }
            parts.push(part);
        }
        let first = parts.first().ok_or(BadUrl::None)?;
        match topology.unwrap_or(first.topology) {
            Topology::Single => match &parts[..] {
                [one] => Ok(Self::Single(one.single()?)),
                _ => Err(BadUrl::Several),
            },
            Topology::Cluster => {
                let nodes = parts.iter().map(Part::nodes).collect::<Result<Vec<_>, _>>()?;
                let encrypted = parts.iter().any(|part| part.encrypted == Encrypted::Yes);
                let authority = first.authority.filter(|_| encrypted);
                Ok(Self::Cluster(Nodes { infos: nodes.concat(), authority: authority.cloned() }))
            }
            Topology::Sentinel => {
                let mut together = first.sentinels()?;
                for part in &parts[1..] {
                    let more = part.sentinels()?;
                    if more.master != together.master {
                        return Err(BadUrl::OtherMaster(part.place));
                    }
                    together.sentinels.extend(more.sentinels);
                }
                Ok(Self::Sentinel(together))
            }
        }
    }
}

/// Addresses only: fit for a log.
impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let listed = |infos: &[ConnectionInfo]| {
            infos.iter().map(|info| info.addr().to_string()).collect::<Vec<_>>().join(",")
        };
        match self {
            Self::Single(info) => write!(f, "{}", info.addr()),
            Self::Sentinel(of) => write!(f, "{} of {}", of.master, listed(&of.sentinels)),
            Self::Cluster(nodes) => write!(f, "{}", listed(&nodes.infos)),
        }
    }
}

/// One URL, taken apart.
struct Part<'a> {
    place: usize,
    topology: Topology,
    encrypted: Encrypted,
    authority: Option<&'a TlsCertificates>,
    user_info: &'a str,
    hosts: Vec<&'a str>,
    path: &'a str,
    query: &'a str,
}

impl<'a> Part<'a> {
    fn read(
        place: usize,
        url: &'a str,
        authority: Option<&'a TlsCertificates>,
    ) -> Result<Self, BadUrl> {
        let (scheme, rest) = url.split_once("://").ok_or(BadUrl::Scheme(place))?;
        let (transport, kind) = scheme.split_once('+').unwrap_or((scheme, ""));
        let encrypted = match transport {
            "redis" => Encrypted::No,
            "rediss" => Encrypted::Yes,
            _ => return Err(BadUrl::Scheme(place)),
        };
        let topology = match kind {
            "" => Topology::Single,
            "sentinel" => Topology::Sentinel,
            "cluster" => Topology::Cluster,
            _ => return Err(BadUrl::Scheme(place)),
        };
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (named, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (user_info, hosts) = named.rsplit_once('@').unwrap_or(("", named));
        let hosts: Vec<&str> = hosts.split(',').collect();
        if hosts.iter().any(|host| host.is_empty()) {
            return Err(BadUrl::Unreadable(place));
        }
        Ok(Self { place, topology, encrypted, authority, user_info, hosts, path, query })
    }

    /// The server at one of the hosts.
    fn info(&self, host: &str, path: &str) -> Result<ConnectionInfo, BadUrl> {
        let scheme = match self.encrypted {
            Encrypted::No => "redis",
            Encrypted::Yes => "rediss",
        };
        let at = if self.user_info.is_empty() { "" } else { "@" };
        let url = format!("{scheme}://{}{at}{host}/{path}", self.user_info);
        let info = url.into_connection_info().map_err(|_| BadUrl::Unreadable(self.place))?;
        let info = match (self.encrypted, self.authority) {
            (Encrypted::Yes, Some(authority)) => {
                trusting(info, authority).map_err(|_| BadUrl::Authority)?
            }
            (Encrypted::Yes, None) | (Encrypted::No, _) => info,
        };
        Ok(info.set_tcp_settings(tcp_settings()))
    }

    fn single(&self) -> Result<ConnectionInfo, BadUrl> {
        match self.hosts[..] {
            [host] => self.info(host, self.path),
            _ => Err(BadUrl::Several),
        }
    }

    fn nodes(&self) -> Result<Vec<ConnectionInfo>, BadUrl> {
        if !matches!(self.path, "" | "0") {
            return Err(BadUrl::ClusterDatabase(self.place));
        }
        self.hosts.iter().map(|host| self.info(host, "")).collect()
    }

    fn sentinels(&self) -> Result<Sentinels, BadUrl> {
        let (master, database) = self.path.split_once('/').unwrap_or((self.path, ""));
        let master = if master.is_empty() { MASTER } else { master };
        let credentials = self.info("server", database)?.redis_settings().clone();
        let word = |name: &str| {
            let pairs = self.query.split('&').filter_map(|pair| pair.split_once('='));
            pairs.filter(|(known, _)| *known == name).map(|(_, value)| value).next()
        };
        let user = word("sentinel_user").unwrap_or_default();
        let own = match word("sentinel_password") {
            Some(password) => {
                Part { user_info: &format!("{user}:{password}"), ..self.bare() }.sentinel_infos()?
            }
            None => self.bare().sentinel_infos()?,
        };
        let (master, encrypted) = (master.to_owned(), self.encrypted);
        let authority = self.authority.cloned();
        Ok(Sentinels { sentinels: own, master, encrypted, authority, credentials })
    }

    /// The same hosts, without the servers' user and password: sentinels have their own.
    fn bare(&self) -> Part<'_> {
        Part { user_info: "", hosts: self.hosts.clone(), ..*self }
    }

    fn sentinel_infos(&self) -> Result<Vec<ConnectionInfo>, BadUrl> {
        let infos = self.hosts.iter().map(|host| {
            let has_port = host.rsplit(']').next().is_some_and(|rest| rest.contains(':'));
            let port = if has_port { "" } else { ":26379" };
            self.info(&format!("{host}{port}"), "")
        });
        infos.collect()
    }
}

/// No waiting for more to send; a dead peer is noticed by the system as well as by our own watch.
fn tcp_settings() -> TcpSettings {
    let keepalive = TcpKeepalive::new()
        .with_time(Duration::from_secs(5))
        .with_interval(Duration::from_secs(1))
        .with_retries(3);
    TcpSettings::default()
        .set_nodelay(true)
        .set_keepalive(keepalive)
        .set_user_timeout(Duration::from_secs(3))
}

#[cfg(test)]
mod tests;
