//! [`Seen`]: the parts of snapshots that a timeline needs.

use std::path::PathBuf;

use alloc_core::{Frame, GroupBy, GroupKey, Grouping, Metric, Snapshot, Statistic};
use anyhow::Result;

use crate::load::read;
use crate::recording::taken_at;

/// The live memory at one moment.
#[derive(Clone)]
pub(super) struct Look {
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

impl Look {
    fn at(snapshot: &Snapshot, metric: Metric, current: u64) -> Look {
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
        Look {
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
pub(super) struct Seen {
    /// The name of the first one's program.
    pub(super) program: String,
    /// The moments of the snapshots in order of time.
    pub(super) looks: Vec<Look>,
    /// The moment of the highest peak, from the first snapshot after it.
    pub(super) peak: Option<Look>,
}

impl Seen {
    pub(super) fn read(paths: &[PathBuf]) -> Result<Seen> {
        let mut seen = Seen {
            program: String::new(),
            looks: Vec::new(),
            peak: None,
        };
        for path in paths {
            let snapshot = read(path)?;
            let (memory, seconds) = (snapshot.traced_memory(), taken_at(&snapshot));
            if seen.looks.is_empty() {
                let name = snapshot.program().rsplit('/').next();
                seen.program = name.unwrap_or_default().to_owned();
            }
            let peak = memory.peak.get();
            // Files may be given in any order.
            let is_news = seen.peak.as_ref().is_none_or(|known| {
                peak > known.current || peak == known.current && seconds < known.seconds
            });
            if is_news {
                seen.peak = Some(Look::at(&snapshot, Metric::AtPeak, peak));
            }
            let look = Look::at(&snapshot, Metric::Current, memory.current.get());
            seen.looks.push(look);
        }
        seen.looks.sort_by(|a, b| a.seconds.total_cmp(&b.seconds));
        Ok(seen)
    }

    /// The time of the first snapshot with this many live bytes.
    pub(super) fn at(&self, bytes: u64) -> Option<f64> {
        let look = self.looks.iter().find(|it| it.current == bytes);
        look.map(|it| it.seconds)
    }

    /// The snapshots before and after the peak, or twice the snapshot at the peak.
    pub(super) fn when(&self, peak: &Look) -> Option<(f64, f64)> {
        if let Some(at) = self.at(peak.current) {
            return Some((at, at));
        }
        let before = self.looks.iter().rfind(|it| it.seconds < peak.seconds)?;
        Some((before.seconds, peak.seconds))
    }
}

/// A moment at which these lines hold memory.
#[cfg(test)]
pub(super) fn look(seconds: f64, lines: &[(&str, u64)]) -> Look {
    let line = |&(name, bytes): &(&str, u64)| Line {
        name: name.to_owned(),
        frame: None,
        bytes,
    };
    Look {
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
        let seen = |peak| Seen {
            program: String::new(),
            looks: vec![look(1.0, &[("a", 10)]), look(2.0, &[("a", 20)])],
            peak: Some(peak),
        };
        let when = |peak: Look| seen(peak.clone()).when(&peak);
        assert_eq!(when(look(2.0, &[("a", 50)])), Some((1.0, 2.0)));
        assert_eq!(when(look(2.0, &[("a", 20)])), Some((2.0, 2.0)));
        assert_eq!(when(look(1.0, &[("a", 50)])), None);
    }
}
