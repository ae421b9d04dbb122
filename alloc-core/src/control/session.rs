//! The life of a session: begin, clear, end.

use super::config::ROOM;
use super::{Above, Config, Control, GranuleHint, Knowledge, lock, lock_readers};
use crate::Error;
use crate::capture::{self, LIBRARY_FRAMES};
use crate::record::gate::{
    self, Fault, Mode, OFF, UNSET, check_fault, generation, give_up, set_generation,
};
use crate::record::session::{SAMPLE_FILTER, TABLES};
use crate::record::settings::{self, Settings};
use crate::record::thread::{self, AtStage, Busy, Stage, ThreadState};
use crate::system::sync::{AtomicBool, Ordering};
use crate::system::{arena, clock, hooks};
use crate::tables::blocks::{Companions, Granule};
use crate::tables::lifetimes::Lifetimes;
use Ordering::Relaxed;

impl Control {
    pub(super) fn start(&mut self, config: Config) -> Result<(), Error> {
        let no_memory = || Error::out_of_memory("the tracer's tables");
        if config.slack && !self.knows_usable_sizes {
            return Err(Error::invalid_config(
                "slack needs the usable sizes of blocks: expected TraceAlloc::system() on Linux or macOS, or \
                 TraceAlloc::with_usable_size, found an allocator that does not give them"
                    .to_owned(),
            ));
        }
        // Reserved memory stays reserved. If a program has no room for all of it, nothing is
        // reserved.
        if !arena::has_room(ROOM) {
            return Err(no_memory());
        }
        let granule = *self.granule.get_or_insert(Granule::SMALLEST);
        if !self.prepare_hooks() {
            return Err(Error::out_of_memory("a key for thread-local data"));
        }
        self.method = Some(capture::prepare());
        if config.frames == 1 {
            capture::prepare_for_line();
        }
        let companions = Companions {
            births: config.lifetimes,
            origins: config.exact_graph,
        };
        if config.lifetimes || config.exact_graph {
            clock::prepare();
        }
        let index = match config.how() {
            Mode::Whole => TABLES.blocks.prepare_with(granule, true, companions),
            Mode::Sampled => TABLES.blocks.prepare(granule, false),
            Mode::Counted | Mode::Off => TABLES.counted.prepare(granule),
        };
        index
            .and_then(|()| TABLES.callsites.prepare(config.max_callsites))
            .ok_or_else(no_memory)?;
        if config.lifetimes {
            let prepared = lifetimes().into_iter().try_for_each(Lifetimes::prepare);
            prepared.ok_or_else(no_memory)?;
        }
        if config.frees {
            TABLES.frees.prepare().ok_or_else(no_memory)?;
        }
        if config.slack {
            TABLES.usable.prepare().ok_or_else(no_memory)?;
        }
        let captured = match config.frames {
            0 => 0,
            frames => usize::from(frames) + LIBRARY_FRAMES,
        };
        settings::begin_session(&Settings {
            capture_limit: captured,
            sample_every: config.sample_every,
            distinguishes_threads: config.threads,
            distinguishes_sizes: config.sizes,
            ages: config.lifetimes,
            counts_frees: config.frees,
            measures: config.slack,
            keeps_origins: config.exact_graph,
        });
        TABLES.heap.set_exact(config.exact_peak);
        self.session = Some(config);
        self.publish();
        Ok(())
    }

    /// Clears all records and gives the memory back.
    fn clear(&mut self) {
        self.stop_the_world(|_| {
            // SAFETY: no thread records, none can start to, and the readers' lock is held: see
            // `clear_all`. No id outlives this, since the cells are emptied here too.
            unsafe {
                TABLES.blocks.clear();
            }
            // SAFETY: no thread records, none can start to, and the readers' lock is held: see
            // `clear_all`.
            unsafe {
                TABLES.callsites.clear();
            }
            // SAFETY: no thread records, none can start to, and the readers' lock is held: see
            // `clear_all`.
            unsafe {
                TABLES.counted.clear();
            }
            clear_lifetimes();
            // SAFETY: no thread records, none can start to, and the readers' lock is held: see
            // `clear_all`.
            unsafe {
                TABLES.frees.clear();
            }
            // SAFETY: no thread records, none can start to, and the readers' lock is held: see
            // `clear_all`.
            unsafe {
                TABLES.usable.clear();
            }
            SAMPLE_FILTER.clear();
            TABLES.threads.iter().for_each(ThreadState::clear);
            TABLES.events.clear();
            TABLES.heap.clear();
        });
    }
}

/// The tables of lifetimes and ages.
fn lifetimes() -> [&'static Lifetimes; 3] {
    [&TABLES.lifetimes, &TABLES.held_back, &TABLES.ages]
}

/// Clears the lifetimes of all blocks.
fn clear_lifetimes() {
    for table in lifetimes() {
        // SAFETY: no thread records, none can start to, and the readers' lock is held: see
        // `clear_all`.
        unsafe { table.clear() };
    }
    TABLES.clock.clear();
}

/// Whether no allocator has called [`begin`] yet.
pub(crate) fn is_unset() -> bool {
    generation() == UNSET
}

