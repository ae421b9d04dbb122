//! Model checks of code shared between threads, under [loom]. Each test runs with every
//! interleaving of its threads, and with every value that the memory model permits them to read.
//!
//! The tested files are those of the tracer, with loom's atomics. This file has stand-ins for the
//! modules that they import.

#![cfg(test)]

#[path = "../src/tables/counters/mod.rs"]
mod counters;
#[path = "../src/budget/level.rs"]
mod level;
#[path = "../snapshot/src/numbers.rs"]
mod numbers;
#[path = "../src/tables/open_gap.rs"]
mod open_gap;
#[path = "../src/tables/tally.rs"]
mod tally;
#[path = "../src/tables/version.rs"]
mod version;

mod system {
    pub(crate) mod sync {
        pub(crate) use loom::sync::atomic::{
            AtomicBool, AtomicI32, AtomicI64, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence,
        };

        /// More attempts than a test makes changes, so the other thread always gets its turn.
        pub(crate) const ATTEMPTS: usize = 100;

        pub(crate) fn wait(_: usize) {
            loom::thread::yield_now();
        }
    }

    pub(crate) mod arena {
        pub(crate) fn prefetch<T>(_: &T) {}
    }
}

mod tables {
    pub(crate) use crate::{counters, version};

    pub(crate) mod sampling {
        #[derive(Clone, Copy)]
        pub(crate) struct Weighted {
            pub(crate) bytes: i64,
            pub(crate) blocks: i32,
        }

        impl Weighted {
            pub(crate) fn one(size: usize) -> Weighted {
                Weighted {
                    bytes: size as i64,
                    blocks: 1,
                }
            }
        }
    }
}

mod snapshot {
    pub(crate) use crate::numbers;
}

use loom::sync::Arc;
use loom::thread;

use counters::{
    Account, Cell, CellCeiling, Concurrency, Delta, Heap, HeldBack, SharedCounters, Sums,
};
use level::Level;
use numbers::Bytes;
use open_gap::OpenGap;
use system::sync::{AtomicU64, AtomicUsize, Ordering};
use tables::sampling::Weighted;
use tally::Tally;

/// Checks `test` with every interleaving that has at most so many preemptions.
fn model(preemptions: usize, test: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.max_branches = 10_000;
    let runs = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let counted = std::sync::Arc::clone(&runs);
    builder.check(move || {
        counted.fetch_add(1, Ordering::Relaxed);
        test();
    });
    // Fewer runs mean that loom found nothing to reorder: see `reads_a_consistent_value`.
    assert!(runs.load(Ordering::Relaxed) > 100);
}

#[derive(Default)]
struct Alone {
    tally: Tally,
    account: Account,
    shared: SharedCounters,
    heap: Heap,
    epoch: AtomicU64,
}

impl Alone {
    fn new() -> Arc<Alone> {
        let alone = Alone::default();
        alone.account.begin(Concurrency::Single, &alone.heap);
        Arc::new(alone)
    }

    fn free(&self, size: usize) {
        if self.tally.needs_peak_check() {
            self.tally
                .check_peak(&self.account, &self.heap, &self.epoch);
        }
        self.tally.freed(size);
    }

    fn held_back(&self) -> i64 {
        let read = || self.account.net() + self.tally.net_bytes();
        self.tally.read_consistent(false, read)
    }
}

/// Checks that a reader of a tally sees its value between two steps of the owner.
///
/// NOTE: the owner is the first thread. Loom tracks only the last access to an atomic, so a load by
/// the owner would otherwise hide an earlier one by the reader.
fn reads_a_consistent_value(
    before: impl Fn(&Alone) + Send + Sync + Copy + 'static,
    steps: impl Fn(&Alone) + Send + Sync + Copy + 'static,
    valid: &'static [i64],
) {
    model(2, move || {
        let alone = Alone::new();
        before(&alone);
        let reader = thread::spawn({
            let alone = Arc::clone(&alone);
            move || {
                let read = alone.held_back();
                assert!(valid.contains(&read), "{read} is none of {valid:?}");
            }
        });
        steps(&alone);
        reader.join().unwrap();
    });
}

