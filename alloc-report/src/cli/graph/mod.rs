//! The command `graph`: what holds the memory of a program, from the file of its heap graph.

mod export;
mod json;
mod request;

use std::path::{Path, PathBuf};
use std::str::FromStr as _;

use alloc_core_snapshot::GroupBy;
use alloc_report::Graph;
use alloc_report::graph::{Selected, Show};
use anyhow::{Result, anyhow, bail};
use clap::{Args, Subcommand, ValueEnum};

use crate::load::load_graph;
use crate::output;
use crate::terminal::Stream;
use crate::view::Charging;
use export::To;

pub(crate) const EXAMPLES: &str = "\
Examples:
  Show what holds the memory, and what leaks:
    alloc-report graph app.heapgraph

  Ask why the blocks of a line, of a type, or at an address are alive:
    alloc-report graph app.heapgraph why src/cache.rs:41
    alloc-report graph app.heapgraph why Node
    alloc-report graph app.heapgraph why 0x10000000

  List what nothing reaches, cycles of Rc and Arc, and counts that do not add up:
    alloc-report graph app.heapgraph leaks
    alloc-report graph app.heapgraph cycles
    alloc-report graph app.heapgraph counts

  Show what would be free without each root, or without the blocks of each type:
    alloc-report graph app.heapgraph roots -n 30
    alloc-report graph app.heapgraph retained --by type
    alloc-report graph app.heapgraph --charge workspace retained --by line

  List what points to a block, and what it points to:
    alloc-report graph app.heapgraph referrers Parent
    alloc-report graph app.heapgraph referents 0x10000000

  Find equal contents that are held more than once:
    alloc-report graph app.heapgraph duplicates --format json

  Find vectors that hold more than they use:
    alloc-report graph app.heapgraph spare

  Show what came and grew between two moments, and what holds it:
    alloc-report graph diff monday.heapgraph friday.heapgraph

  Ask a running process, started with ALLOC_TRACE=128 ALLOC_TRACE_GRAPH_SIGNAL=USR2:
    alloc-report graph --pid 4242
    alloc-report graph --pid 4242 why src/cache.rs:41

  Look at it in a browser, in the Memory tab of Chrome's DevTools, or in a drawing
  of Graphviz:
    alloc-report graph app.heapgraph --to html -o app.html
    alloc-report graph app.heapgraph --to heapsnapshot -o app.heapsnapshot
    alloc-report graph app.heapgraph --to dot -o - | dot -Tsvg -o app.svg

A program writes the file with alloc_core::heap_graph(\"app.heapgraph\"), or on
the signal that ALLOC_TRACE_GRAPH_SIGNAL names. Whether a word is a pointer is
not known, so each answer shows how sure it is. Types need debug information
(debug = 1).";

#[derive(Args, Debug)]
#[command(
    subcommand_negates_reqs = true,
    override_usage = "alloc-report graph [OPTIONS] <FILE> [COMMAND]"
)]
pub(crate) struct Options {
    /// The file of a heap graph
    #[arg(value_name = "FILE", required_unless_present = "process")]
    file: Option<PathBuf>,
    /// Ask this process for a graph; the file stays where the process writes it
    ///
    /// The process must have been started with ALLOC_TRACE and ALLOC_TRACE_GRAPH_SIGNAL.
    #[arg(long = "pid", value_name = "PID", conflicts_with = "file")]
    process: Option<u32>,
    #[command(subcommand)]
    question: Option<Question>,
    #[command(flatten)]
    charging: Charging,
    /// The number of rows
    #[arg(
        short = 'n',
        long = "rows",
        value_name = "N",
        default_value_t = 10,
        global = true
    )]
    rows: usize,
    /// Text for people, or JSON for programs
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t = Format::Text, global = true)]
    format: Format,
    /// Write the graph for a browser or another program
    #[arg(long, value_enum, value_name = "PROGRAM", requires = "output")]
    to: Option<To>,
    /// The file to write, or - for standard output
    #[arg(short = 'o', long = "output", value_name = "OUT", requires = "to")]
    output: Option<PathBuf>,
    /// Replace an existing file
    #[arg(long, requires = "output")]
    force: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    Text,
    Json,
}

