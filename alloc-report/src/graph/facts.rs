//! [`Facts`]: how the graph was taken; [`Module`] and [`Thread`]: where its roots are.

use std::ops::Range;
use std::time::{Duration, SystemTime};

use alloc_core_snapshot::{Amount, Bytes};

/// How a graph was taken, and what is missing in it.
///
/// ```
/// use alloc_report::graph::Facts;
///
/// assert_eq!(Facts::default().threads_missed, 0);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Facts {
    /// The process id; 0 if unknown.
    pub process_id: u32,
    /// The time of the stop.
    pub taken_at: SystemTime,
    /// The least distance between the starts of two blocks.
    pub granule: Bytes,
    /// Whether the size of each block is exact. Otherwise it is within 1/32, and the sum over each
    /// callsite is exact.
    pub exact_sizes: bool,
    /// Whether the contents of blocks were hashed.
    pub has_hashes: bool,
    /// How long the threads stood still.
    pub pause: Duration,
    /// How many threads stood still.
    pub threads_stopped: u64,
    /// How many threads did not stop in time.
    pub threads_missed: u64,
    /// How long it took to clone the process.
    pub clone_time: Duration,
    /// How much of a processor's time the child took.
    pub child_cpu: Duration,
    /// How many bytes could not be read, because they are protected or not passed to children.
    pub unread: Bytes,
    /// How many blocks ended beyond their mapping.
    pub cut_blocks: u64,
    /// Whether the threads went on, so that pointers in registers are missing.
    pub without_stop: bool,
    /// What was live in the session at the stop.
    pub live: Amount,
    /// How many live blocks the tracer does not know.
    pub lost_blocks: u64,
}

impl Default for Facts {
    fn default() -> Facts {
        Facts {
            process_id: 0,
            taken_at: SystemTime::UNIX_EPOCH,
            granule: Bytes::ZERO,
            exact_sizes: false,
            has_hashes: false,
            pause: Duration::ZERO,
            threads_stopped: 0,
            threads_missed: 0,
            clone_time: Duration::ZERO,
            child_cpu: Duration::ZERO,
            unread: Bytes::ZERO,
            cut_blocks: 0,
            without_stop: false,
            live: Amount::default(),
            lost_blocks: 0,
        }
    }
}

/// The program, or a library.
///
/// ```
/// use alloc_report::graph::Module;
///
/// assert!(Module::default().is_program());
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Module {
    /// An address in the process minus the address in the ELF file.
    pub bias: u64,
    /// The path of the file; empty for the program.
    pub path: String,
    /// Where its variables are.
    pub writable: Vec<Range<u64>>,
    /// How far below a thread's pointer the module's thread-locals start; 0 if it has none. Where
    /// they start above it, as on aarch64, this is the two's complement.
    pub tls_offset: u64,
    /// The size of its thread-locals in each thread, in bytes.
    pub tls_size: u64,
}

impl Module {
    /// Whether it is the program itself.
    ///
    /// ```
    /// let mut module = alloc_report::graph::Module::default();
    /// module.path = "/usr/lib/libz.so.1".to_owned();
    /// assert!(!module.is_program());
    /// ```
    pub fn is_program(&self) -> bool {
        self.path.is_empty()
    }

    /// The last part of the path; `program` for the program.
    ///
    /// ```
    /// let mut module = alloc_report::graph::Module::default();
    /// assert_eq!(module.name(), "program");
    /// module.path = "/usr/lib/libz.so.1".to_owned();
    /// assert_eq!(module.name(), "libz.so.1");
    /// ```
    pub fn name(&self) -> &str {
        match self.is_program() {
            true => "program",
            false => self.path.rsplit('/').next().unwrap_or(&self.path),
        }
    }
}

/// A thread, and its stack.
///
/// ```
/// use alloc_report::graph::Thread;
///
/// assert!(Thread::default().frames.is_empty());
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Thread {
    /// The id that the kernel gave it.
    pub tid: u64,
    /// Its name; empty if it has none.
    pub name: String,
    /// Whether it took the graph.
    pub took_the_graph: bool,
    /// Whether the whole stack was scanned, since the stack pointer was elsewhere.
    pub is_scanned_whole: bool,
    /// Whether it did not stop in time.
    pub is_missed: bool,
    /// The addresses of its stack.
    pub stack: Range<u64>,
    /// The stack pointer.
    pub stack_pointer: u64,
    /// The thread pointer, near which its thread-locals are.
    pub thread_pointer: u64,
    /// The functions that were running, the innermost first.
    pub frames: Vec<StackFrame>,
}

/// A function on a thread's stack.
///
/// ```
/// use alloc_report::graph::StackFrame;
///
/// assert_eq!(StackFrame { code: 7, end: 16 }.end, 16);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StackFrame {
    /// The address of its code: where it goes on, or, for the innermost, what it does next.
    pub code: u64,
    /// The end of its part of the stack.
    pub end: u64,
}
