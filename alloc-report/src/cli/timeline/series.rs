//! [`Series`]: the parts of snapshots that a timeline needs.

use std::path::PathBuf;

use alloc_core_snapshot::{Frame, GroupBy, GroupKey, Grouping, Metric, Snapshot, Statistic};
use anyhow::Result;

use crate::load::read;
use crate::recording::taken_at;

/// The live memory at one moment.
#[derive(Clone)]
pub(super) struct HeapState {
    /// Seconds since 1970.
    pub(super) seconds: f64,
    /// All live bytes.
    pub(super) current: u64,
    /// The lines that hold the bytes.
    pub(super) lines: Vec<Line>,
}

/// A line of source and its live bytes.
#[derive(Clone)]
pub(super) struct Line {
    pub(super) name: String,
    pub(super) frame: Option<Frame>,
    pub(super) bytes: u64,
}

impl HeapState {
    fn at(snapshot: &Snapshot, metric: Metric, current: u64) -> HeapState {
        let by = Grouping::by(GroupBy::Crate).then(GroupBy::Line);
        let crates = snapshot.statistics_by(by, metric);
        let line = |of: &GroupKey, it: &Statistic| Line {
            name: name(&of.to_string(), &it.key.to_string()),
            frame: match &it.key {
                GroupKey::Frame(frame) => Some(frame.clone()),
                _ => None,
            },
            bytes: it.size.get(),
        };
        let lines = crates
            .iter()
            .flat_map(|of| of.parts.iter().map(move |it| line(&of.key, it)));
        HeapState {
            seconds: taken_at(snapshot),
            current,
            lines: lines.collect(),
        }
    }
}

/// A line, prefixed with its crate unless the path starts with the crate's name.
fn name(of: &str, line: &str) -> String {
    let like = |text: &str| text.replace('-', "_");
    let word = of.split(' ').next().unwrap_or_default();
    match of.starts_with('<') || like(line).starts_with(&like(word)) {
        true => line.to_owned(),
        false => format!("{of} {line}"),
    }
}

/// The needed parts of some snapshots.
///
/// Each snapshot is dropped before the next is read: a recording of a day has many.
pub(super) struct Series {
    /// The name of the first one's program.
    pub(super) program: String,
    /// The moments of the snapshots in order of time.
    pub(super) states: Vec<HeapState>,
    /// The moment of the highest peak, from the first snapshot after it.
    pub(super) peak: Option<HeapState>,
}

impl Series {
    pub(super) fn read(paths: &[PathBuf]) -> Result<Series> {
        let mut series = Series {
            program: String::new(),
            states: Vec::new(),
            peak: None,
        };
        for path in paths {
            let snapshot = read(path)?;
            let (memory, seconds) = (snapshot.traced_memory(), taken_at(&snapshot));
            if series.states.is_empty() {
                let name = snapshot.program().rsplit('/').next();
                series.program = name.unwrap_or_default().to_owned();
            }
            let peak = memory.peak.get();
            // Files may be given in any order.
            let is_news = series.peak.as_ref().is_none_or(|known| {
                peak > known.current || peak == known.current && seconds < known.seconds
            });
            if is_news {
                series.peak = Some(HeapState::at(&snapshot, Metric::AtPeak, peak));
            }
            let state = HeapState::at(&snapshot, Metric::Current, memory.current.get());
            series.states.push(state);
        }
        series
            .states
            .sort_by(|a, b| a.seconds.total_cmp(&b.seconds));
        Ok(series)
    }

    /// The time of the first snapshot with this many live bytes.
    pub(super) fn at(&self, bytes: u64) -> Option<f64> {
        let state = self.states.iter().find(|it| it.current == bytes);
        state.map(|it| it.seconds)
    }

    /// The snapshots before and after the peak, or twice the snapshot at the peak.
    pub(super) fn when(&self, peak: &HeapState) -> Option<(f64, f64)> {
        if let Some(at) = self.at(peak.current) {
            return Some((at, at));
        }
        let before = self.states.iter().rfind(|it| it.seconds < peak.seconds)?;
        Some((before.seconds, peak.seconds))
    }
}

/// A moment at which these lines hold memory.
#[cfg(test)]
pub(super) fn state(seconds: f64, lines: &[(&str, u64)]) -> HeapState {
    let line = |&(name, bytes): &(&str, u64)| Line {
        name: name.to_owned(),
        frame: None,
        bytes,
    };
    HeapState {
        seconds,
        current: lines.iter().map(|(_, bytes)| bytes).sum(),
        lines: lines.iter().map(line).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_crate_precedes_the_line_once() {
        assert_eq!(name("demo", "src/a.rs:1"), "demo src/a.rs:1");
        let line = "serde_json-1.0.9/src/de.rs:12";
        assert_eq!(name("serde_json 1.0.9", line), line);
        assert_eq!(
            name("my_crate", "my-crate/src/a.rs:1"),
            "my-crate/src/a.rs:1"
        );
        assert_eq!(name("<unknown>", "demo+0x12"), "demo+0x12");
    }

    #[test]
    fn the_peak_is_between_two_snapshots_or_at_one() {
        let series = |peak| Series {
            program: String::new(),
            states: vec![state(1.0, &[("a", 10)]), state(2.0, &[("a", 20)])],
            peak: Some(peak),
        };
        let when = |peak: HeapState| series(peak.clone()).when(&peak);
        assert_eq!(when(state(2.0, &[("a", 50)])), Some((1.0, 2.0)));
        assert_eq!(when(state(2.0, &[("a", 20)])), Some((2.0, 2.0)));
        assert_eq!(when(state(1.0, &[("a", 50)])), None);
    }
}
