//! [`Whys`]: why blocks are alive, as the page shows it.

use std::collections::HashMap;

use serde::Serialize;

use crate::graph::{BlockId, Graph, Holder, Reference};
use crate::page::{Name, Strings};

/// How many items a long chain or path has at each end.
const ENDS: usize = 12;

/// Answers, each once.
#[derive(Default)]
pub(super) struct Whys {
    pub(super) answers: Vec<Answer>,
    known: HashMap<BlockId, usize>,
}

#[derive(Serialize)]
pub(super) struct Answer {
    block: Block,
    retained: u64,
    reach: String,
    /// How old it is, if that is known.
    age: Option<String>,
    /// Strong, weak, and references found, if it is an `Rc` or `Arc`.
    counts: Option<(u64, u64, u64)>,
    /// What it would be free without, the outermost first.
    chain: Ends<Link>,
    paths: Vec<Path>,
}

#[derive(Serialize)]
pub(super) struct Block {
    #[serde(rename = "type")]
    type_name: Name,
    place: Name,
    size: u64,
    address: String,
}

/// A root or a block.
#[derive(Serialize)]
struct Link {
    root: Option<Name>,
    block: Option<Block>,
    retained: u64,
}

#[derive(Serialize)]
struct Path {
    root: Name,
    is_strong: bool,
    steps: Ends<Step>,
}

/// A pointer: where it is, the byte of the block that it points to, and that block.
#[derive(Serialize)]
struct Step {
    at: String,
    /// The fields that lead to the pointer; empty if they are not known.
    field: Name,
    offset: u64,
    block: Block,
}

/// The items of a list, or those at its two ends.
#[derive(Serialize)]
struct Ends<T> {
    first: Vec<T>,
    left_out: usize,
    last: Vec<T>,
}

impl Whys {
    /// The number of the answer for a block.
    pub(super) fn add(&mut self, graph: &Graph, id: BlockId, strings: &mut Strings<'_>) -> usize {
        *self.known.entry(id).or_insert_with(|| {
            self.answers.push(Answer::of(graph, id, strings));
            self.answers.len() - 1
        })
    }
}

impl Answer {
    fn of(graph: &Graph, id: BlockId, strings: &mut Strings<'_>) -> Answer {
        let why = graph.why(id);
        let block = graph.block(id);
        let counts = graph.counts_of(id);
        let chain = Ends::of(why.holders(), |it| {
            let (root, block) = match &it.holder {
                Holder::Root { name, .. } => (Some(strings.add(name.clone())), None),
                Holder::Block(id) => (None, Some(Block::of(graph, *id, strings))),
            };
            let retained = it.retained.get();
            Link {
                root,
                block,
                retained,
            }
        });
        let paths = why.paths.iter().map(|it| Path {
            root: strings.add(it.root.clone()),
            is_strong: it.is_strong(),
            steps: Ends::of(&it.steps, |it| Step::of(graph, it, strings)),
        });
        let paths = paths.collect();
        Answer {
            block: Block::of(graph, id, strings),
            retained: graph.retained(id).get(),
            reach: why.reach.to_string(),
            age: block.age.map(crate::show::age),
            counts: counts.map(|it| (it.strong, it.weak, it.found)),
            chain,
            paths,
        }
    }
}

impl Block {
    pub(super) fn of(graph: &Graph, id: BlockId, strings: &mut Strings<'_>) -> Block {
        let block = graph.block(id);
        Block {
            type_name: strings.add(block.type_or_unknown().to_owned()),
            place: strings.add(block.place.to_owned()),
            size: block.size.get(),
            address: format!("{:#x}", block.address),
        }
    }
}

impl Step {
    fn of(graph: &Graph, reference: &Reference, strings: &mut Strings<'_>) -> Step {
        Step {
            at: match reference.holder {
                Holder::Root { .. } => format!("{:#x}", reference.at),
                Holder::Block(_) => format!("+{}", reference.at),
            },
            field: strings.add(reference.field.clone()),
            offset: reference.offset,
            block: Block::of(graph, reference.target, strings),
        }
    }
}

impl<T> Ends<T> {
    fn of<U>(all: &[U], mut item: impl FnMut(&U) -> T) -> Ends<T> {
        let first = all.len().min(ENDS);
        let last = (all.len() - first).min(ENDS);
        let left_out = all.len() - first - last;
        Ends {
            first: all[..first].iter().map(&mut item).collect(),
            left_out,
            last: all[first + left_out..].iter().map(&mut item).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lists_keep_their_ends() {
        for (length, first, left_out, last) in [(0, 0, 0, 0), (12, 12, 0, 0), (24, 12, 0, 12)] {
            let all: Vec<usize> = (0..length).collect();
            let ends = Ends::of(&all, |it| *it);
            let found = (ends.first.len(), ends.left_out, ends.last.len());
            assert_eq!(found, (first, left_out, last));
        }
        let all: Vec<usize> = (0..1000).collect();
        let ends = Ends::of(&all, |it| *it);
        assert_eq!(ends.first, all[..12]);
        assert_eq!(ends.left_out, 976);
        assert_eq!(ends.last, all[988..]);
    }
}
