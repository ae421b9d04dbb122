//! Advice: which lines could do with fewer allocations or less memory, and how.
//!
//! A snapshot goes in; a list of [`Advice`] comes out, what saves the most first. Each kind of advice has
//! a file of its own. Nothing here formats a table or reads a file.

mod grows;
mod held;
mod lines;
mod small;
mod spare;
mod temporary;

use alloc_core_snapshot::{Bytes, GroupKey, Snapshot};

use lines::Program;
pub(crate) use spare::Collections;

/// Advice is left out if it saves less than this part of the program's calls and of its peak.
const LEAST_SHARE: f64 = 0.01;

/// A line that could do with fewer allocations or less memory: see [`advise`](crate::advise()).
///
/// It prints as a sentence, without a final dot.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Advice {
    /// The line.
    pub key: GroupKey,
    /// The type of its blocks, if it is known.
    pub type_name: Option<String>,
    /// What to do.
    pub kind: AdviceKind,
    /// What the line does now, in words.
    pub(crate) finding: String,
    /// What to do, in words.
    pub(crate) remedy: String,
    /// The calls of the allocator that it saves, of all that the program made: allocations, and
    /// reallocations as one each.
    pub calls: u64,
    /// The bytes that it need not allocate, of all that the program allocated.
    pub bytes: Bytes,
    /// The bytes that the heap is smaller at its peak.
    pub peak: Bytes,
    /// The larger of its shares of the calls and of the peak, from 0 to 1.
    pub share: f64,
}

/// What an [`Advice`] is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum AdviceKind {
    /// A buffer grows step by step: reserve what it holds at last.
    Reserve,
    /// Blocks are freed at once: use one again, or none.
    Reuse,
    /// A large value is held while the function that made it allocates more: drop it before.
    DropEarlier,
    /// Many small blocks of one size: keep the values next to each other.
    Gather,
    /// Collections hold three times what they use, or more: shrink them.
    Shrink,
}

impl AdviceKind {
    /// The name in JSON.
    pub fn name(self) -> &'static str {
        match self {
            AdviceKind::Reserve => "reserve",
            AdviceKind::Reuse => "reuse",
            AdviceKind::DropEarlier => "drop-earlier",
            AdviceKind::Gather => "gather",
            AdviceKind::Shrink => "shrink",
        }
    }
}

impl std::fmt::Display for Advice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}: {}", self.key, self.finding, self.remedy)
    }
}

/// The advice on a snapshot, what saves the most first. `all`: also what saves little, and lines of
/// dependencies. `collections`: those of the same program, if it is known what they use.
pub(crate) fn list(snapshot: &Snapshot, all: bool, collections: &[Collections]) -> Vec<Advice> {
    let program = Program::of(snapshot, all);
    let mut list = Vec::new();
    for line in &program.lines {
        // Blocks that a reallocation replaced were freed at once, too: that is one finding, not two.
        let grows = grows::find(line, &program);
        match grows {
            Some(advice) => list.push(advice),
            None => list.extend(temporary::find(line, &program)),
        }
        list.extend(small::find(line, &program));
    }
    list.extend(held::find(snapshot, &program));
    list.extend(spare::find(snapshot, &program, collections));
    list.retain(|it| all || it.share >= LEAST_SHARE);
    list.sort_by(|a, b| b.share.total_cmp(&a.share).then_with(|| a.key.cmp(&b.key)));
    list
}
