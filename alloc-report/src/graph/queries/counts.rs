//! [`CountFinding`]: counts of `Rc` and `Arc` that do not add up.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::fmt;

use alloc_core_snapshot::Bytes;

use crate::graph::evidence::Rank;
use crate::graph::file::{NO_COUNT, RootKind, RootRow};
use crate::graph::{BlockId, Graph};

/// The counts of an `Rc` or `Arc`, and the references that were found.
///
/// ```
/// use alloc_report::graph::{Graph, builder};
///
/// let graph = Graph::read(&builder::sample().file())?;
/// let counts = graph.counts_of(graph.blocks().nth(1).unwrap()).unwrap();
/// assert_eq!((counts.strong, counts.weak, counts.found), (1, 0, 1));
/// # Ok::<(), alloc_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counts {
    /// How many `Rc` or `Arc` there are.
    pub strong: u64,
    /// How many `Weak` there are.
    pub weak: u64,
    /// How many pointers to it were found, of either kind.
    pub found: u64,
}

impl Counts {
    /// How many of the counted references were not found.
    ///
    /// ```
    /// use alloc_report::graph::{Graph, builder};
    ///
    /// let graph = Graph::read(&builder::sample().file())?;
    /// let counts = graph.counts_of(graph.blocks().nth(1).unwrap()).unwrap();
    /// assert_eq!(counts.missing(), 0);
    /// # Ok::<(), alloc_core::Error>(())
    /// ```
    pub fn missing(&self) -> u64 {
        (self.strong + self.weak).saturating_sub(self.found)
    }

    /// What is wrong with them, if something is.
    fn finding(self) -> Option<CountsKind> {
        match self {
            it if it.strong == 0 && it.weak > 0 => Some(CountsKind::OnlyWeakLeft),
            it if it.strong > 0 && it.missing() > 0 => Some(CountsKind::ForgottenClone),
            _ => None,
        }
    }
}

/// What is wrong with the counts of a block.
///
/// ```
/// use alloc_report::graph::CountsKind;
///
/// assert_eq!(CountsKind::OnlyWeakLeft.to_string(), "only Weak is left");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum CountsKind {
    /// Fewer references were found than are counted: a clone was forgotten, or its pointer is in a
    /// form that is not seen.
    ForgottenClone,
    /// The value is dropped, and the block stays for the `Weak` that are left.
    OnlyWeakLeft,
}

impl fmt::Display for CountsKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            CountsKind::ForgottenClone => "clones were forgotten",
            CountsKind::OnlyWeakLeft => "only Weak is left",
        })
    }
}

/// Blocks of one callsite whose counts do not add up.
///
/// ```
/// use alloc_report::graph::{CountsKind, Graph, builder};
///
/// let mut graph = builder::sample();
/// graph.counts(1, 3, 1);
/// let graph = Graph::read(&graph.file())?;
/// let finding = &graph.counts()[0];
/// assert_eq!((finding.kind, finding.missing), (CountsKind::ForgottenClone, 2));
/// # Ok::<(), alloc_core::Error>(())
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct CountFinding {
    /// What is wrong.
    pub kind: CountsKind,
    /// The type of the blocks, if it is known.
    pub type_name: Option<String>,
    /// The line that allocated them.
    pub place: String,
    /// How many blocks there are.
    pub blocks: u64,
    /// The references that were not found, over all blocks.
    pub missing: u64,
    /// What the blocks retain.
    pub retained: Bytes,
    /// The block with the most missing references.
    pub example: BlockId,
    /// The counts of that block.
    pub counts: Counts,
}

impl Graph {
    /// The counts of a block; `None` if it is no `Rc` or `Arc`, or if its type is not known.
    ///
    /// ```
    /// use alloc_report::graph::{Graph, builder};
    ///
    /// let graph = Graph::read(&builder::sample().file())?;
    /// let mut blocks = graph.blocks();
    /// assert!(graph.counts_of(blocks.next().unwrap()).is_none());
    /// assert!(graph.counts_of(blocks.next().unwrap()).is_some());
    /// # Ok::<(), alloc_core::Error>(())
    /// ```
    pub fn counts_of(&self, block: BlockId) -> Option<Counts> {
        let (strong, weak) = self.counted(block.0)?;
        let roots = self.roots_to(block.0).iter();
        let from_roots = roots.filter(|it| is_handle(self.data.roots[**it as usize].offset));
        let blocks = self.edges_to(block.0).iter();
        let from_blocks = blocks.filter(|(_, edge)| self.is_handle(*edge as usize));
        Some(Counts {
            strong,
            weak,
            found: (from_roots.count() + from_blocks.count()) as u64,
        })
    }

