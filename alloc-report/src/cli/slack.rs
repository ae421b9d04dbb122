//! The command `slack`: how many more bytes blocks have than were asked for.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;

use crate::formats;
use crate::shape::Shape;
use crate::terminal::Stream;
use crate::view::Format;

pub(crate) const EXAMPLES: &str = "\
Examples:
  ALLOC_TRACE=128 ALLOC_TRACE_SLACK=1 ALLOC_TRACE_OUT=heap.pb.gz ./server
  alloc-report slack heap.pb.gz
  alloc-report slack heap.pb.gz --by type
  alloc-report slack heap.pb.gz --charge workspace --include src/cache.rs
  alloc-report slack heap.pb.gz --format csv > slack.csv";

/// The options of `slack`.
#[derive(Args, Debug)]
pub(crate) struct SlackOptions {
    /// A snapshot file of a program that ran with ALLOC_TRACE_SLACK=1, a recording folder (for its
    /// last snapshot), or - for standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    shape: Shape,
    /// The blocks to count: live ones, or all that were ever allocated
    ///
    /// The default is all for a snapshot that was written when the program ended, and live for
    /// others.
    #[arg(long, value_name = "BLOCKS")]
    of: Option<Blocks>,
    /// A table for people, JSON or CSV for programs
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t = Format::Text)]
    format: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Blocks {
    Live,
    All,
}

pub(crate) fn slack(options: &SlackOptions) -> Result<String> {
    let snapshot = options.shape.load(&options.file)?;
    let stdout = Stream::Output;
    let mut table = alloc_report::slack(&snapshot, options.shape.rows)
        .by(options.shape.by)
        .colour(stdout.is_colourful())
        .width(stdout.width());
    if let Some(blocks) = options.of {
        table = table.count_all(blocks == Blocks::All);
    }
    let question = options.shape.question(&snapshot, &options.file);
    let of = if table.counts_all() { "all" } else { "live" };
    match options.format {
        Format::Text => Ok(format!("{table}\n")),
        Format::Json => formats::slack::json(&question, of, &table.groups(), table.notes()),
        Format::Csv => formats::csv::slack(&question, &table.groups()),
    }
}
