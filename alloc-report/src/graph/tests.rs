//! Each rule of evidence, on graphs made by hand.

use super::builder::{Builder, sample};
use super::{BlockId, Certainty, Graph, Holder, Reach, Variable, Variables};

fn read(graph: &Builder) -> Graph {
    Graph::read(&graph.file()).expect("a graph")
}

/// The names of roots and what they retain, without those that retain nothing.
#[track_caller]
fn check_roots(graph: &Graph, expected: &[(&str, u64)]) {
    let roots = graph.roots();
    let found: Vec<(&str, u64)> = roots
        .iter()
        .map(|it| (it.name.as_str(), it.retained.get()))
        .filter(|it| it.1 > 0)
        .collect();
    assert_eq!(found, expected);
    let sum: u64 = found.iter().map(|it| it.1).sum();
    assert_eq!(graph.bytes(), sum + graph.shared().bytes.get());
}

fn reach(graph: &Graph, block: u32) -> Reach {
    graph.block(BlockId(block)).reach
}

#[test]
fn the_sample_is_held_as_it_says() {
    let graph = read(&sample());
    check_roots(
        &graph,
        &[
            ("the stack of main", 800),
            ("static program+0x1000", 84 + 2 * 164),
            ("nothing", 70 + 120),
        ],
    );
    assert_eq!(graph.deep_size(BlockId(8)), 120);
    assert_eq!(graph.retained(BlockId(8)), 120);
}

#[test]
fn a_better_root_owns_what_several_classes_reach() {
    let mut builder = Builder::default();
    let node = builder.callsite("Box<Node>", "app::f", "src/a.rs", 1);
    let main = builder.thread("main", &[]);
    let [on_stack, shared, below] = [10, 20, 40].map(|size| builder.block(node, size));
    builder.edge(on_stack, 0, shared);
    builder.edge(shared, 0, below);
    builder.root(3, main, builder.stack(main), on_stack);
    builder.root(3, main, builder.stack(main) + 8, shared);
    builder.root(4, main, builder.stack(main) + 16, shared);
    builder.in_static(0x10, shared);
    check_roots(
        &read(&builder),
        &[("static program+0x10", 60), ("the stack of main", 10)],
    );
    // Two statics share it.
    builder.in_static(0x20, below);
    let graph = read(&builder);
    check_roots(
        &graph,
        &[("static program+0x10", 20), ("the stack of main", 10)],
    );
    assert_eq!(graph.shared().bytes, 40);
    assert_eq!(graph.root_of(BlockId(below)), None);
    let why = graph.why(BlockId(below));
    assert_eq!(why.chain.len(), 1);
    let roots: Vec<&str> = why.paths.iter().map(|it| it.root.as_str()).collect();
    assert_eq!(roots, ["static program+0x20", "static program+0x10"]);
}

#[test]
fn words_left_behind_count_only_for_what_nothing_better_reaches() {
    let mut builder = Builder::default();
    let bytes = builder.callsite("Vec<u8>", "app::f", "src/a.rs", 1);
    let node = builder.callsite("Box<Node>", "app::f", "src/a.rs", 2);
    let buffer = builder.block(bytes, 100);
    let [held, only_here] = [10, 20].map(|size| builder.block(node, size));
    builder.edge(buffer, 0, held);
    builder.edge(buffer, 1, only_here);
    builder.in_static(0x10, buffer);
    builder.in_static(0x20, held);
    let graph = read(&builder);
    check_roots(
        &graph,
        &[("static program+0x10", 120), ("static program+0x20", 10)],
    );
    assert_eq!(reach(&graph, held), Reach::Strongly);
    assert_eq!(reach(&graph, only_here), Reach::Weakly);
    assert_eq!(graph.deep_size(BlockId(buffer)), 120);
}

#[test]
fn pointers_into_the_middle_count_where_owners_point() {
    #[track_caller]
    fn check(type_name: &str, size: u64, offset: u64, expected: Reach) {
        let mut builder = Builder::default();
        let holder = builder.callsite("Box<Holder>", "app::f", "src/a.rs", 1);
        let target = builder.callsite(type_name, "app::f", "src/a.rs", 2);
        let holder = builder.block(holder, 16);
        let target = builder.block(target, size);
        builder.edge_into(holder, 0, target, offset);
        builder.in_static(0x10, holder);
        assert_eq!(reach(&read(&builder), target), expected, "{type_name}");
    }
    check("Box<Node>", 64, 0, Reach::Strongly);
    // A tag in the lowest bits.
    check("Box<Node>", 64, 7, Reach::Strongly);
    check("Box<Node>", 64, 8, Reach::Weakly);
    check("Box<Node>", 64, 16, Reach::Weakly);
    check("Rc<Node>", 64, 16, Reach::Strongly);
    check("Arc<Node>", 64, 24, Reach::Weakly);
    check("HashMap<u8, Rc<Node>>", 64 + 4 + 16, 64, Reach::Strongly);
    check("HashMap<u8, Rc<Node>>", 64 + 4 + 16, 48, Reach::Weakly);
    // A table of a type that nobody knows, and something else of that size.
    check("", 64 + 4 + 16, 64, Reach::Strongly);
    check("Box<Node>", 64 + 4 + 16, 64, Reach::Weakly);
}

