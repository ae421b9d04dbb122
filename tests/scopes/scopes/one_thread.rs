//! Scopes on one thread: what counts, and for which of several nested scopes.

use alloc_core::{Config, Scope, Usage, measure};
use expect_test::expect;

use crate::{amount, block, check};

pub(crate) fn an_empty_scope_counts_nothing() {
    let measured = measure(|| 7);
    assert_eq!(measured.value, 7);
    check(measured.usage, expect![""]);
}

pub(crate) fn a_scope_counts_to_the_byte() {
    let measured = measure(|| {
        drop(block(1000));
        let kept = block(30);
        drop(block(500));
        kept
    });
    check(
        measured.usage,
        expect!["allocated 1530 in 3, freed 1500 in 2, live 30 in 1, peak 1000 in 2"],
    );
}

pub(crate) fn reallocations_are_one_change() {
    let usage = measure(|| {
        let mut grown = block(100);
        grown.reserve_exact(300);
        grown
    })
    .usage;
    // The peak is not 400: the block is in one place at a time.
    check(
        usage,
        expect![
            "allocated 400 in 2, freed 100 in 1, live 300 in 1, peak 300 in 1, reallocations 1"
        ],
    );
}

pub(crate) fn reallocations_are_charged_to_their_callers() {
    let scope = Scope::enter_with_stacks().unwrap();
    let mut grown = block(100);
    let before = grown.as_ptr();
    grown.reserve_exact(300);
    let copied = if grown.as_ptr() == before { 0 } else { 100 };
    let snapshot = scope.snapshot().unwrap();
    drop(scope);
    let held = |it: &&alloc_core::Trace| it.counters.current.bytes.get() == 300;
    let trace = snapshot.traces().iter().find(held).expect("the block");
    assert_eq!(
        (trace.counters.reallocations, trace.counters.copied.get()),
        (1, copied)
    );
    let names: Vec<_> = trace
        .traceback
        .iter()
        .filter_map(|it| it.function())
        .collect();
    // NOTE: no frame of the tracer is in front of it.
    let innermost = names[0].trim_start_matches('<');
    assert!(innermost.starts_with("alloc::"), "{names:?}");
    assert!(
        names
            .iter()
            .any(|it| it.ends_with("reallocations_are_charged_to_their_callers"))
    );
    drop(grown);
}

pub(crate) fn blocks_from_before_are_counted_separately() {
    let (old, mut grown) = (block(700), block(10));
    let usage = measure(|| {
        drop(old);
        grown.reserve_exact(50);
    })
    .usage;
    check(
        usage,
        expect![
            "allocated 50 in 1, live 50 in 1, peak 50 in 1, freed from before 710 in 2, reallocations 1"
        ],
    );
}

pub(crate) fn nested_scopes_count_in_every_scope_around_them() {
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
    check(
        innermost,
        expect!["allocated 320 in 2, live 320 in 2, peak 320 in 2"],
    );
    // The block of one byte belongs to the outer scope.
    check(
        inner,
        expect![
            "allocated 320 in 2, freed 300 in 1, live 20 in 1, peak 320 in 2, freed from before 1 in 1"
        ],
    );
    check(
        outer,
        expect!["allocated 4321 in 4, freed 321 in 3, live 4000 in 1, peak 4020 in 2"],
    );
}

pub(crate) fn tracing_does_not_change_scopes() {
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
    // Tracing begins and ends within a scope.
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
    check(
        usage,
        expect!["allocated 102 in 3, freed 100 in 2, live 2 in 1, peak 100 in 2"],
    );
}

pub(crate) fn the_tracer_s_own_memory_does_not_count() {
    alloc_core::start().unwrap();
    let usage = measure(|| {
        let kept = block(9);
        let snapshot = alloc_core::take_snapshot().unwrap();
        assert!(!snapshot.traces().is_empty());
        alloc_core::untraced(|| drop(block(1 << 16)));
        kept
    })
    .usage;
    alloc_core::stop();
    // Other numbers vary: the dropped snapshot was allocated outside of the scope.
    assert_eq!(usage.allocated, amount(9, 1));
}
