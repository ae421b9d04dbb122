//! What speaks for a block being alive.
//!
//! In: blocks, references and roots, all of which may be mistaken. Out: how each block is reached,
//! and the roots in groups with names. It decides nothing about who retains what.

mod fields;
mod groups;
mod kinds;
mod pointees;
mod references;

use std::fmt;

#[cfg(feature = "process")]
pub(super) use fields::elements_of;
pub(super) use fields::{Fields, path_in_static};
pub(super) use groups::{GroupId, Groups, groups};
pub(super) use kinds::Kind;
pub(super) use references::{References, possible_sizes, used_bytes};

use super::file::{Data, NO_COUNT, RootKind, RootRow};
use super::names::Names;

/// What kind of root it is, the best evidence first.
///
/// ```
/// use alloc_report::graph::RootClass;
///
/// assert!(RootClass::Static < RootClass::Stack);
/// assert_eq!(RootClass::ThreadLocal.to_string(), "thread-local");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum RootClass {
    /// The program named it as a root.
    Named,
    /// A static of the program.
    Static,
    /// A thread-local.
    ThreadLocal,
    /// A word on a stack.
    Stack,
    /// A register.
    Register,
    /// A static of a library.
    Library,
    /// Memory that nobody describes, such as that of C's `malloc`.
    Unknown,
    /// Nothing: it stands for the root of what is leaked.
    Nothing,
}

impl RootClass {
    /// The classes of roots in memory that something describes, the best first.
    pub(super) const DESCRIBED: [RootClass; 6] = [
        RootClass::Named,
        RootClass::Static,
        RootClass::ThreadLocal,
        RootClass::Stack,
        RootClass::Register,
        RootClass::Library,
    ];
}

impl fmt::Display for RootClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            RootClass::Named => "named by the program",
            RootClass::Static => "static",
            RootClass::ThreadLocal => "thread-local",
            RootClass::Stack => "stack",
            RootClass::Register => "register",
            RootClass::Library => "static of a library",
            RootClass::Unknown => "unknown memory",
            RootClass::Nothing => "nothing",
        })
    }
}

/// How the roots reach a block.
///
/// ```
/// use alloc_report::graph::{Graph, Reach, builder};
///
/// let graph = Graph::read(&builder::sample().file())?;
/// let first = graph.block(graph.blocks().next().unwrap());
/// assert_eq!(first.reach, Reach::Strongly);
/// assert_eq!(first.reach.to_string(), "reached by roots");
/// # Ok::<(), alloc_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Reach {
    /// By pointers of owners.
    Strongly,
    /// Only by words that may be left behind, or that point into the middle of a block.
    Weakly,
    /// Only by memory that nobody describes.
    OnlyByUnknownMemory,
    /// Not at all.
    ByNothing,
}

impl fmt::Display for Reach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Reach::Strongly => "reached by roots",
            Reach::Weakly => "reached by words that may be left behind",
            Reach::OnlyByUnknownMemory => "reached only by unknown memory",
            Reach::ByNothing => "reached by nothing",
        })
    }
}

/// How good the best evidence for a block is: the class of its best root, or worse.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Rank(u8);

impl Rank {
    pub(super) const WEAK: Rank = Rank(6);
    pub(super) const UNKNOWN: Rank = Rank(7);
    pub(super) const NOTHING: Rank = Rank(8);
    const NOT_YET: Rank = Rank(9);

    /// The rank of what a root of this class reaches strongly.
    pub(super) fn of(class: RootClass) -> Rank {
        Rank(class as u8)
    }

    pub(super) fn is_strong(self) -> bool {
        self < Rank::WEAK
    }
}

/// What a word of a root is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RootWord {
    /// It points to a place that owners point to.
    Strong,
    /// It may be left behind.
    Weak,
    /// It is in a list of free memory, and points to no block.
    OfFreeList,
}

/// The evidence for all blocks.
pub(super) struct Evidence {
    pub(super) references: References,
    pub(super) ranks: Vec<Rank>,
    pub(super) root_words: Vec<RootWord>,
}

