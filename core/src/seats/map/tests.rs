//! The seat map against an oracle that knows nothing of bits: a table of who sits where, leg by leg.

use proptest::prelude::*;

use super::*;
use crate::{ids::SeatLabel, random::Random};

fn stretch(from: u8, to: u8) -> Stretch {
    Stretch::new(from, to).unwrap()
}

/// Rows of `wide` seats: 01A, 01B, … 02A, …
fn train(rows: usize, wide: u8, legs: u8) -> SeatMap {
    let label = |n: usize| {
        let (row, seat) = (n / usize::from(wide) + 1, n % usize::from(wide));
        let letter = char::from(b'A' + u8::try_from(seat).unwrap());
        SeatLabel::new(&format!("{row:02}{letter}")).unwrap()
    };
    let seats = (0..rows * usize::from(wide)).map(label).collect();
    let stops = (0..=legs).map(|n| format!("stop {n}")).collect();
    SeatMap::new(&Seating::new(seats, stops).unwrap())
}

fn take(map: &mut SeatMap, from: u8, to: u8, passengers: u32) -> Option<Vec<u16>> {
    let seats = map.choose(stretch(from, to), passengers)?;
    seats.iter().for_each(|seat| map.take(*seat, stretch(from, to).mask()));
    Some(seats.iter().map(|seat| seat.0).collect())
}

#[test]
fn the_seat_with_the_smallest_gap_is_chosen() {
    let mut map = train(1, 3, 10);
    assert_eq!(take(&mut map, 0, 4, 1), Some(vec![0]));
    assert_eq!(take(&mut map, 7, 10, 1), Some(vec![0]), "what is left of the first seat");
    assert_eq!(take(&mut map, 0, 5, 1), Some(vec![1]));
    assert_eq!(take(&mut map, 5, 7, 1), Some(vec![0]), "a gap of one leg, not of three");
    assert_eq!(take(&mut map, 5, 10, 1), Some(vec![1]), "an exact fit");
    assert_eq!(take(&mut map, 0, 10, 1), Some(vec![2]));
    assert_eq!(take(&mut map, 4, 6, 1), None, "free on each leg, but on no seat");
    assert_eq!(map.counts().per_leg(), [0, 0, 0, 0, 1, 0, 0, 0, 0, 0]);
}

#[test]
fn a_party_sits_side_by_side_if_it_can_and_apart_if_it_must() {
    let mut map = train(2, 3, 4);
    assert_eq!(take(&mut map, 0, 4, 2), Some(vec![0, 1]));
    assert_eq!(take(&mut map, 0, 4, 2), Some(vec![3, 4]), "not across two rows");
    assert_eq!(take(&mut map, 0, 4, 2), Some(vec![2, 5]), "apart rather than not at all");
    let mut map = train(2, 3, 4);
    assert_eq!(take(&mut map, 0, 4, 1), Some(vec![0]));
    assert_eq!(take(&mut map, 0, 4, 6), None, "all or nobody");
    assert_eq!(take(&mut map, 0, 4, 3), Some(vec![3, 4, 5]));
    assert_eq!(take(&mut map, 0, 4, 3), None);
    assert_eq!(take(&mut map, 0, 4, 0), None, "nobody needs no seat");
}

#[test]
fn neighbours_with_the_smallest_gaps_win() {
    let mut map = train(2, 2, 6);
    for seat in [2, 3] {
        map.take(SeatNo(seat), stretch(0, 3).mask());
    }
    assert_eq!(take(&mut map, 3, 6, 2), Some(vec![2, 3]));
}

#[test]
fn all_64_legs_are_of_use() {
    let mut map = train(1, 1, 64);
    assert_eq!(take(&mut map, 63, 64, 1), Some(vec![0]));
    assert_eq!(take(&mut map, 0, 63, 1), Some(vec![0]));
    assert_eq!(map.busy(), [u64::MAX]);
    assert_eq!(take(&mut map, 0, 1, 1), None);
}

