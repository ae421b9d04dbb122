//! Which scopes count a block.
//!
//! NOTE: the addresses are the tests' own. No allocator returns them, so no other thread's event
//! refers to them.

use std::hint::black_box;

use super::*;

/// The first of the addresses.
pub(super) const ELSEWHERE: usize = 0x2000_0000_0000;

const SIZE: usize = 100;

/// An address for each test.
fn address(test: usize) -> usize {
    ELSEWHERE - (1 << 20) + 4096 * test
}

fn enter() -> (Scope, SlotId) {
    let scope = Scope::enter().unwrap();
    (scope, thread::scope().unwrap())
}

fn usage(scope: SlotId) -> Usage {
    scope.slot().usage()
}

#[test]
fn a_block_counts_in_its_scope_and_in_those_around_it() {
    let block = address(0);
    let (_outer, outer) = enter();
    let (inner_guard, inner) = enter();
    on_alloc(block, SIZE);
    on_alloc(block + 64, 1);
    let allocated = Usage {
        allocated: amount(101, 2),
        current: amount(101, 2),
        peak: amount(101, 2),
        ..Usage::default()
    };
    assert_eq!(usage(inner), allocated);
    assert_eq!(usage(outer), allocated);

    on_free(block, SIZE);
    let freed = Usage {
        freed: amount(100, 1),
        current: amount(1, 1),
        ..allocated
    };
    assert_eq!(usage(inner), freed);
    assert_eq!(usage(outer), freed);
    // The block of one byte outlives its scope.
    drop(inner_guard);
    on_free(block + 64, 1);
    let all_freed = Usage {
        freed: amount(101, 2),
        current: amount(0, 0),
        ..allocated
    };
    assert_eq!(usage(outer), all_freed);
    // It is no block of a scope any more.
    on_free(block, SIZE);
    let freed_before = amount(100, 1);
    assert_eq!(
        usage(outer),
        Usage {
            freed_before,
            ..all_freed
        }
    );
}

/// A thread in no scope allocates no scope's blocks, and frees those of any scope.
#[test]
fn a_block_of_no_scope_is_not_counted() {
    let block = address(1);
    let (_guard, scope) = enter();
    thread::outside_scope(|| on_alloc(block, SIZE));
    assert_eq!(usage(scope), Usage::default());
    on_free(block, SIZE);
    let freed_before = Usage {
        freed_before: amount(100, 1),
        ..Usage::default()
    };
    assert_eq!(usage(scope), freed_before);

    on_alloc(block, SIZE);
    thread::outside_scope(|| on_free(block, SIZE));
    let both = Usage {
        allocated: amount(100, 1),
        freed: amount(100, 1),
        peak: amount(100, 1),
        ..freed_before
    };
    assert_eq!(usage(scope), both);
}

/// The scopes around the owner and around the thread that frees the block count a free of their
/// own block. Those around the thread only count the free of a foreign block.
#[test]
fn a_block_that_another_scope_frees_is_foreign_there_and_freed_in_both_s_common_scope() {
    let block = address(2);
    let (_outer, outer) = enter();
    let (owner_guard, owner) = enter();
    on_alloc(block, SIZE);
    // A handle, by which the slot stays readable.
    owner.own();
    drop(owner_guard);
    let (_around, around) = enter();
    let (_freeing, freeing) = enter();
    on_free(block, SIZE);
    let freed = Usage {
        allocated: amount(100, 1),
        freed: amount(100, 1),
        peak: amount(100, 1),
        ..Usage::default()
    };
    assert_eq!((usage(owner), usage(outer)), (freed, freed));
    let foreign = Usage {
        freed_before: amount(100, 1),
        ..Usage::default()
    };
    assert_eq!((usage(around), usage(freeing)), (foreign, foreign));
    owner.disown(1);
}

fn realloc(old: (usize, usize), new: (usize, usize)) {
    finish_realloc(begin_realloc(old.0), old, new);
}

#[test]
fn a_reallocation_is_one_change_in_the_block_s_scope_and_within() {
    let (block, moved) = (address(3), address(4));
    let (_outer, outer) = enter();
    on_alloc(block, SIZE);
    let (inner_guard, inner) = enter();
    realloc((block, SIZE), (moved, 300));
    let in_outer = Usage {
        allocated: amount(400, 2),
        freed: amount(100, 1),
        current: amount(300, 1),
        // The block is in one place at a time.
        peak: amount(300, 1),
        reallocations: 1,
        ..Usage::default()
    };
    assert_eq!(usage(outer), in_outer);
    let in_inner = Usage {
        allocated: amount(300, 1),
        current: amount(300, 1),
        peak: amount(300, 1),
        reallocations: 1,
        freed_before: amount(100, 1),
        ..Usage::default()
    };
    assert_eq!(usage(inner), in_inner);
    // The block belongs to the inner scope now.
    on_free(block, SIZE);
    on_free(moved, 300);
    assert_eq!(usage(inner).freed, amount(300, 1));
    drop(inner_guard);
    assert_eq!(usage(outer).current, amount(0, 0));
}

