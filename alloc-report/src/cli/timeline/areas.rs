//! The areas of a timeline: the lines of source that held the most.

use std::cmp::Reverse;
use std::collections::HashMap;

use alloc_core_snapshot::Frame;

use super::data::{Area, Timeline};
use super::series::{HeapState, Series};
use super::source::Source;

/// The maximum number of lines with their own area.
const AREAS: usize = 8;
/// A line below this fraction of the largest line, 1/200, has no area of its own.
const MIN_FRACTION: u64 = 200;

impl Timeline {
    /// Adds the areas of the lines that hold the most at any moment.
    pub(super) fn add_areas(&mut self, series: Series, start: f64) {
        let mut states = series.states;
        self.snapshots = states.iter().map(|it| it.seconds - start).collect();
        if let Some(peak) = series.peak {
            self.insert_peak(&mut states, peak, start);
        }
        self.times = states.iter().map(|it| it.seconds - start).collect();
        self.areas = largest_first(states);
        let others = self.areas.split_off(count_own_areas(&self.areas));
        // Steady areas are at the bottom, and fluctuating ones above.
        self.areas
            .sort_by_key(|it| Reverse(it.bytes.iter().sum::<u64>()));
        if !others.is_empty() {
            self.areas.push(sum(&others));
        }
    }

    /// Inserts the state at the peak, which a later snapshot contains, if its time is precise.
    fn insert_peak(&self, states: &mut Vec<HeapState>, peak: HeapState, start: f64) {
        let end = self
            .end()
            .max(states.last().map_or(0.0, |it| it.seconds - start));
        let Some(measured) = self.peak.filter(|it| it.bytes == peak.current) else {
            return;
        };
        let Some((from, to)) = measured.moment(end).filter(|(from, to)| from < to) else {
            return;
        };
        // The peak lasts until the heap is measured to be lower, or until the next snapshot.
        let is_lower = |&&(at, bytes): &&(f64, u64)| at >= to && bytes < measured.bytes / 10 * 9;
        let until = self.heap.iter().find(is_lower).map_or(to, |&(at, _)| at);
        let after = states.iter().rfind(|it| it.seconds - start <= until);
        if after.is_none_or(|it| it.seconds - start <= to) {
            let (current, lines) =
                after.map_or((0, Vec::new()), |it| (it.current, it.lines.clone()));
            states.push(HeapState {
                seconds: start + until,
                current,
                lines,
            });
        }
        states.push(HeapState {
            seconds: start + from,
            ..peak
        });
        states.sort_by(|a, b| a.seconds.total_cmp(&b.seconds));
    }
}

/// An area for each line, the one with the largest maximum first.
fn largest_first(states: Vec<HeapState>) -> Vec<Area> {
    let moments = states.len();
    let mut held: HashMap<String, (Option<Frame>, Vec<u64>)> = HashMap::new();
    for (at, state) in states.into_iter().enumerate() {
        for line in state.lines {
            let new = || (line.frame, vec![0; moments]);
            held.entry(line.name).or_insert_with(new).1[at] += line.bytes;
        }
    }
    let mut areas: Vec<(Area, Option<Frame>)> = held
        .into_iter()
        .map(|(name, (frame, bytes))| {
            let source = None;
            let area = Area {
                name,
                bytes,
                source,
            };
            (area, frame)
        })
        .collect();
    areas.sort_by(|(a, _), (b, _)| {
        let largest_first = b.highest().cmp(&a.highest());
        largest_first.then_with(|| a.name.cmp(&b.name))
    });
    // NOTE: only lines with their own area need their source.
    for (area, frame) in areas.iter_mut().take(AREAS) {
        area.source = frame.as_ref().and_then(Source::of);
    }
    areas.into_iter().map(|(area, _)| area).collect()
}

/// The number of lines with their own area.
fn count_own_areas(areas: &[Area]) -> usize {
    let highest = areas.first().map_or(0, Area::highest);
    let own = areas.iter().take(AREAS);
    own.take_while(|it| it.highest() >= highest / MIN_FRACTION)
        .count()
}

/// The sum of the lines without their own area.
fn sum(others: &[Area]) -> Area {
    let mut bytes = vec![0; others.first().map_or(0, |it| it.bytes.len())];
    for other in others {
        for (sum, it) in bytes.iter_mut().zip(&other.bytes) {
            *sum += it;
        }
    }
    Area {
        name: match others.len() {
            1 => "1 other line".to_owned(),
            others => format!("{others} other lines"),
        },
        bytes,
        source: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::timeline::data::Peak;
    use crate::timeline::series::state;

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
            let series = Series {
                program: String::new(),
                states: vec![state(1100.0, &[("a", 10)]), state(1200.0, &[("a", 20)])],
                peak: Some(state(1200.0, &[("a", 10), ("b", 40)])),
            };
            timeline.add_areas(series, 1000.0);
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
