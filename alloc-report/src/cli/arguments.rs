//! [`Arguments`]: the command line.

use std::path::PathBuf;

use clap::error::ErrorKind;
use clap::{CommandFactory as _, Parser, Subcommand};

use crate::ages::{self, GenerationsOptions, LifetimesOptions, TemporaryOptions};
use crate::frees::FreesOptions;
use crate::slack::SlackOptions;
use crate::tables::{SummaryOptions, TreeOptions};
use crate::view::View;

/// Shows which lines of a Rust program hold its memory, and what grew.
///
/// Reads the snapshot files of alloc_core. To write one, call Snapshot::dump(path) in the program,
/// or set ALLOC_TRACE=128 ALLOC_TRACE_OUT=heap.pb.gz in its environment. All commands also read the
/// heap profiles of other tools: pprof's, of Go and others, DHAT's, heaptrack's, jemalloc's and
/// memray's (see import --help).
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
        ///
        /// The heap profiles of other tools are recognised by their content, packed by gzip or zstd
        /// or not: pprof's format, of Go, jemalloc_pprof, tcmalloc and others; DHAT's JSON, of
        /// valgrind and dhat-rs; heaptrack's data; jemalloc's text (heap_v2); the text of Go's
        /// /debug/pprof/heap?debug=1 and of gperftools; and the table of memray transform csv. What
        /// a file lacks is shown as unknown.
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
    /// Show the half screen that answers most questions
    #[command(after_help = SUMMARY_EXAMPLES)]
    Summary(SummaryOptions),
    /// Show the stacks that hold the most memory as a tree, or the labels and spans
    #[command(after_help = TREE_EXAMPLES)]
    Tree(TreeOptions),
    /// Show how long blocks live
    #[command(after_help = ages::LIFETIMES_EXAMPLES)]
    Lifetimes(LifetimesOptions),
    /// Show what is freed soon after it was allocated
    #[command(after_help = ages::TEMPORARY_EXAMPLES)]
    Temporary(TemporaryOptions),
    /// Show how many snapshots the live blocks survived
    #[command(after_help = ages::GENERATIONS_EXAMPLES)]
    Generations(GenerationsOptions),
    /// Show who freed whose memory: labels against labels, or threads against threads
    #[command(after_help = crate::frees::EXAMPLES)]
    Frees(FreesOptions),
    /// Show how many more bytes blocks have than were asked for
    #[command(after_help = crate::slack::EXAMPLES)]
    Slack(SlackOptions),
    /// Say what took the memory of a process that was killed
    #[command(after_help = crate::oom::EXAMPLES)]
    Oom(crate::oom::Options),
    /// Show where the resident memory goes, and which lines keep pages
    #[command(after_help = crate::resident::EXAMPLES)]
    Resident(crate::resident::Options),
    /// Show what keeps memory alive, from the heap graph of a program
    #[command(after_help = crate::graph::EXAMPLES)]
    Graph(crate::graph::Options),
    /// Make a page of HTML: flame graph, table, difference, and memory over time
    #[command(after_help = crate::html::EXAMPLES)]
    Html(crate::html::Options),
    /// Draw a flame graph as SVG, which needs no script
    #[command(after_help = crate::flamegraph::EXAMPLES)]
    Flamegraph(crate::flamegraph::Options),
    /// Say which lines could do with fewer allocations or less memory, and how
    #[command(after_help = crate::advise::EXAMPLES)]
    Advise(crate::advise::Options),
    /// Show a snapshot on a screen: a tree of stacks, a table, and the source
    #[command(after_help = crate::explore::VIEW_EXAMPLES)]
    View(crate::explore::ViewOptions),
    /// Watch a running program on a screen
    #[command(after_help = crate::explore::LIVE_EXAMPLES)]
    Live(crate::explore::LiveOptions),
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
    /// Make a snapshot of another tool's heap profile
    #[command(after_help = crate::import::EXAMPLES)]
    Import(crate::import::Options),
    /// Write a snapshot in the format of another tool
    #[command(after_help = crate::export::EXAMPLES)]
    Export(crate::export::Options),
    /// Ask a question about the snapshots of many processes, from Parquet files
    #[command(after_help = crate::fleet::EXAMPLES)]
    Fleet(crate::fleet::Options),
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
  alloc-report tree heap.pb.gz --by stack -n 30
  alloc-report tree heap.pb.gz --by stack --format json
  alloc-report tree heap.pb.gz --sort total -n 20
  alloc-report tree heap.pb.gz --include 'label=request*' --exclude crate=serde_json";

const SUMMARY_EXAMPLES: &str = "\
Examples:
  alloc-report summary heap.pb.gz
  alloc-report summary heap.pb.gz --charge workspace";

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
