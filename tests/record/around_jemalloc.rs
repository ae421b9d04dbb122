//! Around jemalloc.

use alloc_core::TraceAlloc;
use tikv_jemallocator::Jemalloc;

#[global_allocator]
static ALLOC: TraceAlloc<Jemalloc> = TraceAlloc::new(Jemalloc);

alloc_tests::tests![every_block_is_distinguished];

fn every_block_is_distinguished() {
    alloc_tests::workloads::check_blocks_of_all_sizes();
}
