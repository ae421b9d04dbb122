//! The heap and an account: when the account settles, and what is a peak.

use super::super::account::LEAST_CREDIT;
use super::*;

/// A heap, and the account of its only thread.
struct Single {
    heap: Heap,
    account: Account,
    epoch: AtomicU64,
}

impl Single {
    fn new() -> Single {
        let (heap, account) = (Heap::new(), zeroed::<Account>());
        account.begin(Concurrency::Single, &heap);
        Single {
            heap,
            account,
            epoch: AtomicU64::new(1),
        }
    }

    fn grow(&self, size: i64) {
        assert!(!self.account.grow(size, &self.heap), "it never settles");
    }

    /// Returns whether the heap fell from its peak.
    fn shrink(&self, size: i64) -> bool {
        let before = self.epoch.load(Relaxed);
        let has_fallen = self.account.shrink(size, &self.heap, &self.epoch);
        assert_eq!(self.epoch.load(Relaxed), before + u64::from(has_fallen));
        has_fallen
    }

    fn read(&self) -> TracedMemory {
        self.heap.read(|| held_back(&self.account))
    }
}

fn memory(current: u64, peak: u64, peak_error: u64) -> TracedMemory {
    TracedMemory {
        current: current.into(),
        peak: peak.into(),
        peak_error: peak_error.into(),
        sampled: false,
    }
}

#[test]
fn a_free_is_fast_unless_the_heap_falls_from_its_peak() {
    let it = Single::new();
    it.grow(10);
    it.grow(5);
    assert_eq!(it.account.left_without_settling(1), None);
    assert!(!it.account.try_shrink(1));
    assert_eq!(it.account.net(), 15, "nothing changed");
    assert!(it.shrink(1));
    assert!(!it.heap.rising());

    assert_eq!(it.account.left_without_settling(4), Some(10));
    assert!(it.account.try_shrink(4));
    assert!(!it.shrink(3));
    assert_eq!(it.account.net(), 7);
    assert_eq!(it.read(), memory(7, 15, 0));
}

/// A reallocation may keep the size.
#[test]
fn a_change_of_no_bytes_does_not_end_a_peak() {
    let it = Single::new();
    it.grow(10);
    assert!(!it.shrink(0));
    assert!(it.account.try_shrink(0));
    it.heap.add_directly(0, &it.epoch);
    assert!(it.heap.rising());
    assert_eq!(it.epoch.load(Relaxed), 1);
}

#[test]
fn a_thread_without_an_account_ends_a_peak_once() {
    let it = Single::new();
    it.grow(10);
    it.account.settle(&it.heap);
    it.heap.add_directly(5, &it.epoch);
    assert_eq!((it.heap.rising(), it.epoch.load(Relaxed)), (true, 1));
    for _ in 0..2 {
        it.heap.add_directly(-5, &it.epoch);
        assert_eq!((it.heap.rising(), it.epoch.load(Relaxed)), (false, 2));
    }
    assert_eq!(it.read().current, 5);
}

#[test]
fn a_tally_has_room_up_to_the_peak_of_a_single_thread() {
    let it = Single::new();
    it.heap.add_directly(3, &it.epoch);
    it.account.begin(Concurrency::Single, &it.heap);
    it.grow(100);
    it.shrink(40);
    // 3 settled and 60 held back, of 103.
    assert_eq!(it.account.room_of_tally(&it.heap), 40);
    // A tally folds into the account.
    it.account.add(15);
    assert_eq!(it.account.room_of_tally(&it.heap), 25);
    assert!(it.account.is_alone());
    it.account.begin(Concurrency::Multi, &it.heap);
    assert_eq!(it.account.room_of_tally(&it.heap), i64::MAX);
    assert!(!it.account.is_alone());
}

/// The credit is half of the distance to the peak, divided among the threads, within limits.
#[test]
fn the_nearer_the_peak_the_less_a_thread_holds_back() {
    for (threads, room, credit) in [
        (1, 0, LEAST_CREDIT),
        (1, 2 * LEAST_CREDIT + 2, LEAST_CREDIT + 1),
        (2, 40_000, 10_000),
        (5, 100_000, 10_000),
        (2, 4 * MOST_CREDIT - 4, MOST_CREDIT - 1),
        (2, 1 << 40, MOST_CREDIT),
    ] {
        let begun = || {
            let (heap, account) = (Heap::new(), zeroed::<Account>());
            heap.set_threads(threads);
            heap.current.store(50, Relaxed);
            heap.peak.store(50 + room, Relaxed);
            account.begin(Concurrency::Multi, &heap);
            (heap, account, AtomicU64::new(1))
        };
        let (heap, account, _) = begun();
        assert_eq!(heap.peak_error.load(Relaxed), credit * i64::from(threads));
        assert!(!account.grow(credit - 1, &heap), "{threads}, {room}");
        assert_eq!(heap.current.load(Relaxed), 50);
        assert!(account.grow(1, &heap), "{threads}, {room}");
        assert_eq!(
            (account.net(), heap.current.load(Relaxed)),
            (0, 50 + credit)
        );

        let (heap, account, epoch) = begun();
        assert!(!account.shrink(credit, &heap, &epoch), "{threads}, {room}");
        assert_eq!(heap.current.load(Relaxed), 50);
        assert!(account.shrink(1, &heap, &epoch), "{threads}, {room}");
        assert_eq!(
            (account.net(), heap.current.load(Relaxed)),
            (0, 49 - credit)
        );
    }
}

