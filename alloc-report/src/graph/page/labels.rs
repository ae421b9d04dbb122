//! [`Label`]: what a node of the page's tree is.

use std::collections::HashMap;

use serde::Serialize;

use super::fold::{Fold, Key};
use super::rows::{Grouped, Table};
use crate::graph::show::phrases;
use crate::graph::{Graph, RootClass};
use crate::page::{Name, Strings, origin};

/// What a node of the tree is, and its rows in the tables.
#[derive(Default, Serialize)]
pub(super) struct Label {
    name: Name,
    place: Name,
    origin: u8,
    #[serde(rename = "type")]
    type_row: Option<u32>,
    line: Option<u32>,
    root: Option<u32>,
}

/// Where a node is from, besides [`origin`].
const UNKNOWN: u8 = 3;
const OF_ROOT: u8 = 4;
const LEAKED: u8 = 5;

/// What made blocks: pairs of a type and a line.
pub(super) struct Makers<'a> {
    by_type: &'a Grouped,
    by_line: &'a Grouped,
    /// The first callsite of each.
    callsites: Vec<u32>,
    /// The maker of each callsite's blocks.
    pub(super) of: Vec<u32>,
}

impl<'a> Makers<'a> {
    pub(super) fn of(graph: &Graph, by_type: &'a Grouped, by_line: &'a Grouped) -> Makers<'a> {
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
    pub(super) fn label(
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
                Key::Maker(maker) => return self.of_maker(graph, maker, strings),
                Key::All => ("all", UNKNOWN),
                Key::Rest => ("others", UNKNOWN),
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

    fn of_maker(&self, graph: &Graph, maker: u32, strings: &mut Strings<'_>) -> Label {
        let callsite = self.callsites[maker as usize];
        let at = callsite as usize;
        let (type_row, line) = (self.by_type.of[at], self.by_line.of[at]);
        let frame = graph.charged_frame(callsite);
        Label {
            name: strings.add(self.by_type.name(type_row)),
            place: strings.add(self.by_line.name(line)),
            origin: frame.map_or(UNKNOWN, origin),
            type_row: self.by_type.shown(type_row),
            line: self.by_line.shown(line),
            root: None,
        }
    }
}
