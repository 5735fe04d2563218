//! `sluice simulate`: a sale on virtual time, told in words, as JSON, and as a picture.

use std::{
    fs,
    io::{self, Write},
    path::Path,
    time::Duration,
};

use serde::Serialize;
use sluice_core::{
    policy::{Policy, PolicyPatch},
    simulation::{Arrivals, Conduct, Course, HORIZON, Moment, Plan, TENTHS},
};

use crate::{
    cli::{self, SimulateOptions},
    exit::Usage,
};

mod plot;

/// Most moments a recording may have.
const RECORDED_MAX: usize = 10_000_000;

/// One policy and what came of it.
#[derive(Debug, Serialize)]
struct Simulated {
    policy: String,
    #[serde(flatten)]
    course: Course,
}

pub(crate) fn command(options: &SimulateOptions) -> anyhow::Result<()> {
    if options.pay + options.late > 1.0 {
        return Err(Usage(
            "--pay and --late are shares of the same buyers: together at most 1".into(),
        )
        .into());
    }
    let arrivals = arrivals(&options.arrivals)?;
    let mut simulated = vec![simulate(options, options.policy.as_deref(), &arrivals)?];
    if let Some(against) = &options.against {
        simulated.push(simulate(options, Some(against), &arrivals)?);
    }
    if let Some(file) = &options.plot {
        let curves: Vec<(&str, &[Moment])> = simulated
            .iter()
            .map(|one| (one.policy.as_str(), one.course.timeline.as_slice()))
            .collect();
        fs::write(file, plot::svg(&curves)).map_err(|error| {
            Usage(format!("--plot {}: cannot be written ({error})", file.display()))
        })?;
    }
    let mut out = io::stdout().lock();
    match (&*simulated, options.json) {
        ([one], true) => serde_json::to_writer(&mut out, one)?,
        (_, true) => serde_json::to_writer(&mut out, &simulated)?,
        (_, false) => print(&mut out, options, &simulated)?,
    }
    if options.json {
        writeln!(out)?;
    }
    Ok(())
}

fn simulate(
    options: &SimulateOptions,
    policy: Option<&Path>,
    arrivals: &Arrivals,
) -> anyhow::Result<Simulated> {
    let name = policy.map_or("the default policy".to_owned(), |file| file.display().to_string());
    let plan = Plan {
        policy: policy.map_or_else(|| Ok(Policy::default()), read_policy)?,
        stock: options.stock,
        held: 0,
        waiting: 0,
        shoppers: options.shoppers,
        arrivals: arrivals.clone(),
        quantity: options.quantity,
        conduct: Conduct { pay: options.pay, late: options.late, pay_within: options.pay_within },
        backend_per_second: options.backend_speed.map(f64::from),
        seed: options.seed,
    };
    Ok(Simulated { policy: name, course: plan.run() })
}

/// A policy's keys, laid over the defaults.
pub(crate) fn read_policy(file: &Path) -> anyhow::Result<Policy> {
    let wrong = |complaint: String| Usage(format!("{}: {complaint}", file.display()));
    let text = fs::read_to_string(file).map_err(|error| {
        wrong(format!("cannot be read ({error}); name a file with a policy's keys"))
    })?;
    let patch: Result<PolicyPatch, String> = if text.trim_start().starts_with('{') {
        serde_json::from_str(&text).map_err(|error| error.to_string())
    } else {
        toml::from_str(&text).map_err(|error| error.to_string().trim().to_owned())
    };
    let policy = Policy::default().patched(&patch.map_err(wrong)?);
    Ok(policy.map_err(|error| wrong(error.to_string()))?)
}

fn arrivals(shape: &str) -> Result<Arrivals, Usage> {
    let over =
        |text| cli::duration(text).map_err(|error| Usage(format!("--arrivals {shape}: {error}")));
    match shape.split_once(':') {
        Some(("spike", text)) => Ok(Arrivals::Spike(over(text)?)),
        Some(("ramp", text)) => Ok(Arrivals::Ramp(over(text)?)),
        _ => recorded(Path::new(shape)).map(Arrivals::Recorded),
    }
}

/// Reads a recording; a head line is allowed.
fn recorded(file: &Path) -> Result<Vec<Duration>, Usage> {
    let text = fs::read_to_string(file).map_err(|error| {
        Usage(format!(
            "--arrivals {}: neither spike:DUR nor ramp:DUR, nor a file that can be read ({error})",
            file.display()
        ))
    })?;
    let mut times = Vec::new();
    for (place, line) in text.lines().enumerate() {
        let mut cells = line.split(',').map(str::trim);
        let seconds = cells.next().unwrap_or_default();
        if seconds.is_empty() || place == 0 && seconds.parse::<f64>().is_err() {
            continue;
        }
        let count = cells.next().filter(|cell| !cell.is_empty()).map_or(Ok(1), str::parse::<usize>);
        let at =
            seconds.parse::<f64>().ok().filter(|at| (0.0..=HORIZON.as_secs_f64()).contains(at));
        let (Some(at), Ok(count)) = (at, count) else {
            return Err(Usage(format!(
                "{}, line {}: `{line}`: write the second (0 to 86400), and after a comma how many came",
                file.display(),
                place + 1
            )));
        };
        if times.len().saturating_add(count) > RECORDED_MAX {
            return Err(Usage(format!("{}: more than {RECORDED_MAX} arrivals", file.display())));
        }
        times.extend(std::iter::repeat_n(Duration::from_secs_f64(at), count));
    }
    if times.is_empty() {
        return Err(Usage(format!("{}: has no arrivals; write a line for each", file.display())));
    }
    times.sort_unstable();
    Ok(times)
}

