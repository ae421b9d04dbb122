//! A program that takes its own heap graph, with planted truths: the library and the command find
//! them.

#![cfg(all(target_os = "linux", target_arch = "x86_64"))]

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap, LinkedList, VecDeque};
use std::hint::black_box;
use std::path::Path;
use std::process::Command;
use std::rc::{Rc, Weak};
use std::sync::{Arc, Barrier, Mutex, OnceLock};

use alloc_core::{GraphOptions, GroupBy, TraceAlloc};
use alloc_report::graph::{BlockId, Certainty, CountsKind, Graph, Holder, Reach, RootClass};

#[global_allocator]
static ALLOC: TraceAlloc = TraceAlloc::system();

static CACHE: OnceLock<Mutex<HashMap<u64, Arc<Entry>>>> = OnceLock::new();
static SORTED: Mutex<BTreeMap<u64, Box<Leaf>>> = Mutex::new(BTreeMap::new());

thread_local! {
    static QUEUE: RefCell<VecDeque<Box<Job>>> = const { RefCell::new(VecDeque::new()) };
}

static READY: Barrier = Barrier::new(2);
static END: Barrier = Barrier::new(2);
static KEPT: Mutex<Option<Arc<Counted>>> = Mutex::new(None);

#[allow(dead_code, reason = "a holder is never asked")]
struct Entry {
    name: String,
    #[allow(clippy::vec_box, reason = "the boxes are blocks to find")]
    tags: Vec<Box<Tag>>,
}
#[allow(dead_code, reason = "the content is never asked")]
struct Tag([u64; 4]);
#[allow(dead_code, reason = "the content is never asked")]
struct Leaf([u64; 5]);
#[allow(dead_code, reason = "the content is never asked")]
struct Job([u64; 6]);
struct Node {
    next: RefCell<Option<Rc<Node>>>,
    others: RefCell<Vec<Rc<Node>>>,
    _content: [u64; 10],
}
#[allow(dead_code, reason = "it is only held")]
struct Parent {
    children: RefCell<Vec<Rc<Child>>>,
}
#[allow(dead_code, reason = "it is only held")]
struct Child {
    parent: RefCell<Weak<Parent>>,
    _content: [u64; 3],
}
struct Forgotten {
    text: String,
    _content: [u64; 7],
}
#[allow(dead_code, reason = "the content is never asked")]
struct Counted([u64; 9]);
#[allow(dead_code, reason = "the content is never asked")]
struct OnStack([u64; 11]);
#[allow(dead_code, reason = "the content is never asked")]
struct OnWorker([u64; 12]);
#[allow(dead_code, reason = "the content is never asked")]
struct Hidden([u64; 13]);

const ENTRIES: u64 = 200;

fn name_of(key: u64) -> String {
    format!("the name of the entry with the number {key:04}")
}

#[inline(never)]
fn fill_cache() {
    let cache = CACHE.get_or_init(Mutex::default);
    for key in 0..ENTRIES {
        let name = name_of(key);
        let tags = (0..3).map(|it| Box::new(Tag([it; 4]))).collect();
        let entry = Arc::new(Entry { name, tags });
        cache.lock().unwrap().insert(key, entry);
    }
    let mut sorted = SORTED.lock().unwrap();
    for key in 0..50 {
        sorted.insert(key, Box::new(Leaf([key; 5])));
    }
}

#[inline(never)]
fn plant_leaks() -> usize {
    for at in 0..3 {
        let text = format!("a text that nobody will ever read again, number {at}");
        let forgotten = Box::new(Forgotten {
            text,
            _content: [7; 7],
        });
        black_box(&forgotten.text);
        Box::leak(forgotten);
    }
    let node = || {
        Rc::new(Node {
            next: RefCell::default(),
            others: RefCell::default(),
            _content: [3; 10],
        })
    };
    // A cycle of two, and one through a vector.
    let (a, b) = (node(), node());
    *a.next.borrow_mut() = Some(b.clone());
    *b.next.borrow_mut() = Some(a.clone());
    let (c, d) = (node(), node());
    c.others.borrow_mut().push(d.clone());
    *d.next.borrow_mut() = Some(c.clone());
    // A list with pointers back.
    let list: LinkedList<[u64; 14]> = (0..5).map(|it| [it; 14]).collect();
    std::mem::forget(black_box(list));
    let hidden = Box::into_raw(Box::new(Hidden([1; 13])));
    !hidden.addr()
}

