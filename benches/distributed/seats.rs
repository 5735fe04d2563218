//! Seat choice in Redis: a train of 16 cars with 100 seats each, 30 legs, about as full as it gets; parties of one to three over
//! random stretches, in calls of a worker's batch, and as many given back as are seated.

use std::{sync::Arc, time::Instant};

use sluice_backends::{
    clock::SystemClock,
    redis::{RedisOptions, open},
};
use sluice_core::{
    basket::{Basket, Item},
    clock::Clock,
    ids::{EntryId, Epoch, HoldId, SaleId, SeatLabel, SkuId},
    ports::{GateImage, HoldPhase, HoldUpdate, Reserved, SeatImage, StockGate, Want},
    random::Random,
    seats::{Seating, Stretch},
};

use super::{pairs, stores::Stores};

const CARS: usize = 16;
const ROWS: usize = 20;
const LEGS: u8 = 30;
/// Demands in one call.
const BATCH: usize = 64;

pub(crate) async fn measure() {
    let stores = Stores::start();
    let redis = open(RedisOptions::new(vec![stores.redis.clone()])).await.unwrap();
    let mut train = Train::opened(redis.gate.clone()).await;
    while train.step().await.1 == 0 {}
    let (began, mut demands, mut seated) = (Instant::now(), 0, 0);
    while began.elapsed() < pairs::RUN {
        let (taken, refused) = train.step().await;
        demands += taken + refused;
        seated += taken;
    }
    let pace = f64::from(demands) / began.elapsed().as_secs_f64();
    println!(
        "seats   {pace:.0}/s seat choices for a full train of {} seats and {LEGS} legs, {seated} of {demands} seated (target >= 5000)",
        CARS * ROWS * 5
    );
    redis.close().await;
}

struct Train {
    gate: Arc<dyn StockGate>,
    sale: SaleId,
    sku: SkuId,
    random: Random,
    booked: Vec<HoldUpdate>,
}

impl Train {
    async fn opened(gate: Arc<dyn StockGate>) -> Self {
        let seats = (1..=CARS).flat_map(|car| {
            let seat = move |n: usize| {
                let letter = char::from(b"ABCDF"[n % 5]);
                SeatLabel::new(&format!("{car:02}-{:02}{letter}", n / 5 + 1)).unwrap()
            };
            (0..ROWS * 5).map(seat)
        });
        let stops = (0..=LEGS).map(|n| format!("stop {n}")).collect();
        let seating = Arc::new(Seating::new(seats.collect(), stops).unwrap());
        let (sale, sku) = (SaleId::new("train").unwrap(), SkuId::new("second").unwrap());
        let skus = vec![(sku.clone(), seating.seat_legs(), 0)];
        let seats = vec![SeatImage { sku: sku.clone(), seating, sold: Vec::new() }];
        let image = GateImage { skus, seats, ..GateImage::default() };
        gate.rebuild(&sale, Epoch(1), image).await.unwrap();
        Self { gate, sale, sku, random: Random::seeded(7), booked: Vec::new() }
    }

    fn draw(&self, below: u8) -> u8 {
        u8::try_from(self.random.below(below.into())).unwrap()
    }

    fn want(&self) -> Want {
        let from = self.draw(LEGS);
        let stretch = Stretch::new(from, from + 1 + self.draw(LEGS - from)).unwrap();
        let item = Item::seated(self.sku.clone(), u32::from(self.draw(6) / 4 + 1), stretch);
        let entry = EntryId::generate(SystemClock.now(), &self.random);
        let basket = Basket::new(vec![item]).unwrap();
        Want { hold: HoldId::of_entry(entry, 0), entry, basket }
    }

    /// One call of demands; once somebody is refused, as many as were seated are given back. How many of each.
    async fn step(&mut self) -> (u32, u32) {
        let wants: Vec<Want> = (0..BATCH).map(|_| self.want()).collect();
        let replies = self.gate.reserve(&self.sale, &wants).await.unwrap();
        let (mut seated, mut refused) = (0, 0);
        for (want, reply) in wants.iter().zip(replies) {
            match reply {
                Reserved::Seated(basket) => {
                    seated += 1;
                    let (hold, phase) = (want.hold, HoldPhase::Released);
                    self.booked.push(HoldUpdate { hold, movement: 1, phase, basket });
                }
                Reserved::Held | Reserved::Short | Reserved::Over => refused += 1,
            }
        }
        if refused > 0 {
            let mut given_back = Vec::new();
            for _ in 0..seated {
                let place = self.random.below(self.booked.len() as u64);
                given_back.push(self.booked.swap_remove(usize::try_from(place).unwrap()));
            }
            self.gate.set(&self.sale, &given_back).await.unwrap();
        }
        (seated, refused)
    }
}
