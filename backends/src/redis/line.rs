//! The line, one script to a call. What the scripts decide is what the port promises; here their arguments are packed and
//! their answers read.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use redis::Value;
use sluice_core::{
    clock::UnixMillis,
    ids::{BuyerId, EntryId, Epoch, SaleId, Seq},
    line::{Caps, Cursor, LineEntry},
    ports::{
        Join, JoinReply, LimitedBy, Line, LineSnapshot, Place, PlaceState, PortResult, Restore,
        Settlement, Standing,
    },
};

use super::{
    codec::{self, Reader, bytes, list, number, sound},
    fault::CallFault,
    link::Link,
    names::{Keys, Names},
    script::{self, Call},
};

/// Most entries in one script; a longer list is called in parts, in order.
const ITEMS_MAX: usize = 512;
/// Most entries kept that a worker reserved for before the line had heard of them; the oldest are forgotten first, and
/// then count as in flight until they are settled.
pub(super) const WORKED_MAX: usize = 65_536;

/// See the module.
#[derive(Debug)]
pub(super) struct RedisLine {
    link: Arc<Link>,
    names: Arc<Names>,
    settled_places_max: usize,
}

impl RedisLine {
    pub(super) fn new(link: Arc<Link>, names: Arc<Names>, settled_places_max: usize) -> Self {
        Self { link, names, settled_places_max }
    }

    /// A call of a script over the line alone.
    fn call_on(&self, script: &'static script::Script, sale: &SaleId) -> Call {
        script.on(&[&self.names.of(sale).line])
    }

    /// A call of a script that may settle places.
    fn settling(&self, script: &'static script::Script, sale: &SaleId) -> Call {
        let Keys { line, over, strangers, .. } = self.names.of(sale);
        script.on(&[&line, &over, &strangers])
    }

    async fn join_some(
        &self,
        sale: &SaleId,
        caps: Caps,
        joins: &[Join],
    ) -> PortResult<Vec<JoinReply>> {
        let Keys { line, over, strangers, limits, limits_before, .. } = self.names.of(sale);
        let keys = [&*line, &over, &strangers, &limits, &limits_before];
        let mut call = script::LINE_JOIN.on(&keys);
        call.arg(caps.line);
        call.arg(caps.standby);
        call.arg(self.settled_places_max);
        for Join { candidate, proven, limits, stand_by } in joins {
            call.arg(codec::buyer_field(&candidate.buyer));
            call.arg(&codec::place_field(candidate.entry));
            call.arg(codec::body(candidate));
            call.arg(proven.as_ref().map_or_else(Vec::new, |proven| {
                let mut bytes = proven.entry.as_bytes().to_vec();
                bytes.extend(codec::numbered(proven));
                bytes
            }));
            call.arg(limits.as_ref().map_or_else(Vec::new, codec::limits));
            call.arg(if *stand_by { "B" } else { "" });
        }
        let replies = list(self.link.run(call).await?)?;
        if replies.len() != joins.len() {
            return Err(CallFault::Damaged.into());
        }
        let pairs = replies.iter().zip(joins);
        pairs.map(|(reply, join)| sound(read_join(bytes(reply)?, &join.candidate))).collect()
    }

    async fn call_some(
        &self,
        sale: &SaleId,
        epoch: Epoch,
        silent_before: Option<UnixMillis>,
        entries: &[LineEntry],
    ) -> PortResult<Vec<Standing>> {
        let Keys { line, worked, .. } = self.names.of(sale);
        let mut call = script::LINE_CALL.on(&[&line, &worked]);
        call.arg(epoch.0);
        call.arg(silent_before.map_or_else(String::new, |limit| limit.0.to_string()));
        for line_entry in entries {
            call.arg(line_entry.entry.as_bytes());
            call.arg(codec::numbered(line_entry));
        }
        let standings = list(self.link.run(call).await?)?;
        standings.iter().map(|standing| sound(read_standing(bytes(standing)?))).collect()
    }
}

#[async_trait]
impl Line for RedisLine {
    fn shares_limits(&self) -> bool {
        true
    }

