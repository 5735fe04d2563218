//! The ledger on PostgreSQL keeps every rule of its port, against a real server which this binary starts itself; and what
//! is its own, from outside: opening, migrations, constraints, cancelled calls, frozen and dying servers, two processes.
//!
//! A house is a database of its own. A crash drops all its connections abruptly and opens the database anew.

#![expect(clippy::unwrap_used, reason = "test code")]

#[path = "postgres/cancelled.rs"]
mod cancelled;
#[path = "postgres/constraints.rs"]
mod constraints;
#[path = "postgres/house.rs"]
mod house;
#[path = "postgres/limits.rs"]
mod limits;
#[path = "postgres/migrations.rs"]
mod migrations;
#[path = "postgres/opening.rs"]
mod opening;
#[path = "postgres/outages.rs"]
mod outages;
#[path = "postgres/proxy.rs"]
mod proxy;
#[path = "postgres/server.rs"]
mod server;
#[path = "postgres/twins.rs"]
mod twins;

use house::House;

macro_rules! suites {
    ($($name:ident: $suite:ident),+ $(,)?) => {
        $(
            mod $name {
                sluice_core::$suite!(super::House::new);
            }
        )+
    };
}

suites! {
    sales: sales_conformance,
    audit: audit_conformance,
    speaker: speaker_conformance,
    entries: entries_conformance,
    holds: holds_conformance,
    seat_holds: seat_holds_conformance,
    seat_returns: seat_returns_conformance,
    images: images_conformance,
    orders: orders_conformance,
    payments: payments_conformance,
    batches: batches_conformance,
    aftersales: aftersales_conformance,
    changes: changes_conformance,
    shop: shop_conformance,
    simulated: simulated_conformance,
    upkeep: upkeep_conformance,
    moves: moves_conformance,
    standby: standby_conformance,
    walk: ledger_walk_conformance,
}
