//! One thread against a model that copies everything at every peak, and several within their error.

mod cells;
mod heaps;

use super::account::MOST_CREDIT;
use super::*;
use crate::snapshot::numbers::{Amount, Bytes, Counters, TracedMemory};
use crate::system::sync::{ATTEMPTS, AtomicBool, AtomicU64};
use crate::tables::sampling::Weighted;
use Ordering::Relaxed;

/// The counters of one thread, with few cells so that they are folded often.
struct Tables {
    shared: Vec<SharedCounters>,
    cells: Vec<Cell>,
    account: Account,
    heap: Heap,
    epoch: AtomicU64,
    /// Whether the thread must begin again before its next change.
    must_begin: AtomicBool,
}

/// The expected values, kept by copying everything at every peak.
#[derive(Default)]
struct Model {
    callsites: Vec<ModelCallsite>,
    current: i64,
    peak: i64,
}

#[derive(Clone, Copy, Default)]
struct ModelCallsite {
    current: Signed,
    peak: Signed,
    at_peak: Signed,
    total: (u64, u64),
}

const CALLSITES: usize = 16;
const CELLS: usize = 4;

fn zeroed<T>() -> T {
    // SAFETY: used below for structs of atomics only, for which zero is a value.
    unsafe { std::mem::zeroed() }
}

fn held_back(account: &Account) -> HeldBack {
    account.held_back(false, || account.net())
}

impl Tables {
    fn new() -> Tables {
        let tables = Tables {
            shared: (0..CALLSITES).map(|_| zeroed()).collect(),
            cells: (0..CELLS).map(|_| zeroed()).collect(),
            account: zeroed(),
            heap: Heap::new(),
            epoch: AtomicU64::new(1),
            must_begin: AtomicBool::new(true),
        };
        tables.begin();
        tables
    }

    fn begin(&self) {
        if self.must_begin.swap(false, Relaxed) {
            self.account.begin(Concurrency::Single, &self.heap);
        }
    }

    /// The cell of a callsite. NOTE: number 0 means "unused" in a cell, so callsites count from 1.
    fn cell(&self, callsite: usize) -> &Cell {
        let cell = &self.cells[callsite % CELLS];
        let epoch = self.epoch.load(Relaxed);
        let there = cell.callsite() as usize;
        if there != callsite + 1 {
            if there == 0 {
                cell.empty_for(callsite as u32 + 1, epoch);
            } else {
                cell.fold_alone_into(&self.shared[there - 1], callsite as u32 + 1, epoch);
            }
        }
        cell
    }

    /// A thread without an account here frees a block, as in
    /// [`forget`](crate::record::unguarded::forget).
    fn free_from_elsewhere(&self, callsite: usize, size: usize) {
        self.account.tell_peak(&self.heap);
        self.heap.add_directly(-(size as i64), &self.epoch);
        let epoch = self.epoch.load(Relaxed);
        let cell = &self.cells[callsite % CELLS];
        if cell.callsite() as usize == callsite + 1 {
            cell.fold_into(&self.shared[callsite], cell.callsite(), epoch);
        }
        let freed = Delta::freed(Weighted::one(size), epoch);
        self.shared[callsite].fold(&freed, epoch, || {});
        self.must_begin.store(true, Relaxed);
    }

    fn allocate(&self, callsite: usize, size: usize) {
        self.begin();
        let (number, bytes) = (callsite as u32 + 1, size as i64);
        let (epoch, ceiling) = (self.epoch.load(Relaxed), CellCeiling::ONE_THREAD);
        let cell = &self.cells[callsite % CELLS];
        if !cell.try_alloc_fast(number, bytes, epoch, ceiling) {
            let cell = self.cell(callsite);
            let _ = cell.allocated(Weighted::one(size), false, epoch, ceiling);
        }
        self.account.grow(bytes, &self.heap);
    }

    fn free(&self, callsite: usize, size: usize) {
        self.begin();
        let (number, bytes) = (callsite as u32 + 1, size as i64);
        let ceiling = CellCeiling::ONE_THREAD;
        let cell = &self.cells[callsite % CELLS];
        match cell.bytes_after(number, bytes, ceiling) {
            Some(left) if self.account.try_shrink(bytes) => {
                cell.free_fast(left, self.epoch.load(Relaxed));
            }
            _ => {
                self.account.shrink(bytes, &self.heap, &self.epoch);
                let cell = self.cell(callsite);
                let _ = cell.freed(Weighted::one(size), self.epoch.load(Relaxed), ceiling);
            }
        }
    }

    fn read_heap(&self) -> TracedMemory {
        self.heap.read(|| held_back(&self.account))
    }

    fn read(&self, callsite: usize) -> Counters {
        let cell = &self.cells[callsite % CELLS];
        let mine = || cell.read_of(callsite as u32 + 1).into_iter();
        self.shared[callsite].sum(mine, self.epoch.load(Relaxed), self.heap.rising())
    }
}

impl Model {
    fn allocate(&mut self, callsite: usize, size: usize) {
        let it = &mut self.callsites[callsite];
        it.current = it.current.plus(Signed::new(size as i64, 1));
        it.peak = it.peak.max(it.current);
        it.total = (it.total.0 + size as u64, it.total.1 + 1);
        self.current += size as i64;
        if self.current >= self.peak {
            self.peak = self.current;
            self.callsites
                .iter_mut()
                .for_each(|it| it.at_peak = it.current);
        }
    }

