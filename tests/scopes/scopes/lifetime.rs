//! Guards, slots and processes: a scope ends in any order, and its slot is used again.

use alloc_core::{Scope, measure};
use expect_test::expect;

use crate::{amount, block, check, untraced_room};

pub(crate) fn panics_leave_a_scope() {
    std::panic::set_hook(Box::new(|_| {}));
    let failed = std::panic::catch_unwind(|| measure(|| panic!("on purpose")));
    assert!(failed.is_err());
    drop(std::panic::take_hook());
    let outer = Scope::enter().unwrap();
    drop(block(10));
    check(
        outer.usage().unwrap(),
        expect!["allocated 10 in 1, freed 10 in 1, peak 10 in 1"],
    );
}

pub(crate) fn guards_in_any_order_are_safe() {
    let first = Scope::enter().unwrap();
    let second = Scope::enter().unwrap();
    drop(first);
    drop(block(5));
    check(
        second.usage().unwrap(),
        expect!["allocated 5 in 1, freed 5 in 1, peak 5 in 1"],
    );
    drop(second);
    // Both scopes have ended, so a new one has no parent that counts.
    check(
        measure(|| drop(block(8))).usage,
        expect!["allocated 8 in 1, freed 8 in 1, peak 8 in 1"],
    );

    let third = Scope::enter().unwrap();
    let handle = third.handle();
    handle.run(|| drop(third));
    drop(handle);
    let escaped = measure(|| Scope::enter().unwrap()).value;
    drop(block(3));
    check(
        escaped.usage().unwrap(),
        expect!["allocated 3 in 1, freed 3 in 1, peak 3 in 1"],
    );
    drop(escaped);
    std::mem::forget(Scope::enter().unwrap());
    check(
        measure(|| drop(block(8))).usage,
        expect!["allocated 8 in 1, freed 8 in 1, peak 8 in 1"],
    );
}

pub(crate) fn slots_are_reused() {
    const SURVIVORS: usize = 100_000;
    let mut room = untraced_room(SURVIVORS);
    let mut memory = untraced_room(3);
    for _ in 0..3 {
        for i in 0..SURVIVORS {
            let measured = measure(|| block(1 + i % 7));
            assert_eq!(measured.usage.allocated.bytes, 1 + (i % 7) as u64);
            // Blocks that outlive their scopes keep the slots in use.
            room.push(measured.value);
        }
        memory.push(alloc_core::tracer_memory().get());
        room.clear();
    }
    assert_eq!(memory[1], memory[2], "{memory:?}");
}

pub(crate) fn more_scopes_than_there_can_be_are_refused() {
    let mut kept: Vec<Scope> = untraced_room((1 << 20) + 1);
    let error = loop {
        // Untraced, so that the scopes are not nested.
        match alloc_core::untraced(Scope::enter) {
            Ok(scope) => kept.push(scope),
            Err(error) => break error,
        }
    };
    assert!(error.is_broken(), "{error}");
    assert!(kept.len() > 1_000_000, "{}", kept.len());
    drop(kept);
    check(
        measure(|| drop(block(8))).usage,
        expect!["allocated 8 in 1, freed 8 in 1, peak 8 in 1"],
    );
}

pub(crate) fn blocks_freed_after_their_scopes_leave_no_trace() {
    // Many blocks outlive their scopes and are freed while there is no scope. Then their addresses
    // are reused.
    for round in 0..50 {
        let kept: Vec<_> = (0..100).map(|_| measure(|| block(64)).value).collect();
        drop(kept);
        let others: Vec<_> = (0..100).map(|_| block(64)).collect();
        let usage = measure(|| drop(others)).usage;
        // One of the blocks is the vector's.
        assert_eq!(usage.freed_before.blocks, 101, "{round}");
        assert_eq!(
            (usage.allocated, usage.current),
            (amount(0, 0), amount(0, 0))
        );
    }
}

pub(crate) fn a_child_of_a_fork_is_refused() {
    let scope = Scope::enter().unwrap();
    drop(block(10));
    // SAFETY: the process has no other thread, so the child may do anything.
    let child = unsafe { libc::fork() };
    if child == 0 {
        let refused = scope.usage().is_err_and(|error| error.is_forked());
        // The child's own scopes work.
        let own = measure(|| drop(block(7))).usage.allocated == amount(7, 1);
        // SAFETY: the child ends at once and runs no destructor of its parent's.
        unsafe { libc::_exit(i32::from(!(refused && own))) };
    }
    let mut status = 0;
    // SAFETY: the process is a child of this one, and `status` is a valid place.
    assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
    assert_eq!(status, 0);
    check(
        scope.usage().unwrap(),
        expect!["allocated 10 in 1, freed 10 in 1, peak 10 in 1"],
    );
}
