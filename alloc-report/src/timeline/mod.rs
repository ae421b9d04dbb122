//! `alloc-report timeline`.

use std::collections::HashMap;
use std::path::PathBuf;

use alloc_core::{Escaped, GroupBy, Metric, Snapshot};
use anyhow::{Context as _, Result, bail};
use clap::Args;

use crate::read;
use crate::recording::{self, Recording, taken_at};

mod plot;

pub(crate) const EXAMPLES: &str = "\
Examples:
  alloc-report timeline
  alloc-report timeline morning -o morning.svg
  alloc-report timeline -1 -o last.html
  alloc-report timeline heap.0001.pb.gz heap.0002.pb.gz heap.0003.pb.gz -o heap.svg";

/// How many lines of source have an area of their own.
const AREAS: usize = 8;
/// Lines that never held so small a part of what the first held are others, too.
const LEAST_PART: u64 = 200;

#[derive(Args, Debug)]
pub(crate) struct Options {
    /// The folder of a recording or its number in the list, or snapshot files; -1 unless given
    #[arg(value_name = "DIR|FILES", allow_negative_numbers = true)]
    sources: Vec<PathBuf>,
    /// The picture to write: an SVG, or a page if its name ends with .html
    #[arg(
        short = 'o',
        long = "output",
        value_name = "FILE",
        default_value = "timeline.svg"
    )]
    output: PathBuf,
}

/// All that the picture shows. Times are seconds since the first.
#[derive(Debug, Default)]
pub(crate) struct Timeline {
    pub(crate) title: String,
    pub(crate) heap: Vec<(f64, u64)>,
    pub(crate) resident: Vec<(f64, u64)>,
    /// Lines of source that held the most, and what they held at the times of the snapshots.
    pub(crate) areas: Vec<Area>,
    pub(crate) times: Vec<f64>,
    /// The most that was live at one moment, and when that was seen.
    pub(crate) peak: Option<(f64, u64)>,
}

#[derive(Debug)]
pub(crate) struct Area {
    pub(crate) name: String,
    pub(crate) bytes: Vec<u64>,
}

pub(crate) fn report(options: &Options) -> Result<String> {
    let timeline = timeline(&options.sources)?;
    let is_page = match options.output.extension().and_then(|it| it.to_str()) {
        Some("svg") => false,
        Some("html" | "htm") => true,
        _ => bail!(
            "expected a name that ends with .svg or .html, found {}",
            options.output.display()
        ),
    };
    let picture = if is_page {
        plot::page(&timeline)
    } else {
        plot::svg(&timeline)
    };
    std::fs::write(&options.output, picture)
        .with_context(|| format!("cannot write {}", options.output.display()))?;
    Ok(format!(
        "Written to {}\n",
        Escaped(&options.output.display().to_string())
    ))
}

fn timeline(sources: &[PathBuf]) -> Result<Timeline> {
    let newest = [PathBuf::from("-1")];
    let sources = if sources.is_empty() {
        &newest[..]
    } else {
        sources
    };
    if sources.iter().all(|it| it.is_file()) {
        return of_snapshots(sources);
    }
    match sources {
        [one] => of_recording(&recording::find(one)?),
        _ => bail!("expected one folder of a recording, or snapshot files"),
    }
}

fn of_recording(recording: &Recording) -> Result<Timeline> {
    let mut timeline = Timeline {
        title: recording.command(),
        ..Timeline::default()
    };
    let start = recording.about.started_at;
    let points = |value: fn(&recording::Moment) -> Option<u64>| -> Vec<(f64, u64)> {
        let point = |it: &recording::Moment| Some((it.seconds - start, value(it)?));
        recording.moments.iter().filter_map(point).collect()
    };
    timeline.heap = points(|it| it.heap_bytes);
    timeline.resident = points(|it| it.rss_bytes);
    let peaks = points(|it| it.heap_peak_bytes);
    // The first that has it: the peak was a little before.
    let highest = peaks.iter().map(|&(_, bytes)| bytes).max();
    timeline.peak = peaks
        .iter()
        .find(|&&(_, bytes)| Some(bytes) == highest)
        .copied();
    timeline.add_snapshots(&recording.snapshots()?, start)?;
    if timeline.heap.is_empty() && timeline.resident.is_empty() && timeline.times.is_empty() {
        bail!("the recording has no numbers: the program ended at once");
    }
    Ok(timeline)
}

fn of_snapshots(paths: &[PathBuf]) -> Result<Timeline> {
    let mut timeline = Timeline::default();
    let start = read(&paths[0])?;
    timeline.title = start
        .program()
        .rsplit('/')
        .next()
        .unwrap_or_default()
        .to_owned();
    let start = taken_at(&start);
    let heap = timeline.add_snapshots(paths, start)?;
    timeline.heap = heap.iter().map(|&(at, current, _)| (at, current)).collect();
    let highest = heap.iter().map(|&(_, _, peak)| peak).max();
    let first = heap.iter().find(|&&(_, _, peak)| Some(peak) == highest);
    timeline.peak = first.map(|&(at, _, peak)| (at, peak));
    Ok(timeline)
}

