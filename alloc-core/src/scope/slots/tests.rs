//! Slots of small trees of scopes: what they count, which scopes count a block, and how they end.

mod blocks;
mod lifetime;

use super::slot::HOLD;
use super::*;
use crate::scope::{Scope, Usage};
use crate::{Amount, record::thread};

/// A scope in which no thread is, with the two owners that a new slot has.
///
/// NOTE: the calling thread is attached, so that it may keep a slot for its next scope.
fn claim(parent: Option<SlotId>) -> SlotId {
    drop(Scope::enter().unwrap());
    SlotId::claim(parent, std::ptr::null_mut()).unwrap()
}

/// Ends the scopes. NOTE: inner scopes first.
fn end<const N: usize>(scopes: [SlotId; N]) {
    scopes.into_iter().for_each(|it| it.disown(2));
}

/// What keeps the slot in use: the scopes within it and its owners together, each as one.
fn holds(scope: SlotId) -> u64 {
    scope.slot().references.load(Relaxed) / HOLD
}

fn owners(scope: SlotId) -> u32 {
    scope.slot().owners.load(Relaxed)
}

fn amount(bytes: u64, blocks: u64) -> Amount {
    Amount::new(bytes, blocks)
}

#[test]
fn a_slot_counts_alike_for_one_thread_and_for_several() {
    for is_shared in [false, true] {
        let slot = Slot::new();
        slot.begin(None, std::ptr::null_mut());
        slot.is_shared.store(is_shared, Relaxed);
        assert_eq!(slot.usage(), Usage::default());
        slot.on_alloc(100);
        slot.on_alloc(30);
        slot.on_realloc(100, 150);
        // The free of the block of 30 bytes.
        slot.net.fetch_sub(30, Relaxed);
        slot.references.fetch_sub(1, Relaxed);
        slot.on_realloc(150, 20);
        slot.freed_before(7);
        slot.freed_before(9);
        let expected = Usage {
            allocated: amount(300, 4),
            freed: amount(280, 3),
            current: amount(20, 1),
            peak: amount(180, 2),
            reallocations: 0,
            freed_before: amount(16, 2),
        };
        assert_eq!(slot.usage(), expected, "shared: {is_shared}");
    }
}

#[test]
fn a_slot_that_is_used_again_begins_at_zero() {
    let parent = claim(None);
    let slot = Slot::new();
    slot.begin(Some(parent), std::ptr::null_mut());
    assert_eq!(slot.parent(), Some(parent));
    assert_eq!(slot.depth.load(Relaxed), 1);
    slot.on_alloc(100);
    slot.freed_before(7);
    slot.reallocations.store(1, Relaxed);
    for mark in [&slot.is_shared, &slot.is_broken, &slot.is_left] {
        mark.store(true, Relaxed);
    }
    assert!(slot.is_broken());

    slot.begin(None, std::ptr::null_mut());
    assert_eq!(slot.usage(), Usage::default());
    assert_eq!((slot.parent(), slot.depth.load(Relaxed)), (None, 0));
    assert!(slot.sites().is_none() && !slot.is_broken());
    assert!(!slot.is_shared.load(Relaxed) && !slot.is_left.load(Relaxed));
    end([parent]);
}

/// A count that is read between the two steps of a change is not negative.
#[test]
fn what_is_live_is_never_below_zero() {
    let slot = Slot::new();
    slot.begin(None, std::ptr::null_mut());
    slot.net.store(-5, Relaxed);
    slot.peak.store(-5, Relaxed);
    assert_eq!(slot.usage(), Usage::default());
}

/// Compares all pairs of a tree with a search in lists that are written out.
#[test]
fn the_common_scope_of_two_is_the_innermost_around_both() {
    let root = claim(None);
    let left = claim(Some(root));
    let right = claim(Some(root));
    let leaf = claim(Some(left));
    let deepest = claim(Some(leaf));
    let other = claim(None);
    let chains = [
        vec![root],
        vec![left, root],
        vec![right, root],
        vec![leaf, left, root],
        vec![deepest, leaf, left, root],
        vec![other],
    ];
    for one in &chains {
        assert!(one[0].chain().eq(one.iter().copied()));
        assert!(one[0].chain_up_to(None).eq(one.iter().copied()));
        for other in &chains {
            let expected = one.iter().find(|it| other.contains(it)).copied();
            let common = SlotId::common(Some(one[0]), Some(other[0]));
            assert_eq!(common, expected, "{one:?} and {other:?}");
            let apart = one.iter().copied().take_while(|it| !other.contains(it));
            assert!(one[0].chain_up_to(common).eq(apart));
        }
        assert_eq!(SlotId::common(Some(one[0]), None), None);
        assert_eq!(SlotId::common(None, Some(one[0])), None);
    }
    end([deepest, leaf, left, right, root, other]);
}

#[test]
fn the_memory_of_scopes_is_that_of_slots_and_of_blocks() {
    const SLOTS: usize = 3_000;
    const CHUNKS: usize = 64;
    let slots: Vec<SlotId> = (0..SLOTS).map(|_| claim(None)).collect();
    let of_slots = resident() - super::blocks::resident();
    let expected = SLOTS * size_of::<Slot>();
    assert!(
        (expected..expected + (1 << 20)).contains(&of_slots),
        "{of_slots}"
    );
    let before = resident();
    // Each address is in another chunk of the index.
    let scope = Scope::enter().unwrap();
    let far = |chunk: usize| blocks::ELSEWHERE + (chunk << 17);
    (0..CHUNKS).for_each(|chunk| on_alloc(far(chunk), 10));
    let grown = resident() - before;
    let expected = CHUNKS * size_of::<u32>() * ((1 << 17) / 32);
    assert!((expected..8 * expected).contains(&grown), "{grown}");
    assert!(super::blocks::resident() >= expected);
    (0..CHUNKS).for_each(|chunk| on_free(far(chunk), 10));
    drop(scope);
    slots.into_iter().for_each(|it| end([it]));
}
