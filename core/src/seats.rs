//! Seats and legs: what a seated SKU consists of, and which seats a party is given. Pure.
//!
//! A train with stops `0..=n` has legs `0..n`; leg `i` runs from stop `i` to stop `i + 1`. Whoever travels from stop `a` to
//! stop `b` needs one seat that is free on every leg of `a..b`. So a seat is a bitmask of legs, and counters per leg or per
//! pair of stops may be shown but decide nothing: they say yes where no single seat is free from end to end.

use serde::{Deserialize, Serialize};

use crate::{ids::SeatLabel, policy::OutOfRange};

mod counts;
mod map;

pub use counts::SeatCounts;
pub use map::SeatMap;

/// Most legs of a seated SKU: a seat is 64 bits.
pub const LEGS_MAX: u8 = 64;
/// Most stops: one more than legs.
pub const STOPS_MAX: usize = LEGS_MAX as usize + 1;
/// Most seats of one SKU.
pub const SEATS_MAX: usize = 5_000;
/// Longest name of a stop, in characters.
pub const STOP_CHARS_MAX: usize = 64;

/// The legs `from..to`: from stop `from` to stop `to`. Never empty, at most [`LEGS_MAX`].
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Stretch {
    from: u8,
    to: u8,
}

impl Stretch {
    /// `None` unless `from < to` and `to` is at most [`LEGS_MAX`].
    #[must_use]
    pub fn new(from: u8, to: u8) -> Option<Self> {
        (from < to && to <= LEGS_MAX).then_some(Self { from, to })
    }

    #[must_use]
    pub fn from(self) -> u8 {
        self.from
    }

    #[must_use]
    pub fn to(self) -> u8 {
        self.to
    }

    /// How many legs; at least 1.
    #[must_use]
    pub fn legs(self) -> u32 {
        u32::from(self.to - self.from)
    }

    /// A bit for each leg.
    #[must_use]
    pub fn mask(self) -> u64 {
        (u64::MAX >> (64 - self.legs())) << self.from
    }

    #[must_use]
    pub fn overlaps(self, other: Self) -> bool {
        self.from < other.to && other.from < self.to
    }
}

/// A seat by its place in its SKU's list of seats, from 0. The list never changes while the sale lives.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SeatNo(pub u16);

/// A seat as an order names it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Seat {
    pub no: SeatNo,
    pub label: SeatLabel,
}

/// The seats of a SKU and the stops it calls at. Fixed when the sale is made.
///
/// Two seats are neighbours when they follow each other in the list and stand in one row. The row is what a label says
/// before its last run of digits or of other characters: `01A` and `01B` stand in row `01`, `16-03F` in row `16-03`, `K7` in
/// row `K`; a label that is one run, such as `101`, names no row and has no neighbours.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Seating {
    seats: Vec<SeatLabel>,
    stops: Vec<String>,
}

impl Seating {
    /// Checks the limits and that no label comes twice.
    pub fn new(seats: Vec<SeatLabel>, stops: Vec<String>) -> Result<Self, OutOfRange> {
        if !(2..=STOPS_MAX).contains(&stops.len()) {
            let rule = format!("must name 2 to {STOPS_MAX} stops, from the first to the last");
            return Err(OutOfRange::new("skus.stops", rule));
        }
        let fits = |stop: &String| (1..=STOP_CHARS_MAX).contains(&stop.chars().count());
        if !stops.iter().all(fits) {
            let rule = format!("must be names of 1 to {STOP_CHARS_MAX} characters");
            return Err(OutOfRange::new("skus.stops", rule));
        }
        if !(1..=SEATS_MAX).contains(&seats.len()) {
            return Err(OutOfRange::new("skus.seats", format!("must name 1 to {SEATS_MAX} seats")));
        }
        let mut sorted: Vec<&SeatLabel> = seats.iter().collect();
        sorted.sort_unstable();
        if let Some(twice) = sorted.windows(2).find(|pair| pair[0] == pair[1]) {
            let rule = format!("must name each seat once: `{}` comes twice", twice[0]);
            return Err(OutOfRange::new("skus.seats", rule));
        }
        Ok(Self { seats, stops })
    }

