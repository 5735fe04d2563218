//! What a buyer is told, in words: subject and body by occasion and language. A language is one file in `worker/texts/`, as
//! for the waiting page in `pages/texts/`. Plain text: what a sale is called can be no markup, no second line, no header.

use std::{collections::BTreeMap, fmt, str::FromStr};

use sluice_core::{clock::UnixMillis, ports::Notification};

/// The first is what everything falls back to.
const OURS: [(&str, &str); 2] = [
    ("en", include_str!("../../texts/en.json")),
    ("zh-CN", include_str!("../../texts/zh-CN.json")),
];
/// Most characters of a title that is put into words.
const TITLE_CHARS_MAX: usize = 120;
/// Farthest zone from UTC, in minutes.
const OFFSET_MINUTES_MAX: u16 = 14 * 60;

/// The words of one notification.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Words {
    /// What they are written in, such as `zh-CN`.
    pub(super) language: &'static str,
    /// One line.
    pub(super) subject: String,
    pub(super) body: String,
}

/// All languages.
#[derive(Clone, Debug)]
pub struct Texts {
    languages: Vec<(&'static str, BTreeMap<String, String>)>,
    offset: UtcOffset,
}

/// How far the clock on the wall of a sale's buyers is from UTC, in minutes.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct UtcOffset(i16);

/// The text is no offset.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("must be an offset from UTC between -14:00 and +14:00, such as \"+08:00\"")]
pub struct BadOffset;

impl FromStr for UtcOffset {
    type Err = BadOffset;

    fn from_str(text: &str) -> Result<Self, BadOffset> {
        let (sign, rest) = match text.split_at_checked(1) {
            Some(("+", rest)) => (1, rest),
            Some(("-", rest)) => (-1, rest),
            _ => return Err(BadOffset),
        };
        let two = |text: &str| {
            let fits = text.len() == 2 && text.bytes().all(|b| b.is_ascii_digit());
            fits.then(|| text.parse::<u16>().ok()).flatten().ok_or(BadOffset)
        };
        let (hours, minutes) = rest.split_once(':').ok_or(BadOffset)?;
        let (hours, minutes) = (two(hours)?, two(minutes)?);
        let whole = hours * 60 + minutes;
        if minutes > 59 || whole > OFFSET_MINUTES_MAX {
            return Err(BadOffset);
        }
        i16::try_from(whole).map(|whole| Self(sign * whole)).map_err(|_| BadOffset)
    }
}

impl fmt::Display for UtcOffset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (sign, minutes) = (if self.0 < 0 { '-' } else { '+' }, self.0.unsigned_abs());
        write!(f, "{sign}{:02}:{:02}", minutes / 60, minutes % 60)
    }
}

impl Texts {
    /// Our languages; times are written as the clock at `offset` shows them.
    #[must_use]
    pub fn new(offset: UtcOffset) -> Self {
        // The tests forbid a file that does not parse.
        let parsed = |json: &str| serde_json::from_str(json).unwrap_or_default();
        Self { languages: OURS.iter().map(|(tag, json)| (*tag, parsed(json))).collect(), offset }
    }

    pub(super) fn words(&self, notification: &Notification) -> Words {
        let (language, texts) = self.spoken(&notification.locale);
        let say = |key: &str| texts.get(key).map_or("", String::as_str);
        let occasion = notification.occasion.as_str();
        let title = one_line(&notification.title, TITLE_CHARS_MAX);
        let titled = [("title", title.as_str())];
        let mut paragraphs = vec![fill(say(&format!("{occasion}.lead")), &titled)];
        let facts: Vec<String> = [
            ("pay_by", notification.pay_by.map(|at| self.time(at))),
            (
                "order",
                notification.order.as_ref().map(|order| one_line(&order.to_string(), usize::MAX)),
            ),
            ("link", notification.link.as_deref().map(|link| one_line(link, usize::MAX))),
        ]
        .into_iter()
        .filter_map(|(name, value)| {
            Some(fill(say(&format!("line.{name}")), &[(name, value?.as_str())]))
        })
        .collect();
        if !facts.is_empty() {
            paragraphs.push(facts.join("\n"));
        }
        paragraphs.push(say("foot").to_owned());
        Words {
            language,
            subject: fill(say(&format!("{occasion}.subject")), &titled),
            body: paragraphs.join("\n\n") + "\n",
        }
    }

    /// The language of this tag, else of the same main language, else the first.
    fn spoken(&self, locale: &str) -> &(&'static str, BTreeMap<String, String>) {
        let main =
            |tag: &str| tag.split(['-', '_']).next().unwrap_or_default().to_ascii_lowercase();
        let exact = self.languages.iter().find(|(tag, _)| tag.eq_ignore_ascii_case(locale));
        let near = || self.languages.iter().find(|(tag, _)| main(tag) == main(locale));
        exact.or_else(near).unwrap_or(&self.languages[0])
    }

    /// `2026-11-11 20:15 (UTC+08:00)`.
    fn time(&self, at: UnixMillis) -> String {
        let shown = UnixMillis(at.0.saturating_add(i64::from(self.offset.0) * 60_000)).to_string();
        match shown.get(..16) {
            Some(minute) => format!("{} (UTC{})", minute.replace('T', " "), self.offset),
            None => shown,
        }
    }
}

