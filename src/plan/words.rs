//! A plan in words: tables for people, and at the end what breaks first and what to do about it.

use std::io::{self, Write};

use super::{
    Planned,
    costs::Known,
    reckon::{Role, Single, What},
};
use crate::simulate::time;

/// Longer lists of unmeasured figures than this would not be read.
const KEYS_PER_LINE: usize = 3;

pub(crate) fn print(out: &mut impl Write, planned: &Planned) -> io::Result<()> {
    crowd(out, planned)?;
    nodes(out, planned)?;
    stores(out, planned)?;
    full(out, planned)?;
    writeln!(out, "\n{}", first(planned))?;
    writeln!(out, "{}", single(planned))?;
    for note in notes(planned) {
        writeln!(out, "{note}")?;
    }
    unmeasured(out, planned)
}

fn crowd(out: &mut impl Write, planned: &Planned) -> io::Result<()> {
    let (crowd, demand) = (&planned.crowd, &planned.demand);
    writeln!(
        out,
        "{} buyers within {}, {:.0} % of them by push, for {} units{} under {}",
        number(planned.buyers()),
        time(crowd.arrive_over_seconds),
        100.0 * crowd.push,
        number(planned.stock()),
        if planned.stock_is_assumed { " (a tenth of the buyers: say --stock)" } else { "" },
        planned.policy
    )?;
    let row = |out: &mut dyn Write, name: &str, text: String| writeln!(out, "  {name:<13} {text}");
    row(
        out,
        "joins",
        format!(
            "{}/s if they come evenly; {} in the first second if half come in the first tenth",
            number(demand.joins_per_second),
            number(demand.front_loaded_joins_per_second)
        ),
    )?;
    row(
        out,
        "line",
        format!(
            "{} at its longest, {} standing by, {} turned away; wait p95 {}",
            whole(demand.longest_line),
            whole(demand.most_standing_by),
            whole(demand.turned_away),
            time(demand.wait_p95_seconds)
        ),
    )?;
    let ends = demand
        .sold_out_seconds
        .map_or("never sold out".into(), |at| format!("sold out after {}", time(at)));
    row(out, "turns", format!("{}/s at most; {ends}", number(demand.turns_per_second)))?;
    row(
        out,
        "polls",
        format!("{}/s, of {} buyers", number(demand.polls_per_second), number(demand.polling)),
    )?;
    row(
        out,
        "push",
        format!(
            "{} connections, {} frames/s",
            number(demand.pushing),
            number(demand.line_frames_per_second + demand.entry_frames_per_second)
        ),
    )
}

fn nodes(out: &mut impl Write, planned: &Planned) -> io::Result<()> {
    let machine = planned.machine;
    writeln!(
        out,
        "\nNodes: {} cores each, {:.0} % of each planned for, at least two of each role",
        machine.cores,
        100.0 * machine.headroom
    )?;
    writeln!(
        out,
        "  {:<11} {:>6} {:>17} {:>10} {:>11} {:>12} {:>12}",
        "", "nodes", "connections each", "open files", "memory", "Mbit/s in", "Mbit/s out"
    )?;
    let mut roles: Vec<&Role> = planned.plan.roles.iter().collect();
    let none = Role {
        role: "ws-push",
        nodes: 0.0,
        connections_each: 0.0,
        files_each: 0.0,
        memory_bytes_each: 0.0,
        megabits_in_each: 0.0,
        megabits_out_each: 0.0,
    };
    if planned.plan.role(none.role).is_none() {
        roles.insert(1, &none);
    }
    for role in roles {
        writeln!(
            out,
            "  {:<11} {:>6} {:>17} {:>10} {:>11} {:>12} {:>12}",
            role.role,
            number(role.nodes),
            number(role.connections_each),
            number(role.files_each),
            bytes(role.memory_bytes_each),
            number(role.megabits_in_each),
            number(role.megabits_out_each)
        )?;
    }
    Ok(())
}

