//! [`Stacks`]: the stacks of all callsites as one tree, and the table of their frames.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};

use alloc_core_snapshot::seam::package::Crates;
use alloc_core_snapshot::{Frame, Origin, Snapshot, SourcePath, Trace};
use serde::Serialize;

use super::{Name, Sources, Strings};
use crate::names;
use crate::show::stack;

/// The columns of the table of frames. Frames that differ in their address or column are one.
#[derive(Default, Serialize)]
pub(super) struct Frames {
    /// The whole name of the function, and the name as a person would write it.
    function: Vec<Name>,
    short: Vec<Name>,
    file: Vec<Name>,
    line: Vec<u32>,
    module: Vec<Name>,
    #[serde(rename = "crate")]
    package: Vec<Name>,
    /// See [`origin`].
    origin: Vec<u8>,
    /// The line of source; the empty string if it cannot be read.
    pub(super) source: Vec<Name>,
}

/// A stack that is followed by what else distinguishes a callsite.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Callsite {
    /// The frames, the outermost first.
    stack: Vec<u32>,
    charged: u32,
    label: Name,
    thread: Name,
    type_name: Name,
    size_class: u64,
}

/// A node for each distinct beginning of a stack, in preorder, and a row for each callsite.
///
/// Numbers that rise are stored as differences, which compress well.
#[derive(Default, Serialize)]
pub(super) struct Tree {
    /// How far back the parent of each node is. The first node is the root, which is its own.
    parent: Vec<u32>,
    frame: Vec<u32>,
    /// For each callsite, how far its innermost frame's node is from that of the callsite before.
    node: Vec<u32>,
    charged: Vec<u32>,
    label: Vec<Name>,
    thread: Vec<Name>,
    #[serde(rename = "type")]
    type_name: Vec<Name>,
    size_class: Vec<u64>,
}

/// A number of a callsite in the order in which callsites were added.
pub(super) type Row = u32;

/// Collects the callsites of snapshots.
pub(super) struct Stacks<'a> {
    crates: Crates<'a>,
    pub(super) strings: Strings<'a>,
    frames: Frames,
    /// The frames by what distinguishes them.
    known: HashMap<(Option<&'a str>, Option<&'a str>, u32), u32>,
    /// The same by the identity of a frame. PERF: most frames are clones, and hashing their names takes
    /// a third of the time.
    clones: HashMap<usize, u32>,
    /// The place of each frame.
    quoted: Vec<(Option<&'a SourcePath>, u32)>,
    rows: HashMap<Callsite, Row>,
}

