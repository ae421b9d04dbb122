//! A graph for other programs: [`dot`] for Graphviz, [`heap_snapshot`] for Chrome's DevTools.
//!
//! In: a graph. Out: text to a writer. Nothing here decides what is held.

mod dot;
#[cfg(feature = "page")]
mod heap_snapshot;

pub use dot::write_dot;
#[cfg(feature = "page")]
pub use heap_snapshot::write_heap_snapshot;
