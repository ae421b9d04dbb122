//! Eight threads allocate, grow, exchange and free blocks of random sizes while snapshots are
//! taken. At the end each number equals what the threads counted themselves.

use std::alloc::{Layout, dealloc};
use std::sync::Barrier;
use std::sync::atomic::{AtomicI64, AtomicPtr, AtomicUsize, Ordering::Relaxed};
use std::sync::atomic::{Ordering, fence};
use std::thread;
use std::time::{Duration, Instant};

use alloc_core::{Amount, Counters, Snapshot, TraceAlloc, start, take_snapshot, traced_memory};
use alloc_tests::{Random, at_function, sum_of};

#[global_allocator]
static ALLOC: TraceAlloc = TraceAlloc::system();

alloc_tests::tests![eight_threads_and_snapshots_meanwhile];

const THREADS: usize = 8;
const STEPS: usize = 150_000;
/// Slots through which threads exchange blocks, without allocating.
static PLACES: [AtomicPtr<Block>; 4096] = [const { AtomicPtr::new(std::ptr::null_mut()) }; 4096];
const LARGEST: usize = 20_000;

/// The header at the start of each block.
#[repr(C)]
struct Block {
    size: usize,
    site: usize,
}

alloc_tests::sites!();

fn layout(size: usize) -> Layout {
    Layout::from_size_align(size, align_of::<Block>()).unwrap()
}

/// Callsites: first those that allocate a block, then those that reallocate one.
const CALLSITES: usize = 2 * SITES;

fn name_of(callsite: usize) -> &'static str {
    NAMES[callsite % SITES][callsite / SITES]
}

/// Allocates a block at a callsite below `SITES`, and reallocates `old` at the others.
fn perform(callsite: usize, old: *mut Block, size: usize) -> *mut Block {
    if callsite < SITES {
        return MAKE[callsite](layout(size), callsite == 2).cast();
    }
    // SAFETY: the thread that took a block is its only owner.
    let layout = layout(unsafe { (*old).size });
    // SAFETY: the block is live and has that layout; sizes are small and not zero.
    unsafe { GROW[callsite - SITES](old.cast(), layout, size).cast() }
}

/// Lower and upper bounds of the live bytes. The lower bound counts allocations late and frees
/// early, the upper bound the other way round.
struct Between {
    least: AtomicI64,
    most: AtomicI64,
    least_peak: AtomicI64,
    most_peak: AtomicI64,
}

static LIVE: Between = Between {
    least: AtomicI64::new(0),
    most: AtomicI64::new(0),
    least_peak: AtomicI64::new(0),
    most_peak: AtomicI64::new(0),
};

impl Between {
    /// Runs `change`, which changes the heap by `bytes`.
    fn around<R>(&self, bytes: i64, change: impl FnOnce() -> R) -> R {
        let add = |live: &AtomicI64, peak: &AtomicI64| {
            let now = live.fetch_add(bytes, Relaxed) + bytes;
            peak.fetch_max(now, Relaxed);
        };
        if bytes > 0 {
            add(&self.most, &self.most_peak);
        } else {
            add(&self.least, &self.least_peak);
        }
        fence(Ordering::SeqCst);
        let result = change();
        fence(Ordering::SeqCst);
        if bytes > 0 {
            add(&self.least, &self.least_peak);
        } else {
            add(&self.most, &self.most_peak);
        }
        result
    }
}

/// What one thread did at a callsite: allocations, frees, and reallocations.
#[derive(Clone, Copy, Default)]
struct Counted {
    came: Amount,
    went: Amount,
    reallocations: u64,
    copied: u64,
}

struct Worker {
    random: Random,
    counted: [Counted; CALLSITES],
}

impl Worker {
    fn below(&mut self, end: usize) -> usize {
        self.random.below(end)
    }

