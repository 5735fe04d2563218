//! What we write into a message's headers beside its body, and what of a message is taken along when it is sent again.

use std::collections::BTreeMap;

use lapin::{
    BasicProperties,
    types::{AMQPValue, FieldTable, ShortString},
};
use sluice_core::{clock::UnixMillis, ids::LetterId};

use super::{topology, writer::Outgoing};

/// How often a message was retried for faults of its own.
const TRIES: &str = "x-sluice-tries";
/// Since when it has been failing: the moment of its first retry, or of its burial.
const SINCE: &str = "x-sluice-failing-since";
/// Why it was buried.
const REASON: &str = "x-sluice-reason";
/// The queue it was taken from; publishing it to the default exchange with this key replays it.
const SOURCE: &str = "x-sluice-source";
/// What a buried message is known by.
const LETTER: &str = "x-sluice-letter";
/// What the broker notes about a message that a consumer rejected: a list, the last time first.
const DEATHS: &str = "x-death";
/// How we and the broker begin what is written about a message that failed; one that is replayed is new again.
const FAILURES: [&str; 6] = [
    "x-sluice-",
    DEATHS,
    "x-first-death-",
    "x-last-death-",
    "x-delivery-count",
    "x-acquired-count",
];
/// The longest reason that is kept, in characters.
const REASON_CHARS_MAX: usize = 500;
/// Headers by which a message would be routed to further queues.
const ROUTING: [&str; 2] = ["CC", "BCC"];
/// Survives a restart of the broker.
pub(super) const DURABLE: u8 = 2;

/// What came with a body, and must go along with it.
#[derive(Clone, Debug)]
pub(super) struct Parcel {
    pub(super) body: Vec<u8>,
    properties: BasicProperties,
}

impl Parcel {
    pub(super) fn new(body: Vec<u8>, properties: BasicProperties) -> Self {
        Self { body, properties }
    }

    pub(super) fn tries(&self) -> u32 {
        let tries = number(&self.properties, TRIES).unwrap_or(0);
        u32::try_from(tries).unwrap_or(0)
    }

    /// What its sender says it is.
    pub(super) fn kind(&self) -> Option<&str> {
        self.properties.kind().as_ref().map(ShortString::as_str)
    }

    /// The message as it goes to a delay, one try more counted; it comes back to the queue `source`.
    pub(super) fn retried(&self, source: &str, delay_seconds: u32, now: UnixMillis) -> Outgoing {
        let mut headers = self.headers();
        let tries = self.tries().saturating_add(1);
        headers.insert(TRIES.into(), AMQPValue::LongLongInt(tries.into()));
        self.mark_since(&mut headers, now);
        Outgoing {
            exchange: topology::retry(delay_seconds),
            key: source.into(),
            properties: self.properties(headers),
            body: self.body.clone(),
        }
    }

    /// The message as it is buried; it will be known as `letter`.
    pub(super) fn buried(
        &self,
        source: &str,
        reason: &str,
        letter: &LetterId,
        now: UnixMillis,
    ) -> Outgoing {
        let mut headers = self.headers();
        headers.insert(LETTER.into(), AMQPValue::LongString(letter.as_str().into()));
        let reason: String = reason.chars().take(REASON_CHARS_MAX).collect();
        headers.insert(TRIES.into(), AMQPValue::LongLongInt(self.tries().into()));
        headers.insert(REASON.into(), AMQPValue::LongString(reason.into()));
        headers.insert(SOURCE.into(), AMQPValue::LongString(source.into()));
        self.mark_since(&mut headers, now);
        Outgoing {
            exchange: topology::DEAD.into(),
            key: source.into(),
            properties: self.properties(headers),
            body: self.body.clone(),
        }
    }

    /// A buried message as it goes back to the queue it came from.
    pub(super) fn replayed(&self, exchange: &str, queue: &str) -> Outgoing {
        let is_new = |key: &str| !FAILURES.iter().any(|failure| key.starts_with(failure));
        let headers = self.headers_if(is_new);
        Outgoing {
            exchange: exchange.into(),
            key: queue.into(),
            properties: self.properties(headers),
            body: self.body.clone(),
        }
    }

