//! `alloc-report timeline`.

use std::collections::HashMap;
use std::path::PathBuf;

use alloc_core::{Escaped, Frame, GroupBy, GroupKey, Grouping, Metric, Snapshot, Statistic};
use anyhow::{Result, bail};
use clap::Args;
use serde::Serialize;

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
    /// What the tracer took up itself.
    pub(crate) tracer: Vec<(f64, u64)>,
    /// Lines of source that held the most, and what they held from each of the times on.
    pub(crate) areas: Vec<Area>,
    pub(crate) times: Vec<f64>,
    /// When the snapshots were taken. The other times are those of the peak.
    pub(crate) snapshots: Vec<f64>,
    pub(crate) peak: Option<Peak>,
}

#[derive(Debug, Default)]
pub(crate) struct Area {
    /// The crate, and the line in it.
    pub(crate) name: String,
    pub(crate) bytes: Vec<u64>,
    pub(crate) source: Option<Source>,
}

/// Where an area's memory was allocated, as far as that can be read here.
#[derive(Debug, Serialize)]
pub(crate) struct Source {
    pub(crate) function: String,
    pub(crate) path: String,
    pub(crate) line: u32,
    /// The lines around it, with their numbers.
    pub(crate) lines: Vec<(u32, String)>,
}

/// The most that was live at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Peak {
    pub(crate) bytes: u64,
    /// After the first time it was not yet reached, at the second it was. Nothing where the first
    /// time is not known.
    pub(crate) between: Option<(f64, f64)>,
}

impl Peak {
    /// The time from one look at the heap to the next, with some patience.
    const LOOK: f64 = 0.15;

    /// When it was, if that is known well enough to be a moment of a picture that ends then.
    pub(crate) fn moment(&self, end: f64) -> Option<(f64, f64)> {
        let (from, to) = self.between?;
        (to - from <= (end / 50.0).max(Peak::LOOK)).then_some((from, to))
    }

    pub(crate) fn when(&self) -> String {
        match self.between {
            None => "before the first snapshot".to_owned(),
            Some((from, to)) if from == to => format!("at {to:.1} s"),
            Some((from, to)) => {
                let digits = if to - from < 0.15 { 2 } else { 1 };
                format!("between {from:.digits$} s and {to:.digits$} s")
            }
        }
    }
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
    timeline.tracer = points(|it| it.tracer_bytes);
    let peaks = points(|it| it.heap_peak_bytes);
    let highest = peaks.iter().map(|&(_, bytes)| bytes).max();
    let first = peaks.iter().position(|&(_, bytes)| Some(bytes) == highest);
    timeline.peak = first.map(|at| {
        let (to, bytes) = peaks[at];
        let from = at.checked_sub(1).map_or(0.0, |before| peaks[before].0);
        let between = Some((from.min(to), to));
        Peak { bytes, between }
    });
    let seen = Seen::read(&recording.snapshots()?)?;
    // A snapshot may have been taken at the very moment.
    if let Some(peak) = &mut timeline.peak
        && let Some(at) = seen.at(peak.bytes)
    {
        peak.between = Some((at - start, at - start));
    }
    // What a snapshot counted is a look at the heap like any other.
    let looks = seen.looks.iter();
    timeline
        .heap
        .extend(looks.map(|it| (it.seconds - start, it.current)));
    timeline.heap.sort_by(|a, b| a.0.total_cmp(&b.0));
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
    timeline.peak = seen.peak.as_ref().map(|peak| Peak {
        bytes: peak.current,
        between: seen.when(peak).map(|(from, to)| (from - start, to - start)),
    });
    timeline.add_looks(seen, start);
    Ok(timeline)
}

/// What was live at one moment.
#[derive(Clone)]
struct Look {
    /// Since 1970.
    seconds: f64,
    /// All of it.
    current: u64,
    /// The lines that held it.
    lines: Vec<Line>,
}

/// What one line of source held.
#[derive(Clone)]
struct Line {
    name: String,
    frame: Option<Frame>,
    bytes: u64,
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

/// A line with its crate before it, unless its path begins with that.
fn name(of: &str, line: &str) -> String {
    let like = |text: &str| text.replace('-', "_");
    let word = of.split(' ').next().unwrap_or_default();
    match of.starts_with('<') || like(line).starts_with(&like(word)) {
        true => line.to_owned(),
        false => format!("{of} {line}"),
    }
}

impl Source {
    /// How many lines there are before the one that is meant, and after it.
    const AROUND: u32 = 3;
    const LARGEST_FILE: u64 = 4 << 20;

    fn of(frame: &Frame) -> Option<Source> {
        let file = frame.file()?;
        Some(Source {
            function: frame.function().unwrap_or_default().to_owned(),
            path: file.full().to_owned(),
            line: frame.line(),
            lines: Source::read(file.full(), frame.line()).unwrap_or_default(),
        })
    }