    async fn warm(&self, sale: &SaleId, epoch: Epoch, restore: Option<Restore>) -> PortResult<()> {
        let mut call = self.settling(&script::LINE_WARM, sale);
        call.arg(epoch.0);
        if let Some(Restore { block, cursor, last }) = restore {
            call.arg(block.from.0);
            call.arg(block.to.0);
            cursor_args(&mut call, &cursor);
            call.arg(last.0);
        }
        self.link.run(call).await.map(|_| ())
    }

    async fn extend(&self, sale: &SaleId, epoch: Epoch, to: Seq) -> PortResult<()> {
        let mut call = self.call_on(&script::LINE_EXTEND, sale);
        call.arg(epoch.0);
        call.arg(to.0);
        self.link.run(call).await.map(|_| ())
    }

    async fn join(
        &self,
        sale: &SaleId,
        caps: Caps,
        joins: Vec<Join>,
    ) -> PortResult<Vec<JoinReply>> {
        let mut replies = Vec::with_capacity(joins.len());
        for some in parts(&joins) {
            replies.extend(self.join_some(sale, caps, some).await?);
        }
        Ok(replies)
    }

    async fn confirm(&self, sale: &SaleId, entries: &[EntryId]) -> PortResult<()> {
        for some in parts(entries) {
            let mut call = self.call_on(&script::LINE_CONFIRM, sale);
            some.iter().for_each(|entry| call.arg(&codec::place_field(*entry)));
            self.link.run(call).await?;
        }
        Ok(())
    }

    async fn find(&self, sale: &SaleId, entries: &[EntryId]) -> PortResult<Vec<Option<Place>>> {
        let mut found = Vec::with_capacity(entries.len());
        for some in parts(entries) {
            let mut call = self.call_on(&script::LINE_FIND, sale);
            some.iter().for_each(|entry| call.arg(entry.as_bytes()));
            let places = list(self.link.run(call).await?)?;
            for (entry, place) in some.iter().zip(&places) {
                found.push(match bytes(place)? {
                    [] => None,
                    kept => Some(sound(codec::read_place(*entry, kept))?),
                });
            }
        }
        if found.len() == entries.len() { Ok(found) } else { Err(CallFault::Damaged.into()) }
    }

    async fn find_buyer(&self, sale: &SaleId, buyer: &BuyerId) -> PortResult<Option<Place>> {
        let mut call = self.call_on(&script::LINE_FIND_BUYER, sale);
        call.arg(buyer.as_str());
        match &list(self.link.run(call).await?)?[..] {
            [] => Ok(None),
            [entry, place] => {
                let entry = sound(codec::read_entry(bytes(entry)?))?;
                sound(codec::read_place(entry, bytes(place)?)).map(Some)
            }
            _ => Err(CallFault::Damaged.into()),
        }
    }

    async fn seen(&self, sale: &SaleId, entries: &[EntryId], at: UnixMillis) -> PortResult<()> {
        for some in parts(entries) {
            let mut call = self.call_on(&script::LINE_SEEN, sale);
            call.arg(at.0);
            some.iter().for_each(|entry| call.arg(entry.as_bytes()));
            self.link.run(call).await?;
        }
        Ok(())
    }

    async fn call(
        &self,
        sale: &SaleId,
        epoch: Epoch,
        silent_before: Option<UnixMillis>,
        entries: &[LineEntry],
    ) -> PortResult<Vec<Standing>> {
        let mut standings = Vec::with_capacity(entries.len());
        for some in parts(entries) {
            standings.extend(self.call_some(sale, epoch, silent_before, some).await?);
        }
        if standings.len() == entries.len() {
            Ok(standings)
        } else {
            Err(CallFault::Damaged.into())
        }
    }

    async fn stand_by(&self, sale: &SaleId, entries: &[EntryId]) -> PortResult<()> {
        for some in parts(entries) {
            let mut call = self.call_on(&script::LINE_STAND_BY, sale);
            some.iter().for_each(|entry| call.arg(entry.as_bytes()));
            self.link.run(call).await?;
        }
        Ok(())
    }

    async fn settle(&self, sale: &SaleId, settled: &[(EntryId, Settlement)]) -> PortResult<()> {
        for some in parts(settled) {
            let mut call = self.settling(&script::LINE_SETTLE, sale);
            call.arg(self.settled_places_max);
            for (entry, settlement) in some {
                call.arg(entry.as_bytes());
                call.arg(&codec::settlement_bytes(*settlement));
            }
            self.link.run(call).await?;
        }
        Ok(())
    }

