//! A graph for a browser and for other programs.

use std::path::Path;

use alloc_report::graph::{write_dot, write_heap_snapshot};
use anyhow::Result;
use clap::ValueEnum;

use super::{Options, check_free};
use crate::load::load_graph;
use crate::output;

/// How many roots and blocks a picture has: more are not readable.
const DRAWN: usize = 60;

/// What shows graphs.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum To {
    /// A page that a browser opens from disk: what retains what, tables, and why blocks are alive
    Html,
    /// The heap snapshot of Chrome's DevTools: the tab Memory, Load profile
    Heapsnapshot,
    /// The language of Graphviz: the 60 roots and blocks that retain the most
    Dot,
}

/// Writes the graph of a file for another program.
pub(super) fn export(options: &Options, file: &Path, to: To, path: &Path) -> Result<String> {
    let is_standard_output = check_free(path, options.force)?;
    let graph = load_graph(file, &options.charging)?;
    let mut bytes = Vec::new();
    match to {
        To::Html => bytes.extend(graph.page().to_string().into_bytes()),
        To::Heapsnapshot => write_heap_snapshot(&graph, &mut bytes)?,
        To::Dot => write_dot(&graph, DRAWN, &mut bytes)?,
    }
    if is_standard_output {
        return Ok(String::from_utf8(bytes)?);
    }
    output::write(path, &bytes, options.force)?;
    Ok(format!("Written to {}\n", output::escaped(path)))
}
