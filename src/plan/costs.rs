//! What things cost: the figures of `costs.toml`, and those that a file of the planner's own lays over them.

use std::{fs, path::Path};

use serde::{Deserialize, Serialize};
use toml::{Table, Value};

use crate::exit::Usage;

const COSTS: &str = include_str!("costs.toml");

/// The figures, in the units of their names. All above 0.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Costs {
    pub(crate) admission: Admission,
    pub(crate) ws_push: WsPush,
    pub(crate) worker: Worker,
    pub(crate) dispatcher: Dispatcher,
    pub(crate) redis: Redis,
    pub(crate) rabbitmq: RabbitMq,
    pub(crate) postgres: Postgres,
    pub(crate) embedded: Embedded,
    pub(crate) wire: Wire,
    pub(crate) network: Network,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Admission {
    pub(crate) joins_per_second_per_core: f64,
    pub(crate) polls_per_second_per_core: f64,
    pub(crate) idle_bytes: f64,
    pub(crate) bytes_per_connection: f64,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct WsPush {
    pub(crate) connects_per_second_per_core: f64,
    pub(crate) frames_per_second_per_core: f64,
    pub(crate) line_frames_per_second: f64,
    pub(crate) idle_bytes: f64,
    pub(crate) bytes_per_connection: f64,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Worker {
    pub(crate) turns_per_second_per_core: f64,
    pub(crate) settlements_per_second_per_core: f64,
    pub(crate) idle_bytes: f64,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Dispatcher {
    pub(crate) turns_per_second: f64,
    pub(crate) idle_bytes: f64,
    pub(crate) bytes_per_entry: f64,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Redis {
    pub(crate) commands_per_second: f64,
    pub(crate) commands_per_join: f64,
    pub(crate) commands_per_turn: f64,
    pub(crate) bytes_per_join: f64,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RabbitMq {
    pub(crate) messages_per_second: f64,
    pub(crate) joins_per_message: f64,
    pub(crate) messages_per_turn: f64,
    pub(crate) bytes_per_join: f64,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Postgres {
    pub(crate) orders_per_second: f64,
    pub(crate) settlements_per_second: f64,
    pub(crate) outcomes_per_second: f64,
    pub(crate) rows_per_order: f64,
    pub(crate) rows_per_settlement: f64,
    pub(crate) batch_milliseconds: f64,
    pub(crate) bytes_per_order: f64,
    pub(crate) bytes_per_settlement: f64,
    pub(crate) bytes_per_outcome: f64,
    pub(crate) log_factor: f64,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Embedded {
    pub(crate) joins_per_second_per_core: f64,
    pub(crate) joins_per_second: f64,
    pub(crate) orders_per_second: f64,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Wire {
    pub(crate) join_request_bytes: f64,
    pub(crate) join_answer_bytes: f64,
    pub(crate) poll_request_bytes: f64,
    pub(crate) poll_answer_bytes: f64,
    pub(crate) connect_request_bytes: f64,
    pub(crate) connect_answer_bytes: f64,
    pub(crate) line_frame_bytes: f64,
    pub(crate) entry_frame_bytes: f64,
    pub(crate) page_bytes: f64,
    pub(crate) overhead_factor: f64,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Network {
    pub(crate) megabits_per_second_per_node: f64,
}

/// How a figure is known.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Known {
    Measured,
    Counted,
    Reckoned,
    Target,
    Assumed,
    /// By the planner's own file.
    Given,
}

/// One figure, as `costs.toml` has it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Figure {
    /// `section.key`.
    #[serde(default)]
    pub(crate) key: String,
    pub(crate) value: f64,
    pub(crate) unit: String,
    pub(crate) known: Known,
    pub(crate) from: String,
}

/// All of them: to reckon with, and to tell of.
#[derive(Clone, Debug)]
pub(crate) struct Figures {
    pub(crate) costs: Costs,
    pub(crate) told: Vec<Figure>,
}

impl Figures {
    /// The compiled-in figures, with those of `file` laid over them.
    pub(crate) fn read(file: Option<&Path>) -> Result<Self, Usage> {
        let Some(file) = file else { return Self::of("", "") };
        let name = file.display().to_string();
        let text = fs::read_to_string(file).map_err(|error| {
            Usage(format!("--costs {name}: cannot be read ({error}); name a TOML file"))
        })?;
        Self::of(&text, &name)
    }

    fn of(text: &str, file: &str) -> Result<Self, Usage> {
        let wrong = |complaint: &str| Usage(format!("--costs {file}: {complaint}"));
        let broken = |error: toml::de::Error| wrong(error.to_string().trim());
        let mut figures: Table = COSTS.parse().map_err(broken)?;
        let given: Table = text.parse().map_err(broken)?;
        lay_over(&mut figures, given, file).map_err(|complaint| wrong(&complaint))?;
        let mut told = Vec::new();
        for (section, keys) in &mut figures {
            let Some(keys) = keys.as_table_mut() else { continue };
            for (key, value) in keys {
                let mut figure: Figure = value.clone().try_into().map_err(broken)?;
                figure.key = format!("{section}.{key}");
                if !(figure.value.is_finite() && figure.value > 0.0) {
                    return Err(wrong(&format!("`{}` must be a number above 0", figure.key)));
                }
                *value = Value::Float(figure.value);
                told.push(figure);
            }
        }
        Ok(Self { costs: figures.try_into().map_err(broken)?, told })
    }
}

/// Replaces the values that a file gives; a key that is not known is an error.
fn lay_over(figures: &mut Table, given: Table, file: &str) -> Result<(), String> {
    let sections = names(figures);
    for (section, keys) in given {
        let Some(Value::Table(known)) = figures.get_mut(&section) else {
            return Err(format!("there is no section `{section}`; there are {sections}"));
        };
        let Value::Table(keys) = keys else {
            return Err(format!("`{section}` is a section: write [{section}], and its keys below"));
        };
        let there_are = names(known);
        for (key, value) in keys {
            let Some(Value::Table(figure)) = known.get_mut(&key) else {
                return Err(format!("there is no key `{section}.{key}`; there are {there_are}"));
            };
            let number = number(value).ok_or_else(|| {
                format!(
                    "`{section}.{key}` must be a number, or a table with a `value` as in costs.toml"
                )
            })?;
            figure.insert("value".into(), Value::Float(number));
            figure.insert("known".into(), Value::String("given".into()));
            figure.insert("from".into(), Value::String(file.into()));
        }
    }
    Ok(())
}

/// A bare number, or the `value` of a figure that was copied from `costs.toml`.
fn number(value: Value) -> Option<f64> {
    let Value::Table(mut figure) = value else { return value.try_into().ok() };
    let number = figure.remove("value")?;
    let known = |key: &String| ["unit", "known", "from"].contains(&key.as_str());
    figure.keys().all(known).then(|| number.try_into().ok()).flatten()
}

fn names(table: &Table) -> String {
    table.keys().map(String::as_str).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_compiled_in_figures_are_sound() {
        let figures = Figures::read(None).unwrap();
        assert!(figures.told.iter().all(|figure| figure.known != Known::Given));
        assert!(figures.told.len() > 40);
    }

    #[test]
    fn a_file_replaces_what_it_names() {
        let text = "[admission]\njoins_per_second_per_core = 9_000\n[network]\n\
            megabits_per_second_per_node = { value = 10_000, unit = \"Mbit/s\", known = \"measured\", from = \"iperf\" }\n";
        let figures = Figures::of(text, "mine.toml").unwrap();
        assert!((figures.costs.admission.joins_per_second_per_core - 9_000.0).abs() < 1e-9);
        assert!((figures.costs.network.megabits_per_second_per_node - 10_000.0).abs() < 1e-9);
        let given: Vec<&Figure> =
            figures.told.iter().filter(|figure| figure.known == Known::Given).collect();
        assert_eq!(given.len(), 2);
        assert!(given.iter().all(|figure| figure.from == "mine.toml"));
    }

    #[test]
    fn what_is_wrong_is_named_with_its_file_and_key() {
        for (text, word) in [
            ("[admision]\n", "no section `admision`"),
            ("[admission]\njoins = 1\n", "no key `admission.joins`"),
            ("admission = 5\n", "`admission` is a section"),
            ("[redis]\ncommands_per_join = \"one\"\n", "`redis.commands_per_join`"),
            ("[redis]\ncommands_per_join = { speed = 1 }\n", "`redis.commands_per_join`"),
            (
                "[redis]\ncommands_per_join = { value = 1, speed = 1 }\n",
                "`redis.commands_per_join`",
            ),
            (
                "[redis]\ncommands_per_join = 0\n",
                "`redis.commands_per_join` must be a number above 0",
            ),
            ("[redis]\ncommands_per_join = inf\n", "above 0"),
            ("[redis\n", "TOML"),
        ] {
            let error = Figures::of(text, "mine.toml").unwrap_err().0;
            assert!(error.contains("mine.toml") && error.contains(word), "{text}: {error}");
        }
        let error = Figures::read(Some(Path::new("/nowhere/costs.toml"))).unwrap_err().0;
        assert!(error.contains("/nowhere/costs.toml") && error.contains("cannot be read"));
    }
}
