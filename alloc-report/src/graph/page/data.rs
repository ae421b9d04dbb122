//! [`Data`]: what the script of the page reads.

use std::borrow::Cow;
use std::collections::HashMap;

use alloc_core_snapshot::GroupBy;
use serde::Serialize;

use super::fold::{Fold, Key};
use super::lists::Lists;
use super::rows::{Grouped, Table};
use super::why::{Answer, Whys};
use crate::graph::show::{health, phrases};
use crate::graph::{Graph, Reach, RootClass};
use crate::page::{Name, Strings, origin};

/// What the script of the page reads. Names are numbers in the list of strings.
#[derive(Serialize)]
pub(super) struct Data<'a> {
    about: About,
    tree: Tree,
    keys: Vec<Label>,
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

/// What a node of the tree is, and its rows in the tables.
#[derive(Default, Serialize)]
struct Label {
    name: Name,
    place: Name,
    origin: u8,
    #[serde(rename = "type")]
    type_row: Option<u32>,
    line: Option<u32>,
    root: Option<u32>,
}

/// Where a node is from, besides [`origin`].
const OF_NOTHING: u8 = 3;
const OF_ROOT: u8 = 4;
const LEAKED: u8 = 5;

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
        let (key, keys) = makers.number(graph, &fold, &roots, &mut strings);
        Data {
            about: About::of(graph),
            tree: Tree {
                parent: fold.parent,
                key,
                bytes: fold.bytes,
                blocks: fold.blocks,
            },
            keys,
            types,
            lines,
            roots,
            lists: Lists::of(graph, &mut strings, &mut whys),
            whys: whys.answers,
            strings: strings.into_list(),
        }
    }
}

/// What made blocks: pairs of a type and a line.
struct Makers<'a> {
    by_type: &'a Grouped,
    by_line: &'a Grouped,
    /// The first callsite of each.
    callsites: Vec<u32>,
    /// The maker of each callsite's blocks.
    of: Vec<u32>,
}

impl<'a> Makers<'a> {
    fn of(graph: &Graph, by_type: &'a Grouped, by_line: &'a Grouped) -> Makers<'a> {
        let mut known: HashMap<(u32, u32), u32> = HashMap::new();
        let mut callsites = Vec::new();
        let mut of = Vec::new();
        for callsite in 0..graph.data.callsites.len() {
            let pair = (by_type.of[callsite], by_line.of[callsite]);
            of.push(*known.entry(pair).or_insert_with(|| {
                callsites.push(callsite as u32);
                callsites.len() as u32 - 1
            }));
        }
        Makers {
            by_type,
            by_line,
            callsites,
            of,
        }
    }

    /// The numbers of a tree's keys, and what each is.
    fn number(
        &self,
        graph: &Graph,
        fold: &Fold,
        roots: &Table,
        strings: &mut Strings<'_>,
    ) -> (Vec<u32>, Vec<Label>) {
        let rows = roots.by_name();
        let mut labels: Vec<Label> = Vec::new();
        let mut known: HashMap<Key, u32> = HashMap::new();
        let mut label = |key: Key| {
            let (name, origin) = match key {
                Key::Maker(maker) => return self.label(graph, maker, strings),
                Key::All => ("all", OF_NOTHING),
                Key::Rest => ("others", OF_NOTHING),
                Key::SeveralRoots => (phrases::SEVERAL_ROOTS, OF_ROOT),
                Key::Root(group) => {
                    let group = &graph.tree().groups.list[group as usize];
                    let is_leaked = group.class == RootClass::Nothing;
                    let origin = if is_leaked { LEAKED } else { OF_ROOT };
                    (phrases::of_root(group.class, &group.name), origin)
                }
            };
            let name = strings.add(name.to_owned());
            Label {
                name,
                origin,
                root: rows.get(&name).copied(),
                ..Label::default()
            }
        };
        let number = |key: &Key| {
            *known.entry(*key).or_insert_with(|| {
                labels.push(label(*key));
                labels.len() as u32 - 1
            })
        };
        (fold.key.iter().map(number).collect(), labels)
    }

    fn label(&self, graph: &Graph, maker: u32, strings: &mut Strings<'_>) -> Label {
        let callsite = self.callsites[maker as usize];
        let at = callsite as usize;
        let (type_row, line) = (self.by_type.of[at], self.by_line.of[at]);
        let frame = graph.charged_frame(callsite);
        Label {
            name: strings.add(self.by_type.name(type_row)),
            place: strings.add(self.by_line.name(line)),
            origin: frame.map_or(OF_NOTHING, origin),
            type_row: self.by_type.shown(type_row),
            line: self.by_line.shown(line),
            root: None,
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
