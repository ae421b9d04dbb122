//! [`Frees`]: who frees the memory of each callsite.
//!
//! In: the callsite of each block that is freed, and who frees it. Out: for each callsite, how much
//! was freed by whom. Never: a lock, an allocation, a system call.

mod pending;

use super::callsites::CallsiteId;
use super::labels::LabelId;
use super::stack_hash::fold;
use super::tag_set::{Insertion, TagSet};
use super::thread_name::ThreadName;
use crate::snapshot::numbers::Amount;
use crate::system::arena::{LazyTable, Zeroed};
use crate::system::sync::{AtomicU32, AtomicU64, Ordering, Ordering::Relaxed};

pub(crate) use pending::Pending;

/// Who frees a block: the label and the name of the freeing thread; the name only if the session
/// distinguishes threads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Freer {
    pub(crate) label: LabelId,
    pub(crate) thread: ThreadName,
}

/// The bits of a key: the callsite above, then 14 bits of label and 11 of thread.
const FREER_BITS: u32 = 25;
const THREAD_BITS: u32 = 11;

/// A callsite and who frees its blocks, as one word. Never zero, since no callsite's number is.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Key(u64);

impl Key {
    #[inline(always)]
    fn new(callsite: CallsiteId, by: Freer) -> Key {
        let by = by.label.get() << THREAD_BITS | by.thread.get();
        Key(u64::from(callsite.get()) << FREER_BITS | u64::from(by))
    }

    fn callsite(self) -> usize {
        (self.0 >> FREER_BITS) as usize
    }

    fn freer(self) -> Freer {
        Freer {
            label: LabelId::new((self.0 >> THREAD_BITS) as u32 & 0x3FFF),
            thread: ThreadName::new(self.0 as u32 & 0x7FF),
        }
    }
}

/// The number of bits of a pair's number.
const BITS: u32 = 18;

/// What was freed of a callsite by one freer.
struct Pair {
    key: AtomicU64,
    bytes: AtomicU64,
    blocks: AtomicU64,
    /// The number of the next pair of this callsite; zero for none.
    next: AtomicU32,
}

// SAFETY: zero atomics.
unsafe impl Zeroed for Pair {}

/// For each callsite, how much was freed by whom.
///
/// What finds no room, beyond 262,143 pairs of a callsite and a freer, is in no pair. The counters
/// of the callsite have it, so the reader sees how much is missing.
///
/// # Implementation
///
/// A [`TagSet`] finds a pair by the hash of its key, without locks. The pairs of a callsite are a
/// list, for the reader. Threads add with atomics, and first hold back what they can: see
/// [`Pending`]. A thread that loses the race for a new pair wastes a number.
pub(crate) struct Frees {
    index: TagSet<1024, 4096, { 1 << 15 }>,
    /// NOTE: the first place is not used: its number means no pair.
    pairs: LazyTable<Pair, { 1 << BITS }>,
    /// The number of the first pair of each callsite.
    first: LazyTable<AtomicU32, { CallsiteId::MOST as usize + 1 }>,
    /// The last number that was given out.
    given: AtomicU32,
}

impl Frees {
    pub(crate) const fn new() -> Frees {
        Frees {
            index: TagSet::new(),
            pairs: LazyTable::new(),
            first: LazyTable::new(),
            given: AtomicU32::new(0),
        }
    }

    /// Reserves the tables. Returns `None` if the system is out of memory.
    pub(crate) fn prepare(&self) -> Option<()> {
        self.index.prepare()?;
        self.pairs.get_or_reserve()?;
        self.first.get_or_reserve().map(drop)
    }

    /// Counts blocks of a callsite that are freed.
    pub(crate) fn add(&self, callsite: CallsiteId, by: Freer, freed: Amount) {
        let add = |pair: &Pair| {
            pair.bytes.fetch_add(freed.bytes.get(), Relaxed);
            pair.blocks.fetch_add(freed.blocks, Relaxed);
        };
        self.change(Key::new(callsite, by), add);
    }