impl Evidence {
    pub(super) fn of(
        data: &Data,
        names: &Names,
        fields: &Fields,
        trait_objects: &[u32],
    ) -> Evidence {
        let roots = data.roots.iter();
        let root_words = roots.map(|it| root_word(data, names, it)).collect();
        let mut evidence = Evidence {
            references: References::of(data, names, fields),
            ranks: vec![Rank::NOT_YET; data.nodes.len()],
            root_words,
        };
        for edge in trait_objects {
            evidence.references.name(*edge as usize);
        }
        evidence.rank_all(data);
        let demoted = evidence.demote(data, names);
        if !demoted.is_empty() {
            let before =
                std::mem::replace(&mut evidence.ranks, vec![Rank::NOT_YET; data.nodes.len()]);
            evidence.rank_all(data);
            evidence.restore(data, &demoted, &before);
        }
        evidence
    }

    /// Restores the demoted references to blocks that roots do not reach without them: their owners
    /// were mistaken, or own each other.
    fn restore(&mut self, data: &Data, demoted: &[usize], before: &[Rank]) {
        let is_lost = |edge: &&usize| {
            let target = data.nodes.to[**edge] as usize;
            before[target].is_strong() && !self.ranks[target].is_strong()
        };
        let lost: Vec<usize> = demoted.iter().filter(is_lost).copied().collect();
        if lost.is_empty() {
            return;
        }
        for edge in lost {
            self.references.restore(edge);
        }
        self.ranks.fill(Rank::NOT_YET);
        self.rank_all(data);
    }

    /// Demotes references to blocks that have all their owners among those whose types name them.
    ///
    /// A box or a table has one owner; an `Rc` or `Arc` counts them. If so many blocks refer to one
    /// whose types name its type, another reference was left behind. A static or a thread-local that
    /// points to a collection is its owner, too. Returns the references.
    fn demote(&mut self, data: &Data, names: &Names) -> Vec<usize> {
        let nodes = &data.nodes;
        let mut named = vec![0_u32; nodes.len()];
        for block in 0..nodes.len() as u32 {
            if !self.ranks[block as usize].is_strong() {
                continue;
            }
            for edge in nodes.edges(block) {
                if self.references.is_named(edge) {
                    named[nodes.to[edge] as usize] += 1;
                }
            }
        }
        for (root, word) in data.roots.iter().zip(&self.root_words) {
            let is_variable = class_of(data, root) <= RootClass::ThreadLocal;
            let kind = references::kind(data, names, root.target);
            if *word == RootWord::Strong && is_variable && (kind.is_collection || kind.is_counted) {
                named[root.target as usize] += 1;
            }
        }
        let is_owned = |block: u32| {
            let found = named[block as usize];
            found > 0 && found >= owners(data, names, block)
        };
        let mut demoted = Vec::new();
        for (edge, target) in nodes.to.iter().enumerate() {
            let is_other = self.references.is_strong(edge) && !self.references.is_named(edge);
            if is_other && is_owned(*target) {
                self.references.demote(edge);
                demoted.push(edge);
            }
        }
        demoted
    }

    /// Gives each block its rank, from the best to the worst.
    fn rank_all(&mut self, data: &Data) {
        let of_class: Vec<RootClass> = data.roots.iter().map(|it| class_of(data, it)).collect();
        // The targets of the roots of which this is true.
        let targets_if = |words: &[RootWord], fits: &dyn Fn(RootClass, RootWord) -> bool| {
            let roots = data.roots.iter().zip(of_class.iter().zip(words));
            let fitting = roots.filter(|(_, (class, word))| fits(**class, **word));
            fitting.map(|(root, _)| root.target).collect::<Vec<u32>>()
        };
        for class in RootClass::DESCRIBED {
            let is_strong = |it, word| it == class && word == RootWord::Strong;
            let targets = targets_if(&self.root_words, &is_strong);
            self.flood(data, targets, Rank::of(class), true);
        }
        let is_known = |it, word| it != RootClass::Unknown && word != RootWord::OfFreeList;
        let mut targets = targets_if(&self.root_words, &is_known);
        for block in 0..data.nodes.len() as u32 {
            if self.ranks[block as usize].is_strong() {
                let edges = data.nodes.edges(block);
                targets.extend(
                    edges
                        .map(|edge| data.nodes.to[edge])
                        .filter(|it| self.ranks[*it as usize] == Rank::NOT_YET),
                );
            }
        }
        self.flood(data, targets, Rank::WEAK, false);
        let is_unknown = |it, word| it == RootClass::Unknown && word != RootWord::OfFreeList;
        let targets = targets_if(&self.root_words, &is_unknown);
        self.flood(data, targets, Rank::UNKNOWN, false);
        for rank in &mut self.ranks {
            if *rank == Rank::NOT_YET {
                *rank = Rank::NOTHING;
            }
        }
    }