impl Timeline {
    /// Adds the areas of the lines that hold the most in any of the snapshots; returns the heap of each:
    /// when, its current and its peak.
    fn add_snapshots(&mut self, paths: &[PathBuf], start: f64) -> Result<Vec<(f64, u64, u64)>> {
        let mut held: HashMap<String, Vec<u64>> = HashMap::new();
        let mut heap = Vec::new();
        let mut snapshots: Vec<(f64, Snapshot)> = Vec::new();
        for path in paths {
            let snapshot = read(path)?;
            snapshots.push((taken_at(&snapshot) - start, snapshot));
        }
        // Files may be given in any order.
        snapshots.sort_by(|a, b| a.0.total_cmp(&b.0));
        for (seconds, snapshot) in &snapshots {
            let memory = snapshot.traced_memory();
            heap.push((*seconds, memory.current.get(), memory.peak.get()));
        }
        let mut looks: Vec<(f64, &Snapshot, Metric)> = snapshots
            .iter()
            .map(|(seconds, snapshot)| (*seconds, snapshot, Metric::Current))
            .collect();
        // Each snapshot knows what was live at the peak so far, though none was taken at that moment.
        let highest = heap.iter().map(|it| it.2).max();
        let at = heap.iter().position(|it| Some(it.2) == highest);
        if let (Some((seconds, bytes)), Some(at)) = (self.peak, at)
            && heap[at].2 == bytes
        {
            looks.push((seconds, &snapshots[at].1, Metric::AtPeak));
            looks.sort_by(|a, b| a.0.total_cmp(&b.0));
        }
        for (at, (seconds, snapshot, metric)) in looks.iter().enumerate() {
            for statistic in snapshot.statistics_by(GroupBy::Line, *metric) {
                let bytes = held
                    .entry(statistic.key.to_string())
                    .or_insert_with(|| vec![0; looks.len()]);
                bytes[at] += statistic.size.get();
            }
            self.times.push(*seconds);
        }
        let mut areas: Vec<Area> = held
            .into_iter()
            .map(|(name, bytes)| Area { name, bytes })
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
        // What is there all the time lies at the bottom, and what comes and goes above it.
        areas.sort_by_key(|it| std::cmp::Reverse(it.bytes.iter().sum::<u64>()));
        if !others.is_empty() {
            let mut bytes = vec![0; self.times.len()];
            for other in &others {
                for (sum, it) in bytes.iter_mut().zip(&other.bytes) {
                    *sum += it;
                }
            }
            let name = format!("{} other lines", others.len());
            areas.push(Area { name, bytes });
        }
        self.areas = areas;
        Ok(heap)
    }

    /// The end of the time that is shown.
    fn end(&self) -> f64 {
        let lines = self.heap.iter().chain(&self.resident).map(|&(at, _)| at);
        lines.chain(self.times.iter().copied()).fold(0.0, f64::max)
    }

    /// The most that is shown.
    fn highest(&self) -> u64 {
        let lines = self.heap.iter().chain(&self.resident).chain(&self.peak);
        let lines = lines.map(|&(_, bytes)| bytes);
        let sums = (0..self.times.len()).map(|at| self.areas.iter().map(|it| it.bytes[at]).sum());
        lines.chain(sums).max().unwrap_or(0)
    }
}

impl Area {
    fn highest(&self) -> u64 {
        self.bytes.iter().copied().max().unwrap_or(0)
    }
}

/// For the tests of the command.
#[cfg(test)]
pub(crate) fn sample() -> Timeline {
    let area = |name: &str, bytes: [u64; 3]| Area {
        name: name.to_owned(),
        bytes: bytes.to_vec(),
    };
    Timeline {
        title: "demo --all <x>".to_owned(),
        heap: vec![(0.0, 0), (1.0, 5 << 20), (2.0, 9 << 20), (3.0, 1 << 20)],
        resident: vec![(0.0, 2 << 20), (3.0, 12 << 20)],
        areas: vec![
            area("src/a.rs:1", [1 << 20, 5 << 20, 0]),
            area("src/b.rs:2", [0, 3 << 20, 1 << 20]),
        ],
        times: vec![1.0, 2.0, 3.0],
        peak: Some((2.0, 10 << 20)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_neither_is_refused() {
        let error = timeline(&[PathBuf::from("nowhere")]).unwrap_err();
        let text = format!("{error:#}");
        assert!(
            text.contains("expected a folder that alloc-report run wrote"),
            "{text}"
        );
        let both = [PathBuf::from("nowhere"), PathBuf::from("Cargo.toml")];
        assert!(timeline(&both).is_err());
    }

    #[test]
    fn the_end_and_the_highest_are_those_of_all() {
        let timeline = sample();
        assert_eq!((timeline.end(), timeline.highest()), (3.0, 12 << 20));
    }
}
