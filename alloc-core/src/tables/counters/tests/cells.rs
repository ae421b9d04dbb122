//! A cell: when it must be folded, and that the fast paths count what the slow paths count.

use super::super::cell::MOST_BLOCKS;
use super::*;

const CALLSITE: u32 = 7;
const EPOCH: u64 = 3;
const CEILING: CellCeiling = CellCeiling(100);

fn weighted(bytes: i64, blocks: i32) -> Weighted {
    Weighted { bytes, blocks }
}

/// A cell of [`CALLSITE`] with these net counts.
fn cell_with(net: Weighted) -> Cell {
    let cell: Cell = zeroed();
    cell.empty_for(CALLSITE, EPOCH);
    let _ = if net.bytes < 0 {
        cell.freed(weighted(-net.bytes, -net.blocks), EPOCH, CEILING)
    } else {
        cell.allocated(net, false, EPOCH, CEILING)
    };
    cell
}

#[track_caller]
fn check_allocated(before: Weighted, weighted: Weighted, must_fold: bool) {
    let cell = cell_with(before);
    assert_eq!(
        cell.allocated(weighted, false, EPOCH, CEILING),
        must_fold,
        "{before:?}, then {weighted:?}"
    );
}

#[track_caller]
fn check_freed(before: Weighted, weighted: Weighted, must_fold: bool) {
    let cell = cell_with(before);
    assert_eq!(
        cell.freed(weighted, EPOCH, CEILING),
        must_fold,
        "{before:?}, then {weighted:?}"
    );
}

#[test]
fn a_cell_must_be_folded_beyond_its_ceiling() {
    check_allocated(weighted(0, 0), weighted(100, 1), false);
    check_allocated(weighted(0, 0), weighted(101, 1), true);
    check_allocated(weighted(60, 1), weighted(41, 1), true);
    check_freed(weighted(0, 0), weighted(100, 1), false);
    check_freed(weighted(0, 0), weighted(101, 1), true);
    check_freed(weighted(60, 1), weighted(160, 1), false);
}

/// A single thread's cells need no folds. Those of several hide part of a callsite's peak.
#[test]
fn a_single_thread_holds_back_more_than_one_of_several() {
    for (ceiling, most) in [
        (CellCeiling::ONE_THREAD, 1 << 30),
        (CellCeiling::MANY_THREADS, 16 << 10),
    ] {
        let cell = cell_with(weighted(0, 0));
        assert!(!cell.try_alloc_fast(CALLSITE, most + 1, EPOCH, ceiling));
        assert!(cell.try_alloc_fast(CALLSITE, most, EPOCH, ceiling));
    }
}

/// The counts of blocks have 32 bits, and a sampled block may count for millions.
#[test]
fn a_cell_must_be_folded_before_its_block_counts_overflow() {
    let most = MOST_BLOCKS as i32;
    check_allocated(weighted(0, 0), weighted(1, most - 1), false);
    check_allocated(weighted(0, 0), weighted(1, most), true);
    check_allocated(weighted(0, most - 1), weighted(1, 1), true);
    check_freed(weighted(0, 0), weighted(1, most), false);
    check_freed(weighted(0, 0), weighted(1, most + 1), true);
    check_freed(weighted(0, most), weighted(1, 2), false);
}

/// The fast path takes an allocation unless the cell should be folded after it.
#[test]
fn the_fast_path_of_an_allocation_counts_what_the_slow_path_counts() {
    let most = MOST_BLOCKS as i32;
    for before in [
        weighted(0, 0),
        weighted(99, 1),
        weighted(-50, -1),
        weighted(1, most - 2),
        weighted(1, most - 1),
    ] {
        for size in [1, 2, 99, 100, 101, 150, 151] {
            let (fast, slow) = (cell_with(before), cell_with(before));
            let untouched = fast.read();
            assert!(!fast.try_alloc_fast(CALLSITE + 1, size, EPOCH + 1, CEILING));
            assert_eq!(fast.read(), untouched);

            let must_fold = slow.allocated(weighted(size, 1), false, EPOCH + 1, CEILING);
            let is_fast = fast.try_alloc_fast(CALLSITE, size, EPOCH + 1, CEILING);
            assert_eq!(is_fast, !must_fold, "{before:?}, then {size}");
            let expected = if is_fast { slow.read() } else { untouched };
            assert_eq!(fast.read(), expected, "{before:?}, then {size}");
        }
    }
}

