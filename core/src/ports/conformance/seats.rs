//! Rules of the stock gate's seats: chosen as the core chooses, given to nobody twice, told again to whoever asks again, and
//! in the end where the ledger has them.

#![expect(clippy::unwrap_used, reason = "test code that lives behind a feature")]

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{House, gate::reserve, samples::*};
use crate::{
    basket::{Basket, Item},
    ids::{Epoch, HoldId, SaleId},
    ports::{
        GateImage, HeldStock, HoldPhase, HoldUpdate, Reserved, Restock, SeatImage, SeatLevel,
        SeatsSold, StockGate, Want,
    },
    random::Random,
    seats::{SeatMap, SeatNo, Seating, Stretch},
};

#[macro_export]
macro_rules! seats_conformance {
    ($open:path) => {
        $crate::conformance_rules!(
            $open,
            seats:
            seats_are_chosen_as_the_core_chooses,
            demands_of_one_call_get_different_seats,
            a_repeat_is_answered_with_the_same_seats,
            what_is_given_back_can_be_chosen_again,
            sold_seats_are_gone_and_held_ones_may_come_back,
            the_ledgers_seats_are_taken_in,
            seats_that_came_back_are_chosen_again,
            the_ledgers_word_takes_a_seat_that_the_gate_gave_to_another,
            counted_goods_and_seats_are_held_together_or_not_at_all,
            words_and_rebuilds_in_any_order_come_to_the_ledgers_seats,
        );
    };
}

type Port = Arc<dyn StockGate>;

fn image(seating: &Arc<Seating>) -> GateImage {
    let sold = vec![0; seating.seats().len()];
    let seats = vec![SeatImage { sku: sku("t"), seating: Arc::clone(seating), sold }];
    let skus = vec![(sku("t"), seating.seat_legs(), 0), (sku("a"), 3, 0)];
    GateImage { skus, seats, ..GateImage::default() }
}

/// The sale `drop` with a train `t` of so many rows of three seats, and three units of `a`.
async fn opened(gate: &dyn StockGate, rows: usize, legs: u8) -> (SaleId, Arc<Seating>) {
    let seating = train(rows, 3, legs);
    gate.rebuild(&drop_sale(), Epoch(1), image(&seating)).await.unwrap();
    (drop_sale(), seating)
}

fn demand(items: Vec<Item>) -> Want {
    let mut entry = entry(1, "ada");
    entry.basket = Basket::new(items).unwrap();
    Want { hold: HoldId::of_entry(entry.entry, 0), entry: entry.entry, basket: entry.basket }
}

fn ride(passengers: u32, from: u8, to: u8) -> Want {
    demand(vec![seated_item("t", passengers, from, to)])
}

fn word(hold: HoldId, movement: u64, phase: HoldPhase, basket: &Basket) -> [HoldUpdate; 1] {
    [HoldUpdate { hold, movement, phase, basket: basket.clone() }]
}

fn seated(reply: &Reserved) -> &Basket {
    match reply {
        Reserved::Seated(basket) => basket,
        Reserved::Held | Reserved::Short | Reserved::Over => panic!("seats were due: {reply:?}"),
    }
}

fn numbers(basket: &Basket) -> Vec<u16> {
    basket.passengers().map(|(_, seat, _)| seat.0).collect()
}

async fn level(gate: &dyn StockGate, sale: &SaleId) -> (u64, u64, SeatLevel) {
    let levels = gate.levels(sale).await.unwrap();
    let level = levels.into_iter().find(|level| level.sku == sku("t")).unwrap();
    (level.available, level.held, level.seats.unwrap())
}

