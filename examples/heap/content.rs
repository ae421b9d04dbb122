//! What is held twice, and how large a value is with all that it holds.

use std::collections::BTreeMap;
use std::hint::black_box;

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