    /// Whether a thread is just dropping the value: the strong count is zero, and the weak one that
    /// all strong references shared is not yet given back.
    fn is_being_dropped(&self, block: BlockId, counts: Counts) -> bool {
        let stacks = &self.names().stacks;
        let mut roots = self.roots_to(block.0).iter();
        let is_of_dropping_thread = |root: &RootRow| {
            let is_of_thread = matches!(root.kind, RootKind::Stack | RootKind::Register);
            is_of_thread && stacks[root.extra as usize].iter().any(|it| is_drop(it))
        };
        counts.weak == 1 && roots.any(|it| is_of_dropping_thread(&self.data.roots[*it as usize]))
    }

    /// How many `Rc` or `Arc` and how many `Weak` a block counts.
    pub(in crate::graph) fn counted(&self, block: u32) -> Option<(u64, u64)> {
        let nodes = &self.data.nodes;
        let kind = self.names().callsites[nodes.callsites[block as usize] as usize].kind;
        let (strong, weak) = (nodes.strong[block as usize], nodes.weak[block as usize]);
        if !kind.is_counted || strong == NO_COUNT {
            return None;
        }
        // All strong references share one weak one.
        let shared = u64::from(strong > 0);
        Some((strong.into(), u64::from(weak).checked_sub(shared)?))
    }

    /// Whether a reference may be an `Rc`, an `Arc` or a `Weak`.
    pub(in crate::graph) fn is_handle(&self, edge: usize) -> bool {
        is_handle(self.data.nodes.offset[edge]) && self.evidence().references.is_content(edge)
    }

    /// Blocks whose counts do not add up, by callsite, those that retain the most first.
    ///
    /// Blocks that nothing reaches are not listed: they are among the [`leaks`](Self::leaks).
    ///
    /// ```
    /// use alloc_report::graph::{CountsKind, Graph, builder};
    ///
    /// let mut graph = builder::sample();
    /// assert!(Graph::read(&graph.file())?.counts().is_empty());
    /// graph.counts(1, 0, 1);
    /// assert_eq!(Graph::read(&graph.file())?.counts()[0].kind, CountsKind::OnlyWeakLeft);
    /// # Ok::<(), alloc_core::Error>(())
    /// ```
    pub fn counts(&self) -> Vec<CountFinding> {
        let mut found: HashMap<(CountsKind, u32), CountFinding> = HashMap::new();
        for block in self.blocks() {
            let is_reached = self.evidence().ranks[block.0 as usize] != Rank::NOTHING;
            if !is_reached || self.is_ignored(block.0) {
                continue;
            }
            let Some(counts) = self.counts_of(block) else {
                continue;
            };
            let Some(kind) = counts.finding() else {
                continue;
            };
            if kind == CountsKind::OnlyWeakLeft && self.is_being_dropped(block, counts) {
                continue;
            }
            let callsite = self.data.nodes.callsites[block.0 as usize];
            let finding = found
                .entry((kind, callsite))
                .or_insert_with(|| CountFinding {
                    kind,
                    type_name: self.type_of(callsite).map(|it| it.to_string()),
                    place: self.names().callsites[callsite as usize].place.clone(),
                    blocks: 0,
                    missing: 0,
                    retained: Bytes::ZERO,
                    example: block,
                    counts,
                });
            finding.blocks += 1;
            finding.missing += counts.missing();
            finding.retained += self.retained(block);
            if counts.missing() > finding.counts.missing() {
                (finding.example, finding.counts) = (block, counts);
            }
        }
        let mut found: Vec<CountFinding> = found.into_values().collect();
        found.sort_by_key(|it| (it.kind, Reverse(it.retained), it.example));
        found
    }
}

/// Whether a pointer to this byte of a block may be an `Rc`, an `Arc` or a `Weak`: to the counts,
/// or, as `into_raw` makes it, to the value.
fn is_handle(offset: u32) -> bool {
    const COUNTS: u32 = 16;
    offset == 0 || offset == COUNTS
}

/// Whether a function drops an `Rc` or `Arc`.
fn is_drop(function: &str) -> bool {
    matches!(
        function,
        "Rc::drop" | "Rc::drop_slow" | "Arc::drop" | "Arc::drop_slow"
    )
}
