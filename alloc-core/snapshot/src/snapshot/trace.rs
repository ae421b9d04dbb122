//! [`Trace`]: a callsite with its counters.

use std::fmt;
use std::sync::Arc;

use crate::{Bytes, ChargeTo, Counters, FreedBy, Lifetimes, Pinned, Slack, Traceback};

/// What separates the names in the path of a label.
pub const LABEL_SEPARATOR: &str = " > ";

/// What stands for no label, and for a thread whose name was not recorded.
pub(crate) const NO_LABEL: &str = "<no label>";
pub(crate) const NO_THREAD: &str = "<thread not recorded>";

/// A callsite: a traceback, and the counters of what it allocated.
///
/// Prints as in `tracemalloc`: `src/cache.rs:41: 12.1 KiB`, with the live bytes.
///
/// ```
/// use alloc_core::{Amount, Counters, Frame, Trace, Traceback};
///
/// let frame = Frame::new(Some("demo::fill"), Some("src/cache.rs"), 41, 9);
/// let counters = Counters { current: Amount::new(12_390, 3), ..Counters::default() };
/// let trace = Trace::new(Traceback::new(vec![frame]), counters);
/// assert_eq!(trace.to_string(), "src/cache.rs:41: 12.1 KiB");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Trace {
    /// The stack that allocated.
    pub traceback: Traceback,
    /// What it allocated.
    pub counters: Counters,
    /// The domain of the memory: 0 for the Rust heap, else the number passed to `track`.
    pub domain: u32,
    /// The name of the thread that allocated, if the session distinguished threads by
    /// name (`Config::threads`).
    pub thread: Option<Arc<str>>,
    /// The label that the thread was in, behind those around it: `request > decode`; none if it was
    /// in none.
    pub label: Option<Arc<str>>,
    /// The size of the largest blocks of its size class, a power of two, if blocks were classed by
    /// their own size (`Config::sizes`) or the profile has their size.
    pub size_class: Option<Bytes>,
    /// How long its blocks lived that were freed, and how old those are that live, if the session
    /// recorded lifetimes (`Config::lifetimes`).
    pub lifetimes: Option<Arc<Lifetimes>>,
    /// Who freed its blocks, the most bytes first, if the session counted that (`Config::frees`).
    pub freed_by: Option<Arc<[FreedBy]>>,
    /// How many more bytes its blocks have than were asked for, if the session measured it
    /// (`Config::slack`).
    pub slack: Option<Slack>,
    /// What the live blocks keep resident besides themselves, if the snapshot was asked for it
    /// (`take_snapshot_with_residence`).
    pub pinned: Option<Pinned>,
    /// The type that the blocks were allocated for, in short form, if debug information or function
    /// names show it.
    pub type_name: Option<Arc<str>>,
}

impl Trace {
    /// A callsite with these counters, on the Rust heap and of no particular thread.
    ///
    /// ```
    /// use alloc_core::{Counters, Trace, Traceback};
    ///
    /// let trace = Trace::new(Traceback::new(vec![]), Counters::default());
    /// assert_eq!((trace.domain, trace.thread), (0, None));
    /// ```
    pub fn new(traceback: Traceback, counters: Counters) -> Trace {
        Trace {
            traceback,
            counters,
            domain: 0,
            thread: None,
            label: None,
            size_class: None,
            lifetimes: None,
            freed_by: None,
            slack: None,
            pinned: None,
            type_name: None,
        }
    }

    /// Sets the domain of the memory.
    ///
    /// ```
    /// use alloc_core::{Counters, Trace, Traceback};
    ///
    /// let trace = Trace::new(Traceback::new(vec![]), Counters::default()).with_domain(1);
    /// assert_eq!(trace.domain, 1);
    /// ```
    pub fn with_domain(mut self, domain: u32) -> Trace {
        self.domain = domain;
        self
    }

    /// Sets the name of the thread.
    ///
    /// ```
    /// use alloc_core::{Counters, Trace, Traceback};
    ///
    /// let trace = Trace::new(Traceback::new(vec![]), Counters::default()).with_thread("worker");
    /// assert_eq!(trace.thread.as_deref(), Some("worker"));
    /// ```
    pub fn with_thread(mut self, name: impl Into<Arc<str>>) -> Trace {
        self.thread = Some(name.into());
        self
    }