#[test]
fn a_tally_is_read_while_a_free_looks() {
    reads_a_consistent_value(
        |_| {},
        |alone| {
            alone.tally.allocated(2);
            alone.free(2);
            alone.tally.allocated(2);
        },
        &[0, 2],
    );
}

#[test]
fn a_tally_is_read_while_blocks_come_and_go() {
    reads_a_consistent_value(
        |alone| {
            // A peak above the current value.
            alone.tally.allocated(8);
            alone.free(8);
        },
        |alone| {
            for _ in 0..2 {
                assert!(!alone.tally.needs_peak_check());
                alone.tally.allocated(2);
                alone.tally.freed(2);
            }
        },
        &[0, 2],
    );
}

#[test]
fn a_tally_is_read_while_a_block_becomes_another() {
    reads_a_consistent_value(
        |_| {},
        |alone| {
            alone.tally.allocated(2);
            alone.tally.reallocated(2, 8);
        },
        &[0, 2, 8],
    );
}

#[test]
fn a_tally_is_read_while_it_folds() {
    reads_a_consistent_value(
        |_| {},
        |alone| {
            alone.tally.allocated(2);
            alone.tally.fold_into(&alone.shared, &alone.account, 0);
            alone.tally.allocated(2);
        },
        &[0, 2, 4],
    );
}

/// Concurrent folds by two threads add up.
#[test]
fn two_folds_add_up() {
    model(3, || {
        let shared = Arc::new(SharedCounters::default());
        let fold = |shared: &SharedCounters, size: usize| {
            let cell = Cell::default();
            cell.empty_for(1, 0);
            let _ = cell.allocated(Weighted::one(size), false, 0, CellCeiling::MANY_THREADS);
            cell.fold_into(shared, 1, 0);
        };
        let other = thread::spawn({
            let shared = Arc::clone(&shared);
            move || fold(&shared, 5)
        });
        fold(&shared, 3);
        other.join().unwrap();
        let counters = shared.sum(std::iter::empty, 0, false);
        assert_eq!(counters.current, numbers::Amount::new(8, 2));
        assert_eq!(counters.peak, numbers::Amount::new(8, 2));
    });
}

/// When two accounts settle concurrently, no byte is lost and the peak is exact.
#[test]
fn two_accounts_settle_at_once() {
    model(3, || {
        let both = Arc::new((Heap::default(), AtomicU64::new(1)));
        both.0.set_threads(2);
        both.0.set_exact(true);
        let work = |(heap, epoch): &(Heap, AtomicU64), size: i64| {
            let account = Account::default();
            account.begin(Concurrency::Multi, heap);
            account.grow(size, heap);
            account.shrink(1, heap, epoch);
        };
        let other = thread::spawn({
            let both = Arc::clone(&both);
            move || work(&both, 50)
        });
        work(&both, 30);
        other.join().unwrap();
        let read = both.0.read(|| HeldBack::NOTHING);
        assert_eq!(read.current, 78);
        assert!((79..=80).contains(&read.peak.get()), "{:?}", read.peak);
        assert_eq!(read.peak_error, 0);
    });
}

/// A reader of the heap counts each byte exactly once while an account settles.
#[test]
fn a_heap_is_read_while_an_account_settles() {
    // More than a thread's credit.
    const SIZE: i64 = 1 << 20;
    model(3, || {
        let all = Arc::new((Heap::default(), Account::default(), AtomicU64::new(1)));
        all.0.set_threads(2);
        all.1.begin(Concurrency::Multi, &all.0);
        let reader = thread::spawn({
            let all = Arc::clone(&all);
            move || {
                let (heap, account, _) = &*all;
                let read = heap.read(|| account.held_back(false, || account.net()));
                let current = read.current.get() as i64;
                assert!([0, SIZE].contains(&current), "{current}");
            }
        });
        let (heap, account, epoch) = &*all;
        account.grow(SIZE, heap);
        account.shrink(SIZE, heap, epoch);
        reader.join().unwrap();
    });
}

