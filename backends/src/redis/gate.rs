//! The stock gate, one script to a call. A rebuild may be long: then it comes in parts, between which the gate is cold.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use redis::Value;
use sluice_core::{
    basket::Basket,
    ids::{Epoch, HoldId, SaleId, SkuId},
    ports::{
        GateHold, GateHolds, GateImage, HeldStock, HoldPhase, HoldUpdate, HoldsPlace, PortResult,
        Reserved, Restock, SeatImage, SeatLevel, SeatsSold, SkuLevel, StockGate, Want,
    },
    random::Random,
    seats::{SeatCounts, Seating, Stretch},
};

use super::{
    codec::{bytes, list, number, small, sound},
    fault::CallFault,
    line::{WORKED_MAX, parts},
    link::Link,
    names::{Keys, Names},
    script::{self, Call},
};

/// Words kept for a rebuild from an image that has not seen them: far more than are said while one is read. Of older ones it
/// is taken that the image has seen them.
const HEARD_MAX: usize = 65_536;

/// Fields looked at by one step of the sweep after a rebuild.
const SWEEP_FIELDS: usize = 512;

/// Fields looked at for one page of holds.
const PAGE_FIELDS: usize = 1_024;

/// See the module.
#[derive(Debug)]
pub(super) struct RedisGate {
    link: Arc<Link>,
    names: Arc<Names>,
    holds_over_max: usize,
    random: Random,
}

impl RedisGate {
    pub(super) fn new(link: Arc<Link>, names: Arc<Names>, holds_over_max: usize) -> Self {
        Self { link, names, holds_over_max, random: Random::system() }
    }

    fn over(&self, script: &'static script::Script, sale: &SaleId) -> Call {
        let Keys { gate, holds_over, heard, .. } = self.names.of(sale);
        script.on(&[&gate, &holds_over, &heard])
    }

    /// One part of a rebuild. Whether holds are left to sweep.
    async fn rebuild_part(
        &self,
        sale: &SaleId,
        (epoch, name): (Epoch, &[u8]),
        first: Option<&GateImage>,
        holds: &[HeldStock],
        last: &str,
    ) -> PortResult<bool> {
        let mut call = self.over(&script::GATE_REBUILD, sale);
        call.arg(epoch.0);
        call.arg(name);
        call.arg(if first.is_some() { "first" } else { "more" });
        call.arg(last);
        call.arg(self.holds_over_max);
        if let Some(image) = first {
            call.arg(image.moved);
            call.arg(image.skus.len());
            for (sku, total, sold) in &image.skus {
                call.arg(sku.as_str());
                call.arg(*total);
                call.arg(*sold);
            }
            call.arg(image.seats.len());
            for SeatImage { sku, seating, sold } in &image.seats {
                let beside: String =
                    seating.beside().map(|beside| if beside { '1' } else { '0' }).collect();
                call.arg(sku.as_str());
                call.arg(seating.legs());
                call.arg(beside);
                call.arg(seat_letters(seating, sold));
            }
        }
        for held in holds {
            call.arg(held.hold.as_bytes());
            call.arg(held.movement);
            call.arg(held.basket.to_string());
        }
        Ok(number(&self.link.run(call).await?)? != 0)
    }

    /// Lets go, in the background, of what the rebuild made worthless.
    fn sweep(&self, sale: &SaleId) {
        let (link, names) = (Arc::clone(&self.link), Arc::clone(&self.names));
        let (sale, most) = (sale.clone(), self.holds_over_max);
        self.link.spawn(async move {
            let Keys { gate, holds_over, .. } = names.of(&sale);
            let mut next = b"0".to_vec();
            loop {
                let mut call = script::GATE_SWEEP.on(&[&gate, &holds_over]);
                call.arg(&next);
                call.arg(SWEEP_FIELDS);
                call.arg(most);
                match link.run(call).await {
                    Ok(Value::BulkString(place)) if place != b"0" => next = place,
                    Ok(_) => return,
                    // What is left lies there until the next rebuild; nobody is told otherwise by it.
                    Err(error) => {
                        tracing::debug!(%sale, %error, "the gate's sweep ended early");
                        return;
                    }
                }
            }
        });
    }
}

