//! Questions to a [`Graph`](super::Graph), one a file.
//!
//! In: the evidence and the tree. Out: answers that own their data, each with how sure it is where
//! that differs. None changes the graph.

pub(super) mod counts;
pub(super) mod cycles;
pub(super) mod diff;
pub(super) mod duplicates;
pub(super) mod group;
pub(super) mod leaks;
pub(super) mod neighbours;
pub(super) mod roots;
pub(super) mod select;
pub(super) mod spare;
mod through;
pub(super) mod why;

use std::fmt;

/// How sure an answer is.
///
/// ```
/// use alloc_report::graph::Certainty;
///
/// assert!(Certainty::Certain < Certainty::Likely);
/// assert_eq!(Certainty::OnlyUnknownMemory.to_string(), "only unknown memory");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Certainty {
    /// The references found explain all counts: nobody else owns it.
    Certain,
    /// No root reaches it, but a pointer in another form, such as one with a tag in its upper bits,
    /// would not be seen.
    Likely,
    /// Only memory that nobody describes refers to it, such as that of C's `malloc`, and what owns
    /// some of its blocks is not known.
    OnlyUnknownMemory,
}

impl fmt::Display for Certainty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Certainty::Certain => "certain",
            Certainty::Likely => "likely",
            Certainty::OnlyUnknownMemory => "only unknown memory",
        })
    }
}
