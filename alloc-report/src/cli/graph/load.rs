//! A graph from a file, with the names of frames and variables.

use std::mem::ManuallyDrop;
use std::path::Path;

use alloc_report::Graph;
use anyhow::{Result, anyhow};

use crate::symbols;
use crate::view::Charging;

/// Reads the graph at `path`, and charges its blocks.
///
/// NOTE: it is never dropped. The process ends soon, and the kernel frees millions of blocks
/// faster.
pub(super) fn load(path: &Path, charging: &Charging) -> Result<ManuallyDrop<Graph>> {
    // NOTE: not a chain of errors, since the message contains its cause.
    let graph = Graph::load(path).map_err(|error| anyhow!("{error}"))?;
    let mut graph = ManuallyDrop::new(graph.charge(|it| charging.apply(it)));
    graph.name_all(symbols::search());
    Ok(graph)
}
