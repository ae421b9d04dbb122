//! Who keeps it alive: [`Graph`], the heap of a program as blocks and the references between them.
//!
//! A file that the traced program wrote goes in ([`Graph::load`]). Answers come out: which roots
//! hold the memory ([`Graph::roots`]), why a block is alive ([`Graph::why`]), what nothing holds
//! ([`Graph::leaks`], [`Graph::cycles`]), which counts do not add up ([`Graph::counts`]). Nothing
//! here stops a program or reads its memory.
//!
//! # How sure an answer is
//!
//! Whether a word is a pointer is not known: it looks like one. Words that were left behind by
//! moves and in dead parts of stacks would share everything, so evidence has classes.
//!
//! - *Roots*: statics come before thread-locals, stacks, registers, statics of libraries, and
//!   memory that nobody describes. A root of a lower class owns only what no higher one reaches.
//! - *References*: a word of a block whose type has no pointers, a word behind a vector's length, a
//!   pointer into the middle of a block, and one to a block of a type that the holder's type rules
//!   out count only for blocks that better references do not reach. So does a pointer to a block
//!   that has as many owners as it can have among those whose types name it.
//! - *Fields*: where debug information describes types, as with `debug = 2`, a word counts as one behind
//!   a vector's length does if no field of the type has a pointer there, or that field leads to other types.
//! - *Counts*: those of `Rc` and `Arc` are compared with the references found.
//!
//! Each answer has a [`Certainty`].

mod block;
#[doc(hidden)]
pub mod builder;
mod components;
mod dominators;
mod evidence;
mod export;
mod facts;
mod fields;
mod file;
mod names;
#[cfg(feature = "process")]
mod no_leaks;
#[cfg(feature = "page")]
mod page;
mod queries;
#[cfg(test)]
mod random;
mod sample;
mod show;
#[cfg(test)]
mod tests;
mod tree;
#[cfg(feature = "process")]
mod variables;
mod vtables;

use std::cell::OnceCell;
use std::fs::File;
use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

#[cfg(feature = "page")]
use alloc_core_snapshot::Frame;
use alloc_core_snapshot::seam::layouts::Layouts;
pub use alloc_core_snapshot::seam::variables::{Variable, Variables};
use alloc_core_snapshot::{Bytes, Error, Snapshot, SymbolSearch, Trace};

pub use block::{Block, BlockId};
pub use evidence::{Reach, RootClass};
pub use export::write_dot;
#[cfg(feature = "page")]
pub use export::write_heap_snapshot;
pub use facts::{Facts, Module, StackFrame, Thread};
#[cfg(feature = "process")]
pub use no_leaks::{LeftBehind, left_behind, without_leaks};
#[cfg(feature = "page")]
pub use page::GraphPage;
pub use queries::Certainty;
pub use queries::counts::{CountFinding, Counts, CountsKind};
pub use queries::cycles::Cycle;
pub use queries::diff::{Change, GraphDiff};
pub use queries::duplicates::Duplicate;
pub use queries::group::GraphRow;
pub use queries::leaks::Leak;
pub use queries::neighbours::{Holder, Reference};
pub use queries::roots::Root;
pub use queries::select::Selected;
pub use queries::spare::Spare;
pub use queries::why::{Link, Why, WhyPath};

pub use show::{GraphText, Show};

use evidence::{Evidence, Fields};
use file::Data;
use names::Names;
use tree::Tree;

/// No node.
const NONE: u32 = u32::MAX;

/// The heap of a program at one moment, as blocks and the references between them.
///
/// # What reading one costs
///
/// [`load`](Self::load) takes at most twenty-five times the file's size in memory. The first
/// question looks up names, as [`Snapshot::traces`] does, and analyses the references: about a
/// second for a million blocks. Later questions use that analysis.
///
/// ```
/// use alloc_report::graph::{Graph, builder};
///
/// // In a traced program: `alloc_core::heap_graph("app.heapgraph")?`.
/// let file = builder::sample().file();
/// let graph = Graph::read(&file)?;
/// let first = &graph.roots()[0];
/// assert_eq!(first.name, "the stack of main");
/// assert_eq!(first.retained, 800);
/// # Ok::<(), alloc_core::Error>(())
/// ```
pub struct Graph {
    data: Data,
    snapshot: Snapshot,
    /// The variables of each module, as far as they are known.
    variables: Vec<Variables>,
    /// The layouts of types of each module; empty if none are known.
    layouts: Vec<Layouts>,
    names: OnceCell<Names>,
    fields: OnceCell<Fields>,
    evidence: OnceCell<Evidence>,
    tree: OnceCell<Tree>,
    referrers: OnceCell<queries::neighbours::Referrers>,
    held_by_others: OnceCell<Vec<bool>>,
    /// Whether nothing is said of a block; empty if something is said of all.
    ignored: Vec<bool>,
}

