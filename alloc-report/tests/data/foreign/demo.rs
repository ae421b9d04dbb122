//! What valgrind and heaptrack record: 30 blocks that stay, one that makes the peak, and 50 that
//! are freed at once.

use std::hint::black_box;

#[inline(never)]
fn keep(kept: &mut Vec<Vec<u8>>, blocks: usize, size: usize) {
    for _ in 0..blocks {
        kept.push(black_box(Vec::with_capacity(size)));
    }
}

#[inline(never)]
fn peak() {
    drop(black_box(Vec::<u8>::with_capacity(7_000_000)));
}

#[inline(never)]
fn waste() {
    for _ in 0..50 {
        drop(black_box(Vec::<u8>::with_capacity(50_000)));
    }
}

fn main() {
    let mut kept = Vec::with_capacity(64);
    keep(&mut kept, 10, 100_000);
    peak();
    keep(&mut kept, 20, 200_000);
    waste();
    std::mem::forget(black_box(kept));
}
