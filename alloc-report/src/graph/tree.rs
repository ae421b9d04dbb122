//! [`Tree`]: who retains what, from the roots down.
//!
//! In: blocks, their evidence, and groups of roots. Out: the dominator of each block, which may be
//! a group of roots, and what each retains. All blocks are in the tree, so the sizes at its top sum
//! up to the whole heap.

use super::NONE;
use super::components::Components;
use super::dominators::Dominators;
use super::evidence::{Evidence, GroupId, Groups, Rank, RootClass, RootWord};
use super::file::{Data, RootKind};

/// The dominator tree over the blocks, the groups of roots, and one node above all groups.
///
/// # Nodes
///
/// Blocks keep their numbers. The group `g` is the node `blocks + g`, and the top is the last node.
///
/// # Which references count
///
/// A reference to a block counts if it comes from a block of the same rank, or of a better one that
/// reaches it only weakly. So what a static reaches is retained by statics alone, whatever
/// words on stacks say. A function's part of a stack is below the function that called it, since it
/// cannot outlive that: what both refer to is retained by the outer one. Blocks that nothing
/// reaches hang below the group "nothing", by their heads: the blocks that no other unreached block
/// refers to.
pub(super) struct Tree {
    pub(super) groups: Groups,
    pub(super) blocks: u32,
    /// The immediate dominator of each node; the top's is itself.
    pub(super) dominator: Vec<u32>,
    pub(super) retained: Vec<u64>,
    /// What each group retains without the groups below it.
    own: Vec<u64>,
    /// The group below which each block is; [`NONE`] if several hold it.
    pub(super) holder: Vec<GroupId>,
    /// The heads of what nothing reaches: one block of each component that no other refers to.
    pub(super) heads: Vec<u32>,
    /// The components of what nothing reaches.
    pub(super) unreached: Components,
    /// The groups that are in no other.
    #[cfg_attr(
        not(feature = "page"),
        expect(dead_code, reason = "heap snapshots need it")
    )]
    pub(super) entries: Vec<GroupId>,
    /// The groups in each: functions that its function called.
    #[cfg_attr(
        not(feature = "page"),
        expect(dead_code, reason = "heap snapshots need it")
    )]
    pub(super) inner: Vec<Vec<GroupId>>,
}

impl Tree {
    pub(super) fn of(data: &Data, evidence: &Evidence, groups: Groups) -> Tree {
        let nodes = &data.nodes;
        let blocks = nodes.len() as u32;
        let unreached = unreached(data, evidence);
        let heads = heads(data, evidence, &unreached);
        let top = blocks + groups.list.len() as u32;

        let mut first = Vec::with_capacity(top as usize + 2);
        let mut to = Vec::with_capacity(nodes.to.len());
        first.push(0);
        for block in 0..blocks {
            let edges = nodes.edges(block);
            let kept = edges.filter(|edge| counts(data, evidence, block, *edge));
            to.extend(kept.map(|edge| nodes.to[edge]));
            first.push(to.len() as u32);
        }
        let (entries, inner) = nesting(&groups);
        let targets = targets(data, evidence, &groups, &heads);
        for (targets, inner) in targets.into_iter().zip(&inner) {
            to.extend(targets);
            to.extend(inner.iter().map(|it| blocks + it));
            first.push(to.len() as u32);
        }
        to.extend(entries.iter().map(|it| blocks + it));
        first.push(to.len() as u32);

        let found = Dominators::of(&first, &to, top);
        let size = |node: u32| nodes.sizes.get(node as usize).copied().unwrap_or(0);
        let retained = found.retained(size);
        let mut own = retained[blocks as usize..top as usize].to_vec();
        for group in blocks..top {
            if let Some(above) = found.immediate[group as usize].checked_sub(blocks)
                && above < top - blocks
            {
                own[above as usize] -= retained[group as usize];
            }
        }
        let mut holder = vec![NONE; blocks as usize];
        for &node in found.order.iter().filter(|it| **it < blocks) {
            let above = found.immediate[node as usize];
            holder[node as usize] = match above {
                it if it == top => NONE,
                it if it >= blocks => it - blocks,
                it => holder[it as usize],
            };
        }
        Tree {
            groups,
            blocks,
            dominator: found.immediate,
            retained,
            own,
            holder,
            heads,
            unreached,
            entries,
            inner,
        }
    }

