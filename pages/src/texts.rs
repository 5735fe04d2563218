//! The page's sentences by language, and which language a visitor gets. A language is one file in `texts/`; an operator's
//! brand may change some sentences, or bring whole languages.

use std::collections::BTreeMap;

use crate::brand::Brand;

/// Our own languages; the first is what everything falls back to.
const OURS: [(&str, &str); 2] =
    [("en", include_str!("../texts/en.json")), ("zh-CN", include_str!("../texts/zh-CN.json"))];
/// What the server alone says, by the beginnings of its keys: the script needs no copy.
const SERVER_ONLY: [&str; 8] = [
    "language.",
    "page.",
    "script.",
    "unit.",
    "notice.label",
    "before.at_server",
    "reserved.script",
    "join.free_legs",
];
/// What the script reads when it is wanted: with `move.js`.
const OF_MOVES: [&str; 2] = ["move.", "take."];
/// Longest sentence, in characters.
const TEXT_CHARS_MAX: usize = 1_000;

/// Sentences by key.
pub(crate) type Texts = BTreeMap<String, String>;

/// One language.
#[derive(Clone, Debug)]
pub(crate) struct Language {
    /// Such as `zh-CN`.
    pub(crate) tag: String,
    texts: Texts,
}

/// All languages the page speaks; never none.
#[derive(Clone, Debug)]
pub(crate) struct Languages(Vec<Language>);

impl Language {
    /// The sentence of `key`; the key itself if there is none, which the tests forbid.
    pub(crate) fn say<'a>(&'a self, key: &'a str) -> &'a str {
        self.texts.get(key).map_or(key, String::as_str)
    }

    /// The sentences of these keys, as JSON.
    fn file(&self, of: impl Fn(&str) -> bool) -> String {
        let texts: BTreeMap<_, _> = self.texts.iter().filter(|(key, _)| of(key)).collect();
        // A map of texts always serialises.
        serde_json::to_string(&texts).unwrap_or_default()
    }

    /// The same, with `{name}` replaced.
    pub(crate) fn fill(&self, key: &str, values: &[(&str, &str)]) -> String {
        let mut text = self.say(key).to_owned();
        for (name, value) in values {
            text = text.replace(&format!("{{{name}}}"), value);
        }
        text
    }
}

impl Languages {
    pub(crate) fn ours() -> Self {
        Self::with(&Brand::default())
    }

    /// Our languages with an operator's sentences over them. What a new language leaves out is said in English.
    pub(crate) fn with(brand: &Brand) -> Self {
        let parsed = |json: &str| serde_json::from_str::<Texts>(json).unwrap_or_default();
        let mut languages: Vec<Language> = OURS
            .iter()
            .map(|(tag, json)| Language { tag: (*tag).to_owned(), texts: parsed(json) })
            .collect();
        for (tag, texts) in brand.texts() {
            if !languages.iter().any(|one| one.tag.eq_ignore_ascii_case(tag)) {
                let english = languages.first().map(|one| one.texts.clone()).unwrap_or_default();
                languages.push(Language { tag: tag.clone(), texts: english });
            }
            if let Some(known) = languages.iter_mut().find(|one| one.tag.eq_ignore_ascii_case(tag))
            {
                known.texts.extend(texts.clone());
            }
        }
        Self(languages)
    }

    pub(crate) fn all(&self) -> &[Language] {
        &self.0
    }

    /// The language of exactly this tag.
    pub(crate) fn find(&self, tag: &str) -> Option<&Language> {
        self.0.iter().find(|language| language.tag.eq_ignore_ascii_case(tag))
    }

    /// The first of what `Accept-Language` prefers that is spoken here, by tag, else by main language; else the first.
    pub(crate) fn preferred(&self, accept: &str) -> &Language {
        let mut wanted: Vec<(&str, f32)> = accept.split(',').take(20).map(weighted).collect();
        wanted.sort_by(|a, b| b.1.total_cmp(&a.1));
        let main = |tag: &str| tag.split('-').next().unwrap_or_default().to_ascii_lowercase();
        let found = wanted.iter().filter(|(_, weight)| *weight > 0.0).find_map(|(tag, _)| {
            self.find(tag).or_else(|| self.0.iter().find(|one| main(&one.tag) == main(tag)))
        });
        found.unwrap_or(&self.0[0])
    }

    /// The files the page's script reads, by name: of each language what it needs at once, and what comes with `move.js`.
    pub(crate) fn files(&self) -> impl Iterator<Item = (String, String)> {
        let begins = |key: &str, with: &[&str]| with.iter().any(|own| key.starts_with(own));
        self.0.iter().flat_map(move |language| {
            let now = |key: &str| !begins(key, &SERVER_ONLY) && !begins(key, &OF_MOVES);
            let moves = |key: &str| begins(key, &OF_MOVES);
            let (now, moves) = (language.file(now), language.file(moves));
            [
                (format!("{}.json", language.tag), now),
                (format!("{}.move.json", language.tag), moves),
            ]
        })
    }
}

/// `de;q=0.8` taken apart.
fn weighted(part: &str) -> (&str, f32) {
    let (tag, weight) = part.split_once(';').unwrap_or((part, ""));
    let weight = weight.trim().strip_prefix("q=").and_then(|weight| weight.parse().ok());
    (tag.trim(), weight.unwrap_or(1.0))
}

