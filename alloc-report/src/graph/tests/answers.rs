//! Cycles, leaks, counts, groups and paths.

use super::super::builder::{Builder, sample};
use super::super::{BlockId, Certainty, Holder};
use super::read;

#[test]
fn a_cycle_with_weak_references_that_a_root_reaches_is_none() {
    let mut builder = Builder::default();
    let parent = builder.callsite("Rc<Parent>", "app::f", "src/a.rs", 1);
    let child = builder.callsite("Rc<Child>", "app::f", "src/a.rs", 2);
    let [parent, child] = [(parent, 48), (child, 40)].map(|it| builder.block(it.0, it.1));
    builder.edge(parent, 2, child);
    builder.edge(child, 2, parent);
    // One handle on the stack, one weak of the child.
    builder.counts(parent, 1, 2);
    builder.counts(child, 1, 1);
    let main = builder.thread("main", &[]);
    builder.root(3, main, builder.stack(main), parent);
    let graph = read(&builder);
    assert!(graph.cycles().is_empty() && graph.leaks().is_empty() && graph.counts().is_empty());
    let counts = graph.counts_of(BlockId(parent)).unwrap();
    assert_eq!((counts.strong, counts.weak, counts.found), (1, 1, 2));
}

#[test]
fn equal_cycles_are_counted_once_each() {
    let mut builder = Builder::default();
    let node = builder.callsite("Rc<Node>", "app::f", "src/a.rs", 1);
    for _ in 0..3 {
        let [a, b] = [32, 32].map(|size| builder.block(node, size));
        builder.edge(a, 2, b);
        builder.edge(b, 2, a);
        builder.counts(a, 1, 1);
        builder.counts(b, 1, 1);
    }
    // A node that refers to itself.
    let own = builder.block(node, 32);
    builder.edge(own, 2, own);
    builder.counts(own, 1, 1);
    let cycles = read(&builder).cycles();
    let found: Vec<(String, u64, u64)> = cycles
        .iter()
        .map(|it| (it.to_string(), it.count, it.retained.get()))
        .collect();
    let two = "Rc<Node> -> Rc<Node> -> Rc<Node>".to_owned();
    let one = "Rc<Node> -> Rc<Node>".to_owned();
    assert_eq!(found, [(two, 3, 192), (one, 1, 32)]);
    assert!(cycles.iter().all(|it| it.certainty == Certainty::Certain));
}

#[test]
fn what_a_hidden_reference_holds_is_not_certain() {
    let mut builder = Builder::default();
    let node = builder.callsite("Rc<Node>", "app::f", "src/a.rs", 1);
    let [first, a, b] = [32, 32, 32].map(|size| builder.block(node, size));
    // Nobody is seen to hold the first, but it counts one.
    builder.edge(first, 2, a);
    builder.edge(a, 2, b);
    builder.edge(b, 2, a);
    builder.counts(first, 1, 1);
    builder.counts(a, 2, 1);
    builder.counts(b, 1, 1);
    let graph = read(&builder);
    assert_eq!(graph.cycles()[0].certainty, Certainty::Likely);
    // One tree: the first, which leads to the cycle.
    let leaks = graph.leaks();
    assert_eq!(
        (leaks.len(), leaks[0].heads, leaks[0].retained.get()),
        (1, 1, 96)
    );
    assert!(!leaks[0].is_cycle);
}

#[test]
fn words_left_on_stacks_and_in_freed_memory_hide_no_cycle() {
    const LEFT: [(u8, u64); 4] = [(3, 0x108), (3, 0x10), (4, 0), (5, 0x100_0000)];
    let parent = 8;
    for (kind, place) in LEFT {
        for block in [parent, parent + 1, parent + 2] {
            let mut builder = crate::graph::builder::sample();
            builder.root(kind, 0, builder.stack(0) + place, block);
            let cycles = read(&builder).cycles();
            assert_eq!(cycles.len(), 1, "{kind} {block}");
            assert_eq!(cycles[0].certainty, Certainty::Certain);
            // What is on the stack or in unknown memory counts.
            builder.counts(parent, 2, 1);
            assert!(read(&builder).cycles().is_empty(), "{kind} {block}");
        }
    }
}

