//! Budgets, compared with exact arithmetic: at the limit, in callbacks, in futures, on several
//! threads. Each test runs while tracing is off, on, on without stacks, and on with a sample.

mod callbacks;
mod futures;
mod labels;
mod limits;
mod threads;

use std::sync::{Arc, Mutex};

use alloc_core::{Amount, Budget, Config, TraceAlloc};

#[global_allocator]
static ALLOC: TraceAlloc = TraceAlloc::system();

alloc_tests::tests! {
    limits {
        a_budget_is_over_past_its_limit_and_not_at_it,
        budgets_within_a_budget_count_in_it,
        a_budget_of_a_scope_includes_what_the_scope_holds,
        an_error_names_the_line_that_holds_the_most,
        what_a_budget_takes_is_not_counted,
        in_a_child_of_a_fork_a_budget_is_never_over,
    }
    callbacks {
        each_crossing_is_reported_once,
        a_run_reports_what_it_finds_at_its_start_and_its_end,
        a_warning_may_free_memory,
        what_a_callback_allocates_counts_where_the_check_is,
        clones_keep_their_callbacks,
        several_threads_report_a_crossing_once,
    }
    futures {
        a_future_ends_at_the_poll_that_exceeds_its_budget,
        a_future_whose_budget_is_over_is_not_polled,
        a_value_that_exceeds_the_budget_is_dropped,
        a_future_that_is_dropped_is_counted_to_its_end,
        of_nested_futures_the_one_whose_budget_is_over_ends,
        a_future_that_resolved_is_not_polled_again,
    }
    labels {
        a_label_is_over_past_its_limit_and_not_at_it,
        a_label_holds_what_all_threads_allocated_in_it,
        a_future_ends_in_its_label,
        a_label_s_levels_are_reported_once,
        what_a_label_s_budget_takes_is_not_counted,
        a_label_s_budget_needs_a_session_with_stacks_and_a_name,
    }
    threads {
        a_block_that_another_thread_frees_is_debited,
        tasks_that_share_a_budget_exceed_it_by_a_block_for_each_thread,
        tasks_with_their_own_budgets_do_not_disturb_each_other,
    }
}

fn block(size: usize) -> Vec<u8> {
    std::hint::black_box(Vec::with_capacity(size))
}

fn amount(bytes: u64, blocks: u64) -> Amount {
    Amount::new(bytes, blocks)
}

/// Runs `test` in each mode of tracing.
fn in_each_mode(test: impl Fn()) {
    test();
    for config in [
        Config::default(),
        Config::default().frames(0),
        Config::default().sample_every(4096),
    ] {
        alloc_core::start_with(config).unwrap();
        test();
        alloc_core::stop();
    }
}

/// What a budget holds live, and whether it is over; `check` and `over_budget` must agree.
#[track_caller]
fn check(budget: &Budget, used: u64, is_over: bool) {
    let found = budget.check();
    assert_eq!(budget.usage().unwrap().current.bytes, used);
    assert_eq!((found.is_err(), budget.over_budget()), (is_over, is_over));
    if let Err(over) = found {
        assert_eq!((over.used.get(), over.limit), (used, budget.limit()));
    }
}

/// What callbacks report, in order.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    fn add(&self, line: &dyn std::fmt::Display) {
        let mut lines = self.0.lock().unwrap();
        alloc_core::untraced(|| lines.push(line.to_string()));
    }

    /// A budget whose callbacks add to this log.
    fn budget(&self, limit: u64, warning: u64) -> Budget {
        let (one, other) = (self.clone(), self.clone());
        Budget::new(limit)
            .unwrap()
            .warn_at(warning)
            .on_warning(move |it| one.add(&format_args!("warning {}", it.used)))
            .on_over_budget(move |it| other.add(&format_args!("over {}", it.used)))
    }

    #[track_caller]
    fn check(&self, expected: &[&str]) {
        let lines = std::mem::take(&mut *self.0.lock().unwrap());
        assert_eq!(lines, expected);
    }
}
