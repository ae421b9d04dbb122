//! Tables for people: [`top`], [`diff`], [`tree`] and [`suspects`].
//!
//! Snapshots go in; text of a chosen width comes out, with colours on request. The only files that
//! are opened are source files, to quote a line; nothing is written. The numbers come from
//! [`Snapshot::statistics`](alloc_core_snapshot::Snapshot::statistics) and from [`compare`](crate::compare)
//! and [`growth`](crate::growth).

mod advise;
mod builder;
mod diff;
mod frees;
mod generations;
mod lifetimes;
pub(crate) mod notes;
mod oom;
pub(crate) mod resident;
mod slack;
pub(crate) mod stack;
mod summary;
mod suspects;
pub(crate) mod table;
mod temporary;
pub(crate) mod text;
pub(crate) mod top;
mod tree;
pub(crate) mod view;
mod words;

pub use advise::{Advise, advise};
pub use diff::{Diff, diff};
pub use frees::{FreesTable, frees};
pub use generations::{GenerationsGroup, GenerationsTable, generations};
pub use lifetimes::{LifetimesTable, lifetimes};
pub use oom::{Oom, oom};
pub use resident::{PinnedGroup, ResidentTable, resident};
pub use slack::{SlackGroup, SlackTable, slack};
pub use summary::{Summary, summary};
pub use suspects::{Suspects, suspects, suspects_at};
pub use temporary::{TemporaryGroup, TemporaryTable, Within, temporary};
pub use top::{Top, top};
pub use tree::{Tree, tree};

/// A sentence in lines of at most `room` columns, unless a word is longer.
pub(crate) fn sentence(sentence: &str, room: usize) -> Vec<String> {
    words::lines(sentence, room)
}

/// A short time: `0.4 ms`, `12.0 ms`, `3 seconds`.
pub(crate) fn milliseconds(time: std::time::Duration) -> String {
    match time.as_secs_f64() {
        it if it < 1.0 => format!("{:.1} ms", it * 1000.0),
        it => words::duration(it),
    }
}

/// An age: `35 ms`, `90 seconds`, `3 hours`.
pub(crate) fn age(time: std::time::Duration) -> String {
    words::duration(time.as_secs_f64())
}
