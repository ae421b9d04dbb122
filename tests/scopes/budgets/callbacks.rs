//! What runs at a check that finds a level crossed.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, Barrier, Mutex};

use alloc_core::{Budget, measure};

use crate::{Log, amount, block, in_each_mode};

pub(crate) fn each_crossing_is_reported_once() {
    in_each_mode(|| {
        let log = Log::default();
        let budget = log.budget(100, 50);
        for (held, expected) in [
            (50, &[][..]),
            (60, &["warning 60 B"]),
            (100, &[]),
            (101, &["over 101 B"]),
            (150, &[]),
            // Back below the limit, and not below the warning level.
            (100, &[]),
            (120, &["over 120 B"]),
            (0, &[]),
            (150, &["warning 150 B", "over 150 B"]),
            (50, &[]),
            (51, &["warning 51 B"]),
        ] {
            let kept = budget.scope().unwrap().run(|| block(held));
            for _ in 0..3 {
                assert_eq!(budget.check().is_err(), held > 100);
            }
            log.check(expected);
            drop(kept);
        }
    });
}

pub(crate) fn a_run_reports_what_it_finds_at_its_start_and_its_end() {
    in_each_mode(|| {
        let log = Log::default();
        let budget = log.budget(100, 50);
        for _ in 0..3 {
            let kept = budget.run(|| block(120));
            log.check(&["warning 120 B", "over 120 B"]);
            drop(kept);
        }
        budget.check().unwrap();
        let kept = budget.scope().unwrap().run(|| block(60));
        let more = budget.run(|| {
            log.check(&["warning 60 B"]);
            block(41)
        });
        log.check(&["over 101 B"]);
        drop((kept, more));
    });
}

pub(crate) fn a_warning_may_free_memory() {
    in_each_mode(|| {
        let cache = Arc::new(Mutex::new(Vec::new()));
        let evicted = cache.clone();
        let budget = Budget::new(100)
            .unwrap()
            .warn_at(80)
            .on_warning(move |_| *evicted.lock().unwrap() = Vec::new());
        *cache.lock().unwrap() = budget.scope().unwrap().run(|| block(150));
        assert!(budget.over_budget());
        assert_eq!(budget.check(), Ok(()));
        assert_eq!(budget.usage().unwrap().current, amount(0, 0));
    });
}

pub(crate) fn what_a_callback_allocates_counts_where_the_check_is() {
    let budget = || {
        let over = |_: &_| drop(block(7_000));
        Budget::new(10).unwrap().on_over_budget(over)
    };
    in_each_mode(|| {
        // At the end of a run the thread has left the budget.
        let usage = measure(|| {
            let budget = budget();
            drop(budget.run(|| block(20)));
            budget.usage().unwrap()
        });
        assert_eq!(usage.value.allocated, amount(20, 1));
        assert_eq!(usage.usage.allocated, amount(7_020, 2));
        // In the work itself it has not.
        let budget = budget();
        budget.run(|| {
            let _kept = block(20);
            assert!(budget.check().is_err());
        });
        assert_eq!(budget.usage().unwrap().allocated, amount(7_020, 2));
    });
}

pub(crate) fn clones_keep_their_callbacks() {
    let (one, other) = (Log::default(), Log::default());
    let first = one.budget(100, 50);
    let later = other.clone();
    let second = first
        .clone()
        .warn_at(60)
        .on_warning(move |it| later.add(&format_args!("later {}", it.used)));
    let kept = first.scope().unwrap().run(|| block(70));
    first.check().unwrap();
    second.check().unwrap();
    one.check(&["warning 70 B"]);
    other.check(&["later 70 B"]);
    // A plain clone is the same budget.
    first.clone().check().unwrap();
    one.check(&[]);
    drop(kept);
}

pub(crate) fn several_threads_report_a_crossing_once() {
    const THREADS: u32 = 4;
    const ROUNDS: u32 = 200;
    let crossings = Arc::new(AtomicU32::new(0));
    let count = crossings.clone();
    let budget = Budget::new(10)
        .unwrap()
        .on_over_budget(move |_| _ = count.fetch_add(1, Relaxed));
    let barrier = Barrier::new(THREADS as usize);
    std::thread::scope(|threads| {
        for _ in 0..THREADS {
            threads.spawn(|| {
                for round in 0..ROUNDS {
                    let kept = budget.scope().unwrap().run(|| block(11));
                    barrier.wait();
                    assert!(budget.check().is_err());
                    barrier.wait();
                    assert_eq!(crossings.load(Relaxed), round + 1);
                    drop(kept);
                    barrier.wait();
                    assert!(budget.check().is_ok());
                    barrier.wait();
                }
            });
        }
    });
}
