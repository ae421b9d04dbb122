//! Every stack of a program of random calls, compared with the stack that `backtrace::trace` sees
//! in the same function. They are equal, address by address, or differ in a way that
//! `compare::check` lists.

mod c_functions;
mod compare;
mod frames;
mod futures;
mod library;
mod panics;
mod random;
mod shapes;
mod signals;
mod special;

use alloc_core::{TraceAlloc, take_snapshot};

#[global_allocator]
static ALLOC: TraceAlloc = TraceAlloc::system();

alloc_tests::tests! {
    random {
        random_calls,
        random_calls_with_few_frames,
        random_calls_on_many_threads,
        small_threads,
        a_recursion_of_two_thousand,
    }
    c_functions {
        each_c_function_at_each_optimization,
        libraries_that_come_and_go,
    }
    special {
        over_aligned_frames_at_the_same_place,
        the_bottoms_of_main_and_of_threads,
        coroutines,
        every_way_to_record_a_block_captures_the_same_stack,
    }
    signals {
        signal_handlers_on_the_same_stack_and_on_another,
        a_signal_in_the_middle_of_anything,
    }
}

/// More frames than any stack of these programs has, except in the deep recursion.
const ALL: u16 = 1000;

fn check_health() {
    let health = take_snapshot().unwrap().health();
    assert_eq!((health.broken_stacks, health.lost_blocks), (0, 0));
}
