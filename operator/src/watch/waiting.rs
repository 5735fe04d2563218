//! How many wait in a line, of what its speaker has reported and of what the line itself counts.

use sluice_core::{ports::LineSnapshot, view::Reading};

/// Entries that wait, parked ones included; `None` where nobody can say. Only the speaker counts the parked, and only the line knows
/// who came since the report; what was reported long ago counts where the line says nothing.
pub(crate) fn waiting(reading: Option<&Reading>, line: Option<&LineSnapshot>) -> Option<u64> {
    let reported = reading.and_then(Reading::report).map(|report| report.waiting);
    let counted = line.map(|line| line.cursor.waiting(line.last));
    let stale = reading.is_some_and(Reading::is_stale);
    match (reported, counted) {
        (Some(reported), Some(counted)) if !stale => Some(reported.max(counted)),
        (reported, counted) => counted.or(reported),
    }
}
