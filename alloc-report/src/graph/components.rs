//! [`Components`]: which blocks reach each other.
//!
//! In: a graph as compressed sparse rows. Out: its strongly connected components. It never
//! recurses.

use super::NONE;

/// The strongly connected components of a part of a graph, by Tarjan's algorithm.
pub(super) struct Components {
    /// The component of each node; [`NONE`] for nodes outside of the part. A component has a lower
    /// number than those that lead to it.
    pub(super) of: Vec<u32>,
    pub(super) number: u32,
}

impl Components {
    /// The components of the nodes for which `within` holds, by the edges, given by their places in
    /// `to`, for which `counts` holds.
    pub(super) fn of(
        first: &[u32],
        to: &[u32],
        within: impl Fn(u32) -> bool,
        counts: impl Fn(u32) -> bool,
    ) -> Components {
        let nodes = first.len() - 1;
        let mut index = vec![NONE; nodes];
        let mut lowest = vec![0_u32; nodes];
        let mut component = vec![NONE; nodes];
        let (mut next, mut number) = (0_u32, 0_u32);
        // Nodes without a component yet, and the calls: a node, and its next edge.
        let (mut open, mut calls) = (Vec::new(), Vec::new());
        for start in 0..nodes as u32 {
            if !within(start) || index[start as usize] != NONE {
                continue;
            }
            calls.push((start, first[start as usize]));
            index[start as usize] = next;
            lowest[start as usize] = next;
            next += 1;
            open.push(start);
            while let Some(top) = calls.last_mut() {
                let (node, edge) = *top;
                if edge < first[node as usize + 1] {
                    top.1 += 1;
                    let target = to[edge as usize];
                    if !within(target) || !counts(edge) {
                        continue;
                    }
                    if index[target as usize] == NONE {
                        index[target as usize] = next;
                        lowest[target as usize] = next;
                        next += 1;
                        open.push(target);
                        calls.push((target, first[target as usize]));
                    } else if component[target as usize] == NONE {
                        let low = &mut lowest[node as usize];
                        *low = (*low).min(index[target as usize]);
                    }
                    continue;
                }
                calls.pop();
                let low = lowest[node as usize];
                if let Some((caller, _)) = calls.last() {
                    let above = &mut lowest[*caller as usize];
                    *above = (*above).min(low);
                }
                if low == index[node as usize] {
                    while let Some(member) = open.pop() {
                        component[member as usize] = number;
                        if member == node {
                            break;
                        }
                    }
                    number += 1;
                }
            }
        }
        Components {
            of: component,
            number,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::random::{Random, rows};

    #[test]
    fn nodes_share_a_component_if_they_reach_each_other() {
        let mut random = Random(2);
        let mut larger = 0;
        for _ in 0..300 {
            let nodes = 1 + random.below(25) as u32;
            let number = random.below(2 * u64::from(nodes) + 1);
            let edges: Vec<(u32, u32)> = (0..number)
                .map(|_| {
                    let mut node = || random.below(nodes.into()) as u32;
                    (node(), node())
                })
                .collect();
            let (first, to) = rows(nodes, &edges);
            let without = random.below(nodes.into()) as u32;
            let found = Components::of(&first, &to, |it| it != without, |_| true);
            // Warshall's closure.
            let size = nodes as usize;
            let mut reaches = vec![vec![false; size]; size];
            for (from, to) in &edges {
                reaches[*from as usize][*to as usize] = *from != without && *to != without;
            }
            for via in 0..size {
                for from in 0..size {
                    for to in 0..size {
                        reaches[from][to] |= reaches[from][via] && reaches[via][to];
                    }
                }
            }
            assert_eq!(found.of[without as usize], NONE);
            let inner = (0..size).filter(|it| *it != without as usize);
            for from in inner.clone() {
                for to in inner.clone() {
                    let together = from == to || reaches[from][to] && reaches[to][from];
                    assert_eq!(found.of[from] == found.of[to], together, "{edges:?}");
                    // What is led to comes first.
                    assert!(!reaches[from][to] || found.of[to] <= found.of[from]);
                    larger += usize::from(together && from != to);
                }
            }
        }
        assert!(larger > 1000, "{larger}");
    }

    #[test]
    fn edges_can_be_left_out() {
        let (first, to) = rows(2, &[(0, 1), (1, 0)]);
        let found = Components::of(&first, &to, |_| true, |edge| edge != 1);
        assert_eq!((found.of, found.number), (vec![1, 0], 2));
    }
}