#[test]
fn words_behind_the_length_of_a_vector_are_left_behind() {
    #[track_caller]
    fn check(type_name: &str, lengths: &[(u64, u64)], expected: Reach) {
        let mut builder = Builder::default();
        let vector = builder.callsite(type_name, "app::f", "src/a.rs", 1);
        let node = builder.callsite("Box<Node>", "app::f", "src/a.rs", 2);
        let owner = builder.callsite("Box<Owner>", "app::f", "src/a.rs", 3);
        let [vector, node] = [(vector, 80), (node, 8)].map(|it| builder.block(it.0, it.1));
        for (capacity, length) in lengths {
            let owner = builder.block(owner, 24);
            builder.vector(owner, 1, vector, *capacity, *length);
            builder.in_static(0x10, owner);
        }
        // The fourth of ten elements.
        builder.edge(vector, 3, node);
        assert_eq!(reach(&read(&builder), node), expected, "{lengths:?}");
    }
    check("Vec<Box<Node>>", &[(10, 3)], Reach::Weakly);
    check("Vec<Box<Node>>", &[(10, 4)], Reach::Strongly);
    check("Vec<Box<Node>>", &[(5, 1)], Reach::Weakly);
    check("Vec<Box<Node>>", &[(5, 2)], Reach::Strongly);
    // A copy that was left behind has an older length.
    check("Vec<Box<Node>>", &[(10, 3), (10, 9)], Reach::Strongly);
    // The head of a ring buffer is where a vector has its length.
    check("VecDeque<Box<Node>>", &[(10, 3)], Reach::Strongly);
}

#[test]
fn unknown_memory_and_nothing_are_verdicts_of_their_own() {
    let mut builder = Builder::default();
    let node = builder.callsite("Box<Node>", "app::f", "src/a.rs", 1);
    let [unknown, below, leaked, inner] = [1, 2, 4, 8].map(|size| builder.block(node, size));
    builder.edge(unknown, 0, below);
    builder.edge(leaked, 0, inner);
    builder.root(5, 0, 0x9000_0000, unknown);
    let graph = read(&builder);
    check_roots(&graph, &[("nothing", 12), ("unknown memory", 3)]);
    assert_eq!(reach(&graph, below), Reach::OnlyByUnknownMemory);
    let leaks = graph.leaks();
    assert_eq!(leaks.len(), 1);
    assert_eq!((leaks[0].heads, leaks[0].retained.get()), (1, 12));
    assert_eq!(leaks[0].example, BlockId(leaked));
    assert_eq!(leaks[0].certainty, Certainty::Likely);
}

#[test]
fn statics_of_the_c_library_hold_starts_only() {
    let mut builder = Builder::default();
    builder
        .modules
        .push((0x50_0000, "/usr/lib/libc.so.6".to_owned(), 0, 0));
    let node = builder.callsite("Rc<Node>", "app::f", "src/a.rs", 1);
    let [start, middle] = [64, 64].map(|size| builder.block(node, size));
    builder.root(1, 1, 0x50_0010, start);
    builder.root_into(1, 1, 0x50_0018, middle, 16);
    let graph = read(&builder);
    assert_eq!(reach(&graph, start), Reach::Strongly);
    assert_eq!(reach(&graph, middle), Reach::Weakly);
    check_roots(&graph, &[("statics of libc.so.6", 128)]);
}

/// Two stacks whose functions have no names, in parts of 0x100 bytes.
#[test]
fn a_caller_owns_what_it_and_its_callees_refer_to() {
    let mut builder = Builder::default();
    let node = builder.callsite("Box<Node>", "app::f", "src/a.rs", 1);
    let [outer, below, inner, shared] = [1, 2, 4, 8].map(|size| builder.block(node, size));
    builder.edge(outer, 0, below);
    let threads = ["one", "two"].map(|it| builder.thread(it, &[(1, 0x100), (2, 0x100)]));
    let stacks = threads.map(|it| (it, builder.stack(it)));
    let (one, start) = stacks[0];
    builder.root(3, one, start + 0x180, outer);
    // Left behind in what the function called.
    builder.root(3, one, start + 0x80, below);
    builder.root(3, one, start + 0x88, inner);
    for (thread, start) in stacks {
        builder.root(3, thread, start + 0x180, shared);
    }
    let graph = read(&builder);
    check_roots(&graph, &[("the stack of one", 7)]);
    assert_eq!(graph.shared().bytes, 8);
    assert_eq!(graph.retained(BlockId(outer)), 1);
    let why = graph.why(BlockId(below));
    assert_eq!((why.chain.len(), why.chain[0].retained.get()), (2, 7));
}