/// Replaces `{name}`, once over the text: what is put in is not looked through again.
fn fill(text: &str, values: &[(&str, &str)]) -> String {
    let mut filled = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('{') {
        filled.push_str(before);
        let known = after.split_once('}').and_then(|(name, after)| {
            let (_, value) = values.iter().find(|(known, _)| *known == name)?;
            Some((value, after))
        });
        match known {
            Some((value, after)) => {
                filled.push_str(value);
                rest = after;
            }
            None => {
                filled.push('{');
                rest = after;
            }
        }
    }
    filled + rest
}

/// On one line, without what a mail client could act on: control characters, line separators, changes of direction.
pub(super) fn one_line(text: &str, chars_max: usize) -> String {
    let acts = |c: char| {
        c.is_control()
            || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    let spaced: String = text.chars().map(|c| if acts(c) { ' ' } else { c }).collect();
    let mut line = spaced.split_whitespace().collect::<Vec<_>>().join(" ");
    if let Some((end, _)) = line.char_indices().nth(chars_max) {
        line.truncate(end);
        line.push('…');
    }
    line
}

#[cfg(test)]
mod tests {
    use sluice_core::{
        ids::{BuyerId, EntryId, OrderId, SaleId},
        order::OrderName,
        ports::{Contact, NotificationId, Occasion},
    };

    use super::*;

    fn told(occasion: Occasion, locale: &str, title: &str) -> Notification {
        let entry = EntryId::from_bytes([1; 16]);
        Notification {
            id: NotificationId::of(entry, occasion),
            occasion,
            at: UnixMillis(0),
            sale: SaleId::new("drop").unwrap(),
            title: title.into(),
            entry,
            buyer: BuyerId::new("ada").unwrap(),
            order: Some(OrderName::Own(OrderId::from_bytes([2; 16]))),
            pay_by: Some(UnixMillis(1_794_399_300_000)),
            link: Some("https://queue.example.com/w/drop".into()),
            contact: Contact::default(),
            locale: locale.into(),
        }
    }

    fn texts(offset: &str) -> Texts {
        Texts::new(offset.parse().unwrap())
    }

    #[test]
    fn every_language_has_words_for_every_occasion() {
        let texts = texts("+00:00");
        let (_, english) = &texts.languages[0];
        for (tag, spoken) in &texts.languages {
            assert!(spoken.keys().eq(english.keys()), "{tag}");
            for occasion in Occasion::ALL {
                let words = texts.words(&told(occasion, tag, "The drop"));
                assert_eq!(words.language, *tag);
                assert!(
                    words.subject.contains("The drop") && !words.subject.contains('{'),
                    "{words:?}"
                );
                for part in [
                    "The drop",
                    "2026-11-11 12:15 (UTC+00:00)",
                    "0202",
                    "https://queue.example.com/w/drop",
                ] {
                    assert!(words.body.contains(part), "{part}: {words:?}");
                }
                assert!(!words.body.contains('{'), "{words:?}");
            }
        }
    }

    #[test]
    fn a_language_nobody_wrote_is_english() {
        let texts = texts("+00:00");
        for (locale, tag) in [
            ("", "en"),
            ("fr", "en"),
            ("zh", "zh-CN"),
            ("zh-Hans-CN", "zh-CN"),
            ("ZH_cn", "zh-CN"),
            ("en-GB", "en"),
            ("\r\n", "en"),
        ] {
            assert_eq!(texts.words(&told(Occasion::Closed, locale, "x")).language, tag, "{locale}");
        }
    }

    #[test]
    fn what_there_is_not_is_not_told() {
        let bare = Notification {
            order: None,
            pay_by: None,
            link: None,
            ..told(Occasion::Reserved, "en", "x")
        };
        let words = texts("+00:00").words(&bare);
        assert_eq!(words.body.matches("\n\n").count(), 1, "{words:?}");
    }

    #[test]
    fn a_title_stays_a_title() {
        let odd = "A\r\nBcc: eve@example.com\u{2028}{link} {order}\u{202e}\0";
        let words = texts("+00:00").words(&told(Occasion::Reserved, "en", odd));
        assert!(words.subject.ends_with("A Bcc: eve@example.com {link} {order}"), "{words:?}");
        assert_eq!(words.subject.lines().count(), 1);
        let long = texts("+00:00").words(&told(Occasion::Reserved, "en", &"长".repeat(500)));
        assert!(long.subject.chars().count() < 200, "{long:?}");
    }

    #[test]
    fn times_are_those_of_the_wall() {
        let words = texts("+08:00").words(&told(Occasion::Reserved, "en", "x"));
        assert!(words.body.contains("2026-11-11 20:15 (UTC+08:00)"), "{words:?}");
        let words = texts("-03:30").words(&told(Occasion::Reserved, "en", "x"));
        assert!(words.body.contains("2026-11-11 08:45 (UTC-03:30)"), "{words:?}");
        for bad in
            ["", "8", "+8:00", "+08", "08:00", "+15:00", "+08:60", "+0a:00", "–08:00", "++1:00"]
        {
            assert_eq!(bad.parse::<UtcOffset>(), Err(BadOffset), "{bad}");
        }
    }
}
