//! Random operations on one thread, compared with a model after every step.

use std::alloc::{Layout, alloc, dealloc, realloc};
use std::hint::black_box;

use alloc_core::{Amount, Bytes, Counters, Snapshot, TraceAlloc, take_snapshot, traced_memory};
use alloc_tests::{Random, call_by_bits, path_of};

#[global_allocator]
static ALLOC: TraceAlloc = TraceAlloc::system();

alloc_tests::tests![
    few_callsites_agree_after_every_step,
    more_callsites_than_a_thread_has_cells_agree,
];

/// The number of the callsite that a trace belongs to: its path of `depth` bits, and above them
/// whether the block was grown there.
fn site_of(trace: &alloc_core::Trace, depth: u32) -> usize {
    let functions = || trace.traceback.iter().filter_map(|it| it.function());
    let is_in = |name: &str| functions().any(|it| it.rsplit("::").next() == Some(name));
    let grows = is_in("grow");
    assert!(grows != is_in("make"), "{}", trace.traceback);
    usize::from(grows) << depth | path_of(functions()) as usize
}

/// Calls `make` or `grow` through `depth` calls, chosen by the bits of `path`.
fn at_path(path: usize, depth: u32, act: impl Fn() -> *mut u8) -> *mut u8 {
    let mut block = std::ptr::null_mut();
    call_by_bits(path as u32, depth, &mut || block = act());
    block
}

fn layout(size: usize) -> Layout {
    Layout::from_size_align(size, 8).unwrap()
}

#[inline(never)]
fn make(size: usize) -> *mut u8 {
    // SAFETY: the size is not zero.
    black_box(unsafe { alloc(layout(size)) })
}

#[inline(never)]
fn grow(block: *mut u8, old: usize, new: usize) -> *mut u8 {
    // SAFETY: the block is live and has the old size.
    black_box(unsafe { realloc(block, layout(old), new) })
}

/// The expected tables, kept the slow way: all counters are copied at every peak.
struct Model {
    /// Calls above `make` and `grow`: two to this power is the number of paths.
    depth: u32,
    sites: Vec<Counters>,
    at_peak: Vec<Amount>,
    current: u64,
    peak: u64,
    /// Whether the heap has not shrunk since its peak. Then the counters at peak are the current
    /// ones.
    rising: bool,
    /// The number of the session, which changes when everything is cleared.
    session: u32,
}

/// A live block, with its callsite and its session.
#[derive(Clone, Copy)]
struct Block {
    address: *mut u8,
    size: usize,
    site: usize,
    session: u32,
}

impl Model {
    fn new(depth: u32) -> Model {
        let sites = 2 << depth;
        Model {
            depth,
            sites: vec![Counters::default(); sites],
            at_peak: vec![Amount::default(); sites],
            current: 0,
            peak: 0,
            rising: true,
            session: 0,
        }
    }

    fn forget_all(&mut self) {
        self.sites.fill(Counters::default());
        (self.current, self.peak, self.rising) = (0, 0, true);
        self.session += 1;
    }

    fn reset_peak(&mut self) {
        self.sites
            .iter_mut()
            .for_each(|site| site.peak = site.current);
        (self.peak, self.rising) = (self.current, true);
    }

    /// One change: a block is freed (`gone`), another is allocated (`come`), or both at once.
    fn change(&mut self, gone: Option<Block>, come: Option<Block>) {
        let gone = gone.filter(|block| block.session == self.session);
        let size = |block: Option<Block>| block.map_or(0, |block| block.size as u64);
        if size(come) < size(gone) && self.rising {
            self.rising = false;
            for (saved, site) in self.at_peak.iter_mut().zip(&self.sites) {
                *saved = site.current;
            }
        }
        if let Some(block) = gone {
            let current = &mut self.sites[block.site].current;
            *current = Amount::new(current.bytes.get() - block.size as u64, current.blocks - 1);
        }
        if let Some(block) = come {
            let site = &mut self.sites[block.site];
            site.current += Amount::new(block.size as u64, 1);
            site.total += Amount::new(block.size as u64, 1);
            site.peak.bytes = site.peak.bytes.max(site.current.bytes);
            site.peak.blocks = site.peak.blocks.max(site.current.blocks);
        }
        self.current = self.current + size(come) - size(gone);
        if size(come) >= size(gone) && self.current >= self.peak {
            (self.peak, self.rising) = (self.current, true);
        }
    }