#[test]
fn roots_have_names() {
    let mut builder = Builder::default();
    builder
        .modules
        .push((0x50_0000, "/usr/lib/libz.so.1".to_owned(), 0x300, 0x80));
    let node = builder.callsite("Box<Node>", "app::f", "src/a.rs", 1);
    let [one, two] = [1, 2].map(|_| builder.thread("worker", &[]));
    let pointer = |thread: u64| 0x6000_0000 + thread * 0x1000;
    let mut block = |size| builder.block(node, size);
    let blocks: Vec<u32> = (0..9).map(|at| block(1 << at)).collect();
    builder.in_static(0x1008, blocks[0]);
    builder.root(1, 1, 0x50_0010, blocks[1]);
    builder.root(2, one, pointer(one) - 0x100 + 0x20, blocks[2]);
    builder.root(2, two, pointer(two) - 0x100 + 0x20, blocks[3]);
    builder.root(2, two, pointer(two) - 0x300 + 0x8, blocks[4]);
    builder.root(2, two, pointer(two) + 0x10, blocks[5]);
    builder.root(4, one, builder.stack(one), blocks[6]);
    builder.root(6, 0, 0x1234_5678, blocks[7]);
    builder.root(2, one, pointer(one) - 0x10, blocks[8]);
    let mut graph = read(&builder);
    let variable = |start, name: &str| Variable {
        start,
        size: 16,
        name: name.to_owned(),
    };
    let local = "app::LOCAL::{{constant}}::{{closure}}::VAL";
    graph.set_variables(
        0,
        Variables {
            statics: vec![variable(0x1000, "app::CACHE")],
            thread_locals: vec![variable(0x20, local)],
        },
    );
    graph.set_variables(
        1,
        Variables {
            statics: vec![variable(0x10, "crc_table")],
            thread_locals: vec![variable(0x8, "state")],
        },
    );
    check_roots(
        &graph,
        &[
            ("thread-locals without names", 256),
            ("the root 0x12345678 that the program named", 128),
            ("the registers of worker", 64),
            ("the C library's data of threads", 32),
            ("thread-local state of libz.so.1", 16),
            ("thread-local app::LOCAL", 4 + 8),
            ("static crc_table of libz.so.1", 2),
            ("static app::CACHE", 1),
        ],
    );
}

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
fn a_cycle_that_unknown_memory_refers_to_must_explain_itself() {
    let mut builder = Builder::default();
    let node = builder.callsite("Arc<Task>", "app::f", "src/a.rs", 1);
    let [a, b] = [32, 32].map(|size| builder.block(node, size));
    builder.edge(a, 2, b);
    builder.edge(b, 2, a);
    builder.counts(a, 1, 1);
    builder.counts(b, 1, 1);
    builder.root(5, 0, 0x9000_0000, a);
    let cycles = read(&builder).cycles();
    assert_eq!(cycles[0].certainty, Certainty::OnlyUnknownMemory);
    // The unknown memory counts.
    builder.counts(a, 2, 1);
    assert!(read(&builder).cycles().is_empty());
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
fn rounded_sizes_sum_up_to_what_callsites_counted() {
    let mut builder = Builder::default();
    builder.facts.retain(|it| it.0 != 4);
    let node = builder.callsite("Vec<u64>", "app::f", "src/a.rs", 1);
    let sizes = [100, 129, 1000, 1015, 5003, 1_000_001];
    let first = sizes.map(|size| builder.block(node, size))[0];
    builder.in_static(0x10, first);
    let graph = read(&builder);
    assert_eq!(graph.bytes(), sizes.iter().sum::<u64>());
    for (block, size) in graph.blocks().zip(sizes) {
        let found = graph.block(block).size.get();
        assert!(found.abs_diff(size) <= size / 32, "{found} {size}");
    }
}

#[test]
fn many_references_are_in_groups() {
    for number in [0, 1, 511, 512, 513, 1024, 1025] {
        let mut builder = Builder::default();
        let node = builder.callsite("Vec<Box<Node>>", "app::f", "src/a.rs", 1);
        let vector = builder.block(node, 8 * number);
        let target = builder.block(node, 8);
        for word in 0..number {
            builder.edge(vector, word, target);
        }
        builder.age(target, 1_500_000);
        let graph = read(&builder);
        assert_eq!(graph.references() as u64, number);
        assert_eq!(graph.referrers(BlockId(target)).len() as u64, number);
        let last = graph.referents(BlockId(vector)).pop();
        assert_eq!(last.map(|it| it.at), number.checked_sub(1).map(|it| it * 8));
        let age = graph.block(BlockId(target)).age.unwrap();
        assert_eq!(age.as_secs_f64(), 1.5);
    }
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
