//! The commands `lifetimes`, `temporary` and `generations`: how old blocks become.

use std::path::PathBuf;
use std::str::FromStr as _;
use std::time::Duration;

use alloc_core_snapshot::Snapshot;
use alloc_report::Within;
use anyhow::{Result, bail};
use clap::Args;

use crate::formats;
use crate::recording::{Recording, taken_at};
use crate::shape::Shape;
use crate::terminal::Stream;
use crate::view::Format;

pub(crate) const LIFETIMES_EXAMPLES: &str = "\
Examples:
  ALLOC_TRACE=128 ALLOC_TRACE_LIFETIMES=1 ALLOC_TRACE_OUT=heap.pb.gz ./server
  alloc-report lifetimes heap.pb.gz
  alloc-report lifetimes heap.pb.gz --by label
  alloc-report lifetimes heap.pb.gz --charge workspace --include 'src/net/*'
  alloc-report lifetimes heap.pb.gz --format json | jq '.rows[] | {key, freed}'";

pub(crate) const TEMPORARY_EXAMPLES: &str = "\
Examples:
  ALLOC_TRACE=128 ALLOC_TRACE_LIFETIMES=1 ALLOC_TRACE_OUT=heap.pb.gz ./server
  alloc-report temporary heap.pb.gz
  alloc-report temporary heap.pb.gz --within 10us --charge workspace
  alloc-report temporary heap.pb.gz --within 64KiB --by type
  alloc-report temporary heap.pb.gz --format csv > temporary.csv";

pub(crate) const GENERATIONS_EXAMPLES: &str = "\
Examples:
  ALLOC_TRACE=128 ALLOC_TRACE_LIFETIMES=1 ALLOC_TRACE_OUT=heap-%p.pb.gz ALLOC_TRACE_EVERY=60 ./server
  alloc-report generations first.pb.gz second.pb.gz third.pb.gz
  alloc-report generations morning --by label
  alloc-report generations morning --format json | jq '.rows[] | {key, survived, verdict}'";

#[derive(Args, Debug)]
pub(crate) struct LifetimesOptions {
    /// A snapshot file of a program that ran with ALLOC_TRACE_LIFETIMES=1, a recording folder (for
    /// its last snapshot), or - for standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    shape: Shape,
    /// A table for people, JSON or CSV for programs
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t = Format::Text)]
    format: Format,
}

pub(crate) fn lifetimes(options: &LifetimesOptions) -> Result<String> {
    let snapshot = options.shape.load(&options.file)?;
    let stdout = Stream::Output;
    let table = alloc_report::lifetimes(&snapshot, options.shape.rows)
        .by(options.shape.by)
        .colour(stdout.is_colourful())
        .width(stdout.width());
    let question = options.shape.question(&snapshot, &options.file);
    match options.format {
        Format::Text => Ok(format!("{table}\n")),
        Format::Json => formats::lifetimes::json(&question, &table.groups(), table.notes()),
        Format::Csv => formats::csv::lifetimes(&question, &table.groups()),
    }
}

#[derive(Args, Debug)]
pub(crate) struct TemporaryOptions {
    /// A snapshot file of a program that ran with ALLOC_TRACE_LIFETIMES=1, a recording folder (for
    /// its last snapshot), or - for standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// How soon a block was freed: in less than a time such as 10us or 5ms, or before the program
    /// allocated so many more bytes, such as 4KiB
    #[arg(long, value_name = "LIMIT", default_value = "4KiB", value_parser = Within::from_str)]
    within: Within,
    #[command(flatten)]
    shape: Shape,
    /// A table for people, JSON or CSV for programs
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t = Format::Text)]
    format: Format,
}

pub(crate) fn temporary(options: &TemporaryOptions) -> Result<String> {
    let snapshot = options.shape.load(&options.file)?;
    let stdout = Stream::Output;
    let table = alloc_report::temporary(&snapshot, options.shape.rows)
        .within(options.within)
        .by(options.shape.by)
        .colour(stdout.is_colourful())
        .width(stdout.width());
    let question = options.shape.question(&snapshot, &options.file);
    match options.format {
        Format::Text => Ok(format!("{table}\n")),
        Format::Json => formats::temporary::json(&question, &table),
        Format::Csv => formats::csv::temporary(&question, &table.groups()),
    }
}

#[derive(Args, Debug)]
pub(crate) struct GenerationsOptions {
    /// The older snapshot files of a process, or a recording folder, for all its snapshots
    #[arg(value_name = "OLD", required = true)]
    files: Vec<PathBuf>,
    #[command(flatten)]
    shape: Shape,
    /// A table for people, JSON or CSV for programs
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t = Format::Text)]
    format: Format,
}

pub(crate) fn generations(options: &GenerationsOptions) -> Result<String> {
    let files = match options.files.as_slice() {
        [folder] if folder.is_dir() => Recording::open(folder)?.snapshots()?,
        files => files.to_vec(),
    };
    let mut times = Vec::new();
    let mut newest: Option<(f64, &PathBuf, std::mem::ManuallyDrop<Snapshot>)> = None;
    for file in &files {
        let snapshot = options.shape.load(file)?;
        // NOTE: little is live when a program has ended.
        if snapshot.is_at_exit() && files.len() > 1 {
            continue;
        }
        let at = taken_at(&snapshot);
        times.push(at);
        if newest.as_ref().is_none_or(|(known, ..)| at >= *known) {
            newest = Some((at, file, snapshot));
        }
    }
    let Some((now, file, newest)) = newest else {
        bail!("expected snapshots of a running program, found none");
    };
    let earlier = times.into_iter().filter(|at| *at < now);
    let before: Vec<Duration> = earlier
        .map(|at| Duration::from_secs_f64((now - at).min(1e9)))
        .collect();
    let stdout = Stream::Output;
    let table = alloc_report::generations(&newest, &before, options.shape.rows)
        .by(options.shape.by)
        .colour(stdout.is_colourful())
        .width(stdout.width());
    let question = options.shape.question(&newest, file);
    match options.format {
        Format::Text => Ok(format!("{table}\n")),
        Format::Json => formats::generations::json(&question, &table),
        Format::Csv => formats::csv::generations(&question, &table.groups()),
    }
}
