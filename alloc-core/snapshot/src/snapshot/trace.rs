//! [`Trace`]: a callsite with its counters.

use std::fmt;
use std::sync::Arc;

use crate::{Bytes, ChargeTo, Counters, Traceback};

/// A callsite: a traceback, and what was allocated there.
///
/// It prints as in `tracemalloc`: `src/cache.rs:41: 12.1 KiB`, the bytes being those live.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Trace {
    /// The stack that allocated.
    pub traceback: Traceback,
    /// What it allocated.
    pub counters: Counters,
    /// The domain of the memory: 0 for the Rust heap, else as
    /// [`track`](https://docs.rs/alloc-core/latest/alloc_core/fn.track.html) was told.
    pub domain: u32,
    /// The name of the thread that allocated, if the session [distinguished threads
    /// by name](https://docs.rs/alloc-core/latest/alloc_core/struct.Config.html#method.threads).
    pub thread: Option<Arc<str>>,
    /// The size of the largest blocks of its size class, a power of two, if blocks were [classed by
    /// their own
    /// size](https://docs.rs/alloc-core/latest/alloc_core/struct.Config.html#method.sizes) or the
    /// profile has their size.
    pub size_class: Option<Bytes>,
    /// The type that the blocks were allocated for, as a person would write it, if debug
    /// information or the functions' names tell it.
    pub type_name: Option<Arc<str>>,
}

impl Trace {
    /// A callsite with these counters, on the Rust heap, of whatever thread.
    pub fn new(traceback: Traceback, counters: Counters) -> Trace {
        Trace {
            traceback,
            counters,
            domain: 0,
            thread: None,
            size_class: None,
            type_name: None,
        }
    }

    /// Sets the domain of the memory.
    pub fn with_domain(mut self, domain: u32) -> Trace {
        self.domain = domain;
        self
    }

    /// Sets the name of the thread.
    pub fn with_thread(mut self, name: impl Into<Arc<str>>) -> Trace {
        self.thread = Some(name.into());
        self
    }

    /// The same with blocks of at most so many bytes each, in a class that ends at the next power
    /// of two.
    pub fn with_block_size(mut self, size: impl Into<Bytes>) -> Trace {
        self.size_class = Some(class_of(size.into()));
        self
    }

    /// Sets the type of the blocks.
    pub fn with_type(mut self, name: impl Into<Arc<str>>) -> Trace {
        self.type_name = Some(name.into());
        self
    }

    /// The type's name, or what stands for it.
    pub(crate) fn type_or_unknown(&self) -> &str {
        self.type_name.as_deref().unwrap_or("<unknown>")
    }

    /// The thread's name, or what stands for it.
    pub(crate) fn thread_name(&self) -> &str {
        self.thread.as_deref().unwrap_or("<thread not recorded>")
    }
}

/// The end of the size class of blocks of `size` bytes: the next power of two.
pub(crate) fn class_of(size: Bytes) -> Bytes {
    match size.get() {
        0 => Bytes::default(),
        size => size.checked_next_power_of_two().unwrap_or(u64::MAX).into(),
    }
}

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let frame = self.traceback.charged(ChargeTo::Caller);
        write!(f, "{frame}: {}", self.counters.current.bytes)
    }
}
