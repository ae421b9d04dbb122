//! A picture of what retains the most, for Graphviz.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io::{self, Write};

use alloc_core_snapshot::{Bytes, Escaped};

use crate::graph::tree::counts;
use crate::graph::{BlockId, Graph};

/// Writes a graph in the language of Graphviz: the `most` roots and blocks that retain the most,
/// and the references between them.
///
/// `dot -Tsvg` draws it. A dashed line is a reference that may be left behind.
///
/// # Errors
///
/// Those of the writer.
///
/// ```
/// use alloc_report::graph::{Graph, builder, write_dot};
///
/// let graph = Graph::read(&builder::sample().file())?;
/// let mut text = Vec::new();
/// write_dot(&graph, 30, &mut text)?;
/// let text = String::from_utf8(text).unwrap();
/// assert!(text.starts_with("digraph heap {"));
/// assert!(text.contains("Rc<Parent>"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn write_dot(graph: &Graph, most: usize, mut out: impl Write) -> io::Result<()> {
    let (tree, data) = (graph.tree(), &graph.data);
    let retained = |node: u32| match tree.group_of(node) {
        Some(group) => tree.retained_by(group),
        None => tree.retained[node as usize],
    };
    let mut nodes: Vec<(u64, u32)> = (0..tree.top()).map(|it| (retained(it), it)).collect();
    nodes.retain(|it| it.0 > 0);
    nodes.sort_by_key(|it| Reverse(*it));
    let mut nodes: Vec<u32> = nodes.into_iter().map(|it| it.1).collect();
    nodes.truncate(most);
    let shown: BTreeSet<u32> = nodes.iter().copied().collect();
    writeln!(out, "digraph heap {{")?;
    writeln!(
        out,
        "  node [shape=box, fontname=\"sans-serif\", fontsize=10];"
    )?;
    writeln!(out, "  edge [fontname=\"sans-serif\", fontsize=9];")?;
    for &node in &nodes {
        let retained = Bytes::new(retained(node));
        match tree.group_of(node) {
            Some(group) => {
                let name = quoted(&tree.groups.list[group as usize].name);
                writeln!(
                    out,
                    "  n{node} [label=\"{name}\\nretains {retained}\", style=filled, \
                     fillcolor=\"#dde8f5\"];"
                )?;
            }
            None => {
                let block = graph.block(BlockId(node));
                let (name, place) = (quoted(block.type_or_unknown()), quoted(block.place));
                writeln!(
                    out,
                    "  n{node} [label=\"{name}\\n{place}\\n{}, retains {retained}\"];",
                    block.size
                )?;
            }
        }
    }
    // Whether any of the references between two nodes is strong, and the first field that has one.
    let mut edges: BTreeMap<(u32, u32), (bool, String)> = BTreeMap::new();
    for &block in nodes.iter().filter(|it| **it < tree.blocks) {
        for edge in data.nodes.edges(block) {
            let to = data.nodes.to[edge];
            if shown.contains(&to) && counts(data, graph.evidence(), block, edge) {
                let is_strong = graph.evidence().references.is_strong(edge);
                let known = edges.entry((block, to)).or_default();
                known.0 |= is_strong;
                if known.1.is_empty() {
                    known.1 = graph.reference_of(block, edge as u32).field;
                }
            }
        }
    }
    for (root, group) in data.roots.iter().zip(&tree.groups.of) {
        let node = tree.blocks + group;
        let is_held = tree.dominator[root.target as usize] == node;
        if is_held && shown.contains(&node) && shown.contains(&root.target) {
            edges.insert((node, root.target), (true, graph.field_of_root(root)));
        }
    }
    let nothing = tree.blocks + tree.groups.nothing();
    for head in tree.heads.iter().filter(|it| shown.contains(it)) {
        if shown.contains(&nothing) {
            edges.insert((nothing, *head), (true, String::new()));
        }
    }
    for ((from, to), (is_strong, field)) in edges {
        let style = (!is_strong).then(|| "style=dashed".to_owned());
        let label = (!field.is_empty()).then(|| format!("label=\"{}\"", quoted(&field)));
        let attributes: Vec<String> = style.into_iter().chain(label).collect();
        match attributes.is_empty() {
            true => writeln!(out, "  n{from} -> n{to};")?,
            false => writeln!(out, "  n{from} -> n{to} [{}];", attributes.join(", "))?,
        }
    }
    writeln!(out, "}}")
}

/// Text within the quotes of Graphviz's language.
fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len());
    for part in Escaped(text).to_string().chars() {
        if matches!(part, '"' | '\\') {
            quoted.push('\\');
        }
        let _ = quoted.write_char(part);
    }
    quoted
}
