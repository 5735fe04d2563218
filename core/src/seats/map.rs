//! The seat map: who sits where, and who is given what. The stock gate in Redis chooses by the same rules in its script; the
//! suite that both gates pass compares them seat by seat.

use std::{cmp::Reverse, collections::BTreeMap};

use super::{SeatCounts, SeatNo, Seating, Stretch};
use crate::{
    basket::{Basket, Item},
    ids::SkuId,
};

/// The seats of one SKU, each a bitmask of its busy legs.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SeatMap {
    legs: u8,
    /// Whether a seat is the neighbour of the one before it.
    beside: Vec<bool>,
    busy: Vec<u64>,
}

impl SeatMap {
    /// Every seat free.
    #[must_use]
    pub fn new(seating: &Seating) -> Self {
        let beside: Vec<bool> = seating.beside().collect();
        Self { legs: seating.legs(), busy: vec![0; beside.len()], beside }
    }

    /// With these busy legs, seat by seat; seats that are not named are free.
    #[must_use]
    pub fn with_busy(seating: &Seating, busy: &[u64]) -> Self {
        let mut map = Self::new(seating);
        for (seat, busy) in map.busy.iter_mut().zip(busy) {
            *seat = *busy;
        }
        map
    }

    #[must_use]
    pub fn is_free(&self, seat: SeatNo, stretch: Stretch) -> bool {
        stretch.to() <= self.legs
            && self.busy.get(usize::from(seat.0)).is_some_and(|busy| busy & stretch.mask() == 0)
    }

    /// Marks legs of a seat as busy. A seat that is not there is ignored.
    pub fn take(&mut self, seat: SeatNo, legs: u64) {
        if let Some(busy) = self.busy.get_mut(usize::from(seat.0)) {
            *busy |= legs;
        }
    }

    /// Marks legs of a seat as free.
    pub fn free(&mut self, seat: SeatNo, legs: u64) {
        if let Some(busy) = self.busy.get_mut(usize::from(seat.0)) {
            *busy &= !legs;
        }
    }

    /// The busy legs, seat by seat.
    #[must_use]
    pub fn busy(&self) -> &[u64] {
        &self.busy
    }

    /// Seats for a party, all or none, each free over the whole stretch. One passenger gets the seat that leaves the
    /// smallest gap: the fewest free legs next to the stretch. A party sits side by side if it can, where the gaps are
    /// smallest together; else each gets the next best seat. The first in the list wins a tie.
    #[must_use]
    pub fn choose(&self, stretch: Stretch, passengers: u32) -> Option<Vec<SeatNo>> {
        let party = usize::try_from(passengers).ok().filter(|party| *party > 0)?;
        let gaps: Vec<Option<u32>> =
            self.busy.iter().map(|busy| self.gap(*busy, stretch)).collect();
        if let Some(first) = self.together(&gaps, party) {
            return Some((first..first + party).map(seat_no).collect());
        }
        let mut free: Vec<(u32, usize)> =
            gaps.iter().enumerate().filter_map(|(seat, gap)| Some(((*gap)?, seat))).collect();
        if free.len() < party {
            return None;
        }
        free.sort_unstable();
        Some(free.into_iter().take(party).map(|(_, seat)| seat_no(seat)).collect())
    }

    /// How many seats are free over each stretch.
    #[must_use]
    pub fn counts(&self) -> SeatCounts {
        let gaps = self.busy.iter().flat_map(|busy| gaps_of(*busy, self.legs));
        SeatCounts::from_gaps(self.legs, gaps.map(|gap| (gap, 1)))
    }

    /// Free legs next to the stretch, if it is free itself.
    fn gap(&self, busy: u64, stretch: Stretch) -> Option<u32> {
        if busy & stretch.mask() != 0 || stretch.to() > self.legs {
            return None;
        }
        let (from, to) = (u32::from(stretch.from()), u32::from(stretch.to()));
        let below = busy & ((1_u64 << from) - 1);
        let left = from - (u64::BITS - below.leading_zeros());
        let above = busy.checked_shr(to).unwrap_or_default();
        let right = above.trailing_zeros().min(u32::from(self.legs) - to);
        Some(left + right)
    }

    /// The first of so many neighbours who are all free, where their gaps are smallest together.
    fn together(&self, gaps: &[Option<u32>], party: usize) -> Option<usize> {
        let mut best: Option<(u32, usize)> = None;
        let (mut run, mut sum) = (0, 0);
        for (seat, gap) in gaps.iter().enumerate() {
            let Some(gap) = *gap else {
                (run, sum) = (0, 0);
                continue;
            };
            if !self.beside.get(seat).copied().unwrap_or_default() {
                (run, sum) = (0, 0);
            }
            (run, sum) = (run + 1, sum + gap);
            if run > party {
                sum -= gaps.get(seat - party).copied().flatten().unwrap_or_default();
                run = party;
            }
            let first = seat + 1 - run;
            if run == party && best.is_none_or(|best| (sum, first) < best) {
                best = Some((sum, first));
            }
        }
        best.map(|(_, first)| first)
    }
}

impl Basket {
    /// This basket with a seat for every passenger of its seated lines, or `None` if not all can be had. Longer stretches
    /// choose first, because they have less choice; among equal ones, the order of the basket. The maps are as they were
    /// when this returns. A seated line whose SKU has no map gets nothing.
    #[must_use]
    pub fn seated(&self, maps: &mut BTreeMap<SkuId, SeatMap>) -> Option<Self> {
        let mut items = self.items().to_vec();
        let mut lines: Vec<(Stretch, &mut Item)> =
            items.iter_mut().filter_map(|item| Some((item.stretch?, item))).collect();
        lines.sort_by_key(|(stretch, _)| Reverse(stretch.legs()));
        let mut all = true;
        for (stretch, item) in &mut lines {
            let Some(map) = maps.get_mut(&item.sku) else {
                all = false;
                break;
            };
            let Some(seats) = map.choose(*stretch, item.quantity) else {
                all = false;
                break;
            };
            seats.iter().for_each(|seat| map.take(*seat, stretch.mask()));
            item.seats = seats;
        }
        for (stretch, item) in lines {
            if let Some(map) = maps.get_mut(&item.sku) {
                item.seats.iter().for_each(|seat| map.free(*seat, stretch.mask()));
            }
        }
        if all { Self::new(items).ok() } else { None }
    }
}

fn seat_no(place: usize) -> SeatNo {
    SeatNo(u16::try_from(place).unwrap_or(u16::MAX))
}

/// The stretches over which a seat is free, each as wide as it goes.
fn gaps_of(busy: u64, legs: u8) -> impl Iterator<Item = Stretch> {
    let mut leg = 0;
    std::iter::from_fn(move || {
        let is_free = |leg: u8| busy & (1_u64 << leg) == 0;
        while leg < legs && !is_free(leg) {
            leg += 1;
        }
        let from = leg;
        while leg < legs && is_free(leg) {
            leg += 1;
        }
        Stretch::new(from, leg)
    })
}

#[cfg(test)]
mod tests;