#[test]
fn the_longest_line_of_a_basket_chooses_first() {
    let sku = SkuId::new("t").unwrap();
    let mut map = train(1, 2, 5);
    map.take(SeatNo(0), stretch(2, 5).mask());
    map.take(SeatNo(1), stretch(0, 1).mask());
    let mut maps = BTreeMap::from([(sku.clone(), map)]);
    let before = maps.clone();
    let line = |from, to| Item::seated(sku.clone(), 1, stretch(from, to));
    let seats = |lines: Vec<Item>, maps: &mut BTreeMap<SkuId, SeatMap>| {
        let seated = Basket::new(lines).unwrap().seated(maps)?;
        Some(seated.passengers().map(|(_, seat, _)| seat.0).collect::<Vec<u16>>())
    };
    // The short one alone would take the first seat, where the gap is smaller, and the long one would find none.
    assert_eq!(seats(vec![line(1, 2)], &mut maps), Some(vec![0]));
    assert_eq!(seats(vec![line(1, 2), line(0, 2)], &mut maps), Some(vec![0, 1]));
    assert_eq!(seats(vec![line(0, 2), line(0, 1)], &mut maps), None, "all or nothing");
    assert_eq!(maps, before, "choosing takes nothing");
}

/// Who sits on each leg of each seat.
struct Table(Vec<Vec<Option<usize>>>);

impl Table {
    fn is_free(&self, seat: usize, stretch: Stretch) -> bool {
        (stretch.from()..stretch.to()).all(|leg| self.0[seat][usize::from(leg)].is_none())
    }

    fn free_seats(&self, stretch: Stretch) -> usize {
        (0..self.0.len()).filter(|seat| self.is_free(*seat, stretch)).count()
    }

    /// Free legs that would be left next to the stretch.
    fn gap(&self, seat: usize, stretch: Stretch) -> usize {
        let is_free = |leg: &usize| self.0[seat][*leg].is_none();
        let left = (0..usize::from(stretch.from())).rev().take_while(is_free).count();
        let right = (usize::from(stretch.to())..self.0[seat].len()).take_while(is_free).count();
        left + right
    }
}

/// 2,000 requests with cancellations on a small train.
fn walk(seed: u64, legs: u8, cancelled_percent: u64) {
    let (rows, wide) = (5, 4);
    let random = Random::seeded(seed);
    let draw = |below: u64| random.below(below);
    let mut map = train(rows, wide, legs);
    let mut table = Table(vec![vec![None; usize::from(legs)]; rows * usize::from(wide)]);
    let mut bookings: Vec<(usize, Stretch, Vec<SeatNo>)> = Vec::new();
    let mut refused = 0;
    for id in 0..2_000 {
        if !bookings.is_empty() && draw(100) < cancelled_percent {
            let place = usize::try_from(draw(bookings.len() as u64)).unwrap();
            let (_, stretch, seats) = bookings.swap_remove(place);
            for seat in seats {
                map.free(seat, stretch.mask());
                let owner = &mut table.0[usize::from(seat.0)];
                owner[usize::from(stretch.from())..usize::from(stretch.to())].fill(None);
            }
        }
        let from = u8::try_from(draw(legs.into())).unwrap();
        let to = from + 1 + u8::try_from(draw(u64::from(legs - from))).unwrap();
        let (wish, party) = (stretch(from, to), 1 + u32::try_from(draw(8)).unwrap() / 5);
        let free = table.free_seats(wish);
        let Some(seats) = map.choose(wish, party) else {
            assert!(free < party as usize, "refused while {free} seats are free for {party}");
            refused += 1;
            continue;
        };
        assert_eq!(seats.len(), party as usize);
        if let [seat] = seats[..] {
            let best = (0..table.0.len()).filter(|seat| table.is_free(*seat, wish));
            let best = best.min_by_key(|seat| (table.gap(*seat, wish), *seat));
            assert_eq!(Some(usize::from(seat.0)), best, "the best fit");
        }
        for seat in &seats {
            for leg in wish.from()..wish.to() {
                let owner = &mut table.0[usize::from(seat.0)][usize::from(leg)];
                assert_eq!(*owner, None, "seat {seat:?} is owned twice on leg {leg}");
                *owner = Some(id);
            }
            map.take(*seat, wish.mask());
        }
        bookings.push((id, wish, seats));
        if id % 100 == 0 {
            let counts = map.counts();
            for (from, to) in (0..legs).flat_map(|from| (from + 1..=legs).map(move |to| (from, to)))
            {
                let (stretch, free) = (stretch(from, to), counts.over(stretch(from, to)));
                assert_eq!(free as usize, table.free_seats(stretch), "{from}..{to}");
            }
        }
    }
    assert!(refused > 100, "the train was never full: nothing was tested");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// no-oversell, for seats: none is given twice on a leg, and nobody is refused while there is one for the whole stretch.
    #[test]
    fn no_seat_leg_twice_and_nobody_refused_while_a_seat_is_free(
        seed in any::<u64>(),
        legs in 1_u8..=64,
        cancelled_percent in 10_u64..70,
    ) {
        walk(seed, legs, cancelled_percent);
    }
}
