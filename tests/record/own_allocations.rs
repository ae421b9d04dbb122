//! No number contains a byte that the tracer itself allocates.

use std::hint::black_box;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use alloc_core::{
    Amount, Config, GroupBy, Scope, ScopeHandle, Snapshot, TraceAlloc, start, take_snapshot,
    traced_memory,
};
use alloc_tests::sum_of;

#[global_allocator]
static ALLOC: TraceAlloc = TraceAlloc::system();

alloc_tests::tests![
    the_first_start_counts_nothing,
    calls_of_the_tracer_count_nothing,
    scopes_count_nothing_of_their_own,
    untraced_work_stays_untraced_if_tracing_starts_meanwhile,
];

fn total() -> Amount {
    let snapshot = take_snapshot().unwrap();
    sum_of(&snapshot, |trace| trace.domain == 0).total
}

#[track_caller]
fn assert_counts_nothing(what: &str, work: impl Fn()) {
    let before = (traced_memory().current, total());
    work();
    let after = (traced_memory().current, total());
    assert_eq!(after, before, "{what}");
}

fn configs() -> [Config; 2] {
    [Config::default(), Config::default().frames(0)]
}

fn the_first_start_counts_nothing() {
    for config in configs() {
        alloc_core::start_with(config.clone()).unwrap();
        assert_eq!(traced_memory().peak, 0);
        assert_eq!(total(), Amount::default(), "{config:?}");
        alloc_core::stop();
    }
}

/// Each call of the library, which drops its result.
const CALLS: [(&str, fn()); 16] = [
    ("start again", || {
        let _ = alloc_core::start_with(Config::default());
        let _ = alloc_core::start_with(Config::default().frames(0));
    }),
    ("start otherwise", || {
        assert!(alloc_core::start_with(Config::default().frames(77)).is_err());
        assert!(alloc_core::start_with(Config::default().frames(7_777)).is_err());
    }),
    ("questions", || {
        assert!(alloc_core::is_tracing());
        black_box(alloc_core::capture_method());
        black_box(alloc_core::traceback_limit());
        black_box(alloc_core::tracer_memory());
    }),
    ("a snapshot", || {
        let snapshot = take_snapshot().unwrap();
        black_box(snapshot.traces());
        black_box(snapshot.statistics(GroupBy::Line));
        black_box(snapshot.statistics(GroupBy::Traceback));
    }),
    ("a file", || {
        let mut file = Vec::new();
        let snapshot = take_snapshot().unwrap();
        alloc_core::untraced(|| snapshot.write_to(&mut file)).unwrap();
        black_box(Snapshot::read_from(&file[..]).unwrap());
        alloc_core::untraced(|| drop(file));
    }),
    ("a traceback", || {
        black_box(alloc_core::traceback_of(&raw const ALLOC));
    }),
    ("the peak", alloc_core::reset_peak),
    ("a tracked block", || {
        alloc_core::track(1, 0x1000, 100).unwrap();
        alloc_core::untrack(1, 0x1000).unwrap();
        assert!(alloc_core::track(0, 0x1000, 100).is_err());
    }),
    ("a scope", || {
        let scope = Scope::enter().unwrap();
        black_box(scope.usage().unwrap());
        let handle = scope.handle();
        handle.clone().run(|| ());
        drop(scope);
    }),
    ("a scope with stacks", || {
        let scope = Scope::enter_with_stacks().unwrap();
        black_box(scope.snapshot().unwrap());
    }),
    ("a scope with threads", || {
        drop(Scope::enter_with_threads().unwrap());
    }),
    ("a handle", || {
        let handle = ScopeHandle::with_stacks().unwrap();
        handle.run(|| ());
        black_box(handle.usage().unwrap());
        drop(handle.instrument(()));
    }),
    ("a measurement", || {
        assert_eq!(alloc_core::measure(|| ()).usage.allocated.blocks, 0);
        assert!(alloc_core::try_measure(|| ()).is_ok());
    }),
    ("assertions", || {
        alloc_core::assert_no_alloc!(());
        alloc_core::assert_memory!((), peak <= 0 B, allocations <= 0);
        alloc_core::assert_no_growth!(rounds = 3, || ());
    }),
    ("a benchmark", || {
        alloc_core::bench_memory(3, || ()).unwrap();
    }),
    ("the process's memory", || {
        black_box(alloc_core::resident_memory()).unwrap();
        let usage = alloc_core::memory_usage(Duration::from_millis(1), || ());
        assert_eq!(usage.peak, None);
    }),
];

fn calls_of_the_tracer_count_nothing() {
    for config in configs() {
        alloc_core::start_with(config.clone()).unwrap();
        for (what, call) in CALLS {
            assert_counts_nothing(&format!("{what}, {config:?}, at first"), call);
            assert_counts_nothing(&format!("{what}, {config:?}, again"), call);
        }
        alloc_core::stop();
    }
}

/// Each call within a scope, by the numbers of the scope.
fn scopes_count_nothing_of_their_own() {
    for tracing in [false, true] {
        if tracing {
            start().unwrap();
        }
        for with_stacks in [false, true] {
            let scope = match with_stacks {
                true => Scope::enter_with_stacks().unwrap(),
                false => Scope::enter().unwrap(),
            };
            for (what, call) in CALLS {
                // Calls that need tracing get it.
                let needs_tracing = ["questions", "a snapshot", "a file", "a tracked block"];
                if !tracing && (needs_tracing.contains(&what) || what.starts_with("start")) {
                    continue;
                }
                call();
                let allocated = scope.usage().unwrap().allocated;
                assert_eq!(allocated, Amount::default(), "{what}, {with_stacks}");
            }
        }
    }
}

fn untraced_work_stays_untraced_if_tracing_starts_meanwhile() {
    static IS_UNTRACED: AtomicBool = AtomicBool::new(false);
    let thread = thread::spawn(|| {
        while !IS_UNTRACED.load(Relaxed) {
            thread::yield_now();
        }
        start().unwrap();
    });
    let kept = alloc_core::untraced(|| {
        IS_UNTRACED.store(true, Relaxed);
        while !alloc_core::is_tracing() {
            thread::yield_now();
        }
        // No other block has this size.
        black_box(vec![1_u8; 123_457])
    });
    thread.join().unwrap();
    assert!(traced_memory().current < 100_000, "{:?}", traced_memory());
    assert!(alloc_core::traceback_of(kept.as_ptr()).is_none());
    let seen = black_box(vec![1_u8; 123_457]);
    assert!(alloc_core::traceback_of(seen.as_ptr()).is_some());
}