#[async_trait]
impl StockGate for RedisGate {
    async fn rebuild(&self, sale: &SaleId, epoch: Epoch, image: GateImage) -> PortResult<()> {
        let name = self.random.bytes();
        let count = parts(&image.holds).count();
        let mut to_sweep = false;
        for (n, holds) in parts(&image.holds).enumerate() {
            let first = (n == 0).then_some(&image);
            let last = if n + 1 == count { "last" } else { "more" };
            to_sweep = self.rebuild_part(sale, (epoch, &name), first, holds, last).await?;
        }
        if to_sweep {
            self.sweep(sale);
        }
        Ok(())
    }

    async fn reserve(&self, sale: &SaleId, wants: &[Want]) -> PortResult<Vec<Reserved>> {
        let Keys { gate, line, worked, worked_order, .. } = self.names.of(sale);
        let mut replies = Vec::with_capacity(wants.len());
        for some in parts(wants) {
            let mut call = script::GATE_RESERVE.on(&[&gate, &line, &worked, &worked_order]);
            call.arg(WORKED_MAX);
            for want in some {
                call.arg(want.hold.as_bytes());
                call.arg(want.entry.as_bytes());
                call.arg(want.basket.to_string());
            }
            for reply in list(self.link.run(call).await?)? {
                replies.push(match bytes(&reply)? {
                    b"H" => Reserved::Held,
                    b"S" => Reserved::Short,
                    b"O" => Reserved::Over,
                    [b'H', seated @ ..] => Reserved::Seated(sound(read_basket(seated))?),
                    _ => return Err(CallFault::Damaged.into()),
                });
            }
        }
        if replies.len() == wants.len() { Ok(replies) } else { Err(CallFault::Damaged.into()) }
    }

    async fn set(&self, sale: &SaleId, updates: &[HoldUpdate]) -> PortResult<()> {
        for some in parts(updates) {
            let mut call = self.over(&script::GATE_SET, sale);
            call.arg(self.holds_over_max);
            call.arg(HEARD_MAX);
            for word in some {
                call.arg(word.hold.as_bytes());
                call.arg(word.movement);
                call.arg(match word.phase {
                    HoldPhase::Held => "H",
                    HoldPhase::Sold => "S",
                    HoldPhase::Released => "R",
                });
                call.arg(word.basket.to_string());
            }
            self.link.run(call).await?;
        }
        Ok(())
    }

    async fn restock(&self, sale: &SaleId, restock: &Restock) -> PortResult<()> {
        let Keys { gate, heard, .. } = self.names.of(sale);
        let mut call = script::GATE_RESTOCK.on(&[&gate, &heard]);
        call.arg(restock.sku.as_str());
        call.arg(restock.total);
        if let Some(SeatsSold { moved, image }) = &restock.seats {
            call.arg(*moved);
            call.arg(seat_letters(&image.seating, &image.sold));
        }
        self.link.run(call).await.map(|_| ())
    }

    async fn levels(&self, sale: &SaleId) -> PortResult<Vec<SkuLevel>> {
        let Keys { gate, line, .. } = self.names.of(sale);
        let call = script::GATE_LEVELS.on(&[&gate, &line]);
        let told = list(self.link.run(call).await?)?;
        let mut levels = told.chunks(5).map(read_level).collect::<PortResult<Vec<SkuLevel>>>()?;
        levels.sort_by(|a, b| a.sku.cmp(&b.sku));
        Ok(levels)
    }

