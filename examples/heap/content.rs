//! What is held twice, and how large a value is with all that it holds.

use std::collections::BTreeMap;
use std::hint::black_box;

use alloc_core::Config;

use crate::Taker;

/// `sys.intern`: equal strings that are held many times.
pub(crate) fn equal_strings(taker: &Taker) {
    let cities = ["Addis Ababa", "Buenos Aires", "Copenhagen"];
    let rows: Vec<String> = (0..3000).map(|at| cities[at % 3].repeat(4)).collect();
    let rows = black_box(rows);
    for found in taker.take().duplicates().iter().take(3) {
        println!(
            "{} copies of {} B: {} B would be saved",
            found.count,
            found.size.get(),
            found.wasted.get()
        );
    }
    drop(rows);
}

/// `gc.get_stats`: most objects die young.
pub(crate) fn young(_: &Taker) {
    const YOUNG: u64 = 64 << 10;
    alloc_core::stop();
    alloc_core::start_with(Config::default().lifetimes(true)).expect("tracing starts");
    let mut kept = Vec::new();
    for number in 0..10_000 {
        let line = black_box(format!("request {number}"));
        if number % 1000 == 0 {
            kept.push(line);
        }
    }
    let snapshot = alloc_core::take_snapshot().expect("a snapshot");
    let traces = snapshot.traces().iter();
    let lines = traces.max_by_key(|it| it.counters.total.blocks);
    let lines = lines.expect("the strings");
    let lifetimes = lines.lifetimes.as_ref().expect("lifetimes");
    let young = lifetimes.freed.bytes().filter(|(age, _)| age.get() < YOUNG);
    println!(
        "{} of {} strings were freed before 64 KiB more were allocated, {} live",
        young.map(|(_, blocks)| blocks).sum::<u64>(),
        lines.counters.total.blocks,
        lifetimes.live.count()
    );
    drop(kept);
}

/// `sys.getsizeof`, and pympler's `asizeof`: a value alone, and with what it holds.
pub(crate) fn deep_size(taker: &Taker) {
    let mut index: Box<BTreeMap<u32, Vec<u64>>> = Box::default();
    for key in 0..5 {
        index.insert(key, vec![u64::from(key); 1000]);
    }
    let index = black_box(index);
    let graph = taker.take();
    let address = (&raw const *index).addr() as u64;
    let block = graph.find(address).expect("the box");
    println!(
        "alone {} B, with all that it holds {} B",
        graph.block(block).size.get(),
        graph.deep_size(block).get()
    );
    drop(index);
}
