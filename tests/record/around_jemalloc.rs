//! Around jemalloc.

use alloc_core::TraceAlloc;
use tikv_jemallocator::{Jemalloc, usable_size};

#[global_allocator]
static ALLOC: TraceAlloc<Jemalloc> =
    // SAFETY: `usable_size` takes any live block of jemalloc.
    unsafe { TraceAlloc::new(Jemalloc).with_usable_size(usable_size) };

alloc_tests::tests![every_block_is_distinguished, slack_is_that_of_jemalloc];

fn slack_is_that_of_jemalloc() {
    // SAFETY: the test holds the blocks.
    alloc_tests::slack::check_slack_of_all_sizes(|block| unsafe { usable_size(block) });
}

fn every_block_is_distinguished() {
    alloc_tests::workloads::check_blocks_of_all_sizes();
}