fn print(
    out: &mut impl Write,
    options: &SimulateOptions,
    simulated: &[Simulated],
) -> io::Result<()> {
    writeln!(out, "{} units, {} shoppers, {}", options.stock, options.shoppers, options.arrivals)?;
    let row = |out: &mut dyn Write, name: &str, cell: &dyn Fn(&Course) -> String| {
        write!(out, "  {name:<22}")?;
        for one in simulated {
            write!(out, " {:>22}", cell(&one.course))?;
        }
        writeln!(out)
    };
    write!(out, "  {:<22}", "")?;
    for one in simulated {
        // The end of a path says more than its beginning.
        let name: String = one.policy.chars().rev().take(22).collect();
        write!(out, " {:>22}", name.chars().rev().collect::<String>())?;
    }
    writeln!(out)?;
    row(out, "joined", &|course| course.joined.to_string())?;
    row(out, "turned away", &|course| course.turned_away.to_string())?;
    row(out, "longest line", &|course| {
        course.timeline.iter().map(|moment| moment.waiting).max().unwrap_or(0).to_string()
    })?;
    row(out, "most standing by", &|course| {
        course.timeline.iter().map(|moment| moment.standby).max().unwrap_or(0).to_string()
    })?;
    row(out, "orders", &|course| course.orders.to_string())?;
    row(out, "paid", &|course| course.paid.to_string())?;
    row(out, "paid late, refunded", &|course| course.refunded.to_string())?;
    row(out, "units sold", &|course| course.sold_units.to_string())?;
    row(out, "sold out after", &|course| course.sold_out_seconds.map_or("never".into(), time))?;
    row(out, "heard `sold_out`", &|course| {
        course.outcomes.get("sold_out").copied().unwrap_or(0).to_string()
    })?;
    row(out, "wait p50", &|course| time(course.waits_ms.p50 / 1000.0))?;
    row(out, "wait p95", &|course| time(course.waits_ms.p95 / 1000.0))?;
    row(out, "longest wait", &|course| time(course.waits_ms.max / 1000.0))?;
    row(out, "over after", &|course| time(course.took_seconds))?;
    for tenth in 0..TENTHS {
        let name = match tenth {
            0 => "odds, first tenth".to_owned(),
            last if last + 1 == TENTHS => "odds, last tenth".to_owned(),
            other => format!("odds, tenth {}", other + 1),
        };
        row(out, &name, &|course| format!("{:.0} %", 100.0 * course.odds_by_tenth[tenth]))?;
    }
    Ok(())
}

/// `41.3 s`, `12 min 5 s`, `3 h 20 min`.
pub(crate) fn time(seconds: f64) -> String {
    let minutes = (seconds / 60.0).floor();
    if seconds < 60.0 {
        format!("{seconds:.1} s")
    } else if minutes < 60.0 {
        format!("{minutes} min {:.0} s", (seconds - 60.0 * minutes).floor())
    } else {
        format!("{} h {:.0} min", (minutes / 60.0).floor(), minutes % 60.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(text: &str, name: &str) -> (tempfile::TempDir, std::path::PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(name);
        fs::write(&file, text).unwrap();
        (folder, file)
    }

    #[test]
    fn a_recording_is_seconds_and_counts() {
        let (_folder, file) = written("second,came\n2.5,2\n0\n\n", "night.csv");
        let seconds = [0.0, 2.5, 2.5].map(Duration::from_secs_f64);
        assert_eq!(recorded(&file).unwrap(), seconds);
        for (bad, line) in [
            ("1\nx\n", "line 2"),
            ("1,-2\n", "line 1"),
            ("0\n86401\n", "line 2"),
            ("", "no arrivals"),
        ] {
            let (_folder, file) = written(bad, "bad.csv");
            assert!(recorded(&file).unwrap_err().0.contains(line), "{bad}");
        }
        assert!(arrivals("spike:5").unwrap_err().0.contains("unit"));
        assert!(arrivals("nowhere.csv").unwrap_err().0.contains("ramp:DUR"));
    }

    #[test]
    fn a_policy_is_toml_or_json_and_checked() {
        let toml = written("fraction = 0.1\ntail_per_second = 5\n", "p.toml");
        let json = written(r#"{"fraction":0.1,"tail_per_second":5}"#, "p.json");
        assert_eq!(read_policy(&toml.1).unwrap(), read_policy(&json.1).unwrap());
        for bad in ["fraction = 2", "speed = 1", "{"] {
            let (_folder, file) = written(bad, "bad");
            let error = read_policy(&file).unwrap_err();
            assert!(error.is::<Usage>() && error.to_string().contains("bad"), "{error}");
        }
    }

    #[test]
    fn times_read_well() {
        assert_eq!([5.25, 725.0, 12_000.0].map(time), ["5.2 s", "12 min 5 s", "3 h 20 min"]);
    }
}