impl<'a> Stacks<'a> {
    pub(super) fn of(snapshots: &[&'a Snapshot]) -> Stacks<'a> {
        let traces = snapshots.iter().flat_map(|it| it.traces());
        let mut stacks = Stacks {
            crates: Crates::of(traces.flat_map(|it| it.traceback.iter())),
            strings: Strings::default(),
            frames: Frames::default(),
            known: HashMap::new(),
            clones: HashMap::new(),
            quoted: Vec::new(),
            rows: HashMap::new(),
        };
        stacks.strings.add("");
        stacks
    }

    /// The number of a trace's callsite.
    pub(super) fn row(&mut self, snapshot: &Snapshot, trace: &'a Trace) -> Row {
        let traceback = &trace.traceback;
        let outermost = stack::cut(traceback).map(|it| self.frame(it));
        let frames = traceback.iter().rev().map(|it| self.frame(it));
        let stack = outermost.into_iter().chain(frames).collect();
        let callsite = Callsite {
            stack,
            charged: self.frame(snapshot.charged_frame(&trace.traceback)),
            label: self.optional(trace.label.as_deref()),
            thread: self.optional(trace.thread.as_deref()),
            type_name: self.optional(trace.type_name.as_deref()),
            size_class: trace.size_class.map_or(0, |it| it.get()),
        };
        let next = self.rows.len() as Row;
        match self.rows.entry(callsite) {
            Entry::Occupied(known) => *known.get(),
            Entry::Vacant(new) => *new.insert(next),
        }
    }

    /// The tree, its frames, and the place of each row in the tree's order of callsites.
    pub(super) fn into_tree(self) -> (Tree, Frames, Strings<'a>, Vec<Row>) {
        let mut rows: Vec<(Callsite, Row)> = self.rows.into_iter().collect();
        rows.sort_unstable_by(|(a, row_of_a), (b, row_of_b)| {
            a.stack.cmp(&b.stack).then(row_of_a.cmp(row_of_b))
        });
        let mut tree = Tree::default();
        tree.parent.push(0);
        tree.frame.push(0);
        let mut places = vec![0; rows.len()];
        // The nodes of the stack before, the root first.
        let mut path: Vec<u32> = vec![0];
        let mut before: &[u32] = &[];
        let mut last_node = 0;
        for (place, (callsite, row)) in rows.iter().enumerate() {
            let common = before.iter().zip(&callsite.stack);
            let common = common.take_while(|(a, b)| a == b).count();
            path.truncate(common + 1);
            for &frame in &callsite.stack[common..] {
                let node = tree.frame.len() as u32;
                tree.parent.push(node - path[path.len() - 1]);
                tree.frame.push(frame);
                path.push(node);
            }
            let node = path[path.len() - 1];
            // NOTE: stacks are sorted, so their nodes never fall.
            tree.node.push(node - last_node);
            last_node = node;
            tree.charged.push(callsite.charged);
            tree.label.push(callsite.label);
            tree.thread.push(callsite.thread);
            tree.type_name.push(callsite.type_name);
            tree.size_class.push(callsite.size_class);
            places[*row as usize] = place as Row;
            before = &callsite.stack;
        }
        (tree, self.frames, self.strings, places)
    }

    /// Quotes the lines of source that are charged, and those of the workspace.
    pub(super) fn add_sources(&mut self, sources: &mut Sources) {
        let charged: HashSet<u32> = self.rows.keys().map(|it| it.charged).collect();
        for at in 0..self.quoted.len() {
            let (file, line) = self.quoted[at];
            let is_wanted = self.frames.origin[at] == 0 || charged.contains(&(at as u32));
            let text = file
                .filter(|_| is_wanted)
                .and_then(|it| sources.line(it, line));
            if let Some(text) = text {
                self.frames.source[at] = self.strings.add(text);
            }
        }
    }

    fn optional(&mut self, name: Option<&'a str>) -> Name {
        self.strings.add(name.unwrap_or_default())
    }

    fn frame(&mut self, frame: &'a Frame) -> u32 {
        if let Some(&known) = self.clones.get(&frame.id()) {
            return known;
        }
        let file = frame.file().map(|it| it.full());
        let next = self.frames.line.len() as u32;
        let number = *self
            .known
            .entry((frame.function(), file, frame.line()))
            .or_insert(next);
        if number == next {
            self.push(frame);
        }
        self.clones.insert(frame.id(), number);
        number
    }

    fn push(&mut self, frame: &'a Frame) {
        self.quoted.push((frame.file(), frame.line()));
        let Frames {
            function,
            short,
            file,
            line,
            module,
            package,
            origin,
            source,
        } = &mut self.frames;
        let whole = frame
            .function()
            .map_or_else(|| frame.to_string(), str::to_owned);
        short.push(self.strings.add(names::short(&whole)));
        function.push(self.strings.add(whole));
        file.push(
            self.strings
                .add(frame.file().map_or("", |it| it.short()).to_owned()),
        );
        line.push(frame.line());
        module.push(self.strings.add(self.crates.module_of(frame)));
        package.push(self.strings.add(self.crates.crate_of(frame)));
        origin.push(self::origin(frame));
        source.push(0);
    }
}

/// Whose code a frame is in. 0: the workspace; 1: a dependency; 2: the standard library or the
/// tracer; 3: unknown.
pub(crate) fn origin(frame: &Frame) -> u8 {
    match frame.origin() {
        Origin::Workspace => 0,
        Origin::Dependency => 1,
        Origin::Std | Origin::Tracer => 2,
        _ => 3,
    }
}
