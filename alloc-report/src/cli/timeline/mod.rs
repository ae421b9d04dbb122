//! The command `timeline`: memory over time as a picture.
//!
//! A recording or snapshot files go in; an SVG or a self-contained page comes out. Source files are
//! read for the page; only the output file is written.
//!
//! Each module imports only from those before it: `source`, `data`, `series`, `areas`; `axis`,
//! `shapes`, `legend`, `svg`, `page`.

use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::Args;

use crate::output;
use crate::recording::{self, Recording};

mod areas;
mod axis;
mod data;
mod legend;

mod page;
mod series;
mod shapes;
mod source;
mod svg;

use data::{Peak, Timeline};
use series::Series;

pub(crate) const EXAMPLES: &str = "\
Examples:
  alloc-report timeline
  alloc-report timeline morning -o morning.svg
  alloc-report timeline -1 -o last.html
  alloc-report timeline heap.0001.pb.gz heap.0002.pb.gz heap.0003.pb.gz -o heap.svg";

#[derive(Args, Debug)]
pub(crate) struct Options {
    /// A recording folder or its number in the list, or snapshot files [default: -1, the newest]
    #[arg(value_name = "DIR|FILES", allow_negative_numbers = true)]
    sources: Vec<PathBuf>,
    /// The picture to write: an SVG, or a page if the name ends with .html
    #[arg(
        short = 'o',
        long = "output",
        value_name = "FILE",
        default_value = "timeline.svg"
    )]
    output: PathBuf,
    /// Replace an existing file
    #[arg(long)]
    force: bool,
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
        page::page(&timeline)
    } else {
        svg::svg(&timeline)
    };
    output::write(&options.output, picture.as_bytes(), options.force)?;
    Ok(format!("Written to {}\n", output::escaped(&options.output)))
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
        _ => bail!("expected one recording folder, or snapshot files"),
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
    let series = Series::read(&recording.snapshots()?)?;
    // A snapshot with exactly that many bytes was taken at the peak.
    if let Some(peak) = &mut timeline.peak
        && let Some(at) = series.at(peak.bytes)
    {
        peak.between = Some((at - start, at - start));
    }
    // A snapshot is a measurement of the heap like any other.
    let states = series.states.iter();
    timeline
        .heap
        .extend(states.map(|it| (it.seconds - start, it.current)));
    timeline.heap.sort_by(|a, b| a.0.total_cmp(&b.0));
    timeline.add_areas(series, start);
    if timeline.heap.is_empty() && timeline.resident.is_empty() && timeline.times.is_empty() {
        bail!("the recording has no numbers: the program ended at once");
    }
    Ok(timeline)
}

fn of_snapshots(paths: &[PathBuf]) -> Result<Timeline> {
    let series = Series::read(paths)?;
    let start = series.states.first().map_or(0.0, |first| first.seconds);
    let mut timeline = Timeline {
        title: series.program.clone(),
        heap: series
            .states
            .iter()
            .map(|it| (it.seconds - start, it.current))
            .collect(),
        ..Timeline::default()
    };
    timeline.peak = series.peak.as_ref().map(|peak| Peak {
        bytes: peak.current,
        between: series
            .when(peak)
            .map(|(from, to)| (from - start, to - start)),
    });
    timeline.add_areas(series, start);
    Ok(timeline)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_paths_are_refused() {
        let error = timeline(&[PathBuf::from("nowhere")]).unwrap_err();
        let text = format!("{error:#}");
        assert!(
            text.contains("expected a recording by alloc-report run"),
            "{text}"
        );
        let both = [PathBuf::from("nowhere"), PathBuf::from("Cargo.toml")];
        assert!(timeline(&both).is_err());
    }
}
