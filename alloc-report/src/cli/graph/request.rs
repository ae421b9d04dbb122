//! Asks a running process for a heap graph.

use std::path::PathBuf;

use anyhow::Result;

/// Asks a process for a heap graph, waits for it, and says where the file is.
#[cfg(target_os = "linux")]
pub(super) fn request(process: u32) -> Result<PathBuf> {
    use std::time::Duration;

    use alloc_core_snapshot::Escaped;
    use anyhow::bail;

    use crate::process::{NoFile, Traced};

    /// How long a process may take: as long as its clone may.
    const TIMEOUT: Duration = Duration::from_secs(120);

    let traced = Traced::find(process)?;
    let Some(signal) = traced.signal("ALLOC_TRACE_GRAPH_SIGNAL") else {
        bail!(
            "expected a process that writes heap graphs, found {name} ({process}) without \
             ALLOC_TRACE_GRAPH_SIGNAL; its allocator must be alloc_core::TraceAlloc, and it must \
             be started like this: ALLOC_TRACE=128 ALLOC_TRACE_OUT=/tmp/heap-%p.pb.gz \
             ALLOC_TRACE_GRAPH_SIGNAL=USR2 {name}",
            name = traced.name(),
        );
    };
    let files = traced.template()?.of_graphs();
    match traced.request(signal, &files, "heap graph", TIMEOUT) {
        Ok(path) => {
            eprintln!("wrote {}", Escaped(&path.display().to_string()));
            Ok(path)
        }
        Err(NoFile::Failed(why)) => bail!("{why}; its standard error may say why"),
        Err(NoFile::Ended) => bail!("{} has ended", traced.title()),
    }
}

#[cfg(not(target_os = "linux"))]
pub(super) fn request(process: u32) -> Result<PathBuf> {
    anyhow::bail!("expected Linux to ask process {process} for a heap graph, found another system")
}