    /// What a buried message is known by, if it was given a name.
    pub(super) fn letter(&self) -> Option<LetterId> {
        LetterId::new(&text(&self.properties, LETTER)?).ok()
    }

    pub(super) fn reason(&self) -> Option<String> {
        text(&self.properties, REASON)
    }

    pub(super) fn message_id(&self) -> Option<String> {
        self.properties.message_id().as_ref().map(ToString::to_string)
    }

    /// The queue a buried message was taken from, as we or the broker wrote it down.
    pub(super) fn source(&self) -> Option<String> {
        text(&self.properties, SOURCE).or_else(|| match self.death()?.get("queue") {
            Some(AMQPValue::LongString(queue)) => Some(queue.to_string()),
            _ => None,
        })
    }

    /// Since when it has been failing, likewise.
    pub(super) fn since(&self) -> Option<UnixMillis> {
        let headers = self.properties.headers().as_ref();
        let ours = headers.and_then(|headers| headers.inner().get(SINCE));
        let since = match ours {
            Some(since) => since,
            None => self.death()?.get("time")?,
        };
        let AMQPValue::Timestamp(seconds) = since else { return None };
        Some(UnixMillis(i64::try_from(*seconds).ok()?.saturating_mul(1_000)))
    }

    fn death(&self) -> Option<&BTreeMap<ShortString, AMQPValue>> {
        let deaths = self.properties.headers().as_ref()?.inner().get(DEATHS)?;
        let AMQPValue::FieldArray(deaths) = deaths else { return None };
        let AMQPValue::FieldTable(death) = deaths.as_slice().first()? else { return None };
        Some(death.inner())
    }

    fn headers(&self) -> FieldTable {
        self.headers_if(|_| true)
    }

    fn headers_if(&self, goes_along: impl Fn(&str) -> bool) -> FieldTable {
        let Some(headers) = self.properties.headers() else { return FieldTable::default() };
        let stays = |(key, _): &(&ShortString, &AMQPValue)| {
            !ROUTING.contains(&key.as_str()) && goes_along(key.as_str())
        };
        let kept = headers.into_iter().filter(stays);
        let kept: BTreeMap<_, _> = kept.map(|(key, value)| (key.clone(), value.clone())).collect();
        kept.into()
    }

    fn mark_since(&self, headers: &mut FieldTable, now: UnixMillis) {
        if !headers.contains_key(SINCE) {
            let seconds = u64::try_from(now.0 / 1_000).unwrap_or(0);
            headers.insert(SINCE.into(), AMQPValue::Timestamp(seconds));
        }
    }

    /// What describes the body stays. What steered the broker does not: a time to live would let a buried message vanish,
    /// and a stranger's user id would have ours refused.
    fn properties(&self, headers: FieldTable) -> BasicProperties {
        let was = &self.properties;
        let mut properties =
            BasicProperties::default().with_delivery_mode(DURABLE).with_headers(headers);
        if let Some(content_type) = was.content_type() {
            properties = properties.with_content_type(content_type.clone());
        }
        if let Some(encoding) = was.content_encoding() {
            properties = properties.with_content_encoding(encoding.clone());
        }
        if let Some(id) = was.message_id() {
            properties = properties.with_message_id(id.clone());
        }
        if let Some(id) = was.correlation_id() {
            properties = properties.with_correlation_id(id.clone());
        }
        if let Some(kind) = was.kind() {
            properties = properties.with_type(kind.clone());
        }
        if let Some(timestamp) = was.timestamp() {
            properties = properties.with_timestamp(*timestamp);
        }
        properties
    }
}

