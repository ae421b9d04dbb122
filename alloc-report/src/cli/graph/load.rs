//! A graph from a file, with the names of frames and variables.

use std::mem::ManuallyDrop;
use std::path::Path;

use alloc_core_snapshot::seam::modules::Module;
use alloc_core_symbols::{identity, variables};
use alloc_report::Graph;
use alloc_report::graph::{Variable, Variables};
use anyhow::{Result, anyhow};

use crate::symbols;
use crate::view::Charging;

/// Reads the graph at `path`, and charges its blocks.
///
/// NOTE: it is never dropped. The process ends soon, and the kernel frees millions of blocks faster.
pub(super) fn load(path: &Path, charging: &Charging) -> Result<ManuallyDrop<Graph>> {
    // NOTE: not a chain of errors, since the message contains its cause.
    let graph = Graph::load(path).map_err(|error| anyhow!("{error}"))?;
    let mut graph = ManuallyDrop::new(graph.charge(|it| charging.apply(it)));
    graph.name(symbols::search());
    for at in 0..graph.modules().len() {
        let path = graph.modules()[at].path.clone();
        let known = graph.snapshot().modules();
        let module = match path.is_empty() {
            true => known.first(),
            false => known.iter().find(|it| it.path == path),
        };
        if let Some(variables) = module.and_then(variables_of) {
            graph.set_variables(at, variables);
        }
    }
    Ok(graph)
}

/// The variables of a module, if its file is there and is of the same build.
fn variables_of(module: &Module) -> Option<Variables> {
    let of_file = alloc_core_symbols::Module {
        path: module.file().into(),
        identity: identity(module),
        size: module.end.saturating_sub(module.start),
        file_offset: module.file_offset,
    };
    let found = variables(&of_file, symbols::search()).ok()?;
    let list = |found: Vec<alloc_core_symbols::Variable>| {
        let variable = |it: alloc_core_symbols::Variable| Variable {
            start: it.start,
            size: it.size,
            name: it.name,
        };
        found.into_iter().map(variable).collect()
    };
    Some(Variables {
        statics: list(found.statics),
        thread_locals: list(found.thread_locals),
    })
}
