//! Everything that a program may do to its heap and to the tracer, one thread at a time and in
//! every mode, compared with a model after each step.
//!
//! It is short unless `STRESS_SECONDS` or `STRESS_ROUNDS` is set. `STRESS_SEED` repeats a round.

mod checks;
mod model;
mod processes;
mod refusing;
mod sessions;
mod steps;

use std::alloc::Layout;
use std::sync::atomic::Ordering::Relaxed;

use alloc_core::{Amount, Counters, Scope, ScopeHandle, TraceAlloc, Usage, untraced};
use alloc_tests::{Random, Stress};
use checks::NOW;
use model::ScopeModel;
use refusing::Refusing;

#[global_allocator]
static ALLOC: TraceAlloc<Refusing> = TraceAlloc::new(Refusing);

fn main() {
    // Printing allocates, so it is untraced.
    let mut stress = Stress::from_environment("stress_alone", 12);
    while let Some(seed) = untraced(|| stress.next_round()) {
        untraced(|| NOW.seed.store(seed as usize, Relaxed));
        Run::new(seed).round();
    }
    untraced(|| println!("test result: 1 passed; 0 failed"));
}

alloc_tests::sites!();

fn layout(size: usize) -> Layout {
    Layout::from_size_align(size, 8).expect("a small size")
}

/// A live block.
#[derive(Clone, Copy, Debug)]
struct Block {
    address: *mut u8,
    size: usize,
    /// Its callsite, if it was recorded.
    site: Option<usize>,
    session: u32,
    /// The innermost scope around its allocation.
    owner: Option<usize>,
}

impl Block {
    fn grow(self, site: usize, size: usize) -> *mut u8 {
        // SAFETY: the block is live and has that layout; sizes are small and not zero.
        unsafe { GROW[site](self.address, layout(self.size), size) }
    }
}

#[derive(Clone, Copy, PartialEq, Debug)]
enum Mode {
    Off,
    Whole,
    Counted,
    Sampled,
}

/// A live scope, held by its guard or by a handle.
enum Alive {
    Guard(Scope),
    Handle(ScopeHandle),
}

impl Alive {
    fn usage(&self) -> Usage {
        let usage = match self {
            Alive::Guard(it) => it.usage(),
            Alive::Handle(it) => it.usage(),
        };
        usage.expect("a scope of this process")
    }
}

struct Run {
    random: Random,
    live: Vec<Block>,
    mode: Mode,
    session: u32,
    sites: [Counters; SITES],
    at_peak: [Amount; SITES],
    current: u64,
    peak: u64,
    rising: bool,
    /// Whether only one thread has recorded in this session. Then peaks are exact.
    is_alone: bool,
    scopes: Vec<ScopeModel>,
    alive: Vec<(usize, Alive)>,
    tracked: Vec<(usize, usize)>,
    /// Whether this is a forked child, where scopes of the parent are refused.
    is_child: bool,
    /// Whether there is one more live block, which a thread frees at its end.
    has_last: bool,
}

const MOST_BLOCKS: usize = 400;

const MOST_SCOPES: usize = 4;

impl Run {
    fn new(seed: u64) -> Run {
        // The vectors are allocated before tracing: from here on the model knows every block.
        untraced(|| Run {
            random: Random::new(seed),
            live: Vec::with_capacity(MOST_BLOCKS),
            mode: Mode::Off,
            session: 0,
            sites: Default::default(),
            at_peak: Default::default(),
            current: 0,
            peak: 0,
            rising: true,
            is_alone: true,
            scopes: Vec::with_capacity(10_000),
            alive: Vec::with_capacity(MOST_SCOPES),
            tracked: Vec::with_capacity(16),
            is_child: false,
            has_last: false,
        })
    }

    fn round(mut self) {
        self.steps(1_500);
        while let Some((number, alive)) = self.alive.pop() {
            self.scopes[number].check(alive.usage());
            drop(alive);
        }
        while let Some(block) = self.live.pop() {
            self.free(block);
        }
        while let Some(tracked) = self.tracked.pop() {
            self.untrack(tracked);
        }
        self.check();
        alloc_core::stop();
        untraced(|| drop(self));
    }

    fn steps(&mut self, steps: usize) {
        for step in 0..steps {
            NOW.step.store(step, Relaxed);
            self.step();
            self.check();
        }
    }

    fn step(&mut self) {
        match self.random.below(1_000) {
            0..12 => self.start_or_stop(),
            12..18 => self.clear(),
            18..30 => self.reset_peak(),
            30..70 => self.enter_scope(),
            70..110 => self.leave_scope(),
            110..140 => self.track_something(),
            140..160 => self.untrack_something(),
            160..163 => self.fork(),
            163..170 => self.thread(),
            170..200 => self.refused(),
            200..240 => self.muted(),
            240..250 => self.in_a_handle(),
            250..260 => self.read(),
            260..420 => self.grow_some(false),
            other => {
                // The number of blocks grows and shrinks in waves.
                let wave = if (NOW.step.load(Relaxed) / 200).is_multiple_of(2) {
                    780
                } else {
                    640
                };
                if (other < wave || self.live.is_empty()) && self.live.len() < MOST_BLOCKS {
                    self.make_some(false);
                } else {
                    self.free_some();
                }
            }
        }
    }
}
