//! The heap snapshot of Chrome's DevTools.

use std::collections::HashMap;
use std::io::{self, BufWriter, Write};

use crate::graph::tree::{Tree, counts, root_counts};
use crate::graph::{BlockId, Graph};

/// How many numbers a node has.
const FIELDS: usize = 7;

/// What a file starts with: the names of the fields, as V8 writes them.
const META: &str = concat!(
    r#""meta":{"node_fields":["type","name","id","self_size","edge_count","trace_node_id","#,
    r#""detachedness"],"node_types":[["hidden","array","string","object","code","closure","#,
    r#""regexp","number","native","synthetic","concatenated string","sliced string","symbol","#,
    r#""bigint","object shape"],"string","number","number","number","number","number"],"#,
    r#""edge_fields":["type","name_or_index","to_node"],"edge_types":[["context","element","#,
    r#""property","internal","hidden","shortcut","weak"],"string_or_number","node"],"#,
    r#""trace_function_info_fields":["function_id","name","script_name","script_id","line","#,
    r#""column"],"trace_node_fields":["id","function_info_index","count","size","children"],"#,
    r#""sample_fields":["timestamp_us","last_assigned_id"],"location_fields":["object_index","#,
    r#""script_id","line","column"]}"#
);

/// The numbers of types in [`META`].
const NATIVE: u32 = 8;
const SYNTHETIC: u32 = 9;
const ELEMENT: u32 = 1;

/// How many parts blocks of more than 4 GiB have at most, all together.
const MOST_PARTS: usize = 1 << 16;

/// Writes a graph as a heap snapshot, which the tab *Memory* of Chrome's DevTools loads.
///
/// A block is named `Type @ line`. References that do not count (see the
/// [module](crate::graph#how-sure-an-answer-is)) are left out, so that DevTools shows the same
/// retained sizes as [`Graph::retained`].
///
/// # Errors
///
/// Those of the writer.
///
/// ```
/// use alloc_report::graph::{Graph, builder, write_heap_snapshot};
///
/// let graph = Graph::read(&builder::sample().file())?;
/// let mut text = Vec::new();
/// write_heap_snapshot(&graph, &mut text)?;
/// let text = String::from_utf8(text).unwrap();
/// assert!(text.starts_with("{\"snapshot\":{\"meta\":"));
/// assert!(text.contains("\"Rc<Node> @ src/cache.rs:52\""));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn write_heap_snapshot(graph: &Graph, out: impl Write) -> io::Result<()> {
    let mut out = BufWriter::new(out);
    let plan = Plan::of(graph);
    let groups = plan.targets.len();
    let (nodes, edges) = (plan.number_of_nodes(), plan.number_of_edges(graph.tree()));
    write!(
        out,
        "{{\"snapshot\":{{{META},\"node_count\":{nodes},\"edge_count\":{edges},\
         \"trace_function_count\":0}},\n\"nodes\":["
    )?;
    // The names of groups follow the empty string and that of the top.
    let tree = graph.tree();
    write!(out, "{SYNTHETIC},1,1,0,{},0,0", tree.entries.len())?;
    for (at, targets) in plan.targets.iter().enumerate() {
        let edges = targets.len() + tree.inner[at].len();
        let (name, id) = (2 + at, 3 + 2 * at);
        write!(out, "\n,{SYNTHETIC},{name},{id},0,{edges},0,0")?;
    }
    let data = &graph.data;
    for (at, size) in data.nodes.sizes.iter().enumerate() {
        let name = plan.names[data.nodes.callsites[at] as usize];
        let (id, size) = (plan.id(1 + groups + at), (*size).min(u32::MAX.into()));
        let edges = plan.edges[at].len() + plan.parts_of(at as u32).len();
        write!(out, "\n,{NATIVE},{name},{id},{size},{edges},0,0")?;
    }
    for (at, (block, size)) in plan.parts.iter().enumerate() {
        let name = plan.names[data.nodes.callsites[*block as usize] as usize];
        let id = plan.id(1 + groups + data.nodes.len() + at);
        write!(out, "\n,{NATIVE},{name},{id},{size},0,0,0")?;
    }
    write!(out, "],\n\"edges\":[")?;
    let place_of_group = |group: u32| (1 + group as usize) * FIELDS;
    for (at, group) in tree.entries.iter().enumerate() {
        let comma = if at > 0 { "\n," } else { "" };
        write!(out, "{comma}{ELEMENT},{at},{}", place_of_group(*group))?;
    }
    for (targets, inner) in plan.targets.iter().zip(&tree.inner) {
        let targets = targets.iter().map(|it| plan.place(*it as usize));
        let inner = inner.iter().map(|it| place_of_group(*it));
        for (at, place) in targets.chain(inner).enumerate() {
            write!(out, "\n,{ELEMENT},{at},{place}")?;
        }
    }
    for block in 0..data.nodes.len() {
        for &edge in &plan.edges[block] {
            let byte = u64::from(data.nodes.word[edge as usize]) * 8;
            let to = plan.place(data.nodes.to[edge as usize] as usize);
            write!(out, "\n,{ELEMENT},{byte},{to}")?;
        }
        for at in plan.parts_of(block as u32) {
            let to = plan.place(data.nodes.len() + at);
            write!(out, "\n,{ELEMENT},{at},{to}")?;
        }
    }
    write!(
        out,
        "],\n\"trace_function_infos\":[],\"trace_tree\":[],\"samples\":[],\"locations\":[],\
         \"strings\":["
    )?;
    for (at, text) in plan.strings.iter().enumerate() {
        let comma = if at > 0 { "," } else { "" };
        write!(out, "{comma}{}", serde_json::to_string(text)?)?;
    }
    write!(out, "]}}")?;
    out.flush()
}

