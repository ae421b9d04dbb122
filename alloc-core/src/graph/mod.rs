//! Heap graphs: which block refers to which, and from where, of a program that goes on running.
//!
//! In: the live-block index, the memory of the process, its threads. Out: a file of nodes, edges
//! and roots. Never: the contents of memory, unless hashes are requested.
//!
//! # How it works
//!
//! 1. The world is stopped: no thread is inside a record, so each block is in the index.
//! 2. A signal stops each other thread, so that its registers are in memory.
//! 3. The process is cloned, and the threads go on. They stand still for milliseconds.
//! 4. The clone reads its memory, which nothing changes: an index of all blocks, the pointers in
//!    each, and those in statics, thread-locals, stacks, registers and other memory. It writes the
//!    file.
//! 5. The process waits for the clone, and adds a snapshot, by which callsites have stacks and
//!    names.
//!
//! The scan is conservative: a word that could be a pointer is one. `alloc-report graph` weighs
//! them. The module [`linux`] does it; elsewhere there are no graphs.

#[cfg(all(
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64"),
    not(miri)
))]
mod linux;
mod named;

use std::path::Path;
use std::time::Duration;

use crate::record::thread;
use crate::{Bytes, Error};
pub use named::{HeapRoot, ignore_leak};
pub(crate) use named::{Held, hold};

/// Writes the heap graph of this process to a file: which block refers to which, and which static,
/// thread-local, stack or register holds it.
///
/// The program stands still for some milliseconds, while its threads are stopped and the process is
/// cloned. The clone scans the memory and writes the file; this call waits for it. The file has
/// addresses and sizes, and no contents of memory. Only its owner can read it. `alloc-report graph`
/// shows what it says.
///
/// While the clone scans, the system copies each page that the program changes. The threads are
/// stopped by the real-time signal `SIGRTMAX - 3`, or by another one if the program handles that.
///
/// # Errors
///
/// If tracing is off, or does not record every block with its stack; if the file cannot be written;
/// if the process cannot be cloned, or the clone fails; and on other systems than Linux on x86-64
/// and aarch64.
///
/// ```
/// # use alloc_core::TraceAlloc;
/// # #[global_allocator]
/// # static ALLOC: TraceAlloc = TraceAlloc::system();
/// # fn main() -> Result<(), alloc_core::Error> {
/// # if !cfg!(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64"))) { return Ok(()) }
/// alloc_core::start()?;
/// let kept: Vec<Box<u64>> = (0..100).map(Box::new).collect();
///
/// let path = std::env::temp_dir().join(format!("{}.heapgraph", std::process::id()));
/// let taken = alloc_core::heap_graph(&path)?;
/// assert!(taken.blocks >= 101 && taken.edges >= 100);
/// # drop(kept);
/// # std::fs::remove_file(path).unwrap();
/// # Ok(())
/// # }
/// ```
pub fn heap_graph(path: impl AsRef<Path>) -> Result<HeapGraph, Error> {
    heap_graph_with(path, &GraphOptions::default())
}

/// As [`heap_graph`], with options.
///
/// # Errors
///
/// As [`heap_graph`].
///
/// ```
/// # use alloc_core::TraceAlloc;
/// # #[global_allocator]
/// # static ALLOC: TraceAlloc = TraceAlloc::system();
/// use alloc_core::GraphOptions;
///
/// // Tracing is off.
/// let error = alloc_core::heap_graph_with("app.heapgraph", &GraphOptions::default().hashes(true));
/// assert!(error.is_err());
/// ```
pub fn heap_graph_with(path: impl AsRef<Path>, options: &GraphOptions) -> Result<HeapGraph, Error> {
    // Allocations in here are not the program's.
    let _muted = thread::mute();
    write(path.as_ref(), options)
}

#[cfg(all(
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64"),
    not(miri)
))]
use linux::write;

#[cfg(not(all(
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64"),
    not(miri)
)))]
fn write(_: &Path, _: &GraphOptions) -> Result<HeapGraph, Error> {
    Err(Error::from(std::io::Error::new(
        std::io::ErrorKind::Unsupported,
        "heap graphs need Linux on x86-64 or aarch64",
    )))
}