#[inline(never)]
fn forget_a_clone() {
    let counted = Arc::new(Counted([2; 9]));
    std::mem::forget(black_box(counted.clone()));
    *KEPT.lock().unwrap() = Some(counted);
}

/// Overwrites what dead frames left on the stack.
#[inline(never)]
fn scrub() {
    black_box([0_u8; 64 * 1024]);
}

fn blocks_of(graph: &Graph, name: &str) -> Vec<BlockId> {
    graph
        .select(name)
        .map_or_else(|_| Vec::new(), |it| it.blocks)
}

#[track_caller]
fn check_held(graph: &Graph, name: &str, number: usize, root: &str) {
    let blocks = blocks_of(graph, name);
    assert_eq!(blocks.len(), number, "{name}");
    for block in blocks {
        let found = graph.root_of(block).unwrap_or("several roots");
        assert!(
            found.contains(root),
            "{name}: {found}\n{:#?}",
            graph.why(block)
        );
    }
}

#[test]
fn planted_truths_are_found() {
    alloc_core::start().unwrap();
    fill_cache();
    QUEUE.with_borrow_mut(|queue| queue.extend((0..20).map(|it| Box::new(Job([it; 6])))));
    let hidden = plant_leaks();
    let parent = Rc::new(Parent {
        children: RefCell::default(),
    });
    for _ in 0..4 {
        parent.children.borrow_mut().push(Rc::new(Child {
            parent: RefCell::new(Rc::downgrade(&parent)),
            _content: [5; 3],
        }));
    }
    forget_a_clone();
    // NOTE: else what the thread's start leaves unwritten in its block may have the clone's address.
    scrub();
    let dropped = Rc::new([4_u64; 15]);
    let only_weak = Rc::downgrade(&dropped);
    drop(black_box(dropped));
    let on_stack = black_box(vec![Box::new(OnStack([6; 11])), Box::new(OnStack([7; 11]))]);
    let worker = std::thread::Builder::new().name("worker".to_owned());
    let worker = worker.spawn(hold_on_worker).unwrap();
    READY.wait();
    scrub();

    let folder = tempfile::tempdir().unwrap();
    let path = std::env::var_os("KEEP_GRAPH")
        .map_or_else(|| folder.path().join("app.heapgraph"), Into::into);
    let options = GraphOptions::default().hashes(true);
    let taken = alloc_core::heap_graph_with(&path, &options).unwrap();
    END.wait();
    worker.join().unwrap();
    black_box((&hidden, &parent, &only_weak, &on_stack));
    alloc_core::stop();

    let report = named(&path);
    let graph = Graph::load(&path).unwrap();
    assert_eq!(graph.blocks().len() as u64, taken.blocks);
    assert_eq!(graph.references() as u64, taken.edges);
    check_library(&graph);
    check_command(&report, &path);
}

#[inline(never)]
fn hold_on_worker() {
    let held = black_box(vec![Box::new(OnWorker([8; 12]))]);
    READY.wait();
    END.wait();
    black_box(&held);
}

/// The command's summary.
fn named(path: &Path) -> String {
    command(&["graph", path.to_str().unwrap()])
}

fn command(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_alloc-report"))
        .args(arguments)
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {stderr}");
    String::from_utf8(output.stdout).unwrap()
}

