//! How many seats are free over each stretch: what can be told of a seat map in a few hundred numbers. A booking takes one
//! seat, so it lowers each of these numbers by one at most, and only those of stretches it overlaps.

use super::{LEGS_MAX, Stretch};

/// See the module.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SeatCounts {
    legs: u8,
    /// By first leg, then by last.
    counts: Vec<u32>,
}

impl SeatCounts {
    /// From how many seats are free over each stretch and on neither side of it. Stretches beyond `legs` are left out.
    #[must_use]
    pub fn from_gaps(legs: u8, gaps: impl IntoIterator<Item = (Stretch, u32)>) -> Self {
        let legs = legs.clamp(1, LEGS_MAX);
        let mut all = Self { legs, counts: vec![0; usize::from(legs) * usize::from(legs)] };
        for (gap, seats) in gaps {
            if let Some(count) = all.place(gap.from(), gap.to()).and_then(|n| all.counts.get_mut(n))
            {
                *count += seats;
            }
        }
        // A seat is free over a stretch if one of its gaps reaches over both ends of it.
        for from in 0..legs {
            for to in (from + 1..=legs).rev() {
                let earlier = from.checked_sub(1);
                let wider = earlier.map_or(0, |from| all.at(from, to)) + all.at(from, to + 1);
                let both = earlier.map_or(0, |from| all.at(from, to + 1));
                if let Some(count) = all.place(from, to).and_then(|n| all.counts.get_mut(n)) {
                    *count += wider - both;
                }
            }
        }
        all
    }

    #[must_use]
    pub fn legs(&self) -> u8 {
        self.legs
    }

    /// Seats that are free over the whole stretch; 0 for one that is not of this SKU.
    #[must_use]
    pub fn over(&self, stretch: Stretch) -> u32 {
        self.at(stretch.from(), stretch.to())
    }

    /// Free seats on each leg: to be shown, not to be trusted.
    #[must_use]
    pub fn per_leg(&self) -> Vec<u32> {
        (0..self.legs).map(|leg| self.at(leg, leg + 1)).collect()
    }

    fn at(&self, from: u8, to: u8) -> u32 {
        self.place(from, to).and_then(|n| self.counts.get(n)).copied().unwrap_or_default()
    }

    fn place(&self, from: u8, to: u8) -> Option<usize> {
        let fits = from < to && to <= self.legs;
        fits.then(|| usize::from(from) * usize::from(self.legs) + usize::from(to) - 1)
    }
}
