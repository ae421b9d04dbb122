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
pub use generations::{GenerationsTable, generations};
pub use lifetimes::{LifetimesTable, lifetimes};
pub use slack::{SlackGroup, SlackTable, slack};
pub use summary::{Summary, summary};
pub use suspects::{Suspects, suspects, suspects_at};
pub use temporary::{TemporaryTable, Within, temporary};
pub use top::{Top, top};
pub use tree::{Tree, tree};
