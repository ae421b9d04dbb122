//! [`Grouping`]: the keys that traces are grouped by, and how the groups are sorted.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::error::Error;
use crate::snapshot::Trace;
use crate::statistics::GroupKey;

/// A key that traces are grouped by.
///
/// Its text form is `line`, `size-class`, and so on.
///
/// ```
/// use alloc_core::GroupBy;
///
/// assert_eq!("size-class".parse(), Ok(GroupBy::SizeClass));
/// assert_eq!(GroupBy::FoldedTraceback.to_string(), "folded");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum GroupBy {
    /// The line that the blocks are charged to.
    #[default]
    Line,
    /// The file of that line.
    File,
    /// The function of that line.
    ///
    /// With `debug = "line-tables-only"`, inlined functions have bare names without a module, so
    /// two functions of one name form one group; `debug = 1` keeps them apart.
    Function,
    /// The module of that function: `serde_json::de`.
    ///
    /// The part of the function's name in front of types and functions. For an inlined function
    /// with a bare name, it is made from the crate and the path of the file.
    Module,
    /// The crate of that function: `serde_json 1.0.154`, `alloc (rustc 59807616e)`, `demo`.
    ///
    /// Name and version come from the file's path in a registry, a git checkout or the standard
    /// library. For other code, the crate is the first part of the function names in its file; if
    /// all of these are bare, it is the file's folder. Otherwise it is `<unknown>`.
    Crate,
    /// The whole stack.
    Traceback,
    /// The whole stack without its recursion, as in
    /// [`Traceback::folded`](crate::Traceback::folded). A parser that recurses over its data has
    /// countless stacks, but few folded ones.
    FoldedTraceback,
    /// The size of the blocks, by powers of two.
    ///
    /// Each block is classed by its own size if the session recorded sizes (`Config::sizes`) or the
    /// profile has sizes. Otherwise all blocks of a callsite are in the class of their mean size.
    SizeClass,
    /// The type that the blocks were allocated for: `Vec<String>`, `HashMap<u64, demo::Session>`.
    ///
    /// Blocks have no type at run time. The type comes from the generic arguments of standard
    /// library functions in the stack, which are in debug information (`debug = 1`) and in v0
    /// mangled names. An unknown type is `<unknown>`; it is never guessed.
    Type,
    /// The name of the thread that allocated, if the session distinguished threads by name
    /// (`Config::threads`). Otherwise there is one group.
    Thread,
    /// The [label](Trace::label) that the thread was in when it allocated.
    /// [`Snapshot::labels`](crate::Snapshot::labels) sums up those within each.
    Label,
    /// The domain of the memory: 0 is the Rust heap. See `track`.
    Domain,
}

/// One of a callsite's counters.
///
/// ```
/// use alloc_core::Metric;
///
/// assert_eq!("at-peak".parse(), Ok(Metric::AtPeak));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Metric {
    /// What is live when the snapshot is taken.
    #[default]
    Current,
    /// The most that was ever live at the callsite. For a group, the sum over its callsites.
    Peak,
    /// What was live at the moment the whole heap was at its peak.
    AtPeak,
    /// What was ever allocated.
    Total,
    /// What was allocated and is no longer live.
    Freed,
}

/// The number of the metric that groups are sorted by, in descending order.
///
/// ```
/// use alloc_core::SortBy;
///
/// assert_eq!("average".parse(), Ok(SortBy::Average));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SortBy {
    /// The bytes, then the blocks, then the key, as in `tracemalloc`.
    #[default]
    Bytes,
    /// The blocks, then the bytes, then the key.
    Blocks,
    /// The mean size of a block, then as for [`Bytes`](Self::Bytes).
    Average,
}

/// How traces are grouped: the keys, the metric and the sort order.
///
/// A [`GroupBy`] converts into one, and so does an array of them: groups within groups, in
/// [`Statistic::parts`].
///
/// ```
/// use alloc_core::{Amount, Counters, Frame, GroupBy, Grouping, Metric};
/// use alloc_core::{Snapshot, Trace, Traceback};
///
/// let trace = |function, line, bytes| {
///     let frame = Frame::new(Some(function), Some("src/cache.rs"), line, 9);
///     let total = Amount::new(bytes, 1);
///     Trace::new(Traceback::new(vec![frame]), Counters { total, ..Counters::default() })
/// };
/// let traces = vec![trace("demo::cache::fill", 41, 100), trace("demo::cache::grow", 52, 400)];
/// let snapshot = Snapshot::from_traces(traces, 32);
///
/// let by = Grouping::by(GroupBy::Crate).then(GroupBy::Line).with_metric(Metric::Total);
/// let statistics = snapshot.statistics(by);
/// assert_eq!(statistics[0].to_string(), "demo: size=500 B, count=2, average=250 B");
/// let line = &statistics[0].parts[0];
/// assert_eq!(line.to_string(), "src/cache.rs:52: size=400 B, count=1, average=400 B");
///
/// // A custom key.
/// let by_parity =
///     Grouping::by_key(|trace| if trace.traceback[0].line() % 2 == 0 { "even" } else { "odd" });
/// let statistics = snapshot.statistics(by_parity.with_metric(Metric::Total));
/// assert_eq!(statistics[0].to_string(), "even: size=400 B, count=1, average=400 B");
/// ```
///
/// # Counting cumulatively
///
/// By default a trace counts only for the frame that it is charged to. With
/// [`cumulative`](Self::cumulative) counting, it counts for every frame of its traceback, so a
/// function's group holds everything that the function and its callees allocated. A trace counts
/// once in each group, even if several of its frames are in the group, so recursion does not
/// multiply bytes (in `tracemalloc` it does). Sums over groups are meaningless then.
///
/// With nested keys, all keys apply to the same frame: by crate and line, a crate's parts are the
/// lines in that crate.
///
/// [`Statistic::parts`]: crate::Statistic::parts
#[derive(Clone, Debug)]
#[must_use = "a grouping does nothing until it is passed to `Snapshot::statistics`"]
pub struct Grouping {
    pub(crate) keys: Vec<Key>,
    is_cumulative: bool,
    metric: Metric,
    order: SortBy,
}

