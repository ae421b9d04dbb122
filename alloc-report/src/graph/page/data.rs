//! [`Data`]: what the script of the page reads.

use std::borrow::Cow;

use alloc_core_snapshot::GroupBy;
use serde::Serialize;

use super::fold::Fold;
use super::labels::{Label, Makers};
use super::lists::Lists;
use super::rows::{Grouped, Table};
use super::why::{Answer, Whys};
use crate::graph::show::{health, phrases};
use crate::graph::{Graph, Reach};
use crate::page::Strings;

/// What the script of the page reads. Names are numbers in the list of strings.
#[derive(Serialize)]
pub(super) struct Data<'a> {
    about: About,
    tree: Tree,
    labels: Vec<Label>,
    types: Table,
    lines: Table,
    roots: Table,
    whys: Vec<Answer>,
    lists: Lists,
    strings: Vec<Cow<'a, str>>,
}

/// What the head of the page says.
#[derive(Serialize)]
struct About {
    command: String,
    process: u32,
    build: Option<String>,
    taken_at: Option<String>,
    metadata: Vec<(String, String)>,
    notes: Vec<String>,
    bytes: u64,
    blocks: usize,
    references: usize,
    threads: usize,
    pause: Option<String>,
    exact_sizes: bool,
    /// The bytes that nothing reaches.
    leaked: u64,
    /// What reaches the blocks, and their bytes and blocks.
    reach: Vec<(&'static str, u64, u64)>,
}

/// The columns of the tree: see [`Fold`].
#[derive(Serialize)]
struct Tree {
    parent: Vec<u32>,
    key: Vec<u32>,
    bytes: Vec<u64>,
    blocks: Vec<u64>,
}

impl<'a> Data<'a> {
    pub(super) fn of(graph: &'a Graph) -> Data<'a> {
        let mut strings = Strings::default();
        strings.add("");
        let mut whys = Whys::default();
        let (by_type, by_line) = [GroupBy::Type, GroupBy::Line]
            .map(|key| Grouped::by(graph, key))
            .into();
        let types = by_type.table(graph, &by_line, &mut strings, &mut whys);
        let mut lines = by_line.table(graph, &by_type, &mut strings, &mut whys);
        lines.add_sources(graph, &by_line, &mut strings);
        let roots = Table::of_roots(graph, &mut strings);
        let makers = Makers::of(graph, &by_type, &by_line);
        let fold = Fold::of(graph, &makers.of);
        let (key, labels) = makers.label(graph, &fold, &roots, &mut strings);
        Data {
            about: About::of(graph),
            tree: Tree {
                parent: fold.parent,
                key,
                bytes: fold.bytes,
                blocks: fold.blocks,
            },
            labels,
            types,
            lines,
            roots,
            lists: Lists::of(graph, &mut strings, &mut whys),
            whys: whys.answers,
            strings: strings.into_list(),
        }
    }
}

impl About {
    fn of(graph: &Graph) -> About {
        let (facts, snapshot) = (graph.facts(), graph.snapshot());
        let by_reach = graph.by_reach();
        let reach = by_reach.iter().map(|(reach, class, amount)| {
            let name = phrases::reached_by(*reach, *class);
            (name, amount.bytes.get(), amount.blocks)
        });
        let leaked = by_reach.iter().filter(|it| it.0 == Reach::ByNothing);
        About {
            command: snapshot.command_line().join(" "),
            process: facts.process_id,
            build: snapshot.build_id().map(str::to_owned),
            taken_at: snapshot.taken_at_utc(),
            metadata: snapshot.metadata().clone().into_iter().collect(),
            notes: health::notes(graph),
            bytes: graph.bytes().get(),
            blocks: graph.blocks().len(),
            references: graph.references(),
            threads: graph.threads().len(),
            pause: (!facts.pause.is_zero()).then(|| crate::show::milliseconds(facts.pause)),
            exact_sizes: facts.exact_sizes,
            leaked: leaked.map(|it| it.2.bytes.get()).sum(),
            reach: reach.collect(),
        }
    }
}
