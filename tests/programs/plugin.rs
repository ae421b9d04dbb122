//! A library with a traced allocator.

use std::hint::black_box;

#[global_allocator]
static ALLOC: alloc_core::TraceAlloc = alloc_core::TraceAlloc::system();

/// Allocates a block and returns its size.
#[unsafe(no_mangle)]
pub extern "C" fn fill() -> usize {
    black_box(Box::leak(vec![7_u8; 1000].into_boxed_slice())).len()
}
