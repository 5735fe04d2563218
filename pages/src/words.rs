//! Numbers, times and money as the server writes them. The browser writes them better (`waiting/words.js`); this is for
//! who has no JavaScript, and for the first moment.

use sluice_core::{
    clock::UnixMillis,
    forecast::EtaSeconds,
    money::{AmountFen, Currency},
    sale::Notice,
};

use crate::texts::Language;

/// `1203` as `1,203`.
pub(crate) fn number(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::with_capacity(digits.len() + digits.len() / 3);
    for (n, digit) in digits.chars().enumerate() {
        if n > 0 && (digits.len() - n).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// `9905` fen as `99.05 CNY`: some currencies have no smaller unit, some a thousand (ISO 4217).
pub(crate) fn money(amount: AmountFen, currency: Currency) -> String {
    let digits = match currency.as_str() {
        "BIF" | "CLP" | "DJF" | "GNF" | "ISK" | "JPY" | "KMF" | "KRW" | "PYG" | "RWF" | "UGX"
        | "VND" | "VUV" | "XAF" | "XOF" | "XPF" => 0,
        "BHD" | "IQD" | "JOD" | "KWD" | "LYD" | "OMR" | "TND" => 3,
        _ => 2,
    };
    let (whole, unit) = (amount.0.unsigned_abs(), 10_u64.pow(digits));
    let rest = whole % unit;
    let width = digits as usize;
    let fraction = if digits == 0 { String::new() } else { format!(".{rest:0width$}") };
    format!("{}{fraction} {currency}", number(whole / unit))
}

/// `2026-11-22 20:00`, in UTC.
pub(crate) fn when(at: UnixMillis) -> String {
    let printed = at.to_string();
    match (printed.get(..10), printed.get(11..16)) {
        (Some(day), Some(time)) => format!("{day} {time}"),
        _ => printed,
    }
}

/// A forecast as an honest range.
pub(crate) fn wait(language: &Language, eta: Option<EtaSeconds>) -> String {
    let Some(EtaSeconds { p50, p90 }) = eta else { return language.say("wait.unknown").to_owned() };
    let late = p50.max(p90);
    if late < 60 {
        return language.say("wait.moment").to_owned();
    }
    let (unit, size) = if late < 90 * 60 { ("unit.minutes", 60) } else { ("unit.hours", 3_600) };
    let (from, to) = ((p50 / size).max(1), late.div_ceil(size));
    let last = language.fill(unit, &[("n", &to.to_string())]);
    if from == to {
        language.fill("wait.about", &[("to", &last)])
    } else {
        language.fill("wait.range", &[("from", &from.to_string()), ("to", &last)])
    }
}

/// The operator's notice in the language nearest to the page's, with its tag.
pub(crate) fn notice<'a>(
    language: &Language,
    notice: Option<&'a Notice>,
) -> Option<(&'a str, &'a str)> {
    let notice = notice?;
    let main = |tag: &str| tag.split('-').next().unwrap_or_default().to_ascii_lowercase();
    let of = |wanted: &str| notice.iter().find(|(tag, _)| main(tag) == main(wanted));
    let found = notice
        .iter()
        .find(|(tag, _)| tag.eq_ignore_ascii_case(&language.tag))
        .or_else(|| of(&language.tag))
        .or_else(|| of("en"))
        .or_else(|| notice.iter().next());
    found.map(|(tag, text)| (tag.as_str(), text.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::texts::Languages;

    #[test]
    fn numbers_and_money_are_written_for_people() {
        assert_eq!([0, 12, 1_203, 1_000_000].map(number), ["0", "12", "1,203", "1,000,000"]);
        let in_currency = |currency: &str| money(AmountFen(9_905), currency.parse().unwrap());
        assert_eq!(["CNY", "JPY", "KWD"].map(in_currency), ["99.05 CNY", "9,905 JPY", "9.905 KWD"]);
        assert_eq!(when(UnixMillis(1_800_000_000_000)), "2027-01-15 08:00");
    }

    #[test]
    fn a_forecast_is_a_range_and_never_finer_than_known() {
        let languages = Languages::ours();
        let english = languages.find("en").unwrap();
        let said = |p50, p90| wait(english, Some(EtaSeconds { p50, p90 }));
        assert_eq!(said(4, 59), "less than a minute");
        assert_eq!(said(30, 61), "1 to 2 min");
        assert_eq!(said(190, 290), "3 to 5 min");
        assert_eq!(said(61, 60), "1 to 2 min");
        assert_eq!(said(120, 120), "about 2 min");
        assert_eq!(said(6_200, 9_900), "1 to 3 h");
        assert_eq!(wait(english, None), "not known yet");
    }

    #[test]
    fn a_notice_comes_in_the_nearest_language_there_is() {
        let languages = Languages::ours();
        let text = |pairs: &[(&str, &str)], tag: &str| {
            let told: Notice = pairs.iter().map(|(t, s)| ((*t).into(), (*s).into())).collect();
            let language = languages.find(tag).unwrap();
            notice(language, Some(&told)).map(|(_, text)| text.to_owned())
        };
        assert_eq!(text(&[("en", "a"), ("zh", "b")], "zh-CN").as_deref(), Some("b"));
        assert_eq!(text(&[("de", "c"), ("en-GB", "a")], "zh-CN").as_deref(), Some("a"));
        assert_eq!(text(&[("de", "c")], "en").as_deref(), Some("c"));
        assert_eq!(text(&[], "en"), None);
    }
}