    fn read(path: &str, line: u32) -> Option<Vec<(u32, String)>> {
        let path = std::path::Path::new(path);
        // NOTE: what a relative path is relative to is not known, and a pipe is not waited for.
        let about = std::fs::metadata(path).ok()?;
        if !path.is_absolute() || !about.is_file() || about.len() > Source::LARGEST_FILE {
            return None;
        }
        let text = std::fs::read_to_string(path).ok()?;
        let (first, last) = (line.saturating_sub(Source::AROUND), line + Source::AROUND);
        let numbered = (1..).zip(text.lines());
        let around = numbered.skip_while(|(number, _)| *number < first);
        let around = around.take_while(|(number, _)| *number <= last);
        Some(around.map(|(number, it)| (number, it.to_owned())).collect())
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

    /// When the first snapshot of so much was taken.
    fn at(&self, bytes: u64) -> Option<f64> {
        let look = self.looks.iter().find(|it| it.current == bytes);
        look.map(|it| it.seconds)
    }

    /// Between which snapshots the peak was, or at which.
    fn when(&self, peak: &Look) -> Option<(f64, f64)> {
        if let Some(at) = self.at(peak.current) {
            return Some((at, at));
        }
        let before = self.looks.iter().rfind(|it| it.seconds < peak.seconds)?;
        Some((before.seconds, peak.seconds))
    }
}

impl Timeline {
    /// Adds the areas of the lines that hold the most at any of the moments.
    fn add_looks(&mut self, seen: Seen, start: f64) {
        let mut looks = seen.looks;
        self.snapshots = looks.iter().map(|it| it.seconds - start).collect();
        let end = self
            .end()
            .max(looks.last().map_or(0.0, |it| it.seconds - start));
        // The snapshots know what was live at the peak, though none was taken at that moment.
        if let (Some(measured), Some(peak)) = (self.peak, seen.peak)
            && peak.current == measured.bytes
            && let Some((from, to)) = measured.moment(end)
            && from < to
        {
            // It holds until the heap is seen to be lower, or until the next snapshot.
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
        // What is there all the time lies at the bottom, and what comes and goes above it.
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

    /// The end of the time that is shown.
    fn end(&self) -> f64 {
        let lines = self.heap.iter().chain(&self.resident).map(|&(at, _)| at);
        lines.chain(self.times.iter().copied()).fold(0.0, f64::max)
    }

    /// The most that is shown.
    fn highest(&self) -> u64 {
        let peak = self.peak.filter(|it| it.between.is_some());
        let lines = self.heap.iter().chain(&self.resident);
        let lines = lines.map(|&(_, bytes)| bytes);
        let sums = (0..self.times.len()).map(|at| self.areas.iter().map(|it| it.bytes[at]).sum());
        let tracer = self.above_heap().into_iter().map(|(_, _, top)| top);
        let all = lines.chain(sums).chain(tracer);
        all.chain(peak.map(|it| it.bytes)).max().unwrap_or(0)
    }

    /// The heap, and what it is with the tracer's own memory, from each time on.
    fn above_heap(&self) -> Vec<(f64, u64, u64)> {
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
        let mut timeline = sample();
        assert_eq!((timeline.end(), timeline.highest()), (3.0, 12 << 20));
        // A peak of which it is not known when it was has no place in the picture.
        let bytes = 99 << 20;
        timeline.peak = Some(Peak {
            bytes,
            between: None,
        });
        assert_eq!(timeline.highest(), 12 << 20);
    }

    #[test]
    fn the_tracer_s_memory_is_above_the_heap_from_when_it_is_known() {
        let mut timeline = sample();
        timeline.tracer = vec![(0.5, 7), (2.5, 9)];
        let above: Vec<_> = timeline
            .above_heap()
            .into_iter()
            .map(|(at, heap, top)| (at, top - heap))
            .collect();
        assert_eq!(above, [(1.0, 7), (2.0, 7), (3.0, 9)]);
    }

    #[test]
    fn a_crate_comes_first_and_once() {
        assert_eq!(name("demo", "src/a.rs:1"), "demo src/a.rs:1");
        let line = "serde_json-1.0.9/src/de.rs:12";
        assert_eq!(name("serde_json 1.0.9", line), line);
        assert_eq!(
            name("my_crate", "my-crate/src/a.rs:1"),
            "my-crate/src/a.rs:1"
        );
        assert_eq!(name("<unknown>", "demo+0x12"), "demo+0x12");
    }

    fn look(seconds: f64, lines: &[(&str, u64)]) -> Look {
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

    /// The areas hold what a snapshot found until the next one, but for the moment of the peak.
    #[test]
    fn the_peak_is_a_moment_of_the_areas() {
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
        // The heap stayed there.
        assert_eq!(
            areas(50, 150.0),
            [(100.0, 10), (150.0, 50), (170.0, 10), (200.0, 20)]
        );
        // Some time between two far moments is none.
        assert_eq!(areas(10, 100.0), [(100.0, 10), (200.0, 20)]);
    }

    #[test]
    fn snapshots_alone_tell_between_which_of_them_the_peak_was() {
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
