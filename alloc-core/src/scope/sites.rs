//! [`Sites`]: a scope's counters by callsite, for scopes with stacks.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError, TryLockError};

use crate::snapshot::recorded::{Recorded, RecordedCallsite};
use crate::system::hooks::ThreadId;
use crate::system::sync::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use crate::tables::block::Block;
use crate::tables::blocks::{Granule, PageMap};
use crate::tables::callsite_tag::CallsiteTag;
use crate::tables::callsites::{CallsiteId, Callsites, MAX_CALLSITES, Stack};
use crate::{Amount, Counters, TracedMemory, capture, control, record::stack_here, record::thread};

use super::slots::SlotId;
use super::started::Started;

/// The stacks of all scopes that count by callsite, and the callsite of each of their blocks. They
/// are independent of a session, and never cleared.
static CALLSITES: Callsites = Callsites::new();
static BLOCKS: PageMap<AtomicU32> = PageMap::new();

/// Number of stacks that all scopes together distinguish.
const MOST_CALLSITES: u32 = MAX_CALLSITES / 4;

/// Reserves memory. Returns `None` if the system is out of memory.
pub(super) fn prepare(granule: Granule) -> Option<()> {
    BLOCKS.prepare(granule, true)?;
    CALLSITES.prepare(MOST_CALLSITES)
}

/// Physical memory of the callsites of scopes, in bytes.
pub(crate) fn resident() -> usize {
    CALLSITES.resident() + BLOCKS.resident()
}

/// The counters of each callsite of one scope, behind a lock: exact with several threads, at the
/// price of the lock.
///
/// The lock is held only [beside a record](control::beside_record), so that no fork finds it taken.
/// A signal handler that interrupted the holder must not wait for it: its allocations and frees are
/// counted as lost.
#[derive(Default)]
pub(super) struct Sites {
    counts: Mutex<Counts>,
    /// Number of changes that could not be counted.
    lost: AtomicU64,
    /// Set if the scope looks out for threads that are started in it.
    lookout: OnceLock<Lookout>,
    /// Whether a thread was started in the scope that does not count.
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
    /// Whether the scope has not shrunk since its peak.
    is_rising: bool,
    /// Moves when the scope first shrinks after a peak, as in
    /// [`counters`](crate::tables::counters).
    epoch: u64,
}

#[derive(Clone, Copy, Default)]
struct Site {
    net: Signed,
    peak: Signed,
    /// The net values when `epoch` began: at the scope's peak.
    saved: Signed,
    epoch: u64,
    total: Amount,
    reallocations: u64,
    copied: u64,
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
            copied: site.copied.into(),
        }
    }
}

impl Sites {
    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks out for threads that the scope's work starts: all threads not in `older`.
    pub(super) fn look_out(&self, older: Vec<ThreadId>, started: Started) {
        // NOTE: it is set only once.
        let _ = self.lookout.set(Lookout { older, started });
    }

    /// How `thread` is treated if it was started in the scope; `None` if it was not.
    pub(super) fn what_becomes_of(&self, thread: ThreadId) -> Option<Started> {
        let lookout = self.lookout.get();
        let is_younger = |it: &&Lookout| !it.older.contains(&thread);
        lookout.filter(is_younger).map(|it| it.started)
    }

    /// Marks that a thread was started that does not count.
    ///
    /// NOTE: a thread that joins the started one sees the mark, since joining synchronizes.
    pub(super) fn note_started(&self) {
        self.has_started.store(true, Ordering::Relaxed);
    }

    /// Whether a thread was started in the scope that does not count.
    pub(super) fn has_started(&self) -> bool {
        self.has_started.load(Ordering::Relaxed)
    }

    /// Changes the counts, or counts a lost change.
    fn change(&self, change: impl FnOnce(&mut Counts)) {
        // NOTE: the lock stays taken only if this is a signal handler that interrupted its holder
        // on the same thread.
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

    /// The counts of all callsites, for a snapshot.
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
            let Some(callsite) = CALLSITES.get(id) else {
                continue;
            };
            let Some(stack_end) = CALLSITES.append_stack(callsite, &mut recorded.addresses) else {
                continue;
            };
            recorded.callsites.push(RecordedCallsite {
                stack: start..recorded.addresses.len(),
                stack_end,
                counters: counts.counters(site),
                label: callsite.tag().label.path().map(Into::into),
                ..RecordedCallsite::default()
            });
        }
    }
}

