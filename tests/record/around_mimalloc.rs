//! Around mimalloc.

use alloc_core::TraceAlloc;

#[global_allocator]
static ALLOC: TraceAlloc<mimalloc::MiMalloc> = TraceAlloc::new(mimalloc::MiMalloc);

alloc_tests::tests![every_block_is_distinguished];

fn every_block_is_distinguished() {
    alloc_tests::workloads::check_blocks_of_all_sizes();
}
