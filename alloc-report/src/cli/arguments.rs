//! [`Arguments`]: the command line.

use std::path::PathBuf;

use clap::error::ErrorKind;
use clap::{CommandFactory as _, Parser, Subcommand};

use crate::tables::{LifetimesOptions, TreeOptions};
use crate::view::View;

/// Shows which lines of a Rust program hold its memory, and what grew.
///
/// Reads the snapshot files of alloc_core. To write one, call Snapshot::dump(path) in the program,
/// or set ALLOC_TRACE=128 ALLOC_TRACE_OUT=heap.pb.gz in its environment.
#[derive(Debug, Parser)]
#[command(version, after_help = EXAMPLES, max_term_width = 100)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
    /// Search this folder for programs and debug files, to name the frames of a snapshot that has
    /// only addresses; may be repeated
    ///
    /// Files are identified by their build ids, not their names. The paths of the traced programs,
    /// /usr/lib/debug, and the servers in DEBUGINFOD_URLS are searched as well.
    #[arg(long, global = true, value_name = "FOLDER")]
    pub(crate) symbols: Vec<PathBuf>,
}

const EXAMPLES: &str = "\
Examples:
  Write a snapshot when the program ends, and show the ten lines that hold the most memory:
    ALLOC_TRACE=128 ALLOC_TRACE_OUT=heap.pb.gz ./server
    alloc-report top heap.pb.gz

  Show what was still live, with the stacks that allocated it:
    alloc-report top heap.pb.gz --sort current --by traceback -n 3

  Charge allocations of libraries to your own functions that called them:
    alloc-report top heap.pb.gz --charge workspace --by function

  Show what grew between two moments:
    alloc-report diff before.pb.gz after.pb.gz

  Find a leak in a service that writes a snapshot each minute:
    alloc-report suspects heap-4711.0001.pb.gz heap-4711.0002.pb.gz heap-4711.0003.pb.gz

  Show which crates hold the memory, and which lines in each:
    alloc-report top heap.pb.gz --by crate,line

  Count each function with all its callees, without the allocations of the parser:
    alloc-report top heap.pb.gz --by function --cumulative --exclude crate=serde_json

  Pass the numbers to another program:
    alloc-report top heap.pb.gz --format json | jq -r '.rows[] | [.bytes, .file, .line] | @tsv'

Exit status: 0 on success, 1 if a file cannot be read or filters leave nothing, 2 for a wrong \
command line.";

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show what holds the most memory
    #[command(after_help = TOP_EXAMPLES)]
    Top {
        /// A snapshot file, a recording folder (for its last snapshot), or - for standard input
        #[arg(value_name = "FILE")]
        file: PathBuf,
        #[command(flatten)]
        view: View,
    },
    /// Show what changed most between two snapshots
    #[command(after_help = DIFF_EXAMPLES)]
    Diff {
        /// The older snapshot file; without NEW, a profile that holds a difference, or a recording
        /// folder (for its first and last snapshots)
        #[arg(value_name = "OLD")]
        old: PathBuf,
        /// The newer snapshot file
        #[arg(value_name = "NEW")]
        new: Option<PathBuf>,
        #[command(flatten)]
        view: View,
    },
    /// Show the labels and spans that hold the most memory, within each other
    #[command(after_help = TREE_EXAMPLES)]
    Tree(TreeOptions),
    /// Show how long blocks live
    #[command(after_help = LIFETIMES_EXAMPLES)]
    Lifetimes(LifetimesOptions),
    /// Make a page of HTML: flame graph, table, difference, and memory over time
    #[command(after_help = crate::html::EXAMPLES)]
    Html(crate::html::Options),
    /// Write a snapshot in the format of another tool
    #[command(after_help = crate::export::EXAMPLES)]
    Export(crate::export::Options),
    /// Name what grows at every step over several snapshots of a process
    #[command(after_help = crate::suspects::EXAMPLES)]
    Suspects(crate::suspects::Options),
    /// Fail if memory grew beyond a limit, and show what grew
    #[command(after_help = crate::check::EXAMPLES)]
    Check(crate::check::Options),
    /// Show source with what each line allocated, still holds, and held at most
    #[command(after_help = crate::annotate::EXAMPLES)]
    Annotate(crate::annotate::Options),
    /// Add the names of frames to a snapshot, for other tools and machines
    #[command(after_help = crate::symbolize::EXAMPLES)]
    Symbolize(crate::symbolize::Options),
    /// Run a program with tracing, and record its memory over time
    #[cfg(unix)]
    #[command(after_help = crate::run::EXAMPLES)]
    Run(crate::run::Options),
    /// Draw memory over time, from a recording or from snapshots
    #[command(after_help = crate::timeline::EXAMPLES)]
    Timeline(crate::timeline::Options),
    /// Show the peak of live and of resident memory in a recording
    #[command(after_help = crate::recordings::PEAK_EXAMPLES)]
    Peak(crate::recordings::PeakOptions),
    /// List the recordings in a folder
    #[command(after_help = crate::recordings::LIST_EXAMPLES)]
    List(crate::recordings::ListOptions),
    /// Remove recordings
    #[command(after_help = crate::recordings::CLEAN_EXAMPLES)]
    Clean(crate::recordings::CleanOptions),
    /// Print shell completions
    #[command(after_help = COMPLETIONS_EXAMPLES)]
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Print the manual page, or write one for each command
    #[command(after_help = MAN_EXAMPLES)]
    Man {
        /// The folder to write the pages to
        #[arg(value_name = "DIR")]
        folder: Option<PathBuf>,
        /// Replace existing pages
        #[arg(long, requires = "folder")]
        force: bool,
    },
}

