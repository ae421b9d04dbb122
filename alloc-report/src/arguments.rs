//! What the command line can say.

use std::path::PathBuf;

use alloc_core::{ChargeTo, Grouping, Metric, SortBy};
use clap::builder::PossibleValue;
use clap::error::ErrorKind;
use clap::{ArgGroup, Args, CommandFactory as _, Parser, Subcommand, ValueEnum};

use crate::conditions::Conditions;

/// Shows which lines of a Rust program hold its memory, and what grew.
///
/// Reads the snapshot files that alloc_core writes: Snapshot::dump(path) in the program, or
/// ALLOC_TRACE=32 ALLOC_TRACE_OUT=heap.pb.gz in its environment.
#[derive(Debug, Parser)]
#[command(version, after_help = EXAMPLES, max_term_width = 100)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
    /// Look in this folder for programs and debug files, to name the frames of a snapshot that has addresses; given
    /// again, in each
    ///
    /// Files are told by their build ids, whatever they are called. They are also looked for at the paths that they
    /// were run from, in /usr/lib/debug, and on the servers in DEBUGINFOD_URLS.
    #[arg(long, global = true, value_name = "FOLDER")]
    pub(crate) symbols: Vec<PathBuf>,
}

const EXAMPLES: &str = "\
Examples:
  Write a snapshot when the program ends, and show the ten lines that hold the most memory:
    ALLOC_TRACE=32 ALLOC_TRACE_OUT=heap.pb.gz ./server
    alloc-report top heap.pb.gz

  Show what was still live, with the stacks that allocated it:
    alloc-report top heap.pb.gz --sort current --by traceback -n 3

  Charge what libraries allocate to the functions of one's own that called them:
    alloc-report top heap.pb.gz --charge workspace --by function

  Show what grew between two moments:
    alloc-report diff before.pb.gz after.pb.gz

  Show which crates hold the memory, and which lines in each:
    alloc-report top heap.pb.gz --by crate,line

  Count each function for all that it called, and leave out what the parser allocates:
    alloc-report top heap.pb.gz --by function --cumulative --exclude crate=serde_json

  Hand the numbers on:
    alloc-report top heap.pb.gz --format json | jq -r '.rows[] | [.bytes, .file, .line] | @tsv'

Exit status: 0 if all is well, 1 if a file cannot be read or filters leave nothing of it, 2 if the command line is wrong.";

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show what holds the most memory
    #[command(after_help = TOP_EXAMPLES)]
    Top {
        /// A snapshot file, the folder of a recording, whose last one is shown, or - for the standard input
        #[arg(value_name = "FILE")]
        file: PathBuf,
        #[command(flatten)]
        view: View,
    },
    /// Show what changed most between two snapshots
    #[command(after_help = DIFF_EXAMPLES)]
    Diff {
        /// The snapshot file to compare with; alone, a profile of what changed, or the folder of a
        /// recording, whose first and last snapshot are compared
        #[arg(value_name = "OLD")]
        old: PathBuf,
        /// The later snapshot file
        #[arg(value_name = "NEW")]
        new: Option<PathBuf>,
        #[command(flatten)]
        view: View,
    },
    /// Fail if memory grew by more than is allowed, and tell what did
    #[command(after_help = crate::check::EXAMPLES)]
    Check(crate::check::Options),
    /// Show source, with what each line allocated, holds, and held at most
    #[command(after_help = crate::annotated::EXAMPLES)]
    Annotate(crate::annotated::Options),
    /// Write a snapshot with the names of its frames, for other tools and other machines
    #[command(after_help = crate::symbols::EXAMPLES)]
    Symbolize(crate::symbols::Options),
    /// Run a program with tracing on, and record its memory over time
    #[cfg(unix)]
    #[command(after_help = crate::run::EXAMPLES)]
    Run(crate::run::Options),
    /// Draw memory over time, from a recording or from snapshots
    #[command(after_help = crate::timeline::EXAMPLES)]
    Timeline(crate::timeline::Options),
    /// Show the most that was live and resident in a recording
    #[command(after_help = crate::recordings::PEAK_EXAMPLES)]
    Peak(crate::recordings::PeakOptions),
    /// Show the recordings in a folder
    #[command(after_help = crate::recordings::LIST_EXAMPLES)]
    List(crate::recordings::ListOptions),
    /// Remove recordings
    #[command(after_help = crate::recordings::CLEAN_EXAMPLES)]
    Clean(crate::recordings::CleanOptions),
    /// Print completions for a shell
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
        /// Replace pages that are there
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