/// One key of a [`Grouping`].
#[derive(Clone)]
pub(crate) enum Key {
    By(GroupBy),
    Own(Arc<dyn Fn(&Trace) -> GroupKey + Send + Sync>),
}

impl Grouping {
    /// Groups by one key.
    ///
    /// ```
    /// use alloc_core::{GroupBy, Grouping};
    ///
    /// assert_eq!(Grouping::by(GroupBy::Crate).to_string(), "crate");
    /// ```
    pub fn by(key: GroupBy) -> Grouping {
        Grouping::of(vec![Key::By(key)])
    }

    /// Groups by the result of a function of the trace.
    ///
    /// ```
    /// use alloc_core::Grouping;
    ///
    /// let by_depth = Grouping::by_key(|trace| format!("{} frames", trace.traceback.len()));
    /// assert_eq!(by_depth.to_string(), "key");
    /// ```
    pub fn by_key<K: Into<GroupKey>>(
        key: impl Fn(&Trace) -> K + Send + Sync + 'static,
    ) -> Grouping {
        Grouping::of(vec![own_key(key)])
    }

    fn of(keys: Vec<Key>) -> Grouping {
        Grouping {
            keys,
            is_cumulative: false,
            metric: Metric::default(),
            order: SortBy::default(),
        }
    }

    /// Adds a key within the groups.
    ///
    /// ```
    /// use alloc_core::{GroupBy, Grouping};
    ///
    /// assert_eq!(Grouping::by(GroupBy::Crate).then(GroupBy::Line).to_string(), "crate,line");
    /// ```
    pub fn then(mut self, key: GroupBy) -> Grouping {
        self.keys.push(Key::By(key));
        self
    }

    /// Adds the result of a function of the trace as a key within the groups.
    ///
    /// ```
    /// use alloc_core::{GroupBy, Grouping};
    ///
    /// let grouping = Grouping::by(GroupBy::Thread).then_by_key(|trace| trace.domain.to_string());
    /// assert_eq!(grouping.to_string(), "thread,key");
    /// ```
    pub fn then_by_key<K: Into<GroupKey>>(
        mut self,
        key: impl Fn(&Trace) -> K + Send + Sync + 'static,
    ) -> Grouping {
        self.keys.push(own_key(key));
        self
    }

    /// Counts a trace for every frame of its traceback, once in each group.
    ///
    /// # Errors
    ///
    /// [`Error::is_invalid_grouping`] if no key belongs to a frame: a line, file, function, module
    /// or crate. A trace has one traceback, one thread and so on, so cumulative counting would
    /// change nothing.
    ///
    /// ```
    /// use alloc_core::{GroupBy, Grouping};
    ///
    /// assert!(Grouping::by(GroupBy::File).cumulative().is_ok());
    /// assert_eq!(
    ///     Grouping::by(GroupBy::Traceback).cumulative().unwrap_err().to_string(),
    ///     "cumulative counting needs a key that every frame has: expected line, file, function, \
    ///      module or crate, found traceback"
    /// );
    /// ```
    pub fn cumulative(mut self) -> Result<Grouping, Error> {
        if !self.keys.iter().any(Key::is_of_frames) {
            return Err(Error::invalid_grouping(format!(
                "cumulative counting needs a key that every frame has: expected line, file, \
                 function, module or crate, found {self}"
            )));
        }
        self.is_cumulative = true;
        Ok(self)
    }

    /// Sets the metric; the default is [`Metric::Current`].
    ///
    /// ```
    /// use alloc_core::{Grouping, Metric};
    ///
    /// assert_eq!(Grouping::default().with_metric(Metric::Total).metric(), Metric::Total);
    /// ```
    pub fn with_metric(mut self, metric: Metric) -> Grouping {
        self.metric = metric;
        self
    }

