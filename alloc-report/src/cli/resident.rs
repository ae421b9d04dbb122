//! The command `resident`: where the resident memory goes.

use std::path::PathBuf;
use std::str::FromStr as _;

use alloc_core_snapshot::GroupBy;
use anyhow::{Result, bail};
use clap::Args;

use crate::formats;
use crate::formats::report::Question;
use crate::load::{Loaded, load};
use crate::terminal::Stream;
use crate::view::{Charging, Filters, Format};

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
    /// The key of a row, as for top
    #[arg(long, value_name = "KEY", default_value = "line", value_parser = GroupBy::from_str)]
    by: GroupBy,
    /// The number of rows
    #[arg(short = 'n', long = "rows", value_name = "N", default_value_t = 10)]
    rows: usize,
    #[command(flatten)]
    charging: Charging,
    #[command(flatten)]
    filters: Filters,
    /// A table for people, JSON or CSV for programs
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t = Format::Text)]
    format: Format,
}

pub(crate) fn resident(options: &Options) -> Result<String> {
    let Loaded { snapshot, nothing } = load(&options.file, &options.charging, &options.filters)?;
    if let Some(nothing) = nothing {
        bail!(nothing);
    }
    let stdout = Stream::Output;
    let table = alloc_report::resident(&snapshot, options.rows)
        .by(options.by)
        .colour(stdout.is_colourful())
        .width(stdout.width());
    let question = Question {
        snapshot: &snapshot,
        file: &options.file,
        by: options.by,
        rows: options.rows,
        charging: &options.charging,
        filters: &options.filters,
    };
    match options.format {
        Format::Text => Ok(format!("{table}\n")),
        Format::Json => formats::resident::json(&question, &table.groups(), table.notes()),
        Format::Csv => formats::csv::resident(&question, &table.groups()),
    }
}
