//! The command `html`: a page that a browser opens from disk.

use std::path::{Path, PathBuf};

use alloc_core_snapshot::{Escaped, Metric, Snapshot};
use alloc_report::Graph;
use anyhow::{Result, bail};
use clap::Args;

use crate::load::{Loaded, load, load_graph};
use crate::output;
use crate::recording::{self, Recording, taken_at};
use crate::view::{Charging, Filters};

pub(crate) const EXAMPLES: &str = "\
Examples:
  alloc-report html heap.pb.gz
  alloc-report html after.pb.gz before.pb.gz -o growth.html
  alloc-report html morning -o morning.html
  alloc-report html app.heapgraph -o graph.html
  alloc-report html heap.pb.gz --exclude crate=serde_json --title 'without the parser' -o rest.html";

/// A page shows at most this many moments of a recording, evenly spread.
const MOST_MOMENTS: usize = 48;

#[derive(Args, Debug)]
pub(crate) struct Options {
    /// A snapshot file, a recording folder (with all its snapshots), the file of a heap graph, or -
    /// for standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// An older snapshot to compare with
    #[arg(value_name = "OLD")]
    old: Option<PathBuf>,
    /// The page to write, or - for standard output
    #[arg(
        short = 'o',
        long = "output",
        value_name = "FILE",
        default_value = "report.html"
    )]
    output: PathBuf,
    /// Replace an existing file
    #[arg(long)]
    force: bool,
    /// The title of the page [default: the program's name]
    #[arg(long, value_name = "TEXT")]
    title: Option<String>,
    /// The metric that the page shows first
    #[arg(long, value_name = "METRIC", value_parser = <Metric as std::str::FromStr>::from_str)]
    sort: Option<Metric>,
    #[command(flatten)]
    charging: Charging,
    #[command(flatten)]
    filters: Filters,
}

pub(crate) fn report(options: &Options) -> Result<String> {
    let is_standard_output = options.output == Path::new("-");
    if !is_standard_output {
        output::check_free(&options.output, options.force)?;
    }
    let page = match Graph::is_file(&options.file) {
        true => page_of_graph(options)?,
        false => page(options)?,
    };
    if is_standard_output {
        return Ok(page);
    }
    output::write(&options.output, page.as_bytes(), options.force)?;
    Ok(format!("Written to {}\n", output::escaped(&options.output)))
}

fn page_of_graph(options: &Options) -> Result<String> {
    let filters = &options.filters;
    for (is_given, name) in [
        (options.old.is_some(), "an older file"),
        (options.sort.is_some(), "--sort"),
        (!filters.include.is_empty(), "--include"),
        (!filters.exclude.is_empty(), "--exclude"),
    ] {
        if is_given {
            bail!("expected a heap graph alone, found {name}");
        }
    }
    let graph = load_graph(&options.file, &options.charging)?;
    let page = graph.page();
    Ok(match &options.title {
        Some(title) => page.title(title).to_string(),
        None => page.to_string(),
    })
}

fn page(options: &Options) -> Result<String> {
    let load = |path: &Path| -> Result<Snapshot> {
        let Loaded { snapshot, nothing } = load(path, &options.charging, &options.filters)?;
        match nothing {
            Some(nothing) => bail!(nothing),
            None => Ok(std::mem::ManuallyDrop::into_inner(snapshot)),
        }
    };
    let snapshot = load(&options.file)?;
    let old = options.old.as_deref().map(&load).transpose()?;
    let run = match options.file.is_dir() {
        true => Some(Run::read(&Recording::open(&options.file)?, load)?),
        false => None,
    };
    let mut page = alloc_report::page(&snapshot);
    if let Some(title) = &options.title {
        page = page.title(title);
    }
    if let Some(metric) = options.sort {
        if !snapshot.knows(metric) {
            bail!(
                "the snapshot {} does not have {metric}",
                Escaped(&options.file.display().to_string())
            );
        }
        page = page.metric(metric);
    }
    if let Some(old) = &old {
        page = page.compared_to(old);
    }
    if let Some(run) = &run {
        page = page.over_time(run.heap.clone(), run.resident.clone());
        for (seconds, snapshot) in &run.moments {
            page = page.moment(*seconds, snapshot);
        }
    }
    Ok(page.to_string())
}

/// A recording: what was measured, and its snapshots, in seconds since its start.
struct Run {
    heap: Vec<(f64, u64)>,
    resident: Vec<(f64, u64)>,
    moments: Vec<(f64, Snapshot)>,
}

impl Run {
    fn read(recording: &Recording, load: impl Fn(&Path) -> Result<Snapshot>) -> Result<Run> {
        let start = recording.about.started_at;
        let points = |value: fn(&recording::Moment) -> Option<u64>| -> Vec<(f64, u64)> {
            let point = |it: &recording::Moment| Some(((it.seconds - start).max(0.0), value(it)?));
            recording.moments.iter().filter_map(point).collect()
        };
        let paths = recording.snapshots()?;
        let mut moments = Vec::new();
        for path in spread(&paths, MOST_MOMENTS) {
            let snapshot = load(path)?;
            moments.push(((taken_at(&snapshot) - start).max(0.0), snapshot));
        }
        moments.sort_by(|a, b| a.0.total_cmp(&b.0));
        Ok(Run {
            heap: points(|it| it.heap_bytes),
            resident: points(|it| it.rss_bytes),
            moments,
        })
    }
}

/// At most `most` of `all`, evenly spread, with the first and the last.
fn spread<T>(all: &[T], most: usize) -> impl Iterator<Item = &T> {
    let count = all.len().min(most);
    let place = move |at: usize| match count {
        0 | 1 => 0,
        count => at * (all.len() - 1) / (count - 1),
    };
    (0..count).map(move |at| &all[place(at)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_spread_evenly() {
        #[track_caller]
        fn check(all: usize, most: usize, expected: &[usize]) {
            let all: Vec<usize> = (0..all).collect();
            let chosen: Vec<usize> = spread(&all, most).copied().collect();
            assert_eq!(chosen, expected);
        }
        check(0, 3, &[]);
        check(1, 3, &[0]);
        check(3, 3, &[0, 1, 2]);
        check(9, 3, &[0, 4, 8]);
        check(10, 4, &[0, 3, 6, 9]);
    }
}
