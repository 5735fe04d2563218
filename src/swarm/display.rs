//! The live display: the line, the stock, the rate and the orders, redrawn four times a second on a terminal, or a line
//! every few seconds where there is none.

use std::{
    collections::VecDeque,
    fmt::Write as _,
    io::{self, IsTerminal, Write},
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use sluice_core::law::exact;
use tokio::{
    task::JoinHandle,
    time::{Instant, MissedTickBehavior, interval},
};
use tokio_util::sync::CancellationToken;

use super::progress::Progress;

const FRAME: Duration = Duration::from_millis(250);
/// Without a terminal: one line every so many frames.
const FRAMES_PER_LINE: u32 = 20;
const BAR_CELLS: usize = 40;
/// Frames the actual rate is averaged over, and kept for the small chart: half a minute.
const RATE_FRAMES: usize = 12;
const CHART_FRAMES: usize = 120;

/// A display that runs until it is stopped.
#[derive(Debug)]
pub(crate) struct Display {
    stop: CancellationToken,
    drawing: JoinHandle<()>,
}

impl Display {
    #[expect(clippy::disallowed_methods, reason = "stopped and awaited by `stop`")]
    pub(crate) fn start(progress: Arc<Progress>, shoppers: u32) -> Self {
        let stop = CancellationToken::new();
        let drawing = tokio::spawn(draw(progress, shoppers, stop.clone()));
        Self { stop, drawing }
    }

    pub(crate) async fn stop(self) {
        self.stop.cancel();
        // A display that could not draw has already told nobody; the report follows.
        let _ = self.drawing.await;
    }
}

async fn draw(progress: Arc<Progress>, shoppers: u32, stop: CancellationToken) {
    let on_terminal = io::stdout().is_terminal();
    let mut tick = interval(FRAME);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut picture = Picture {
        began: Instant::now(),
        called: VecDeque::new(),
        rates: VecDeque::new(),
        stock: None,
    };
    let mut frames = 0;
    loop {
        let last = tokio::select! {
            _ = tick.tick() => false,
            () = stop.cancelled() => true,
        };
        picture.measure(&progress);
        let drawn = if on_terminal {
            let text = picture.frame(&progress, shoppers);
            let back =
                if frames > 0 { format!("\x1b[{}A", text.lines().count()) } else { String::new() };
            show(&format!("{back}{}", text.replace('\n', "\x1b[K\n")))
        } else if frames % FRAMES_PER_LINE == 0 || last {
            show(&picture.line(&progress))
        } else {
            Ok(())
        };
        if last || drawn.is_err() {
            return;
        }
        frames += 1;
    }
}

fn show(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

/// What has to be remembered between frames.
#[derive(Debug)]
struct Picture {
    began: Instant,
    /// (when, how many had been called).
    called: VecDeque<(Instant, u64)>,
    /// Actual rates, for the chart.
    rates: VecDeque<f64>,
    stock: Option<u64>,
}

impl Picture {
    fn measure(&mut self, progress: &Progress) {
        self.called.push_back((Instant::now(), progress.called.load(Relaxed)));
        if self.called.len() > RATE_FRAMES {
            self.called.pop_front();
        }
        self.rates.push_back(self.rate());
        if self.rates.len() > CHART_FRAMES {
            self.rates.pop_front();
        }
        if self.stock.is_none() {
            self.stock = progress.sample().map(|sample| sample.remaining);
        }
    }

    /// Calls per second that shoppers heard of, over the last three seconds.
    fn rate(&self) -> f64 {
        let (Some(first), Some(last)) = (self.called.front(), self.called.back()) else {
            return 0.0;
        };
        let seconds = last.0.duration_since(first.0).as_secs_f64();
        if seconds > 0.0 { exact(last.1 - first.1) / seconds } else { 0.0 }
    }

    fn frame(&self, progress: &Progress, shoppers: u32) -> String {
        let elapsed = self.began.elapsed().as_secs();
        let n = |counter: &std::sync::atomic::AtomicU64| grouped(counter.load(Relaxed));
        let (waiting, serving, remaining, wanted, state) = match progress.sample() {
            Some(sample) => (
                sample.waiting,
                sample.serving,
                sample.remaining,
                sample.rate_per_second,
                sample.state,
            ),
            None => (0, 0, 0, 0.0, "…".to_owned()),
        };
        let stock = self.stock.unwrap_or(remaining).max(remaining);
        let mut waits = progress.waits_ms();
        waits.sort_unstable();
        let wait = |percent: usize| {
            waits.get(waits.len() * percent / 100).map_or(0.0, |ms| f64::from(*ms) / 1000.0)
        };
        let mut text = String::new();
        // Writing to a string cannot fail.
        let _ = write!(
            text,
            "\n  {:02}:{:02}   the sale is {state}\n\n\
             \x20 line      {} {:>9} waiting     serving {}\n\
             \x20 stock     {} {:>9} remaining\n\
             \x20 rate      {} wanted {wanted:.1}/s   actual {:.1}/s\n\n\
             \x20 shoppers  {:>9} arrived   {:>9} joined    {:>9} by push   {:>7} retries\n\
             \x20 orders    {:>9} called    {:>9} reserved  {:>9} paid\n\
             \x20 waits     p50 {:.1} s   p95 {:.1} s   p99 {:.1} s\n\
             \x20 gone      {} of {}\n",
            elapsed / 60,
            elapsed % 60,
            bar(waiting, u64::from(shoppers)),
            grouped(waiting),
            grouped(serving),
            bar(remaining, stock),
            grouped(remaining),
            self.chart(),
            self.rate(),
            n(&progress.arrived),
            n(&progress.joined),
            n(&progress.pushed),
            n(&progress.retries),
            n(&progress.called),
            n(&progress.reserved),
            n(&progress.paid),
            wait(50),
            wait(95),
            wait(99),
            n(&progress.finished),
            grouped(u64::from(shoppers)),
        );
        text
    }

    fn line(&self, progress: &Progress) -> String {
        let sample = progress.sample();
        let of = |read: fn(&super::observer::Sample) -> u64| sample.as_ref().map_or(0, read);
        format!(
            "{:>4}s  waiting {}  serving {}  remaining {}  rate {:.1}/s wanted {:.1}/s actual  reserved {}  paid {}  gone {}\n",
            self.began.elapsed().as_secs(),
            of(|sample| sample.waiting),
            of(|sample| sample.serving),
            of(|sample| sample.remaining),
            sample.as_ref().map_or(0.0, |sample| sample.rate_per_second),
            self.rate(),
            progress.reserved.load(Relaxed),
            progress.paid.load(Relaxed),
            progress.finished.load(Relaxed),
        )
    }

    /// The actual rate over the last half minute, in eighths of a cell.
    fn chart(&self) -> String {
        const EIGHTHS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
        let most = self.rates.iter().copied().fold(1.0, f64::max);
        let per_cell = CHART_FRAMES / BAR_CELLS;
        let rates: Vec<f64> = self.rates.iter().copied().collect();
        let mut chart: String = rates
            .chunks(per_cell)
            .map(|chunk| {
                let mean = chunk.iter().sum::<f64>() / exact(chunk.len() as u64);
                let level =
                    (1..=8).take_while(|level| mean >= most * f64::from(*level) / 8.0).count();
                EIGHTHS[level]
            })
            .collect();
        chart.extend(std::iter::repeat_n(' ', BAR_CELLS.saturating_sub(chart.chars().count())));
        chart
    }
}

fn bar(part: u64, whole: u64) -> String {
    let cells = (part.min(whole) as usize * BAR_CELLS).checked_div(whole as usize).unwrap_or(0);
    let cells = if part > 0 { cells.max(1) } else { 0 };
    format!("{}{}", "█".repeat(cells), "░".repeat(BAR_CELLS - cells))
}

/// 1234567 as 1,234,567.
fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped() {
        assert_eq!(grouped(0), "0");
        assert_eq!(grouped(999), "999");
        assert_eq!(grouped(1_234_567), "1,234,567");
    }

    #[test]
    fn bars_have_one_width() {
        for (part, whole) in [(0, 0), (0, 10), (1, 1_000), (10, 10), (20, 10)] {
            assert_eq!(bar(part, whole).chars().count(), BAR_CELLS);
        }
    }
}