/// The first call of all, from an allocator. `use_inner` allocates once from the inner one.
pub(crate) fn begin(inner: Knowledge, use_inner: impl FnOnce(), above: &'static Above) {
    if thread::stage() == Stage::Busy {
        return;
    }
    let _busy = Busy::begin();
    // NOTE: first of all, so that the inner allocator registers its fork handlers before ours. The
    // handler registered last runs first, so ours stops the world before the inner allocator's
    // handlers take their locks.
    use_inner();
    begin_once(inner, above);
    if !REPORTER_WAS_STARTED.swap(true, Relaxed) {
        // NOTE: without the lock, since this calls the C library, which may call back.
        (above.start_reporter)();
    }
}

static REPORTER_WAS_STARTED: AtomicBool = AtomicBool::new(false);

fn begin_once(inner: Knowledge, above: &'static Above) {
    let mut control = lock();
    if generation() != UNSET {
        return;
    }
    control.waits_for_an_answer = above.waits_for_an_answer;
    control.fork_handlers = Some(&above.fork);
    gate::register_answer(&above.answer);
    thread::register_scopes(&above.scopes);
    control.knows_usable_sizes = inner.usable_sizes;
    control.granule = match inner.granule {
        GranuleHint::System => Granule::from_bytes(hooks::granule_of_system()),
        GranuleHint::Bytes(bytes) => Granule::from_bytes(bytes),
    };
    let Some(config) = (above.config)() else {
        set_generation(OFF, Ordering::Release);
        return;
    };
    control.from_environment = true;
    match control.start(config) {
        Ok(()) => {}
        // The program runs without tracing.
        Err(error) if error.is_broken() => {
            control.from_environment = false;
            set_generation(OFF, Ordering::Release);
            hooks::write_to_stderr(&[
                "alloc-core: tracing could not be started: the system gave no memory for the tracer's tables\n",
            ]);
        }
        Err(error) => (above.refuse)(&error),
    }
}

/// Makes the allocator call [`begin`], if it is installed and nothing has been allocated yet.
pub(super) fn call_begin() {
    if is_unset() {
        // This allocation is not the program's.
        let _apart = AtStage::apart();
        drop(std::hint::black_box(Box::new(0_u8)));
    }
}

/// Starts a session. Returns whether none was under way.
pub(crate) fn start_with(config: Config) -> Result<bool, Error> {
    let _muted = thread::mute();
    call_begin();
    if is_unset() {
        return Err(Error::not_installed());
    }
    config.check()?;
    let _busy = Busy::begin();
    let mut control = lock();
    check_fault()?;
    match &control.session {
        None => control.start(config).map(|()| true),
        Some(_) if control.from_environment => Ok(false),
        Some(running) if *running == config => Ok(false),
        Some(running) => Err(Error::already_tracing(running, &config)),
    }
}

/// Ends the session. Returns whether there was one.
pub(crate) fn stop() -> bool {
    let _muted = thread::mute();
    let _busy = Busy::begin();
    let _readers = lock_readers();
    let mut control = lock();
    if control.session.is_none() {
        return false;
    }
    control.clear();
    control.session = None;
    control.from_environment = false;
    control.publish();
    true
}

pub(crate) fn clear_traces() {
    let _muted = thread::mute();
    let _busy = Busy::begin();
    let _readers = lock_readers();
    let mut control = lock();
    let Some(config) = control.session.take() else {
        return;
    };
    control.clear();
    if control.start(config).is_err() {
        give_up(Fault::OutOfMemory);
    }
}

pub(crate) fn reset_peak() {
    let _muted = thread::mute();
    let _busy = Busy::begin();
    let _readers = lock_readers();
    let mut control = lock();
    if control.session.is_none() {
        return;
    }
    control.stop_the_world(|_| {
        // Otherwise a thread would still hold back values that are no longer part of the peak.
        TABLES.threads.claimed().for_each(ThreadState::fold_all);
        TABLES
            .callsites
            .iter()
            .for_each(|(_, callsite)| callsite.shared.reset_peak());
        TABLES.heap.reset_peak();
    });
    control.publish();
}

/// Runs `prepare` once under the control lock, and then sets `ready`.
#[cold]
pub(crate) fn prepare_once(
    prepare: impl FnOnce(Granule) -> Option<()>,
    ready: &AtomicBool,
) -> Result<(), Error> {
    let _muted = thread::mute();
    call_begin();
    if is_unset() {
        return Err(Error::not_installed());
    }
    let _busy = Busy::begin();
    let mut control = lock();
    let granule = *control.granule.get_or_insert(Granule::SMALLEST);
    if !control.prepare_hooks() {
        return Err(Error::out_of_memory("a key for thread-local data"));
    }
    control.method = Some(capture::prepare());
    if !ready.load(Relaxed) {
        prepare(granule).ok_or_else(|| Error::out_of_memory("scopes"))?;
        // The release publishes what was prepared to the acquires on `ready`.
        ready.store(true, Ordering::Release);
    }
    Ok(())
}