/// A walk of demands and releases, a few demands to a call, beside the core's own map.
pub async fn seats_are_chosen_as_the_core_chooses(house: impl House<Port = Port>) {
    let gate = house.port();
    for (seed, legs) in [(1, 1), (2, 7), (3, 30), (4, 64)] {
        let random = Random::seeded(seed);
        let draw = |below: u8| u8::try_from(random.below(below.into())).unwrap();
        let (sale, seating) = opened(&*gate, 6, legs).await;
        let mut maps = BTreeMap::from([(sku("t"), SeatMap::new(&seating))]);
        let mut bookings: Vec<(HoldId, Basket)> = Vec::new();
        for _ in 0..150 {
            if draw(3) == 0 && !bookings.is_empty() {
                let place = usize::try_from(random.below(bookings.len() as u64)).unwrap();
                let (hold, basket) = bookings.swap_remove(place);
                gate.set(&sale, &word(hold, 1, HoldPhase::Released, &basket)).await.unwrap();
                let map = maps.get_mut("t").unwrap();
                basket.passengers().for_each(|(_, seat, over)| map.free(seat, over.mask()));
            }
            let line = || {
                let from = draw(legs);
                seated_item(
                    "t",
                    u32::from(draw(6)).saturating_sub(2).max(1),
                    from,
                    from + 1 + draw(legs - from),
                )
            };
            let wants: Vec<Want> = (0..=draw(3))
                .map(|_| demand((0..=draw(4) / 3).map(|_| line()).collect()))
                .collect();
            let replies = gate.reserve(&sale, &wants).await.unwrap();
            for (want, reply) in wants.iter().zip(replies) {
                let expected = want.basket.seated(&mut maps);
                match &expected {
                    None => assert_eq!(reply, Reserved::Short, "seed {seed}: {}", want.basket),
                    Some(basket) => {
                        assert_eq!(seated(&reply), basket, "seed {seed}");
                        let map = maps.get_mut("t").unwrap();
                        basket.passengers().for_each(|(_, seat, over)| map.take(seat, over.mask()));
                        bookings.push((want.hold, basket.clone()));
                    }
                }
            }
        }
        let (available, held, seats) = level(&*gate, &sale).await;
        let taken: u64 = maps["t"].busy().iter().map(|busy| u64::from(busy.count_ones())).sum();
        assert_eq!((available, held), (seating.seat_legs() - taken, taken), "seed {seed}");
        assert_eq!(seats.free, maps["t"].counts(), "seed {seed}");
        assert_eq!(seats.unsold, SeatMap::new(&seating).counts(), "seed {seed}");
        gate.forget(&sale).await.unwrap();
    }
}

pub async fn demands_of_one_call_get_different_seats(house: impl House<Port = Port>) {
    let gate = house.port();
    let (sale, _) = opened(&*gate, 1, 4).await;
    let wants: Vec<Want> = [(0, 4), (0, 4), (0, 2), (2, 4), (1, 3), (0, 4)]
        .map(|(from, to)| ride(1, from, to))
        .to_vec();
    let replies = gate.reserve(&sale, &wants).await.unwrap();
    let seats: Vec<Vec<u16>> = replies[..4].iter().map(|reply| numbers(seated(reply))).collect();
    assert_eq!(seats, [[0], [1], [2], [2]]);
    assert_eq!(replies[4..], [Reserved::Short, Reserved::Short]);
}

pub async fn a_repeat_is_answered_with_the_same_seats(house: impl House<Port = Port>) {
    let gate = house.port();
    let (sale, seating) = opened(&*gate, 2, 4).await;
    let party = ride(2, 1, 3);
    let first = reserve(&*gate, &sale, &party).await;
    reserve(&*gate, &sale, &ride(1, 0, 4)).await;
    assert_eq!(reserve(&*gate, &sale, &party).await, first);
    let basket = seated(&first).clone();
    let held = HeldStock { hold: party.hold, movement: 1, basket: basket.clone() };
    let with_hold = GateImage { moved: 1, holds: vec![held], ..image(&seating) };
    gate.rebuild(&sale, Epoch(1), with_hold).await.unwrap();
    assert_eq!(reserve(&*gate, &sale, &party).await, first, "after a rebuild");
    gate.set(&sale, &word(party.hold, 2, HoldPhase::Sold, &basket)).await.unwrap();
    assert_eq!(reserve(&*gate, &sale, &party).await, Reserved::Over);
}

pub async fn what_is_given_back_can_be_chosen_again(house: impl House<Port = Port>) {
    let gate = house.port();
    let (sale, _) = opened(&*gate, 1, 3).await;
    let all = ride(3, 0, 3);
    assert_eq!(numbers(seated(&reserve(&*gate, &sale, &all).await)), [0, 1, 2]);
    assert_eq!(reserve(&*gate, &sale, &ride(1, 1, 2)).await, Reserved::Short);
    let given_back = [HoldUpdate::unrecorded(all.hold, all.basket.clone())];
    gate.set(&sale, &given_back).await.unwrap();
    gate.set(&sale, &given_back).await.unwrap();
    assert_eq!(level(&*gate, &sale).await.0, 9);
    assert_eq!(numbers(seated(&reserve(&*gate, &sale, &ride(2, 1, 2)).await)), [0, 1]);
}