/// `scope` and the scopes around it, as far as they count by callsite.
fn counting(scope: SlotId) -> impl Iterator<Item = &'static Sites> {
    scope.chain().filter_map(|it| it.slot().sites())
}

/// Who allocates a block, as far as scopes distinguish it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Allocator {
    /// Any code: no scope distinguishes.
    Anyone,
    At(CallsiteId),
    /// `print!` itself. Under a test harness it keeps printed text in memory on the test's thread;
    /// without a harness it does not. So its blocks do not count in scopes with stacks, nor in any
    /// scope of a test program.
    ///
    /// PERF: detection costs 110 ns for a pair of an allocation and a free in test programs, and
    /// nothing elsewhere. It makes a test's numbers independent of what the test prints.
    Printing,
}

/// Whether scopes without stacks distinguish `print!`, too.
static TELLS_PRINTING: AtomicBool = AtomicBool::new(false);

/// Makes all scopes distinguish allocations of `print!`. NOTE: only after [`prepare`].
pub(super) fn tell_printing() {
    TELLS_PRINTING.store(true, Ordering::Relaxed);
}

/// Who allocates, if `scope` or a scope around it counts by callsite, or if all scopes distinguish
/// `print!`.
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
    let tag = CallsiteTag {
        label: thread::label(),
        ..CallsiteTag::default()
    };
    let find = |stack: Stack<'_>| {
        let known = CALLSITES.find(stack.hash ^ tag.salt());
        known.unwrap_or_else(|| {
            let is_of_printing = capture::is_of_printing(stack.addresses);
            let callsite = CALLSITES.insert(stack, tag);
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

/// The callsites of allocations by `print!` itself.
static PRINTING: CallsiteSet = CallsiteSet([const { AtomicU64::new(0) }; _]);

/// A bit set over the callsites of scopes.
///
/// NOTE: it has no lock, so neither a fork nor a signal handler can find one taken.
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

/// The bytes that a reallocation copied.
#[derive(Clone, Copy)]
pub(super) struct Copied(u64);

impl Copied {
    /// Nothing was copied if the block did not move.
    pub(super) fn between(old: (usize, usize), new: (usize, usize)) -> Copied {
        match old.0 == new.0 {
            true => Copied(0),
            false => Copied(old.1.min(new.1) as u64),
        }
    }
}

/// Counts a block at the stack that allocated it, if that is known.
#[inline]
pub(super) fn on_alloc(
    scope: SlotId,
    address: usize,
    size: usize,
    by: Allocator,
    reallocated: Option<Copied>,
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
    reallocated: Option<Copied>,
) {
    // Allocations in here are neither the scope's nor recorded.
    let _muted = thread::mute();
    // NOTE: without room in the index the block is never counted as freed; the scope's own index
    // has reported that.
    let _ = BLOCKS.insert(address, Block::of_callsite(callsite));
    change_all(scope, |counts| {
        let site = counts.change(callsite, size as i64, 1);
        site.total += Amount::new(size as u64, 1);
        if let Some(Copied(bytes)) = reallocated {
            site.reallocations += 1;
            site.copied += bytes;
        }
    });
}

/// Changes the counts of `scope` and the scopes around it, as far as they count by callsite.
fn change_all(scope: SlotId, mut change: impl FnMut(&mut Counts)) {
    let changed =
        control::beside_record(|| counting(scope).for_each(|sites| sites.change(&mut change)));
    if changed.is_none() {
        counting(scope).for_each(Sites::lose);
    }
}

/// Counts the free of a block of `owner`.
#[inline]
pub(super) fn on_free(owner: SlotId, address: usize, size: usize) {
    if counting(owner).next().is_some() {
        died_at_site(owner, address, size);
    }
}

#[inline(never)]
fn died_at_site(owner: SlotId, address: usize, size: usize) {
    let Some(callsite) = BLOCKS.remove(address).map(Block::callsite) else {
        return;
    };
    let _muted = thread::mute();
    change_all(owner, |counts| {
        if counts.sites.contains_key(&callsite) {
            counts.change(callsite, -(size as i64), -1);
        }
    });
}
