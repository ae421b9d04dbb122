//! What a scope counts by callsite, for those who ask.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use crate::blocks::{Granule, PageMap};
use crate::callsites::{CallsiteId, Callsites, MAX_CALLSITES, Stack};
use crate::hooks::ThreadId;
use crate::label::Label;
use crate::recorded::{Recorded, RecordedCallsite};
use crate::sync::{AtomicBool, AtomicU32, Ordering};
use crate::{Amount, Counters, TracedMemory, capture, thread, tracer};

use super::slots::SlotId;

/// The stacks of all scopes that count by callsite, and which block is of which. They have nothing to do
/// with those of a session, and are never cleared.
static CALLSITES: Callsites = Callsites::new();
static BLOCKS: PageMap<AtomicU32> = PageMap::new();

/// How many stacks are told apart, in all scopes together.
const MOST_CALLSITES: u32 = MAX_CALLSITES / 4;

/// Makes room. `None` where the system has no memory to give.
pub(super) fn prepare(granule: Granule) -> Option<()> {
    BLOCKS.prepare(granule, true)?;
    CALLSITES.prepare(MOST_CALLSITES)
}

/// The physical memory that callsites of scopes take up.
pub(crate) fn resident() -> usize {
    CALLSITES.resident() + BLOCKS.resident()
}

/// The counters of each callsite of one scope, behind a lock: exact under threads, at its price.
#[derive(Default)]
pub(super) struct Sites {
    counts: Mutex<Counts>,
    /// If threads that are started in the scope count: the ids of those that are older than it.
    older_threads: OnceLock<Vec<ThreadId>>,
}

#[derive(Default)]
struct Counts {
    sites: HashMap<CallsiteId, Site>,
    net: i64,
    peak: i64,
    /// Whether the scope did not shrink since its peak.
    is_rising: bool,
    /// Moves when the scope first shrinks after a peak, as in [`counters`](crate::counters).
    epoch: u64,
}

#[derive(Clone, Copy, Default)]
struct Site {
    net: Signed,
    peak: Signed,
    /// What it held when `epoch` began: at the scope's peak.
    saved: Signed,
    epoch: u64,
    total: Amount,
    reallocations: u64,
}

#[derive(Clone, Copy, Default)]
struct Signed {
    bytes: i64,
    blocks: i64,
}

impl Signed {
    fn amount(self) -> Amount {
        Amount::new(self.bytes.max(0) as u64, self.blocks.max(0) as u64)
    }
}

impl Counts {
    fn change(&mut self, id: CallsiteId, bytes: i64, blocks: i64) -> &mut Site {
        if bytes < 0 && self.is_rising {
            self.is_rising = false;
            self.epoch += 1;
        }
        let epoch = self.epoch;
        let site = self.sites.entry(id).or_default();
        if site.epoch != epoch {
            site.saved = site.net;
            site.epoch = epoch;
        }
        site.net.bytes += bytes;
        site.net.blocks += blocks;
        site.peak.bytes = site.peak.bytes.max(site.net.bytes);
        site.peak.blocks = site.peak.blocks.max(site.net.blocks);
        self.net += bytes;
        if self.net >= self.peak && bytes >= 0 {
            self.peak = self.net;
            self.is_rising = true;
        }
        site
    }

    fn counters(&self, site: &Site) -> Counters {
        let at_peak = if self.is_rising || site.epoch != self.epoch {
            site.net
        } else {
            site.saved
        };
        Counters {
            current: site.net.amount(),
            peak: site.peak.amount(),
            at_peak: at_peak.amount(),
            total: site.total,
            reallocations: site.reallocations,
        }
    }
}

impl Sites {
    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has threads count that the scope's work starts, all but those that there are.
    pub(super) fn take_in_all_but(&self, older: Vec<ThreadId>) {
        // NOTE: nobody set it before.
        let _ = self.older_threads.set(older);
    }

    /// Whether a thread counts if it was started in the scope.
    pub(super) fn takes_in(&self, thread: ThreadId) -> bool {
        let older = self.older_threads.get();
        older.is_some_and(|older| !older.contains(&thread))
    }

    /// What the callsites held, for a snapshot.
    pub(super) fn recorded(&self, heap: TracedMemory) -> Recorded {
        let mut recorded = Recorded {
            heap,
            traceback_limit: tracer::SCOPE_FRAMES,
            ..Recorded::default()
        };
        let counts = self.lock();
        for (&id, site) in &counts.sites {
            let start = recorded.addresses.len();
            let append = |callsite| CALLSITES.append_stack(callsite, &mut recorded.addresses);
            let Some(stack_end) = CALLSITES.get(id).and_then(append) else {
                continue;
            };
            recorded.callsites.push(RecordedCallsite {
                stack: start..recorded.addresses.len(),
                stack_end,
                counters: counts.counters(site),
                ..RecordedCallsite::default()
            });
        }
        recorded
    }
}

