//! What holds what, and how well.

use std::time::SystemTime;

use alloc_core_snapshot::SymbolSearch;
use alloc_core_snapshot::seam::layouts::{Field, Layout, Layouts, Shape, Vtable};

use super::super::builder::{Builder, sample};
use super::super::{BlockId, Certainty, Reach, Show, Variable, Variables};
use super::{check_roots, reach, read};

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
fn an_owner_whose_type_names_a_block_is_believed() {
    #[track_caller]
    fn check(type_name: &str, strong: u64, expected: &[(&str, u64)]) {
        let mut builder = Builder::default();
        let table = builder.callsite(&format!("Vec<{type_name}>"), "app::f", "src/a.rs", 1);
        let other = builder.callsite("Vec<app::Item>", "app::f", "src/a.rs", 2);
        let node = builder.callsite(type_name, "app::f", "src/a.rs", 3);
        let [table, other, node] =
            [(table, 16), (other, 32), (node, 64)].map(|it| builder.block(it.0, it.1));
        builder.edge(table, 0, node);
        // Left behind, or not: the fields of an item are not known.
        builder.edge(other, 0, node);
        builder.counts(node, strong, 1);
        builder.in_static(0x10, table);
        builder.in_static(0x20, other);
        check_roots(&read(&builder), expected);
    }
    // A collection has one owner, and a static is not written over by chance.
    let mut builder = Builder::default();
    let list = builder.callsite("BTreeMap<u64, app::Item>", "app::f", "src/a.rs", 1);
    let other = builder.callsite("Vec<app::Item>", "app::f", "src/a.rs", 2);
    let [list, other] = [(list, 100), (other, 32)].map(|it| builder.block(it.0, it.1));
    builder.edge(other, 0, list);
    builder.in_static(0x10, list);
    builder.in_static(0x20, other);
    check_roots(
        &read(&builder),
        &[("static program+0x10", 100), ("static program+0x20", 32)],
    );

    let owned = [("static program+0x10", 80), ("static program+0x20", 32)];
    let shared = [("static program+0x20", 32), ("static program+0x10", 16)];
    check("Box<app::Node>", 1, &owned);
    check("Rc<app::Node>", 1, &owned);
    // Another owner counts.
    check("Rc<app::Node>", 2, &shared);
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
    // One says elements of eight bytes, and two say elements of forty.
    check(
        "Vec<Box<Node>>",
        &[(10, 3), (2, 2), (2, 2)],
        Reach::Strongly,
    );
    check("Vec<Box<Node>>", &[(10, 3), (10, 3), (2, 2)], Reach::Weakly);
    // Words that are no capacity.
    check("Vec<Box<Node>>", &[(1, 0)], Reach::Strongly);
    check("Vec<Box<Node>>", &[(7, 3)], Reach::Strongly);
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

/// A chunk of glibc starts in the last word of the block before it.
#[test]
fn lists_of_free_memory_hold_nothing() {
    const UNKNOWN: u8 = 5;
    #[track_caller]
    fn check(type_name: &str, size: u64, offset: u64, expected: Reach) {
        let mut builder = Builder::default();
        builder
            .modules
            .push((0x50_0000, "/usr/lib/libc.so.6".to_owned(), 0, 0));
        let callsite = builder.callsite(type_name, "app::f", "src/a.rs", 1);
        let [by_unknown, by_libc] = [size; 2].map(|size| builder.block(callsite, size));
        builder.root_into(UNKNOWN, 0, 0x9000_0000, by_unknown, offset);
        builder.root_into(1, 1, 0x50_0018, by_libc, offset);
        let graph = read(&builder);
        assert_eq!(reach(&graph, by_unknown), expected, "{type_name} {offset}");
        let by_libc_expected = match expected {
            Reach::OnlyByUnknownMemory => Reach::Weakly,
            it => it,
        };
        assert_eq!(reach(&graph, by_libc), by_libc_expected, "{type_name}");
        let leaks: u64 = graph.leaks().iter().map(|it| it.heads).sum();
        assert_eq!(leaks, if expected == Reach::ByNothing { 2 } else { 0 });
    }
    check("Box<Node>", 56, 48, Reach::ByNothing);
    check("Box<Node>", 49, 48, Reach::ByNothing);
    // The chunk after it starts behind the block.
    check("Box<Node>", 64, 48, Reach::OnlyByUnknownMemory);
    check("Box<Node>", 56, 32, Reach::OnlyByUnknownMemory);
    check("Box<Node>", 48, 40, Reach::OnlyByUnknownMemory);
    // The value of an `Rc`, which C may hold.
    check("Rc<u64>", 24, 16, Reach::OnlyByUnknownMemory);
    // Rounded to 2048, and at most 2111.
    check("Box<Node>", 2104, 2096, Reach::ByNothing);
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
    builder.named.push("buffers of the kernel".to_owned());
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
            ("named root buffers of the kernel", 128),
            ("the registers of worker", 64),
            ("the C library's data of threads", 32),
            ("thread-local state of libz.so.1", 16),
            ("thread-local app::LOCAL", 4 + 8),
            ("static crc_table of libz.so.1", 2),
            ("static app::CACHE", 1),
        ],
    );
}