fn stores(out: &mut impl Write, planned: &Planned) -> io::Result<()> {
    let stores = &planned.plan.stores;
    writeln!(out, "\nStores")?;
    writeln!(
        out,
        "  {:<11} {} commands/s; {} for the line",
        "Redis",
        number(stores.redis_commands_per_second),
        bytes(stores.redis_bytes)
    )?;
    writeln!(
        out,
        "  {:<11} {} messages/s; {} waiting in its queue",
        "RabbitMQ",
        number(stores.rabbitmq_messages_per_second),
        bytes(stores.rabbitmq_bytes)
    )?;
    writeln!(
        out,
        "  {:<11} {} rows/s in {} commits/s; {} of disk for the sale, its log included; {} to tell the {} who get nothing",
        "PostgreSQL",
        number(stores.postgres_rows_per_second),
        number(stores.postgres_commits_per_second),
        bytes(stores.postgres_bytes),
        time(stores.postgres_end_seconds),
        whole(planned.demand.without)
    )
}

fn full(out: &mut impl Write, planned: &Planned) -> io::Result<()> {
    writeln!(out, "\nHow full each is at the peak")?;
    for one in &planned.plan.resources {
        writeln!(
            out,
            "  {:<19} {:>7}   {} of {} {}",
            name(one.what),
            percent(one.full),
            number(one.load),
            number(one.ceiling),
            one.unit
        )?;
    }
    Ok(())
}

/// What breaks first, when, and what to do. A limit that is only set, or filled by the policy, is not all there is to say.
fn first(planned: &Planned) -> String {
    let Some(first) = planned.plan.breaks_first() else { return String::new() };
    let begins = format!("What breaks first: {}, {} full.", name(first.what), percent(first.full));
    let cure_first = cure(first.what);
    let mut text = match first.breaks_at_buyers {
        Some(at) => format!("{begins} It {} {cure_first}.", breaks(first.full, at)),
        None if first.full > 1.0 => {
            format!("{begins} The policy's pace does that, however large the crowd. {cure_first}.")
        }
        None => format!(
            "{begins} The policy's pace fills it, and a larger crowd no further. {cure_first} for more room."
        ),
    };
    if (first.breaks_at_buyers.is_none() || first.what == What::Places)
        && let Some((next, at)) = planned.plan.machine_breaks_first()
    {
        text += &format!(
            "\nOf the nodes and stores that a larger crowd fills, the first is {}, {} full: it {} {}.",
            name(next.what),
            percent(next.full),
            breaks(next.full, at),
            cure(next.what)
        );
    }
    text
}

fn breaks(full: f64, at: f64) -> String {
    if full > 1.0 {
        format!("breaks at {} buyers, fewer than come.", number(at.floor()))
    } else {
        format!("breaks at {} buyers in the same time.", number(at.floor()))
    }
}

fn name(what: What) -> &'static str {
    match what {
        What::AdmissionCores => "admission cores",
        What::AdmissionNetwork => "admission network",
        What::PushCores => "ws-push cores",
        What::PushNetwork => "ws-push network",
        What::WorkerCores => "worker cores",
        What::Dispatcher => "the dispatcher",
        What::Redis => "Redis",
        What::RabbitMq => "RabbitMQ",
        What::PostgreSql => "PostgreSQL",
        What::Places => "places in line",
    }
}

fn cure(what: What) -> &'static str {
    match what {
        What::AdmissionCores | What::AdmissionNetwork => {
            "Add an admission node, or open the page earlier, so that buyers arrive over a longer time"
        }
        What::PushCores | What::PushNetwork => {
            "Add a ws-push node, or have a smaller share wait by push"
        }
        What::WorkerCores => "Add a worker, or lower `ceiling_per_second`",
        What::Dispatcher => {
            "Lower `ceiling_per_second` or `fraction`, or sell in several sales: one process speaks for each"
        }
        What::Redis => {
            "Give Redis a faster core, or open the page earlier; a cluster helps several sales, not one"
        }
        What::RabbitMq => {
            "Give RabbitMQ faster disks and cores, or open the page earlier, so that buyers arrive over a longer time"
        }
        What::PostgreSql => {
            "Give PostgreSQL more cores and a faster disk, or lower `ceiling_per_second`"
        }
        What::Places => {
            "Raise `line_cap` and `standby_cap` in the policy: whoever comes when both are full is turned away"
        }
    }
}

