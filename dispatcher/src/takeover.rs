//! Taking a line over: making its store and the gate speak under a new epoch. Every step may be repeated.

use sluice_core::{
    ids::{Epoch, Seq},
    line::Cursor,
    ports::{PortError, PortResult, Restore},
    sale::Sale,
};

use crate::{
    Config,
    ports::{DispatcherPorts, Feed, Shared, within},
};

/// Makes the line warm and rebuilds the gate under `epoch`. From here on every earlier speaker is fenced from calling.
/// `reached` is how far this process has brought the line, and `given_out` the highest number it has seen: a line that
/// forgot must not fall behind either.
pub(crate) async fn warm(
    shared: &Shared,
    feed: &Feed,
    epoch: Epoch,
    reached: Option<&Cursor>,
    given_out: Seq,
) -> PortResult<()> {
    let Shared { config, ports, .. } = shared;
    let (limit, id) = (config.port_timeout, &feed.id);
    within(limit, ports.waiting.declare(id)).await?;
    let saved = within(limit, ports.ledger.cursor(id)).await?;
    let furthest = match reached {
        Some(reached) if reached.serving > saved.serving => reached.clone(),
        Some(_) | None => saved,
    };
    match within(limit, ports.line.warm(id, epoch, None)).await {
        Ok(()) => {
            let known = within(limit, ports.line.snapshot(id)).await?;
            // A store that lost its last moments has fallen behind; its holes are the newer ones otherwise.
            if known.cursor.serving < furthest.serving {
                within(limit, ports.line.advance(id, epoch, &furthest)).await?;
            }
        }
        Err(PortError::Cold) => {
            let count = block_numbers(config, &feed.sale.borrow().clone());
            let block = within(limit, ports.ledger.next_block(id, count)).await?;
            // Whoever has a number up to this one may wait in the queue: it is in no hole.
            let last = within(limit, ports.ledger.given_out(id)).await?.max(given_out);
            let restore = Restore { block, cursor: furthest, last };
            within(limit, ports.line.warm(id, epoch, Some(restore))).await?;
        }
        Err(error) => return Err(error),
    }
    rebuild_gate(config, ports, feed, epoch).await
}

/// Sets the gate to one consistent reading of the ledger.
pub(crate) async fn rebuild_gate(
    config: &Config,
    ports: &DispatcherPorts,
    feed: &Feed,
    epoch: Epoch,
) -> PortResult<()> {
    let image = within(config.port_timeout, ports.ledger.gate_image(&feed.id)).await?;
    within(config.port_timeout, ports.gate.rebuild(&feed.id, epoch, image)).await
}

/// How many sequence numbers to ask of the ledger at a time.
pub(crate) fn block_numbers(config: &Config, sale: &Sale) -> u64 {
    sale.policy.line_cap.saturating_mul(2).max(config.block_numbers_min)
}
