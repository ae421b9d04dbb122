//! What the command line can say.

use std::path::PathBuf;

use alloc_core::{ChargeTo, GroupBy, Metric};
use clap::{Args, Parser, Subcommand, ValueEnum};

/// Shows which lines of a Rust program hold its memory, and what grew.
///
/// Reads the snapshot files that alloc_core writes: Snapshot::dump(path) in the program, or
/// ALLOC_TRACE=32 ALLOC_TRACE_OUT=heap.pb.gz in its environment.
#[derive(Debug, Parser)]
#[command(version, after_help = EXAMPLES, max_term_width = 100)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

const EXAMPLES: &str = "\
Examples:
  Write a snapshot when the program ends, and show the ten lines that hold the most memory:
    ALLOC_TRACE=32 ALLOC_TRACE_OUT=heap.pb.gz ./server
    alloc-report top heap.pb.gz

  Show what was live when the heap was largest, with the stacks that allocated it:
    alloc-report top heap.pb.gz --sort at-peak --by traceback -n 3

  Charge what libraries allocate to the functions of one's own that called them:
    alloc-report top heap.pb.gz --charge workspace --by function

  Show what grew between two moments:
    alloc-report diff before.pb.gz after.pb.gz

  Hand the numbers on:
    alloc-report top heap.pb.gz --format json | jq -r '.rows[] | [.bytes, .file, .line] | @tsv'

Exit status: 0 if all is well, 1 if a file cannot be read, 2 if the command line is wrong.";

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show what holds the most memory
    #[command(after_help = TOP_EXAMPLES)]
    Top {
        /// A snapshot file
        #[arg(value_name = "FILE")]
        file: PathBuf,
        #[command(flatten)]
        view: View,
    },
    /// Show what changed most between two snapshots
    #[command(after_help = DIFF_EXAMPLES)]
    Diff {
        /// The snapshot file to compare with
        #[arg(value_name = "OLD")]
        old: PathBuf,
        /// The later snapshot file
        #[arg(value_name = "NEW")]
        new: PathBuf,
        #[command(flatten)]
        view: View,
    },
}

const TOP_EXAMPLES: &str = "\
Examples:
  alloc-report top heap.pb.gz
  alloc-report top heap.pb.gz -n 3 --by traceback
  alloc-report top heap.pb.gz -n 3 --by folded
  alloc-report top heap.pb.gz --sort total --by file --format json";

const DIFF_EXAMPLES: &str = "\
Examples:
  alloc-report diff before.pb.gz after.pb.gz
  alloc-report diff before.pb.gz after.pb.gz --by traceback -n 3
  alloc-report diff monday.pb.gz friday.pb.gz --sort at-peak --charge workspace";

#[derive(Args, Debug)]
pub(crate) struct View {
    /// What one row stands for
    #[arg(long, value_enum, value_name = "GROUP", default_value_t = By::Line)]
    by: By,
    /// The number that is shown and sorted by
    #[arg(long, value_enum, value_name = "METRIC", default_value_t = Sort::Current)]
    sort: Sort,
    /// How many rows to show
    #[arg(
        short = 'n',
        long = "rows",
        value_name = "N",
        default_value_t = 10,
        allow_negative_numbers = true
    )]
    pub(crate) rows: usize,
    /// Which line of a stack the memory is charged to
    #[arg(long, value_enum, value_name = "RULE", default_value_t = Charge::Caller)]
    charge: Charge,
    /// Leave out the lines of source
    #[arg(long)]
    pub(crate) no_source: bool,
    /// Tables for people, or JSON for programs
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t = Format::Text)]
    pub(crate) format: Format,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum By {
    /// A line of source
    Line,
    /// A source file
    File,
    /// A function
    Function,
    /// A whole call stack
    Traceback,
    /// A call stack without its recursion
    Folded,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Sort {
    /// Live when the snapshot was taken
    Current,
    /// The most that was ever live, each row at its own moment
    Peak,
    /// Live when the whole heap was largest
    AtPeak,
    /// Ever allocated
    Total,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Charge {
    /// The innermost one outside the standard library
    Caller,
    /// The innermost one in the program's own workspace
    Workspace,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Format {
    /// A table
    Text,
    /// One object, described in the documentation of the crate alloc-report
    Json,
}

impl View {
    pub(crate) fn by(&self) -> GroupBy {
        match self.by {
            By::Line => GroupBy::Line,
            By::File => GroupBy::File,
            By::Function => GroupBy::Function,
            By::Traceback => GroupBy::Traceback,
            By::Folded => GroupBy::FoldedTraceback,
        }
    }

    pub(crate) fn metric(&self) -> Metric {
        match self.sort {
            Sort::Current => Metric::Current,
            Sort::Peak => Metric::Peak,
            Sort::AtPeak => Metric::AtPeak,
            Sort::Total => Metric::Total,
        }
    }

    pub(crate) fn charge(&self) -> ChargeTo {
        match self.charge {
            Charge::Caller => ChargeTo::Caller,
            Charge::Workspace => ChargeTo::Workspace,
        }
    }
}
