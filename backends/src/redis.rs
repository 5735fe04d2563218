//! The Redis backend: the line and the stock gate, each call one script over the keys of one sale. It accelerates; it
//! may forget everything, or its last second, at any moment, and then says that it is cold.
//!
//! Keys are `<prefix>:{<sale>}:…`, all of a sale under one hash tag, so that one node of a cluster has them:
//!
//! | key | what | bound |
//! |---|---|---|
//! | `line` | the line itself, its places, their buyers, what is in flight | numbers given out whose entries live, and the next two |
//! | `line:over`, `line:strangers` | settled places and settlements, oldest first | `settled_places_max` each; the ledger knows the others |
//! | `gate` | the gate itself, its levels and holds | the holds that are live, and the next |
//! | `gate:over` | holds that are over, oldest first | `holds_over_max`; the ledger knows the others |
//! | `gate:heard` | holds with a word that the gate's image has not seen | the latest 65,536 |
//! | `worked`, `worked:order` | entries reserved for before their call was heard of | the latest 65,536 |
//!
//! A sale's keys stay until the sale is forgotten. Limits that buyers and devices share are not kept here yet; they would
//! be checked at the head of the join script, in keys of the same tag.
//!
//! **Cold.** What is kept carries the identity of the server under which it was warmed: its run id and its replication
//! id. Every script compares it with those of the server that runs it, in the same atomic step as its effect. A restart
//! changes the one, a failover both, so a memory that may lack its last second is never trusted, whichever connection,
//! proxy or cluster node the call came through. Warming it again begins at the ledger's next block. A server also takes a
//! new replication id when its first replica ever is attached, and after an hour without any: then a line is cold for a
//! moment without need.
//!
//! **Time.** Every call has a deadline; one that passed it is unknown and may be repeated, for every script can be. A
//! connection that falls silent is noticed by a watch of its own and replaced, and while there is none, or too many calls
//! in a row were left unanswered, calls fail at once.

use std::{fmt, sync::Arc, time::Duration};

use sluice_core::ports::{Line, StockGate};

mod codec;
mod dial;
mod endpoint;
mod fault;
mod gate;
mod inspect;
mod line;
mod link;
mod names;
mod script;
mod sentinel;
mod wire;

pub use endpoint::{BadUrl, Topology};
pub use fault::OpenError;
use link::Link;

/// What the Redis backend is opened with.
#[derive(Clone)]
pub struct RedisOptions {
    /// Where the server is: one `redis://` or `rediss://` URL; or the first nodes of a cluster,
    /// `redis+cluster://[user:password@]host:port,…`; or sentinels,
    /// `redis+sentinel://[user:password@]host:port,…[/master[/database]][?sentinel_user=…&sentinel_password=…]`, where the
    /// master is `mymaster` if nothing else is said. Several URLs must be of one kind; they are taken together.
    pub urls: Vec<String>,
    /// What plain `redis://` and `rediss://` URLs are: `Sentinel` and `Cluster` read them as if their scheme said so.
    /// `None`: what the schemes say.
    pub topology: Option<Topology>,
    /// Certificates of the authority that signed the servers', in PEM, for `rediss://`; `None`: those the system trusts.
    pub authority_pem: Option<String>,
    /// What every key begins with. Default `sluice`.
    pub prefix: String,
    /// How long the server may be away at start before opening fails. Default 30 s.
    pub start_timeout: Duration,
    /// How long a connection may take until it is greeted. Default 1 s.
    pub connect_timeout: Duration,
    /// How long a call waits for its answer; then it is unknown. Default 500 ms.
    pub call_timeout: Duration,
    /// Calls that wait for an answer at a time; one more is `Full`. Default 4,096.
    pub calls_max: usize,
    /// Settled places of a sale whose buyer is free, and settlements of strangers; the oldest are forgotten first, the
    /// ledger knows them. Default 100,000 of each.
    pub settled_places_max: usize,
    /// Holds of a sale that are sold or released; the oldest are forgotten first, the ledger knows them. Default 100,000.
    pub holds_over_max: usize,
}

impl RedisOptions {
    /// The defaults, for these URLs.
    #[must_use]
    pub fn new(urls: Vec<String>) -> Self {
        Self {
            urls,
            topology: None,
            authority_pem: None,
            prefix: "sluice".into(),
            start_timeout: Duration::from_secs(30),
            connect_timeout: Duration::from_secs(1),
            call_timeout: Duration::from_millis(500),
            calls_max: 4_096,
            settled_places_max: 100_000,
            holds_over_max: 100_000,
        }
    }
}

/// URLs have passwords in them: they are not printed.
impl fmt::Debug for RedisOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisOptions")
            .field("urls", &self.urls.len())
            .field("topology", &self.topology)
            .field("prefix", &self.prefix)
            .finish_non_exhaustive()
    }
}

/// The open backend. Dropping it cuts its connections; [`Redis::close`] does so in peace.
#[derive(Debug)]
pub struct Redis {
    /// The line of every sale.
    pub line: Arc<dyn Line>,
    /// The stock gate of every sale.
    pub gate: Arc<dyn StockGate>,
    link: Arc<Link>,
}

impl Redis {
    /// Ends the backend's tasks and connections. Calls fail from now on.
    pub async fn close(self) {
        self.link.close().await;
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.link.stop();
    }
}

/// Connects, and sees that the server is one that can keep the ports' promises: recent enough, a primary, never evicting,
/// and taking writes from us. A server that is merely away is tried again until `start_timeout`.
pub async fn open(options: RedisOptions) -> Result<Redis, OpenError> {
    let link = Link::open(&options).await?;
    let names = Arc::new(names::Names::new(options.prefix));
    let line =
        line::RedisLine::new(Arc::clone(&link), Arc::clone(&names), options.settled_places_max);
    let gate = gate::RedisGate::new(Arc::clone(&link), names, options.holds_over_max);
    Ok(Redis { line: Arc::new(line), gate: Arc::new(gate), link })
}