fn check_library(graph: &Graph) {
    // The sizes of all blocks, of what each root retains, and of the session.
    let live = graph.facts().live;
    assert_eq!(graph.bytes(), live.bytes.get());
    let retained: u64 = graph.roots().iter().map(|it| it.retained.get()).sum();
    assert_eq!(retained + graph.shared().bytes.get(), live.bytes.get());
    let rows = graph.by(GroupBy::Type);
    assert_eq!(
        rows.iter().map(|it| it.bytes.get()).sum::<u64>(),
        live.bytes.get()
    );

    check_held(graph, "Arc<Entry>", ENTRIES as usize, "static ");
    check_held(graph, "Box<Tag>", 3 * ENTRIES as usize, "static ");
    check_held(graph, "Box<Leaf>", 50, "static ");
    check_held(graph, "Box<Job>", 20, "thread-local");
    check_held(graph, "Box<OnStack>", 2, "the stack of planted_truths");
    check_held(graph, "Box<OnWorker>", 1, "the stack of worker in ");
    check_held(graph, "Rc<Child>", 4, "the stack of planted_truths");
    check_held(graph, "Box<Forgotten>", 3, "nothing");
    check_held(graph, "Rc<Node>", 4, "nothing");
    check_held(graph, "LinkedList<[u64; 14]>", 5, "nothing");
    // Its address is there in another form only: the stated limit.
    check_held(graph, "Box<Hidden>", 1, "nothing");

    let table = blocks_of(graph, "HashMap<u64, Arc<Entry>>")[0];
    let tags = 3 * 32 + 3 * 8;
    let name = name_of(0).capacity() as u64;
    // Two counts, a string and a vector; what these hold.
    let each = 16 + (24 + 24) + name + tags;
    let expected = graph.block(table).size.get() + ENTRIES * each;
    assert_eq!(graph.deep_size(table), expected);
    assert_eq!(graph.retained(table), expected);

    let cycles: Vec<(String, Certainty)> = graph
        .cycles()
        .iter()
        .map(|it| (it.to_string(), it.certainty))
        .collect();
    for shape in [
        "Rc<Node> -> Rc<Node> -> Rc<Node>",
        "Rc<Node> -> Vec<Rc<Node>> -> Rc<Node> -> Rc<Node>",
    ] {
        assert!(
            cycles.contains(&(shape.to_owned(), Certainty::Certain)),
            "{cycles:?}"
        );
    }
    assert_eq!(cycles.len(), 2, "{cycles:?}");

    let findings = graph.counts();
    let of = |name: &str| {
        findings
            .iter()
            .find(|it| it.type_name.as_deref().unwrap().contains(name))
    };
    let forgotten = of("Counted").expect("a forgotten clone");
    assert_eq!(
        (forgotten.kind, forgotten.missing),
        (CountsKind::ForgottenClone, 1)
    );
    let weak = of("[u64; 15]").expect("only Weak is left");
    assert_eq!(weak.kind, CountsKind::OnlyWeakLeft);
    assert_eq!(findings.len(), 2, "{findings:#?}");

    let job = graph.why(blocks_of(graph, "Box<Job>")[0]);
    assert_eq!(job.reach, Reach::Strongly);
    assert_eq!(job.paths[0].class, RootClass::ThreadLocal);
    assert!(matches!(job.chain[1].holder, Holder::Block(_)));
    // Equal boxes of tags, of which there are 200 each of three kinds.
    let duplicate = &graph
        .duplicates()
        .into_iter()
        .find(|it| it.count == ENTRIES)
        .unwrap();
    assert_eq!(duplicate.wasted, (ENTRIES - 1) * 32);
}

fn check_command(summary: &str, path: &Path) {
    let path = path.to_str().unwrap();
    for line in [
        "static heap_graph::CACHE",
        "static heap_graph::SORTED",
        "thread-local heap_graph::QUEUE",
        "the stack of worker in heap_graph::hold_on_worker",
    ] {
        let roots = command(&["graph", path, "roots", "-n", "100"]);
        assert!(roots.contains(line), "{line}: {roots}\n{summary}");
    }
    let why = command(&["graph", path, "why", "Box<Tag>"]);
    assert!(why.contains("static heap_graph::CACHE"), "{why}");
}
