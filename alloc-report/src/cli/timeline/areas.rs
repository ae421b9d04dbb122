//! The areas of a timeline: the lines of source that held the most.

use std::collections::HashMap;

use alloc_core::Frame;

use super::data::{Area, Timeline};
use super::looks::{Look, Seen};
use super::source::Source;

/// The maximum number of lines with their own area.
const AREAS: usize = 8;
/// A line below this fraction of the largest line, 1/200, has no area of its own.
const LEAST_PART: u64 = 200;

impl Timeline {
    /// Adds the areas of the lines that hold the most at any moment.
    pub(super) fn add_looks(&mut self, seen: Seen, start: f64) {
        let mut looks = seen.looks;
        self.snapshots = looks.iter().map(|it| it.seconds - start).collect();
        let end = self
            .end()
            .max(looks.last().map_or(0.0, |it| it.seconds - start));
        // A later snapshot contains the live memory at the peak.
        if let (Some(measured), Some(peak)) = (self.peak, seen.peak)
            && peak.current == measured.bytes
            && let Some((from, to)) = measured.moment(end)
            && from < to
        {
            // The peak lasts until the heap is measured to be lower, or until the next snapshot.
            let is_lower =
                |&&(at, bytes): &&(f64, u64)| at >= to && bytes < measured.bytes / 10 * 9;
            let until = self.heap.iter().find(is_lower).map_or(to, |&(at, _)| at);
            let before = |seconds: f64| looks.iter().rfind(|it| it.seconds - start <= seconds);
            let after = before(until);
            let is_within = |look: &Look| look.seconds - start > to;
            if !after.is_some_and(is_within) {
                let (current, lines) =
                    after.map_or((0, Vec::new()), |it| (it.current, it.lines.clone()));
                looks.push(Look {
                    seconds: start + until,
                    current,
                    lines,
                });
            }
            looks.push(Look {
                seconds: start + from,
                ..peak
            });
            looks.sort_by(|a, b| a.seconds.total_cmp(&b.seconds));
        }
        let mut held: HashMap<String, (Option<Frame>, Vec<u64>)> = HashMap::new();
        let moments = looks.len();
        for (at, look) in looks.into_iter().enumerate() {
            for line in look.lines {
                let new = || (line.frame, vec![0; moments]);
                held.entry(line.name).or_insert_with(new).1[at] += line.bytes;
            }
            self.times.push(look.seconds - start);
        }
        let mut frames: HashMap<String, Frame> = HashMap::new();
        let mut areas: Vec<Area> = held
            .into_iter()
            .map(|(name, (frame, bytes))| {
                frames.extend(frame.map(|frame| (name.clone(), frame)));
                let source = None;
                Area {
                    name,
                    bytes,
                    source,
                }
            })
            .collect();
        areas.sort_by(|a, b| {
            b.highest()
                .cmp(&a.highest())
                .then_with(|| a.name.cmp(&b.name))
        });
        let highest = areas.first().map_or(0, Area::highest);
        let shown = areas.iter().take(AREAS);
        let shown = shown.take_while(|it| it.highest() >= highest / LEAST_PART);
        let others = areas.split_off(shown.count());
        // Steady areas are at the bottom, and fluctuating ones above.
        areas.sort_by_key(|it| std::cmp::Reverse(it.bytes.iter().sum::<u64>()));
        if !others.is_empty() {
            let mut bytes = vec![0; self.times.len()];
            for other in &others {
                for (sum, it) in bytes.iter_mut().zip(&other.bytes) {
                    *sum += it;
                }
            }
            let name = match others.len() {
                1 => "1 other line".to_owned(),
                others => format!("{others} other lines"),
            };
            let source = None;
            areas.push(Area {
                name,
                bytes,
                source,
            });
        }
        for area in &mut areas {
            area.source = frames.get(&area.name).and_then(Source::of);
        }
        self.areas = areas;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::timeline::data::Peak;
    use crate::timeline::looks::look;

    /// An area keeps its size from one snapshot to the next, except at the peak.
    #[test]
    fn the_areas_include_the_peak() {
        let areas = |heap_after: u64, from: f64| {
            let mut timeline = Timeline {
                heap: vec![(100.0, 10), (150.1, heap_after), (160.0, 50), (170.0, 10)],
                peak: Some(Peak {
                    bytes: 50,
                    between: Some((from, 150.1)),
                }),
                ..Timeline::default()
            };
            let seen = Seen {
                program: String::new(),
                looks: vec![look(1100.0, &[("a", 10)]), look(1200.0, &[("a", 20)])],
                peak: Some(look(1200.0, &[("a", 10), ("b", 40)])),
            };
            timeline.add_looks(seen, 1000.0);
            let times = timeline.times.iter().map(|it| (it * 10.0).round() / 10.0);
            let sum = |at: usize| timeline.areas.iter().map(|it| it.bytes[at]).sum::<u64>();
            let sums: Vec<_> = times
                .enumerate()
                .map(|(at, seconds)| (seconds, sum(at)))
                .collect();
            sums
        };
        assert_eq!(
            areas(10, 150.0),
            [(100.0, 10), (150.0, 50), (150.1, 10), (200.0, 20)]
        );
        // The heap stays at its peak.
        assert_eq!(
            areas(50, 150.0),
            [(100.0, 10), (150.0, 50), (170.0, 10), (200.0, 20)]
        );
        // The time of the peak is too imprecise.
        assert_eq!(areas(10, 100.0), [(100.0, 10), (200.0, 20)]);
    }
}