/// A whole number in a header, whichever width it was written with.
pub(super) fn number(properties: &BasicProperties, key: &str) -> Option<i64> {
    let value = properties.headers().as_ref()?.inner().get(key)?;
    if let AMQPValue::LongLongInt(number) = value {
        Some(*number)
    } else if let AMQPValue::LongInt(number) = value {
        Some((*number).into())
    } else if let AMQPValue::LongUInt(number) = value {
        Some((*number).into())
    } else if let AMQPValue::ShortInt(number) = value {
        Some((*number).into())
    } else if let AMQPValue::ShortShortInt(number) = value {
        Some((*number).into())
    } else {
        None
    }
}

/// A text in a header.
pub(super) fn text(properties: &BasicProperties, key: &str) -> Option<String> {
    let value = properties.headers().as_ref()?.inner().get(key)?;
    if let AMQPValue::LongString(text) = value { Some(text.to_string()) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn foreign() -> Parcel {
        let mut headers = FieldTable::default();
        headers.insert("CC".into(), AMQPValue::LongString("elsewhere".into()));
        headers.insert("trace".into(), AMQPValue::LongString("7".into()));
        let properties = BasicProperties::default()
            .with_headers(headers)
            .with_expiration("10".into())
            .with_user_id("stranger".into())
            .with_message_id("m-1".into());
        Parcel::new(b"body".to_vec(), properties)
    }

    fn letter() -> LetterId {
        LetterId::new("letter-1").unwrap()
    }

    #[test]
    fn a_replayed_message_has_no_failures() {
        let tried = foreign().retried("sluice.turns", 4, UnixMillis(5_000));
        let tried = Parcel::new(tried.body, tried.properties);
        let buried = tried.buried("sluice.turns", "odd", &letter(), UnixMillis(9_000));
        let buried = Parcel::new(buried.body, buried.properties);
        assert_eq!((buried.letter(), buried.tries()), (Some(letter()), 1));
        assert_eq!(buried.source().as_deref(), Some("sluice.turns"));
        assert_eq!(buried.since(), Some(UnixMillis(5_000)), "the first time");
        let again = buried.replayed("sluice.turns", "sluice.turns");
        assert_eq!((again.exchange.as_str(), again.key.as_str()), ("sluice.turns", "sluice.turns"));
        let again = Parcel::new(again.body, again.properties);
        assert_eq!((again.letter(), again.tries(), again.since()), (None, 0, None));
        assert_eq!((again.source(), again.reason()), (None, None));
        assert_eq!(text(&again.properties, "trace").unwrap(), "7");
    }

    #[test]
    fn what_describes_a_message_goes_along_and_what_steers_it_does_not() {
        let buried = foreign().buried("sluice.turns", "not a turn", &letter(), UnixMillis(5_000));
        let properties = &buried.properties;
        assert_eq!(properties.message_id().as_ref().unwrap().as_str(), "m-1");
        assert_eq!(text(properties, "trace").unwrap(), "7");
        assert_eq!(text(properties, REASON).unwrap(), "not a turn");
        assert_eq!(text(properties, SOURCE).unwrap(), "sluice.turns");
        assert_eq!(properties.expiration(), &None);
        assert_eq!(properties.user_id(), &None);
        assert_eq!(text(properties, "CC"), None);
    }

    #[test]
    fn tries_and_the_first_failure_are_carried_from_try_to_try() {
        let once = foreign().retried("sluice.turns", 4, UnixMillis(5_000));
        assert_eq!(
            (once.exchange.as_str(), once.key.as_str()),
            ("sluice.retry.4s", "sluice.turns")
        );
        let again = Parcel::new(once.body, once.properties);
        assert_eq!(again.tries(), 1);
        let twice = again.retried("sluice.turns", 8, UnixMillis(9_000));
        let since = twice.properties.headers().as_ref().unwrap().inner().get(SINCE);
        assert_eq!(since, Some(&AMQPValue::Timestamp(5)));
        assert_eq!(Parcel::new(vec![], twice.properties).tries(), 2);
    }

    #[test]
    fn a_long_reason_is_cut() {
        let buried = foreign().buried("q", &"é".repeat(2_000), &letter(), UnixMillis(0));
        assert_eq!(text(&buried.properties, REASON).unwrap().chars().count(), REASON_CHARS_MAX);
    }
}
