//! Random operations on one thread, compared with a model after every step.

use std::alloc::{Layout, alloc, dealloc, realloc};
use std::hint::black_box;

use alloc_core::{Amount, Counters, Snapshot, TraceAlloc, take_snapshot, traced_memory};

#[global_allocator]
static ALLOC: TraceAlloc = TraceAlloc::system();

alloc_tests::tests![
    few_callsites_agree_after_every_step,
    more_callsites_than_a_thread_has_cells_agree,
];

/// A callsite of this program: a path of calls to `left` and `right`, then `make` or `grow`.
///
/// The functions differ in a constant, so that no compiler makes one of two.
#[derive(Clone, Copy)]
struct Site {
    path: u32,
    depth: u32,
}

#[derive(Clone, Copy)]
enum Operation {
    Make(usize),
    Grow(*mut u8, usize, usize),
}

impl Site {
    fn perform(self, operation: Operation) -> *mut u8 {
        let Some(depth) = self.depth.checked_sub(1) else {
            return match operation {
                Operation::Make(size) => make(size),
                Operation::Grow(block, old, new) => grow(block, old, new),
            };
        };
        let rest = Site {
            path: self.path >> 1,
            depth,
        };
        if self.path & 1 == 0 {
            left(rest, operation)
        } else {
            right(rest, operation)
        }
    }

    /// The number of the callsite that a trace is of.
    fn number_of(trace: &alloc_core::Trace) -> usize {
        let is = |frame: &alloc_core::Frame, name: &str| {
            frame
                .function()
                .is_some_and(|function| function.rsplit("::").next() == Some(name))
        };
        let (mut path, mut depth, mut grows) = (0, 0, None);
        for frame in trace.traceback.iter() {
            if is(frame, "make") || is(frame, "grow") {
                grows = Some(is(frame, "grow"));
            } else if is(frame, "left") || is(frame, "right") {
                // Innermost first, so the last bit comes first.
                path = path << 1 | usize::from(is(frame, "right"));
                depth += 1;
            }
        }
        let grows = grows.expect("a block of `make` or `grow`");
        usize::from(grows) << depth | path
    }
}

#[inline(never)]
fn left(rest: Site, operation: Operation) -> *mut u8 {
    let block = rest.perform(operation);
    black_box(0);
    block
}

#[inline(never)]
fn right(rest: Site, operation: Operation) -> *mut u8 {
    let block = rest.perform(operation);
    black_box(1);
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

/// What the tables should say, kept the slow way: all counters are copied at every peak.
struct Model {
    sites: Vec<Counters>,
    at_peak: Vec<Amount>,
    current: u64,
    peak: u64,
    /// The heap has not shrunk since its peak, so what is at peak is what is there now.
    rising: bool,
    /// Moves when everything is forgotten.
    session: u32,
}

/// A live block, and what the tracer knows of it: the callsite, in its session.
#[derive(Clone, Copy)]
struct Block {
    address: *mut u8,
    size: usize,
    site: usize,
    session: u32,
}

impl Model {
    fn new(sites: usize) -> Model {
        Model {
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

    /// At one moment, a block ends (`gone`) and another begins (`come`), or only one of them.
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
            let site = Site::number_of(trace);
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

/// xorshift: the same numbers in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 33) as usize % end
    }
}

/// Runs `steps` operations over two to the `depth` paths, with a snapshot after each `interval`.
/// Everything is forgotten four times in `session` steps, and the peak reset six times.
fn run(depth: u32, steps: u32, interval: u32, session: usize, seed: u64) {
    const MOST_BLOCKS: usize = 5000;
    let mut random = Random(seed);
    // Reserved before: from here on only what the model knows of is allocated.
    let mut model = Model::new(2 << depth);
    let mut live = Vec::<Block>::with_capacity(MOST_BLOCKS);
    alloc_core::start().unwrap();
    for step in 0..steps {
        let path = random.below(1 << depth);
        let perform = |operation| {
            Site {
                path: path as u32,
                depth,
            }
            .perform(operation)
        };
        // Few sizes, so that equal peaks are common, and now and then a large one.
        let size = match random.below(50) {
            0 => 1 + random.below(300_000),
            _ => 16 * (1 + random.below(4)),
        };
        // Waves: now more blocks come than go, now fewer.
        let wave = 4 + (step / 300 % 2) as usize * 3;
        match random.below(12) {
            choice if choice < wave && live.len() < MOST_BLOCKS || live.is_empty() => {
                let address = perform(Operation::Make(size));
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
                let address = perform(Operation::Grow(old.address, old.size, size));
                let site = 1 << depth | path;
                let block = Block {
                    address,
                    size,
                    site,
                    session: model.session,
                };
                model.change(Some(old), Some(block));
                model.sites[site].reallocations += 1;
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
        run(
            2,
            2000,
            1,
            2000,
            0x9E37_79B9_7F4A_7C15_u64.wrapping_mul(seed),
        );
    }
}

/// A thread counts for 2,048 callsites at once; of these, several share each of its cells.
fn more_callsites_than_a_thread_has_cells_agree() {
    run(13, 60_000, 6000, 80_000, 0x2545_F491_4F6C_DD1D);
}