    /// Gives a rank to these blocks and what they refer to, as far as they have none.
    fn flood(&mut self, data: &Data, mut open: Vec<u32>, rank: Rank, only_strong: bool) {
        let nodes = &data.nodes;
        let ranks = &mut self.ranks;
        let mut is_new = |block: u32| {
            let known = &mut ranks[block as usize];
            let is_new = *known == Rank::NOT_YET;
            if is_new {
                *known = rank;
            }
            is_new
        };
        open.retain(|it| is_new(*it));
        while let Some(block) = open.pop() {
            for edge in nodes.edges(block) {
                let counts = !only_strong || self.references.is_strong(edge);
                if counts && is_new(nodes.to[edge]) {
                    open.push(nodes.to[edge]);
                }
            }
        }
    }

    /// How the roots reach a block.
    pub(super) fn reach(&self, block: u32) -> Reach {
        match self.ranks[block as usize] {
            Rank::WEAK => Reach::Weakly,
            Rank::UNKNOWN => Reach::OnlyByUnknownMemory,
            Rank::NOTHING => Reach::ByNothing,
            _ => Reach::Strongly,
        }
    }
}

/// How many owners a block has, or more than there are if that is not known.
fn owners(data: &Data, names: &Names, block: u32) -> u32 {
    if !references::kind(data, names, block).is_counted {
        return 1;
    }
    let (strong, weak) = (
        data.nodes.strong[block as usize],
        data.nodes.weak[block as usize],
    );
    // All strong references share one weak one.
    match (strong, weak) {
        (NO_COUNT, _) => u32::MAX,
        (0, weak) => weak,
        (strong, weak) => strong.saturating_add(weak.saturating_sub(1)),
    }
}

/// The class of a root.
pub(super) fn class_of(data: &Data, root: &RootRow) -> RootClass {
    match root.kind {
        RootKind::Static => match data.modules[root.extra as usize].is_program() {
            true => RootClass::Static,
            false => RootClass::Library,
        },
        RootKind::ThreadLocal => RootClass::ThreadLocal,
        RootKind::Stack => RootClass::Stack,
        RootKind::Register => RootClass::Register,
        RootKind::Unknown => RootClass::Unknown,
        RootKind::Named => RootClass::Named,
    }
}

/// What a word of a root is.
///
/// The lists of C's allocator name the head of a free chunk, which starts in the last word of the
/// block before it. They are in libc's statics, in memory that nobody describes, and in the free
/// chunks themselves. So of libc's statics only pointers to a start are those of an owner.
fn root_word(data: &Data, names: &Names, root: &RootRow) -> RootWord {
    let is_of_libc = || {
        let name = data.modules[root.extra as usize].name();
        name.starts_with("libc.so") || name.starts_with("libc-") || name.starts_with("ld-musl")
    };
    let may_be_of_list = match root.kind {
        RootKind::Unknown => true,
        RootKind::Static => is_of_libc(),
        _ => false,
    };
    let is_owned = references::is_owned_place(data, names, root.target, root.offset);
    match root.offset {
        _ if root.kind == RootKind::Named => RootWord::Strong,
        0 if root.kind != RootKind::Unknown => RootWord::Strong,
        _ if may_be_of_list && !is_owned && is_free_chunk(data, root) => RootWord::OfFreeList,
        _ if may_be_of_list || !is_owned => RootWord::Weak,
        _ => RootWord::Strong,
    }
}

/// Whether a root points to where a chunk of C's allocator starts: at a multiple of sixteen, in the
/// last word of a block.
fn is_free_chunk(data: &Data, root: &RootRow) -> bool {
    const ALIGNMENT: u64 = 16;
    const WORD: u64 = 8;
    let (start, offset) = (data.nodes.starts[root.target as usize], root.offset.into());
    let sizes = references::possible_sizes(data, root.target);
    let is_in_last_word = *sizes.start() <= offset + WORD && *sizes.end() > offset;
    is_in_last_word && start.wrapping_add(offset).is_multiple_of(ALIGNMENT)
}