    #[must_use]
    pub fn seats(&self) -> &[SeatLabel] {
        &self.seats
    }

    #[must_use]
    pub fn stops(&self) -> &[String] {
        &self.stops
    }

    /// 1 to [`LEGS_MAX`].
    #[must_use]
    pub fn legs(&self) -> u8 {
        u8::try_from(self.stops.len().saturating_sub(1)).unwrap_or(LEGS_MAX).clamp(1, LEGS_MAX)
    }

    /// Seats times legs: the stock of the SKU.
    #[must_use]
    pub fn seat_legs(&self) -> u64 {
        self.seats.len() as u64 * u64::from(self.legs())
    }

    #[must_use]
    pub fn label(&self, seat: SeatNo) -> Option<&SeatLabel> {
        self.seats.get(usize::from(seat.0))
    }

    /// For each seat, whether it is the neighbour of the one before it in the list.
    pub fn beside(&self) -> impl Iterator<Item = bool> {
        let mut before = "";
        self.seats.iter().map(move |label| {
            let row = row(label.as_str());
            let beside = !row.is_empty() && row == before;
            before = row;
            beside
        })
    }
}

/// What a label says before its last run of digits or of other characters.
fn row(label: &str) -> &str {
    let Some(last) = label.chars().next_back() else { return "" };
    let same = |c: char| c.is_ascii_digit() == last.is_ascii_digit();
    label.trim_end_matches(same)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(texts: &[&str]) -> Vec<SeatLabel> {
        texts.iter().map(|text| SeatLabel::new(text).unwrap()).collect()
    }

    fn stops(count: usize) -> Vec<String> {
        (0..count).map(|n| format!("stop {n}")).collect()
    }

    #[test]
    fn a_stretch_is_a_mask_of_its_legs() {
        let stretch = |from, to| Stretch::new(from, to).unwrap();
        assert_eq!(stretch(2, 5).mask(), 0b11100);
        assert_eq!(stretch(0, 64).mask(), u64::MAX);
        assert_eq!(stretch(63, 64).mask(), 1 << 63);
        assert_eq!(stretch(2, 5).legs(), 3);
        for (from, to) in [(5, 5), (5, 2), (0, 65), (64, 65)] {
            assert_eq!(Stretch::new(from, to), None, "{from}..{to}");
        }
        assert!(stretch(0, 2).overlaps(stretch(1, 3)));
        assert!(!stretch(0, 2).overlaps(stretch(2, 3)));
    }

    #[test]
    fn neighbours_follow_each_other_in_one_row() {
        let beside = |texts: &[&str]| {
            let seating = Seating::new(labels(texts), stops(2)).unwrap();
            seating.beside().collect::<Vec<bool>>()
        };
        assert_eq!(beside(&["01A", "01B", "02A", "02B"]), [false, true, false, true]);
        assert_eq!(beside(&["16-03F", "16-03G", "16-04A"]), [false, true, false]);
        assert_eq!(beside(&["K7", "K8", "L1"]), [false, true, false]);
        assert_eq!(beside(&["101", "102"]), [false, false], "labels without a row");
        assert_eq!(beside(&["01A", "02A", "01B"]), [false, false, false], "apart in the list");
    }

    #[test]
    fn seats_and_stops_have_limits() {
        let field = |seats: &[&str], stops: Vec<String>| {
            Seating::new(labels(seats), stops).unwrap_err().field
        };
        assert_eq!(field(&["01A"], stops(1)), "skus.stops");
        assert_eq!(field(&["01A"], stops(STOPS_MAX + 1)), "skus.stops");
        assert_eq!(field(&["01A"], vec!["a".into(), String::new()]), "skus.stops");
        assert_eq!(field(&[], stops(2)), "skus.seats");
        assert_eq!(field(&["01A", "01B", "01A"], stops(2)), "skus.seats");
        let many = (0..=SEATS_MAX).map(|n| SeatLabel::new(&n.to_string()).unwrap()).collect();
        assert_eq!(Seating::new(many, stops(2)).unwrap_err().field, "skus.seats");
        let most = Seating::new(labels(&["01A", "01B"]), stops(STOPS_MAX)).unwrap();
        assert_eq!((most.legs(), most.seat_legs()), (64, 128));
    }
}
