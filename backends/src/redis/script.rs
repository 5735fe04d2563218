//! The scripts: each with what they share before it, known to the server by its hash.

use std::sync::LazyLock;

use redis::{Cmd, ToRedisArgs};

/// A script.
#[derive(Debug)]
pub(super) struct Script {
    /// The operation's name in the metrics.
    pub(super) name: &'static str,
    code: String,
    hash: String,
}

impl Script {
    fn new(name: &'static str, parts: &[&str]) -> Self {
        let code = parts.join("\n");
        let hash = redis::Script::new(&code).get_hash().to_owned();
        Self { name, code, hash }
    }

    /// The command that makes the script known to the server.
    pub(super) fn load(&self) -> Cmd {
        let mut load = redis::cmd("SCRIPT");
        load.arg("LOAD").arg(&self.code);
        load
    }

    /// A call of the script over these keys.
    pub(super) fn on(&'static self, keys: &[&str]) -> Call {
        let mut command = Cmd::with_capacity(3 + keys.len(), 256);
        command.arg("EVALSHA").arg(&self.hash).arg(keys.len()).arg(keys);
        Call { script: self, command }
    }
}

/// A script, its keys and its arguments.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) script: &'static Script,
    pub(super) command: Cmd,
}

impl Call {
    pub(super) fn arg(&mut self, argument: impl ToRedisArgs) {
        self.command.arg(argument);
    }
}

macro_rules! lua {
    ($name:literal) => {
        include_str!(concat!("lua/", $name, ".lua"))
    };
}

macro_rules! scripts {
    ($($constant:ident: $name:literal = [$($file:literal),+];)+) => {
        $(
            pub(super) static $constant: LazyLock<Script> =
                LazyLock::new(|| Script::new($name, &[$(lua!($file)),+]));
        )+
    };
}

scripts! {
    PROBE: "probe" = ["shared", "probe"];
    LINE_WARM: "line.warm" = ["shared", "line_warm"];
    LINE_EXTEND: "line.extend" = ["shared", "flight", "places", "line_extend"];
    LINE_JOIN: "line.join" = ["shared", "flight", "places", "limits", "line_join"];
    LINE_CONFIRM: "line.confirm" = ["shared", "flight", "places", "line_confirm"];
    LINE_FIND: "line.find" = ["shared", "flight", "places", "line_find"];
    LINE_FIND_BUYER: "line.find_buyer" = ["shared", "flight", "places", "line_find_buyer"];
    LINE_SEEN: "line.seen" = ["shared", "flight", "places", "line_seen"];
    LINE_CALL: "line.call" = ["shared", "flight", "places", "line_call"];
    LINE_STAND_BY: "line.stand_by" = ["shared", "flight", "places", "line_stand_by"];
    LINE_SETTLE: "line.settle" = ["shared", "flight", "places", "line_settle"];
    LINE_ADVANCE: "line.advance" = ["shared", "flight", "places", "line_advance"];
    LINE_SNAPSHOT: "line.snapshot" = ["shared", "flight", "places", "line_snapshot"];
    LINE_FORGET: "line.forget" = ["forget"];
    GATE_REBUILD: "gate.rebuild" = ["shared", "seats", "stock", "gate_rebuild"];
    GATE_SWEEP: "gate.sweep" = ["shared", "seats", "stock", "gate_sweep"];
    GATE_RESERVE: "gate.reserve" = ["shared", "flight", "seats", "stock", "seat_choice", "gate_reserve"];
    GATE_SET: "gate.set" = ["shared", "seats", "stock", "gate_set"];
    GATE_RESTOCK: "gate.restock" = ["shared", "seats", "stock", "gate_restock"];
    GATE_LEVELS: "gate.levels" = ["shared", "flight", "seats", "stock", "gate_levels"];
    GATE_HOLDS: "gate.holds" = ["shared", "seats", "stock", "gate_holds"];
    GATE_FORGET: "gate.forget" = ["forget"];
}