    #[track_caller]
    fn check_heap(&self, step: u32) {
        let memory = traced_memory();
        assert_eq!(memory.current, self.current, "current at step {step}");
        assert_eq!(memory.peak, self.peak, "peak at step {step}");
        assert_eq!(memory.peak_error, 0);
    }

    #[track_caller]
    fn check_sites(&self, snapshot: &Snapshot, step: u32) {
        let expected = |site: usize| {
            let at_peak = if self.rising {
                self.sites[site].current
            } else {
                self.at_peak[site]
            };
            Counters {
                at_peak,
                ..self.sites[site]
            }
        };
        for trace in snapshot.traces() {
            let site = site_of(trace, self.depth);
            assert_eq!(trace.counters, expected(site), "site {site} at step {step}");
        }
        let used = self
            .sites
            .iter()
            .filter(|site| site.total.blocks > 0)
            .count();
        assert_eq!(snapshot.traces().len(), used, "callsites at step {step}");
        let sum = alloc_tests::sum_of(snapshot, |_| true);
        assert_eq!(
            (sum.current.bytes.get(), sum.at_peak.bytes.get()),
            (self.current, self.peak)
        );
    }
}

/// Runs `steps` operations on two to the `depth` paths, with a snapshot after each `interval`. On
/// average, everything is cleared four times in `session` steps, and the peak is reset six times.
fn run(depth: u32, steps: u32, interval: u32, session: usize, seed: u64) {
    const MOST_BLOCKS: usize = 5000;
    let mut random = Random::new(seed);
    // The vectors are allocated before tracing: from here on the model knows every block.
    let mut model = Model::new(depth);
    let mut live = Vec::<Block>::with_capacity(MOST_BLOCKS);
    alloc_core::start().unwrap();
    for step in 0..steps {
        let path = random.below(1 << depth);
        // There are few sizes, so that equal peaks are common, and a large one now and then.
        let size = match random.below(50) {
            0 => 1 + random.below(300_000),
            _ => 16 * (1 + random.below(4)),
        };
        // The number of blocks grows and shrinks in waves.
        let wave = 4 + (step / 300 % 2) as usize * 3;
        match random.below(12) {
            choice if choice < wave && live.len() < MOST_BLOCKS || live.is_empty() => {
                let address = at_path(path, depth, || make(size));
                let block = Block {
                    address,
                    size,
                    site: path,
                    session: model.session,
                };
                model.change(None, Some(block));
                live.push(block);
            }
            10 | 11 => {
                let place = random.below(live.len());
                let old = live[place];
                let address = at_path(path, depth, || grow(old.address, old.size, size));
                let site = 1 << depth | path;
                let block = Block {
                    address,
                    size,
                    site,
                    session: model.session,
                };
                model.change(Some(old), Some(block));
                model.sites[site].reallocations += 1;
                if address != old.address {
                    model.sites[site].copied += Bytes::new(old.size.min(size) as u64);
                }
                live[place] = block;
            }
            _ => {
                let block = live.swap_remove(random.below(live.len()));
                // SAFETY: it is live and has that layout.
                unsafe { dealloc(block.address, layout(block.size)) };
                model.change(Some(block), None);
            }
        }
        match random.below(session) {
            0 | 1 => {
                alloc_core::clear_traces();
                model.forget_all();
            }
            2..8 => {
                alloc_core::reset_peak();
                model.reset_peak();
            }
            8 | 9 => {
                alloc_core::stop();
                assert_eq!(traced_memory(), Default::default());
                alloc_core::start().unwrap();
                model.forget_all();
            }
            _ => {}
        }
        model.check_heap(step);
        if step % interval == 0 || step + 1 == steps {
            model.check_sites(&take_snapshot().unwrap(), step);
        }
    }
    for block in live.drain(..) {
        // SAFETY: it is live and has that layout.
        unsafe { dealloc(block.address, layout(block.size)) };
        model.change(Some(block), None);
    }
    model.check_heap(steps);
    model.check_sites(&take_snapshot().unwrap(), steps);
    assert_eq!(traced_memory().current, 0);
    alloc_core::stop();
}

fn few_callsites_agree_after_every_step() {
    for seed in 1..=4 {
        run(2, 2000, 1, 2000, seed);
    }
}

/// A thread has cells for 2,048 callsites, so several callsites compete for each cell.
fn more_callsites_than_a_thread_has_cells_agree() {
    run(13, 60_000, 6000, 80_000, 5);
}
