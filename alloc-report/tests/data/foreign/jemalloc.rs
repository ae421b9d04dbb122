//! What jemalloc writes when a program ends: 30 large blocks and 5,000 small ones that stay, and
//! 50 that were freed.

use std::hint::black_box;

#[global_allocator]
static ALLOC: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

#[inline(never)]
fn keep(kept: &mut Vec<Vec<u8>>, blocks: usize, size: usize) {
    for _ in 0..blocks {
        kept.push(black_box(Vec::with_capacity(size)));
    }
}

#[inline(never)]
fn waste() {
    for _ in 0..50 {
        drop(black_box(Vec::<u8>::with_capacity(50_000)));
    }
}

fn main() {
    let mut kept = Vec::with_capacity(8192);
    keep(&mut kept, 10, 100_000);
    keep(&mut kept, 20, 200_000);
    keep(&mut kept, 5_000, 1_000);
    waste();
    std::mem::forget(black_box(kept));
}
