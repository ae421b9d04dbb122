//! The types that blocks are allocated for, held against types that are known: each function here makes one.

#![expect(
    clippy::box_collection,
    clippy::redundant_allocation,
    clippy::vec_box,
    clippy::vec_init_then_push,
    reason = "types as programs have them"
)]

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap, HashSet, LinkedList, VecDeque};
use std::ffi::{CString, OsString};
use std::hint::black_box;
use std::path::PathBuf;
use std::rc::{Rc, Weak};
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, RwLock, mpsc};

use alloc_core::{GroupBy, Snapshot, TraceAlloc, start, take_snapshot};

#[global_allocator]
static ALLOC: TraceAlloc = TraceAlloc::system();

alloc_tests::tests![
    every_kind_of_value_has_its_type,
    a_file_with_names_keeps_the_types,
    groups_by_type_sum_up_to_the_heap,
];

#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Node {
    number: u64,
}

fn node(number: u64) -> Node {
    Node { number }
}

#[derive(Clone, Debug, Default)]
struct Pair<A, B>(A, B);

/// The allocation of an `Rc` that knows itself.
struct Own(#[expect(dead_code, reason = "kept for its size")] Weak<Own>);

#[expect(dead_code, reason = "only the blocks matter")]
enum Tree {
    Leaf,
    Fork(Box<Tree>, Box<Tree>),
}

static KEPT: Option<Node> = Some(Node { number: 1 });

trait Area {
    fn area(&self) -> u64;
}

impl Area for Node {
    fn area(&self) -> u64 {
        self.number
    }
}

/// Functions that make one value each, with the types of the blocks that it takes.
macro_rules! values {
    ($($name:ident -> $type:ty { $value:expr } is $($expected:literal),+;)+) => {
        $(
            #[inline(never)]
            fn $name() -> $type {
                let value: $type = $value;
                // NOTE: else the optimizer may merge two functions, or end one in a jump.
                black_box(stringify!($name));
                value
            }
        )+

        /// Makes each value, keeps it, and hands over the types that its blocks should have.
        fn all(mut each: impl FnMut(&'static str, &'static [&'static str])) -> Vec<Box<dyn std::any::Any>> {
            let mut kept: Vec<Box<dyn std::any::Any>> = Vec::new();
            $(
                kept.push(Box::new($name()));
                each(stringify!($name), &[$($expected),+]);
            )+
            kept
        }
    };
}

values! {
    a_box -> Box<Node> { Box::new(node(1)) } is "Box<types::Node>";
    a_trait_object -> Box<dyn Area> { Box::new(node(1)) } is "Box<types::Node>";
    a_boxed_slice -> Box<[Node]> { vec![node(1), node(2)].into() } is "Box<[types::Node; 2]>";
    a_boxed_string -> Box<str> { "text".into() } is "Box<str>";
    an_rc -> Rc<Node> { Rc::new(node(1)) } is "Rc<types::Node>";
    an_arc -> Arc<Node> { Arc::new(node(1)) } is "Arc<types::Node>";
    a_shared_string -> Arc<str> { Arc::from("text") } is "Arc<str>";
    a_grown_vec -> Vec<Node> {{
        let mut nodes = Vec::new();
        for number in 0..20 {
            nodes.push(node(number));
        }
        nodes
    }} is "Vec<types::Node>";
    a_collected_vec -> Vec<Node> { (0..20).map(node).collect() } is "Vec<types::Node>";
    a_vec_of_zeros -> Vec<u16> { vec![0; 100] } is "Vec<u16>";
    a_vec_with_capacity -> Vec<Vec<u8>> { Vec::with_capacity(9) } is "Vec<Vec<u8>>";
    a_vec_of_bytes -> Vec<u8> { Vec::with_capacity(9) } is "Vec<u8>";
    a_string -> String { "text".to_owned() } is "String";
    a_formatted_string -> String { format!("{} and {}", 1, 2) } is "String";
    a_number_as_string -> String { 1234.to_string() } is "String";
    a_grown_string -> String {{
        let mut text = String::new();
        text.push('a');
        text.push_str("bcd");
        text
    }} is "String";
    a_joined_string -> String { ["a", "b"].join(", ") } is "String";
    strings -> Vec<String> { "a b c".split(' ').map(str::to_owned).collect() } is "String", "Vec<String>";
    a_map -> HashMap<u64, Node> { (0..20).map(|it| (it, node(it))).collect() } is "HashMap<u64, types::Node>";
    a_set -> HashSet<Node> { (0..20).map(node).collect() } is "HashSet<types::Node>";
    an_ordered_map -> BTreeMap<u64, Node> {{
        let mut map = BTreeMap::new();
        for number in 0..50 {
            map.insert(number, node(number));
        }
        map
    }} is "BTreeMap<u64, types::Node>";
    an_ordered_set -> BTreeSet<Node> {{
        let mut set = BTreeSet::new();
        for number in 0..50 {
            set.insert(node(number));
        }
        set
    }} is "BTreeSet<types::Node>";
    a_ring -> VecDeque<Node> {{
        let mut ring = VecDeque::new();
        for number in 0..20 {
            ring.push_back(node(number));
        }
        ring
    }} is "VecDeque<types::Node>";
    a_list -> LinkedList<Node> {{
        let mut list = LinkedList::new();
        list.push_back(node(1));
        list
    }} is "LinkedList<types::Node>";
    a_heap -> BinaryHeap<Node> {{
        let mut heap = BinaryHeap::new();
        heap.push(node(1));
        heap
    }} is "BinaryHeap<types::Node>";
    a_c_string -> CString { CString::new("text").unwrap() } is "CString";
    a_system_string -> OsString { OsString::from("text").as_os_str().to_owned() } is "OsString", "String";
    a_path -> PathBuf { PathBuf::from("/a/b").join("c") } is "PathBuf", "String";
    a_closure -> Box<dyn Fn() -> u64> {{
        let node = node(3);
        Box::new(move || node.area())
    }} is "Box<closure in types::a_closure>";
    a_future -> std::pin::Pin<Box<dyn Future<Output = u64>>> {{
        let node = node(3);
        Box::pin(async move { node.area() })
    }} is "Box<async block in types::a_future>";
    a_channel -> (mpsc::SyncSender<Node>, mpsc::Receiver<Node>) { mpsc::sync_channel(5) } is
        "Box<Counter<Channel<types::Node>>>",
        "Vec<Slot<types::Node>>";
    a_boxed_number -> Box<u64> { Box::new(7) } is "Box<u64>";
    a_boxed_array -> Box<[u8; 4096]> { Box::new([7; 4096]) } is "Box<[u8; 4096]>";
    a_boxed_tuple -> Box<(u32, Node)> { Box::new((1, node(1))) } is "Box<(u32, types::Node)>";
    a_boxed_option -> Box<Option<Node>> { Box::new(Some(node(1))) } is "Box<Option<types::Node>>";
    a_boxed_box -> Box<Box<Node>> { Box::new(Box::new(node(1))) } is "Box<Box<types::Node>>", "Box<types::Node>";
    a_boxed_vec -> Box<Vec<u8>> { Box::new(vec![1, 2, 3]) } is "Box<Vec<u8>>", "Vec<u8>", "Box<[u8; 3]>";
    a_boxed_generic -> Box<Pair<u8, Node>> { Box::new(Pair(1, node(1))) } is "Box<types::Pair<u8, types::Node>>";
    a_tree -> Tree { Tree::Fork(Box::new(Tree::Leaf), Box::new(Tree::Leaf)) } is "Box<types::Tree>";
    a_default_box -> Box<Pair<u8, u8>> { Box::default() } is "Box<types::Pair<u8, u8>>";
    a_cloned_box -> Box<Node> { Box::new(black_box(&KEPT).clone().unwrap()) } is "Box<types::Node>";
    a_pinned_box -> std::pin::Pin<Box<Node>> { Box::pin(node(1)) } is "Box<types::Node>";
    a_box_of_copied_slice -> Box<[u64]> { Box::from(black_box(&[1_u64, 2, 3][..])) } is "Box<[u64]>", "Vec<u64>";
    a_shared_cell -> Rc<Cell<u8>> { Rc::new(Cell::new(1)) } is "Rc<Cell<u8>>";
    a_shared_ref_cell -> Rc<RefCell<Node>> { Rc::new(RefCell::new(node(1))) } is "Rc<RefCell<types::Node>>";
    an_rc_of_text -> Rc<str> { Rc::from("text") } is "Rc<str>";
    an_rc_of_numbers -> Rc<[u64]> { Rc::from(black_box(&[1_u64, 2][..])) } is "Rc<[u64]>";
    an_rc_object -> Rc<dyn Area> { Rc::new(node(1)) } is "Rc<types::Node>";
    a_weak_rc -> Weak<Node> { Rc::downgrade(&Rc::new(node(1))) } is "Rc<types::Node>";
    a_cyclic_rc -> Rc<Own> { Rc::new_cyclic(|own| Own(own.clone())) } is "Rc<types::Own>";
    an_arc_of_a_lock -> Arc<Mutex<Node>> { Arc::new(Mutex::new(node(1))) } is "Arc<Mutex<types::Node>>";
    an_arc_of_a_shared_lock -> Arc<RwLock<u64>> { Arc::new(RwLock::new(1)) } is "Arc<RwLock<u64>>";
    an_arc_of_an_atomic -> Arc<AtomicU64> { Arc::new(AtomicU64::new(1)) } is "Arc<AtomicU64>", "Arc<Atomic<u64>>";
    an_arc_of_nodes -> Arc<[Node]> { Arc::from(vec![node(1), node(2)]) } is "Arc<[types::Node]>",
        "Vec<types::Node>", "Box<[types::Node; 2]>";
    an_arc_of_an_arc -> Arc<Arc<u8>> { Arc::new(Arc::new(1)) } is "Arc<Arc<u8>>", "Arc<u8>";
    an_arc_object -> Arc<dyn Area + Send + Sync> { Arc::new(node(1)) } is "Arc<types::Node>";
    a_vec_of_pairs -> Vec<(u8, u16)> { vec![(1, 2); black_box(9)] } is "Vec<(u8, u16)>";
    a_vec_of_options -> Vec<Option<u64>> { vec![None; black_box(9)] } is "Vec<Option<u64>>";
    a_vec_of_boxes -> Vec<Box<Node>> { (0..3).map(|it| Box::new(node(it))).collect() } is
        "Vec<Box<types::Node>>", "Box<types::Node>";
    a_vec_of_arrays -> Vec<[u8; 3]> { Vec::with_capacity(9) } is "Vec<[u8; 3]>";
    a_vec_of_texts -> Vec<&'static str> { "a b c".split(' ').collect() } is "Vec<&str>";
    a_vec_of_letters -> Vec<char> { black_box("abc").chars().collect() } is "Vec<char>";
    a_vec_of_floats -> Vec<f64> {{
        let mut floats = Vec::new();
        floats.extend_from_slice(black_box(&[1.0, 2.0]));
        floats
    }} is "Vec<f64>";
    a_cloned_vec -> Vec<u32> { black_box(&[1_u32, 2, 3]).to_vec() } is "Vec<u32>";
    a_resized_vec -> Vec<u64> {{
        let mut numbers = Vec::new();
        numbers.resize(black_box(99), 7);
        numbers
    }} is "Vec<u64>";
    a_reserved_vec -> Vec<u128> {{
        let mut numbers = Vec::new();
        numbers.reserve_exact(black_box(9));
        numbers
    }} is "Vec<u128>";
    an_inserted_vec -> Vec<Node> {{
        let mut nodes = Vec::new();
        nodes.insert(0, node(1));
        nodes
    }} is "Vec<types::Node>";
    a_split_vec -> (Vec<u16>, Vec<u16>) {{
        let mut first = vec![7; black_box(9)];
        let second = first.split_off(4);
        (first, second)
    }} is "Vec<u16>";
    a_concatenated_vec -> Vec<u16> { [&[1_u16, 2][..], &[3]].concat() } is "Vec<u16>";
    a_repeated_vec -> Vec<u16> { [1_u16, 2].repeat(black_box(9)) } is "Vec<u16>";
    a_shrunk_vec -> Vec<u16> {{
        let mut numbers = Vec::with_capacity(black_box(9));
        numbers.push(1);
        numbers.shrink_to_fit();
        numbers
    }} is "Vec<u16>";
    a_vec_of_vecs -> Vec<Vec<Node>> { vec![vec![node(1)]] } is
        "Box<[Vec<types::Node>; 1]>", "Box<[types::Node; 1]>";
    a_vec_of_results -> Vec<Result<u8, Node>> { Vec::with_capacity(9) } is "Vec<Result<u8, types::Node>>";
    a_vec_of_generics -> Vec<Pair<u8, u16>> { Vec::with_capacity(9) } is "Vec<types::Pair<u8, u16>>";
    a_vec_of_functions -> Vec<fn(u64) -> Node> {{
        let mut functions: Vec<fn(u64) -> Node> = Vec::new();
        functions.push(node);
        functions
    }} is "Vec<fn(u64) -> types::Node>";
    a_string_with_capacity -> String { String::with_capacity(9) } is "String";
    an_upper_case_string -> String { black_box("text").to_uppercase() } is "String";
    a_replaced_string -> String { black_box("text").replace('t', "T") } is "String";
    a_repeated_string -> String { black_box("text").repeat(9) } is "String", "Vec<u8>";
    a_collected_string -> String { black_box("text").chars().rev().collect() } is "String";
    a_concatenated_string -> String { ["a", "b"].concat() } is "String";
    an_added_string -> String { "a".to_owned() + "b" } is "String";
    a_cloned_string -> String { black_box(&"text".to_owned()).clone() } is "String";
    a_string_of_bytes -> String { String::from_utf8(black_box(b"text").to_vec()).unwrap() } is "Vec<u8>";
    a_lossy_string -> String { String::from_utf8_lossy(black_box(b"te\xFFxt")).into_owned() } is "String";
    a_debug_string -> String { format!("{:?}", black_box(node(1))) } is "String";
    a_map_of_strings -> HashMap<String, u8> { HashMap::from([("a".to_owned(), 1)]) } is "HashMap<String, u8>", "String";
    a_map_with_capacity -> HashMap<u8, u16> { HashMap::with_capacity(9) } is "HashMap<u8, u16>";
    a_map_of_maps -> HashMap<u8, HashMap<u16, u32>> {{
        let mut map = HashMap::new();
        map.insert(1, HashMap::from([(1, 1)]));
        map
    }} is "HashMap<u8, HashMap<u16, u32>>", "HashMap<u16, u32>";
    a_map_by_entry -> HashMap<u8, Node> {{
        let mut map = HashMap::new();
        map.entry(1).or_insert_with(|| node(1));
        map
    }} is "HashMap<u8, types::Node>";
    a_set_of_numbers -> HashSet<u64> { (0..20).collect() } is "HashSet<u64>";
    an_ordered_map_of_strings -> BTreeMap<String, u8> { BTreeMap::from([("a".to_owned(), 1)]) } is
        "BTreeMap<String, u8>", "String";
    an_ordered_map_by_entry -> BTreeMap<u8, u16> {{
        let mut map = BTreeMap::new();
        *map.entry(black_box(1)).or_insert(1) += 1;
        map
    }} is "BTreeMap<u8, u16>";
    a_collected_ordered_set -> BTreeSet<u64> { (0..20).rev().collect() } is "BTreeSet<u64>", "Vec<u64>";
    a_ring_with_capacity -> VecDeque<u8> { VecDeque::with_capacity(9) } is "VecDeque<u8>";
    a_ring_from_the_front -> VecDeque<u64> {{
        let mut ring = VecDeque::new();
        ring.push_front(1);
        ring
    }} is "VecDeque<u64>";
    a_list_of_strings -> LinkedList<String> { LinkedList::from(["a".to_owned()]) } is "LinkedList<String>", "String";
    a_heap_with_capacity -> BinaryHeap<(u64, u64)> { BinaryHeap::with_capacity(9) } is "BinaryHeap<(u64, u64)>";
    a_moving_closure -> Box<dyn FnOnce() -> Vec<u8>> {{
        let bytes = vec![7; black_box(9)];
        Box::new(move || bytes)
    }} is "Box<closure in types::a_moving_closure>", "Vec<u8>";
    a_boxed_iterator -> Box<dyn Iterator<Item = u64>> { Box::new(0..black_box(9)) } is "Box<Range<u64>>";
    an_error -> Box<dyn std::error::Error> { Box::new(std::io::Error::from_raw_os_error(2)) } is "Box<Error>";
    an_unbounded_channel -> (mpsc::Sender<Node>, mpsc::Receiver<Node>) {{
        let (sender, receiver) = mpsc::channel();
        sender.send(node(1)).unwrap();
        (sender, receiver)
    }} is "Box<Counter<Channel<types::Node>>>", "Channel<types::Node>";
}

fn types_of(snapshot: &Snapshot, function: &str) -> BTreeSet<String> {
    let is_within =
        |name: Option<&str>| name.is_some_and(|it| it.rsplit("::").next() == Some(function));
    let traces = snapshot.traces().iter();
    let own = traces.filter(|it| it.traceback.iter().any(|frame| is_within(frame.function())));
    own.map(|it| it.type_name.as_deref().unwrap_or("<unknown>").to_owned())
        .collect()
}

fn check_all(snapshot: &Snapshot, expected: &[(&str, &[&str])]) {
    let mut wrong = Vec::new();
    for (function, expected) in expected {
        let found = types_of(snapshot, function);
        let is_right = !found.is_empty() && found.iter().all(|it| expected.contains(&it.as_str()));
        if !is_right || !found.contains(expected[0]) {
            wrong.push(format!(
                "{function}: expected {expected:?}, found {found:?}"
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn every_kind_of_value_has_its_type() {
    start().unwrap();
    let mut expected = Vec::with_capacity(200);
    let kept = all(|function, types| expected.push((function, types)));
    let snapshot = take_snapshot().unwrap();
    assert!(expected.len() >= 100, "{} values", expected.len());
    check_all(&snapshot, &expected);
    drop(kept);
}

fn a_file_with_names_keeps_the_types() {
    start().unwrap();
    let mut expected = Vec::new();
    let kept = all(|function, types| expected.push((function, types)));
    let snapshot = take_snapshot().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("heap.pb.gz");
    for names in [alloc_core::Names::Symbols, alloc_core::Names::Addresses] {
        snapshot.dump_with(&path, names).unwrap();
        check_all(&Snapshot::load(&path).unwrap(), &expected);
    }
    drop(kept);
}

fn groups_by_type_sum_up_to_the_heap() {
    start().unwrap();
    let kept = all(|_, _| {});
    let snapshot = take_snapshot().unwrap();
    let sum: u64 = snapshot
        .statistics(GroupBy::Type)
        .iter()
        .map(|it| it.size.get())
        .sum();
    assert_eq!(sum, snapshot.traced_memory().current.get());
    drop(kept);
}
