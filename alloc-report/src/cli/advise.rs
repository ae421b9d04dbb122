//! The command `advise`: which lines could do with fewer allocations or less memory.

use std::path::PathBuf;

use alloc_core_snapshot::Snapshot;
use anyhow::{Result, bail};
use clap::{Args, ValueEnum};
use serde::Serialize;

use crate::formats::json::{Source, to_text};
use crate::formats::json_rows::Key;
use crate::load::{Loaded, load, load_graph};
use crate::terminal::Stream;
use crate::view::{Charging, Filters};

pub(crate) const EXAMPLES: &str = "\
Examples:
  ALLOC_TRACE=128 ALLOC_TRACE_LIFETIMES=1 ALLOC_TRACE_OUT=heap.pb.gz ./server
  alloc-report advise heap.pb.gz
  alloc-report advise heap.pb.gz --all -n 30
  alloc-report advise heap.pb.gz --charge workspace
  alloc-report advise heap.pb.gz --graph app.heapgraph
  alloc-report advise heap.pb.gz --format json | jq -r '.rows[].sentence'

It names buffers that grow step by step, blocks that are freed at once (if lifetimes were recorded), large
values that are held while their function allocates more, many small blocks of one size, and with a heap
graph of the same process collections that hold three times what they use; and what following the advice
saves.";

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    Text,
    Json,
}

#[derive(Args, Debug)]
pub(crate) struct Options {
    /// A snapshot file, a recording folder (for its last snapshot), or - for standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// A heap graph of the same process: also advise on collections that hold more than they use
    #[arg(long, value_name = "FILE")]
    graph: Option<PathBuf>,
    /// Also advise on lines of dependencies, and where little is saved
    #[arg(long)]
    all: bool,
    /// The number of rows
    #[arg(short = 'n', long = "rows", value_name = "N", default_value_t = 10)]
    rows: usize,
    #[command(flatten)]
    charging: Charging,
    #[command(flatten)]
    filters: Filters,
    /// Omit the lines of source
    #[arg(long)]
    no_source: bool,
    /// A table for people, or JSON for programs
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t = Format::Text)]
    format: Format,
}

pub(crate) fn report(options: &Options) -> Result<String> {
    let Loaded { snapshot, nothing } = load(&options.file, &options.charging, &options.filters)?;
    if let Some(nothing) = nothing {
        bail!(nothing);
    }
    let mut advise = alloc_report::advise(&snapshot).rows(options.rows);
    if let Some(file) = &options.graph {
        let graph = load_graph(file, &options.charging)?;
        let [of_snapshot, of_graph] = [&*snapshot, graph.snapshot()].map(Snapshot::build_id);
        if let (Some(expected), Some(found)) = (of_snapshot, of_graph)
            && expected != found
        {
            bail!(
                "{}: expected a heap graph of the build {expected}, as {}, found one of {found}",
                file.display(),
                options.file.display()
            );
        }
        advise = advise.graph(&graph);
    }
    if options.all {
        advise = advise.all();
    }
    if options.no_source {
        advise = advise.without_sources();
    }
    match options.format {
        Format::Text => {
            let stdout = Stream::Output;
            let table = advise.colour(stdout.is_colourful()).width(stdout.width());
            Ok(format!("{table}\n"))
        }
        Format::Json => to_text(&Json {
            report: "advise",
            snapshot: Source::of(&snapshot, &options.file),
            rows: {
                let list = advise.list().into_iter().take(options.rows).zip(1..);
                list.map(|(it, rank)| Row {
                    rank,
                    key: Key::of(&it.key, &snapshot),
                    kind: it.kind.name(),
                    sentence: it.to_string(),
                    type_name: it.type_name,
                    calls: it.calls,
                    bytes: it.bytes.get(),
                    peak_bytes: it.peak.get(),
                    share: it.share,
                })
                .collect()
            },
            notes: advise.notes(),
        }),
    }
}

#[derive(Serialize)]
struct Json {
    report: &'static str,
    snapshot: Source,
    rows: Vec<Row>,
    notes: Vec<String>,
}

#[derive(Serialize)]
struct Row {
    rank: u64,
    #[serde(flatten)]
    key: Key,
    kind: &'static str,
    #[serde(rename = "type")]
    type_name: Option<String>,
    calls: u64,
    bytes: u64,
    peak_bytes: u64,
    share: f64,
    sentence: String,
}
