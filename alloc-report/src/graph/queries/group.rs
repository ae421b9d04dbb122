//! [`GraphRow`]: blocks by type, line, function, crate or label, and what they retain.

use std::cmp::Reverse;
use std::collections::HashMap;

use alloc_core_snapshot::{Bytes, GroupBy, GroupKey};

use crate::graph::{Graph, NONE};

/// Blocks that have something in common.
///
/// ```
/// use alloc_core::GroupBy;
/// use alloc_report::graph::{Graph, builder};
///
/// let graph = Graph::read(&builder::sample().file())?;
/// let row = &graph.by(GroupBy::Type)[1];
/// assert_eq!(row.key.to_string(), "HashMap<u64, Rc<Node>>");
/// assert_eq!((row.bytes.get(), row.retained.get()), (84, 84 + 2 * 164));
/// # Ok::<(), alloc_core::Error>(())
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct GraphRow {
    /// What they have in common.
    pub key: GroupKey,
    /// How many there are.
    pub blocks: u64,
    /// Their sizes.
    pub bytes: Bytes,
    /// What they retain together: what would be free without them.
    pub retained: Bytes,
}

impl Graph {
    /// Blocks by a key, those that retain the most first.
    ///
    /// A block that another of its group leads to is in what the group retains once.
    ///
    /// ```
    /// use alloc_core::GroupBy;
    /// use alloc_report::graph::{Graph, builder};
    ///
    /// let graph = Graph::read(&builder::sample().file())?;
    /// let bytes = graph.by(GroupBy::Line).iter().map(|it| it.bytes.get()).sum::<u64>();
    /// assert_eq!(graph.bytes(), bytes);
    /// # Ok::<(), alloc_core::Error>(())
    /// ```
    pub fn by(&self, key: GroupBy) -> Vec<GraphRow> {
        self.rows_by(key).0
    }

    /// The same, and the row of each callsite; [`NONE`] for one without blocks.
    pub(in crate::graph) fn rows_by(&self, key: GroupBy) -> (Vec<GraphRow>, Vec<u32>) {
        let of_traces = self.snapshot.keys(key);
        let unknown = GroupKey::from("<unknown>");
        let mut rows: Vec<GraphRow> = Vec::new();
        let mut known: HashMap<&GroupKey, u32> = HashMap::new();
        let mut of_callsite = Vec::with_capacity(self.data.callsites.len());
        for callsite in &self.data.callsites {
            let key = callsite.trace.and_then(|it| of_traces.get(it as usize));
            let key = key.unwrap_or(&unknown);
            let row = *known.entry(key).or_insert_with(|| {
                rows.push(GraphRow {
                    key: key.clone(),
                    blocks: 0,
                    bytes: Bytes::ZERO,
                    retained: Bytes::ZERO,
                });
                rows.len() as u32 - 1
            });
            of_callsite.push(row);
        }
        let row_of = |block: u32| of_callsite[self.data.nodes.callsites[block as usize] as usize];
        for block in 0..self.data.nodes.len() as u32 {
            let row = &mut rows[row_of(block) as usize];
            row.blocks += 1;
            row.bytes += Bytes::new(self.data.nodes.sizes[block as usize]);
        }
        self.retain(&mut rows, row_of);
        let mut order: Vec<u32> = (0..rows.len() as u32).collect();
        order.retain(|it| rows[*it as usize].blocks > 0);
        order.sort_by(|a, b| {
            let (a, b) = (&rows[*a as usize], &rows[*b as usize]);
            let key = |it: &GraphRow| (Reverse(it.retained), Reverse(it.bytes));
            key(a).cmp(&key(b)).then_with(|| a.key.cmp(&b.key))
        });
        let mut place = vec![NONE; rows.len()];
        for (at, row) in order.iter().enumerate() {
            place[*row as usize] = at as u32;
        }
        let of_callsite = of_callsite.iter().map(|it| place[*it as usize]).collect();
        let sorted = order.iter().map(|it| rows[*it as usize].clone());
        (sorted.collect(), of_callsite)
    }

    /// Adds to each row what its outermost blocks in the tree retain.
    fn retain(&self, rows: &mut [GraphRow], row_of: impl Fn(u32) -> u32) {
        let tree = self.tree();
        let top = tree.top();
        // The nodes below each: the first, and the next one below the same.
        let mut first = vec![NONE; top as usize + 1];
        let mut next = vec![NONE; top as usize + 1];
        for node in (0..top).rev() {
            let above = tree.dominator[node as usize];
            if above != NONE {
                next[node as usize] = first[above as usize];
                first[above as usize] = node;
            }
        }
        let mut above = vec![0_u32; rows.len()];
        let row = |node: u32| (node < tree.blocks).then(|| row_of(node) as usize);
        // A node, and whether its part of the tree is done.
        let mut stack = vec![(top, false)];
        while let Some((node, is_done)) = stack.pop() {
            if is_done {
                if let Some(row) = row(node) {
                    above[row] -= 1;
                }
                continue;
            }
            if let Some(row) = row(node) {
                if above[row] == 0 {
                    rows[row].retained += Bytes::new(tree.retained[node as usize]);
                }
                above[row] += 1;
            }
            stack.push((node, true));
            let mut below = first[node as usize];
            while below != NONE {
                stack.push((below, false));
                below = next[below as usize];
            }
        }
    }
}