const TOP_EXAMPLES: &str = "\
Examples:
  alloc-report top heap.pb.gz
  alloc-report top - <heap.pb.gz
  alloc-report top heap.pb.gz --sort total,count
  alloc-report top heap.pb.gz -n 3 --by traceback
  alloc-report top heap.pb.gz -n 3 --by traceback --full --depth 20
  alloc-report top heap.pb.gz --skip my-arena,my-strings
  alloc-report top heap.pb.gz -n 3 --by folded
  alloc-report top heap.pb.gz --sort total --by file --format json
  alloc-report top heap.pb.gz --sort total,blocks --by size-class
  alloc-report top heap.pb.gz --by crate,line -n 5
  alloc-report top heap.pb.gz --by module --cumulative
  alloc-report top heap.pb.gz --include cache.rs:41 --include 'src/net/*'
  alloc-report top heap.pb.gz --exclude crate=serde_json --all-frames
  alloc-report top heap.pb.gz --include 'function=demo::*,thread=worker-*' --format csv";

const TREE_EXAMPLES: &str = "\
Examples:
  alloc-report tree heap.pb.gz
  alloc-report tree heap.pb.gz --sort total -n 20
  alloc-report tree heap.pb.gz --include 'label=request*' --exclude crate=serde_json";

const LIFETIMES_EXAMPLES: &str = "\
Examples:
  ALLOC_TRACE=128 ALLOC_TRACE_LIFETIMES=1 ALLOC_TRACE_OUT=heap.pb.gz ./server
  alloc-report lifetimes heap.pb.gz
  alloc-report lifetimes heap.pb.gz --by label
  alloc-report lifetimes heap.pb.gz --charge workspace --include 'src/net/*'";

const DIFF_EXAMPLES: &str = "\
Examples:
  alloc-report diff before.pb.gz after.pb.gz
  alloc-report diff before.pb.gz after.pb.gz --by traceback -n 3
  alloc-report diff monday.pb.gz friday.pb.gz --sort at-peak --charge workspace
  alloc-report diff before.pb.gz after.pb.gz --by crate,line --exclude thread=main
  alloc-report diff before.pb.gz after.pb.gz --sort blocks --format csv
  alloc-report diff morning

  Show a difference, as written by Go's /debug/pprof/heap?seconds=30 and pprof's -diff_base:
    alloc-report diff delta.pb.gz";

const COMPLETIONS_EXAMPLES: &str = "\
Examples:
  alloc-report completions bash >/etc/bash_completion.d/alloc-report
  alloc-report completions fish >~/.config/fish/completions/alloc-report.fish
  alloc-report completions zsh >~/.zfunc/_alloc-report";

const MAN_EXAMPLES: &str = "\
Examples:
  alloc-report man | man -l -
  alloc-report man ~/.local/share/man/man1";

/// Returns the value of an option. An error ends the process as clap's own errors do.
pub(crate) fn check_usage<T>(value: Result<T, String>) -> T {
    value.unwrap_or_else(|message| {
        Arguments::command()
            .error(ErrorKind::ValueValidation, message)
            .exit()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Arguments::command().debug_assert();
    }
}