    /// Undoes an [`add`](Self::add).
    pub(crate) fn subtract(&self, callsite: CallsiteId, by: Freer, freed: Amount) {
        // NOTE: below zero while a thread holds back the other part.
        let subtract = |pair: &Pair| {
            pair.bytes.fetch_sub(freed.bytes.get(), Relaxed);
            pair.blocks.fetch_sub(freed.blocks, Relaxed);
        };
        self.change(Key::new(callsite, by), subtract);
    }

    /// What was freed of a callsite, and by whom, in no particular order.
    pub(crate) fn of(&self, callsite: CallsiteId) -> impl Iterator<Item = (Freer, Amount)> {
        let first = self
            .first
            .get()
            .and_then(|it| it.get(callsite.get() as usize));
        // The acquire pairs with the release in `link`, and with those before it: every later
        // change of the place is a compare-exchange.
        let mut number = first.map_or(0, |it| it.load(Ordering::Acquire));
        std::iter::from_fn(move || {
            let pair = self.pair(number)?;
            number = pair.next.load(Relaxed);
            let amount = Amount::new(pair.bytes.load(Relaxed), pair.blocks.load(Relaxed));
            Some((Key(pair.key.load(Relaxed)).freer(), amount))
        })
    }

    /// Clears the table and gives the memory back.
    ///
    /// # Safety
    ///
    /// Nobody else uses the table until this returns.
    pub(crate) unsafe fn clear(&self) {
        // SAFETY: the caller guarantees exclusive use.
        unsafe { self.index.clear() };
        // SAFETY: the caller guarantees exclusive use.
        unsafe { self.pairs.clear() };
        // SAFETY: the caller guarantees exclusive use.
        unsafe { self.first.clear() };
        self.given.store(0, Relaxed);
    }

    /// Physical memory of the table, in bytes.
    pub(crate) fn resident(&self) -> usize {
        self.index.resident() + self.pairs.resident() + self.first.resident()
    }

    /// The pair with a number; `None` for zero.
    fn pair(&self, number: u32) -> Option<&Pair> {
        self.pairs
            .get()?
            .get(number as usize)
            .filter(|_| number != 0)
    }

    fn change(&self, key: Key, change: impl FnOnce(&Pair)) {
        let hash = fold(key.0 ^ 0xA076_1D64_78BD_642F, 0xE703_7ED1_A0B4_28DB) | 1 << 63;
        let is_it = |word: u64| {
            (word ^ hash) >> BITS == 0
                && self
                    .pair(number_of(word))
                    .is_some_and(|it| it.key.load(Relaxed) == key.0)
        };
        let number = match self.index.find(place(hash), is_it) {
            Some(word) => Some(number_of(word)),
            None => self.insert(key, hash, is_it),
        };
        if let Some(pair) = number.and_then(|it| self.pair(it)) {
            change(pair);
        }
    }

    #[cold]
    fn insert(&self, key: Key, hash: u64, is_it: impl Fn(u64) -> bool) -> Option<u32> {
        let next = |given| (given + 1 < 1 << BITS).then_some(given + 1);
        let given = self.given.fetch_update(Relaxed, Relaxed, next).ok()?;
        let number = given + 1;
        let pair = self.pair(number)?;
        // The release of the insertion publishes the key.
        pair.key.store(key.0, Relaxed);
        let word = hash >> BITS << BITS | u64::from(number);
        match self.index.insert(place(hash), word, is_it) {
            Insertion::Inserted => {
                self.link(key, number, pair);
                Some(number)
            }
            Insertion::Found(word) => Some(number_of(word)),
            Insertion::Full => None,
        }
    }

    /// Puts a pair in front of the others of its callsite.
    fn link(&self, key: Key, number: u32, pair: &Pair) {
        let first = self.first.get().and_then(|it| it.get(key.callsite()));
        let Some(first) = first else { return };
        let put = |before| {
            pair.next.store(before, Relaxed);
            Some(number)
        };
        // The release publishes the pair to the acquire in `of`.
        let _ = first.fetch_update(Ordering::Release, Relaxed, put);
    }
}

/// The hash by which the index finds a word: without the uppermost bit, which is always set.
fn place(hash: u64) -> u64 {
    hash << 1
}

fn number_of(word: u64) -> u32 {
    word as u32 & ((1 << BITS) - 1)
}

#[cfg(test)]
mod tests;
