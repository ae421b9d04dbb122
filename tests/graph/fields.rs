//! Heap graphs of a program whose debug information describes its types: the fields that hold a
//! block have names. And what the program itself names.

#![cfg(all(
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64")
))]

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::rc::Rc;
use std::sync::Mutex;

use alloc_core::{HeapRoot, SymbolSearch, TraceAlloc, heap_graph, ignore_leak};
use alloc_report::Graph;
use alloc_report::graph::{BlockId, Holder};
use alloc_tests::Folder;

#[global_allocator]
static ALLOC: TraceAlloc = TraceAlloc::system();

alloc_tests::tests![
    fields_have_the_names_that_the_program_has,
    trees_of_enums_are_held_by_their_roots,
    a_vtable_tells_a_type_that_nothing_else_does,
    what_the_program_names_is_no_leak,
];

/// The optimized profile has `debug = 1`, by which types are not described.
const HAS_TYPES: bool = cfg!(debug_assertions);

struct User {
    _id: u32,
    name: String,
    friends: Vec<Rc<User>>,
}

enum Event {
    _Idle(u64),
    Message { _from: u32, text: String },
    Batch(Vec<Event>),
}

struct Hidden {
    users: HashMap<u64, Rc<User>>,
    by_name: BTreeMap<String, Box<[u64; 5]>>,
    events: VecDeque<Event>,
    handlers: Vec<Box<dyn Fn() -> usize + Send>>,
    shared: Rc<[String]>,
}

struct State(Hidden);

// SAFETY: only one thread uses it.
unsafe impl Send for State {}

static STATE: Mutex<Option<State>> = Mutex::new(None);

fn graph() -> Graph {
    let folder = Folder::new("fields");
    let file = folder.path().join("app.heapgraph");
    heap_graph(&file).unwrap();
    let mut graph = Graph::load(&file).unwrap();
    graph.name_all(&SymbolSearch::default());
    graph
}

fn at<T: ?Sized>(graph: &Graph, value: &T) -> BlockId {
    graph.find(at_address(value)).expect("a block")
}

fn at_address<T: ?Sized>(value: &T) -> u64 {
    std::ptr::from_ref(value).cast::<u8>().addr() as u64
}

fn fields_have_the_names_that_the_program_has() {
    alloc_core::start().unwrap();
    let ada = Rc::new(User {
        _id: 1,
        name: "Ada Lovelace".to_owned(),
        friends: Vec::new(),
    });
    let users = (0..20).map(|id| {
        let user = User {
            _id: id,
            name: format!("user {id}"),
            friends: vec![Rc::clone(&ada)],
        };
        (u64::from(id), Rc::new(user))
    });
    let kept = Box::new([1_u8; 100]);
    *STATE.lock().unwrap() = Some(State(Hidden {
        users: users.collect(),
        by_name: (0..5)
            .map(|it| (format!("name {it}"), Box::new([it; 5])))
            .collect(),
        events: VecDeque::from([Event::Batch(vec![Event::Message {
            _from: 1,
            text: "good morning".to_owned(),
        }])]),
        handlers: vec![Box::new(move || kept.len())],
        shared: Rc::from([String::from("first"), String::from("second")]),
    }));
    let graph = graph();
    alloc_core::stop();

    let state = STATE.lock().unwrap();
    let Some(State(state)) = &*state else {
        panic!("the state is set");
    };
    let check = |target: BlockId, expected: &str| {
        let found = graph.referrers(target);
        let fields: Vec<&str> = found.iter().map(|it| it.field.as_str()).collect();
        match HAS_TYPES {
            true => assert!(fields.contains(&expected), "{expected:?} in {fields:?}"),
            false => assert!(fields.iter().all(|it| it.is_empty()), "{fields:?}"),
        }
    };
    let user = &state.users[&7];
    check(at(&graph, &**user), "value");
    check(at(&graph, user.name.as_str()), "name");
    check(at(&graph, &user.friends[0]), "friends");
    check(at(&graph, &*user.friends[0]), "[0]");
    let (first, numbers) = state.by_name.first_key_value().expect("a key");
    check(at(&graph, first.as_str()), "keys[0]");
    check(at(&graph, &**numbers), "vals[0]");
    let Some(Event::Batch(batch)) = state.events.front() else {
        panic!("a batch");
    };
    check(at(&graph, &batch[0]), "[0].Batch.0");
    let Event::Message { text, .. } = &batch[0] else {
        panic!("a message");
    };
    check(at(&graph, text.as_str()), "[0].Message.text");
    check(at(&graph, &state.handlers[0]), "0.handlers");
    let found = graph.referrers(at(&graph, &*state.handlers[0]));
    let mut of_blocks = found
        .iter()
        .filter(|it| matches!(it.holder, Holder::Block(_)));
    let handler = of_blocks.next().expect("the vector");
    let (field, as_trait) = match HAS_TYPES {
        true => ("[0]", Some("Fn()")),
        false => ("", None),
    };
    assert_eq!(
        (&*handler.field, handler.as_trait.as_deref()),
        (field, as_trait)
    );
    check(at(&graph, &state.events[0]), "0.events");
    check(at(&graph, &state.shared[0]), "0.shared");
    check(at(&graph, state.shared[1].as_str()), "[1]");
    assert_eq!(
        graph.root_of(at(&graph, text.as_str())),
        Some("static fields::STATE")
    );
}