/// The scopes around `scope` that count by callsite, itself among them.
fn counting(scope: SlotId) -> impl Iterator<Item = &'static Sites> {
    scope.chain().filter_map(|it| it.slot().sites())
}

/// Who allocates now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Allocator {
    /// Nobody asks.
    Anyone,
    At(CallsiteId),
    /// `print!`, for itself: under a test harness it keeps what is printed in memory, on the test's thread,
    /// and without one it does not. So it does not count, but where nobody asks: in a program that is not for
    /// the harness, by scopes without stacks.
    Printing,
}

/// Whether scopes ask who allocates that do not count by callsite.
static TELLS_PRINTING: AtomicBool = AtomicBool::new(false);

/// Has all scopes ask whether it is `print!` that allocates. NOTE: once there is [room](prepare).
pub(super) fn tell_printing() {
    TELLS_PRINTING.store(true, Ordering::Relaxed);
}

/// Who allocates, if a scope around `scope` counts by callsite, or all ask.
#[inline]
pub(super) fn allocator_here(scope: SlotId) -> Allocator {
    if counting(scope).next().is_some() {
        find_allocator()
    } else if TELLS_PRINTING.load(Ordering::Relaxed) {
        match find_allocator() {
            Allocator::Printing => Allocator::Printing,
            Allocator::At(_) | Allocator::Anyone => Allocator::Anyone,
        }
    } else {
        Allocator::Anyone
    }
}

#[inline(never)]
fn find_allocator() -> Allocator {
    let find = |stack: Stack<'_>| {
        let known = CALLSITES.find(stack.hash);
        known.unwrap_or_else(|| {
            let is_of_printing = capture::is_of_printing(stack.addresses);
            let callsite = CALLSITES.insert(stack, Label::default());
            if is_of_printing {
                PRINTING
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .insert(callsite);
                // The release shows that the set is not empty to the acquire below.
                HAS_PRINTED.store(true, Ordering::Release);
            }
            callsite
        })
    };
    let callsite = tracer::with_stack_here(find).unwrap_or(CallsiteId::OVERFLOW);
    let is_of_printing = HAS_PRINTED.load(Ordering::Acquire)
        && PRINTING
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .contains(&callsite);
    match is_of_printing {
        true => Allocator::Printing,
        false => Allocator::At(callsite),
    }
}

/// The callsites of what `print!` does for itself: a few, if there are any.
static PRINTING: Mutex<BTreeSet<CallsiteId>> = Mutex::new(BTreeSet::new());
static HAS_PRINTED: AtomicBool = AtomicBool::new(false);

/// Counts a block by the stack that allocated it, where that is asked for.
#[inline]
pub(super) fn born(scope: SlotId, address: usize, size: usize, by: Allocator, reallocated: bool) {
    if let Allocator::At(callsite) = by {
        born_at_site(scope, address, size, callsite, reallocated);
    }
}

#[inline(never)]
fn born_at_site(
    scope: SlotId,
    address: usize,
    size: usize,
    callsite: CallsiteId,
    reallocated: bool,
) {
    // What is allocated in here is neither the scope's nor recorded.
    let _muted = thread::mute();
    // NOTE: without room in the index the block never seems to end; the scope's own index has told.
    let _ = BLOCKS.insert(address, callsite);
    for sites in counting(scope) {
        let mut counts = sites.lock();
        let site = counts.change(callsite, size as i64, 1);
        site.total += Amount::new(size as u64, 1);
        site.reallocations += u64::from(reallocated);
    }
}

/// Counts the end of a block of `owner`.
#[inline]
pub(super) fn died(owner: SlotId, address: usize, size: usize) {
    if counting(owner).next().is_some() {
        died_at_site(owner, address, size);
    }
}

#[inline(never)]
fn died_at_site(owner: SlotId, address: usize, size: usize) {
    let Some(callsite) = BLOCKS.remove(address) else {
        return;
    };
    let _muted = thread::mute();
    for sites in counting(owner) {
        let mut counts = sites.lock();
        if counts.sites.contains_key(&callsite) {
            counts.change(callsite, -(size as i64), -1);
        }
    }
}
