//! [`BlockId`] and [`Block`]: one block of the heap.

use std::fmt;
use std::time::Duration;

use alloc_core_snapshot::{Bytes, Escaped};

use super::Reach;

/// A block of a [`Graph`](super::Graph), to pass to the methods of that graph.
///
/// ```
/// use alloc_report::graph::{Graph, builder};
///
/// let graph = Graph::read(&builder::sample().file())?;
/// let first = graph.blocks().next().unwrap();
/// assert_eq!(graph.find(graph.block(first).address), Some(first));
/// # Ok::<(), alloc_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BlockId(pub(super) u32);

/// What is known about one block.
///
/// ```
/// use alloc_report::graph::{Graph, builder};
///
/// let graph = Graph::read(&builder::sample().file())?;
/// let table = graph.block(graph.blocks().next().unwrap());
/// assert_eq!(table.to_string(), "HashMap<u64, Rc<Node>> (84 B, src/cache.rs:41)");
/// # Ok::<(), alloc_core::Error>(())
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Block<'a> {
    /// Its address in the process.
    pub address: u64,
    /// Its size: exact, or within 1/32 ([`Facts::exact_sizes`](super::Facts::exact_sizes)).
    pub size: Bytes,
    /// What it was allocated for, if that is known.
    pub type_name: Option<&'a str>,
    /// The line that is charged with it.
    pub place: &'a str,
    /// How old it is, if the session recorded that.
    pub age: Option<Duration>,
    /// Whether a part of it could not be read.
    pub is_unread: bool,
    /// How the roots reach it.
    pub reach: Reach,
}

impl Block<'_> {
    /// The type as people write it; `<unknown>` if it is not known.
    ///
    /// ```
    /// use alloc_report::graph::{Graph, builder};
    ///
    /// let graph = Graph::read(&builder::sample().file())?;
    /// let table = graph.block(graph.blocks().next().unwrap());
    /// assert_eq!(table.type_or_unknown(), "HashMap<u64, Rc<Node>>");
    /// # Ok::<(), alloc_core::Error>(())
    /// ```
    pub fn type_or_unknown(&self) -> &str {
        self.type_name.unwrap_or("<unknown>")
    }
}

impl fmt::Display for Block<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = Escaped(self.type_or_unknown());
        write!(f, "{name} ({}, {})", self.size, self.place)
    }
}
