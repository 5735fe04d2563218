//! One batch of turns of one sale, step by step: the gate sets goods aside, the ledger decides, the gate follows, the line
//! settles, everybody hears. Each step is keyed by entry or hold and may be repeated from the start at any point.

use sluice_core::{
    entry::Outcome,
    ids::{EntryId, OrderId, SaleId},
    order::OrderState,
    ports::{
        EntryNotice, EntryRecord, GateSaid, HoldPhase, HoldReply, HoldRequest, HoldUpdate, Notice,
        PortError, PortResult, Reserved, Settlement, Want,
    },
};

use super::{fault::Fault, holding, in_hand::InHand};
use crate::{aftermath, metrics, shared::Shared};

/// What became of a batch.
#[derive(Debug)]
pub(crate) enum Worked {
    Through(Through),
    /// Gate or line does not know the sale at the moment. Turns that have their outcome by now will be met as known.
    Cold(Vec<InHand>),
}

/// A batch that went through.
#[derive(Debug, Default)]
pub(crate) struct Through {
    /// Turns that have their outcome, and everybody who could be told was told.
    pub(crate) done: Vec<InHand>,
    /// Entries whose outcome was announced.
    pub(crate) told: Vec<EntryId>,
    /// The gate refused what the ledger still has: to be asked again in a moment.
    pub(crate) again: Vec<InHand>,
    /// Their sale is frozen: they wait until that is lifted.
    pub(crate) frozen: Vec<InHand>,
    pub(crate) faulty: Vec<(InHand, Fault)>,
}

/// What the ledger's replies mean for the others.
#[derive(Debug, Default)]
struct Verdicts {
    records: Vec<EntryRecord>,
    updates: Vec<HoldUpdate>,
    /// Orders of which the gate has the seats wrong, or may have.
    misplaced: Vec<OrderId>,
    /// The gate has said no more than once where the ledger has seats: it may count some as sold that came back.
    seats_refused: bool,
    /// Orders made by this very batch.
    granted: u64,
    through: Through,
}

/// Works a batch: distinct entries, in order of `seq`. An error means that a store is away; the turns are not settled.
pub(crate) async fn work(shared: &Shared, sale: &SaleId, turns: Vec<InHand>) -> PortResult<Worked> {
    let reserved = match reserve(shared, sale, &turns).await {
        Err(PortError::Cold) => return Ok(Worked::Cold(turns)),
        reserved => reserved?,
    };
    let requests = requests(shared, &turns, &reserved);
    let replies = holding::hold(shared, sale, &requests).await?;
    metrics::batch(sale, turns.len());

    let mut verdicts = Verdicts::default();
    for ((turn, said), reply) in turns.into_iter().zip(reserved).zip(replies) {
        if let Some(HoldReply::Settled { record, .. } | HoldReply::Known { record, .. }) = &reply {
            shared.tell_held(&turn.turn.line_entry, record);
        }
        verdicts.take(turn, said, reply);
    }
    metrics::orders_entered(sale, OrderState::AwaitingPayment, verdicts.granted);
    if !verdicts.misplaced.is_empty() {
        let misplaced = &verdicts.misplaced;
        let words = shared.ask(|| shared.ports.ledger.words(misplaced)).await?;
        verdicts.updates.extend(words);
    }
    if verdicts.seats_refused {
        aftermath::restock(shared, sale, true).await?;
    }
    match tell(shared, sale, &mut verdicts).await {
        Ok(()) => Ok(Worked::Through(verdicts.through)),
        Err(PortError::Cold) => {
            let through = verdicts.through;
            let faulty = through.faulty.into_iter().map(|(turn, _)| turn);
            let rest = through.again.into_iter().chain(through.frozen).chain(faulty);
            Ok(Worked::Cold(through.done.into_iter().chain(rest).collect()))
        }
        Err(error) => Err(error),
    }
}

async fn reserve(shared: &Shared, sale: &SaleId, turns: &[InHand]) -> PortResult<Vec<Reserved>> {
    let want = |turn: &InHand| Want {
        hold: turn.hold_id(),
        entry: turn.entry(),
        basket: turn.basket().clone(),
    };
    let wants: Vec<Want> = turns.iter().map(want).collect();
    let reserved = shared.ask(|| shared.ports.gate.reserve(sale, &wants)).await?;
    if reserved.len() == wants.len() {
        Ok(reserved)
    } else {
        Err(PortError::unavailable("the gate's replies were miscounted"))
    }
}

