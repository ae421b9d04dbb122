//! One thread at a time, in lockstep with a model: whatever a program may do to its heap and to the tracer, in every mode,
//! compared after each step.
//!
//! Short unless `STRESS_SECONDS` or `STRESS_ROUNDS` say otherwise; `STRESS_SEED` repeats a round.

use std::alloc::{GlobalAlloc, Layout, System, dealloc};
use std::ffi::c_void;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicUsize, Ordering::Relaxed};

use alloc_core::{
    Amount, Bytes, Config, Counters, Scope, ScopeHandle, Snapshot, TraceAlloc, Usage,
    take_snapshot, traced_memory, untraced,
};
use alloc_tests::{Random, Stress};

/// The system's allocator, which refuses on demand.
struct Refusing;

static REFUSES: AtomicBool = AtomicBool::new(false);

// SAFETY: the system's allocator, or null.
unsafe impl GlobalAlloc for Refusing {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if REFUSES.load(Relaxed) {
            return std::ptr::null_mut();
        }
        // SAFETY: the caller's promise, passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if REFUSES.load(Relaxed) {
            return std::ptr::null_mut();
        }
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(block, layout) };
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        if REFUSES.load(Relaxed) {
            return std::ptr::null_mut();
        }
        // SAFETY: as above.
        unsafe { System.realloc(block, layout, new_size) }
    }
}

#[global_allocator]
static ALLOC: TraceAlloc<Refusing> = TraceAlloc::new(Refusing);

fn main() {
    // What is not traced is written in any case; a test runner would do as well.
    let mut stress = Stress::from_environment("stress_alone", 12);
    while let Some(seed) = untraced(|| stress.next_round()) {
        untraced(|| NOW.seed.store(seed as usize, Relaxed));
        Run::new(seed).round();
    }
    untraced(|| println!("test result: 1 passed; 0 failed"));
}

/// Where a run is, for whoever reports a failure.
struct Now {
    seed: AtomicUsize,
    step: AtomicUsize,
}

static NOW: Now = Now {
    seed: AtomicUsize::new(0),
    step: AtomicUsize::new(0),
};

/// Compares, and says where.
#[track_caller]
fn check<T: PartialEq + std::fmt::Debug>(what: &str, found: T, expected: T) {
    if found != expected {
        REFUSES.store(false, Relaxed);
        let (seed, step) = (NOW.seed.load(Relaxed), NOW.step.load(Relaxed));
        panic!("STRESS_SEED={seed}, step {step}: {what}: found {found:?}, expected {expected:?}");
    }
}

alloc_tests::sites!();

fn layout(size: usize) -> Layout {
    Layout::from_size_align(size, 8).expect("a small size")
}

/// A live block, and what is known of it.
#[derive(Clone, Copy, Debug)]
struct Block {
    address: *mut u8,
    size: usize,
    /// Its callsite, if the session knows it.
    site: Option<usize>,
    session: u32,
    /// The innermost scope that it belongs to.
    owner: Option<usize>,
}

impl Block {
    fn grow(self, site: usize, size: usize) -> *mut u8 {
        // SAFETY: the block is live and has that layout; sizes are small and not zero.
        unsafe { GROW[site](self.address, layout(self.size), size) }
    }
}

/// What a scope should say.
#[derive(Clone, Copy, Debug, Default)]
struct ScopeModel {
    parent: Option<usize>,
    net: Amount,
    peak: Amount,
    total: Amount,
    reallocations: u64,
    before: Amount,
}

impl ScopeModel {
    fn born(&mut self, size: usize) {
        self.net += Amount::new(size as u64, 1);
        self.total += Amount::new(size as u64, 1);
        self.raise();
    }

    fn reborn(&mut self, old: usize, size: usize) {
        self.net = minus(self.net, old);
        self.net += Amount::new(size as u64, 1);
        self.total += Amount::new(size as u64, 1);
        self.raise();
    }