/// Whether a file may be named so: `en`, `pt-BR`, `zh-Hant-TW`.
pub(crate) fn is_tag(tag: &str) -> bool {
    (2..=35).contains(&tag.len())
        && tag.split('-').all(|part| {
            (1..=8).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_alphanumeric())
        })
}

/// Reads an operator's sentences of the language `tag`; the error completes a sentence that begins with the file.
pub(crate) fn read(bytes: &[u8], tag: &str) -> Result<Texts, String> {
    let ours = Languages::ours();
    let english = ours.all().first().ok_or("has nothing to be compared with")?;
    let texts: Texts = serde_json::from_slice(bytes)
        .map_err(|error| format!("is not a JSON object of texts: {error}"))?;
    for (key, text) in &texts {
        let Some(known) = english.texts.get(key) else {
            return Err(format!("has the key {key:?}, which the page does not know"));
        };
        if text.trim().is_empty() || text.chars().count() > TEXT_CHARS_MAX {
            return Err(format!("{key:?} must have 1 to {TEXT_CHARS_MAX} characters"));
        }
        if let Some(stray) =
            placeholders(text).find(|name| !placeholders(known).any(|one| one == *name))
        {
            return Err(format!("{key:?} uses {{{stray}}}, which is not filled in there"));
        }
    }
    if !matches!(texts.get("language.direction").map(String::as_str), None | Some("ltr" | "rtl")) {
        return Err("\"language.direction\" must be \"ltr\" or \"rtl\"".to_owned());
    }
    if ours.find(tag).is_none() && !texts.contains_key("language.name") {
        return Err("is a new language: it needs \"language.name\"".to_owned());
    }
    Ok(texts)
}

/// The names in braces.
fn placeholders(text: &str) -> impl Iterator<Item = &str> {
    text.split('{').skip(1).filter_map(|rest| Some(rest.split_once('}')?.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_language_says_everything_with_the_same_placeholders() {
        let languages = Languages::ours();
        let english = &languages.all()[0];
        assert!(english.texts.len() > 100);
        for language in languages.all() {
            assert!(language.texts.keys().eq(english.texts.keys()), "{}", language.tag);
            for (key, text) in &language.texts {
                let mut names: Vec<_> = placeholders(text).collect();
                let mut known: Vec<_> = placeholders(&english.texts[key]).collect();
                names.sort_unstable();
                known.sort_unstable();
                assert_eq!(names, known, "{} {key}", language.tag);
                assert!(!text.trim().is_empty(), "{} {key}", language.tag);
            }
        }
    }

    /// Keys that are put together, such as those of a scene, are looked at by the browser tests.
    #[test]
    fn the_script_has_every_sentence_it_asks_for() {
        let languages = Languages::ours();
        let files: Vec<_> = languages.files().take(2).collect();
        assert_eq!([&files[0].0, &files[1].0], ["en.json", "en.move.json"]);
        let [sent, later]: [Texts; 2] = [0, 1].map(|n| serde_json::from_str(&files[n].1).unwrap());
        let script = crate::bundle::script();
        let known = |word: &&str| languages.all()[0].texts.contains_key(*word);
        let moves = include_str!("../waiting/move.js").split(['\'', '`']).filter(known);
        let moves: Vec<&str> = moves.collect();
        assert!(moves.len() > 10);
        assert!(moves.iter().all(|key| sent.contains_key(*key) || later.contains_key(*key)));
        let asked: Vec<&str> = script.split(['\'', '`']).filter(known).collect();
        assert!(asked.len() > 50 && asked.iter().all(|key| sent.contains_key(*key)), "{asked:?}");
        assert!(sent.len() < languages.all()[0].texts.len());
    }

    #[test]
    fn a_visitor_gets_what_the_browser_prefers() {
        let languages = Languages::ours();
        for (accept, tag) in [
            ("", "en"),
            ("de-DE, fr;q=0.5", "en"),
            ("zh-CN,zh;q=0.9,en;q=0.8", "zh-CN"),
            ("ZH-hans;q=0.7, de", "zh-CN"),
            ("en;q=0.1, zh;q=0.2", "zh-CN"),
            ("zh;q=0, en", "en"),
            ("*", "en"),
        ] {
            assert_eq!(languages.preferred(accept).tag, tag, "{accept}");
        }
    }

    #[test]
    fn an_operator_may_change_sentences_and_bring_languages() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("texts")).unwrap();
        let write = |name: &str, json: &str| {
            std::fs::write(folder.path().join("texts").join(name), json).unwrap()
        };
        write("en.json", r#"{ "join.button": "Get in line" }"#);
        write("ar.json", r#"{ "language.name": "العربية", "language.direction": "rtl" }"#);
        let languages = Languages::with(&Brand::read(folder.path()).unwrap());
        assert_eq!(languages.find("en").unwrap().say("join.button"), "Get in line");
        let arabic = languages.preferred("ar-EG");
        assert_eq!(
            (arabic.say("language.direction"), arabic.say("left.heading")),
            ("rtl", "You have left the line")
        );
        write("fr.json", r#"{ "join.button": "Rejoindre" }"#);
        let error = Brand::read(folder.path()).unwrap_err().to_string();
        assert!(error.contains("fr.json") && error.contains("language.name"), "{error}");
    }
}
