//! [`NoLeaks`]: a test of what a piece of work leaves behind in this process.

use std::collections::HashSet;
use std::fmt::{self, Write as _};
use std::hint::black_box;
use std::sync::atomic::{AtomicU32, Ordering};

use alloc_core::{Error, GraphOptions};

use super::{BlockId, Certainty, CountFinding, CountsKind, Cycle, Graph, Leak};

/// Watches for blocks that nothing reaches, cycles of `Rc` and `Arc`, and forgotten clones.
///
/// What was there before counts for nothing, so tests may share a process. It takes two heap graphs of
/// the process, of some ten milliseconds each. Tracing starts if it is off.
///
/// ```
/// use alloc_core::TraceAlloc;
/// use alloc_report::graph::NoLeaks;
///
/// #[global_allocator]
/// static ALLOC: TraceAlloc = TraceAlloc::system();
///
/// # if !cfg!(all(target_os = "linux", target_arch = "x86_64")) { return Ok(()) }
/// let watch = NoLeaks::begin()?;
/// std::mem::forget(vec![7_u64; 100]);
/// let left = watch.end()?;
/// assert!(left.to_string().starts_with("1 leak of 800 B: [u64] at "), "{left}");
///
/// let watch = NoLeaks::begin()?;
/// drop(vec![7_u64; 100]);
/// assert!(watch.end()?.is_empty());
/// # Ok::<(), alloc_core::Error>(())
/// ```
pub struct NoLeaks {
    /// The addresses of blocks that were left behind before.
    before: HashSet<u64>,
}

/// What [`NoLeaks`] found. It prints as a person reads it.
///
/// ```
/// # #[global_allocator]
/// # static ALLOC: alloc_core::TraceAlloc = alloc_core::TraceAlloc::system();
/// # if !cfg!(all(target_os = "linux", target_arch = "x86_64")) { return Ok(()) }
/// use alloc_report::graph::NoLeaks;
///
/// let left = NoLeaks::begin()?.end()?;
/// assert_eq!(left.to_string(), "");
/// # Ok::<(), alloc_core::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct LeftBehind {
    /// Trees that nothing reaches, without those of cycles.
    pub leaks: Vec<Leak>,
    /// Cycles of `Rc` or `Arc`.
    pub cycles: Vec<Cycle>,
    /// `Rc`s or `Arc`s that count more references than there are.
    pub forgotten: Vec<CountFinding>,
}

impl LeftBehind {
    /// Whether nothing was left behind.
    ///
    /// ```
    /// assert!(alloc_report::graph::LeftBehind::default().is_empty());
    /// ```
    pub fn is_empty(&self) -> bool {
        self.leaks.is_empty() && self.cycles.is_empty() && self.forgotten.is_empty()
    }
}

impl fmt::Display for LeftBehind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut lines = String::new();
        for leak in &self.leaks {
            let name = leak.type_name.as_deref().unwrap_or("<unknown>");
            let leaks = if leak.heads == 1 { "leak" } else { "leaks" };
            writeln!(
                lines,
                "{} {leaks} of {}: {name} at {}",
                leak.heads, leak.retained, leak.place
            )?;
        }
        for cycle in &self.cycles {
            let cycles = if cycle.count == 1 { "cycle" } else { "cycles" };
            writeln!(
                lines,
                "{} {cycles} of {}: {cycle}",
                cycle.count, cycle.retained
            )?;
            for (name, place) in cycle.types.iter().zip(&cycle.places) {
                writeln!(lines, "    {name} at {place}")?;
            }
        }
        for finding in &self.forgotten {
            let name = finding.type_name.as_deref().unwrap_or("<unknown>");
            writeln!(
                lines,
                "{} forgotten clones of {name} at {}",
                finding.missing, finding.place
            )?;
        }
        f.write_str(lines.trim_end())
    }
}

