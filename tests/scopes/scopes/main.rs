//! What scopes count, compared with exact arithmetic: on one thread, across threads, nested, under
//! load.

mod lifetime;
mod model;
mod one_thread;
mod stacks;
mod started;
mod threads;

use alloc_core::{Amount, TraceAlloc, Usage};
use expect_test::Expect;

#[global_allocator]
static ALLOC: TraceAlloc = TraceAlloc::system();

alloc_tests::tests! {
    one_thread {
        an_empty_scope_counts_nothing,
        a_scope_counts_to_the_byte,
        reallocations_are_one_change,
        reallocations_are_charged_to_their_callers,
        blocks_from_before_are_counted_separately,
        nested_scopes_count_in_every_scope_around_them,
        tracing_does_not_change_scopes,
        the_tracer_s_own_memory_does_not_count,
    }
    threads {
        a_block_belongs_to_the_scope_that_allocated_it,
        other_threads_do_not_count,
        handles_carry_a_scope_to_other_threads,
        the_peak_of_many_threads_in_turn_is_exact,
        futures_carry_their_scope,
        many_threads_with_scopes_of_their_own,
    }
    started {
        threads_are_counted_where_they_are_started,
        only_threads_started_in_a_scope_count,
        assertions_notice_threads_in_every_mode,
        threads_release_their_scope,
    }
    lifetime {
        panics_leave_a_scope,
        guards_in_any_order_are_safe,
        slots_are_reused,
        more_scopes_than_there_can_be_are_refused,
        blocks_freed_after_their_scopes_leave_no_trace,
        a_child_of_a_fork_is_refused,
    }
    stacks {
        stacks_of_a_scope_add_up,
        at_the_scope_s_peak,
    }
    model {
        random_work_equals_a_model,
    }
}

fn block(size: usize) -> Vec<u8> {
    std::hint::black_box(Vec::with_capacity(size))
}

/// Compares all numbers of a scope, as text: bytes "in" blocks. Numbers that are zero are left out.
#[track_caller]
fn check(usage: Usage, expected: Expect) {
    // The text must not count in a scope that is still open.
    alloc_core::untraced(|| expected.assert_eq(&text_of(usage)));
}

fn text_of(usage: Usage) -> String {
    let amounts = [
        ("allocated", usage.allocated),
        ("freed", usage.freed),
        ("live", usage.current),
        ("peak", usage.peak),
        ("freed from before", usage.freed_before),
    ];
    let mut parts: Vec<String> = amounts
        .iter()
        .filter(|(_, amount)| *amount != Amount::default())
        .map(|(name, it)| format!("{name} {} in {}", it.bytes.get(), it.blocks))
        .collect();
    if usage.reallocations > 0 {
        parts.push(format!("reallocations {}", usage.reallocations));
    }
    parts.join(", ")
}

fn amount(bytes: u64, blocks: u64) -> Amount {
    Amount::new(bytes, blocks)
}

fn untraced_room<T>(len: usize) -> Vec<T> {
    alloc_core::untraced(|| Vec::with_capacity(len))
}
