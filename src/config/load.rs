//! Lays the three layers over each other and reads the result into types.

use std::{fmt, path::Path};

use toml::{Table, Value};

use super::{Config, check};

const DEFAULTS: &str = include_str!("../config.default.toml");
const PREFIX: &str = "SLUICE_";

/// A configuration that cannot be used: exit code 64.
#[derive(Debug)]
pub(crate) struct ConfigError {
    /// The file, the variable, or what else holds the value.
    pub(crate) place: String,
    /// The key, dotted; empty when the file as a whole is meant.
    pub(crate) key: String,
    /// What is wrong and how to mend it.
    pub(crate) complaint: String,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.key.is_empty() {
            write!(f, "{}: {}", self.place, self.complaint)
        } else {
            write!(f, "{}: `{}`: {}", self.place, self.key, self.complaint)
        }
    }
}

impl std::error::Error for ConfigError {}

/// Where values came from, so that a complaint can say so.
#[derive(Debug, Default)]
pub(super) struct Places {
    file: Option<(String, Table)>,
    variables: Table,
}

impl Places {
    /// The place of a dotted key: the variable or file that sets it (or its nearest parent), else the defaults.
    pub(super) fn of(&self, key: &str) -> String {
        let path: Vec<&str> = key.split('.').collect();
        if reaches(&self.variables, &path) {
            return format!("{PREFIX}{}", path.join("__").to_uppercase());
        }
        match &self.file {
            Some((name, _)) => name.clone(),
            None => "configuration".to_owned(),
        }
    }
}

fn reaches(table: &Table, path: &[&str]) -> bool {
    match path {
        [] => true,
        [first, rest @ ..] => match table.get(*first) {
            Some(Value::Table(inner)) => reaches(inner, rest),
            Some(_) => true,
            None => false,
        },
    }
}

/// Reads the defaults, `file` if given, and `variables` (the environment), and checks the whole.
pub(crate) fn load(
    file: Option<&Path>,
    variables: impl Iterator<Item = (String, String)>,
) -> Result<Config, ConfigError> {
    let (config, places) = lay(file, variables)?;
    check::check(&config, &places)?;
    Ok(config)
}

/// The same for who only asks a process that runs: what that one needs (secrets, above all) may be missing here.
pub(crate) fn read(
    file: Option<&Path>,
    variables: impl Iterator<Item = (String, String)>,
) -> Result<Config, ConfigError> {
    lay(file, variables).map(|(config, _)| config)
}

fn lay(
    file: Option<&Path>,
    variables: impl Iterator<Item = (String, String)>,
) -> Result<(Config, Places), ConfigError> {
    let defaults: Table =
        DEFAULTS.parse().map_err(|error: toml::de::Error| whole("defaults", &error))?;
    let mut merged = defaults.clone();
    let mut places = Places::default();
    if let Some(path) = file {
        let name = path.display().to_string();
        let text = std::fs::read_to_string(path).map_err(|error| ConfigError {
            place: name.clone(),
            key: String::new(),
            complaint: format!("cannot be read ({error}); name a file that exists with --config"),
        })?;
        let table: Table = text.parse().map_err(|error: toml::de::Error| whole(&name, &error))?;
        lay_over(&mut merged, table.clone());
        places.file = Some((name, table));
    }
    places.variables = from_variables(&defaults, variables)?;
    lay_over(&mut merged, places.variables.clone());
    let config: Config = serde_path_to_error::deserialize(Value::Table(merged))
        .map_err(|error| from_serde(&places, &error))?;
    Ok((config, places))
}

fn whole(place: &str, error: &toml::de::Error) -> ConfigError {
    ConfigError {
        place: place.to_owned(),
        key: String::new(),
        complaint: format!("is not TOML: {}", error.to_string().trim()),
    }
}

fn from_serde(places: &Places, error: &serde_path_to_error::Error<toml::de::Error>) -> ConfigError {
    let message = error.inner().message().to_owned();
    let mut key = error.path().to_string();
    if key == "." {
        key.clear();
    }
    // The path of an unknown key ends at its parent: name the key itself.
    if let Some(unknown) =
        message.strip_prefix("unknown field `").and_then(|rest| rest.split('`').next())
        && !key.ends_with(unknown)
    {
        key = if key.is_empty() { unknown.to_owned() } else { format!("{key}.{unknown}") };
    }
    ConfigError { place: places.of(&key), key, complaint: with_remedy(message) }
}

/// What the address types of others say of a text that is none, and how to mend it.
fn with_remedy(message: String) -> String {
    let remedy = match message.as_str() {
        "invalid socket address syntax" => "write an address and a port, such as 127.0.0.1:8080",
        "invalid IP address syntax" => "write a network, such as 10.0.0.0/8 or fd00::/8",
        _ => return message,
    };
    format!("{message}; {remedy}")
}

/// Tables merge key by key; everything else is replaced.
fn lay_over(base: &mut Table, over: Table) {
    for (key, value) in over {
        match (base.get_mut(&key), value) {
            (Some(Value::Table(inner)), Value::Table(table)) => lay_over(inner, table),
            (_, value) => {
                base.insert(key, value);
            }
        }
    }
}

/// `SLUICE_<SECTION>__<KEY>` as a table. A value is TOML if it reads as TOML (numbers, lists), except where the default
/// is a text.
fn from_variables(
    defaults: &Table,
    variables: impl Iterator<Item = (String, String)>,
) -> Result<Table, ConfigError> {
    let mut all = Table::new();
    for (name, text) in variables {
        let Some(key) = name.strip_prefix(PREFIX).filter(|key| key.contains("__")) else {
            continue;
        };
        let path: Vec<String> = key.split("__").map(str::to_lowercase).collect();
        if path.iter().any(String::is_empty) {
            let complaint = "is not a key; write SLUICE_<SECTION>__<KEY>".to_owned();
            return Err(ConfigError { place: name, key: String::new(), complaint });
        }
        let is_text = at(defaults, &path).is_some_and(Value::is_str);
        let value = if is_text { Value::String(text) } else { read_value(text) };
        put(&mut all, &path, value);
    }
    Ok(all)
}

fn at<'a>(table: &'a Table, path: &[String]) -> Option<&'a Value> {
    let (first, rest) = path.split_first()?;
    let value = table.get(first)?;
    if rest.is_empty() { Some(value) } else { at(value.as_table()?, rest) }
}

fn read_value(text: String) -> Value {
    let table: Option<Table> = format!("value = {text}").parse().ok();
    table.and_then(|mut table| table.remove("value")).unwrap_or(Value::String(text))
}

fn put(table: &mut Table, path: &[String], value: Value) {
    let Some((first, rest)) = path.split_first() else { return };
    if rest.is_empty() {
        table.insert(first.clone(), value);
        return;
    }
    let inner = table.entry(first.clone()).or_insert_with(|| Value::Table(Table::new()));
    if !inner.is_table() {
        *inner = Value::Table(Table::new());
    }
    if let Value::Table(inner) = inner {
        put(inner, rest, value);
    }
}

#[cfg(test)]
mod tests;
