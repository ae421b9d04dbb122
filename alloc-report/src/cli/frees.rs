//! The command `frees`: who freed whose memory.

use std::path::PathBuf;
use std::str::FromStr as _;

use alloc_core_snapshot::{Freer, GroupBy};
use anyhow::{Result, bail};
use clap::Args;

use crate::formats;
use crate::formats::report::Question;
use crate::load::{Loaded, load};
use crate::terminal::Stream;
use crate::view::{Charging, Filters, Format};

pub(crate) const EXAMPLES: &str = "\
Examples:
  ALLOC_TRACE=128 ALLOC_TRACE_FREES=1 ALLOC_TRACE_THREADS=1 ALLOC_TRACE_OUT=heap.pb.gz ./server
  alloc-report frees heap.pb.gz
  alloc-report frees heap.pb.gz --by thread
  alloc-report frees heap.pb.gz --by line --freed-by label --include cache.rs
  alloc-report frees heap.pb.gz --format json | jq '.rows[] | {key, freed_by}'
  alloc-report frees heap.pb.gz --format csv > frees.csv";

/// The options of `frees`.
#[derive(Args, Debug)]
pub(crate) struct FreesOptions {
    /// A snapshot file of a program that ran with ALLOC_TRACE_FREES=1, a recording folder (for its
    /// last snapshot), or - for standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The key of a row: what allocated, as for top
    #[arg(long, value_name = "KEY", default_value = "label", value_parser = GroupBy::from_str)]
    by: GroupBy,
    /// The key of a column: the label or the thread that freed [default: thread with --by thread,
    /// else label]
    #[arg(long, value_name = "FREER", value_parser = Freer::from_str)]
    freed_by: Option<Freer>,
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

pub(crate) fn frees(options: &FreesOptions) -> Result<String> {
    let Loaded { snapshot, nothing } = load(&options.file, &options.charging, &options.filters)?;
    if let Some(nothing) = nothing {
        bail!(nothing);
    }
    let freer = options.freed_by.unwrap_or(match options.by {
        GroupBy::Thread => Freer::Thread,
        _ => Freer::Label,
    });
    let stdout = Stream::Output;
    let table = alloc_report::frees(&snapshot, options.rows)
        .by(options.by)
        .freed_by(freer)
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
        Format::Json => formats::frees::json(&question, freer, table.notes()),
        Format::Csv => formats::csv::frees(&question, freer),
    }
}