#[test]
fn a_block_that_an_outer_scope_reallocates_leaves_the_inner_one() {
    let (block, moved) = (address(5), address(6));
    let (_outer, outer) = enter();
    let (inner_guard, inner) = enter();
    on_alloc(block, SIZE);
    inner.own();
    drop(inner_guard);
    realloc((block, SIZE), (moved, 300));
    assert_eq!(
        usage(inner),
        Usage {
            allocated: amount(100, 1),
            freed: amount(100, 1),
            peak: amount(100, 1),
            ..Usage::default()
        }
    );
    assert_eq!(usage(outer).current, amount(300, 1));
    assert_eq!(usage(outer).peak, amount(300, 1));
    inner.disown(1);
    // Outside of all scopes, too.
    thread::outside_scope(|| realloc((moved, 300), (block, SIZE)));
    assert_eq!(usage(outer).current, amount(0, 0));
    assert_eq!(usage(outer).reallocations, 1);
    // A block of no scope becomes one of the scope.
    realloc((block, SIZE), (moved, 200));
    assert_eq!(usage(outer).current, amount(200, 1));
    assert_eq!(usage(outer).freed_before, amount(100, 1));
    assert_eq!(usage(outer).reallocations, 2);
    on_free(moved, 200);
}

#[test]
fn a_reallocation_that_fails_changes_nothing() {
    let block = address(7);
    let (_guard, scope) = enter();
    on_alloc(block, SIZE);
    let before = usage(scope);
    abort_realloc(begin_realloc(block), block);
    assert_eq!(usage(scope), before);
    on_free(block, SIZE);
    assert_eq!(usage(scope).freed, amount(100, 1));
    // A block of no scope stays one.
    abort_realloc(begin_realloc(block), block);
    on_free(block, SIZE);
    assert_eq!(usage(scope).freed_before, amount(100, 1));
}

/// The inner allocator may free a block by a way that is not seen. Then it returns the address
/// again.
#[test]
fn a_block_that_was_freed_unseen_does_not_keep_its_scope() {
    let block = address(8);
    let (_outer, outer) = enter();
    let (inner_guard, _) = enter();
    on_alloc(block, SIZE);
    drop(inner_guard);
    assert_eq!(holds(outer), 2, "the inner scope has a block");
    on_alloc(block, 5);
    assert_eq!(holds(outer), 1);
    // The size of the earlier block is not known.
    assert_eq!(usage(outer).current, amount(105, 1));
    on_free(block, 5);
    assert_eq!(usage(outer).current, amount(100, 0));
}

/// The index covers 47 bits of address space, or 48.
#[test]
fn a_scope_is_broken_where_the_index_has_no_room_for_a_block() {
    let (outer_guard, outer) = enter();
    let (inner_guard, inner) = enter();
    assert!(inner_guard.usage().is_ok());
    on_alloc(1 << 60, SIZE);
    for guard in [&outer_guard, &inner_guard] {
        assert!(guard.usage().unwrap_err().is_broken());
    }
    // The block can never be freed.
    [inner, outer].into_iter().for_each(|it| it.release(1));
}

/// The test harness keeps it in memory on the test's thread. Elsewhere it counts: see
/// [`assert_memory!`](crate::assert_memory).
#[test]
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
fn printed_text_does_not_count() {
    let (guard, _) = enter();
    for line in 0..100 {
        println!("a line of printed text, number {line}");
    }
    assert_eq!(guard.usage().unwrap(), Usage::default());
}

#[test]
fn a_scope_with_stacks_counts_each_block_at_its_callsite() {
    let scope = Scope::enter_with_stacks().unwrap();
    // NOTE: else the optimizer leaves them out.
    let kept = black_box(Vec::<u8>::with_capacity(300));
    drop(black_box(Vec::<u8>::with_capacity(500)));
    let snapshot = scope.snapshot().unwrap();
    drop(scope);
    let mut live: Vec<_> = snapshot.traces().iter().map(|it| it.counters).collect();
    live.sort_unstable_by_key(|it| it.current);
    let totals: Vec<_> = live.iter().map(|it| (it.current, it.total)).collect();
    assert_eq!(
        totals,
        [
            (amount(0, 0), amount(500, 1)),
            (amount(300, 1), amount(300, 1))
        ]
    );
    drop(kept);
}

/// A started thread first of all frees a block of the thread that started it.
#[cfg(target_os = "linux")]
#[test]
fn a_thread_counts_in_the_scope_that_it_was_started_in() {
    const MIB: u64 = 1 << 20;
    // NOTE: else the optimizer leaves them out.
    let block = || black_box(Vec::<u8>::with_capacity(MIB as usize));
    let work = move || drop(block());
    let scope = Scope::enter_with_threads().unwrap();
    std::thread::spawn(work).join().unwrap();
    // Another thread is started outside, and then frees a block of the scope.
    let block = block();
    thread::outside_scope(|| {
        let free_and_work = move || {
            drop(block);
            work();
        };
        std::thread::spawn(free_and_work).join().unwrap();
    });
    let usage = scope.usage().unwrap();
    drop(scope);
    let [allocated, freed] = [usage.allocated, usage.freed].map(|it| it.bytes.get() / MIB);
    assert_eq!([allocated, freed], [2, 2]);
}