#[test]
fn a_box_on_a_stack_may_own_what_points_back_to_it() {
    fn cycles(kind: u8) -> Vec<Certainty> {
        let mut builder = Builder::default();
        let root = builder.callsite("Box<Root>", "app::f", "src/a.rs", 1);
        let part = builder.callsite("Rc<Part>", "app::f", "src/a.rs", 2);
        let root = builder.block(root, 24);
        let part = builder.block(part, 32);
        builder.edge(root, 1, part);
        builder.counts(part, 1, 1);
        builder.edge(part, 2, root);
        builder.thread("main", &[(0x40_2001, 0x100)]);
        builder.root(kind, 0, builder.stack(0) + 0x80, root);
        read(&builder)
            .cycles()
            .iter()
            .map(|it| it.certainty)
            .collect()
    }
    assert_eq!(cycles(3), []);
    assert_eq!(cycles(4), []);
    assert_eq!(cycles(5), [Certainty::OnlyUnknownMemory]);
}

#[test]
fn a_list_with_pointers_back_is_a_leak_and_no_cycle() {
    let mut builder = Builder::default();
    let node = builder.callsite("LinkedList<u8>", "app::f", "src/a.rs", 1);
    let [a, b] = [24, 24].map(|size| builder.block(node, size));
    builder.edge(a, 0, b);
    builder.edge(b, 1, a);
    let graph = read(&builder);
    assert!(graph.cycles().is_empty());
    let leaks = graph.leaks();
    assert_eq!((leaks[0].heads, leaks[0].retained.get()), (1, 48));
    assert!(leaks[0].is_cycle && leaks[0].certainty == Certainty::Likely);
}

#[test]
fn handles_made_by_into_raw_are_found() {
    let mut builder = Builder::default();
    let node = builder.callsite("Arc<Task>", "app::f", "src/a.rs", 1);
    let task = builder.block(node, 64);
    builder.counts(task, 2, 1);
    builder.in_static(0x10, task);
    let finding = &read(&builder).counts()[0];
    assert_eq!((finding.blocks, finding.missing), (1, 1));
    builder.root_into(1, 0, 0x40_0020, task, 16);
    assert!(read(&builder).counts().is_empty());
}

#[test]
fn what_a_group_retains_has_no_block_twice() {
    let mut builder = Builder::default();
    let node = builder.callsite("Box<Node>", "app::f", "src/a.rs", 1);
    let leaf = builder.callsite("String", "app::f", "src/a.rs", 2);
    let [outer, inner] = [10, 20].map(|size| builder.block(node, size));
    let [text, other] = [40, 80].map(|size| builder.block(leaf, size));
    builder.edge(outer, 0, inner);
    builder.edge(inner, 0, text);
    builder.in_static(0x10, outer);
    builder.in_static(0x20, other);
    let rows = read(&builder).by(alloc_core_snapshot::GroupBy::Type);
    let rows: Vec<(String, u64, u64, u64)> = rows
        .iter()
        .map(|it| {
            (
                it.key.to_string(),
                it.blocks,
                it.bytes.get(),
                it.retained.get(),
            )
        })
        .collect();
    assert_eq!(
        rows,
        [
            ("String".to_owned(), 2, 120, 120),
            ("Box<Node>".to_owned(), 2, 30, 70),
        ]
    );
}

#[test]
fn a_path_names_the_words_it_goes_through() {
    let graph = read(&sample());
    let why = graph.why(BlockId(2));
    let steps: Vec<(Option<BlockId>, u64, u64)> = why.paths[0]
        .steps
        .iter()
        .map(|it| {
            let holder = match it.holder {
                Holder::Block(block) => Some(block),
                Holder::Root { .. } => None,
            };
            (holder, it.at, it.offset)
        })
        .collect();
    assert_eq!(
        steps,
        [
            (None, 0x40_1000, 64),
            (Some(BlockId(0)), 8, 0),
            (Some(BlockId(1)), 24, 0),
        ]
    );
    // What nothing reaches has a chain and no path.
    let why = graph.why(BlockId(7));
    assert!(why.paths.is_empty());
    assert!(matches!(&why.chain[0].holder, Holder::Root { name, .. } if name == "nothing"));
}
