//! What holds memory longer than its author thinks: found by the root, and what it retains.

use std::collections::HashMap;
use std::hint::black_box;
use std::sync::{Arc, Mutex};

use alloc_report::Graph;

use crate::Taker;

/// Prints the root that retains the most, and how one block of a type comes to be held.
fn print_holder(graph: &Graph, name: &str) {
    let selected = graph.select(name).expect("blocks of this type");
    let block = selected.blocks[0];
    let holder = graph.root_of(block).unwrap_or("several roots");
    let bytes: u64 = selected
        .blocks
        .iter()
        .map(|it| graph.block(*it).size.get())
        .sum();
    println!(
        "{} blocks of {name}, {bytes} B: {holder}",
        selected.blocks.len()
    );
    let root = &graph.roots()[0];
    println!(
        "the first root: {}, {} KiB",
        root.name,
        root.retained.get() >> 10
    );
}

#[allow(dead_code, reason = "it is only held")]
struct Answer([u8; 1000]);

static CACHE: Mutex<Option<HashMap<u64, Box<Answer>>>> = Mutex::new(None);

/// A cache without a bound.
pub(crate) fn cache(taker: &Taker) {
    for question in 0..1000 {
        let mut cache = CACHE.lock().expect("no panic");
        let cache = cache.get_or_insert_default();
        cache
            .entry(question)
            .or_insert_with(|| Box::new(Answer([1; 1000])));
    }
    print_holder(&taker.take(), "Box<holders::Answer>");
    *CACHE.lock().expect("no panic") = None;
}

#[allow(dead_code, reason = "it is only held")]
struct Window {
    pixels: [u8; 50_000],
}

type Handler = Box<dyn Fn() + Send>;

static HANDLERS: Mutex<Vec<Handler>> = Mutex::new(Vec::new());

/// Handlers that are never removed hold the window that they were made for.
pub(crate) fn handlers(taker: &Taker) {
    for _ in 0..10 {
        let window = Arc::new(Window {
            pixels: [2; 50_000],
        });
        let held = window.clone();
        let handler: Handler = Box::new(move || drop(black_box(held.clone())));
        HANDLERS.lock().expect("no panic").push(handler);
        // The window is closed, and stays.
        drop(window);
    }
    print_holder(&taker.take(), "Arc<holders::Window>");
    HANDLERS.lock().expect("no panic").clear();
}

static LOG: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// A global that grows: two graphs say by how much.
pub(crate) fn global(taker: &Taker) {
    let fill = |lines: usize| {
        for line in 0..lines {
            let text = format!("a line of the log that nobody reads, {line:5}");
            LOG.lock().expect("no panic").push(text);
        }
    };
    let before = taker.beside();
    fill(1000);
    before.write();
    fill(3000);
    taker.write();
    let (old, new) = (before.load(), taker.load());
    println!("{}", new.show_diff(&old, 3));
    std::fs::remove_file(&before.path).expect("the file just written");
    *LOG.lock().expect("no panic") = Vec::new();
}

static JOB: Mutex<Option<Handler>> = Mutex::new(None);

/// A closure that captured a large buffer for one number of it. A megabyte here, a gigabyte elsewhere.
pub(crate) fn closure(taker: &Taker) {
    let table = vec![1_u64; 1 << 17];
    *JOB.lock().expect("no panic") = Some(Box::new(move || {
        black_box(table[0]);
    }));
    let graph = taker.take();
    print_holder(&graph, "Vec<u64>");
    *JOB.lock().expect("no panic") = None;
}

/// A value that a long function holds to its end, though it needs it at its beginning only.
pub(crate) fn long_function(taker: &Taker) {
    let input = black_box(vec![7_u8; 1 << 20]);
    let sum: u64 = input.iter().map(|it| u64::from(*it)).sum();
    // From here on only the sum is needed.
    print_holder(&taker.take(), "Vec<u8>");
    black_box(sum);
    drop(input);
}