    fn raise(&mut self) {
        self.peak.bytes = self.peak.bytes.max(self.net.bytes);
        self.peak.blocks = self.peak.blocks.max(self.net.blocks);
    }

    fn check(&self, usage: Usage) {
        check("a scope's blocks", usage.current, self.net);
        check("what a scope allocated", usage.allocated, self.total);
        check("a scope's peak", usage.peak, self.peak);
        let freed = Amount::new(
            (self.total.bytes - self.net.bytes).get(),
            self.total.blocks - self.net.blocks,
        );
        check("what a scope freed", usage.freed, freed);
        check("what was before a scope", usage.freed_before, self.before);
        check(
            "a scope's reallocations",
            usage.reallocations,
            self.reallocations,
        );
    }
}

fn minus(amount: Amount, size: usize) -> Amount {
    Amount::new(amount.bytes.get() - size as u64, amount.blocks - 1)
}

#[derive(Clone, Copy, PartialEq, Debug)]
enum Mode {
    Off,
    Whole,
    Counted,
    Sampled,
}

/// A scope that is alive: its guard or its handle, and its number.
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
    /// Whether only one thread recorded since the session began: then peaks are exact.
    is_alone: bool,
    scopes: Vec<ScopeModel>,
    alive: Vec<(usize, Alive)>,
    tracked: Vec<(usize, usize)>,
    /// Whether this is a child, of which the scopes of before know nothing.
    is_child: bool,
    /// Whether there is a block beside the live ones, which a thread frees at its end.
    has_last: bool,
}

const MOST_BLOCKS: usize = 400;
const MOST_SCOPES: usize = 4;