impl NoLeaks {
    /// Notes what is left behind already.
    ///
    /// # Errors
    ///
    /// Those of [`alloc_core::heap_graph`], and if tracing cannot start.
    ///
    /// ```
    /// # #[global_allocator]
    /// # static ALLOC: alloc_core::TraceAlloc = alloc_core::TraceAlloc::system();
    /// # if !cfg!(all(target_os = "linux", target_arch = "x86_64")) { return }
    /// assert!(alloc_report::graph::NoLeaks::begin().is_ok());
    /// ```
    pub fn begin() -> Result<NoLeaks, Error> {
        if !alloc_core::is_tracing() {
            alloc_core::start()?;
        }
        let graph = graph_of_this_process()?;
        let is_left = |block: &BlockId| graph.is_left_behind(*block);
        let before = graph.blocks().filter(is_left);
        Ok(NoLeaks {
            before: before.map(|it| graph.block(it).address).collect(),
        })
    }

    /// What was left behind since.
    ///
    /// # Errors
    ///
    /// Those of [`alloc_core::heap_graph`].
    ///
    /// ```
    /// # #[global_allocator]
    /// # static ALLOC: alloc_core::TraceAlloc = alloc_core::TraceAlloc::system();
    /// # if !cfg!(all(target_os = "linux", target_arch = "x86_64")) { return Ok(()) }
    /// use alloc_report::graph::NoLeaks;
    ///
    /// assert!(NoLeaks::begin()?.end()?.is_empty());
    /// # Ok::<(), alloc_core::Error>(())
    /// ```
    pub fn end(self) -> Result<LeftBehind, Error> {
        scrub();
        let mut graph = graph_of_this_process()?;
        graph.ignore(self.before);
        let mut left = LeftBehind {
            leaks: graph.leaks(),
            cycles: graph.cycles(),
            forgotten: graph.counts(),
        };
        left.leaks.retain(|it| !it.is_cycle);
        left.cycles
            .retain(|it| it.certainty != Certainty::OnlyUnknownMemory);
        left.forgotten
            .retain(|it| it.kind == CountsKind::ForgottenClone);
        Ok(left)
    }
}

/// Runs a piece of work, and panics if it leaves something behind: blocks that nothing reaches,
/// cycles of `Rc` and `Arc`, or forgotten clones. Returns what the work returns.
///
/// # Panics
///
/// If something is left behind, with its types and the lines that made it; if no graph can be taken.
///
/// ```
/// # #[global_allocator]
/// # static ALLOC: alloc_core::TraceAlloc = alloc_core::TraceAlloc::system();
/// # if !cfg!(all(target_os = "linux", target_arch = "x86_64")) { return }
/// let sum = alloc_report::graph::without_leaks(|| vec![1, 2, 3].iter().sum::<i32>());
/// assert_eq!(sum, 6);
/// ```
#[track_caller]
pub fn without_leaks<R>(work: impl FnOnce() -> R) -> R {
    let watch = expect_graph(NoLeaks::begin());
    let result = call(work);
    let left = expect_graph(watch.end());
    assert!(
        left.is_empty(),
        "expected that nothing is left behind, found:\n{left}"
    );
    result
}

#[track_caller]
fn expect_graph<T>(result: Result<T, Error>) -> T {
    match result {
        Ok(it) => it,
        Err(error) => panic!("expected a heap graph of this process: {error}"),
    }
}

/// NOTE: not inlined, so that its frame ends with the work.
#[inline(never)]
fn call<R>(work: impl FnOnce() -> R) -> R {
    work()
}

/// Overwrites what frames that have ended left on the stack, where later ones do not write.
#[inline(never)]
fn scrub() {
    black_box([0_u8; 64 << 10]);
}

fn graph_of_this_process() -> Result<Graph, Error> {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let name = format!("alloc-report-{}-{number}.heapgraph", std::process::id());
    let path = std::env::temp_dir().join(name);
    alloc_core::heap_graph_with(&path, &GraphOptions::default())?;
    let graph = Graph::load(&path);
    // NOTE: an error means that somebody else removed it.
    let _ = std::fs::remove_file(&path);
    graph
}
