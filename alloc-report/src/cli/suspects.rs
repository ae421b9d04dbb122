//! The command `suspects`: what grows at every step over several snapshots.

use std::mem::ManuallyDrop;
use std::path::{Path, PathBuf};

use alloc_core_snapshot::{Bytes, Escaped, Metric, Snapshot};
use anyhow::{Result, bail};
use clap::Args;

use crate::formats::csv;
use crate::formats::suspects::{self as json, Report};
use crate::load::load;
use crate::output::escaped;
use crate::recording::Recording;
use crate::terminal::Stream;
use crate::view::{By, Charge, Charging, Filters, Format};

pub(crate) const EXAMPLES: &str = "\
Examples:
  alloc-report suspects first.pb.gz second.pb.gz third.pb.gz
  alloc-report suspects heap-4711.*.pb.gz --limit-memory 2GiB
  alloc-report suspects morning --by traceback -n 3
  alloc-report suspects morning --charge caller --exclude crate=tracing
  alloc-report suspects morning --format json | jq -r '.rows[].sentence'

What is named holds more after each step, more than it ever held before, and more than chance
explains, and in the last step it grew at half of its earlier pace or faster. So a cache is no longer
named once it reached its limit. It takes three snapshots to see that, at moments when the program
does the same work.";

#[derive(Args, Debug)]
pub(crate) struct Options {
    /// The first snapshot file, or a recording folder, for all its snapshots
    #[arg(value_name = "OLD")]
    old: PathBuf,
    /// The later snapshot files, of the same process; files are sorted by their times
    #[arg(value_name = "NEW")]
    newer: Vec<PathBuf>,
    /// The key of a row
    #[arg(long, value_enum, value_name = "KEY", default_value = "line")]
    by: By,
    /// The number of rows
    #[arg(
        short = 'n',
        long = "rows",
        visible_alias = "limit",
        value_name = "N",
        default_value_t = 10
    )]
    rows: usize,
    /// Show when the heap reaches this size if it goes on growing, as in 512MiB
    ///
    /// The process holds more than its traced heap, so it gets there earlier.
    #[arg(long, value_name = "SIZE")]
    limit_memory: Option<Bytes>,
    /// The line of a stack to charge the memory to
    #[arg(long, value_enum, value_name = "RULE", default_value_t = Charge::Workspace)]
    charge: Charge,
    /// Charge allocations of this crate to its callers; may be repeated
    #[arg(long, value_name = "CRATE", value_delimiter = ',')]
    skip: Vec<String>,
    /// Show every frame of a stack
    #[arg(long)]
    full: bool,
    /// The number of lines of a stack to show, counted from the allocation
    #[arg(long, value_name = "N")]
    depth: Option<usize>,
    #[command(flatten)]
    filters: Filters,
    /// Omit the lines of source
    #[arg(long)]
    no_source: bool,
    /// A table for people, or JSON or CSV for programs
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t = Format::Text)]
    format: Format,
}

pub(crate) fn report(options: &Options) -> Result<String> {
    let files = files(options)?;
    let charging = Charging {
        charge: options.charge,
        skip: options.skip.clone(),
    };
    let (mut snapshots, mut nothing) = (Vec::new(), None);
    let mut is_nothing = true;
    for file in &files {
        let loaded = load(file, &charging, &options.filters)?;
        is_nothing &= loaded.nothing.is_some();
        nothing = loaded.nothing.or(nothing);
        snapshots.push(ManuallyDrop::into_inner(loaded.snapshot));
    }
    if let Some(nothing) = nothing.filter(|_| is_nothing) {
        bail!(nothing);
    }
    // NOTE: never dropped, as each of them.
    let snapshots = ManuallyDrop::new(snapshots);
    expect_one_process(&snapshots, &files)?;

    let mut table = alloc_report::suspects(&snapshots)
        .by(options.by.0)
        .rows(options.rows);
    if let Some(limit) = options.limit_memory {
        table = table.limit_memory(limit);
    }
    if let Format::Text = options.format {
        let stdout = Stream::Output;
        table = table.colour(stdout.is_colourful()).width(stdout.width());
        if options.no_source {
            table = table.without_sources();
        }
        if options.full {
            table = table.full();
        }
        if let Some(lines) = options.depth {
            table = table.depth(lines);
        }
        return Ok(format!("{table}\n"));
    }
    let report = Report {
        snapshots: &snapshots,
        files: &files,
        by: options.by.0,
        charging: &charging,
        filters: &options.filters,
        rows: options.rows,
        limit: options.limit_memory,
        list: table.list(),
        table: &table,
    };
    match options.format {
        Format::Csv => csv::suspects(&report),
        _ => json::json(&report),
    }
}

/// The files to read: those that were given, or those of a recording.
fn files(options: &Options) -> Result<Vec<PathBuf>> {
    let given = || std::iter::once(&options.old).chain(&options.newer);
    let files = match options.newer.is_empty() && options.old.is_dir() {
        true => Recording::open(&options.old)?.snapshots()?,
        false => given().cloned().collect(),
    };
    if files.len() < 2 {
        bail!(
            "expected two or more snapshots, found {} at {}; growth shows from one to the next",
            files.len(),
            escaped(&options.old)
        );
    }
    Ok(files)
}

/// Fails if the snapshots cannot be steps of one process.
fn expect_one_process(snapshots: &[Snapshot], files: &[PathBuf]) -> Result<()> {
    let all = || snapshots.iter().zip(files);
    if let Some((_, file)) = all().find(|(it, _)| !it.knows(Metric::Current)) {
        bail!(
            "expected live memory in {}, found only allocations",
            escaped(file)
        );
    }
    let first = |expected: &str, words: fn(&Snapshot) -> Option<String>| {
        let mut known = all().filter_map(|(it, file)| Some((words(it)?, file)));
        let Some((one, one_file)) = known.next() else {
            return Ok(());
        };
        match known.find(|(other, _)| *other != one) {
            Some((other, other_file)) => bail!(
                "expected snapshots of one {expected}, found {one} in {} and {other} in {}",
                escaped(one_file),
                escaped(other_file)
            ),
            None => Ok(()),
        }
    };
    first("process", process)?;
    first("recording", recording)
}

/// The process of a snapshot, if it is known.
fn process(snapshot: &Snapshot) -> Option<String> {
    let name = Path::new(snapshot.program()).file_name();
    let name = name.map(|it| Escaped(&it.to_string_lossy()).to_string());
    match (snapshot.process_id(), name) {
        (0, None) => None,
        (0, Some(name)) => Some(name),
        (id, None) => Some(format!("process {id}")),
        (id, Some(name)) => Some(format!("process {id} of {name}")),
    }
}

fn recording(snapshot: &Snapshot) -> Option<String> {
    Some(match snapshot.sampled_every() {
        Some(every) => format!("a sample every {every}"),
        None => "all allocations".to_owned(),
    })
}
