//! Reads heap snapshots and says what holds the memory, and what grew.
//!
//! The snapshots are those of [`alloc_core`]. In the traced program itself, this crate compares two
//! of them ([`CompareTo`]) and prints tables for people ([`top`], [`diff`]). The command
//! `alloc-report` does the same with snapshot files.
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
//! `alloc-report top FILE` and `alloc-report diff OLD NEW` print these tables, and `alloc-report diff FILE` that of
//! a profile which tells what changed, with negative values; `--help` shows how, with
//! examples of filters and groupings. `alloc-report completions SHELL` and `alloc-report man` print what
//! a shell completes and the manual page. It exits with 0 when all is well, with 1 when a file cannot be
//! read or filters leave nothing of it, and with 2 when it was called in a wrong way.
//!
//! With `--format json` it prints one object, for programs. Sizes are in bytes, times in seconds since
//! 1970 (UTC), shares between 0 and 1; what is not known is `null`. Characters outside ASCII are
//! written as `\uXXXX`.
//!
//! | key | of | meaning |
//! | --- | --- | --- |
//! | `report` | both | `"top"` or `"diff"` |
//! | `by`, `metric`, `order`, `charge`, `skip` | both | the choices `--by`, `--sort`, `--charge` and `--skip`, as on the command line |
//! | `cumulative`, `all_frames`, `full` | both | whether `--cumulative`, `--all-frames` and `--full` were given |
//! | `include`, `exclude` | both | arrays of what was given with `--include` and `--exclude` |
//! | `snapshot` | `top` | where the numbers come from, see below |
//! | `old`, `new` | `diff` | the same for both files |
//! | `rows` | both | the first `-n` rows in the order of the table, see below |
//! | `other` | both | what the remaining `rows` (a number) sum up to |
//! | `total` | both | what all `rows` (a number) sum up to |
//! | `notes` | both | an array of sentences: what is not exact or not complete |
//!
//! | key of a snapshot | meaning |
//! | --- | --- |
//! | `file` | the path as given |
//! | `program`, `command_line`, `process_id` | the process it was taken in |
//! | `taken_at` | when |
//! | `at_exit` | whether it was written when the program ended |
//! | `traceback_limit` | how many frames of a stack were kept |
//! | `current_bytes`, `peak_bytes`, `peak_error_bytes` | the traced heap at that moment |
//! | `health` | counts of what could not be recorded in full, as in [`alloc_core::Health`] |
//!
//! | key of a row | of | meaning |
//! | --- | --- | --- |
//! | `rank` | both | 1 for the first row |
//! | `key` | both | what the table has in its last column: a line, a crate, a thread |
//! | `function`, `file`, `line` | both | what is known of the key; for a traceback, of the frame that is charged |
//! | `path` | both | the file as the compiler wrote it down, where `file` is as people say it |
//! | `frames` | both, `--by traceback` and `folded` only | the stack, innermost frame first: objects with `function`, `file`, `path`, `line`, `column` |
//! | `bytes`, `blocks` | both | the amount of the metric; in a `diff`, of the newer snapshot, and `null` if the file tells only what changed |
//! | `bytes_diff`, `blocks_diff` | `diff` | the change since the older snapshot |
//! | `average_bytes` | both | the mean size of a block, a whole number |
//! | `share` | `top` | the part of all bytes |
//! | `current`, `peak`, `at_peak`, `total`, `freed` | `top` | all metrics: objects with `bytes` and `blocks`, or `null` if the file does not tell the metric |
//! | `reallocations` | `top` | how many of the allocations in `total` were reallocations |
//! | `within` | both, with several keys only | an object with the first `-n` `rows` within this one, and the `other` ones |
//!
//! `other` and `total` have the keys `rows`, `bytes`, `blocks` and, in a `diff`, `bytes_diff` and
//! `blocks_diff`; where a callsite counts in many rows, these are `null` in `other`. A `diff` counts
//! unchanged rows too; the table for people leaves them to "other".
//!
//! `alloc-report check OLD NEW --format json` prints an object with `report` (`"check"`), `passed`,
//! `by`, the paths `old` and `new`, `notes`, and an array `metrics`:
//!
//! | key of a metric | meaning |
//! | --- | --- |
//! | `metric`, `unit` | the word of `--metric`, and whether its numbers are `"bytes"` or `"blocks"` |
//! | `old`, `new` | the numbers |
//! | `growth_percent` | how much larger the new one is; `null` where the old one is 0 |
//! | `most`, `passed` | the most that the new one may be, and whether it is no more |
//! | `changes` | the first `-n` groups that grew and the last that shrank: objects with `change`, `new` and `name` |
//!
//! With `--format csv` it prints a header and a line for each of these rows. The columns `bytes`, `blocks`,
//! `average_bytes`, `share` and so on have the names of the keys above, with `_bytes` and `_blocks` after
//! those of the metrics; what is not known is empty, and names are escaped as in tables. Others are:
//!
//! | column | meaning |
//! | --- | --- |
//! | `rank` | 1 for the first row; within it, 1.1, 1.2 and so on: each follows the row that it is in |
//! | `by` | what this row is: a word of `--by` |
//! | `key` | as above; of a stack, all its frames, innermost first, with ` < ` between them |
//! | `functions` | of a stack, the functions of these frames, written alike |

mod annotate;
mod compare;
mod diff;
mod notes;
mod stack;
mod table;
mod text;
mod top;
mod view;

#[cfg(test)]
mod fixture;

pub use annotate::{Annotate, Annotated, AnnotatedLine, annotate};
pub use compare::{BytesDiff, CompareTo, StatisticDiff};
pub use diff::{Diff, diff};
pub use top::{Top, top};
