//! [`Dominators`]: through which block every path from the roots leads.
//!
//! In: a graph as compressed sparse rows, and its root. Out: the immediate dominator of each node
//! that the root reaches. It never recurses.

use super::NONE;

/// The dominator tree of a graph, by the algorithm Semi-NCA (Georgiadis, *Linear-Time Algorithms
/// for Dominators and Related Problems*, 2005).
///
/// It takes linear time on the graphs of heaps, and less than quadratic time on any other.
pub(super) struct Dominators {
    /// The immediate dominator of each node; the root's is itself; [`NONE`] if it is not reached.
    pub(super) immediate: Vec<u32>,
    /// The reached nodes in preorder: a node comes after its dominator.
    pub(super) order: Vec<u32>,
}

impl Dominators {
    /// `first` has one more number than there are nodes: the successors of node `v` are
    /// `to[first[v]..first[v + 1]]`.
    pub(super) fn of(first: &[u32], to: &[u32], root: u32) -> Dominators {
        let Walk {
            number,
            order,
            parent,
        } = Walk::of(first, to, root);
        let reached = order.len();
        let (before, predecessors) = predecessors(first, to, &number, &order);

        // From here on, nodes are numbers in preorder.
        let mut dominator = parent.clone();
        let mut ancestor = parent;
        let mut semi: Vec<u32> = (0..reached as u32).collect();
        let mut label = semi.clone();
        let mut path: Vec<u32> = Vec::new();
        for node in (1..reached).rev() {
            // The parent: this node is not linked yet.
            let mut least = ancestor[node];
            let linked = node as u32 + 1;
            for &predecessor in &predecessors[before[node] as usize..before[node + 1] as usize] {
                let mut from = predecessor;
                if from >= linked && ancestor[from as usize] >= linked {
                    // Compress the path to the first node that is not linked.
                    while ancestor[from as usize] >= linked {
                        path.push(from);
                        from = ancestor[from as usize];
                    }
                    while let Some(next) = path.pop() {
                        let (above, below) = (from as usize, next as usize);
                        ancestor[below] = ancestor[above];
                        if semi[label[above] as usize] < semi[label[below] as usize] {
                            label[below] = label[above];
                        }
                        from = next;
                    }
                }
                least = least.min(semi[label[from as usize] as usize]);
            }
            semi[node] = least;
        }
        for node in 1..reached {
            let mut candidate = dominator[node];
            while candidate > semi[node] {
                candidate = dominator[candidate as usize];
            }
            dominator[node] = candidate;
        }
        let mut immediate = vec![NONE; number.len()];
        for (node, dominator) in order.iter().zip(dominator) {
            immediate[*node as usize] = order[dominator as usize];
        }
        Dominators { immediate, order }
    }

    /// What each node retains: its own size and the sizes of all that it dominates.
    pub(super) fn retained(&self, size: impl Fn(u32) -> u64) -> Vec<u64> {
        let mut retained = vec![0_u64; self.immediate.len()];
        for &node in self.order.iter().rev() {
            retained[node as usize] += size(node);
            let dominator = self.immediate[node as usize];
            if dominator != node {
                retained[dominator as usize] += retained[node as usize];
            }
        }
        retained
    }
}

/// A walk in depth first.
struct Walk {
    /// The number of each node in preorder.
    number: Vec<u32>,
    /// The node of each number.
    order: Vec<u32>,
    /// The number of each number's parent.
    parent: Vec<u32>,
}

impl Walk {
    fn of(first: &[u32], to: &[u32], root: u32) -> Walk {
        let mut number = vec![NONE; first.len() - 1];
        let (mut order, mut parent) = (vec![root], vec![0]);
        number[root as usize] = 0;
        // A node, and its next edge.
        let mut stack = vec![(root, first[root as usize])];
        while let Some(top) = stack.last_mut() {
            let (node, edge) = *top;
            if edge == first[node as usize + 1] {
                stack.pop();
                continue;
            }
            top.1 += 1;
            let next = to[edge as usize];
            if number[next as usize] == NONE {
                number[next as usize] = order.len() as u32;
                order.push(next);
                parent.push(number[node as usize]);
                stack.push((next, first[next as usize]));
            }
        }
        Walk {
            number,
            order,
            parent,
        }
    }
}