enum Expr {
    Number(u64),
    Name(String),
    Add(Box<Expr>, Box<Expr>),
    Call {
        callee: Box<Expr>,
        arguments: Vec<Expr>,
    },
}

impl Expr {
    fn of(depth: u64, seed: u64) -> Expr {
        let inner = |it: u64| Expr::of(depth - 1, seed * 31 + it);
        match (depth, seed % 3) {
            (0, 0) => Expr::Number(seed),
            (0, _) => Expr::Name(format!("variable {seed}")),
            (_, 0) => Expr::Call {
                callee: Box::new(inner(0)),
                arguments: vec![inner(1), inner(2)],
            },
            _ => Expr::Add(Box::new(inner(1)), Box::new(inner(2))),
        }
    }

    /// The bytes on the heap of the expression.
    fn deep(&self) -> usize {
        match self {
            // NOTE: read, so that it is no dead code.
            Expr::Number(number) => usize::from(*number == u64::MAX),
            Expr::Name(name) => name.capacity(),
            Expr::Add(left, right) => 2 * size_of::<Expr>() + left.deep() + right.deep(),
            Expr::Call { callee, arguments } => {
                let of_arguments: usize = arguments.iter().map(Expr::deep).sum();
                size_of::<Expr>()
                    + callee.deep()
                    + arguments.capacity() * size_of::<Expr>()
                    + of_arguments
            }
        }
    }
}

static TREES: [Mutex<Option<Box<Expr>>>; 2] = [const { Mutex::new(None) }; 2];

fn trees_of_enums_are_held_by_their_roots() {
    alloc_core::start().unwrap();
    for (at, tree) in TREES.iter().enumerate() {
        *tree.lock().unwrap() = Some(Box::new(Expr::of(10, at as u64)));
    }
    let graph = graph();
    alloc_core::stop();
    let mut deep = 0;
    for tree in &TREES {
        let tree = tree.lock().unwrap();
        let tree = tree.as_deref().expect("a tree");
        let whole = size_of::<Expr>() + tree.deep();
        deep += whole;
        assert!(graph.retained(at(&graph, tree)).get() as usize <= whole);
    }
    let roots = graph.roots();
    let root = roots
        .iter()
        .find(|it| it.name == "static fields::TREES")
        .expect("the root");
    assert!(
        root.retained.get() as usize * 100 >= deep * 99,
        "{} of {deep}",
        root.retained
    );
}

trait Shape {
    fn area(&self) -> u64;
}

struct Square {
    side: u64,
    _name: [u8; 40],
}

impl Shape for Square {
    fn area(&self) -> u64 {
        self.side * self.side
    }
}

fn a_vtable_tells_a_type_that_nothing_else_does() {
    alloc_core::start().unwrap();
    let layout = std::alloc::Layout::new::<Square>();
    // SAFETY: the size is not zero.
    let place = unsafe { std::alloc::alloc(layout) }.cast::<Square>();
    let square = Square {
        side: 3,
        _name: [1; 40],
    };
    // SAFETY: the place is for one.
    unsafe { place.write(square) };
    // SAFETY: it is initialized, and the box frees it as it was allocated.
    let square = unsafe { Box::from_raw(place) };
    let address = at_address(&*square);
    let shapes: Vec<Box<dyn Shape>> = vec![
        square,
        Box::new(Square {
            side: 1,
            _name: [2; 40],
        }),
    ];
    let graph = graph();
    alloc_core::stop();
    assert_eq!(shapes.iter().map(|it| it.area()).sum::<u64>(), 10);
    let block = graph.block(graph.find(address).expect("a block"));
    let expected = HAS_TYPES.then_some("Box<fields::Square>");
    assert_eq!(block.type_name, expected);
}

fn what_the_program_names_is_no_leak() {
    alloc_core::start().unwrap();
    // Only the complements of the addresses are stored.
    let hide = |value: Box<[u64; 30]>| !Box::into_raw(value).addr();
    let [registered, dropped, ignored] = [1, 2, 3].map(|it| hide(Box::new([it; 30])));
    let pointer = |hidden: usize| std::ptr::without_provenance::<u8>(!hidden);
    // A pointer to the middle of a block, two roots of one name, and a pointer to no block.
    let root = HeapRoot::new(pointer(registered).wrapping_add(100), "the kernel");
    let nowhere = HeapRoot::new(&raw const STATE, "the kernel");
    drop(HeapRoot::new(pointer(dropped), "gone"));
    ignore_leak(pointer(ignored));
    let graph = graph();
    alloc_core::stop();
    drop((root, nowhere));

    let block = |hidden: usize| graph.find(!hidden as u64).expect("a block");
    let root = |hidden| graph.root_of(block(hidden));
    assert_eq!(root(registered), Some("named root the kernel"));
    assert_eq!(root(ignored), Some("named root ignored by the program"));
    assert_ne!(root(dropped), Some("named root gone"));
    assert!(graph.roots().iter().all(|it| it.name != "named root gone"));
}
