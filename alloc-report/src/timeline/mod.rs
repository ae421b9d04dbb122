//! `alloc-report timeline`.

use std::collections::HashMap;
use std::path::PathBuf;

use alloc_core::{Escaped, GroupBy, Metric, Snapshot, Statistic};
use anyhow::{Result, bail};
use clap::Args;

use crate::recording::{self, Recording, taken_at};
use crate::{output, read};

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
    /// Replace a file that is there
    #[arg(long)]
    force: bool,
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
    let is_page = match options.output.extension().and_then(|it| it.to_str()) {
        Some("svg") => false,
        Some("html" | "htm") => true,
        _ => bail!(
            "expected a name that ends with .svg or .html, found {}",
            options.output.display()
        ),
    };
    output::check_free(&options.output, options.force)?;
    let timeline = timeline(&options.sources)?;
    let picture = if is_page {
        plot::page(&timeline)
    } else {
        plot::svg(&timeline)
    };
    output::write(&options.output, picture.as_bytes(), options.force)?;
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
    let seen = Seen::read(&recording.snapshots()?)?;
    timeline.add_looks(seen, start);
    if timeline.heap.is_empty() && timeline.resident.is_empty() && timeline.times.is_empty() {
        bail!("the recording has no numbers: the program ended at once");
    }
    Ok(timeline)
}

fn of_snapshots(paths: &[PathBuf]) -> Result<Timeline> {
    let seen = Seen::read(paths)?;
    let start = seen.looks.first().map_or(0.0, |first| first.seconds);
    let mut timeline = Timeline {
        title: seen.program.clone(),
        heap: seen
            .looks
            .iter()
            .map(|it| (it.seconds - start, it.current))
            .collect(),
        ..Timeline::default()
    };
    let peak = seen
        .peak
        .as_ref()
        .map(|it| (it.seconds - start, it.current));
    timeline.add_looks(seen, start);
    timeline.peak = peak;
    Ok(timeline)
}

/// What was live at one moment.
struct Look {
    /// Since 1970.
    seconds: f64,
    /// All of it.
    current: u64,
    /// The lines that held it.
    lines: Vec<(String, u64)>,
}

impl Look {
    fn at(snapshot: &Snapshot, metric: Metric, current: u64) -> Look {
        let line = |it: &Statistic| (it.key.to_string(), it.size.get());
        let statistics = snapshot.statistics_by(GroupBy::Line, metric);
        Look {
            seconds: taken_at(snapshot),
            current,
            lines: statistics.iter().map(line).collect(),
        }
    }
}

/// What is kept of some snapshots, each of which is read and let go: a recording of a day has many.
struct Seen {
    /// The name of the first one's program.
    program: String,
    /// In the order of time.
    looks: Vec<Look>,
    /// What was live at the highest peak, as the first snapshot has it that knows of it.
    peak: Option<Look>,
}

impl Seen {
    fn read(paths: &[PathBuf]) -> Result<Seen> {
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
}

impl Timeline {
    /// Adds the areas of the lines that hold the most at any of the moments.
    fn add_looks(&mut self, seen: Seen, start: f64) {
        let mut looks = seen.looks;
        // The snapshots know what was live at the peak, though none was taken at that moment.
        if let (Some((seconds, bytes)), Some(peak)) = (self.peak, seen.peak)
            && peak.current == bytes
        {
            let seconds = start + seconds;
            looks.push(Look { seconds, ..peak });
            looks.sort_by(|a, b| a.seconds.total_cmp(&b.seconds));
        }
        let mut held: HashMap<String, Vec<u64>> = HashMap::new();
        let moments = looks.len();
        for (at, look) in looks.into_iter().enumerate() {
            for (line, bytes) in look.lines {
                held.entry(line).or_insert_with(|| vec![0; moments])[at] += bytes;
            }
            self.times.push(look.seconds - start);
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