impl Graph {
    /// Reads a file that a traced program wrote.
    ///
    /// Untrusted files are safe to read: memory is bounded by the file's size, and nothing panics.
    ///
    /// # Errors
    ///
    /// [`is_io`](Error::is_io) if the file cannot be read,
    /// [`is_invalid_file`](Error::is_invalid_file) if it is not a heap graph, is truncated or
    /// damaged.
    ///
    /// ```
    /// use alloc_report::graph::{Graph, builder};
    ///
    /// let folder = tempfile::tempdir()?;
    /// let path = folder.path().join("app.heapgraph");
    /// std::fs::write(&path, builder::sample().file())?;
    /// assert_eq!(Graph::load(&path)?.blocks().len(), 11);
    ///
    /// let error = Graph::load("/no/such/file").err().unwrap();
    /// assert!(error.is_io());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn load(path: impl AsRef<Path>) -> Result<Graph, Error> {
        let path = path.as_ref();
        let read = || {
            let mut file = File::open(path)?;
            let mut bytes = file::start_of(&mut file)?;
            if bytes == file::MAGIC {
                file.read_to_end(&mut bytes)?;
            }
            Graph::read(&bytes)
        };
        read().map_err(|error: Error| error.about("cannot read the heap graph", path))
    }

    /// Whether the file at `path` starts as one of a heap graph does. A file that cannot be read
    /// does not.
    ///
    /// ```
    /// use alloc_report::graph::{Graph, builder};
    ///
    /// let folder = tempfile::tempdir()?;
    /// let path = folder.path().join("app.heapgraph");
    /// assert!(!Graph::is_file(&path));
    /// std::fs::write(&path, builder::sample().file())?;
    /// assert!(Graph::is_file(&path));
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn is_file(path: impl AsRef<Path>) -> bool {
        let start = File::open(path).and_then(|mut it| file::start_of(&mut it));
        start.is_ok_and(|it| it == file::MAGIC)
    }

    /// Reads the content of a file.
    ///
    /// # Errors
    ///
    /// [`is_invalid_file`](Error::is_invalid_file) if it is not a heap graph, is truncated or
    /// damaged.
    ///
    /// ```
    /// use alloc_report::graph::Graph;
    ///
    /// let error = Graph::read(b"something else").err().unwrap();
    /// assert!(error.is_invalid_file());
    /// assert_eq!(
    ///     error.to_string(),
    ///     "expected a heap graph, found a file that starts with \"somethin\""
    /// );
    /// ```
    pub fn read(bytes: &[u8]) -> Result<Graph, Error> {
        let (data, snapshot) = file::read(bytes)?;
        let variables = vec![Variables::default(); data.modules.len()];
        Ok(Graph {
            data,
            snapshot,
            variables,
            layouts: Vec::new(),
            names: OnceCell::new(),
            fields: OnceCell::new(),
            evidence: OnceCell::new(),
            tree: OnceCell::new(),
            referrers: OnceCell::new(),
            held_by_others: OnceCell::new(),
            ignored: Vec::new(),
        })
    }

    /// Charges blocks to other lines, as [`Snapshot::charge_to`] and [`Snapshot::skip_crates`] say:
    /// `change` gets the snapshot within the graph.
    ///
    /// ```
    /// use alloc_core::ChargeTo;
    /// use alloc_report::graph::{Graph, builder};
    ///
    /// let graph = Graph::read(&builder::sample().file())?;
    /// let graph = graph.charge(|snapshot| snapshot.charge_to(ChargeTo::Workspace));
    /// assert_eq!(graph.snapshot().charged_to(), ChargeTo::Workspace);
    /// # Ok::<(), alloc_core::Error>(())
    /// ```
    pub fn charge(mut self, change: impl FnOnce(Snapshot) -> Snapshot) -> Graph {
        self.snapshot = change(self.snapshot);
        self.names = OnceCell::new();
        self.forget_analysis();
        self
    }

    /// Looks up the names of frames now, including in the places of `search`.
    ///
    /// ```
    /// use alloc_core::SymbolSearch;
    /// use alloc_report::graph::{Graph, builder};
    ///
    /// let mut graph = Graph::read(&builder::sample().file())?;
    /// graph.name(&SymbolSearch { folders: vec!["/srv/symbols".into()], ..SymbolSearch::default() });
    /// assert!(graph.snapshot().is_named());
    /// # Ok::<(), alloc_core::Error>(())
    /// ```
    pub fn name(&mut self, search: &SymbolSearch) {
        self.snapshot.name(search);
        self.names = OnceCell::from(Names::of(&self.data, &self.snapshot, search));
        self.forget_analysis();
    }

    /// Sets the names of the variables of a module, by its place in [`modules`](Self::modules).
    ///
    /// Without them, a static is shown as `program+0x1234`. The command `alloc-report graph` reads
    /// them from the module's file.
    ///
    /// ```
    /// use alloc_report::graph::{Graph, Variable, Variables, builder};
    ///
    /// let mut graph = Graph::read(&builder::sample().file())?;
    /// assert!(graph.roots().iter().any(|it| it.name == "static program+0x1000"));
    ///
    /// let cache = Variable { start: 0x1000, size: 8, name: "app::CACHE".into() };
    /// graph.set_variables(0, Variables { statics: vec![cache], thread_locals: vec![] });
    /// assert!(graph.roots().iter().any(|it| it.name == "static app::CACHE"));
    /// # Ok::<(), alloc_core::Error>(())
    /// ```
    pub fn set_variables(&mut self, module: usize, variables: Variables) {
        if let Some(known) = self.variables.get_mut(module) {
            *known = names::sorted(variables);
            self.forget_analysis();
        }
    }

    fn forget_analysis(&mut self) {
        self.fields = OnceCell::new();
        self.evidence = OnceCell::new();
        self.tree = OnceCell::new();
        self.held_by_others = OnceCell::new();
    }

    /// How the graph was taken, and what is missing in it.
    ///
    /// ```
    /// use alloc_report::graph::{Graph, builder};
    ///
    /// let graph = Graph::read(&builder::sample().file())?;
    /// assert_eq!(graph.facts().process_id, 4711);
    /// # Ok::<(), alloc_core::Error>(())
    /// ```
    pub fn facts(&self) -> &Facts {
        &self.data.facts
    }

    /// The program and its libraries.
    ///
    /// ```
    /// use alloc_report::graph::{Graph, builder};
    ///
    /// let graph = Graph::read(&builder::sample().file())?;
    /// assert!(graph.modules()[0].is_program());
    /// # Ok::<(), alloc_core::Error>(())
    /// ```
    pub fn modules(&self) -> &[Module] {
        &self.data.modules
    }

    /// The threads that ran.
    ///
    /// ```
    /// use alloc_report::graph::{Graph, builder};
    ///
    /// let graph = Graph::read(&builder::sample().file())?;
    /// assert_eq!(graph.threads()[0].name, "main");
    /// # Ok::<(), alloc_core::Error>(())
    /// ```
    pub fn threads(&self) -> &[Thread] {
        &self.data.threads
    }

    /// The counters of all callsites, recorded right after the graph.
    ///
    /// ```
    /// use alloc_report::graph::{Graph, builder};
    ///
    /// let graph = Graph::read(&builder::sample().file())?;
    /// assert_eq!(graph.snapshot().traces().len(), 8);
    /// # Ok::<(), alloc_core::Error>(())
    /// ```
    pub fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    /// All blocks, in order of address.
    ///
    /// ```
    /// use alloc_report::graph::{Graph, builder};
    ///
    /// let graph = Graph::read(&builder::sample().file())?;
    /// assert_eq!(graph.blocks().len(), 11);
    /// # Ok::<(), alloc_core::Error>(())
    /// ```
    pub fn blocks(&self) -> impl ExactSizeIterator<Item = BlockId> + use<> {
        (0..self.data.nodes.len() as u32).map(BlockId)
    }

    /// How many references between blocks were found.
    ///
    /// ```
    /// use alloc_report::graph::{Graph, builder};
    ///
    /// let graph = Graph::read(&builder::sample().file())?;
    /// assert_eq!(graph.references(), 8);
    /// # Ok::<(), alloc_core::Error>(())
    /// ```
    pub fn references(&self) -> usize {
        self.data.nodes.to.len()
    }

    /// The sum of the sizes of all blocks.
    ///
    /// ```
    /// use alloc_report::graph::{Graph, builder};
    ///
    /// let graph = Graph::read(&builder::sample().file())?;
    /// assert_eq!(graph.bytes(), 1402);
    /// # Ok::<(), alloc_core::Error>(())
    /// ```
    pub fn bytes(&self) -> Bytes {
        Bytes::new(self.data.nodes.sizes.iter().sum())
    }

    /// The block that contains an address.
    ///
    /// ```
    /// use alloc_report::graph::{Graph, builder};
    ///
    /// let graph = Graph::read(&builder::sample().file())?;
    /// let first = graph.block(graph.blocks().next().unwrap());
    /// assert_eq!(graph.find(first.address + 83), graph.find(first.address));
    /// assert_eq!(graph.find(first.address + 84), None);
    /// # Ok::<(), alloc_core::Error>(())
    /// ```
    pub fn find(&self, address: u64) -> Option<BlockId> {
        self.data.nodes.find(address).map(BlockId)
    }

    /// What is known about a block.
    ///
    /// # Panics
    ///
    /// If the block is one of another graph that has more blocks.
    ///
    /// ```
    /// use alloc_report::graph::{Graph, builder};
    ///
    /// let graph = Graph::read(&builder::sample().file())?;
    /// let sizes = graph.blocks().map(|it| graph.block(it).size.get());
    /// assert_eq!(graph.bytes(), sizes.sum::<u64>());
    /// # Ok::<(), alloc_core::Error>(())
    /// ```
    pub fn block(&self, id: BlockId) -> Block<'_> {
        let (nodes, at) = (&self.data.nodes, id.0 as usize);
        let names = self.names();
        let callsite = &names.callsites[nodes.callsites[at] as usize];
        let age = nodes.ages.get(at).copied().flatten();
        Block {
            address: nodes.starts[at],
            size: Bytes::new(nodes.sizes[at]),
            type_name: callsite.type_name.as_deref(),
            place: &callsite.place,
            age: age.map(Duration::from_micros),
            is_unread: nodes.unread.binary_search(&id.0).is_ok(),
            reach: self.evidence().reach(id.0),
        }
    }

    /// The callsite that allocated a block, with its stack; `None` if the snapshot does not have
    /// it.
    ///
    /// ```
    /// use alloc_report::graph::{Graph, builder};
    ///
    /// let graph = Graph::read(&builder::sample().file())?;
    /// let trace = graph.trace(graph.blocks().next().unwrap()).unwrap();
    /// assert_eq!(trace.traceback[0].function(), Some("app::fill"));
    /// # Ok::<(), alloc_core::Error>(())
    /// ```
    pub fn trace(&self, id: BlockId) -> Option<&Trace> {
        let callsite = self.data.nodes.callsites[id.0 as usize];
        let trace = self.data.callsites[callsite as usize].trace?;
        self.snapshot.traces().get(trace as usize)
    }

    /// The frame that is charged with the blocks of a callsite.
    #[cfg(feature = "page")]
    fn charged_frame(&self, callsite: u32) -> Option<&Frame> {
        let trace = self.data.callsites[callsite as usize].trace?;
        let trace = self.snapshot.traces().get(trace as usize)?;
        Some(self.snapshot.charged_frame(&trace.traceback))
    }

    fn names(&self) -> &Names {
        self.names
            .get_or_init(|| Names::of(&self.data, &self.snapshot, &SymbolSearch::default()))
    }

    fn evidence(&self) -> &Evidence {
        self.evidence.get_or_init(|| {
            let trait_objects = self.trait_objects();
            Evidence::of(&self.data, self.names(), self.fields(), &trait_objects)
        })
    }

    fn tree(&self) -> &Tree {
        self.tree.get_or_init(|| {
            let groups = evidence::groups(&self.data, self.names(), &self.variables);
            Tree::of(&self.data, self.evidence(), groups)
        })
    }

    /// The type of a callsite's blocks, by the callsite's index.
    fn type_of(&self, callsite: u32) -> Option<&Arc<str>> {
        self.names().callsites[callsite as usize].type_name.as_ref()
    }
}

impl std::fmt::Debug for Graph {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Graph")
            .field("blocks", &self.data.nodes.len())
            .field("references", &self.data.nodes.to.len())
            .field("roots", &self.data.roots.len())
            .finish_non_exhaustive()
    }
}
