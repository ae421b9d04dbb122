//! Known allocations on known lines of a program with one thread: every number equals the
//! arithmetic.

mod blocks;
mod peaks;
mod reading;
mod sessions;
mod tracebacks;

use alloc_core::{Amount, Counters, Snapshot, TraceAlloc, take_snapshot, traced_memory};
use alloc_tests::Source;

#[global_allocator]
static ALLOC: TraceAlloc = TraceAlloc::system();

alloc_tests::tests! {
    blocks {
        a_thousand_boxes,
        a_growing_vec,
        a_shrunk_vec,
        a_realloc_moves_the_block_to_the_line_that_grew_it,
        a_realloc_that_moves_copies_the_smaller_of_both_sizes,
        zeroed_memory,
        zero_sized_types,
        over_aligned_types,
        strings,
        hash_maps,
        inlined_and_generic_library_code,
        two_lines_of_one_function,
        panics_that_unwind,
    }
    peaks {
        the_peak_and_its_parts,
        of_equal_peaks_the_later_counts,
        a_block_that_grows_at_the_peak,
        reset_peak,
        peaks_are_exact_with_untraced_frees,
    }
    sessions {
        clear_traces,
        stop_and_start,
        blocks_from_before,
        tracing_nothing,
        start_twice,
        wrong_configurations,
        counters_without_stacks,
    }
    tracebacks {
        traceback_of_a_block,
        few_frames,
        a_recursion_of_any_depth_is_one_folded_stack,
        a_full_callsite_table,
    }
    reading {
        a_snapshot_stays_as_it_is,
        a_dumped_snapshot_is_loaded_whole,
        statistics_are_sorted_and_printed_as_tracemalloc_does,
    }
}

/// Takes a snapshot, and checks that its parts add up to the heap.
fn checked_snapshot() -> Snapshot {
    let memory = traced_memory();
    let snapshot = take_snapshot().unwrap();
    assert_eq!(snapshot.traced_memory(), memory);
    assert_eq!(memory.peak_error, 0);
    let sum = alloc_tests::sum_of(&snapshot, |_| true);
    assert_eq!(sum.current.bytes, memory.current);
    assert_eq!(sum.at_peak.bytes, memory.peak);
    assert_eq!(snapshot.health().lost_blocks, 0);
    assert_eq!(snapshot.health().broken_stacks, 0);
    snapshot
}

/// The expected counters of a line: its mark, then bytes and blocks (current, at peak, total), and
/// reallocations.
type Row<'a> = (&'a str, (u64, u64), (u64, u64), (u64, u64), u64);

#[track_caller]
fn check_line(source: Source, snapshot: &Snapshot, expected: Row<'_>) {
    check(source.counters(snapshot, expected.0), expected);
}

#[track_caller]
fn check(counters: Counters, (what, current, at_peak, total, reallocations): Row<'_>) {
    let amount = |(bytes, blocks)| Amount::new(bytes, blocks);
    assert_eq!(counters.current, amount(current), "{what}: current");
    assert_eq!(counters.at_peak, amount(at_peak), "{what}: at peak");
    assert_eq!(counters.total, amount(total), "{what}: total");
    assert_eq!(
        counters.reallocations, reallocations,
        "{what}: reallocations"
    );
}

/// Compares the current bytes of the heap and its peak.
#[track_caller]
fn check_heap(current: u64, peak: u64) {
    let memory = traced_memory();
    assert_eq!((memory.current.get(), memory.peak.get()), (current, peak));
}