/// The predecessors of each node as compressed sparse rows, all as numbers in preorder.
fn predecessors(first: &[u32], to: &[u32], number: &[u32], order: &[u32]) -> (Vec<u32>, Vec<u32>) {
    let edges = |node: u32| {
        let range = first[node as usize] as usize..first[node as usize + 1] as usize;
        to[range].iter().map(|it| number[*it as usize] as usize)
    };
    let mut before = vec![0_u32; order.len() + 1];
    for &node in order {
        for next in edges(node) {
            before[next + 1] += 1;
        }
    }
    for at in 0..order.len() {
        before[at + 1] += before[at];
    }
    let mut predecessors = vec![0_u32; before[order.len()] as usize];
    let mut free = before.clone();
    for (at, &node) in order.iter().enumerate() {
        for next in edges(node) {
            predecessors[free[next] as usize] = at as u32;
            free[next] += 1;
        }
    }
    (before, predecessors)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::random::{Random, rows};

    /// The immediate dominators by the definition: a node dominates those that cannot be reached
    /// without it.
    fn slowly(first: &[u32], to: &[u32], root: u32) -> Vec<u32> {
        let nodes = first.len() - 1;
        let reached = |without: u32| {
            let mut seen = vec![false; nodes];
            let mut stack = Vec::new();
            if root != without {
                seen[root as usize] = true;
                stack.push(root);
            }
            while let Some(node) = stack.pop() {
                let range = first[node as usize] as usize..first[node as usize + 1] as usize;
                for &next in &to[range] {
                    if next != without && !seen[next as usize] {
                        seen[next as usize] = true;
                        stack.push(next);
                    }
                }
            }
            seen
        };
        let all = reached(NONE);
        let mut dominators = vec![Vec::new(); nodes];
        for node in (0..nodes as u32).filter(|it| all[*it as usize]) {
            let left = reached(node);
            for other in 0..nodes {
                if all[other] && !left[other] && other as u32 != node {
                    dominators[other].push(node);
                }
            }
        }
        let immediate = |node: usize| match all[node] {
            false => NONE,
            true if node as u32 == root => root,
            // All others dominate it.
            true => *dominators[node]
                .iter()
                .max_by_key(|it| dominators[**it as usize].len())
                .unwrap(),
        };
        (0..nodes).map(immediate).collect()
    }

    #[test]
    fn random_graphs_have_the_dominators_of_the_definition() {
        let mut random = Random(1);
        let (mut unreached, mut deep) = (0, 0);
        for _ in 0..300 {
            let nodes = 1 + random.below(40) as u32;
            let edges = random.below(3 * u64::from(nodes) + 1);
            let edges: Vec<(u32, u32)> = (0..edges)
                .map(|_| {
                    let mut node = || random.below(nodes.into()) as u32;
                    (node(), node())
                })
                .collect();
            let (first, to) = rows(nodes, &edges);
            let root = random.below(nodes.into()) as u32;
            let found = Dominators::of(&first, &to, root);
            assert_eq!(found.immediate, slowly(&first, &to, root), "{edges:?}");
            unreached += usize::from(found.order.len() < nodes as usize);
            deep += usize::from(found.immediate.iter().any(|it| *it != root && *it != NONE));
        }
        assert!(unreached > 50 && deep > 50, "{unreached} {deep}");
    }

    #[test]
    fn a_node_retains_what_only_it_leads_to() {
        // 0 -> 1 -> 3 -> 4, 0 -> 2 -> 3.
        let (first, to) = rows(6, &[(0, 1), (0, 2), (1, 3), (2, 3), (3, 4)]);
        let found = Dominators::of(&first, &to, 0);
        assert_eq!(found.immediate, [0, 0, 0, 0, 3, NONE]);
        let retained = found.retained(|node| 10 << node);
        assert_eq!(retained, [310, 20, 40, 240, 160, 0]);
    }
}