#[derive(Debug, Subcommand)]
enum Question {
    /// Show why blocks are alive: what they would be free without, and the shortest paths to them
    Why {
        /// An address such as 0x7f12a0, a line such as src/cache.rs:41, or a type such as Rc<Node>
        #[arg(value_name = "BLOCKS")]
        blocks: String,
    },
    /// Show what would be free without the blocks of each type, line, function, crate or label
    Retained {
        /// The key of a row, as for top
        #[arg(long, value_name = "KEY", default_value = "type", value_parser = GroupBy::from_str)]
        by: GroupBy,
    },
    /// Show what would be free without each root
    Roots,
    /// List what nothing reaches
    Leaks,
    /// Draw the cycles of Rc and Arc that nobody else owns
    Cycles,
    /// List equal contents, if the program hashed them
    Duplicates,
    /// List vectors and strings that hold more than they use
    Spare,
    /// List Rc and Arc whose counts the references found do not explain
    Counts,
    /// List what points to a block
    Referrers {
        /// An address, a line or a type; of several blocks, the one that retains the most
        #[arg(value_name = "BLOCK")]
        block: String,
    },
    /// List what a block points to
    Referents {
        /// An address, a line or a type; of several blocks, the one that retains the most
        #[arg(value_name = "BLOCK")]
        block: String,
    },
    /// Show what came, grew and went between two graphs
    Diff {
        /// The older file
        #[arg(value_name = "OLD")]
        old: PathBuf,
        /// The newer file
        #[arg(value_name = "NEW")]
        new: PathBuf,
    },
}

pub(crate) fn report(options: &Options) -> Result<String> {
    if let Some(Question::Diff { old, new }) = &options.question {
        if options.file.is_some() || options.process.is_some() {
            bail!("expected graph diff OLD NEW, found a file or --pid before diff");
        }
        return diff(options, old, new);
    }
    let taken = options.process.map(request::request).transpose()?;
    let Some(file) = taken.as_ref().or(options.file.as_ref()) else {
        bail!("expected a file before the question: graph FILE why BLOCKS");
    };
    if let (Some(to), Some(path)) = (options.to, &options.output) {
        if options.question.is_some() {
            bail!("expected --to without a question: it writes the whole graph");
        }
        return export::export(options, file, to, path);
    }
    let graph = load_graph(file, &options.charging)?;
    let show = show(&graph, options.question.as_ref())?;
    match options.format {
        Format::Text => {
            let stdout = Stream::Output;
            let text = graph.show(show, options.rows);
            let text = text.colour(stdout.is_colourful()).width(stdout.width());
            Ok(format!("{text}\n"))
        }
        Format::Json => json::answer(&graph, file, &show, options.rows),
    }
}

/// What to show.
fn show(graph: &Graph, question: Option<&Question>) -> Result<Show> {
    let select =
        |text: &str| -> Result<Selected> { graph.select(text).map_err(|message| anyhow!(message)) };
    let first = |text: &str| Ok::<_, anyhow::Error>(select(text)?.blocks[0]);
    Ok(match question {
        None | Some(Question::Diff { .. }) => Show::Summary,
        Some(Question::Why { blocks }) => Show::Why(select(blocks)?),
        Some(Question::Retained { by }) => Show::Retained(*by),
        Some(Question::Roots) => Show::Roots,
        Some(Question::Leaks) => Show::Leaks,
        Some(Question::Cycles) => Show::Cycles,
        Some(Question::Duplicates) => Show::Duplicates,
        Some(Question::Spare) => Show::Spare,
        Some(Question::Counts) => Show::Counts,
        Some(Question::Referrers { block }) => Show::Referrers(first(block)?),
        Some(Question::Referents { block }) => Show::Referents(first(block)?),
    })
}

fn diff(options: &Options, old_file: &Path, new_file: &Path) -> Result<String> {
    if options.to.is_some() {
        bail!("expected --to with one file, found diff");
    }
    let (old, new) = (
        load_graph(old_file, &options.charging)?,
        load_graph(new_file, &options.charging)?,
    );
    match options.format {
        Format::Text => {
            let stdout = Stream::Output;
            let text = new.show_diff(&old, options.rows);
            let text = text.colour(stdout.is_colourful()).width(stdout.width());
            Ok(format!("{text}\n"))
        }
        Format::Json => json::diff((&new, new_file), (&old, old_file), options.rows),
    }
}

/// Checks that a path is free to be written.
fn check_free(path: &Path, force: bool) -> Result<bool> {
    let is_standard_output = path == Path::new("-");
    if !is_standard_output {
        output::check_free(path, force)?;
    }
    Ok(is_standard_output)
}