pub async fn sold_seats_are_gone_and_held_ones_may_come_back(house: impl House<Port = Port>) {
    let gate = house.port();
    let (sale, _) = opened(&*gate, 1, 4).await;
    let (sold, held) = (ride(1, 0, 2), ride(2, 0, 4));
    let basket = seated(&reserve(&*gate, &sale, &sold).await).clone();
    reserve(&*gate, &sale, &held).await;
    gate.set(&sale, &word(sold.hold, 1, HoldPhase::Held, &basket)).await.unwrap();
    gate.set(&sale, &word(sold.hold, 2, HoldPhase::Sold, &basket)).await.unwrap();
    let (available, held, seats) = level(&*gate, &sale).await;
    assert_eq!((available, held), (2, 8));
    assert_eq!(
        (seats.free.per_leg(), seats.unsold.per_leg()),
        (vec![0, 0, 1, 1], vec![2, 2, 3, 3])
    );
    let whole = Stretch::new(0, 4).unwrap();
    assert_eq!((seats.free.over(whole), seats.unsold.over(whole)), (0, 2));
}

pub async fn the_ledgers_seats_are_taken_in(house: impl House<Port = Port>) {
    let gate = house.port();
    let (sale, seating) = opened(&*gate, 1, 4).await;
    let mut line = seated_item("t", 1, 2, 4);
    line.seats = vec![SeatNo(0)];
    let held = HeldStock {
        hold: ride(1, 2, 4).hold,
        movement: 1,
        basket: Basket::new(vec![line]).unwrap(),
    };
    let mut image = image(&seating);
    image.skus[0].2 = 4;
    image.seats[0].sold = vec![0b0011, 0b1100, 0];
    (image.moved, image.holds) = (1, vec![held]);
    gate.rebuild(&sale, Epoch(1), image).await.unwrap();
    let (available, held, seats) = level(&*gate, &sale).await;
    assert_eq!((available, held), (6, 2));
    assert_eq!(
        (seats.free.per_leg(), seats.unsold.per_leg()),
        (vec![2, 2, 1, 1], vec![2, 2, 2, 2])
    );
    assert_eq!(numbers(seated(&reserve(&*gate, &sale, &ride(1, 0, 2)).await)), [1]);
    assert_eq!(numbers(seated(&reserve(&*gate, &sale, &ride(1, 1, 3)).await)), [2]);
}

/// A word that is later than the ledger's reading stays.
pub async fn seats_that_came_back_are_chosen_again(house: impl House<Port = Port>) {
    let gate = house.port();
    let (sale, seating) = opened(&*gate, 1, 4).await;
    let (first, second) = (ride(1, 0, 4), ride(1, 0, 2));
    for (want, movement) in [(&first, 1), (&second, 2)] {
        let basket = seated(&reserve(&*gate, &sale, want).await).clone();
        gate.set(&sale, &word(want.hold, movement, HoldPhase::Sold, &basket)).await.unwrap();
    }
    let image = || image(&seating).seats.remove(0);
    let restock = |moved, total| {
        let seats = Some(SeatsSold { moved, image: image() });
        Restock { sku: sku("t"), total, seats }
    };
    gate.restock(&sale, &restock(1, 16)).await.unwrap();
    let (available, _, seats) = level(&*gate, &sale).await;
    assert_eq!((available, seats.free.per_leg()), (10, vec![2, 2, 3, 3]), "the second stays");
    assert_eq!(seats.unsold, seats.free);
    for _ in 0..2 {
        gate.restock(&sale, &restock(2, 18)).await.unwrap();
        let (available, _, seats) = level(&*gate, &sale).await;
        assert_eq!((available, seats.free.per_leg()), (12, vec![3; 4]));
    }
    assert_eq!(numbers(seated(&reserve(&*gate, &sale, &ride(3, 0, 4)).await)), [0, 1, 2]);
}