fn single(planned: &Planned) -> String {
    let Single { full, fullest, would_do, connections, memory_bytes } = planned.plan.single;
    let holds = format!(
        "{} connections, {} of memory; on one machine nothing takes over when it dies",
        number(connections),
        bytes(memory_bytes)
    );
    let cores = planned.machine.cores;
    let full = percent(full);
    if would_do {
        format!(
            "One `sluice run` on {cores} cores would do: {fullest} would be {full} full ({holds})."
        )
    } else {
        format!(
            "One `sluice run` on {cores} cores would not do: {fullest} would be {full} full, and {:.0} % is planned for.",
            100.0 * planned.machine.headroom
        )
    }
}

/// What has to be set, or should be known.
fn notes(planned: &Planned) -> Vec<String> {
    let (demand, plan, defaults) = (&planned.demand, &planned.plan, &planned.defaults);
    let mut notes = Vec::new();
    let edge = plan.role("admission").map_or(0.0, |role| role.connections_each);
    let hub = plan.role("ws-push").map_or(0.0, |role| role.connections_each);
    for (key, needed, now) in [
        ("admission.connections_max", edge, defaults.admission_connections),
        ("ws_push.connections_max", hub, defaults.push_connections),
    ] {
        if needed > now {
            notes.push(format!(
                "Set {key} to {} or more (it is {}), or put a proxy in front that keeps few connections.",
                number(needed),
                number(now)
            ));
        }
    }
    if demand.places_wanted > demand.places {
        notes.push(
            "Nodes and stores are planned for those who find a place: with more places, plan again."
                .into(),
        );
    }
    if demand.most_standing_by > 0 {
        notes.push(format!(
            "{} buyers stand by, beyond `line_cap`: raise it if they should wait in line.",
            whole(demand.most_standing_by)
        ));
    }
    let most = planned.most_joins();
    if demand.front_loaded_joins_per_second > most {
        notes.push(format!(
            "Front-loaded, the first second brings more joins than the admission nodes take, {}/s: the others wait up to {}, then come again.",
            number(most),
            time(defaults.join_timeout_seconds)
        ));
    }
    notes.push(format!(
        "The waiting page comes on top: {} Mbit/s if all load it as they arrive and nothing in front of admission serves it.",
        number(plan.page_megabits_per_second)
    ));
    notes
}

fn unmeasured(out: &mut impl Write, planned: &Planned) -> io::Result<()> {
    for (known, words) in
        [(Known::Target, "targets"), (Known::Assumed, "guesses"), (Known::Given, "your own")]
    {
        let keys = planned.figures.iter().filter(|figure| figure.known == known);
        let keys: Vec<&str> = keys.map(|figure| figure.key.as_str()).collect();
        if keys.is_empty() {
            continue;
        }
        let lines: Vec<String> = keys.chunks(KEYS_PER_LINE).map(|some| some.join(", ")).collect();
        let begins = if known == Known::Given { "Figures that are" } else { "Not measured yet," };
        writeln!(out, "{begins} {words}: {}.", lines.join(",\n  "))?;
    }
    Ok(())
}

fn percent(share: f64) -> String {
    let hundred = 100.0 * share;
    if hundred > 0.0 && hundred < 1.0 { "below 1 %".into() } else { format!("{hundred:.0} %") }
}

fn whole(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `12,300`, `8.4`, `0`.
fn number(value: f64) -> String {
    if value > 0.0 && value < 9.95 && (value - value.round()).abs() > 0.05 {
        format!("{value:.1}")
    } else {
        // Far below the largest count, and never below zero.
        format!("{value:.0}").parse().map_or_else(|_| format!("{value:.0}"), whole)
    }
}

/// `840 B`, `62 MB`, `1.4 GB`.
fn bytes(count: f64) -> String {
    let units = [(1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB")];
    let unit = units.into_iter().find(|(unit, _)| count >= *unit);
    let (unit, name) = unit.unwrap_or((1.0, "B"));
    format!("{} {name}", number(count / unit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        assert_eq!(
            [0.0, 0.4, 2.0, 8.44, 9.97, 12.3, 1_000.0, 1_234_567.0].map(number),
            ["0", "0.4", "2", "8.4", "10", "12", "1,000", "1,234,567"]
        );
        assert_eq!([840.0, 62e6, 1.44e9].map(bytes), ["840 B", "62 MB", "1.4 GB"]);
        assert_eq!([0.0, 0.004, 0.5, 2.0].map(percent), ["0 %", "below 1 %", "50 %", "200 %"]);
    }
}
