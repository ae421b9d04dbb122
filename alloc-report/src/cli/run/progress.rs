//! [`Progress`]: the line on standard error while the program runs.

use std::io::{self, IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

use alloc_core_snapshot::Bytes;

use crate::recording::Moment;
use crate::terminal::Stream;

/// The interval between lines if standard error is no terminal.
const LINE: Duration = Duration::from_secs(10);

/// A status line: updated in place on a terminal, else printed from time to time.
pub(super) struct Progress {
    started: Instant,
    is_terminal: bool,
    next: Instant,
    /// The newest value of each number. An old value stays while the program is too busy to report,
    /// for example while it writes a snapshot.
    newest: Moment,
    /// The time and value of the last total.
    totals: Option<(f64, u64)>,
    rate: Option<f64>,
}

impl Progress {
    pub(super) fn new() -> Progress {
        let now = Instant::now();
        Progress {
            started: now,
            is_terminal: io::stderr().is_terminal(),
            next: now + LINE,
            newest: Moment::default(),
            totals: None,
            rate: None,
        }
    }

    pub(super) fn show(&mut self, moment: Moment) {
        self.take(moment);
        if !self.is_terminal && Instant::now() < self.next {
            return;
        }
        self.next = Instant::now() + LINE;
        let line = self.line(self.started.elapsed());
        if self.is_terminal {
            // NOTE: a wrapped line could not be overwritten.
            let width = Stream::Error.width();
            let line: String = line.chars().take(width.saturating_sub(1)).collect();
            eprint!("\r\u{1b}[K{line}");
            let _ = io::stderr().flush();
        } else {
            eprintln!("{line}");
        }
    }

    fn take(&mut self, moment: Moment) {
        let newest = &mut self.newest;
        newest.heap_bytes = moment.heap_bytes.or(newest.heap_bytes);
        newest.heap_peak_bytes = moment.heap_peak_bytes.or(newest.heap_peak_bytes);
        newest.rss_bytes = moment.rss_bytes.or(newest.rss_bytes);
        if let Some(total) = moment.total_bytes {
            if let Some((seconds, before)) = self.totals {
                let passed = (moment.seconds - seconds).max(1e-3);
                self.rate = Some(total.saturating_sub(before) as f64 / passed);
            }
            self.totals = Some((moment.seconds, total));
        }
    }

    /// The text of the line. Once the heap is known, every number keeps its place.
    fn line(&self, elapsed: Duration) -> String {
        let bytes = |bytes: Option<u64>| {
            bytes.map_or_else(|| "?".to_owned(), |it| Bytes::new(it).to_string())
        };
        let newest = &self.newest;
        let mut line = format!("{:.1} s", elapsed.as_secs_f64());
        if newest.heap_bytes.is_some() {
            line += &format!(
                "  heap {}, peak {}",
                bytes(newest.heap_bytes),
                bytes(newest.heap_peak_bytes)
            );
        }
        line += &format!("  resident {}", bytes(newest.rss_bytes));
        if newest.heap_bytes.is_some() {
            let rate = self.rate.map(|it| it as u64);
            line += &format!("  allocating {}/s", bytes(rate));
        }
        line
    }

    pub(super) fn end(&self) {
        if self.is_terminal {
            eprint!("\r\u{1b}[K");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_keeps_its_numbers_until_new_ones_arrive() {
        let mut progress = Progress::new();
        let at = |seconds| Moment {
            seconds,
            ..Moment::default()
        };
        let resident = |seconds| Moment {
            rss_bytes: Some(9 << 20),
            ..at(seconds)
        };
        let line = |progress: &Progress| progress.line(Duration::from_secs(3));
        progress.take(resident(0.0));
        assert_eq!(line(&progress), "3.0 s  resident 9216 KiB");
        progress.take(Moment {
            heap_bytes: Some(5 << 20),
            heap_peak_bytes: Some(6 << 20),
            total_bytes: Some(10 << 20),
            ..resident(1.0)
        });
        assert_eq!(
            line(&progress),
            "3.0 s  heap 5120 KiB, peak 6144 KiB  resident 9216 KiB  allocating ?/s"
        );
        progress.take(Moment {
            total_bytes: Some(30 << 20),
            ..resident(2.0)
        });
        let whole = "3.0 s  heap 5120 KiB, peak 6144 KiB  resident 9216 KiB  allocating 20.0 MiB/s";
        assert_eq!(line(&progress), whole);
        // As while a snapshot is written, and after the process has ended.
        progress.take(resident(2.1));
        progress.take(at(2.2));
        assert_eq!(line(&progress), whole);
    }
}