const DIFF_EXAMPLES: &str = "\
Examples:
  alloc-report diff before.pb.gz after.pb.gz
  alloc-report diff before.pb.gz after.pb.gz --by traceback -n 3
  alloc-report diff monday.pb.gz friday.pb.gz --sort at-peak --charge workspace
  alloc-report diff before.pb.gz after.pb.gz --by crate,line --exclude thread=main
  alloc-report diff before.pb.gz after.pb.gz --sort blocks --format csv
  alloc-report diff morning

  A profile of what changed, as Go's /debug/pprof/heap?seconds=30 and pprof's -diff_base make it:
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

#[derive(Args, Debug)]
#[command(group(ArgGroup::new("filters").multiple(true).args(["include", "exclude"])))]
pub(crate) struct View {
    /// What one row stands for; with commas, groups within groups
    #[arg(
        long,
        value_enum,
        value_name = "KEY,...",
        value_delimiter = ',',
        default_value = "line"
    )]
    by: Vec<By>,
    /// Count a stack for every frame of it, once in each row, and not only for the line that it is
    /// charged to
    #[arg(long)]
    pub(crate) cumulative: bool,
    /// The number that is shown and sorted by; after a comma or alone, the column to sort by
    ///
    /// By default it is at-peak for a snapshot that was written when the program ended, total for a
    /// profile that tells only what was allocated, and current for others.
    #[arg(long, value_enum, value_name = "METRIC,ORDER", value_delimiter = ',')]
    sort: Vec<Sort>,
    /// How many rows to show; within a row half as many
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
    /// Charge what this crate allocates to who called it, as it is done for the standard library
    /// and for crates of collections, such as hashbrown and indexmap; may be repeated
    #[arg(long, value_name = "CRATE", value_delimiter = ',')]
    pub(crate) skip: Vec<String>,
    /// Show every frame of a stack, and with --cumulative every function
    ///
    /// Otherwise frames in a row that are of dependencies or of the standard library are one line,
    /// and stacks that look alike then are one row. Functions of libraries that only call the
    /// program, as a runtime polls futures, or allocate for it, as Vec::push does, are left out.
    #[arg(long)]
    pub(crate) full: bool,
    /// How many lines of a stack to show, counted from the allocation
    #[arg(long, value_name = "N")]
    pub(crate) depth: Option<usize>,
    /// Show only what meets these conditions; repeat it to show what meets any of several
    ///
    /// A condition is a FILE or FILE:LINE, or one of file=, line=, function=, crate=, thread= and
    /// domain=; with commas between them, all have to be met. Names are patterns for the whole of a
    /// name: ? is one character, [a-z] one of these, and * any of them, slashes too. A FILE without
    /// a slash is compared with the file's name, else with the path as the table has it or as the
    /// compiler wrote it down. A function= without * and ? is also met by functions that have it in
    /// their path, as Cache::fill is in demo::Cache<T>::fill.
    #[arg(long, value_name = "CONDITIONS")]
    pub(crate) include: Vec<Conditions>,
    /// Leave out what meets these conditions; repeat it to leave out what meets any of several
    #[arg(long, value_name = "CONDITIONS")]
    pub(crate) exclude: Vec<Conditions>,
    /// Let --include and --exclude look at all frames of a stack, and not only at the one that it is
    /// charged to
    #[arg(long, requires = "filters")]
    pub(crate) all_frames: bool,
    /// Leave out the lines of source
    #[arg(long)]
    pub(crate) no_source: bool,
    /// Tables for people, or JSON or CSV for programs
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t = Format::Text)]
    pub(crate) format: Format,
}

/// A key to group by: the library's, each with a line of help.
#[derive(Clone, Copy, Debug)]
struct By(alloc_core::GroupBy);