/// As on aarch64: thread-locals come after the thread pointer, and the control block before it.
#[test]
fn thread_locals_above_the_thread_pointer_have_names() {
    let mut builder = Builder::default();
    let [of_program, of_library] = [0x10_u64, 0x90].map(u64::wrapping_neg);
    builder.modules[0].2 = of_program;
    builder
        .modules
        .push((0x50_0000, "/usr/lib/libz.so.1".to_owned(), of_library, 0x80));
    let node = builder.callsite("Box<Node>", "app::f", "src/a.rs", 1);
    let thread = builder.thread("worker", &[]);
    let pointer = 0x6000_0000 + thread * 0x1000;
    let blocks: Vec<u32> = (0..3).map(|at| builder.block(node, 1 << at)).collect();
    builder.root(2, thread, pointer + 0x90 + 0x8, blocks[0]);
    builder.root(2, thread, pointer + 0x200, blocks[1]);
    builder.root(2, thread, pointer - 0x10, blocks[2]);
    let mut graph = read(&builder);
    let state = Variable {
        start: 0x8,
        size: 16,
        name: "state".to_owned(),
    };
    let variables = Variables {
        statics: Vec::new(),
        thread_locals: vec![state],
    };
    graph.set_variables(1, variables);
    check_roots(
        &graph,
        &[
            ("the C library's data of threads", 4),
            ("thread-locals without names", 2),
            ("thread-local state of libz.so.1", 1),
        ],
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
fn facts_are_read() {
    let mut builder = Builder::default();
    builder.facts = (1..=16).map(|key| (key, key * 1000)).collect();
    for flag in [4, 5, 13] {
        builder.facts[flag - 1].1 = 1;
    }
    // One of a later version.
    builder.facts.push((99, 5));
    let graph = read(&builder);
    let facts = graph.facts();
    let since = facts
        .taken_at
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap();
    assert_eq!(
        (facts.process_id, since.as_nanos(), facts.granule.get()),
        (1000, 2000, 3000)
    );
    assert!(facts.exact_sizes && facts.has_hashes && facts.without_stop);
    let times = [facts.pause, facts.clone_time, facts.child_cpu];
    assert_eq!(times.map(|it| it.as_nanos()), [6000, 9000, 10_000]);
    let counts = [
        facts.threads_stopped,
        facts.threads_missed,
        facts.cut_blocks,
        facts.lost_blocks,
    ];
    assert_eq!(counts, [7000, 8000, 12_000, 16_000]);
    assert_eq!(
        (
            facts.unread.get(),
            facts.live.bytes.get(),
            facts.live.blocks
        ),
        (11_000, 14_000, 15_000)
    );
    let text = graph.show(Show::Roots, 10).to_string();
    for note in [
        "note: the threads were not stopped: pointers in registers are missing",
        "note: 8,000 threads did not stop in time: what they had in registers is missing",
        "note: 10.7 KiB could not be read: what only they refer to counts as unreached",
        "note: 16,000 live blocks were not recorded: what only they refer to may count as unreached",
        "note: 12,000 blocks ended beyond the memory that was there",
        "note: the session had 15,000 live blocks, the graph has 0",
    ] {
        assert!(text.contains(note), "{note}\n{text}");
    }
}

/// `struct app::Item { count: u64, name: Text, left: Box<Leaf>, raw: *const u8 }` with `enum Text
/// { Short([u8; 8]), Long(String) }`, whose string has its pointer at 16.
fn layouts_of_item() -> Layouts {
    let mut layouts = Layouts::default();
    let mut add = |name: &str, size, shape| {
        let is_of_std = matches!(name, "String" | "Box<app::Leaf>");
        layouts.add(Layout {
            name: name.to_owned(),
            size,
            is_of_std,
            shape,
        })
    };
    let field = |name: &str, at, layout| Field {
        name: name.to_owned(),
        at,
        layout,
    };
    let byte = add("u8", 1, Shape::Data);
    let bytes = add("[u8; 8]", 8, Shape::Array { of: byte, count: 8 });
    let number = add("u64", 8, Shape::Integer);
    let pointer = add("*const u8", 8, Shape::Pointer);
    let leaf = add("Box<app::Leaf>", 8, Shape::Pointer);
    let fields = vec![
        field("cap", 0, number),
        field("pointer", 8, pointer),
        field("len", 16, number),
    ];
    let string = add("String", 24, Shape::Fields(fields));
    let text = Shape::Fields(vec![field("Short", 8, bytes), field("Long", 0, string)]);
    let text = add("app::Text", 24, text);
    let fields = vec![
        field("count", 0, number),
        field("name", 8, text),
        field("left", 32, leaf),
        field("raw", 40, pointer),
    ];
    let item = add("app::Item", 48, Shape::Fields(fields));
    let pair = vec![field("0", 0, leaf), field("1", 8, item)];
    let pair = add("(Box<app::Leaf>, app::Item)", 56, Shape::Fields(pair));
    layouts.name(item);
    layouts.name(pair);
    layouts
}

#[test]
fn fields_of_known_types_have_names_and_say_what_they_lead_to() {
    #[track_caller]
    fn check(holder: &str, size: u64, word: u64, target: &str, field: &str, expected: Reach) {
        let mut builder = Builder::default();
        let holder = builder.callsite(holder, "app::f", "src/a.rs", 1);
        let target = builder.callsite(target, "app::f", "src/a.rs", 2);
        let holder = builder.block(holder, size);
        let target = builder.block(target, 16);
        builder.edge(holder, word, target);
        builder.in_static(0x10, holder);
        let mut graph = read(&builder);
        graph.set_layouts(0, layouts_of_item());
        assert_eq!(graph.referents(BlockId(holder))[0].field, field);
        assert_eq!(reach(&graph, target), expected, "{field}");
    }
    let [strong, weak] = [Reach::Strongly, Reach::Weakly];
    check("Box<app::Item>", 48, 2, "String", "name.Long", strong);
    check("Box<app::Item>", 48, 4, "Box<app::Leaf>", "left", strong);
    check("Box<app::Item>", 48, 5, "Box<app::Leaf>", "raw", strong);
    // An integer may have a pointer in it.
    check("Box<app::Item>", 48, 0, "Box<app::Leaf>", "count", strong);
    // The capacity of a string is none, and a box of leaves leads to no string.
    check("Box<app::Item>", 48, 1, "Box<app::Leaf>", "", weak);
    check("Box<app::Item>", 48, 4, "String", "left", weak);
    check(
        "Vec<app::Item>",
        480,
        6 * 7 + 4,
        "Box<app::Leaf>",
        "[7].left",
        strong,
    );
    check(
        "Rc<[app::Item]>",
        16 + 48 * 3,
        2 + 6 + 4,
        "Box<app::Leaf>",
        "[1].left",
        strong,
    );
    check(
        "Vec<[app::Item; 2]>",
        480,
        6 * 7 + 4,
        "Box<app::Leaf>",
        "[3][1].left",
        strong,
    );
    check(
        "Box<[app::Item; 3]>",
        144,
        6 + 4,
        "Box<app::Leaf>",
        "[1].left",
        strong,
    );
    // Four places of 56 bytes end where the control bytes start.
    let table = "HashMap<Box<app::Leaf>, app::Item>";
    check(table, 224 + 4 + 16, 21, "Box<app::Leaf>", "key", strong);
    check(
        table,
        224 + 4 + 16,
        26,
        "Box<app::Leaf>",
        "value.left",
        strong,
    );
    // Nothing is known of other types, and of a block of another size.
    check("Box<app::Other>", 48, 4, "String", "", strong);
    check("Box<app::Item>", 64, 4, "String", "", strong);
}

#[test]
fn an_owner_that_a_field_names_is_believed_unless_that_loses_the_block() {
    let mut builder = Builder::default();
    let item = builder.callsite("Box<app::Item>", "app::f", "src/a.rs", 1);
    let leaf = builder.callsite("Box<app::Leaf>", "app::f", "src/a.rs", 2);
    let other = builder.callsite("Box<app::Other>", "app::f", "src/a.rs", 3);
    let item = builder.block(item, 48);
    let other = builder.block(other, 64);
    let leaf = builder.block(leaf, 16);
    builder.edge(item, 4, leaf);
    builder.edge(other, 0, leaf);
    builder.in_static(0x10, item);
    builder.in_static(0x20, other);
    let mut graph = read(&builder);
    assert_eq!(graph.shared().bytes, 16);
    graph.set_layouts(0, layouts_of_item());
    let roots = [
        ("static program+0x10", 48 + 16),
        ("static program+0x20", 64),
    ];
    check_roots(&graph, &roots);

    // A leaf that has an item in it, which names the leaf as its own.
    let mut builder = Builder::default();
    let item = builder.callsite("Box<app::Item>", "app::f", "src/a.rs", 1);
    let leaf = builder.callsite("Box<app::Leaf>", "app::f", "src/a.rs", 2);
    let other = builder.callsite("Box<app::Other>", "app::f", "src/a.rs", 3);
    let [item, leaf, other] =
        [(item, 48), (leaf, 16), (other, 64)].map(|it| builder.block(it.0, it.1));
    builder.edge(item, 4, leaf);
    builder.edge(leaf, 0, item);
    builder.edge(other, 0, leaf);
    builder.in_static(0x20, other);
    let mut graph = read(&builder);
    graph.set_layouts(0, layouts_of_item());
    check_roots(&graph, &[("static program+0x20", 64 + 48 + 16)]);
}

#[test]
fn vtables_tell_traits_and_types_that_nothing_else_does() {
    let mut builder = Builder::default();
    let handlers = builder.callsite("Vec<Box<dyn app::Handler>>", "app::f", "src/a.rs", 1);
    let known = builder.callsite("Box<app::Click>", "app::f", "src/a.rs", 2);
    let [one, two, three] = [3, 4, 5].map(|line| builder.callsite("", "app::f", "src/a.rs", line));
    let handlers = builder.block(handlers, 64);
    let blocks = [(known, 24), (one, 24), (two, 32), (three, 24), (three, 24)];
    let blocks = blocks.map(|(callsite, size)| builder.block(callsite, size));
    for (at, block) in (0..).zip(blocks) {
        builder.edge(handlers, 2 * at, block);
    }
    // The last two are of one line, and of two types.
    builder.vtables = vec![
        [0, 0, 0x2000, 24],
        [1, 0, 0x2000, 24],
        [2, 0, 0x2000, 24],
        [3, 0, 0x2000, 24],
        [4, 0, 0x2040, 24],
    ];
    builder.in_static(0x10, handlers);
    let mut layouts = Layouts::default();
    for (address, of) in [(0x2000, "app::Click"), (0x2040, "app::Key")] {
        let as_trait = "app::Handler".to_owned();
        let of = of.to_owned();
        layouts.vtables.insert(address, Vtable { of, as_trait });
    }
    let mut graph = read(&builder);
    assert_eq!(graph.referents(BlockId(handlers))[0].as_trait, None);
    graph.name(&SymbolSearch::default());
    graph.set_layouts(0, layouts);
    graph.name_types_by_vtables();
    let found = graph.referents(BlockId(handlers));
    assert!(
        found
            .iter()
            .all(|it| it.as_trait.as_deref() == Some("app::Handler"))
    );
    let types = blocks.map(|it| graph.block(BlockId(it)).type_name.map(str::to_owned));
    let click = Some("Box<app::Click>".to_owned());
    // A block of another size is no box of it, and a line of two types has none.
    assert_eq!(types, [click.clone(), click, None, None, None]);
}