/// The error does not shrink with the credit: the peak may be from before.
#[test]
fn the_error_of_the_peak_is_that_of_the_largest_credit() {
    let (heap, account): (Heap, Account) = (Heap::new(), zeroed());
    heap.set_threads(3);
    heap.peak.store(1 << 40, Relaxed);
    account.begin(Concurrency::Multi, &heap);
    heap.current.store(1 << 40, Relaxed);
    account.begin(Concurrency::Multi, &heap);
    let read = heap.read(|| held_back(&account));
    assert_eq!(read, memory(1 << 40, 1 << 40, 3 * MOST_CREDIT as u64));
}

/// In exact mode, with two threads, each change is settled at once.
#[test]
fn in_exact_mode_nothing_is_held_back() {
    let (heap, epoch) = (Heap::new(), AtomicU64::new(1));
    heap.set_exact(true);
    heap.set_threads(2);
    let accounts: [Account; 2] = [zeroed(), zeroed()];
    accounts
        .iter()
        .for_each(|account| account.begin(Concurrency::Multi, &heap));
    let [one, other] = &accounts;
    // The account, the change, and then: the heap, its peak, whether it is at the peak, the epoch.
    for (account, change, expected) in [
        (one, 10, (10, 10, true, 1)),
        (other, 1, (11, 11, true, 1)),
        (one, -1, (10, 11, false, 2)),
        (other, -1, (9, 11, false, 2)),
        (one, 1, (10, 11, false, 2)),
        // The later one of two equal peaks counts.
        (one, 1, (11, 11, true, 2)),
        (other, -11, (0, 11, false, 3)),
        (one, 12, (12, 12, true, 3)),
    ] {
        if change > 0 {
            assert!(account.grow(change, &heap));
        } else {
            assert!(account.shrink(-change, &heap, &epoch));
        }
        let read = heap.read(|| unreachable!("the settled part is all"));
        let now = (read.current.get(), read.peak.get());
        assert_eq!(
            (now.0, now.1, heap.rising(), epoch.load(Relaxed)),
            expected,
            "after {change}"
        );
        assert_eq!(read.peak_error, 0);
    }
}

/// With one thread, exact mode is like any other: what the account holds back counts.
#[test]
fn in_exact_mode_a_single_thread_still_holds_back() {
    let it = Single::new();
    it.heap.set_exact(true);
    it.grow(10);
    assert_eq!(it.read(), memory(10, 10, 0));
}

/// Only a peak that no earlier peak can have exceeded is exact.
#[test]
fn a_single_thread_is_exact_above_the_error_of_earlier_peaks() {
    let it = Single::new();
    it.heap.set_threads(2);
    it.account.begin(Concurrency::Multi, &it.heap);
    let error = 2 * LEAST_CREDIT;
    // No peak counts as exact while several threads take part.
    it.heap.set_threads(1);
    it.account.grow(error + 1, &it.heap);
    assert_eq!(it.read().peak_error, error as u64);
    it.account.shrink(error + 1, &it.heap, &it.epoch);
    let peak = error + 1;

    it.account.begin(Concurrency::Single, &it.heap);
    it.grow(peak + error);
    let (peak, error) = ((peak + error) as u64, error as u64);
    assert_eq!(it.read(), memory(peak, peak, error));
    it.grow(1);
    assert_eq!(it.read(), memory(peak + 1, peak + 1, 0));
    it.shrink(1);
    assert_eq!(it.read(), memory(peak, peak + 1, 0));
}