impl Run {
    fn new(seed: u64) -> Run {
        // Reserved before: from here on only what the model knows of is allocated.
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
                // Waves: now more blocks come than go, now fewer.
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

    fn size(&mut self) -> usize {
        match self.random.below(50) {
            0 => 1 + self.random.below(300_000),
            _ => 16 * (1 + self.random.below(4)),
        }
    }

    fn innermost(&self) -> Option<usize> {
        let guards = self.alive.iter().rev();
        let mut guards = guards.filter(|(_, it)| matches!(it, Alive::Guard(_)));
        guards.next().map(|&(number, _)| number)
    }

    // What a step does.

    fn make_some(&mut self, muted: bool) {
        let (size, site) = (self.size(), self.random.below(SITES));
        let zeroed = self.random.one_in(3);
        let scope = self.innermost().filter(|_| !muted);
        self.make_in(scope, size, site, zeroed, muted);
    }

    fn make_in(
        &mut self,
        scope: Option<usize>,
        size: usize,
        site: usize,
        zeroed: bool,
        muted: bool,
    ) {
        let work = || MAKE[site](layout(size), zeroed);
        let address = if muted { untraced(work) } else { work() };
        let block = Block {
            address,
            size,
            site: (self.mode != Mode::Off && !muted).then_some(site),
            session: self.session,
            owner: scope,
        };
        self.change(None, Some(block), false);
        self.born(scope, size);
        self.live.push(block);
    }

    fn free_some(&mut self) {
        if !self.live.is_empty() {
            let at = self.random.below(self.live.len());
            let block = self.live.swap_remove(at);
            self.free(block);
        }
    }

    fn free(&mut self, block: Block) {
        // SAFETY: it is live and has that layout.
        unsafe { dealloc(block.address, layout(block.size)) };
        let scope = self.innermost();
        self.freed(block, scope);
    }

    fn freed(&mut self, block: Block, scope: Option<usize>) {
        self.change(Some(block), None, false);
        self.died(scope, block);
    }

    fn grow_some(&mut self, muted: bool) {
        if self.live.is_empty() {
            return;
        }
        let (size, site) = (self.size(), self.random.below(SITES));
        let at = self.random.below(self.live.len());
        let old = self.live[at];
        let work = || old.grow(site, size);
        let address = if muted { untraced(work) } else { work() };
        let scope = self.innermost().filter(|_| !muted);
        let block = Block {
            address,
            size,
            site: (self.mode != Mode::Off && !muted).then_some(site),
            session: self.session,
            owner: scope,
        };
        self.change(Some(old), Some(block), true);
        self.moved(scope, old, size);
        self.live[at] = block;
    }

    fn muted(&mut self) {
        match self.random.below(3) {
            0 if self.live.len() < MOST_BLOCKS => self.make_some(true),
            1 => self.grow_some(true),
            _ if !self.live.is_empty() => {
                let at = self.random.below(self.live.len());
                let block = self.live.swap_remove(at);
                // SAFETY: it is live and has that layout.
                untraced(|| unsafe { dealloc(block.address, layout(block.size)) });
                // NOTE: the thread is in no scope while it is muted.
                self.freed(block, None);
            }
            _ => {}
        }
    }

    /// The inner allocator has nothing to give: nothing happens.
    fn refused(&mut self) {
        let (size, site) = (self.size(), self.random.below(SITES));
        REFUSES.store(true, Relaxed);
        let made = MAKE[site](layout(size), self.random.one_in(2));
        let grown = match self.live.first() {
            Some(&block) => block.grow(site, size),
            None => std::ptr::null_mut(),
        };
        REFUSES.store(false, Relaxed);
        check("what was refused", (made, grown), Default::default());
    }

    fn start_or_stop(&mut self) {
        if self.mode != Mode::Off {
            alloc_core::stop();
            check("after a stop", traced_memory(), Default::default());
            self.tracked.clear();
            self.mode = Mode::Off;
            if self.random.one_in(3) {
                return;
            }
        }
        let frames = [32, 8, 1, 0][self.random.below(4)];
        let config = Config::default()
            .frames(frames)
            .threads(self.random.one_in(4))
            .exact_peak(self.random.one_in(4));
        let (mode, config) = match self.random.below(5) {
            0 => (
                Mode::Sampled,
                config.sample_every(64_u64 << self.random.below(10)),
            ),
            _ if frames == 0 => (Mode::Counted, config),
            _ => (Mode::Whole, config),
        };
        alloc_core::start_with(config).expect("it starts");
        self.mode = mode;
        self.forget();
    }

    fn clear(&mut self) {
        alloc_core::clear_traces();
        self.tracked.clear();
        self.forget();
    }

    fn forget(&mut self) {
        self.session += 1;
        self.sites = Default::default();
        (self.current, self.peak, self.rising) = (0, 0, true);
        self.is_alone = true;
    }

    fn reset_peak(&mut self) {
        alloc_core::reset_peak();
        self.sites.iter_mut().for_each(|it| it.peak = it.current);
        (self.peak, self.rising) = (self.current, true);
    }

    fn enter_scope(&mut self) {
        if self.alive.len() == MOST_SCOPES || self.scopes.len() == self.scopes.capacity() {
            return;
        }
        let scope = match self.random.below(3) {
            0 => Alive::Guard(Scope::enter_with_stacks().expect("a scope")),
            1 => Alive::Guard(Scope::enter().expect("a scope")),
            _ => Alive::Handle(ScopeHandle::new().expect("a scope")),
        };
        let number = self.scopes.len();
        let parent = self.innermost();
        self.scopes.push(ScopeModel {
            parent,
            ..ScopeModel::default()
        });
        self.alive.push((number, scope));
    }

    fn leave_scope(&mut self) {
        if let Some((number, alive)) = self.alive.pop() {
            if !self.is_child {
                self.scopes[number].check(alive.usage());
            }
            if let Alive::Guard(scope) = &alive
                && self.random.one_in(3)
                && !self.is_child
            {
                let snapshot = || scope.snapshot().expect("a scope of this process");
                let current = untraced(|| snapshot().traced_memory().current);
                check("a scope's snapshot", current, self.scopes[number].net.bytes);
            }
            drop(alive);
        }
    }

    fn in_a_handle(&mut self) {
        let handles = self.alive.iter();
        let handle = handles.rev().find_map(|(number, it)| match it {
            Alive::Handle(handle) => Some((*number, handle.clone())),
            Alive::Guard(_) => None,
        });
        if let Some((number, handle)) = handle
            && self.live.len() < MOST_BLOCKS
        {
            let (size, site) = (self.size(), self.random.below(SITES));
            handle.run(|| self.make_in(Some(number), size, site, false, false));
        }
    }

    fn track_something(&mut self) {
        if self.mode == Mode::Off {
            untraced(|| assert!(alloc_core::track(1, 1, 1).is_err()));
        } else if self.tracked.len() < self.tracked.capacity() {
            let (address, size) = (self.random.below(1 << 20) << 4, self.random.below(5_000));
            self.untrack_if_there(address);
            untraced(|| alloc_core::track(1, address, size)).expect("it is tracked");
            self.change_heap(size as i64);
            self.tracked.push((address, size));
        }
    }

    fn untrack_if_there(&mut self, address: usize) {
        if let Some(at) = self.tracked.iter().position(|it| it.0 == address) {
            let tracked = self.tracked.swap_remove(at);
            self.untrack(tracked);
        }
    }

    fn untrack_something(&mut self) {
        if let Some(tracked) = self.tracked.pop() {
            self.untrack(tracked);
        }
    }

    fn untrack(&mut self, (address, size): (usize, usize)) {
        alloc_core::untrack(1, address).expect("it is tracked");
        self.change_heap(-(size as i64));
    }

    /// Reads and asks, which changes nothing.
    fn read(&mut self) {
        if self.mode != Mode::Off {
            // NOTE: what a snapshot takes up is no block of the model, nor is it one of the scopes' from before.
            untraced(|| self.check_sites(&take_snapshot().expect("tracing is on")));
        }
    }

    /// The child goes on for some steps, and must find all as it was.
    fn fork(&mut self) {
        // SAFETY: this process has no other thread now.
        let child = unsafe { libc::fork() };
        assert!(child >= 0);
        if child == 0 {
            // SAFETY: a number; what hangs is ended by the signal.
            unsafe { libc::alarm(20) };
            self.is_child = true;
            for (_, alive) in &self.alive {
                let usage = || match alive {
                    Alive::Guard(it) => it.usage(),
                    Alive::Handle(it) => it.usage(),
                };
                untraced(|| assert!(usage().is_err_and(|it| it.is_forked())));
            }
            for _ in 0..20 {
                match self.random.below(4) {
                    0 => self.free_some(),
                    1 => self.grow_some(false),
                    _ if self.live.len() < MOST_BLOCKS => self.make_some(false),
                    _ => {}
                }
                self.check();
            }
            self.read();
            // SAFETY: a number.
            unsafe { libc::_exit(0) };
        }
        let mut status = 0;
        // SAFETY: a child of ours, and room for its status.
        unsafe { libc::waitpid(child, &mut status, 0) };
        check("the status of a child", status, 0);
    }

    /// Another thread makes and frees while this one waits, and frees more when it ends.
    fn thread(&mut self) {
        static KEY: AtomicUsize = AtomicUsize::new(usize::MAX);
        static LAST: AtomicPtr<Block> = AtomicPtr::new(std::ptr::null_mut());
        unsafe extern "C" fn at_end(_: *mut c_void) {
            // SAFETY: null, or the block that `work` left, which lives until the thread is joined.
            if let Some(block) = unsafe { LAST.load(Relaxed).as_ref() } {
                // SAFETY: it is live and has that layout.
                unsafe { dealloc(block.address, layout(block.size)) };
            }
        }
        extern "C" fn work(run: *mut c_void) -> *mut c_void {
            // SAFETY: the run, which the thread that waits does not touch.
            let run = unsafe { &mut *run.cast::<Run>() };
            for _ in 0..run.random.below(30) {
                if run.random.one_in(2) && !run.live.is_empty() {
                    let at = run.random.below(run.live.len());
                    let block = run.live.swap_remove(at);
                    // SAFETY: it is live and has that layout.
                    unsafe { dealloc(block.address, layout(block.size)) };
                    run.freed(block, None);
                } else if run.live.len() < MOST_BLOCKS {
                    let (size, site) = (run.size(), run.random.below(SITES));
                    run.make_in(None, size, site, false, false);
                }
                run.check();
            }
            // SAFETY: the key was made.
            unsafe {
                let key = KEY.load(Relaxed) as libc::pthread_key_t;
                libc::pthread_setspecific(key, std::ptr::without_provenance(1));
            }
            std::ptr::null_mut()
        }
        if KEY.load(Relaxed) == usize::MAX {
            let mut key = 0;
            // SAFETY: room for a key, and a function of the right type.
            unsafe { libc::pthread_key_create(&mut key, Some(at_end)) };
            KEY.store(key as usize, Relaxed);
        }
        self.is_alone = false;
        let last = self.live.pop();
        self.has_last = last.is_some();
        let mut kept = last;
        let place = kept
            .as_mut()
            .map_or(std::ptr::null_mut(), std::ptr::from_mut);
        LAST.store(place, Relaxed);
        let mut thread = std::mem::MaybeUninit::uninit();
        let (at, run) = (thread.as_mut_ptr(), std::ptr::from_mut(self).cast());
        // SAFETY: room for a thread, and a function of the right type; the run outlives it.
        let failed = unsafe { libc::pthread_create(at, std::ptr::null(), work, run) };
        check("a thread", failed, 0);
        // SAFETY: it was made.
        let thread = unsafe { thread.assume_init() };
        // SAFETY: nobody else waits for it.
        unsafe { libc::pthread_join(thread, std::ptr::null_mut()) };
        self.has_last = false;
        if let Some(block) = last {
            self.freed(block, None);
        }
    }

    // The model.

    /// At one moment, a block ends (`gone`) and another begins (`come`), or only one of them.
    fn change(&mut self, gone: Option<Block>, come: Option<Block>, reallocated: bool) {
        if matches!(self.mode, Mode::Off | Mode::Sampled) {
            return;
        }
        let gone = gone.filter(|it| it.session == self.session && it.site.is_some());
        let come = come.filter(|it| it.site.is_some());
        let size = |block: Option<Block>| block.map_or(0, |it| it.size as i64);
        let grown = size(come) - size(gone);
        if grown < 0 {
            self.fall();
        }
        if let Some(block) = gone {
            let current = &mut self.sites[block.site.unwrap_or(0)].current;
            *current = minus(*current, block.size);
        }
        if let Some(block) = come {
            let site = &mut self.sites[block.site.unwrap_or(0)];
            site.current += Amount::new(block.size as u64, 1);
            site.total += Amount::new(block.size as u64, 1);
            site.reallocations += u64::from(reallocated);
            site.peak.bytes = site.peak.bytes.max(site.current.bytes);
            site.peak.blocks = site.peak.blocks.max(site.current.blocks);
        }
        self.add(grown);
    }

    /// Memory that is no block of a site.
    fn change_heap(&mut self, bytes: i64) {
        if matches!(self.mode, Mode::Off | Mode::Sampled) {
            return;
        }
        if bytes < 0 {
            self.fall();
        }
        self.add(bytes);
    }

    fn fall(&mut self) {
        if self.rising {
            self.rising = false;
            self.at_peak = self.sites.map(|it| it.current);
        }
    }

    fn add(&mut self, bytes: i64) {
        self.current = self.current.wrapping_add_signed(bytes);
        if bytes >= 0 && self.current >= self.peak {
            (self.peak, self.rising) = (self.current, true);
        }
    }

    /// The scopes around `scope`, itself first, up to `end`.
    fn each_around(
        &mut self,
        scope: Option<usize>,
        end: Option<usize>,
        act: impl Fn(&mut ScopeModel),
    ) {
        let mut next = scope;
        while let Some(number) = next.filter(|it| Some(*it) != end) {
            act(&mut self.scopes[number]);
            next = self.scopes[number].parent;
        }
    }

    fn is_within(&self, mut scope: Option<usize>, outer: usize) -> bool {
        while let Some(number) = scope {
            if number == outer {
                return true;
            }
            scope = self.scopes[number].parent;
        }
        false
    }

    /// The innermost scope that both are in.
    fn common(&self, one: Option<usize>, other: Option<usize>) -> Option<usize> {
        let mut next = one;
        while let Some(number) = next.filter(|it| !self.is_within(other, *it)) {
            next = self.scopes[number].parent;
        }
        next
    }

    fn born(&mut self, scope: Option<usize>, size: usize) {
        self.each_around(scope, None, |it| it.born(size));
    }

    fn died(&mut self, scope: Option<usize>, block: Block) {
        let common = self.common(scope, block.owner);
        self.each_around(scope, common, |it| {
            it.before += Amount::new(block.size as u64, 1)
        });
        self.each_around(block.owner, None, |it| it.net = minus(it.net, block.size));
    }

    fn moved(&mut self, scope: Option<usize>, old: Block, size: usize) {
        let common = self.common(scope, old.owner);
        self.each_around(scope, common, |it| {
            it.before += Amount::new(old.size as u64, 1);
            it.born(size);
        });
        self.each_around(common, None, |it| it.reborn(old.size, size));
        self.each_around(scope, None, |it| it.reallocations += 1);
        self.each_around(old.owner, common, |it| it.net = minus(it.net, old.size));
    }

    // What is compared.

    fn check(&mut self) {
        let memory = traced_memory();
        match self.mode {
            Mode::Off => check("while it is off", memory, Default::default()),
            Mode::Sampled => {
                let is_empty = self.live.is_empty() && self.tracked.is_empty() && !self.has_last;
                if is_empty {
                    check("a sample of nothing", memory.current, Bytes::ZERO);
                }
            }
            Mode::Whole | Mode::Counted => {
                check("current", memory.current.get(), self.current);
                let off = memory.peak.get().abs_diff(self.peak);
                if self.is_alone {
                    check(
                        "peak",
                        (memory.peak.get(), memory.peak_error.get()),
                        (self.peak, 0),
                    );
                } else if off > memory.peak_error.get() {
                    check("peak, though not alone", memory.peak.get(), self.peak);
                }
            }
        }
        if !self.is_child {
            for (number, alive) in &self.alive {
                self.scopes[*number].check(alive.usage());
            }
        }
    }

    fn check_sites(&self, snapshot: &Snapshot) {
        check(
            "a snapshot's heap",
            snapshot.traced_memory(),
            traced_memory(),
        );
        if self.mode != Mode::Whole {
            return;
        }
        for (number, site) in self.sites.iter().enumerate() {
            let is_of = |name: &str| {
                let name = name.rsplit("::").next();
                name.is_some_and(|it| NAMES[number].contains(&it))
            };
            let found = alloc_tests::sum_of(snapshot, |trace| {
                let mut frames = trace.traceback.iter().filter_map(|it| it.function());
                trace.domain == 0 && frames.any(is_of)
            });
            check("a site's blocks", found.current, site.current);
            check("a site's total", found.total, site.total);
            check(
                "a site's reallocations",
                found.reallocations,
                site.reallocations,
            );
            if self.is_alone {
                let at_peak = if self.rising {
                    site.current
                } else {
                    self.at_peak[number]
                };
                check("a site at the peak", found.at_peak, at_peak);
            }
        }
    }
}