    fn size(&mut self) -> usize {
        let most = if self.below(20) == 0 { LARGEST } else { 400 };
        size_of::<Block>() + self.below(most - size_of::<Block>())
    }

    fn step(&mut self) {
        let place = self.below(PLACES.len());
        let taken = PLACES[place].swap(std::ptr::null_mut(), Ordering::AcqRel);
        let size = self.size();
        let block = if taken.is_null() {
            let site = self.below(SITES);
            self.perform(site, taken, size)
        } else if self.below(4) == 0 {
            let site = SITES + self.below(SITES);
            self.perform(site, taken, size)
        } else {
            self.free(taken);
            return;
        };
        // The block goes to another slot, where another thread is likely to find it.
        let place = self.below(PLACES.len());
        let before = PLACES[place].swap(block, Ordering::AcqRel);
        if !before.is_null() {
            self.free(before);
        }
    }

    fn perform(&mut self, site: usize, old: *mut Block, size: usize) -> *mut Block {
        let mut old_size = 0;
        if !old.is_null() {
            // SAFETY: the thread that took a block is its only owner.
            let old = unsafe { &*old };
            self.counted[old.site].went += Amount::new(old.size as u64, 1);
            self.counted[site].reallocations += 1;
            old_size = old.size;
        }
        let block = LIVE.around(size as i64 - old_size as i64, || perform(site, old, size));
        self.counted[site].came += Amount::new(size as u64, 1);
        if !old.is_null() && block != old {
            self.counted[site].copied += old_size.min(size) as u64;
        }
        // SAFETY: the block is at least that long, and this thread is its only owner.
        unsafe { block.write(Block { size, site }) };
        block
    }

    fn free(&mut self, block: *mut Block) {
        // SAFETY: the thread that took a block is its only owner.
        let Block { size, site } = unsafe { block.read() };
        self.counted[site].went += Amount::new(size as u64, 1);
        // SAFETY: it is live and has that layout.
        LIVE.around(-(size as i64), || unsafe {
            dealloc(block.cast(), layout(size))
        });
    }
}

fn eight_threads_and_snapshots_meanwhile() {
    // A panic ends the process, because the other threads would wait forever.
    let print = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        print(panic);
        std::process::exit(101);
    }));
    let (begin, end) = (Barrier::new(THREADS + 1), Barrier::new(THREADS + 1));
    static AT_WORK: AtomicUsize = AtomicUsize::new(THREADS);
    thread::scope(|scope| {
        let threads: [_; THREADS] = std::array::from_fn(|number| {
            let (begin, end) = (&begin, &end);
            scope.spawn(move || {
                let mut worker = Worker {
                    random: Random::new(number as u64),
                    counted: Default::default(),
                };
                begin.wait();
                (0..STEPS).for_each(|_| worker.step());
                AT_WORK.fetch_sub(1, Relaxed);
                end.wait();
                end.wait();
                worker.counted
            })
        });
        // From here on only the workers allocate.
        start().unwrap();
        begin.wait();
        let began = Instant::now();
        // The snapshots are checked later: finding symbols would slow down the workers.
        let mut snapshots = Vec::new();
        while AT_WORK.load(Relaxed) > 0 {
            snapshots.push(alloc_core::untraced(|| take_snapshot().unwrap()));
            thread::sleep(Duration::from_millis(5));
        }
        end.wait();
        let took = began.elapsed();
        // All workers rest, with cells that are not folded yet.
        let standing = take_snapshot().unwrap();
        let memory = traced_memory();
        end.wait();
        let mut counted = [Counted::default(); CALLSITES];
        for thread in threads {
            for (sum, part) in counted.iter_mut().zip(thread.join().unwrap()) {
                sum.came += part.came;
                sum.went += part.went;
                sum.reallocations += part.reallocations;
                sum.copied += part.copied;
            }
        }
        let ended = take_snapshot().unwrap();
        println!("{} snapshots in {took:?}, {memory:?}", snapshots.len());
        assert!(snapshots.len() > 5);
        snapshots.iter().for_each(check_meanwhile);
        for snapshot in [standing, ended] {
            for (site, counted) in counted.iter().enumerate() {
                let counters = at_function(&snapshot, name_of(site));
                check_site(counters, counted);
            }
            let sum = sum_of(&snapshot, |it| it.traceback.iter().any(is_of_a_site));
            let live = LIVE.least.load(Relaxed);
            assert_eq!(LIVE.most.load(Relaxed), live);
            assert_eq!(sum.current.bytes, live as u64);
            assert_eq!(snapshot.health().lost_blocks, 0);
            assert_eq!(snapshot.health().overflowed, 0);
        }
        check_peak(memory);
    });
    for place in &PLACES {
        let block = place.swap(std::ptr::null_mut(), Relaxed);
        if !block.is_null() {
            // SAFETY: no other thread is left, and the block is live.
            let size = unsafe { (*block).size };
            // SAFETY: it is live and has that layout.
            unsafe { dealloc(block.cast(), layout(size)) };
        }
    }
    let sum = sum_of(&take_snapshot().unwrap(), |it| {
        it.traceback.iter().any(is_of_a_site)
    });
    assert_eq!(sum.current, Amount::default());
}