#[test]
fn the_fast_path_of_a_free_counts_what_the_slow_path_counts() {
    for before in [weighted(0, 0), weighted(99, 1), weighted(-50, -1)] {
        for size in [1, 2, 50, 51, 100, 101, 199, 200] {
            let (fast, slow) = (cell_with(before), cell_with(before));
            assert_eq!(fast.bytes_after(CALLSITE + 1, size, CEILING), None);

            let must_fold = slow.freed(weighted(size, 1), EPOCH + 1, CEILING);
            let left = fast.bytes_after(CALLSITE, size, CEILING);
            assert_eq!(left.is_none(), must_fold, "{before:?}, then {size}");
            if let Some(left) = left {
                fast.free_fast(left, EPOCH + 1);
                assert_eq!(fast.read(), slow.read(), "{before:?}, then {size}");
            }
        }
    }
}

#[test]
fn a_fold_moves_all_counts_and_leaves_an_empty_cell_of_another_callsite() {
    let folds: [fn(&Cell, &SharedCounters, u32, u64); 2] = [Cell::fold_into, Cell::fold_alone_into];
    for fold in folds {
        let (cell, shared): (Cell, SharedCounters) = (zeroed(), zeroed());
        cell.empty_for(CALLSITE, EPOCH);
        let _ = cell.allocated(weighted(30, 1), false, EPOCH, CEILING);
        let _ = cell.allocated(weighted(50, 1), true, EPOCH, CEILING);
        // The heap was at its peak here.
        let _ = cell.freed(weighted(30, 1), EPOCH + 1, CEILING);
        assert!(cell.read_of(CALLSITE + 1).is_none());
        let expected = Counters {
            current: Amount::new(50, 1),
            peak: Amount::new(80, 2),
            at_peak: Amount::new(80, 2),
            total: Amount::new(80, 2),
            reallocations: 1,
            copied: Bytes::ZERO,
        };
        let in_cell = shared.sum(|| cell.read_of(CALLSITE).into_iter(), EPOCH + 1, false);
        assert_eq!(in_cell, expected);

        fold(&cell, &shared, CALLSITE + 1, EPOCH + 1);
        let empty = Delta {
            epoch: EPOCH + 1,
            ..Delta::default()
        };
        assert_eq!(cell.read_of(CALLSITE + 1), Some(empty));
        assert!(cell.read_of(CALLSITE).is_none());
        let folded = shared.sum(std::iter::empty, EPOCH + 1, false);
        assert_eq!(folded, expected);
    }
}

/// What a thread without a cell counts: one block, its free, and a free that was undone.
#[test]
fn a_free_that_is_undone_is_no_allocation() {
    let shared: SharedCounters = zeroed();
    let sum = || shared.sum(std::iter::empty, EPOCH, false);
    let block = weighted(80, 1);
    shared.fold(&Delta::allocated(block, EPOCH), EPOCH, || {});
    let allocated = sum();
    assert_eq!(allocated.current, Amount::new(80, 1));
    assert_eq!(allocated.peak, Amount::new(80, 1));
    assert_eq!(allocated.total, Amount::new(80, 1));
    assert_eq!(allocated.at_peak, Amount::default(), "the peak was before");
    shared.fold(&Delta::freed(block, EPOCH), EPOCH, || {});
    assert_eq!(
        sum(),
        Counters {
            current: Amount::default(),
            ..allocated
        }
    );
    shared.fold(&Delta::restored(block, EPOCH), EPOCH, || {});
    assert_eq!(sum(), allocated);
}

#[test]
fn a_thread_without_a_cell_counts_the_blocks_that_a_sampled_one_stands_for() {
    let shared: SharedCounters = zeroed();
    let sum = || shared.sum(std::iter::empty, EPOCH, false);
    shared.fold(&Delta::allocated(weighted(90, 3), EPOCH), EPOCH, || {});
    assert_eq!(
        (sum().current, sum().total),
        (Amount::new(90, 3), Amount::new(90, 3))
    );
    shared.fold(&Delta::freed(weighted(90, 3), EPOCH), EPOCH, || {});
    assert_eq!(
        (sum().current, sum().freed()),
        (Amount::default(), Amount::new(90, 3))
    );
}