/// A reader never sees the old callsite's counts in a cell that a new callsite has evicted.
#[test]
fn a_cell_is_read_while_it_is_evicted() {
    model(3, || {
        let both = Arc::new((Cell::default(), SharedCounters::default()));
        both.0.empty_for(1, 0);
        let _ = both
            .0
            .allocated(Weighted::one(7), false, 0, CellCeiling::MANY_THREADS);
        let reader = thread::spawn({
            let both = Arc::clone(&both);
            move || {
                for _ in 0..2 {
                    if let Some(counted) = both.0.read_of(2) {
                        assert!([0, 3].contains(&counted.net.bytes), "{counted:?}");
                        assert!([0, 3].contains(&counted.total_bytes), "{counted:?}");
                    }
                }
            }
        });
        both.0.fold_into(&both.1, 2, 0);
        let _ = both
            .0
            .allocated(Weighted::one(3), false, 0, CellCeiling::MANY_THREADS);
        reader.join().unwrap();
    });
}

/// A reader of what was copied finds it once, in the thread's sums or in the shared counters, while
/// another callsite evicts it.
#[test]
fn a_sum_is_read_while_it_is_evicted() {
    model(3, || {
        let both = Arc::new((Sums::<2>::default(), SharedCounters::default()));
        let fold = |both: &(Sums<2>, SharedCounters), callsite, bytes| {
            both.0.add(callsite, bytes, |folded, bytes, emptied| {
                assert_eq!(folded, 1);
                both.1.fold_copied(bytes, emptied);
            });
        };
        fold(&both, 1, 5);
        let reader = thread::spawn({
            let both = Arc::clone(&both);
            move || {
                let held = || {
                    let copied = both.0.of(1);
                    std::iter::once(Delta {
                        copied,
                        ..Delta::default()
                    })
                };
                let found = both.1.sum(held, 0, false);
                assert_eq!(found.copied.get(), 5);
            }
        });
        fold(&both, 3, 7);
        assert_eq!(both.0.of(3), 7);
        reader.join().unwrap();
    });
}

/// A thread that receives an excluded block finds its gap shut, even if it just opened the gap.
#[test]
fn a_gap_is_shut_before_an_excluded_block_is_passed_on() {
    const BLOCK: usize = 5;
    model(4, || {
        let it = Arc::new((OpenGap::default(), AtomicUsize::new(0), AtomicUsize::new(0)));
        let other = thread::spawn({
            let it = Arc::clone(&it);
            move || {
                let (gap, left_out, given) = &*it;
                let count = || {
                    left_out.fetch_add(1, Ordering::Relaxed);
                    true
                };
                open_gap::exclude(count, std::iter::once(gap));
                given.store(BLOCK, Ordering::Release);
            }
        });
        let (gap, left_out, given) = &*it;
        for _ in 0..2 {
            gap.open(1, 10, || left_out.load(Ordering::Relaxed) != 0);
            if given.load(Ordering::Acquire) == BLOCK {
                assert!(!gap.holds(BLOCK));
            }
        }
        other.join().unwrap();
        assert!(!gap.holds(BLOCK));
    });
}

/// Of threads that find a budget's level crossed at once, one runs the callback.
#[test]
fn a_level_is_crossed_once() {
    model(2, || {
        let level = Arc::new(Level::<()>::new(Bytes::new(100)));
        let check_twice = |level: Arc<Level<()>>| {
            let is_crossed = move |_: &u32| level.is_crossed_by(Bytes::new(101));
            move || (0..2).filter(is_crossed).count()
        };
        let start = |()| thread::spawn(check_twice(Arc::clone(&level)));
        let others = [(); 2].map(start);
        let crossed = check_twice(Arc::clone(&level))();
        let by_others: usize = others.into_iter().map(|it| it.join().unwrap()).sum();
        assert_eq!(crossed + by_others, 1);
    });
}
