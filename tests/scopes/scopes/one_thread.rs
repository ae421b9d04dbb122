//! Scopes on one thread: what counts, and for which of several nested scopes.

use alloc_core::{Config, Scope, Usage, measure};

use crate::{amount, block};

pub(crate) fn an_empty_scope_counts_nothing() {
    let measured = measure(|| 7);
    assert_eq!((measured.value, measured.usage), (7, Usage::default()));
}

pub(crate) fn a_scope_counts_to_the_byte() {
    let measured = measure(|| {
        drop(block(1000));
        let kept = block(30);
        drop(block(500));
        kept
    });
    let usage = measured.usage;
    assert_eq!(usage.allocated, amount(1530, 3));
    assert_eq!(usage.freed, amount(1500, 2));
    assert_eq!(usage.current, amount(30, 1));
    assert_eq!(usage.peak, amount(1000, 2));
    assert_eq!(usage.reallocations, 0);
    assert_eq!(usage.freed_before, amount(0, 0));
}

pub(crate) fn reallocations_are_one_change() {
    let usage = measure(|| {
        let mut grown = block(100);
        grown.reserve_exact(300);
        grown
    })
    .usage;
    assert_eq!(usage.allocated, amount(400, 2));
    assert_eq!(usage.freed, amount(100, 1));
    // Not 400: the block is in one place at a time.
    assert_eq!(usage.peak, amount(300, 1));
    assert_eq!(usage.current, amount(300, 1));
    assert_eq!(usage.reallocations, 1);
}

pub(crate) fn reallocations_are_charged_to_their_callers() {
    let scope = Scope::enter_with_stacks().unwrap();
    let mut grown = block(100);
    grown.reserve_exact(300);
    let snapshot = scope.snapshot().unwrap();
    drop(scope);
    let held = |it: &&alloc_core::Trace| it.counters.current.bytes.get() == 300;
    let trace = snapshot.traces().iter().find(held).expect("the block");
    let names: Vec<_> = trace
        .traceback
        .iter()
        .filter_map(|it| it.function())
        .collect();
    // NOTE: and not at one of the tracer's own.
    assert!(names[0].starts_with("alloc::"), "{names:?}");
    assert!(
        names
            .iter()
            .any(|it| it.ends_with("reallocations_are_charged_to_their_callers"))
    );
    drop(grown);
}

pub(crate) fn blocks_from_before_are_counted_apart() {
    let (old, mut grown) = (block(700), block(10));
    let usage = measure(|| {
        drop(old);
        grown.reserve_exact(50);
    })
    .usage;
    assert_eq!(usage.freed_before, amount(710, 2));
    assert_eq!(usage.allocated, amount(50, 1));
    assert_eq!(usage.current, amount(50, 1));
    assert_eq!(usage.freed, amount(0, 0));
    assert_eq!((usage.peak, usage.reallocations), (amount(50, 1), 1));
}

pub(crate) fn nested_scopes_count_in_all_around_them() {
    let mut inner = Usage::default();
    let mut innermost = Usage::default();
    let outer = measure(|| {
        let early = block(1);
        let measured = measure(|| {
            drop(early);
            let measured = measure(|| (block(20), block(300)));
            innermost = measured.usage;
            measured.value.0
        });
        inner = measured.usage;
        block(4000)
    })
    .usage;
    assert_eq!(innermost.allocated, amount(320, 2));
    assert_eq!(innermost.current, amount(320, 2));
    assert_eq!(inner.allocated, amount(320, 2));
    assert_eq!(inner.freed_before, amount(1, 1), "it is the outer scope's");
    assert_eq!(inner.current, amount(20, 1));
    assert_eq!(outer.allocated, amount(4321, 4));
    assert_eq!(outer.freed_before, amount(0, 0));
    assert_eq!(outer.peak, amount(4020, 2));
    assert_eq!(outer.current, amount(4000, 1));
}

pub(crate) fn scopes_do_not_mind_tracing() {
    let work = || {
        let mut kept = Vec::new();
        (0..100).for_each(|i| kept.push(i));
        kept
    };
    let off = measure(work).usage;
    for config in [
        Config::default(),
        Config::default().frames(1),
        Config::default().frames(0),
        Config::default().frames(3),
        Config::default().sample_every(4096),
        Config::default().max_callsites(1),
    ] {
        alloc_core::start_with(config.clone()).unwrap();
        assert_eq!(measure(work).usage, off, "{config:?}");
        alloc_core::stop();
    }
    // Tracing that begins and ends within a scope.
    let usage = measure(|| {
        let kept = block(40);
        alloc_core::start().unwrap();
        drop(block(60));
        alloc_core::clear_traces();
        drop(kept);
        alloc_core::stop();
        block(2)
    })
    .usage;
    assert_eq!(usage.allocated, amount(102, 3));
    assert_eq!((usage.peak, usage.current), (amount(100, 2), amount(2, 1)));
}

pub(crate) fn the_tracer_s_own_does_not_count() {
    alloc_core::start().unwrap();
    let usage = measure(|| {
        let kept = block(9);
        let snapshot = alloc_core::take_snapshot().unwrap();
        assert!(!snapshot.traces().is_empty());
        alloc_core::untraced(|| drop(block(1 << 16)));
        kept
    })
    .usage;
    assert_eq!(usage.allocated, amount(9, 1));
    alloc_core::stop();
}