    async fn holds(&self, sale: &SaleId, from: Option<&HoldsPlace>) -> PortResult<GateHolds> {
        let mut call = script::GATE_HOLDS.on(&[&self.names.of(sale).gate]);
        call.arg(from.map_or(b"0".as_slice(), |HoldsPlace(place)| place));
        call.arg(PAGE_FIELDS);
        let told = list(self.link.run(call).await?)?;
        let Some((next, holds)) = told.split_first() else { return Err(CallFault::Damaged.into()) };
        let next = bytes(next)?;
        let next = (next != b"0").then(|| HoldsPlace(next.to_vec()));
        let holds = holds.chunks(4).map(read_hold).collect::<PortResult<_>>()?;
        Ok(GateHolds { holds, next })
    }

    async fn forget(&self, sale: &SaleId) -> PortResult<()> {
        let Keys { gate, line, holds_over, heard, worked, worked_order, .. } = self.names.of(sale);
        let keys = [&*gate, &line, &holds_over, &heard, &worked, &worked_order];
        let mut call = script::GATE_FORGET.on(&keys);
        call.arg(2); // The last two are shared with the line.
        self.link.run(call).await.map(|_| ())
    }
}

fn read_hold(told: &[Value]) -> PortResult<GateHold> {
    let [hold, movement, age, basket] = told else { return Err(CallFault::Damaged.into()) };
    Ok(GateHold {
        hold: sound(bytes(hold)?.try_into().ok().map(HoldId::from_bytes))?,
        movement: number(movement)?,
        basket: sound(read_basket(bytes(basket)?))?,
        age: Duration::from_millis(number(age)?),
    })
}

/// A letter for each leg of each seat, as the scripts keep them: 0 free, s sold.
fn seat_letters(seating: &Seating, sold: &[u64]) -> String {
    let seats = (0..seating.seats().len()).map(|n| sold.get(n).copied().unwrap_or_default());
    let letter = |legs: u64, leg: u8| if legs >> leg & 1 == 1 { 's' } else { '0' };
    seats.flat_map(|legs| (0..seating.legs()).map(move |leg| letter(legs, leg))).collect()
}

fn read_basket(text: &[u8]) -> Option<Basket> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

fn read_level(told: &[Value]) -> PortResult<SkuLevel> {
    let [sku, available, held, in_flight, seats] = told else {
        return Err(CallFault::Damaged.into());
    };
    let sku = std::str::from_utf8(bytes(sku)?).ok().and_then(|sku| SkuId::new(sku).ok());
    Ok(SkuLevel {
        sku: sku.ok_or(CallFault::Damaged)?,
        available: number(available)?,
        held: number(held)?,
        in_flight: number(in_flight)?,
        seats: read_seats(seats)?,
    })
}

/// The legs; then gaps that are free, gaps that are unsold, and what is in flight. Nothing of a counted SKU.
fn read_seats(told: &Value) -> PortResult<Option<SeatLevel>> {
    let Value::Array(told) = told else { return Err(CallFault::Damaged.into()) };
    let [legs, free, unsold, in_flight] = &told[..] else {
        return if told.is_empty() { Ok(None) } else { Err(CallFault::Damaged.into()) };
    };
    let legs = small(legs)?;
    Ok(Some(SeatLevel {
        free: SeatCounts::from_gaps(legs, stretches(free)?),
        unsold: SeatCounts::from_gaps(legs, stretches(unsold)?),
        in_flight: stretches(in_flight)?,
    }))
}

/// Three for each stretch: from, to, how many. In order.
fn stretches(told: &Value) -> PortResult<Vec<(Stretch, u32)>> {
    let Value::Array(told) = told else { return Err(CallFault::Damaged.into()) };
    let read = |three: &[Value]| {
        let [from, to, count] = three else { return Err(CallFault::Damaged.into()) };
        Ok((sound(Stretch::new(small(from)?, small(to)?))?, small(count)?))
    };
    let mut stretches = told.chunks(3).map(read).collect::<PortResult<Vec<(Stretch, u32)>>>()?;
    stretches.sort_unstable();
    Ok(stretches)
}