fn is_of_a_site(frame: &alloc_core::Frame) -> bool {
    let name = frame
        .function()
        .and_then(|function| function.rsplit("::").next());
    name.is_some_and(|name| NAMES.as_flattened().contains(&name))
}

#[track_caller]
fn check_site(counters: Counters, counted: &Counted) {
    let Counted {
        came,
        went,
        reallocations,
        copied,
    } = *counted;
    assert_eq!(counters.total, came);
    assert_eq!(counters.freed(), went);
    assert_eq!(counters.current.blocks, came.blocks - went.blocks);
    assert_eq!(counters.current.bytes, came.bytes - went.bytes);
    assert_eq!(counters.reallocations, reallocations);
    assert_eq!(counters.copied, copied);
    assert!(counters.peak.bytes >= counters.current.bytes);
    assert!(counters.peak.blocks >= counters.current.blocks);
}

/// Checks the documented bound: the true peak is within `peak_error` of the reported peak.
fn check_peak(memory: alloc_core::TracedMemory) {
    let error = memory.peak_error.get() as i64;
    let peak = memory.peak.get() as i64;
    let (least, most) = (LIVE.least_peak.load(Relaxed), LIVE.most_peak.load(Relaxed));
    assert!(peak + error >= least, "{memory:?}, at least {least}");
    assert!(peak - error <= most, "{memory:?}, at most {most}");
    // Each of nine threads holds back at most 64 KiB.
    assert!(error <= 9 * (64 << 10), "{memory:?}");
}

/// Checks a snapshot taken during the work: its numbers are from slightly different moments, but
/// plausible.
fn check_meanwhile(snapshot: &Snapshot) {
    // What all slots and all threads can hold.
    let most = ((PLACES.len() + 2 * THREADS) * LARGEST) as u64;
    for trace in snapshot.traces() {
        let Counters {
            current,
            peak,
            at_peak,
            total,
            reallocations,
            ..
        } = trace.counters;
        assert!(
            current.bytes <= peak.bytes && current.blocks <= peak.blocks,
            "{trace:?}"
        );
        assert!(
            at_peak.bytes <= peak.bytes && at_peak.blocks <= peak.blocks,
            "{trace:?}"
        );
        assert!(
            current.bytes <= total.bytes && current.blocks <= total.blocks,
            "{trace:?}"
        );
        assert!(reallocations <= total.blocks, "{trace:?}");
        assert!(peak.bytes <= most, "{trace:?}");
    }
    let memory = snapshot.traced_memory();
    assert!(memory.current <= memory.peak, "{memory:?}");
    assert!(memory.peak <= most, "{memory:?}");
}