    /// Sets the sort order; the default is [`SortBy::Bytes`].
    ///
    /// ```
    /// use alloc_core::{Grouping, SortBy};
    ///
    /// assert_eq!(Grouping::default().sorted_by(SortBy::Blocks).order(), SortBy::Blocks);
    /// ```
    pub fn sorted_by(mut self, order: SortBy) -> Grouping {
        self.order = order;
        self
    }

    /// The keys, outermost first. `None` is a custom key.
    ///
    /// ```
    /// use alloc_core::{GroupBy, Grouping};
    ///
    /// let grouping = Grouping::by(GroupBy::Crate).then_by_key(|trace| trace.domain.to_string());
    /// assert!(grouping.keys().eq([Some(GroupBy::Crate), None]));
    /// ```
    pub fn keys(&self) -> impl ExactSizeIterator<Item = Option<GroupBy>> {
        self.keys.iter().map(|key| match key {
            Key::By(by) => Some(*by),
            Key::Own(_) => None,
        })
    }

    /// Whether a trace counts for every frame.
    ///
    /// ```
    /// assert!(!alloc_core::Grouping::default().is_cumulative());
    /// ```
    pub fn is_cumulative(&self) -> bool {
        self.is_cumulative
    }

    /// The metric.
    ///
    /// ```
    /// assert_eq!(alloc_core::Grouping::default().metric(), alloc_core::Metric::Current);
    /// ```
    pub fn metric(&self) -> Metric {
        self.metric
    }

    /// The sort order.
    ///
    /// ```
    /// assert_eq!(alloc_core::Grouping::default().order(), alloc_core::SortBy::Bytes);
    /// ```
    pub fn order(&self) -> SortBy {
        self.order
    }
}

fn own_key<K: Into<GroupKey>>(key: impl Fn(&Trace) -> K + Send + Sync + 'static) -> Key {
    Key::Own(Arc::new(move |trace| key(trace).into()))
}

impl Key {
    /// Whether the key belongs to each frame rather than to the trace.
    pub(crate) fn is_of_frames(&self) -> bool {
        use GroupBy::{Crate, File, Function, Line, Module};
        matches!(self, Key::By(Line | File | Function | Module | Crate))
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Key::By(by) => by.fmt(f),
            Key::Own(_) => f.write_str("own key"),
        }
    }
}

impl Default for Grouping {
    fn default() -> Grouping {
        Grouping::by(GroupBy::default())
    }
}

impl From<GroupBy> for Grouping {
    fn from(key: GroupBy) -> Grouping {
        Grouping::by(key)
    }
}

impl<const N: usize> From<[GroupBy; N]> for Grouping {
    /// Nests the groups. An array without a key does not compile.
    fn from(keys: [GroupBy; N]) -> Grouping {
        const { assert!(N > 0, "expected a key to group by") };
        Grouping::of(keys.into_iter().map(Key::By).collect())
    }
}

impl fmt::Display for Grouping {
    /// The names of the keys, separated by commas.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, key) in self.keys().enumerate() {
            let comma = if at > 0 { "," } else { "" };
            match key {
                Some(by) => write!(f, "{comma}{by}")?,
                None => write!(f, "{comma}key")?,
            }
        }
        Ok(())
    }
}

impl FromStr for Grouping {
    type Err = String;
    /// Parses the [`Display`](fmt::Display) form: `crate,line`.
    fn from_str(names: &str) -> Result<Grouping, String> {
        let keys: Result<_, String> = names
            .split(',')
            .map(|name| name.parse().map(Key::By))
            .collect();
        Ok(Grouping::of(keys?))
    }
}

/// Implements the text form of an enum in both directions.
macro_rules! names {
    ($type:ident: $($variant:ident = $name:literal),+ $(,)?) => {
        impl $type {
            /// Every value, in the order of declaration.
            ///
            /// ```
            #[doc = concat!("use alloc_core::", stringify!($type), ";\n")]
            #[doc = concat!("for one in ", stringify!($type), "::ALL {")]
            ///     assert_eq!(one.to_string().parse(), Ok(*one));
            /// }
            /// ```
            pub const ALL: &[$type] = &[$($type::$variant),+];
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(match self { $($type::$variant => $name),+ })
            }
        }

        impl FromStr for $type {
            type Err = String;
            fn from_str(name: &str) -> Result<$type, String> {
                match name {
                    $($name => Ok($type::$variant),)+
                    _ => Err(format!("expected one of {}, found {name:?}", [$($name),+].join(", "))),
                }
            }
        }
    };
}

names!(
    GroupBy: Line = "line",
    File = "file",
    Function = "function",
    Module = "module",
    Crate = "crate",
    Traceback = "traceback",
    FoldedTraceback = "folded",
    SizeClass = "size-class",
    Type = "type",
    Thread = "thread",
    Label = "label",
    Domain = "domain",
);
names!(
    Metric: Current = "current",
    Peak = "peak",
    AtPeak = "at-peak",
    Total = "total",
    Freed = "freed",
);
names!(SortBy: Bytes = "bytes", Blocks = "blocks", Average = "average");

#[cfg(test)]
mod tests;