    /// What only a group retains, without what the functions retain that its function called.
    pub(super) fn retained_by(&self, group: GroupId) -> u64 {
        self.own[group as usize]
    }

    /// The node above all groups.
    pub(super) fn top(&self) -> u32 {
        self.blocks + self.groups.list.len() as u32
    }

    /// The group of a node that is no block; `None` for the top.
    pub(super) fn group_of(&self, node: u32) -> Option<GroupId> {
        let group = node.checked_sub(self.blocks)?;
        (node != self.top()).then_some(group)
    }
}

/// The groups that are in no other, and those in each.
fn nesting(groups: &Groups) -> (Vec<GroupId>, Vec<Vec<GroupId>>) {
    let mut inner = vec![Vec::new(); groups.list.len()];
    let mut is_entry: Vec<bool> = groups
        .list
        .iter()
        .map(|it| it.class != RootClass::Stack)
        .collect();
    for stack in &groups.stacks {
        if let Some(outermost) = stack.first() {
            is_entry[*outermost as usize] = true;
        }
        for pair in stack.windows(2) {
            inner[pair[0] as usize].push(pair[1]);
        }
    }
    for inner in &mut inner {
        inner.sort_unstable();
        inner.dedup();
    }
    let all = 0..groups.list.len() as GroupId;
    let entries = all.filter(|it| is_entry[*it as usize]).collect();
    (entries, inner)
}

/// Whether a reference out of a block counts.
pub(super) fn counts(data: &Data, evidence: &Evidence, from: u32, edge: usize) -> bool {
    let (from, to) = (
        evidence.ranks[from as usize],
        evidence.ranks[data.nodes.to[edge] as usize],
    );
    match to {
        Rank::NOTHING => from == to && evidence.references.is_content(edge),
        Rank::WEAK | Rank::UNKNOWN => from <= to,
        _ => from == to && evidence.references.is_strong(edge),
    }
}

/// Whether a root counts.
pub(super) fn root_counts(data: &Data, evidence: &Evidence, class: RootClass, root: usize) -> bool {
    let target = data.roots[root].target;
    match (evidence.ranks[target as usize], evidence.root_words[root]) {
        (Rank::NOTHING, _) | (_, RootWord::OfFreeList) => false,
        (Rank::UNKNOWN, _) => true,
        (Rank::WEAK, _) => data.roots[root].kind != RootKind::Unknown,
        (rank, word) => word == RootWord::Strong && rank == Rank::of(class),
    }
}

/// What each group points to.
fn targets(data: &Data, evidence: &Evidence, groups: &Groups, heads: &[u32]) -> Vec<Vec<u32>> {
    let mut targets = vec![Vec::new(); groups.list.len()];
    for (at, group) in groups.of.iter().enumerate() {
        let class = groups.list[*group as usize].class;
        if root_counts(data, evidence, class, at) {
            targets[*group as usize].push(data.roots[at].target);
        }
    }
    targets[groups.nothing() as usize] = heads.to_vec();
    for targets in &mut targets {
        targets.sort_unstable();
        targets.dedup();
    }
    targets
}

fn unreached(data: &Data, evidence: &Evidence) -> Components {
    let nodes = &data.nodes;
    Components::of(
        &nodes.first,
        &nodes.to,
        |block| evidence.ranks[block as usize] == Rank::NOTHING,
        |edge| evidence.references.is_content(edge as usize),
    )
}

/// One block of each component that no other component refers to: the one with the lowest address.
fn heads(data: &Data, evidence: &Evidence, unreached: &Components) -> Vec<u32> {
    let nodes = &data.nodes;
    let mut is_fed = vec![false; unreached.number as usize];
    let inside = |block: &u32| unreached.of[*block as usize] != NONE;
    for block in (0..nodes.len() as u32).filter(inside) {
        let own = unreached.of[block as usize];
        for edge in nodes.edges(block) {
            let other = unreached.of[nodes.to[edge] as usize];
            if other != NONE && other != own && evidence.references.is_content(edge) {
                is_fed[other as usize] = true;
            }
        }
    }
    let mut heads = Vec::new();
    for block in (0..nodes.len() as u32).filter(inside) {
        let is_fed = &mut is_fed[unreached.of[block as usize] as usize];
        if !*is_fed {
            *is_fed = true;
            heads.push(block);
        }
    }
    heads
}
