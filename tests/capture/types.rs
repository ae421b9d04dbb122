//! The types that blocks are allocated for, held against types that are known: each function here makes one.

use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap, HashSet, LinkedList, VecDeque};
use std::ffi::{CString, OsString};
use std::hint::black_box;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::{Arc, mpsc};

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
    let mut expected = Vec::new();
    let kept = all(|function, types| expected.push((function, types)));
    let snapshot = take_snapshot().unwrap();
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
