//! Through which block a root holds what it retains.

use crate::graph::evidence::RootClass;
use crate::graph::{BlockId, Graph, NONE};

/// A block is named if this much of what its root retains is behind it.
const MOST: (u64, u64) = (4, 5);

impl Graph {
    /// For each group of roots, the block furthest from it behind which four fifths are of what it
    /// retains.
    pub(super) fn throughs(&self) -> Vec<Option<BlockId>> {
        let tree = self.tree();
        // The child of each node that retains the most.
        let mut largest = vec![NONE; tree.dominator.len()];
        for block in 0..tree.blocks {
            let known = &mut largest[tree.dominator[block as usize] as usize];
            let retained = |it: u32| tree.retained[it as usize];
            if *known == NONE || retained(*known) < retained(block) {
                *known = block;
            }
        }
        let groups = (0..).zip(&tree.groups.list);
        let throughs = groups.map(|(group, it)| {
            let whole = tree.retained_by(group);
            if it.class == RootClass::Nothing || whole == 0 {
                return None;
            }
            let (mut at, mut through) = (tree.blocks + group, None);
            loop {
                at = largest[at as usize];
                if at == NONE {
                    return through;
                }
                let retained = tree.retained[at as usize];
                if retained.saturating_mul(MOST.1) < whole.saturating_mul(MOST.0) {
                    return through;
                }
                through = Some(BlockId(at));
            }
        });
        throughs.collect()
    }
}
