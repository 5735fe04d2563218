//! The ledger's book of sales: what they are, who changed them, who is banned.

use std::{net::IpAddr, sync::Arc};

use async_trait::async_trait;
use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{
    clock::UnixMillis,
    ids::{BuyerId, SaleId, Version},
    ports::PortResult,
    sale::{ChangeRefused, Sale, SaleChange},
};

/// Who did something, for the audit log.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Author {
    /// The name of the admin token, or `config` for what the configuration made.
    pub name: String,
    pub address: Option<IpAddr>,
}

/// One row to write to the audit log by itself (a change of a sale writes its own).
#[derive(Clone, Debug, PartialEq)]
pub struct Audit {
    pub author: Author,
    /// What was done, such as `ban.add`.
    pub verb: String,
    /// To what, such as a sale's id; empty when to nothing in particular.
    pub subject: String,
    pub before: serde_json::Value,
    pub after: serde_json::Value,
    /// `ok`, or the code of the problem.
    pub result: String,
    pub reason: Option<String>,
}

/// One row of the audit log. The rows form a chain: `previous` is the SHA-256 of the row before, in hexadecimal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AuditRow {
    /// From 1, without gaps.
    pub id: u64,
    pub at: UnixMillis,
    pub author: Author,
    pub verb: String,
    pub subject: String,
    pub before: serde_json::Value,
    pub after: serde_json::Value,
    pub result: String,
    pub reason: Option<String>,
    pub previous: String,
    /// SHA-256 of this row's content and `previous`, in hexadecimal.
    pub hash: String,
}

impl AuditRow {
    /// What stands in `previous` of the first row.
    pub const FIRST_PREVIOUS: &'static str =
        "0000000000000000000000000000000000000000000000000000000000000000";

    /// The hash this row must carry: SHA-256, in hexadecimal, of the JSON array of its content and `previous`, in the
    /// order of the fields. A row whose `hash` is another was changed after it was written.
    #[must_use]
    pub fn content_hash(&self) -> String {
        let content = serde_json::json!([
            self.id,
            self.at,
            self.author,
            self.verb,
            self.subject,
            self.before,
            self.after,
            self.result,
            self.reason,
            self.previous,
        ]);
        let digest = Sha256::digest(content.to_string());
        digest.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// Who is kept out.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BanRule {
    Buyer(BuyerId),
    Cidr(IpNet),
    /// A request header with this exact value; the name is lower case.
    Header {
        name: String,
        value: String,
    },
}

#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Ban {
    pub id: u64,
    pub rule: BanRule,
    pub reason: Option<String>,
    pub at: UnixMillis,
}

/// Every ban, and a version that counts the changes of the list.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct BanList {
    pub version: Version,
    pub bans: Vec<Ban>,
}

impl BanList {
    /// Whether a buyer or the address of a join is banned.
    #[must_use]
    pub fn covers(&self, buyer: &BuyerId, address: Option<IpAddr>) -> bool {
        self.bans.iter().any(|ban| match &ban.rule {
            BanRule::Buyer(banned) => banned == buyer,
            BanRule::Cidr(net) => address.is_some_and(|address| net.contains(&address)),
            BanRule::Header { .. } => false,
        })
    }

    /// Whether a request with these headers is banned; `header` looks a value up by its lower-case name.
    #[must_use]
    pub fn covers_header<'a>(&self, header: impl Fn(&str) -> Option<&'a str>) -> bool {
        self.bans.iter().any(|ban| match &ban.rule {
            BanRule::Header { name, value } => header(name) == Some(value),
            BanRule::Buyer(_) | BanRule::Cidr(_) => false,
        })
    }
}

#[derive(Clone, Debug, PartialEq)]
pub enum Created {
    New(Arc<Sale>),
    /// A sale of that id exists; it was not changed.
    Exists(Arc<Sale>),
}