/// A tally checks for a peak itself, before a free.
#[test]
fn a_peak_is_noted_where_the_heap_is_at_it() {
    let heap = Heap::new();
    heap.current.store(70, Relaxed);
    heap.peak.store(100, Relaxed);
    heap.peak_error.store(9, Relaxed);
    heap.exact_above.store(109, Relaxed);
    heap.rising.store(true, Relaxed);
    assert!(!heap.is_at_peak(29));
    assert!(!heap.note_peak(29));
    assert!(heap.rising());
    // The held back part and the total; then the peak and its error.
    for (held_back, expected) in [(30, (100, 9)), (39, (109, 9)), (40, (110, 0))] {
        heap.rising.store(true, Relaxed);
        assert!(heap.is_at_peak(held_back));
        assert!(heap.note_peak(held_back));
        assert!(!heap.rising());
        let noted = (heap.peak.load(Relaxed), heap.peak_error.load(Relaxed));
        assert_eq!(noted, expected);
    }
    assert!(!heap.is_at_peak(39));
    for (held_back, peak) in [(39, 110), (41, 111)] {
        heap.raise_peak(held_back);
        assert_eq!(heap.peak.load(Relaxed), peak);
    }
}

#[test]
fn after_a_reset_the_peak_of_the_heap_is_its_present_size() {
    let it = Single::new();
    it.grow(100);
    it.shrink(30);
    it.account.settle(&it.heap);
    it.heap.peak_error.store(9, Relaxed);
    it.heap.most_credit.store(9, Relaxed);
    it.heap.reset_peak();
    assert!(it.heap.rising());
    assert_eq!(it.heap.most_credit.load(Relaxed), 0);
    assert_eq!(it.read(), memory(70, 70, 0));
    it.heap.clear();
    assert_eq!(it.read(), memory(0, 0, 0));
}

#[test]
fn a_cleared_account_holds_back_neither_bytes_nor_a_peak() {
    let it = Single::new();
    it.grow(100);
    it.account.clear();
    it.heap.clear();
    it.account.settle(&it.heap);
    assert_eq!(it.read(), memory(0, 0, 0));
    it.account.begin(Concurrency::Single, &it.heap);
    it.grow(100);
    it.account.forget_peak();
    it.account.tell_peak(&it.heap);
    assert!(it.heap.peak.load(Relaxed) < 100, "nobody knows the peak");
}

/// Only a single thread's account knows a peak that the heap does not.
#[test]
fn an_account_of_several_threads_has_no_peak_of_its_own() {
    const SIZE: i64 = 1 << 20;
    let it = Single::new();
    it.grow(SIZE);
    it.account.begin(Concurrency::Single, &it.heap);
    it.account.begin(Concurrency::Multi, &it.heap);
    it.account.shrink(SIZE, &it.heap, &it.epoch);
    it.heap.reset_peak();
    it.account.tell_peak(&it.heap);
    assert_eq!(it.heap.peak.load(Relaxed), 0);
}

/// There is always a thread, if only the one that asks.
#[test]
fn a_heap_has_at_least_one_thread() {
    let heap = Heap::new();
    for (threads, expected) in [(0, 1), (1, 1), (7, 7)] {
        heap.set_threads(threads);
        assert_eq!(heap.threads.load(Relaxed), expected);
    }
}

/// Each read of what is held back, as bytes and version, and the settled bytes at that moment.
#[track_caller]
fn check_read(reads: &[(i64, Option<u64>, i64)], expected: u64) {
    let heap = Heap::new();
    let at = std::cell::Cell::new(0);
    let read = heap.read(|| {
        let (bytes, versions, settled) = reads[at.get()];
        at.set(at.get() + 1);
        heap.current.store(settled, Relaxed);
        HeldBack { bytes, versions }
    });
    assert_eq!(read.current, expected);
    assert_eq!(at.get(), reads.len());
}

#[test]
fn a_heap_is_read_again_if_an_account_settles_meanwhile() {
    check_read(&[(5, Some(2), 0), (5, Some(2), 0)], 5);
    // It settles between the reads of the account and of the heap.
    let before = (5, Some(2), 5);
    let after = (0, Some(4), 5);
    check_read(&[before, after, after, after], 5);
    // It is settling.
    let during = (5, None, 5);
    check_read(&[during, during, after, after], 5);
}

#[test]
fn versions_change_with_each_settling_and_add_up() {
    let it = Single::new();
    let own = |it: &Single| it.account.held_back(true, || it.account.net());
    it.grow(10);
    let before = held_back(&it.account);
    assert_eq!(before.bytes, 10);
    assert_eq!(own(&it).versions, Some(0), "it must not wait for itself");
    it.account.settle(&it.heap);
    let after = held_back(&it.account);
    assert_eq!(after.bytes, 0);
    assert_ne!(before.versions, after.versions);

    let with = |bytes, versions| HeldBack { bytes, versions };
    let sum = with(3, Some(4)).plus(with(5, Some(u64::MAX)));
    assert_eq!((sum.bytes, sum.versions), (8, Some(3)));
    for sum in [
        with(3, None).plus(HeldBack::NOTHING),
        HeldBack::NOTHING.plus(with(3, None)),
    ] {
        assert_eq!((sum.bytes, sum.versions), (3, None));
    }
}
