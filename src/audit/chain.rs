//! Whether the rows of the audit log are as they were written. Each row carries the SHA-256 of its own content and of the
//! row before it (`AuditRow::content_hash`), so a row that was changed, put in or taken out shows: in itself, or in the next.
//!
//! What the rows that were read cannot show: rows taken off the newest end, and rows older than the oldest that was read.

use serde::Serialize;
use sluice_core::ports::AuditRow;

/// What is wrong with one row.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub(super) struct Fault {
    pub(super) id: u64,
    pub(super) what: String,
}

/// Rows that were read, newest first, and what of them does not hold.
#[derive(Clone, Debug, Default)]
pub(super) struct Chain {
    newest: Option<u64>,
    /// The last row that was read.
    oldest: Option<Link>,
    faults: Vec<Fault>,
}

/// What a row says of the one before it.
#[derive(Clone, Debug)]
struct Link {
    id: u64,
    previous: String,
}

impl Chain {
    /// Takes the next older row.
    pub(super) fn take(&mut self, row: &AuditRow) {
        if row.hash != row.content_hash() {
            self.fault(row.id, "it is not as it was written: its hash belongs to other content");
        }
        match self.oldest.take() {
            None => self.newest = Some(row.id),
            Some(newer) if newer.id.checked_sub(1) != Some(row.id) => {
                let what = format!(
                    "the row before it should be {}, and is {}",
                    newer.id.saturating_sub(1),
                    row.id
                );
                self.fault(newer.id, what);
            }
            Some(newer) if newer.previous != row.hash => {
                self.fault(
                    newer.id,
                    format!(
                        "it does not follow row {}: that one was another when it was written",
                        row.id
                    ),
                );
            }
            Some(_) => {}
        }
        if row.id == 1 && row.previous != AuditRow::FIRST_PREVIOUS {
            self.fault(row.id, "it is the first, and says that there was one before");
        }
        self.oldest = Some(Link { id: row.id, previous: row.previous.clone() });
    }

    fn fault(&mut self, id: u64, what: impl Into<String>) {
        self.faults.push(Fault { id, what: what.into() });
    }

    pub(super) fn faults(&self) -> &[Fault] {
        &self.faults
    }

    pub(super) fn holds(&self) -> bool {
        self.faults.is_empty()
    }

    /// The oldest and the newest row that was read.
    pub(super) fn range(&self) -> Option<(u64, u64)> {
        Some((self.oldest.as_ref()?.id, self.newest?))
    }
}

#[cfg(test)]
pub(super) mod tests {
    use serde_json::json;
    use sluice_core::{clock::UnixMillis, ports::Author};

    use super::*;

    /// A sound log of so many rows, newest first.
    pub(in crate::audit) fn log(count: u64) -> Vec<AuditRow> {
        let mut rows: Vec<AuditRow> = Vec::new();
        for id in 1..=count {
            let previous = rows
                .last()
                .map_or_else(|| AuditRow::FIRST_PREVIOUS.to_owned(), |row| row.hash.clone());
            let mut row = AuditRow {
                id,
                at: UnixMillis(1_800_000_000_000),
                author: Author { name: "ops".into(), address: None },
                verb: "sale.policy".into(),
                subject: "drop".into(),
                before: json!({ "fraction": 0.02, "policy": { "line_cap": id } }),
                after: json!({ "fraction": 0.05, "policy": { "line_cap": id + 1 } }),
                result: "ok".into(),
                reason: Some("busy".into()),
                previous,
                hash: String::new(),
            };
            row.hash = row.content_hash();
            rows.push(row);
        }
        rows.reverse();
        rows
    }

    /// A slider gives numbers of seventeen digits: on their way through JSON they must stay what the hash was made of.
    #[test]
    fn a_number_that_was_written_is_read_as_it_was() {
        for fraction in [0.115_976_557_052_587_47, 0.350_000_000_000_000_03, 0.1 + 0.2] {
            let mut row = log(1).remove(0);
            row.after = json!({ "fraction": fraction });
            row.hash = row.content_hash();
            let told = serde_json::to_string(&row).unwrap();
            assert!(faulty(&[serde_json::from_str(&told).unwrap()]).is_empty(), "{told}");
        }
    }

    fn faulty(rows: &[AuditRow]) -> Vec<u64> {
        let mut chain = Chain::default();
        rows.iter().for_each(|row| chain.take(row));
        assert_eq!(chain.holds(), chain.faults().is_empty());
        chain.faults().iter().map(|fault| fault.id).collect()
    }

    #[test]
    fn a_sound_log_holds_in_whole_and_in_part() {
        let log = log(9);
        assert!(faulty(&log).is_empty());
        assert!(faulty(&log[2..5]).is_empty());
        assert!(faulty(&[]).is_empty());
    }

    #[test]
    fn what_was_changed_put_in_or_taken_out_shows() {
        let mut changed = log(5);
        changed[2].reason = None;
        assert_eq!(faulty(&changed), [3]);
        // Whoever hashes it anew breaks the link of the next.
        changed[2].hash = changed[2].content_hash();
        assert_eq!(faulty(&changed), [4]);

        let mut gone = log(5);
        gone.remove(2);
        assert_eq!(faulty(&gone), [4]);

        let mut beheaded = log(5);
        beheaded.pop();
        for row in &mut beheaded {
            row.id -= 1;
            row.hash = row.content_hash();
        }
        assert!(faulty(&beheaded).contains(&1), "the first of the rest has one before it");

        let mut swapped = log(5);
        swapped.swap(1, 2);
        assert!(!faulty(&swapped).is_empty());
    }
}
