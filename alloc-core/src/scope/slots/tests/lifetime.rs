//! When a slot is in use, and when it is another scope's.

use super::*;

/// Ends a scope by the way that a guard does, with a handle and a block that outlive it. The
/// parent's holds show whether the scope is still there: one for its owners, one for the scope.
#[test]
fn a_scope_ends_with_its_last_owner_and_its_last_block() {
    let parent = claim(None);
    assert_eq!((holds(parent), owners(parent)), (1, 2));
    let begun = || {
        let scope = claim(Some(parent));
        assert_eq!((holds(parent), owners(scope)), (2, 2));
        scope
    };
    begun().leave();
    assert_eq!(holds(parent), 1, "nothing else refers to it");

    let scope = begun();
    scope.own();
    scope.leave();
    assert_eq!((holds(parent), owners(scope)), (2, 1), "there is a handle");
    scope.disown(1);
    assert_eq!(holds(parent), 1);

    let scope = begun();
    scope.slot().on_alloc(10);
    scope.leave();
    assert_eq!((holds(parent), owners(scope)), (2, 0), "there is a block");
    scope.release(1);
    assert_eq!(holds(parent), 1);

    let (scope, within) = {
        let scope = begun();
        (scope, claim(Some(scope)))
    };
    scope.leave();
    assert_eq!((holds(parent), holds(scope)), (2, 1), "there is a scope");
    within.leave();
    assert_eq!(holds(parent), 1);
    end([parent]);
}

#[test]
fn a_scope_without_owners_gets_no_new_one() {
    let scope = claim(None);
    assert!(scope.try_own());
    assert_eq!(owners(scope), 3);
    // A block keeps the slot from reuse.
    scope.slot().on_alloc(10);
    scope.disown(3);
    assert!(!scope.try_own());
    assert_eq!((owners(scope), holds(scope)), (0, 0));
    scope.release(1);
}

#[test]
fn sharing_a_scope_shares_those_around_it() {
    let outer = claim(None);
    let middle = claim(Some(outer));
    let inner = claim(Some(middle));
    let are_shared = || [outer, middle, inner].map(|it| it.slot().is_shared.load(Relaxed));
    assert_eq!(are_shared(), [false, false, false]);
    middle.share();
    assert_eq!(are_shared(), [true, true, false]);
    end([inner, middle, outer]);
}

/// A thread comes back from a scope to the innermost one around whose guard lives.
#[test]
fn a_thread_does_not_come_back_to_a_scope_that_was_left() {
    let outer = claim(None);
    let gone = claim(Some(outer));
    let middle = claim(Some(gone));
    let inner = claim(Some(middle));
    assert_eq!(SlotId::come_back(None), None);
    // The share stays where the guard lives.
    assert_eq!(SlotId::come_back(Some(inner)), Some(inner));
    assert_eq!(owners(inner), 2);
    // One guard was dropped early; of another scope there is no owner at all.
    inner.mark_left();
    middle.mark_left();
    gone.disown(2);
    inner.own();
    assert_eq!(SlotId::come_back(Some(inner)), Some(outer));
    assert_eq!([inner, middle, outer].map(owners), [2, 2, 3]);
    // The thread ends up in no scope where all guards around are gone.
    outer.mark_left();
    assert_eq!(SlotId::come_back(Some(outer)), None);
    end([inner, middle, outer]);
}

/// A slot goes to the thread's next scope, or else to the free list. It never does both.
#[test]
fn no_two_scopes_have_one_slot() {
    let mut scopes: Vec<SlotId> = (0..10).map(|_| claim(None)).collect();
    for round in 0..20 {
        // Ends some, in an order that differs by round.
        for _ in 0..5 {
            let at = (7 * round + 3) % scopes.len();
            end([scopes.swap_remove(at)]);
        }
        while scopes.len() < 10 {
            let scope = claim(None);
            assert!(!scopes.contains(&scope), "{scope:?} twice");
            assert_eq!((holds(scope), owners(scope)), (1, 2));
            scopes.push(scope);
        }
    }
    scopes.into_iter().for_each(|it| end([it]));
}

#[test]
fn slots_of_ended_scopes_are_used_again() {
    const ROUNDS: u32 = 200;
    const SCOPES: u32 = 100;
    let before = USED.load(Relaxed);
    for _ in 0..ROUNDS {
        let scopes: Vec<SlotId> = (0..SCOPES).map(|_| claim(None)).collect();
        scopes.into_iter().for_each(|it| end([it]));
    }
    // Other tests have scopes, too: some thousand.
    let used = USED.load(Relaxed) - before;
    assert!(used < ROUNDS * SCOPES / 4, "{used}");
}

/// Slots are numbered from one.
#[test]
fn every_slot_has_a_place() {
    assert!(SLOTS.len() * CHUNK > MOST_SCOPES);
}

/// With the same slot at the head, the list may still be another. So the head counts its changes.
#[test]
fn each_change_of_the_free_list_makes_another_head() {
    let changes = || FREE.load(Relaxed) >> 32;
    let mut last = changes();
    let mut has_changed = || {
        let before = std::mem::replace(&mut last, changes());
        last > before
    };
    for _ in 0..20 {
        // The first slot that ends, or that is claimed, may be the one that the thread keeps.
        let scopes = [claim(None), claim(None), claim(None)];
        has_changed();
        end(scopes);
        assert!(has_changed(), "slots went to the list");
        let scopes = [claim(None), claim(None), claim(None)];
        assert!(has_changed(), "slots came from the list");
        end(scopes);
    }
}