#[derive(Clone, Debug, PartialEq)]
pub enum Changed {
    Done(Arc<Sale>),
    NoSuchSale,
    /// The version that was asked for is not the present one.
    Stale {
        current: Version,
    },
    Refused(ChangeRefused),
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Deleted {
    Done,
    NoSuchSale,
    /// Entries that stand by or are without an outcome in the waiting or turn queue's journal, or orders that are not final,
    /// keep it.
    Busy {
        open_orders: u64,
    },
}

/// See the module.
#[async_trait]
pub trait SaleBook {
    async fn sales(&self) -> PortResult<Vec<Arc<Sale>>>;

    async fn sale(&self, sale: &SaleId) -> PortResult<Option<Arc<Sale>>>;

    /// Records a sale with its stock and one audit row (`sale.create`). `Exists` writes none: that is its caller's to do.
    async fn create_sale(&self, sale: Sale, author: &Author) -> PortResult<Created>;

    /// Applies one change as a compare-and-swap on the version (on `expected`, if given), adds stock to the balance if
    /// it does that, and writes one audit row with what was before and after. A refused change writes its row too, with
    /// the code of the problem (`out_of_range`, `sale_closed`, `no_such_sku`); `Stale` and `NoSuchSale` write none.
    async fn change_sale(
        &self,
        sale: &SaleId,
        expected: Option<Version>,
        change: SaleChange,
        author: &Author,
        reason: Option<String>,
    ) -> PortResult<Changed>;

    /// Removes a sale and all its rows but the audit log, if every order is final. The caller has made sure that every
    /// entry has an outcome. One audit row (`sale.delete`) with `Done`; the others write none.
    async fn delete_sale(
        &self,
        sale: &SaleId,
        author: &Author,
        reason: Option<String>,
    ) -> PortResult<Deleted>;

    /// Rows with an id below `before` (the newest, if `None`), newest first, at most `limit`.
    async fn audit(&self, before: Option<u64>, limit: u32) -> PortResult<Vec<AuditRow>>;

    async fn bans(&self) -> PortResult<BanList>;

    /// Adds a ban and an audit row (`ban.add`); a rule that is there already is returned as it is, without a row.
    async fn add_ban(
        &self,
        rule: BanRule,
        reason: Option<String>,
        author: &Author,
    ) -> PortResult<Ban>;

    /// Removes a ban with an audit row (`ban.remove`, its subject the id); `false`, without a row, if there was none. The
    /// row's reason is why it was removed; why it was made is in what was before.
    async fn remove_ban(
        &self,
        id: u64,
        author: &Author,
        reason: Option<String>,
    ) -> PortResult<bool>;

    /// Writes an audit row for something that is not a row of this book.
    async fn record(&self, audit: Audit) -> PortResult<()>;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row() -> AuditRow {
        AuditRow {
            id: 1,
            at: UnixMillis(1_700_000_000_000),
            author: Author { name: "ops".into(), address: None },
            verb: "sale.pause".into(),
            subject: "drop".into(),
            before: serde_json::json!({ "control": "running" }),
            after: serde_json::json!({ "control": "paused" }),
            result: "ok".into(),
            reason: None,
            previous: AuditRow::FIRST_PREVIOUS.into(),
            hash: String::new(),
        }
    }

    #[test]
    fn the_hash_covers_every_field_but_itself() {
        let hash = row().content_hash();
        assert_eq!(hash.len(), AuditRow::FIRST_PREVIOUS.len());
        assert_eq!(AuditRow { hash: "other".into(), ..row() }.content_hash(), hash);
        let changed = [
            AuditRow { id: 2, ..row() },
            AuditRow { at: UnixMillis(0), ..row() },
            AuditRow { author: Author { name: "eve".into(), address: None }, ..row() },
            AuditRow { verb: "sale.resume".into(), ..row() },
            AuditRow { subject: "other".into(), ..row() },
            AuditRow { before: serde_json::Value::Null, ..row() },
            AuditRow { after: serde_json::Value::Null, ..row() },
            AuditRow { result: "out_of_range".into(), ..row() },
            AuditRow { reason: Some("lunch".into()), ..row() },
            AuditRow { previous: hash.clone(), ..row() },
        ];
        assert!(changed.iter().all(|row| row.content_hash() != hash));
    }
}