impl ValueEnum for By {
    fn value_variants<'a>() -> &'a [By] {
        use alloc_core::GroupBy::*;
        const ALL: &[By] = &[
            By(Line),
            By(File),
            By(Function),
            By(Module),
            By(Crate),
            By(Traceback),
            By(FoldedTraceback),
            By(SizeClass),
            By(Type),
            By(Thread),
            By(Domain),
        ];
        ALL
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        use alloc_core::GroupBy::*;
        let (name, help) = match self.0 {
            Line => ("line", "A line of source"),
            File => ("file", "A source file"),
            Function => ("function", "A function"),
            Module => ("module", "A module"),
            Crate => (
                "crate",
                "A crate, with its version where the path tells that",
            ),
            Traceback => ("traceback", "A whole call stack"),
            FoldedTraceback => ("folded", "A call stack without its recursion"),
            SizeClass => (
                "size-class",
                "The mean size of a callsite's blocks, by powers of two",
            ),
            Type => (
                "type",
                "The type that blocks were allocated for, as far as debug information tells",
            ),
            Thread => ("thread", "The name of the thread that allocated"),
            Domain => (
                "domain",
                "The Rust heap, or other memory that the program told of",
            ),
            _ => return None,
        };
        Some(PossibleValue::new(name).help(help))
    }
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
    /// Ever freed
    Freed,
    /// The most bytes first, which is the default; in the words of the table: size, share, change
    #[value(aliases = ["size", "share", "change"])]
    Bytes,
    /// The most blocks first; in the words of the table: count
    #[value(alias = "count")]
    Blocks,
    /// The largest blocks first, on average
    Average,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Charge {
    /// The innermost one outside the standard library
    Caller,
    /// The innermost one in the program's own workspace; what has none is one row
    Workspace,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Format {
    /// A table
    Text,
    /// One object, described in the documentation of the crate alloc-report
    Json,
    /// A header and a line for each row, described there as well
    Csv,
}

/// What a word after `--sort` stands for.
enum Chosen {
    Metric(Metric),
    Order(SortBy),
}

impl Sort {
    fn chosen(self) -> Chosen {
        match self {
            Sort::Current => Chosen::Metric(Metric::Current),
            Sort::Peak => Chosen::Metric(Metric::Peak),
            Sort::AtPeak => Chosen::Metric(Metric::AtPeak),
            Sort::Total => Chosen::Metric(Metric::Total),
            Sort::Freed => Chosen::Metric(Metric::Freed),
            Sort::Bytes => Chosen::Order(SortBy::Bytes),
            Sort::Blocks => Chosen::Order(SortBy::Blocks),
            Sort::Average => Chosen::Order(SortBy::Average),
        }
    }
}

impl View {
    /// What to group by, or what is wrong with it.
    pub(crate) fn grouping(&self) -> Result<Grouping, clap::Error> {
        let (mut metrics, mut orders) = (Vec::new(), Vec::new());
        for sort in &self.sort {
            match sort.chosen() {
                Chosen::Metric(metric) => metrics.push(metric),
                Chosen::Order(order) => orders.push(order),
            }
        }
        if metrics.len() > 1 || orders.len() > 1 {
            return Err(wrong(
                "--sort: expected one number at most (current, peak, at-peak, total, freed) and one \
                 order at most (bytes, blocks, average)",
            ));
        }
        let mut keys = self.by.iter().map(|by| by.0);
        let first = keys.next().map_or_else(Grouping::default, Grouping::by);
        let grouping = keys
            .fold(first, Grouping::then)
            .with_metric(metrics.pop().unwrap_or_default())
            .sorted_by(orders.pop().unwrap_or_default());
        if self.cumulative {
            return grouping
                .cumulative()
                .map_err(|error| wrong(&format!("--by: {error}")));
        }
        Ok(grouping)
    }

    /// Whether a number to show was asked for.
    pub(crate) fn has_metric(&self) -> bool {
        let mut sorts = self.sort.iter();
        sorts.any(|sort| matches!(sort.chosen(), Chosen::Metric(_)))
    }

    pub(crate) fn charge(&self) -> ChargeTo {
        match self.charge {
            Charge::Caller => ChargeTo::Caller,
            Charge::Workspace => ChargeTo::Workspace,
        }
    }
}

/// An error that ends the command as clap's own do.
fn wrong(message: &str) -> clap::Error {
    Arguments::command().error(ErrorKind::ValueValidation, message)
}

#[cfg(test)]
mod tests {
    use alloc_core::GroupBy;

    use super::*;

    #[test]
    fn the_library_s_keys_and_metrics_have_their_names_here() {
        let names = |value: Option<PossibleValue>| value.map(|it| it.get_name().to_owned());
        let keys = By::value_variants()
            .iter()
            .map(|by| names(by.to_possible_value()));
        let known = GroupBy::ALL.iter().map(|by| Some(by.to_string()));
        assert!(keys.eq(known));
        let sorts = Sort::value_variants()
            .iter()
            .map(|it| names(it.to_possible_value()));
        let metrics = Metric::ALL.iter().map(|it| Some(it.to_string()));
        let orders = SortBy::ALL.iter().map(|it| Some(it.to_string()));
        assert!(sorts.eq(metrics.chain(orders)));
    }

    #[test]
    fn the_command_line_is_well_formed() {
        Arguments::command().debug_assert();
    }
}
