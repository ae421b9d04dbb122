//! [`GraphDiff`]: what came, grew and went between two graphs.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::fmt;

use alloc_core_snapshot::{Amount, Bytes, Escaped};

use crate::graph::{Graph, NONE};

/// What changed between two graphs of one program.
///
/// ```
/// use alloc_report::graph::{Graph, builder};
///
/// let old = Graph::read(&builder::sample().file())?;
/// let mut grown = builder::sample();
/// let more = grown.block(4, 5000);
/// grown.in_static(0x3000, more);
/// let diff = Graph::read(&grown.file())?.diff(&old);
/// assert_eq!(diff.roots[0].name, "static program+0x3000");
/// assert_eq!(diff.blocks[0].to_string(), "Vec<u64> (src/main.rs:7): +5000 B, 2 blocks (+1)");
/// # Ok::<(), alloc_core::Error>(())
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct GraphDiff {
    /// What roots hold, those that changed the most first.
    pub roots: Vec<Change>,
    /// Blocks by type and line, those that changed the most first.
    pub blocks: Vec<Change>,
}

/// What changed in one respect.
///
/// ```
/// use alloc_report::graph::{Graph, builder};
///
/// let graph = Graph::read(&builder::sample().file())?;
/// let diff = graph.diff(&graph);
/// assert!(diff.roots.is_empty() && diff.blocks.is_empty());
/// # Ok::<(), alloc_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Change {
    /// The root, or the type and the line.
    pub name: String,
    /// What was there.
    pub old: Amount,
    /// What is there.
    pub new: Amount,
    /// The root that holds most of what is there, for blocks; `None` if several hold it together.
    pub root: Option<String>,
}

impl Change {
    /// The change in bytes.
    ///
    /// ```
    /// use alloc_report::graph::{Graph, builder};
    ///
    /// let old = Graph::read(&builder::Builder::default().file())?;
    /// let new = Graph::read(&builder::sample().file())?;
    /// assert_eq!(new.diff(&old).roots[0].bytes(), 800);
    /// assert_eq!(old.diff(&new).roots[0].bytes(), -800);
    /// # Ok::<(), alloc_core::Error>(())
    /// ```
    pub fn bytes(&self) -> i64 {
        self.new.bytes.get().wrapping_sub(self.old.bytes.get()) as i64
    }

    /// Whether it is `new`, `gone`, `grown` or `shrunk`.
    ///
    /// ```
    /// use alloc_report::graph::{Graph, builder};
    ///
    /// let old = Graph::read(&builder::Builder::default().file())?;
    /// let new = Graph::read(&builder::sample().file())?;
    /// assert_eq!(new.diff(&old).roots[0].word(), "new");
    /// assert_eq!(old.diff(&new).roots[0].word(), "gone");
    /// # Ok::<(), alloc_core::Error>(())
    /// ```
    pub fn word(&self) -> &'static str {
        match (self.old.blocks, self.new.blocks) {
            (0, _) => "new",
            (_, 0) => "gone",
            _ if self.bytes() < 0 => "shrunk",
            _ => "grown",
        }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.bytes() < 0 { '-' } else { '+' };
        let bytes = Bytes::new(self.bytes().unsigned_abs());
        let blocks = self.new.blocks.wrapping_sub(self.old.blocks) as i64;
        write!(
            f,
            "{}: {sign}{bytes}, {} blocks ({blocks:+})",
            Escaped(&self.name),
            self.new.blocks,
        )
    }
}

impl Graph {
    /// What came, grew and went since an older graph: by root, and by type and line.
    ///
    /// Roots and callsites are compared by their names, so the graphs may be of two processes. What
    /// did not change is left out.
    ///
    /// ```
    /// use alloc_report::graph::{Graph, builder};
    ///
    /// let old = Graph::read(&builder::sample().file())?;
    /// let mut later = builder::sample();
    /// later.root(2, 0, 0x6000_0010, 7);
    /// // A thread holds a string that was leaked.
    /// let diff = Graph::read(&later.file())?.diff(&old);
    /// assert_eq!(diff.roots[0].to_string(), "nothing: -30 B, 4 blocks (-1)");
    /// assert!(diff.blocks.is_empty());
    /// # Ok::<(), alloc_core::Error>(())
    /// ```
    pub fn diff(&self, old: &Graph) -> GraphDiff {
        let roots = |graph: &Graph| {
            let roots = graph.roots().into_iter();
            let mut known: HashMap<String, Amount> = roots
                .map(|it| (it.name, Amount::new(it.retained.get(), it.blocks)))
                .collect();
            known.insert("several roots together".to_owned(), graph.shared());
            known
        };
        let roots = changes(roots(self), roots(old), |_| None);
        let (new, holders) = self.by_callsite();
        let blocks = changes(new, old.by_callsite().0, |name| {
            let group = *holders.get(name)?;
            let group = self.tree().groups.list.get(group as usize)?;
            Some(group.name.clone())
        });
        GraphDiff { roots, blocks }
    }

    /// What each type and line has, and the group that holds the most of it.
    fn by_callsite(&self) -> (HashMap<String, Amount>, HashMap<String, u32>) {
        let nodes = &self.data.nodes;
        let mut parts: HashMap<(u32, u32), (u64, u64)> = HashMap::new();
        let holders = nodes.callsites.iter().zip(&self.tree().holder);
        for ((callsite, holder), size) in holders.zip(&nodes.sizes) {
            let part = parts.entry((*callsite, *holder)).or_default();
            *part = (part.0 + size, part.1 + 1);
        }
        let mut amounts: HashMap<String, Amount> = HashMap::new();
        let mut most: HashMap<String, HashMap<u32, u64>> = HashMap::new();
        for ((callsite, holder), (bytes, blocks)) in parts {
            let callsite = &self.names().callsites[callsite as usize];
            let type_name = callsite.type_name.as_deref().unwrap_or("<unknown>");
            let name = format!("{type_name} ({})", callsite.place);
            let amount = amounts.entry(name.clone()).or_default();
            *amount = Amount::new(amount.bytes.get() + bytes, amount.blocks + blocks);
            *most.entry(name).or_default().entry(holder).or_default() += bytes;
        }
        let largest = |holders: HashMap<u32, u64>| {
            let largest = holders.into_iter().max_by_key(|(it, bytes)| (*bytes, *it));
            largest.map_or(NONE, |(holder, _)| holder)
        };
        let most = most.into_iter();
        (
            amounts,
            most.map(|(name, it)| (name, largest(it))).collect(),
        )
    }
}

/// What differs between two sets of amounts.
fn changes(
    new: HashMap<String, Amount>,
    mut old: HashMap<String, Amount>,
    root: impl Fn(&str) -> Option<String>,
) -> Vec<Change> {
    let mut changes: Vec<Change> = new
        .into_iter()
        .map(|(name, new)| Change {
            old: old.remove(&name).unwrap_or_default(),
            new,
            root: root(&name),
            name,
        })
        .collect();
    changes.extend(old.into_iter().map(|(name, old)| Change {
        old,
        new: Amount::default(),
        root: None,
        name,
    }));
    changes.retain(|it| it.old != it.new);
    changes.sort_by(|a, b| {
        let size = |it: &Change| Reverse(it.bytes().unsigned_abs());
        size(a).cmp(&size(b)).then_with(|| a.name.cmp(&b.name))
    });
    changes
}