/// Number 33 comes to the place of number 1.
#[test]
fn copies_are_held_back_until_another_callsite_takes_the_place() {
    let copies: Sums<32> = zeroed();
    let shared: [SharedCounters; 34] = std::array::from_fn(|_| zeroed());
    let fold = |callsite: u32, bytes: u64, emptied: &dyn Fn()| {
        shared[callsite as usize].fold_copied(bytes, emptied);
    };
    let check = |callsite: u32, folded: u64, held: u64| {
        let counters = shared[callsite as usize].sum(std::iter::empty, EPOCH, false);
        let found = (counters.copied.get(), copies.of(callsite));
        assert_eq!(found, (folded, held), "{callsite}");
    };
    copies.add(1, 100, fold);
    copies.add(2, 7, fold);
    copies.add(1, 50, fold);
    check(1, 0, 150);
    copies.add(33, 9, fold);
    check(1, 150, 0);
    check(33, 0, 9);
    check(2, 0, 7);
    // A word holds 43 bits of bytes.
    copies.add(2, (1 << 43) - 7, fold);
    check(2, 7, (1 << 43) - 7);
    copies.fold(fold);
    check(2, 1 << 43, 0);
    check(33, 9, 0);
    copies.add(1, 1, fold);
    copies.clear();
    check(1, 150, 0);
}

/// A record under way may have counted a reallocation and not yet its allocation.
#[test]
fn there_are_no_more_reallocations_than_allocations() {
    let shared: SharedCounters = zeroed();
    let cell = Delta {
        total_bytes: 9,
        total_blocks: 1,
        reallocations: 2,
        ..Delta::default()
    };
    let counters = shared.sum(|| [cell].into_iter(), EPOCH, false);
    assert_eq!(
        (counters.total, counters.reallocations),
        (Amount::new(9, 1), 1)
    );
}

#[test]
fn after_a_reset_the_peak_of_a_callsite_is_its_present_value() {
    let shared: SharedCounters = zeroed();
    let fold = |delta: Delta| shared.fold(&delta, EPOCH, || {});
    fold(Delta::allocated(weighted(80, 1), EPOCH));
    fold(Delta::allocated(weighted(20, 1), EPOCH));
    fold(Delta::freed(weighted(80, 1), EPOCH));
    let peak = || shared.sum(std::iter::empty, EPOCH + 1, false).peak;
    assert_eq!(peak(), Amount::new(100, 2));
    shared.reset_peak();
    assert_eq!(peak(), Amount::new(20, 1));
}

/// The reader inside the fold never sees it end, so it makes all its attempts.
#[test]
fn counters_are_read_again_while_a_fold_is_under_way() {
    let shared: SharedCounters = zeroed();
    let attempts = || {
        let mut attempts = 0;
        let cells = || {
            attempts += 1;
            std::iter::empty()
        };
        shared.sum(cells, EPOCH, false);
        attempts
    };
    assert_eq!(attempts(), 1);
    shared.fold(&Delta::allocated(weighted(5, 1), EPOCH), EPOCH, || {
        assert_eq!(attempts(), ATTEMPTS);
    });
    assert_eq!(attempts(), 1);
}

/// The cell is folded between the reads of the shared part and of the cell's, once.
#[test]
fn counters_are_read_again_after_a_fold() {
    let (cell, shared): (Cell, SharedCounters) = (zeroed(), zeroed());
    cell.empty_for(CALLSITE, EPOCH);
    let _ = cell.allocated(weighted(30, 1), false, EPOCH, CEILING);
    let must_fold = AtomicBool::new(true);
    let cells = || {
        let read = cell.read_of(CALLSITE);
        if must_fold.swap(false, Relaxed) {
            cell.fold_into(&shared, CALLSITE, EPOCH);
        }
        read.into_iter()
    };
    let counters = shared.sum(cells, EPOCH, false);
    assert_eq!(counters.current, Amount::new(30, 1));
    assert_eq!(counters.total, Amount::new(30, 1));
}
