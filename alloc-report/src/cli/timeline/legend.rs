//! The legend below the picture.

use std::fmt::Write as _;

use alloc_core_snapshot::Bytes;

use super::data::Timeline;
use super::shapes::{LEFT, LEGEND, RIGHT, WIDTH, end_text, line, text};

/// The maximum number of characters in a line of a name.
const NAME: usize = 100;

/// An entry of the legend: one row, or several rows for a long name.
pub(super) struct Entry {
    class: String,
    mark: Mark,
    pub(super) name: Vec<String>,
    number: String,
}

enum Mark {
    Line,
    Dot,
    Area,
}

impl Entry {
    fn new(class: impl Into<String>, mark: Mark, name: &str, number: String) -> Entry {
        Entry {
            class: class.into(),
            mark,
            name: wrapped(name, NAME),
            number,
        }
    }

    pub(super) fn draw(&self, svg: &mut String, y: f64) {
        let class = self.class.as_str();
        let _ = match self.mark {
            Mark::Line => {
                line(svg, class, (LEFT, y - 4.0), (LEFT + 22.0, y - 4.0));
                Ok(())
            }
            Mark::Dot => writeln!(
                svg,
                "<circle class=\"{class}\" cx=\"{}\" cy=\"{:.1}\" r=\"4\"/>",
                LEFT + 11.0,
                y - 4.0
            ),
            Mark::Area => writeln!(
                svg,
                "<rect class=\"{class}\" x=\"{LEFT}\" y=\"{:.1}\" width=\"22\" height=\"12\" rx=\"2\"/>",
                y - 10.0
            ),
        };
        for (row, part) in self.name.iter().enumerate() {
            text(svg, LEFT + 30.0, y + LEGEND.1 * row as f64, "", part);
        }
        end_text(svg, WIDTH - RIGHT, y, "", &self.number);
    }
}

/// The legend of a timeline.
pub(super) fn legend(timeline: &Timeline) -> Vec<Entry> {
    let mut entries = Vec::new();
    let most = |bytes: u64| format!("at most {}", Bytes::new(bytes));
    let highest = |points: &[(f64, u64)]| points.iter().map(|it| it.1).max();
    if let Some(bytes) = highest(&timeline.heap) {
        let name = "heap, as the tracer counts it";
        entries.push(Entry::new("heap", Mark::Line, name, most(bytes)));
    }
    if let Some(peak) = timeline.peak {
        let name = format!("peak of the heap, {}", peak.when());
        let bytes = Bytes::new(peak.bytes).to_string();
        entries.push(Entry::new("dot", Mark::Dot, &name, bytes));
    }
    if let Some(bytes) = highest(&timeline.resident) {
        let name = "resident memory, as the system counts it";
        entries.push(Entry::new("resident", Mark::Line, name, most(bytes)));
    }
    if let Some(bytes) = highest(&timeline.tracer) {
        let name = "the tracer itself, above the heap";
        entries.push(Entry::new("tracer", Mark::Area, name, most(bytes)));
    }
    for (number, area) in timeline.areas.iter().enumerate() {
        let class = format!("a{}", number.min(8));
        let number = most(area.highest());
        entries.push(Entry::new(class, Mark::Area, &area.name, number));
    }
    entries
}

/// Wraps a text at `most` characters, after a slash, a colon or a space if possible.
fn wrapped(text: &str, most: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut rest: Vec<char> = text.chars().collect();
    while rest.len() > most {
        let is_end = |c: &char| matches!(c, '/' | ':' | ' ');
        let end = rest[..most].iter().rposition(is_end);
        let end = end.filter(|&at| at > most / 2).map_or(most, |at| at + 1);
        lines.push(rest.drain(..end).collect());
    }
    lines.push(rest.into_iter().collect());
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_name_is_wrapped() {
        assert_eq!(wrapped("demo src/a.rs:1", 20), ["demo src/a.rs:1"]);
        assert_eq!(
            wrapped("demo src/cache/insert.rs:41", 20),
            ["demo src/cache/", "insert.rs:41"]
        );
        assert_eq!(wrapped("aaaaaaaaaa", 4), ["aaaa", "aaaa", "aa"]);
    }
}
