//! A library whose allocator is traced.

use std::hint::black_box;

#[global_allocator]
static ALLOC: alloc_core::TraceAlloc = alloc_core::TraceAlloc::system();

/// Allocates, and returns how much.
#[unsafe(no_mangle)]
pub extern "C" fn fill() -> usize {
    black_box(Box::leak(vec![7_u8; 1000].into_boxed_slice())).len()
}
