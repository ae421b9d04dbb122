//! Tables for people: [`top`], [`diff`] and [`tree`].
//!
//! Snapshots go in; text of a chosen width comes out, with colours on request. The only files that
//! are opened are source files, to quote a line; nothing is written. The numbers come from
//! [`Snapshot::statistics`](alloc_core_snapshot::Snapshot::statistics) and from
//! [`compare`](crate::compare).

mod builder;
mod diff;
mod lifetimes;
pub(crate) mod notes;
mod stack;
pub(crate) mod table;
pub(crate) mod text;
mod top;
mod tree;
mod view;

pub use diff::{Diff, diff};
pub use lifetimes::{LifetimesTable, lifetimes};
pub use top::{Top, top};
pub use tree::{Tree, tree};