    fn free(&mut self, callsite: usize, size: usize) {
        let it = &mut self.callsites[callsite];
        it.current = it.current.plus(Signed::new(-(size as i64), -1));
        self.current -= size as i64;
    }
}

/// Runs a thousand random traces. Compares each step with a model that copies all counters at every
/// peak.
#[test]
fn one_thread_is_exact_at_every_step() {
    let mut random = 0x2545_F491_4F6C_DD1D_u64;
    let mut next = move |below: usize| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        (random >> 33) as usize % below
    };
    for trace in 0..1_000 {
        let tables = Tables::new();
        let mut model = Model {
            callsites: vec![ModelCallsite::default(); CALLSITES],
            ..Model::default()
        };
        let mut live = Vec::new();
        for _ in 0..60 {
            // Few sizes make equal peaks common. Phases alternate between growth and shrinking.
            if live.is_empty() || next(4) > trace % 3 {
                let block = (next(CALLSITES), 1 + next(3));
                live.push(block);
                tables.allocate(block.0, block.1);
                model.allocate(block.0, block.1);
            } else {
                let block = live.swap_remove(next(live.len()));
                match next(8) {
                    0 => tables.free_from_elsewhere(block.0, block.1),
                    1 => {
                        tables.account.settle(&tables.heap);
                        tables.free_from_elsewhere(block.0, block.1);
                    }
                    _ => tables.free(block.0, block.1),
                }
                model.free(block.0, block.1);
            }
            let heap = tables.read_heap();
            assert_eq!(heap.current, model.current as u64);
            assert_eq!(heap.peak, model.peak as u64);
            assert_eq!(heap.peak_error, 0);
            for (callsite, expected) in model.callsites.iter().enumerate() {
                let counters = tables.read(callsite);
                assert_eq!(counters.current, expected.current.amount());
                assert_eq!(counters.peak, expected.peak.amount());
                assert_eq!(counters.at_peak, expected.at_peak.amount());
                assert_eq!(
                    counters.total,
                    Amount::new(expected.total.0, expected.total.1)
                );
            }
        }
    }
}

#[test]
fn with_others_the_total_is_exact_and_the_peak_is_within_its_error() {
    let heap = Heap::new();
    heap.set_threads(2);
    let epoch = AtomicU64::new(1);
    let accounts: [Account; 2] = [zeroed(), zeroed()];
    accounts
        .iter()
        .for_each(|account| account.begin(Concurrency::Multi, &heap));
    let (mut current, mut peak) = (0_i64, 0_i64);
    let mut random = 88_172_645_463_325_252_u64;
    for step in 0..100_000_i64 {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        let account = &accounts[(random >> 40) as usize % 2];
        let size = (random >> 50) as i64;
        // Up and down in long waves, each higher than the last.
        if (step / 5_000) % 2 == 0 || current < size {
            account.grow(size, &heap);
            current += size;
        } else {
            account.shrink(size, &heap, &epoch);
            current -= size;
        }
        peak = peak.max(current);
        let read = heap.read(|| held_back(&accounts[0]).plus(held_back(&accounts[1])));
        assert_eq!(read.current, current as u64);
        let off = read.peak.get().abs_diff(peak as u64);
        assert!(
            off <= read.peak_error.get(),
            "{off} off, {:?} allowed",
            read.peak_error
        );
        assert!(read.peak_error <= 2 * MOST_CREDIT as u64);
    }
    // Single again: a peak beyond the error is exact.
    accounts[1].settle(&heap);
    accounts[0].begin(Concurrency::Single, &heap);
    accounts[0].grow(3 * MOST_CREDIT + peak - current, &heap);
    let read = heap.read(|| held_back(&accounts[0]));
    assert_eq!((read.peak_error.get(), read.peak), (0, read.current));
}

#[test]
fn a_fold_keeps_a_producer_and_a_consumer_from_adding_up_to_a_peak() {
    let shared: SharedCounters = zeroed();
    let (producer, consumer): (Cell, Cell) = (zeroed(), zeroed());
    producer.empty_for(1, 1);
    consumer.empty_for(1, 1);
    for _ in 0..10_000 {
        if producer.allocated(Weighted::one(1_000), false, 1, CellCeiling::MANY_THREADS) {
            producer.fold_into(&shared, 1, 1);
        }
        if consumer.freed(Weighted::one(1_000), 1, CellCeiling::MANY_THREADS) {
            consumer.fold_into(&shared, 1, 1);
        }
    }
    let cells = || [producer.read(), consumer.read()].into_iter();
    let counters = shared.sum(cells, 1, false);
    assert_eq!(counters.current, Amount::default());
    assert_eq!(counters.total, Amount::new(10_000_000, 10_000));
    let bound = 2 * CellCeiling::MANY_THREADS.0 as u64 + 2_000;
    assert!(
        counters.peak.bytes <= Bytes::new(bound),
        "{:?} > {bound}",
        counters.peak.bytes
    );
}
