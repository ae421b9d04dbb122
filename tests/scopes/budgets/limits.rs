//! When a budget is over, and what it says.

use alloc_core::{Amount, Budget, Bytes, Scope, measure};
use alloc_tests::Source;

use crate::{amount, block, check, in_each_mode};

const HERE: Source = alloc_tests::source!();

pub(crate) fn a_budget_is_over_past_its_limit_and_not_at_it() {
    in_each_mode(|| {
        for limit in [0, 1, 100, 1 << 20] {
            let budget = Budget::new(limit).unwrap();
            assert_eq!(budget.limit(), limit);
            check(&budget, 0, false);
            // What is freed again does not count.
            budget.run(|| drop(block(2 * limit as usize + 1)));
            check(&budget, 0, false);
            let kept = budget.run(|| block(limit as usize));
            check(&budget, limit, false);
            // Work outside of the budget does not count.
            let other = block(1 << 21);
            check(&budget, limit, false);
            let more = budget.run(|| block(1));
            check(&budget, limit + 1, true);
            check(&budget, limit + 1, true);
            drop((more, other));
            check(&budget, limit, false);
            drop(kept);
            check(&budget, 0, false);
        }
    });
}

pub(crate) fn budgets_within_a_budget_count_in_it() {
    in_each_mode(|| {
        let outer = Budget::new(1_000).unwrap();
        let (inner, other) = outer.run(|| (Budget::new(300).unwrap(), Budget::new(2_000).unwrap()));
        let kept = inner.run(|| block(400));
        check(&inner, 400, true);
        check(&outer, 400, false);
        check(&other, 0, false);
        let more = other.run(|| block(700));
        check(&inner, 400, true);
        check(&other, 700, false);
        check(&outer, 1_100, true);
        drop(kept);
        check(&inner, 0, false);
        check(&outer, 700, false);
        drop(more);
        // The inner budget outlives the outer one.
        drop(outer);
        let kept = inner.run(|| block(301));
        check(&inner, 301, true);
        drop(kept);
    });
}

pub(crate) fn a_budget_of_a_scope_includes_what_the_scope_holds() {
    in_each_mode(|| {
        let scope = Scope::enter().unwrap();
        let kept = block(100);
        let handle = scope.handle();
        let [small, large] = [99, 100].map(|limit| Budget::of(&handle, limit));
        check(&small, 100, true);
        check(&large, 100, false);
        let more = block(1);
        check(&large, 101, true);
        drop((kept, more));
        check(&small, 0, false);
    });
}

pub(crate) fn an_error_names_the_line_that_holds_the_most() {
    in_each_mode(|| {
        let budget = Budget::with_stacks(Bytes::kib(20)).unwrap();
        let twice = || Vec::<u8>::with_capacity(7_500); // mark: second
        let held = || {
            [
                Vec::with_capacity(100),
                Vec::with_capacity(30_000), // mark: most
                Vec::with_capacity(400),
                twice(),
                twice(),
            ]
        };
        let kept = budget.run(|| std::hint::black_box(held()));
        let over = budget.check().unwrap_err();
        let file = HERE.file;
        let most = HERE.line("most");
        assert_eq!(
            over.to_string(),
            format!(
                "over budget: expected at most 20.0 KiB (20480 B), found 44.4 KiB (45500 B); \
                 {file}:{most} holds 29.3 KiB in 1 block"
            )
        );
        let of_line = |it: &alloc_core::Statistic| (it.key.to_string(), it.size.get(), it.count);
        let place = |line| format!("{file}:{line}");
        assert_eq!(
            over.top.iter().map(of_line).collect::<Vec<_>>(),
            [
                (place(most), 30_000, 1),
                (place(HERE.line("second")), 15_000, 2),
                (place(most + 1), 400, 1),
                (place(most - 1), 100, 1),
            ]
        );
        drop(kept);
    });
}

pub(crate) fn what_a_budget_takes_is_not_counted() {
    in_each_mode(|| {
        let usage = measure(|| {
            let budget = Budget::with_stacks(10)
                .unwrap()
                .warn_at(5)
                .on_warning(|_| ())
                .on_over_budget(|_| ());
            let kept = budget.clone().run(|| block(20));
            let over = budget.check().unwrap_err();
            // An error that names lines is memory of the tracer's own, like a snapshot.
            alloc_core::untraced(|| drop(over));
            drop(kept);
        })
        .usage;
        assert_eq!(
            (usage.allocated, usage.current),
            (amount(20, 1), amount(0, 0))
        );
        assert_eq!(usage.freed_before, Amount::default());
    });
}

pub(crate) fn in_a_child_of_a_fork_a_budget_is_never_over() {
    let budget = Budget::new(10).unwrap();
    let kept = budget.run(|| block(20));
    // SAFETY: the process has no other thread, so the child may do anything.
    let child = unsafe { libc::fork() };
    if child == 0 {
        let is_unknown = budget.usage().is_err() && budget.check().is_ok() && !budget.over_budget();
        // SAFETY: the child ends at once and runs no destructor of its parent's.
        unsafe { libc::_exit(i32::from(!is_unknown)) };
    }
    let mut status = 0;
    // SAFETY: the process is a child of this one, and `status` is a valid place.
    assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
    assert_eq!(status, 0);
    check(&budget, 20, true);
    drop(kept);
}
