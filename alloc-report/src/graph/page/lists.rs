//! [`Lists`]: what is wrong, as the page lists it.

use serde::Serialize;

use super::why::{Block, Whys};
use crate::graph::Graph;
use crate::graph::show::{phrases, summary};
use crate::names::without_paths;
use crate::page::{Name, Strings};

/// How many items a list has at most.
const MOST: usize = 50;

#[derive(Serialize)]
pub(super) struct Lists {
    leaks: List<Leak>,
    cycles: List<Cycle>,
    counts: List<Finding>,
    duplicates: List<Duplicate>,
}

/// Items, and how many there are.
#[derive(Serialize)]
struct List<T> {
    /// The answer in a sentence.
    says: String,
    items: Vec<T>,
    total: usize,
}

#[derive(Serialize)]
struct Leak {
    trees: u64,
    retained: u64,
    certainty: String,
    is_cycle: bool,
    why: usize,
}

#[derive(Serialize)]
struct Cycle {
    /// The types without the paths of their modules; each block refers to the next.
    types: Vec<Name>,
    blocks: Vec<Block>,
    count: u64,
    retained: u64,
    certainty: &'static str,
}

#[derive(Serialize)]
struct Finding {
    says: String,
    blocks: u64,
    retained: u64,
    why: usize,
}

#[derive(Serialize)]
struct Duplicate {
    count: u64,
    size: u64,
    wasted: u64,
    /// Types, lines, and blocks.
    makers: Vec<(Name, Name, u64)>,
    example: Block,
}

impl Lists {
    pub(super) fn of(graph: &Graph, strings: &mut Strings<'_>, whys: &mut Whys) -> Lists {
        let leaks = graph.leaks();
        let cycles = graph.cycles();
        let counts = graph.counts();
        let duplicates = graph.duplicates();
        Lists {
            leaks: List::of(summary::leaks(&leaks), &leaks, |it| Leak {
                trees: it.heads,
                retained: it.retained.get(),
                certainty: it.certainty.to_string(),
                is_cycle: it.is_cycle,
                why: whys.add(graph, it.example, strings),
            }),
            cycles: List::of(summary::cycles(graph, &cycles), &cycles, |it| {
                let types = it.types.iter().map(|it| strings.add(without_paths(it)));
                let types = types.collect();
                let blocks = it.blocks.iter().map(|it| Block::of(graph, *it, strings));
                Cycle {
                    types,
                    blocks: blocks.collect(),
                    count: it.count,
                    retained: it.retained.get(),
                    certainty: phrases::of_cycle(it.certainty),
                }
            }),
            counts: List::of(summary::counts(graph, &counts), &counts, |it| Finding {
                says: phrases::of_counts(it),
                blocks: it.blocks,
                retained: it.retained.get(),
                why: whys.add(graph, it.example, strings),
            }),
            duplicates: List::of(summary::duplicates(graph, &duplicates), &duplicates, |it| {
                let makers = it.makers.iter().take(MOST).map(|(name, place, blocks)| {
                    (
                        strings.add(name.clone()),
                        strings.add(place.clone()),
                        *blocks,
                    )
                });
                Duplicate {
                    count: it.count,
                    size: it.size.get(),
                    wasted: it.wasted.get(),
                    makers: makers.collect(),
                    example: Block::of(graph, it.example, strings),
                }
            }),
        }
    }
}

impl<T> List<T> {
    fn of<U>(says: String, all: &[U], item: impl FnMut(&U) -> T) -> List<T> {
        List {
            says,
            items: all.iter().take(MOST).map(item).collect(),
            total: all.len(),
        }
    }
}
