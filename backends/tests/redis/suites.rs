//! Every rule of the line and of the stock gate, on one server and on a cluster.

use std::sync::Arc;

use sluice_core::ports::{
    Line, StockGate,
    conformance::{Narrowed, Stage},
};

use crate::home::Home;

macro_rules! suites {
    ($($name:ident: $suite:ident over $house:ident),+ $(,)?) => {
        $(
            mod $name {
                sluice_core::$suite!(super::$house);
            }
        )+
    };
}

/// Every suite over one way to be there.
macro_rules! every_suite {
    ($topology:ident, $open:path) => {
        mod $topology {
            use super::*;

            async fn stage() -> Home {
                $open().await
            }

            async fn line() -> Narrowed<Home, Arc<dyn Line>> {
                Narrowed::new(stage().await, |Stage { line, .. }| line)
            }

            async fn gate() -> Narrowed<Home, Arc<dyn StockGate>> {
                Narrowed::new(stage().await, |Stage { gate, .. }| gate)
            }

            suites! {
                line_places: line_conformance over line,
                line_numbers: numbers_conformance over line,
                line_limits: limits_conformance over line,
                line_calls: calls_conformance over line,
                gate_stock: gate_conformance over gate,
                gate_holds: gate_holds_conformance over gate,
                gate_rebuilds: rebuilds_conformance over gate,
                gate_walk: gate_walk_conformance over gate,
                gate_flight: flight_conformance over stage,
                line_standing: standing_conformance over stage,
                gate_seats: seats_conformance over gate,
            }
        }
    };
}

every_suite!(single, Home::on_a_server);
every_suite!(cluster, Home::on_a_cluster);
