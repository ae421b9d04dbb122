//! The memory that reading a file takes is bounded by its size.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use alloc_report::Graph;
use alloc_report::graph::builder::{Builder, frame, put};

/// The system's allocator, which counts each thread's live bytes and their peak.
struct Counting;

thread_local! {
    static LIVE: Cell<usize> = const { Cell::new(0) };
    static MOST: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: all blocks come from the system's allocator, with the same layouts.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let _ = LIVE.try_with(|live| {
            live.set(live.get().wrapping_add(layout.size()));
            let _ = MOST.try_with(|most| most.set(most.get().max(live.get())));
        });
        // SAFETY: the caller's promises are the ones that the system's allocator needs.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        let _ = LIVE.try_with(|live| live.set(live.get().wrapping_sub(layout.size())));
        // SAFETY: the caller's promises are the ones that the system's allocator needs.
        unsafe { System.dealloc(block, layout) }
    }
}

#[global_allocator]
static ALLOC: Counting = Counting;

/// The most that reading may take: this many times the file's size, and some buffers.
const TIMES: usize = 25;
const BUFFERS: usize = 1 << 20;

#[track_caller]
fn check(file: &[u8]) {
    let before = LIVE.get();
    MOST.set(before);
    let read = Graph::read(file);
    let most = MOST.get() - before;
    let bound = TIMES * file.len() + BUFFERS;
    assert!(most <= bound, "{most} bytes for {}", file.len());
    drop(read);
}

/// The sample's file with one section replaced.
fn with(tag: u8, payload: Vec<u8>) -> Vec<u8> {
    let mut file = b"HGRAPH\0\x01".to_vec();
    for (known, content) in alloc_report::graph::builder::sample().sections() {
        match known == tag {
            true => frame(&mut file, tag, &payload),
            false => frame(&mut file, known, &content),
        }
    }
    file
}

#[test]
fn claims_take_no_memory() {
    let huge = |numbers: &[u64]| {
        let mut payload = Vec::new();
        numbers.iter().for_each(|it| put(&mut payload, *it));
        payload
    };
    for tag in *b"MTN" {
        for count in [u64::MAX, 1 << 40, u64::from(u32::MAX), 100_000_000] {
            check(&with(tag, huge(&[count])));
            check(&with(tag, huge(&[1, 1, count])));
        }
    }
}

#[test]
fn the_densest_sections_are_within_the_bound() {
    const ITEMS: usize = 300_000;
    // Blocks of five bytes each.
    let mut blocks = Vec::new();
    put(&mut blocks, ITEMS as u64);
    for _ in 0..ITEMS {
        blocks.extend([1, 1, 1, 0, 0]);
    }
    check(&with(b'N', blocks));
    // References of two bytes each, and with lengths of four.
    for (head, rest) in [(4, &[][..]), (6, &[1, 1][..])] {
        let mut edges = vec![1, 1, 1, 1, 0];
        for _ in 0..ITEMS / 512 {
            put(&mut edges, 512);
            for _ in 0..512 {
                edges.push(head);
                edges.push(0);
                edges.extend(rest);
            }
        }
        edges.push(0);
        check(&with(b'N', edges));
    }
    // Roots of five bytes each, callsites and traces of three and one, ranges of two.
    check(&with(b'R', [5, 0, 0, 0, 0].repeat(ITEMS)));
    check(&with(b'C', [1, 0, 0].repeat(ITEMS)));
    let mut callsites = Vec::new();
    for id in 0..ITEMS as u64 {
        put(&mut callsites, id);
        callsites.extend([0, 0]);
    }
    check(&with(b'C', callsites));
    check(&with(b'K', [1].repeat(ITEMS)));
    check(&with(b'V', [0, 0, 0, 0].repeat(ITEMS)));
    let mut named = Vec::new();
    put(&mut named, ITEMS as u64);
    named.extend([0].repeat(ITEMS));
    check(&with(b'P', named));
    check(&with(b'I', [1, 0].repeat(ITEMS)));
    let mut modules = Vec::new();
    put(&mut modules, ITEMS as u64);
    modules.extend([0, 0, 0, 0, 0].repeat(ITEMS));
    check(&with(b'M', modules));
    let mut threads = Vec::new();
    put(&mut threads, ITEMS as u64);
    threads.extend([0; 8].repeat(ITEMS));
    check(&with(b'T', threads));
    // Many small frames.
    let mut file = b"HGRAPH\0\x01".to_vec();
    for _ in 0..ITEMS {
        frame(&mut file, b'I', &[]);
    }
    check(&file);
    let mut file = b"HGRAPH\0\x01".to_vec();
    for _ in 0..ITEMS {
        frame(&mut file, b'I', &[1]);
    }
    check(&file);
}

#[test]
fn ordinary_files_are_within_the_bound() {
    let mut builder = Builder::default();
    let node = builder.callsite("Box<Node>", "app::f", "src/a.rs", 1);
    let blocks: Vec<u32> = (0..50_000).map(|_| builder.block(node, 48)).collect();
    for pair in blocks.windows(2) {
        builder.edge(pair[0], 0, pair[1]);
    }
    builder.in_static(0x10, blocks[0]);
    check(&builder.file());
}
