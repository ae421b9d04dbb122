//! Reads heap snapshots and shows what holds the memory and what grew.
//!
//! The snapshots are those of [`alloc_core`]. In the traced program itself, this crate compares two
//! snapshots ([`CompareTo`]), prints tables ([`top`], [`diff`], [`suspects()`]) and annotates source
//! ([`annotate()`]). The command `alloc-report` does the same with snapshot files, and with heap
//! profiles of other tools ([`import()`]).
//!
//! ```
//! use alloc_core::{Amount, Counters, Frame, Snapshot, Trace, Traceback};
//!
//! let trace = |line, bytes, blocks| {
//!     let frame = Frame::new(Some("demo::fill"), Some("src/cache.rs"), line, 9);
//!     let current = Amount::new(bytes, blocks);
//!     let counters = Counters { current, peak: current, at_peak: current, ..Counters::default() };
//!     Trace::new(Traceback::new(vec![frame]), counters)
//! };
//! // In a traced program: `alloc_core::take_snapshot()?`.
//! let traces = vec![trace(41, 9_000_000, 70_000), trace(58, 900_000, 30), trace(7, 100, 1)];
//! let snapshot = Snapshot::from_traces(traces, 32);
//!
//! let table = alloc_report::top(&snapshot, 2);
//! assert_eq!(
//!     table.to_string(),
//!     "\
//! 9668 KiB in 70,031 live blocks, by line; at the peak 9668 KiB
//!
//! ##         size   share   count   average  line
//! 1  8,789.1 KiB   90.9%  70,000     129 B  src/cache.rs:41
//! 2    878.9 KiB    9.1%      30  30,000 B  src/cache.rs:58
//!        0.1 KiB   <0.1%       1     100 B  other (1 line)
//!    9,668.1 KiB  100.0%  70,031     141 B  total"
//! );
//! ```
//!
//! # The command
//!
//! `alloc-report top FILE` and `alloc-report diff OLD NEW` print these tables. `alloc-report diff
//! FILE` prints the table of a profile that holds only changes, positive or negative. `alloc-report
//! suspects OLD NEW [NEWER ...]` prints the table of what grew at every step. `alloc-report summary
//! FILE` answers most questions in half a screen, and `alloc-report tree FILE` prints the stacks as a
//! tree. `alloc-report view FILE` and `alloc-report live PID` show the same on a screen that answers to
//! keys, if the command was installed with `--features terminal`; otherwise, and where standard output
//! is no terminal, they print text. `alloc-report graph FILE` shows what keeps
//! memory alive, from the [heap graph](graph) of a program. `--help`
//! explains the options, with examples of filters and groupings. `alloc-report completions SHELL`
//! and `alloc-report man` print shell completions and the manual page. The exit status is 0 on
//! success, 1 if a file cannot be read or filters leave nothing, and 2 for a wrong command line.
#![doc = include_str!("formats.md")]

// Each module imports only from those before it: `names`, `foreign`, `compare`, `growth`, `advise`, `show` (`text`, `table`,
// `stack`, `view`, `notes`, `builder`, `words`, then `top`, `diff` and `suspects`), `annotate`, `stacks`, `flame`,
// `page`, `explore`, `graph`.
mod advise;
mod annotate;
mod compare;
#[cfg(feature = "terminal")]
mod explore;
mod flame;
#[cfg(feature = "import")]
mod foreign;
pub mod graph;
mod growth;
mod names;
#[cfg(feature = "page")]
mod page;
mod show;
mod stacks;

#[cfg(test)]
mod fixture;

pub use advise::{Advice, AdviceKind};
pub use annotate::{Annotate, Annotated, AnnotatedLine, annotate};
pub use compare::{BytesDiff, CompareTo, StatisticDiff};
#[cfg(feature = "terminal")]
pub use explore::{Explorer, Refreshed, explore};
pub use flame::{Flamegraph, flamegraph};
#[cfg(feature = "import")]
pub use foreign::import;
pub use graph::Graph;
pub use growth::{Moment, Suspect};
#[cfg(feature = "page")]
pub use page::{Page, page};
pub use show::{
    Advise, Diff, FreesTable, GenerationsTable, LifetimesTable, Oom, ResidentTable, SlackTable,
    Summary, Suspects, TemporaryTable, Top, Tree, Within, advise, diff, frees, generations,
    lifetimes, oom, resident, slack, summary, suspects, suspects_at, temporary, top, tree,
};
#[doc(hidden)]
pub use show::{GenerationsGroup, PinnedGroup, SlackGroup, TemporaryGroup};
pub use stacks::{Branch, Stacks, stacks};
