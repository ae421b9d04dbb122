//! [`left_behind`]: what a piece of work leaves behind in this process.

use std::collections::HashSet;
use std::fmt::{self, Write as _};
use std::hint::black_box;
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use alloc_core::{Error, Frame, GraphOptions, Trace};

use super::{CountFinding, CountsKind, Cycle, Graph, Leak};

/// What a piece of work [left behind](left_behind). It prints as a person reads it.
///
/// ```
/// use alloc_report::graph::LeftBehind;
///
/// assert_eq!(LeftBehind::default().to_string(), "");
/// ```
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct LeftBehind {
    /// Trees that nothing reaches, without those of [`cycles`](Self::cycles).
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
            let clones = if finding.missing == 1 {
                "clone"
            } else {
                "clones"
            };
            writeln!(
                lines,
                "{} forgotten {clones} of {name} at {}",
                finding.missing, finding.place
            )?;
        }
        f.write_str(lines.trim_end())
    }
}

/// Runs a piece of work, and returns what it returns, and what it leaves behind: blocks that
/// nothing reaches, cycles of `Rc` and `Arc`, and forgotten clones.
///
/// The work runs on a thread of its own. Only what that thread allocates counts, so tests may share
/// a process. Calls on several threads wait for one another, so one within another never ends. The
/// program needs line tables (`debug = 1`), by which a block is known to be of the work. It takes
/// two heap graphs of the process. Tracing starts if it is off, and stays on.
///
/// A block that only memory of C refers to counts as left behind: such memory cannot be told from
/// memory that was freed.
///
/// # Errors
///
/// Those of [`alloc_core::heap_graph`] and [`alloc_core::start`].
///
/// ```
/// use alloc_core::TraceAlloc;
/// use alloc_report::graph::left_behind;
///
/// #[global_allocator]
/// static ALLOC: TraceAlloc = TraceAlloc::system();
///
/// # if !cfg!(all(target_os = "linux", target_arch = "x86_64")) { return Ok(()) }
/// let (_, left) = left_behind(|| std::mem::forget(vec![7_u64; 100]))?;
/// assert!(left.to_string().starts_with("1 leak of 800 B: Vec<u64> at "), "{left}");
///
/// let (sum, left) = left_behind(|| vec![1, 2, 3].iter().sum::<i32>())?;
/// assert_eq!(sum, 6);
/// assert!(left.is_empty());
/// # Ok::<(), alloc_core::Error>(())
/// ```
pub fn left_behind<R: Send>(work: impl FnOnce() -> R + Send) -> Result<(R, LeftBehind), Error> {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    if !alloc_core::is_tracing() {
        alloc_core::start()?;
    }
    let before = live_now()?;
    // NOTE: on a thread of its own. What work leaves on a stack would look like references.
    let name = thread::current().name().unwrap_or("work").to_owned();
    let result = thread::scope(|scope| {
        let thread = thread::Builder::new().name(name);
        let ended = thread.spawn_scoped(scope, || call(work))?.join();
        Ok::<_, std::io::Error>(ended.unwrap_or_else(|panic| resume_unwind(panic)))
    })?;
    Ok((result, left_since(&before)?))
}

/// Live blocks: see [`Graph::identity`].
type Known = HashSet<(u64, u64)>;

/// The blocks that are live.
#[inline(never)]
fn live_now() -> Result<Known, Error> {
    let graph = graph_of_this_process()?;
    let known = graph.blocks().map(|it| graph.identity(it)).collect();
    graph.overwrite();
    Ok(known)
}

/// What the work left behind.
///
/// Only the blocks that it allocated count: their stacks lead through [`call`]. What other threads
/// allocate meanwhile does not.
#[inline(never)]
fn left_since(before: &Known) -> Result<LeftBehind, Error> {
    let mut graph = graph_of_this_process()?;
    // NOTE: most of it is memory that was freed, with words that were left there.
    graph.leave_out_unknown_memory();
    let is_call = |it: &Frame| {
        it.function()
            .is_some_and(|it| it.contains("::no_leaks::call"))
    };
    let is_of_the_work = |trace: &Trace| trace.traceback.iter().any(is_call);
    graph.ignore_but(is_of_the_work, |graph, block| {
        before.contains(&graph.identity(block))
    });
    let mut left = LeftBehind {
        leaks: graph.leaks(),
        cycles: graph.cycles(),
        forgotten: graph.counts(),
    };
    // NOTE: what refers to itself is a leak if it is not known as an `Rc` or `Arc`.
    let is_listed = |it: &Leak| it.is_cycle && graph.counts_of(it.example).is_some();
    left.leaks.retain(|it| !is_listed(it));
    left.forgotten
        .retain(|it| it.kind == CountsKind::ForgottenClone);
    graph.overwrite();
    Ok(left)
}

/// Runs a piece of work, and panics if it leaves something behind: blocks that nothing reaches,
/// cycles of `Rc` and `Arc`, or forgotten clones. Returns what the work returns.
///
/// # Panics
///
/// If something is left behind, with its types and the lines that made it; if no graph can be
/// taken.
///
/// ```
/// # #[global_allocator]
/// # static ALLOC: alloc_core::TraceAlloc = alloc_core::TraceAlloc::system();
/// # if !cfg!(all(target_os = "linux", target_arch = "x86_64")) { return }
/// let sum = alloc_report::graph::without_leaks(|| vec![1, 2, 3].iter().sum::<i32>());
/// assert_eq!(sum, 6);
/// ```
#[track_caller]
pub fn without_leaks<R: Send>(work: impl FnOnce() -> R + Send) -> R {
    let (result, left) = match left_behind(work) {
        Ok(it) => it,
        Err(error) => panic!("expected a heap graph of this process: {error}"),
    };
    assert!(
        left.is_empty(),
        "expected that nothing is left behind, found:\n{left}"
    );
    result
}

/// Asserts that a piece of work leaves nothing behind, as [`without_leaks`](crate::graph::without_leaks)
/// does. Evaluates to the value of the work.
///
/// ```should_panic
/// use std::cell::RefCell;
/// use std::rc::Rc;
///
/// # #[global_allocator]
/// # static ALLOC: alloc_core::TraceAlloc = alloc_core::TraceAlloc::system();
/// struct Node(RefCell<Option<Rc<Node>>>);
///
/// # if !cfg!(all(target_os = "linux", target_arch = "x86_64")) { panic!("no heap graphs") }
/// let three = alloc_report::assert_no_leaks!(1 + 2);
/// assert_eq!(three, 3);
///
/// // Panics: 1 cycle of 32 B: Rc<Node> -> Rc<Node>.
/// alloc_report::assert_no_leaks!({
///     let node = Rc::new(Node(RefCell::new(None)));
///     *node.0.borrow_mut() = Some(node.clone());
/// });
/// ```
#[macro_export]
macro_rules! assert_no_leaks {
    ($work:expr $(,)?) => {
        $crate::graph::without_leaks(|| $work)
    };
}

/// The end of a stack that the C library keeps as it is when a thread ends, for the next thread. It
/// gives the rest back to the system.
const KEPT: usize = 64 << 10;

/// NOTE: not inlined, since stacks are known by it.
#[inline(never)]
fn call<R>(work: impl FnOnce() -> R) -> R {
    let room = black_box([0_u8; KEPT]);
    let result = work();
    black_box(&room);
    result
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
