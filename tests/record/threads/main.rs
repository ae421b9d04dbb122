//! Known allocations on several threads, and what happens at the end of a thread.

mod blocks;
mod ends;
mod many;
mod peaks;

use std::hint::black_box;

use alloc_core::{Snapshot, TraceAlloc, take_snapshot, traced_memory};
use alloc_tests::{at_function, sum_of};

#[global_allocator]
static ALLOC: TraceAlloc = TraceAlloc::system();

alloc_tests::tests! {
    blocks {
        lines_add_up_over_threads,
        blocks_freed_on_another_thread,
        blocks_of_a_thread_that_is_gone,
        a_producer_and_its_consumer_have_a_small_peak,
        tracing_starts_and_stops_while_threads_allocate,
    }
    many {
        many_threads_one_after_the_other,
        many_threads_at_once_take_little_memory,
    }
    ends {
        threads_that_first_allocate_in_their_last_destructor,
        rust_thread_locals_at_a_thread_s_end,
        c_thread_locals_at_a_thread_s_end,
    }
    peaks {
        after_threads_the_peak_is_exact_again,
        a_peak_that_threads_reach_in_turns,
    }
}

/// Takes a snapshot while no other thread runs, and checks that its parts add up to the heap.
fn checked_snapshot() -> Snapshot {
    let snapshot = take_snapshot().unwrap();
    let current = sum_of(&snapshot, |_| true).current.bytes;
    assert_eq!(current, snapshot.traced_memory().current);
    assert_eq!(current, traced_memory().current);
    assert!(snapshot.traced_memory().peak >= current);
    assert_eq!(snapshot.health().lost_blocks, 0);
    snapshot
}

/// Takes a snapshot, and compares what a function allocated: bytes and blocks, current and total.
#[track_caller]
fn check(function: &str, current: (u64, u64), total: (u64, u64)) {
    let counters = at_function(&checked_snapshot(), function);
    let amounts = [counters.current, counters.total].map(|it| (it.bytes.get(), it.blocks));
    assert_eq!(amounts, [current, total], "{function}");
}

#[inline(never)]
fn block_of_640() -> Box<[u8; 640]> {
    Box::new(black_box([1; 640]))
}

#[inline(never)]
fn block_of_64() -> Box<[u8; 64]> {
    Box::new(black_box([2; 64]))
}
