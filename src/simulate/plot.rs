//! The picture of a sale: line, rate, remaining and waits over time, one panel each, one curve per policy. Plain SVG that any
//! browser shows, light or dark.

use std::fmt::Write;

use sluice_core::simulation::Moment;

const WIDTH: f64 = 900.0;
const PANEL_HEIGHT: f64 = 170.0;
const GAP: f64 = 46.0;
const LEFT: f64 = 70.0;
const RIGHT: f64 = 20.0;
const TOP: f64 = 56.0;
/// Points of a curve; more would not be seen.
const POINTS_MAX: usize = 900;
/// Told apart without seeing colours, too: the second is dashed.
const STROKES: [&str; 2] = ["stroke=\"#2563eb\"", "stroke=\"#d97706\" stroke-dasharray=\"6 4\""];

/// What a panel shows of a moment.
type Read = fn(&Moment) -> Option<f64>;

const PANELS: [(&str, Read); 4] = [
    ("In line", |moment| Some(count(moment.waiting))),
    ("Turns per second", |moment| Some(moment.rate_per_second)),
    ("Units remaining", |moment| Some(count(moment.remaining))),
    ("Seconds waited by those just called", |moment| moment.wait_seconds),
];

/// Draws named timelines, two at most.
pub(crate) fn svg(curves: &[(&str, &[Moment])]) -> String {
    let end =
        most(curves.iter().flat_map(|(_, moments)| moments.iter().map(|moment| moment.seconds)));
    let height = TOP + count(PANELS.len() as u64) * (PANEL_HEIGHT + GAP);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" font-family=\"system-ui, sans-serif\" font-size=\"12\">\n\
         <title>A simulated sale</title>\n\
         <style>svg {{ color: #1f2937; background: #ffffff }} @media (prefers-color-scheme: dark) {{ svg {{ color: #e5e7eb; background: #111827 }} }}</style>\n"
    );
    for (place, (name, _)) in curves.iter().enumerate() {
        let x = LEFT + 420.0 * count(place as u64);
        let stroke = STROKES[place % STROKES.len()];
        line(&mut svg, (x, 24.0), (x + 30.0, 24.0), &format!("{stroke} stroke-width=\"2\""));
        text(&mut svg, (x + 38.0, 28.0), "start", name);
    }
    let mut top = TOP;
    for (title, read) in PANELS {
        panel(&mut svg, top, end, title, curves, read);
        top += PANEL_HEIGHT + GAP;
    }
    svg.push_str("</svg>\n");
    svg
}

fn panel(
    svg: &mut String,
    top: f64,
    end: f64,
    title: &str,
    curves: &[(&str, &[Moment])],
    read: Read,
) {
    let highest = most(curves.iter().flat_map(|(_, moments)| moments.iter().filter_map(read)));
    let bottom = top + PANEL_HEIGHT;
    let x = |seconds: f64| LEFT + (WIDTH - LEFT - RIGHT) * seconds / end;
    let y = |value: f64| bottom - PANEL_HEIGHT * value / highest;
    text(svg, (LEFT, top - 8.0), "start", title);
    for tick in ticks(highest) {
        let faint = "stroke=\"currentColor\" stroke-opacity=\"0.15\"";
        line(svg, (LEFT, y(tick)), (WIDTH - RIGHT, y(tick)), faint);
        text(svg, (LEFT - 8.0, y(tick) + 4.0), "end", &number(tick));
    }
    for tick in ticks(end) {
        text(svg, (x(tick), bottom + 16.0), "middle", &format!("{} s", number(tick)));
    }
    for (place, (_, moments)) in curves.iter().enumerate() {
        let every = moments.len().div_ceil(POINTS_MAX).max(1);
        let seen = moments.iter().step_by(every).chain(moments.last());
        let points = seen.filter_map(|moment| Some((x(moment.seconds), y(read(moment)?))));
        let points: Vec<String> = points.map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        let stroke = STROKES[place % STROKES.len()];
        // A String takes whatever is written to it.
        let _ = writeln!(
            svg,
            "<polyline fill=\"none\" stroke-width=\"1.5\" {stroke} points=\"{}\"/>",
            points.join(" ")
        );
    }
}

fn line(svg: &mut String, from: (f64, f64), to: (f64, f64), style: &str) {
    let ((x1, y1), (x2, y2)) = (from, to);
    let _ = writeln!(
        svg,
        "<line x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\" {style}/>"
    );
}

fn text(svg: &mut String, at: (f64, f64), anchor: &str, words: &str) {
    let words = words.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let (x, y) = at;
    let _ = writeln!(
        svg,
        "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\" fill=\"currentColor\">{words}</text>"
    );
}

/// The largest, or 1 where there is nothing above zero: an axis needs a length.
fn most(values: impl Iterator<Item = f64>) -> f64 {
    let most = values.fold(0.0, f64::max);
    if most > 0.0 { most } else { 1.0 }
}

/// From zero up, at steps of 1, 2 or 5 times a power of ten; three to six of them.
fn ticks(highest: f64) -> Vec<f64> {
    let power = 10_f64.powf((highest / 5.0).log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].map(|factor| factor * power);
    let step = step.into_iter().find(|step| highest / step <= 5.0).unwrap_or(highest);
    let mut ticks = Vec::new();
    let mut tick = 0.0;
    while tick <= highest * 1.000_001 {
        ticks.push(tick);
        tick += step;
    }
    ticks
}

fn number(value: f64) -> String {
    if value >= 1_000_000.0 {
        format!("{}M", value / 1_000_000.0)
    } else if value >= 10_000.0 {
        format!("{}k", value / 1_000.0)
    } else {
        format!("{}", (value * 1_000.0).round() / 1_000.0)
    }
}

fn count(number: u64) -> f64 {
    sluice_core::law::exact(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moment(seconds: f64, waiting: u64) -> Moment {
        Moment {
            seconds,
            waiting,
            standby: 0,
            serving: 0,
            remaining: 5,
            rate_per_second: 0.0,
            wait_seconds: None,
        }
    }

    #[test]
    fn ticks_are_round() {
        assert_eq!(ticks(100.0), [0.0, 20.0, 40.0, 60.0, 80.0, 100.0]);
        assert_eq!(ticks(7.0), [0.0, 2.0, 4.0, 6.0]);
        assert_eq!(ticks(1.0).len(), 6);
    }

    #[test]
    fn curves_stay_in_their_panels() {
        let moments: Vec<Moment> = (0..5_000).map(|n| moment(f64::from(n), 5)).collect();
        let drawn = svg(&[("a <policy> & more", &moments), ("b", &[])]);
        assert!(drawn.contains("a &lt;policy&gt; &amp; more"));
        let curves = drawn.lines().filter(|line| line.starts_with("<polyline"));
        let mut points = 0;
        for point in curves.flat_map(|curve| curve.split("points=\"").nth(1).unwrap().split(' ')) {
            let point = point.trim_end_matches("\"/>");
            if point.is_empty() {
                continue;
            }
            let (x, y) = point.split_once(',').unwrap();
            let (x, y): (f64, f64) = (x.parse().unwrap(), y.parse().unwrap());
            assert!((LEFT..=WIDTH - RIGHT).contains(&x) && y >= TOP, "{point}");
            points += 1;
        }
        assert!((1_000..4_000).contains(&points), "{points}");
    }
}
