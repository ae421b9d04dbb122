//! What a scope counts by callsite, for those who ask.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError, TryLockError};

use crate::snapshot::recorded::{Recorded, RecordedCallsite};
use crate::system::hooks::ThreadId;
use crate::system::sync::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use crate::tables::blocks::{Granule, PageMap};
use crate::tables::callsites::{CallsiteId, Callsites, MAX_CALLSITES, Stack};
use crate::tables::label::Label;
use crate::{Amount, Counters, TracedMemory, capture, control, record::stack_here, record::thread};

use super::slots::SlotId;
use super::started::Started;

/// The stacks of all scopes that count by callsite, and which block is of which. They have nothing
/// to do with those of a session, and are never cleared.
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
///
/// Who holds the lock does so [beside a record](control::beside_record), so that no fork finds it
/// taken. A signal handler that interrupted whoever has it must not wait for it: what is allocated
/// and freed there is counted as lost.
#[derive(Default)]
pub(super) struct Sites {
    counts: Mutex<Counts>,
    /// How many changes could not be counted.
    lost: AtomicU64,
    /// If threads that are started in the scope are looked out for.
    lookout: OnceLock<Lookout>,
    /// Whether there are some that do not count.
    has_started: AtomicBool,
}

struct Lookout {
    /// The ids of the threads that are older than the scope.
    older: Vec<ThreadId>,
    started: Started,
}

#[derive(Default)]
struct Counts {
    sites: HashMap<CallsiteId, Site>,
    net: i64,
    peak: i64,
    /// Whether the scope did not shrink since its peak.
    is_rising: bool,
    /// Moves when the scope first shrinks after a peak, as in
    /// [`counters`](crate::tables::counters).
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

    /// Looks out for threads that the scope's work starts: all but those that there are.
    pub(super) fn look_out(&self, older: Vec<ThreadId>, started: Started) {
        // NOTE: nobody set it before.
        let _ = self.lookout.set(Lookout { older, started });
    }

    /// What becomes of a thread that was started in the scope, if it was.
    pub(super) fn what_becomes_of(&self, thread: ThreadId) -> Option<Started> {
        let lookout = self.lookout.get();
        let is_younger = |it: &&Lookout| !it.older.contains(&thread);
        lookout.filter(is_younger).map(|it| it.started)
    }

    /// Notes that a thread was started that does not count.
    ///
    /// NOTE: whoever joins the thread sees it, by the join.
    pub(super) fn note_started(&self) {
        self.has_started.store(true, Ordering::Relaxed);
    }

    /// Whether a thread was started that does not count.
    pub(super) fn has_started(&self) -> bool {
        self.has_started.load(Ordering::Relaxed)
    }

    /// Changes the counts, or notes that it could not.
    fn change(&self, change: impl FnOnce(&mut Counts)) {
        // NOTE: only a signal handler that interrupted this thread can find the lock taken and
        // never given back.
        let interrupts = thread::current().is_some_and(|state| state.uses_tables_within());
        let counts = match interrupts {
            false => Some(self.lock()),
            true => match self.counts.try_lock() {
                Ok(counts) => Some(counts),
                Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
                Err(TryLockError::WouldBlock) => None,
            },
        };
        match counts {
            Some(mut counts) => change(&mut counts),
            None => self.lose(),
        }
    }

    fn lose(&self) {
        self.lost.fetch_add(1, Ordering::Relaxed);
    }

    /// What the callsites held, for a snapshot.
    pub(super) fn recorded(&self, heap: TracedMemory) -> Recorded {
        let mut recorded = Recorded {
            heap,
            traceback_limit: stack_here::SCOPE_FRAMES,
            ..Recorded::default()
        };
        recorded.health.lost_blocks = self.lost.load(Ordering::Relaxed);
        control::beside_record(crate::capture::look);
        let read = control::beside_record(|| self.read_into(&mut recorded));
        debug_assert!(read.is_some(), "no signal handler takes snapshots");
        recorded
    }

    fn read_into(&self, recorded: &mut Recorded) {
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
    /// `print!`, for itself: under a test harness it keeps what is printed in memory, on the test's
    /// thread, and without one it does not. So it does not count, but where nobody asks: in a
    /// program that is not for the harness, by scopes without stacks.
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
                PRINTING.insert(callsite);
            }
            callsite
        })
    };
    let callsite = stack_here::with_stack_here(find).unwrap_or(CallsiteId::OVERFLOW);
    match PRINTING.contains(callsite) {
        true => Allocator::Printing,
        false => Allocator::At(callsite),
    }
}

/// The callsites of what `print!` does for itself.
static PRINTING: CallsiteSet = CallsiteSet([const { AtomicU64::new(0) }; _]);

/// A bit for each callsite of scopes.
///
/// NOTE: no lock, so that neither a fork nor a signal handler can find one taken.
struct CallsiteSet([AtomicU64; (MOST_CALLSITES as usize >> 6) + 1]);

impl CallsiteSet {
    fn insert(&self, callsite: CallsiteId) {
        let (word, bit) = CallsiteSet::place(callsite);
        if let Some(word) = self.0.get(word) {
            word.fetch_or(bit, Ordering::Relaxed);
        }
    }

    fn contains(&self, callsite: CallsiteId) -> bool {
        let (word, bit) = CallsiteSet::place(callsite);
        let word = self.0.get(word);
        word.is_some_and(|word| word.load(Ordering::Relaxed) & bit != 0)
    }

    fn place(callsite: CallsiteId) -> (usize, u64) {
        let number = callsite.get();
        (number as usize >> 6, 1 << (number & 63))
    }
}

/// Counts a block by the stack that allocated it, where that is asked for.
#[inline]
pub(super) fn on_alloc(
    scope: SlotId,
    address: usize,
    size: usize,
    by: Allocator,
    reallocated: bool,
) {
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
    change_all(scope, |counts| {
        let site = counts.change(callsite, size as i64, 1);
        site.total += Amount::new(size as u64, 1);
        site.reallocations += u64::from(reallocated);
    });
}

/// Changes the counts of all scopes around `scope` that count by callsite, itself among them.
fn change_all(scope: SlotId, mut change: impl FnMut(&mut Counts)) {
    let changed =
        control::beside_record(|| counting(scope).for_each(|sites| sites.change(&mut change)));
    if changed.is_none() {
        counting(scope).for_each(Sites::lose);
    }
}

/// Counts the end of a block of `owner`.
#[inline]
pub(super) fn on_free(owner: SlotId, address: usize, size: usize) {
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
    change_all(owner, |counts| {
        if counts.sites.contains_key(&callsite) {
            counts.change(callsite, -(size as i64), -1);
        }
    });
}