/// The gate had forgotten who sits there. The seat is free again only when both are gone, in whichever order.
pub async fn the_ledgers_word_takes_a_seat_that_the_gate_gave_to_another(
    house: impl House<Port = Port>,
) {
    let gate = house.port();
    for mine_first in [true, false] {
        let (sale, _) = opened(&*gate, 1, 4).await;
        let (mine, theirs) = (ride(3, 1, 3), ride(3, 0, 4));
        let given = seated(&reserve(&*gate, &sale, &mine).await).clone();
        let mut line = seated_item("t", 3, 0, 4);
        line.seats = given.items()[0].seats.clone();
        let taken = Basket::new(vec![line]).unwrap();
        gate.set(&sale, &word(theirs.hold, 1, HoldPhase::Held, &taken)).await.unwrap();
        let give_back = [HoldUpdate::unrecorded(mine.hold, mine.basket.clone())];
        let release = word(theirs.hold, 2, HoldPhase::Released, &taken);
        let words = if mine_first { [&give_back, &release] } else { [&release, &give_back] };
        gate.set(&sale, words[0]).await.unwrap();
        let (_, _, seats) = level(&*gate, &sale).await;
        let left = if mine_first { [0, 0, 0, 0] } else { [3, 0, 0, 3] };
        assert_eq!(seats.free.per_leg(), left, "mine first: {mine_first}");
        gate.set(&sale, words[1]).await.unwrap();
        let (available, held, seats) = level(&*gate, &sale).await;
        assert_eq!((available, held, seats.free.per_leg()), (12, 0, vec![3; 4]));
        gate.forget(&sale).await.unwrap();
    }
}

pub async fn counted_goods_and_seats_are_held_together_or_not_at_all(
    house: impl House<Port = Port>,
) {
    let gate = house.port();
    let (sale, _) = opened(&*gate, 1, 2).await;
    let meal = |units| Item::counted(sku("a"), units);
    let both = demand(vec![meal(2), seated_item("t", 2, 0, 2)]);
    assert!(reserve(&*gate, &sale, &both).await.is_held());
    for short in [
        vec![meal(2), seated_item("t", 1, 0, 2)],
        vec![meal(1), seated_item("t", 2, 0, 1)],
        vec![meal(1), seated_item("other", 1, 0, 1)],
    ] {
        assert_eq!(reserve(&*gate, &sale, &demand(short)).await, Reserved::Short);
    }
    assert_eq!(level(&*gate, &sale).await.0, 2);
    let rest = demand(vec![meal(1), seated_item("t", 1, 0, 2)]);
    assert!(reserve(&*gate, &sale, &rest).await.is_held());
}

/// A ledger of one train that numbers its words; which of them nobody has told yet; and what was read of it last.
struct Words {
    random: Random,
    seating: Arc<Seating>,
    map: SeatMap,
    said: Vec<HoldUpdate>,
    untold: Vec<HoldUpdate>,
    /// Sold, and given back.
    returned: BTreeSet<HoldId>,
    image: GateImage,
}

impl Words {
    fn draw(&self, below: usize) -> usize {
        usize::try_from(self.random.below(below as u64)).unwrap()
    }

    fn latest(&self) -> BTreeMap<HoldId, HoldUpdate> {
        self.said.iter().map(|word| (word.hold, word.clone())).collect()
    }

    fn in_phase(&self, phase: HoldPhase) -> Vec<HoldUpdate> {
        self.latest().into_values().filter(|word| word.phase == phase).collect()
    }

    fn add(&mut self, hold: HoldId, phase: HoldPhase, basket: Basket) {
        let movement = self.said.len() as u64 + 1;
        let word = HoldUpdate { hold, movement, phase, basket };
        self.said.push(word.clone());
        self.untold.push(word);
    }

    fn wish(&self) -> Want {
        let legs = usize::from(self.seating.legs());
        let from = self.draw(legs);
        let to = from + 1 + self.draw(legs - from);
        let passengers = u32::try_from(1 + self.draw(2)).unwrap();
        ride(passengers, u8::try_from(from).unwrap(), u8::try_from(to).unwrap())
    }

    /// Sold and not given back.
    fn sold(&self) -> Vec<HoldUpdate> {
        let mut sold = self.in_phase(HoldPhase::Sold);
        sold.retain(|word| !self.returned.contains(&word.hold));
        sold
    }

    /// Somebody gives back what was sold to them; the gate is told some time.
    fn give_back(&mut self) {
        let sold = self.sold();
        if !sold.is_empty() {
            let HoldUpdate { hold, basket, .. } = &sold[self.draw(sold.len())];
            basket.passengers().for_each(|(_, seat, over)| self.map.free(seat, over.mask()));
            self.returned.insert(*hold);
        }
    }

    /// As it was read last.
    async fn restock(&self, gate: &dyn StockGate, sale: &SaleId) {
        let image = self.image.seats[0].clone();
        let seats = Some(SeatsSold { moved: self.image.moved, image });
        let restock = Restock { sku: sku("t"), total: self.image.skus[0].1, seats };
        gate.restock(sale, &restock).await.unwrap();
    }

