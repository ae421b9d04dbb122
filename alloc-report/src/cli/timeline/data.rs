//! [`Timeline`]: everything that a picture shows.

use serde::Serialize;

use super::source::Source;

/// Everything that a picture shows. Times are in seconds since the start.
#[derive(Debug, Default)]
pub(crate) struct Timeline {
    pub(crate) title: String,
    pub(crate) heap: Vec<(f64, u64)>,
    pub(crate) resident: Vec<(f64, u64)>,
    /// The memory of the tracer itself.
    pub(crate) tracer: Vec<(f64, u64)>,
    /// The lines of source that held the most.
    pub(crate) areas: Vec<Area>,
    /// The start of each step of the areas: the times of the snapshots and of the peak.
    pub(crate) times: Vec<f64>,
    /// The times of the snapshots.
    pub(crate) snapshots: Vec<f64>,
    pub(crate) peak: Option<Peak>,
}

/// A line of source and the memory that it held.
#[derive(Debug, Default)]
pub(crate) struct Area {
    /// The crate and the line.
    pub(crate) name: String,
    /// The live bytes from each of the times on.
    pub(crate) bytes: Vec<u64>,
    pub(crate) source: Option<Source>,
}

/// The peak of the heap.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Peak {
    pub(crate) bytes: u64,
    /// The last time before the peak was reached, and the first time after. It is `None` if the
    /// former is unknown.
    pub(crate) between: Option<(f64, f64)>,
}

impl Peak {
    /// The usual interval between two measurements of the heap, with a margin.
    const INTERVAL: f64 = 0.15;

    /// The time of the peak, if it is precise enough to be a point of a picture of `end` seconds.
    pub(crate) fn moment(&self, end: f64) -> Option<(f64, f64)> {
        let (from, to) = self.between?;
        (to - from <= (end / 50.0).max(Peak::INTERVAL)).then_some((from, to))
    }

    /// The time of the peak in words.
    pub(crate) fn when(&self) -> String {
        match self.between {
            None => "before the first snapshot".to_owned(),
            Some((from, to)) if from == to => format!("at {to:.1} s"),
            Some((from, to)) => {
                let digits = if to - from < Peak::INTERVAL { 2 } else { 1 };
                format!("between {from:.digits$} s and {to:.digits$} s")
            }
        }
    }
}

impl Timeline {
    /// The latest time of the picture.
    pub(super) fn end(&self) -> f64 {
        let lines = self.heap.iter().chain(&self.resident).map(|&(at, _)| at);
        lines.chain(self.times.iter().copied()).fold(0.0, f64::max)
    }

    /// The largest number of bytes in the picture.
    pub(super) fn highest(&self) -> u64 {
        let peak = self.peak.filter(|it| it.between.is_some());
        let lines = self.heap.iter().chain(&self.resident);
        let lines = lines.map(|&(_, bytes)| bytes);
        let sums = (0..self.times.len()).map(|at| self.areas.iter().map(|it| it.bytes[at]).sum());
        let tracer = self.above_heap().into_iter().map(|(_, _, top)| top);
        let all = lines.chain(sums).chain(tracer);
        all.chain(peak.map(|it| it.bytes)).max().unwrap_or(0)
    }

    /// The time, the heap, and the heap plus the tracer's own memory.
    pub(super) fn above_heap(&self) -> Vec<(f64, u64, u64)> {
        let mut tracer = self.tracer.iter().peekable();
        let mut own = None;
        let mut both = Vec::new();
        for &(at, heap) in &self.heap {
            while let Some(&(_, bytes)) = tracer.next_if(|&&(seconds, _)| seconds <= at) {
                own = Some(bytes);
            }
            both.extend(own.map(|own| (at, heap, heap.saturating_add(own))));
        }
        both
    }
}

impl Area {
    pub(super) fn highest(&self) -> u64 {
        self.bytes.iter().copied().max().unwrap_or(0)
    }
}

/// A timeline for tests.
#[cfg(test)]
pub(crate) fn sample() -> Timeline {
    let area = |name: &str, bytes: [u64; 3]| Area {
        name: name.to_owned(),
        bytes: bytes.to_vec(),
        source: None,
    };
    Timeline {
        title: "demo --all <x>".to_owned(),
        heap: vec![(0.0, 0), (1.0, 5 << 20), (2.0, 9 << 20), (3.0, 1 << 20)],
        resident: vec![(0.0, 2 << 20), (3.0, 12 << 20)],
        tracer: vec![(0.0, 1 << 20), (2.5, 2 << 20)],
        areas: vec![
            area("demo src/a.rs:1", [1 << 20, 5 << 20, 0]),
            area("demo src/b.rs:2", [0, 3 << 20, 1 << 20]),
        ],
        times: vec![1.0, 2.0, 3.0],
        snapshots: vec![1.0, 2.0, 3.0],
        peak: Some(Peak {
            bytes: 10 << 20,
            between: Some((1.95, 2.0)),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_and_the_maximum_cover_all_lines() {
        let mut timeline = sample();
        assert_eq!((timeline.end(), timeline.highest()), (3.0, 12 << 20));
        // A peak at an unknown time is not in the picture.
        let bytes = 99 << 20;
        timeline.peak = Some(Peak {
            bytes,
            between: None,
        });
        assert_eq!(timeline.highest(), 12 << 20);
    }

    #[test]
    fn the_tracer_is_above_the_heap_once_it_is_measured() {
        let mut timeline = sample();
        timeline.tracer = vec![(0.5, 7), (2.5, 9)];
        let above: Vec<_> = timeline
            .above_heap()
            .into_iter()
            .map(|(at, heap, top)| (at, top - heap))
            .collect();
        assert_eq!(above, [(1.0, 7), (2.0, 7), (3.0, 9)]);
    }
}
