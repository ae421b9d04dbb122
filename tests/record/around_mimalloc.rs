//! Around mimalloc.

use alloc_core::TraceAlloc;
use mimalloc::MiMalloc;

#[global_allocator]
static ALLOC: TraceAlloc<MiMalloc> =
    // SAFETY: `usable_size` takes any live block of mimalloc.
    unsafe { TraceAlloc::new(MiMalloc).with_usable_size(usable_size) };

unsafe fn usable_size(block: *const u8) -> usize {
    // SAFETY: the caller's promise.
    unsafe { MiMalloc.usable_size(block) }
}

alloc_tests::tests![every_block_is_distinguished, slack_is_that_of_mimalloc];

fn slack_is_that_of_mimalloc() {
    // SAFETY: the test holds the blocks.
    alloc_tests::slack::check_slack_of_all_sizes(|block| unsafe { usable_size(block) });
}

fn every_block_is_distinguished() {
    alloc_tests::workloads::check_blocks_of_all_sizes();
}