    async fn advance(&self, sale: &SaleId, epoch: Epoch, cursor: &Cursor) -> PortResult<()> {
        let mut call = self.call_on(&script::LINE_ADVANCE, sale);
        call.arg(epoch.0);
        cursor_args(&mut call, cursor);
        self.link.run(call).await.map(|_| ())
    }

    async fn snapshot(&self, sale: &SaleId) -> PortResult<LineSnapshot> {
        let call = self.call_on(&script::LINE_SNAPSHOT, sale);
        let told: Vec<Value> = list(self.link.run(call).await?)?;
        let [epoch, serving, holes, last, high_water, called, standby] = &told[..] else {
            return Err(CallFault::Damaged.into());
        };
        let holes = sound(codec::read_holes(bytes(holes)?))?;
        Ok(LineSnapshot {
            epoch: Epoch(number(epoch)?),
            cursor: Cursor { serving: Seq(number(serving)?), holes },
            last: Seq(number(last)?),
            high_water: Seq(number(high_water)?),
            called: number(called)?,
            standby: number(standby)?,
        })
    }

    async fn forget(&self, sale: &SaleId) -> PortResult<()> {
        let keys = self.names.of(sale);
        let Keys { line, over, strangers, worked, worked_order, gate, .. } = &keys;
        let Keys { limits, limits_before, .. } = &keys;
        let keys = [&**line, gate, over, strangers, limits, limits_before, worked, worked_order];
        let mut call = script::LINE_FORGET.on(&keys);
        call.arg(2); // The last two are shared with the gate.
        self.link.run(call).await.map(|_| ())
    }
}

/// A list in parts of at most [`ITEMS_MAX`]; an empty list is one empty part, for whether the sale is cold is asked too.
pub(super) fn parts<T>(items: &[T]) -> impl Iterator<Item = &[T]> {
    let empty = items.is_empty().then_some(items);
    empty.into_iter().chain(items.chunks(ITEMS_MAX))
}

/// `serving`, its rank, the holes, and how many numbers they are.
fn cursor_args(call: &mut Call, cursor: &Cursor) {
    call.arg(cursor.serving.0);
    call.arg(cursor.rank(cursor.serving));
    call.arg(codec::hole_bytes(cursor));
    call.arg(cursor.holes.upto(Seq(u64::MAX)));
}

fn read_join(reply: &[u8], candidate: &LineEntry) -> Option<JoinReply> {
    let mut reader = Reader(reply);
    match reader.take(1)? {
        b"N" => {
            let mut line_entry = candidate.clone();
            line_entry.seq = Seq(reader.number()?);
            line_entry.holes_below = reader.number()?;
            let (state, seen_at) = (PlaceState::Waiting, candidate.joined_at);
            Some(JoinReply::New(Place {
                line_entry,
                state,
                durable: false,
                seen_at,
                in_flight: false,
            }))
        }
        b"B" => {
            let line_entry = candidate.clone().standing_by();
            let (state, seen_at) = (PlaceState::Standby, candidate.joined_at);
            Some(JoinReply::New(Place {
                line_entry,
                state,
                durable: false,
                seen_at,
                in_flight: false,
            }))
        }
        b"F" => {
            let entry = codec::read_entry(reader.take(16)?)?;
            codec::read_place(entry, reader.0).map(JoinReply::Found)
        }
        b"L" => Some(JoinReply::Full),
        b"O" => Some(JoinReply::OutOfNumbers),
        b"R" => {
            let by = match reader.take(1)? {
                b"b" => LimitedBy::Buyer,
                b"d" => LimitedBy::Device,
                _ => return None,
            };
            Some(JoinReply::Limited { by, retry_after: Duration::from_millis(reader.number()?) })
        }
        _ => None,
    }
}

fn read_standing(reply: &[u8]) -> Option<Standing> {
    let mut reader = Reader(reply);
    match reader.take(1)? {
        b"C" => Some(Standing::Called),
        b"S" => codec::read_settlement(reader.0).map(Standing::Settled),
        b"Q" => reader.time().map(|seen_at| Standing::Silent { seen_at }),
        b"T" => codec::read_entry(reader.0).map(|of| Standing::Twin { of }),
        _ => None,
    }
}
