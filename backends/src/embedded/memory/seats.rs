//! The seats of one SKU as the gate counts them: who is on each leg of each seat. For a while a seat-leg may count twice,
//! when the ledger has given away what the gate has set aside for another; it is free once both are gone.

use std::collections::BTreeMap;

use sluice_core::{
    ids::SkuId,
    ports::SeatImage,
    seats::{SeatCounts, SeatMap, SeatNo, Stretch},
};

use super::stock::Counted;

/// How many holds and sales count on a seat-leg.
#[derive(Clone, Copy, Debug, Default)]
struct Takers {
    held: u16,
    sold: u16,
}

/// See the module.
#[derive(Debug)]
struct Taken {
    legs: u8,
    takers: Vec<Takers>,
    /// Sold legs of each seat.
    sold: SeatMap,
}

/// Every seated SKU of a sale.
#[derive(Debug, Default)]
pub(super) struct Seats {
    /// What is neither held nor sold; apart, because seats of several SKUs are chosen together.
    maps: BTreeMap<SkuId, SeatMap>,
    taken: BTreeMap<SkuId, Taken>,
}

impl Seats {
    pub(super) fn of_image(images: Vec<SeatImage>) -> Self {
        let mut seats = Self::default();
        for SeatImage { sku, seating, sold } in images {
            let legs = seating.legs();
            let map = SeatMap::with_busy(&seating, &sold);
            let on_leg =
                |busy: &u64, leg: u8| Takers { held: 0, sold: u16::from(busy >> leg & 1 == 1) };
            let takers =
                map.busy().iter().flat_map(|busy| (0..legs).map(move |leg| on_leg(busy, leg)));
            let taken = Taken { legs, takers: takers.collect(), sold: map.clone() };
            seats.taken.insert(sku.clone(), taken);
            seats.maps.insert(sku, map);
        }
        seats
    }

    /// The maps that seats are chosen from.
    pub(super) fn maps(&mut self) -> &mut BTreeMap<SkuId, SeatMap> {
        &mut self.maps
    }

    /// Moves a passenger between the columns.
    pub(super) fn count(
        &mut self,
        (sku, seat, stretch): (&SkuId, SeatNo, Stretch),
        from: Counted,
        to: Counted,
    ) {
        let (Some(map), Some(taken)) = (self.maps.get_mut(sku), self.taken.get_mut(sku)) else {
            return;
        };
        let first = usize::from(seat.0) * usize::from(taken.legs);
        for leg in stretch.from()..stretch.to().min(taken.legs) {
            let Some(takers) = taken.takers.get_mut(first + usize::from(leg)) else { return };
            match from {
                Counted::Nowhere => {}
                Counted::Held => takers.held = takers.held.saturating_sub(1),
                Counted::Sold => takers.sold = takers.sold.saturating_sub(1),
            }
            match to {
                Counted::Nowhere => {}
                Counted::Held => takers.held = takers.held.saturating_add(1),
                Counted::Sold => takers.sold = takers.sold.saturating_add(1),
            }
            let bit = 1 << leg;
            if takers.held > 0 || takers.sold > 0 {
                map.take(seat, bit)
            } else {
                map.free(seat, bit)
            }
            if takers.sold > 0 { taken.sold.take(seat, bit) } else { taken.sold.free(seat, bit) }
        }
    }

    /// Frees what counts as sold and is neither sold in an image of the ledger nor by a later word.
    pub(super) fn free_unsold<'a>(
        &mut self,
        SeatImage { sku, sold, .. }: &SeatImage,
        later: impl Iterator<Item = (&'a SkuId, SeatNo, Stretch)>,
    ) {
        let (Some(map), Some(taken)) = (self.maps.get_mut(sku), self.taken.get_mut(sku)) else {
            return;
        };
        let mut sold = sold.clone();
        for (_, seat, stretch) in later.filter(|(other, ..)| *other == sku) {
            if let Some(legs) = sold.get_mut(usize::from(seat.0)) {
                *legs |= stretch.mask();
            }
        }
        let legs = taken.legs;
        for (seat, (sold, takers)) in
            (0_u16..).zip(sold.iter().zip(taken.takers.chunks_mut(usize::from(legs))))
        {
            for (leg, takers) in (0..legs).zip(takers) {
                if takers.sold > 0 && sold >> leg & 1 == 0 {
                    takers.sold = 0;
                    taken.sold.free(SeatNo(seat), 1 << leg);
                    if takers.held == 0 {
                        map.free(SeatNo(seat), 1 << leg);
                    }
                }
            }
        }
    }

    /// How many seats of a SKU are free over each stretch, and how many are not sold.
    pub(super) fn counts(&self, sku: &SkuId) -> Option<(SeatCounts, SeatCounts)> {
        Some((self.maps.get(sku)?.counts(), self.taken.get(sku)?.sold.counts()))
    }
}
