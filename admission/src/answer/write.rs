//! The entry object as JSON, written by hand: polls are what this program does most, and the general serialiser takes
//! twice as long. The bytes are those of `serde_json`; the tests compare them.

use std::{fmt::Display, io::Write};

use sluice_core::{
    clock::UnixMillis, ids::UUID_CHARS, order::OrderName, view::object::EntryObject,
};

/// Room for an object with its token.
const BYTES_USUAL: usize = 768;

/// `None` when a link or the name of an order holds characters that JSON must escape: then the general serialiser writes it.
pub(super) fn entry(object: &EntryObject) -> Option<Vec<u8>> {
    let links = &object.links;
    if !(is_plain(&links.own)
        && is_plain(&links.push)
        && links.order.as_deref().is_none_or(is_plain)
        && object.order.as_ref().is_none_or(is_plain_name))
    {
        return None;
    }
    let mut json = Json(Vec::with_capacity(BYTES_USUAL));
    json.raw("{\"entry\":").text(object.entry.print(&mut [0; UUID_CHARS]));
    json.raw(",\"sale\":").text(object.sale.as_str());
    json.raw(",\"state\":").text(object.state.as_str());
    json.raw(",\"version\":").whole(object.version.0);
    json.raw(",\"seq\":").optional(object.seq, |json, seq| json.whole(seq.0));
    json.raw(",\"position\":").optional(object.position, Json::whole);
    json.raw(",\"serving\":").whole(object.serving.0);
    json.raw(",\"eta_seconds\":").optional(object.eta_seconds, |json, eta| {
        json.raw("{\"p50\":").whole(eta.p50).raw(",\"p90\":").whole(eta.p90).raw("}")
    });
    json.raw(",\"odds\":").optional(object.odds, |json, odds| json.text(odds.as_str()));
    json.raw(",\"poll_after_ms\":").whole(object.poll_after_ms);
    if let Some(token) = &object.token {
        json.raw(",\"token\":").text(token);
    }
    json.raw(",\"token_expires_at\":").time(object.token_expires_at);
    json.raw(",\"order\":").optional(object.order.as_ref(), |json, order| json.shown(order));
    if let Some(pay_by) = object.pay_by {
        json.raw(",\"pay_by\":").time(pay_by);
    }
    if let Some(reason) = object.reason {
        json.raw(",\"reason\":").text(reason);
    }
    if object.stale {
        json.raw(",\"stale\":true");
    }
    json.raw(",\"links\":{\"self\":").text(&links.own).raw(",\"push\":").text(&links.push);
    if let Some(order) = &links.order {
        json.raw(",\"order\":").text(order);
    }
    json.raw("}}");
    Some(json.0)
}

/// Looks at every byte whatever it finds: that is many at a time.
fn is_plain(text: &str) -> bool {
    text.bytes().fold(true, |plain, byte| plain & (byte >= 0x20) & (byte != b'"') & (byte != b'\\'))
}

fn is_plain_name(order: &OrderName) -> bool {
    match order {
        OrderName::Own(_) => true,
        OrderName::Shop(name) => is_plain(name.as_str()),
    }
}

struct Json(Vec<u8>);

impl Json {
    fn raw(&mut self, text: &str) -> &mut Self {
        self.0.extend_from_slice(text.as_bytes());
        self
    }

    /// A text that needs no escapes: a slug, a token of ours, a checked link.
    fn text(&mut self, text: &str) -> &mut Self {
        self.raw("\"").raw(text).raw("\"")
    }

    fn time(&mut self, time: UnixMillis) -> &mut Self {
        self.raw("\"");
        time.write_to(&mut self.0);
        self.raw("\"")
    }

    /// A name whose printed form needs no escapes.
    fn shown(&mut self, shown: &impl Display) -> &mut Self {
        self.raw("\"");
        // Writing to memory does not fail.
        let _ = write!(self.0, "{shown}");
        self.raw("\"")
    }

    fn whole(&mut self, number: u64) -> &mut Self {
        self.raw(itoa::Buffer::new().format(number))
    }

    fn optional<T>(
        &mut self,
        value: Option<T>,
        write: impl FnOnce(&mut Self, T) -> &mut Self,
    ) -> &mut Self {
        match value {
            Some(value) => write(self, value),
            None => self.raw("null"),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use sluice_core::{
        clock::UnixMillis,
        entry::EntryState,
        forecast::{EtaSeconds, Odds},
        ids::{EntryId, OrderId, SaleId, Seq, Version},
        view::object::Links,
    };

    use super::*;

    const STATES: [EntryState; 8] = [
        EntryState::Waiting,
        EntryState::Called,
        EntryState::Standby,
        EntryState::Reserved,
        EntryState::SoldOut,
        EntryState::Left,
        EntryState::Expired,
        EntryState::Refused,
    ];
    const ODDS: [Odds; 4] = [Odds::Sure, Odds::Likely, Odds::Unlikely, Odds::Gone];

    fn links(base: &str, order: bool) -> Links {
        Links {
            own: format!("{base}/v1/sales/demo/entries/1"),
            push: format!("{base}/v1/sales/demo/push"),
            order: order.then(|| format!("{base}/v1/orders/1")),
        }
    }

    proptest! {
        /// Byte for byte what the general serialiser writes.
        #[test]
        fn the_bytes_are_those_of_serde(
            (state, odds, token) in (0..8_usize, proptest::option::of(0..4_usize), proptest::option::of("[A-Za-z0-9_-]{1,200}")),
            (version, seq, serving, poll_after_ms) in any::<(u64, u64, u64, u64)>(),
            (position, eta) in any::<(Option<u64>, Option<(u64, u64)>)>(),
            (order, pay_by, expires) in (any::<Option<[u8; 16]>>(), proptest::option::of(0..4e12 as i64), 0..4e12 as i64),
            (stale, reason, far, numbered) in any::<(bool, bool, bool, bool)>(),
        ) {
            let object = EntryObject {
                entry: EntryId::from_bytes(seq.to_be_bytes().repeat(2).try_into().unwrap()),
                sale: SaleId::new("demo").unwrap(),
                state: STATES[state],
                version: Version(version),
                seq: numbered.then_some(Seq(seq)),
                position,
                serving: Seq(serving),
                eta_seconds: eta.map(|(p50, p90)| EtaSeconds { p50, p90 }),
                odds: odds.map(|n| ODDS[n]),
                poll_after_ms,
                token,
                token_expires_at: UnixMillis(expires),
                order: order.map(|bytes| OrderName::Own(OrderId::from_bytes(bytes))),
                pay_by: pay_by.map(UnixMillis),
                reason: reason.then_some("banned"),
                stale,
                links: links(if far { "https://wait.example" } else { "" }, order.is_some()),
            };
            let written = String::from_utf8(entry(&object).unwrap()).unwrap();
            prop_assert_eq!(written, serde_json::to_string(&object).unwrap());
        }

        #[test]
        fn every_number_is_written_whole(number: u64) {
            let mut json = Json(Vec::new());
            json.whole(number);
            prop_assert_eq!(String::from_utf8(json.0).unwrap(), number.to_string());
        }
    }

    #[test]
    fn a_link_that_needs_escapes_is_left_to_the_general_serialiser() {
        for odd in ["https://a\"b", "https://a\\b", "https://a\nb"] {
            assert!(!is_plain(odd), "{odd:?}");
        }
        assert!(is_plain("https://wait.example/ä"));
    }
}