    /// Sets the path of the label.
    ///
    /// ```
    /// use alloc_core::{Counters, Trace, Traceback};
    ///
    /// let trace = Trace::new(Traceback::new(vec![]), Counters::default());
    /// let trace = trace.with_label("request > decode");
    /// assert_eq!(trace.label.as_deref(), Some("request > decode"));
    /// ```
    pub fn with_label(mut self, path: impl Into<Arc<str>>) -> Trace {
        self.label = Some(path.into());
        self
    }

    /// Sets the block size: blocks of at most `size` bytes, in a size class that ends at the next
    /// power of two.
    ///
    /// ```
    /// use alloc_core::{Bytes, Counters, Trace, Traceback};
    ///
    /// let trace = Trace::new(Traceback::new(vec![]), Counters::default()).with_block_size(100);
    /// assert_eq!(trace.size_class, Some(Bytes::new(128)));
    /// ```
    pub fn with_block_size(mut self, size: impl Into<Bytes>) -> Trace {
        self.size_class = Some(class_of(size.into()));
        self
    }

    /// Sets how long its blocks lived.
    ///
    /// ```
    /// use alloc_core::{Counters, Lifetimes, Trace, Traceback};
    ///
    /// let trace = Trace::new(Traceback::new(vec![]), Counters::default());
    /// let trace = trace.with_lifetimes(Lifetimes::default());
    /// assert_eq!(trace.lifetimes.unwrap().freed.count(), 0);
    /// ```
    pub fn with_lifetimes(mut self, lifetimes: impl Into<Arc<Lifetimes>>) -> Trace {
        self.lifetimes = Some(lifetimes.into());
        self
    }

    /// Sets who freed its blocks.
    ///
    /// ```
    /// use alloc_core::{Amount, Counters, FreedBy, Trace, Traceback};
    ///
    /// let trace = Trace::new(Traceback::new(vec![]), Counters::default());
    /// let trace = trace.with_freed_by([FreedBy::new(Amount::new(100, 2)).in_label("answer")]);
    /// assert_eq!(trace.freed_by.unwrap()[0].amount.blocks, 2);
    /// ```
    pub fn with_freed_by(mut self, freed_by: impl Into<Arc<[FreedBy]>>) -> Trace {
        self.freed_by = Some(freed_by.into());
        self
    }

    /// Sets how many more bytes its blocks have than were asked for.
    ///
    /// ```
    /// use alloc_core::{Bytes, Counters, Slack, Trace, Traceback};
    ///
    /// let slack = Slack { current: Bytes::new(15), total: Bytes::new(30) };
    /// let trace = Trace::new(Traceback::new(vec![]), Counters::default()).with_slack(slack);
    /// assert_eq!(trace.slack, Some(slack));
    /// ```
    pub fn with_slack(mut self, slack: Slack) -> Trace {
        self.slack = Some(slack);
        self
    }

    /// Sets what the live blocks keep resident besides themselves.
    ///
    /// ```
    /// use alloc_core::{Bytes, Counters, Pinned, Trace, Traceback};
    ///
    /// let mut pinned = Pinned::default();
    /// pinned.alone = Bytes::kib(4);
    /// let trace = Trace::new(Traceback::new(vec![]), Counters::default()).with_pinned(pinned);
    /// assert_eq!(trace.pinned, Some(pinned));
    /// ```
    pub fn with_pinned(mut self, pinned: Pinned) -> Trace {
        self.pinned = Some(pinned);
        self
    }

    /// Sets the type of the blocks.
    ///
    /// ```
    /// use alloc_core::{Counters, Trace, Traceback};
    ///
    /// let trace = Trace::new(Traceback::new(vec![]), Counters::default()).with_type("Vec<u8>");
    /// assert_eq!(trace.type_name.as_deref(), Some("Vec<u8>"));
    /// ```
    pub fn with_type(mut self, name: impl Into<Arc<str>>) -> Trace {
        self.type_name = Some(name.into());
        self
    }

    /// The type's name, or a placeholder.
    pub(crate) fn type_or_unknown(&self) -> &str {
        self.type_name.as_deref().unwrap_or("<unknown>")
    }

    /// The label's path, or what stands for it.
    pub(crate) fn label_or_none(&self) -> &str {
        self.label.as_deref().unwrap_or(NO_LABEL)
    }

    /// The thread's name, or a placeholder.
    pub(crate) fn thread_name(&self) -> &str {
        self.thread.as_deref().unwrap_or(NO_THREAD)
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