    /// Somebody is held, by the ledger's own choice; or a hold comes to its end.
    fn say(&mut self) {
        let held = self.in_phase(HoldPhase::Held);
        if held.is_empty() || self.draw(2) == 0 {
            let want = self.wish();
            let mut maps = BTreeMap::from([(sku("t"), self.map.clone())]);
            if let Some(basket) = want.basket.seated(&mut maps) {
                basket.passengers().for_each(|(_, seat, over)| self.map.take(seat, over.mask()));
                self.add(want.hold, HoldPhase::Held, basket);
            }
            return;
        }
        let HoldUpdate { hold, basket, .. } = held[self.draw(held.len())].clone();
        if self.draw(4) == 0 {
            self.add(hold, HoldPhase::Sold, basket);
        } else {
            basket.passengers().for_each(|(_, seat, over)| self.map.free(seat, over.mask()));
            self.add(hold, HoldPhase::Released, basket);
        }
    }

    fn read(&mut self) {
        let mut image = image(&self.seating);
        image.moved = self.said.len() as u64;
        for HoldUpdate { hold, basket, .. } in self.in_phase(HoldPhase::Sold) {
            let units = basket.items()[0].units();
            image.skus[0].2 += units;
            if self.returned.contains(&hold) {
                image.skus[0].1 += units;
                continue;
            }
            for (_, seat, over) in basket.passengers() {
                image.seats[0].sold[usize::from(seat.0)] |= over.mask();
            }
        }
        let held = self.in_phase(HoldPhase::Held).into_iter();
        image.holds = held
            .map(|HoldUpdate { hold, movement, basket, .. }| HeldStock { hold, movement, basket })
            .collect();
        self.image = image;
    }

    /// A turn comes, and perhaps again: the gate's own choice, which the ledger does not record.
    async fn turn(&self, gate: &dyn StockGate, sale: &SaleId) {
        let want = self.wish();
        let first = reserve(gate, sale, &want).await;
        assert_eq!(reserve(gate, sale, &want).await, first);
        if first.is_held() {
            let given_back = [HoldUpdate::unrecorded(want.hold, want.basket.clone())];
            gate.set(sale, &given_back).await.unwrap();
        }
    }
}

pub async fn words_and_rebuilds_in_any_order_come_to_the_ledgers_seats(
    house: impl House<Port = Port>,
) {
    let gate = house.port();
    for seed in 0..12 {
        let (sale, seating) = opened(&*gate, 3, 5).await;
        let (random, image) = (Random::seeded(seed), GateImage::default());
        let (map, said, untold) = (SeatMap::new(&seating), Vec::new(), Vec::new());
        let returned = BTreeSet::new();
        let mut words = Words { random, seating, map, said, untold, returned, image };
        words.read();
        for _ in 0..120 {
            match words.draw(20) {
                0 => words.read(),
                // From what was read some time ago.
                1 => gate.rebuild(&sale, Epoch(1), words.image.clone()).await.unwrap(),
                2 => {
                    gate.forget(&sale).await.unwrap();
                    words.read();
                    gate.rebuild(&sale, Epoch(1), words.image.clone()).await.unwrap();
                }
                3 => words.give_back(),
                // From what was read some time ago, too.
                4 => words.restock(&*gate, &sale).await,
                5 => words.turn(&*gate, &sale).await,
                6..=11 => words.say(),
                _ if words.untold.is_empty() => {}
                _ => {
                    let place = words.draw(words.untold.len());
                    let word = words.untold.swap_remove(place);
                    gate.set(&sale, &[word]).await.unwrap();
                }
            }
        }
        while let Some(word) = words.untold.pop() {
            gate.set(&sale, &[word.clone(), word]).await.unwrap();
        }
        words.read();
        words.restock(&*gate, &sale).await;
        let (available, held, seats) = level(&*gate, &sale).await;
        assert_eq!(seats.free, words.map.counts(), "seed {seed}");
        let mut unsold = SeatMap::new(&words.seating);
        for word in words.sold() {
            word.basket.passengers().for_each(|(_, seat, over)| unsold.take(seat, over.mask()));
        }
        assert_eq!(seats.unsold, unsold.counts(), "seed {seed}");
        let units = |word: &HoldUpdate| word.basket.items()[0].units();
        let by_ledger: u64 = words.in_phase(HoldPhase::Held).iter().map(units).sum();
        assert_eq!(held, by_ledger, "seed {seed}");
        let sold: u64 = words.sold().iter().map(units).sum();
        assert_eq!(available, words.seating.seat_legs() - by_ledger - sold, "seed {seed}");
        gate.forget(&sale).await.unwrap();
    }
}
