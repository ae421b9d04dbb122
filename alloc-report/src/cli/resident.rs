//! The command `resident`: where the resident memory goes.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;

use crate::formats;
use crate::shape::Shape;
use crate::terminal::Stream;
use crate::view::Format;

pub(crate) const EXAMPLES: &str = "\
Examples:
  ALLOC_TRACE=128 ALLOC_TRACE_RESIDENT=1 ALLOC_TRACE_SIGNAL=USR1 ./server
  alloc-report resident heap.pb.gz
  alloc-report resident heap.pb.gz --by type
  alloc-report resident heap.pb.gz --charge workspace --format json > resident.json";

#[derive(Args, Debug)]
pub(crate) struct Options {
    /// A snapshot file of a program that ran with ALLOC_TRACE_RESIDENT=1, or that it served as
    /// /snapshot?resident=1, a recording folder (for its last snapshot), or - for standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    shape: Shape,
    /// A table for people, JSON or CSV for programs
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t = Format::Text)]
    format: Format,
}

pub(crate) fn resident(options: &Options) -> Result<String> {
    let snapshot = options.shape.load(&options.file)?;
    let stdout = Stream::Output;
    let table = alloc_report::resident(&snapshot, options.shape.rows)
        .by(options.shape.by)
        .colour(stdout.is_colourful())
        .width(stdout.width());
    let question = options.shape.question(&snapshot, &options.file);
    match options.format {
        Format::Text => Ok(format!("{table}\n")),
        Format::Json => formats::resident::json(&question, &table.groups(), table.notes()),
        Format::Csv => formats::csv::resident(&question, &table.groups()),
    }
}