/// The ids of orders are drawn here, once: a repeat of the same call asks for the same orders.
fn requests(shared: &Shared, turns: &[InHand], reserved: &[Reserved]) -> Vec<HoldRequest> {
    let ports = &shared.ports;
    let now = ports.clock.now();
    let request = |(turn, said): (&InHand, &Reserved)| HoldRequest {
        line_entry: turn.turn.line_entry.clone(),
        hold: turn.hold_id(),
        order: OrderId::generate(now, &ports.random),
        gate: match said {
            Reserved::Held => GateSaid::Held,
            Reserved::Seated(seated) => GateSaid::Seated(seated.clone()),
            Reserved::Short | Reserved::Over => GateSaid::Short,
        },
    };
    turns.iter().zip(reserved).map(request).collect()
}

impl Verdicts {
    fn take(&mut self, mut turn: InHand, said: Reserved, reply: Option<HoldReply>) {
        let (hold, basket) = (turn.hold_id(), turn.basket().clone());
        let unrecorded = || HoldUpdate::unrecorded(hold, basket.clone());
        match reply {
            Some(HoldReply::Settled { record, movement }) => {
                match (record.outcome, movement) {
                    (Outcome::Reserved, Some(movement)) => {
                        self.granted += 1;
                        let phase = HoldPhase::Held;
                        let basket = match said {
                            Reserved::Seated(seated) => seated,
                            Reserved::Held | Reserved::Short | Reserved::Over => basket,
                        };
                        self.updates.push(HoldUpdate { hold, movement, phase, basket });
                    }
                    (Outcome::Reserved, None) => {}
                    _ if said.is_held() => self.updates.push(unrecorded()),
                    _ => {}
                }
                self.settled(turn, record);
            }
            Some(HoldReply::Known { record, hold: known }) => {
                // Its order holds this very stock, unless it has been closed or paid since: then the gate either knows that
                // by number and ignores the release, or had forgotten the hold and has set stock aside anew just now.
                let own = known == Some(hold)
                    && record.order.is_some_and(|order| order.state.is_unpaid_hold());
                match (record.order, &said) {
                    // A gate that had forgotten the hold has chosen its seats anew, and perhaps others.
                    (Some(order), Reserved::Seated(_)) if own => self.misplaced.push(order.order),
                    _ if said.is_held() && !own => self.updates.push(unrecorded()),
                    _ => {}
                }
                self.settled(turn, record);
            }
            Some(HoldReply::GateWrong) => {
                match said {
                    Reserved::Over => turn.hold += 1,
                    Reserved::Short | Reserved::Held | Reserved::Seated(_) => {}
                }
                self.seats_refused |= turn.disagreements > 0 && basket.is_seated();
                turn.disagreements += 1;
                self.through.again.push(turn);
            }
            Some(HoldReply::StandsBy) => {
                if said.is_held() {
                    self.updates.push(unrecorded());
                }
                self.through.done.push(turn);
            }
            Some(HoldReply::Frozen) => {
                if said.is_held() {
                    self.updates.push(unrecorded());
                }
                self.through.frozen.push(turn);
            }
            Some(HoldReply::SeatsTaken { by }) => {
                self.misplaced.extend(by);
                self.updates.push(unrecorded());
                turn.hold += 1;
                turn.disagreements += 1;
                self.through.again.push(turn);
            }
            None => self.through.faulty.push((turn, Fault::LedgerRejects)),
        }
    }

    fn settled(&mut self, turn: InHand, record: EntryRecord) {
        self.records.push(record);
        self.through.done.push(turn);
    }
}

/// Lets gate, line and bulletin follow the ledger, in this order: who hears of an outcome finds it everywhere.
async fn tell(shared: &Shared, sale: &SaleId, verdicts: &mut Verdicts) -> PortResult<()> {
    let ports = &shared.ports;
    if !verdicts.updates.is_empty() {
        shared.ask(|| ports.gate.set(sale, &verdicts.updates)).await?;
    }
    if verdicts.records.is_empty() {
        return Ok(());
    }
    let settle = |record: &EntryRecord| {
        (record.entry, Settlement { outcome: record.outcome, live: record.is_live() })
    };
    let settled: Vec<_> = verdicts.records.iter().map(settle).collect();
    shared.ask(|| ports.line.settle(sale, &settled)).await?;

    let entries = verdicts.records.iter().map(EntryNotice::of).collect();
    let notice = Notice::Entries { sale: sale.clone(), entries };
    match shared.once(ports.bulletin.publish(notice)).await {
        Ok(()) => {
            verdicts.through.told = verdicts.records.iter().map(|record| record.entry).collect();
        }
        Err(error) => tracing::debug!(
            error = &error as &dyn std::error::Error,
            "outcomes were not announced; the relay will do it"
        ),
    }
    if verdicts.updates.iter().any(|update| update.phase == HoldPhase::Released) {
        let woken = ports.bulletin.publish(Notice::StockReturned { sale: sale.clone() });
        if let Err(error) = shared.once(woken).await {
            tracing::debug!(
                error = &error as &dyn std::error::Error,
                "the dispatcher was not woken; it looks by itself"
            );
        }
    }
    Ok(())
}
