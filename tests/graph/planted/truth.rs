//! [`Truth`]: a block, and what a graph must say of it.

use std::hint::black_box;
use std::sync::Mutex;

use alloc_report::Graph;
use alloc_report::graph::{BlockId, CountsKind, Holder, Reach, RootClass};

/// A planted block.
#[derive(Clone, Debug)]
pub(crate) struct Truth {
    pub(crate) name: &'static str,
    /// Inverted, so that the truth itself refers to nothing.
    address: usize,
    expected: Noted,
}

/// What a graph must say of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expected {
    /// One root holds it, whose name contains this.
    Held(&'static str),
    /// Roots reach it by pointers of owners. The runtime's own structures hold it.
    Live,
    /// A root of this name reaches it by a pointer into its middle.
    ByTheMiddle(&'static str),
    /// One root holds it, and as many clones of it were forgotten.
    Forgotten(&'static str, u64),
    /// One root holds it, and only `Weak` is left.
    OnlyWeak(&'static str),
    /// One root holds it, and there are as many with the same content.
    Copies(&'static str, u64),
    /// Only memory that nobody describes refers to it.
    UnknownMemory,
    /// It is a leak: nothing refers to it.
    Leaked,
    /// It is held by nothing but the block of another truth, which is a leak or in a cycle.
    Below(&'static str),
    /// It is in a cycle that is certain.
    Cycle,
    /// Its owner has its address in a form that no word shows: it looks leaked.
    Hidden,
}

/// An [`Expected`] without bytes that nobody writes. Those of a variant without fields are what was
/// on the stack before, such as a pointer to the block.
#[derive(Clone, Copy, Debug)]
struct Noted {
    kind: usize,
    name: &'static str,
    number: u64,
}

impl Noted {
    fn new(expected: Expected) -> Noted {
        let (kind, name, number) = match expected {
            Expected::Held(root) => (0, root, 0),
            Expected::Live => (1, "", 0),
            Expected::ByTheMiddle(root) => (2, root, 0),
            Expected::Forgotten(root, missing) => (3, root, missing),
            Expected::OnlyWeak(root) => (4, root, 0),
            Expected::Copies(root, count) => (5, root, count),
            Expected::UnknownMemory => (6, "", 0),
            Expected::Leaked => (7, "", 0),
            Expected::Below(name) => (8, name, 0),
            Expected::Cycle => (9, "", 0),
            Expected::Hidden => (10, "", 0),
        };
        Noted { kind, name, number }
    }
}

static TRUTHS: Mutex<Vec<Truth>> = Mutex::new(Vec::new());

/// Notes what is true of a block.
pub(crate) fn plant<T: ?Sized>(name: &'static str, block: *const T, expected: Expected) {
    let address = !block.addr();
    TRUTHS.lock().unwrap().push(Truth {
        name,
        address,
        expected: Noted::new(expected),
    });
}

/// All truths, in the order in which they were planted.
pub(crate) fn all() -> Vec<Truth> {
    TRUTHS.lock().unwrap().clone()
}

impl Truth {
    pub(crate) fn expected(&self) -> Expected {
        let Noted { kind, name, number } = self.expected;
        match kind {
            0 => Expected::Held(name),
            1 => Expected::Live,
            2 => Expected::ByTheMiddle(name),
            3 => Expected::Forgotten(name, number),
            4 => Expected::OnlyWeak(name),
            5 => Expected::Copies(name, number),
            6 => Expected::UnknownMemory,
            7 => Expected::Leaked,
            8 => Expected::Below(name),
            9 => Expected::Cycle,
            _ => Expected::Hidden,
        }
    }

    /// The block in a graph.
    ///
    /// # Errors
    ///
    /// If no block is there.
    pub(crate) fn block(&self, graph: &Graph) -> Result<BlockId, String> {
        let block = graph.find(!self.address as u64);
        block.ok_or_else(|| "no block is there".to_owned())
    }

    /// Compares a graph with the truth.
    ///
    /// # Errors
    ///
    /// What the graph says instead.
    pub(crate) fn check(&self, graph: &Graph, all: &[Truth]) -> Result<(), String> {
        let block = self.block(graph)?;
        match self.expected() {
            Expected::Held(root) => held(graph, block, root),
            Expected::Live => reached(graph, block, Reach::Strongly),
            Expected::ByTheMiddle(root) => {
                reached(graph, block, Reach::Weakly)?;
                root_is(graph, block, root)
            }
            Expected::Forgotten(root, missing) => {
                held(graph, block, root)?;
                counts(graph, block, CountsKind::ForgottenClone, missing)
            }
            Expected::OnlyWeak(root) => {
                held(graph, block, root)?;
                counts(graph, block, CountsKind::OnlyWeakLeft, 0)
            }
            Expected::Copies(root, count) => {
                held(graph, block, root)?;
                copies(graph, block, count)
            }
            Expected::UnknownMemory => reached(graph, block, Reach::OnlyByUnknownMemory),
            Expected::Leaked | Expected::Hidden => {
                reached(graph, block, Reach::ByNothing)?;
                leaked(graph, block)
            }
            Expected::Below(name) => {
                reached(graph, block, Reach::ByNothing)?;
                let above = all.iter().find(|it| it.name == name);
                below(graph, block, above.expect(name).block(graph)?)
            }
            Expected::Cycle => {
                reached(graph, block, Reach::ByNothing)?;
                in_cycle(graph, block)
            }
        }
    }
}

fn reached(graph: &Graph, block: BlockId, expected: Reach) -> Result<(), String> {
    let found = graph.block(block).reach;
    match found == expected {
        true => Ok(()),
        false => Err(format!("{found}: {}", holders(graph, block))),
    }
}

fn held(graph: &Graph, block: BlockId, root: &str) -> Result<(), String> {
    reached(graph, block, Reach::Strongly)?;
    root_is(graph, block, root)
}

fn root_is(graph: &Graph, block: BlockId, root: &str) -> Result<(), String> {
    match graph.root_of(block) {
        Some(found) if found.contains(root) => Ok(()),
        found => Err(format!(
            "held by {}: {}",
            found.unwrap_or("several roots"),
            holders(graph, block)
        )),
    }
}

/// What leads to a block, for messages.
fn holders(graph: &Graph, block: BlockId) -> String {
    let paths = graph.why(block).paths;
    let paths = paths.iter().map(|path| {
        let blocks = path.steps.iter().filter_map(|it| match it.holder {
            Holder::Block(block) => Some(graph.block(block).to_string()),
            Holder::Root { .. } => None,
        });
        let mut steps = vec![path.root.clone()];
        steps.extend(blocks);
        steps.join(" -> ")
    });
    paths.collect::<Vec<_>>().join("; ")
}

fn counts(graph: &Graph, block: BlockId, kind: CountsKind, missing: u64) -> Result<(), String> {
    let findings = graph.counts();
    let found = findings.iter().find(|it| it.example == block);
    match found {
        Some(it) if it.kind == kind && it.missing == missing => Ok(()),
        _ => Err(format!("{:?}, finding {found:?}", graph.counts_of(block))),
    }
}

fn copies(graph: &Graph, block: BlockId, count: u64) -> Result<(), String> {
    let size = graph.block(block).size;
    let all = graph.duplicates();
    let found = all.iter().find(|it| it.size == size && it.count == count);
    found.map(drop).ok_or_else(|| format!("{all:?}"))
}

fn leaked(graph: &Graph, block: BlockId) -> Result<(), String> {
    let leaks = graph.leaks();
    let found = leaks.iter().find(|it| it.example == block);
    match found {
        Some(it) if !it.is_cycle && it.heads == 1 => Ok(()),
        _ => Err(format!("leak {found:?}")),
    }
}

fn below(graph: &Graph, block: BlockId, above: BlockId) -> Result<(), String> {
    let chain = graph.why(block).chain;
    let is_nothing = |it: &Holder| {
        matches!(
            it,
            Holder::Root {
                class: RootClass::Nothing,
                ..
            }
        )
    };
    let has = |it: &Holder| *it == Holder::Block(above);
    match chain.iter().any(|it| is_nothing(&it.holder)) && chain.iter().any(|it| has(&it.holder)) {
        true => Ok(()),
        false => Err(format!("chain {chain:?}")),
    }
}

fn in_cycle(graph: &Graph, block: BlockId) -> Result<(), String> {
    let cycles = graph.cycles();
    let found = cycles.iter().find(|it| it.blocks.contains(&block));
    match found {
        Some(it) if it.certainty == alloc_report::graph::Certainty::Certain => Ok(()),
        _ => Err(format!("cycle {found:?}")),
    }
}

/// The end of a stack that the C library keeps as it is when a thread ends, for the next thread. It
/// gives the rest back to the system.
const KEPT: usize = 64 << 10;

/// Runs `work` on a thread of its own, and below what is kept of its stack, so that it leaves no
/// words behind.
pub(crate) fn apart(work: impl FnOnce() + Send) {
    let run = || {
        let room = black_box([0_u8; KEPT]);
        work();
        black_box(&room);
    };
    std::thread::scope(|scope| scope.spawn(run).join().unwrap());
}

/// Overwrites what dead frames left on this stack.
#[inline(never)]
pub(crate) fn scrub() {
    black_box([0_u8; KEPT]);
}