/// How to take a heap graph: passed to [`heap_graph_with`].
///
/// ```
/// use alloc_core::GraphOptions;
/// use std::time::Duration;
///
/// let options = GraphOptions::default().deadline(Duration::from_millis(50));
/// assert_ne!(options, GraphOptions::default());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(
    not(all(
        target_os = "linux",
        any(target_arch = "x86_64", target_arch = "aarch64")
    )),
    allow(dead_code, reason = "there are no heap graphs")
)]
pub struct GraphOptions {
    hashes: bool,
    stops: bool,
    deadline: Duration,
    timeout: Duration,
}

impl Default for GraphOptions {
    fn default() -> GraphOptions {
        GraphOptions {
            hashes: false,
            stops: true,
            deadline: Duration::from_millis(100),
            timeout: Duration::from_secs(120),
        }
    }
}

impl GraphOptions {
    /// Adds a hash of the contents of each block, by which equal ones are found. The hashes are
    /// keyed with a random number that is not kept, so they say nothing else. The default is not
    /// to.
    ///
    /// ```
    /// let options = alloc_core::GraphOptions::default().hashes(true);
    /// assert_ne!(options, alloc_core::GraphOptions::default());
    /// ```
    pub fn hashes(mut self, hashes: bool) -> GraphOptions {
        self.hashes = hashes;
        self
    }

    /// How long to wait until all threads have stopped. A thread that has not stopped then, such as
    /// one that blocks all signals, goes on, and its whole stack is scanned. The default is 100
    /// milliseconds.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let options = alloc_core::GraphOptions::default().deadline(Duration::from_millis(10));
    /// assert_ne!(options, alloc_core::GraphOptions::default());
    /// ```
    pub fn deadline(mut self, deadline: Duration) -> GraphOptions {
        self.deadline = deadline;
        self
    }

    /// How long to wait for the clone that scans the memory, before it is killed. The default is
    /// two minutes.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let options = alloc_core::GraphOptions::default().timeout(Duration::from_secs(10));
    /// assert_ne!(options, alloc_core::GraphOptions::default());
    /// ```
    pub fn timeout(mut self, timeout: Duration) -> GraphOptions {
        self.timeout = timeout;
        self
    }

    /// Sends no signal to the threads, so none is interrupted. What only a register refers to looks
    /// like a leak.
    ///
    /// ```
    /// let options = alloc_core::GraphOptions::default().without_stop();
    /// assert_ne!(options, alloc_core::GraphOptions::default());
    /// ```
    pub fn without_stop(mut self) -> GraphOptions {
        self.stops = false;
        self
    }
}

/// What [`heap_graph`] wrote, and what it took.
///
/// ```
/// # use alloc_core::TraceAlloc;
/// # #[global_allocator]
/// # static ALLOC: TraceAlloc = TraceAlloc::system();
/// # fn main() -> Result<(), alloc_core::Error> {
/// # if !cfg!(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64"))) { return Ok(()) }
/// alloc_core::start()?;
/// let kept = vec![0_u8; 1 << 20];
///
/// let path = std::env::temp_dir().join(format!("{}-2.heapgraph", std::process::id()));
/// let taken = alloc_core::heap_graph(&path)?;
/// assert!(taken.bytes.get() >= 1 << 20);
/// assert_eq!(taken.threads_missed, 0);
/// # drop(kept);
/// # std::fs::remove_file(path).unwrap();
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct HeapGraph {
    /// How long the threads stood still, at most.
    pub pause: Duration,
    /// The part of the pause in which the process was cloned. Huge pages make it shorter.
    pub clone_time: Duration,
    /// Number of threads that were stopped, without the calling one.
    pub threads: u64,
    /// Number of threads that did not stop before the deadline.
    pub threads_missed: u64,
    /// Number of live blocks.
    pub blocks: u64,
    /// The bytes that they were allocated with.
    pub bytes: Bytes,
    /// Number of words in blocks that refer to a block.
    pub edges: u64,
    /// Number of words outside of blocks that refer to a block.
    pub roots: u64,
    /// How much time on a processor the clone of the process took.
    pub child_cpu: Duration,
    /// Size of the file.
    pub file_size: Bytes,
}
