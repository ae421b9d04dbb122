//! What dhat-rs records: 30 blocks that stay, one that makes the peak, and 50 that
//! are freed at once.

use std::hint::black_box;

#[global_allocator]
static ALLOC: dhat::Alloc = dhat::Alloc;

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
        let block = black_box(Vec::<u8>::with_capacity(50_000));
        std::thread::sleep(std::time::Duration::from_millis(2));
        drop(block);
    }
}

fn main() {
    let _profiler = dhat::Profiler::new_heap();
    let mut kept = Vec::with_capacity(64);
    keep(&mut kept, 10, 100_000);
    peak();
    keep(&mut kept, 20, 200_000);
    waste();
    std::mem::forget(black_box(kept));
}