/// What is written, and where: the top, the groups of roots, the blocks, and parts of blocks of
/// more than 4 GiB.
struct Plan {
    strings: Vec<String>,
    /// The string of each callsite.
    names: Vec<usize>,
    /// What each group points to.
    targets: Vec<Vec<u32>>,
    /// The references of each block that count.
    edges: Vec<Vec<u32>>,
    /// Blocks and sizes: a node's size has 32 bits.
    parts: Vec<(u32, u32)>,
}

impl Plan {
    fn of(graph: &Graph) -> Plan {
        let (tree, data, evidence) = (graph.tree(), &graph.data, graph.evidence());
        let mut strings = vec![String::new(), "(roots)".to_owned()];
        strings.extend(tree.groups.list.iter().map(|it| it.name.clone()));
        let mut known: HashMap<String, usize> = HashMap::new();
        let callsites = graph.names().callsites.iter();
        let names = callsites.map(|callsite| {
            let type_name = callsite.type_name.as_deref().unwrap_or("<unknown>");
            let name = format!("{type_name} @ {}", callsite.place);
            *known.entry(name.clone()).or_insert_with(|| {
                strings.push(name);
                strings.len() - 1
            })
        });
        let names = names.collect();
        let mut targets = vec![Vec::new(); tree.groups.list.len()];
        for (at, (root, group)) in data.roots.iter().zip(&tree.groups.of).enumerate() {
            let class = tree.groups.list[*group as usize].class;
            if root_counts(data, evidence, class, at) {
                targets[*group as usize].push(root.target);
            }
        }
        targets[tree.groups.nothing() as usize].clone_from(&tree.heads);
        for targets in &mut targets {
            targets.sort_unstable();
            targets.dedup();
        }
        let edges = (0..tree.blocks).map(|block| {
            let edges = data.nodes.edges(block).map(|it| it as u32);
            let kept = edges.filter(|it| counts(data, evidence, block, *it as usize));
            kept.collect()
        });
        let edges = edges.collect();
        let mut parts = Vec::new();
        for (block, size) in data.nodes.sizes.iter().enumerate() {
            let mut rest = size.saturating_sub(u32::MAX.into());
            // NOTE: a hostile file may claim any size; no process has 256 TiB.
            while rest > 0 && parts.len() < MOST_PARTS {
                let part = rest.min(u32::MAX.into());
                parts.push((block as u32, part as u32));
                rest -= part;
            }
        }
        Plan {
            strings,
            names,
            targets,
            edges,
            parts,
        }
    }

    fn number_of_nodes(&self) -> usize {
        1 + self.targets.len() + self.edges.len() + self.parts.len()
    }

    fn number_of_edges(&self, tree: &Tree) -> usize {
        let of_groups: usize = self.targets.iter().map(Vec::len).sum();
        let between_groups: usize = tree.inner.iter().map(Vec::len).sum();
        let of_groups = of_groups + between_groups + tree.entries.len();
        let of_blocks: usize = self.edges.iter().map(Vec::len).sum();
        of_groups + of_blocks + self.parts.len()
    }

    /// The parts of a block that have nodes of their own.
    fn parts_of(&self, block: u32) -> std::ops::Range<usize> {
        let start = self.parts.partition_point(|it| it.0 < block);
        let end = self.parts.partition_point(|it| it.0 <= block);
        start..end
    }

    /// The id of a node: odd, as those of DevTools' own objects are.
    fn id(&self, node: usize) -> usize {
        1 + 2 * node
    }

    /// Where the node of a block starts in the list of numbers.
    fn place(&self, block: usize) -> usize {
        (1 + self.targets.len() + block) * FIELDS
    }
}

impl Graph {
    /// The id of a block in a [heap snapshot](write_heap_snapshot).
    ///
    /// ```
    /// use alloc_report::graph::{Graph, builder};
    ///
    /// let graph = Graph::read(&builder::sample().file())?;
    /// let mut ids = graph.blocks().map(|it| graph.id_in_heap_snapshot(it));
    /// assert_eq!(ids.next().unwrap() + 2, ids.next().unwrap());
    /// # Ok::<(), alloc_core::Error>(())
    /// ```
    pub fn id_in_heap_snapshot(&self, block: BlockId) -> u64 {
        1 + 2 * (1 + self.tree().groups.list.len() as u64 + u64::from(block.0))
    }
}
