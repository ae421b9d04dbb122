//! The interner: maps a stack of return addresses to a [`CallsiteId`].

mod callsite;
mod id;
mod recent;
mod stack;
#[cfg(test)]
mod tests;

use crate::snapshot::recorded::StackEnd;
use crate::system::arena::{Arena, LazyTable};
use crate::system::sync::{AtomicU32, Ordering};
use crate::tables::callsite_tag::CallsiteTag;
use crate::tables::stack_hash::hash_of;
use crate::tables::tag_set::{Insertion, TagSet};

pub(crate) use callsite::Callsite;
pub(crate) use id::CallsiteId;
pub(crate) use recent::Recent;
pub(crate) use stack::{LastStack, Outer, Stack};

/// All callsites of a tracing session.
///
/// # Implementation
///
/// An index from the hash of a stack to an id, and the callsites themselves, dense by id, in
/// chunks. Insert-only and lock-free: a new callsite is written in full before the index publishes
/// its id. If two threads insert the same new stack at once, one wins; the other's id stays unused.
///
/// A word of the index is 40 bits of the hash and the 24 bits of the id. Twelve to eighteen other
/// bits of the hash choose the line, so two stacks collide with a probability of at most one in
/// 2^52. For a program with 100,000 callsites, which has five thousand million pairs, that is about
/// one in a million. The frames are not compared again, since that would cost a second cache miss
/// on every hit.
///
/// # Ceiling
///
/// A program that recurses over its data, such as a parser, has an unbounded number of stacks. So
/// new stacks are cut as the table fills: above a quarter of the limit to their sixteen innermost
/// frames, above half of it to eight. There are far fewer of these, and they still identify the
/// line. Above the limit new stacks are charged to [`CallsiteId::OVERFLOW`], which reports show.
pub(crate) struct Callsites {
    index: Index,
    chunks: [LazyTable<Callsite, CHUNK>; CHUNKS],
    next: AtomicU32,
    limit: AtomicU32,
    frames: Arena,
}

/// 256 KiB hold the callsites of most programs; 2 and 16 MiB more hold all.
type Index = TagSet<{ 1 << 12 }, { 1 << 15 }, { 1 << 18 }>;

/// The most callsites that a session can distinguish.
pub(crate) const MAX_CALLSITES: u32 = 1_000_000;

const CHUNK: usize = 1 << 10;
const CHUNKS: usize = MAX_CALLSITES as usize / CHUNK + 1;
const ID_BITS: u32 = 24;

impl Callsites {
    pub(crate) const fn new() -> Callsites {
        Callsites {
            index: TagSet::new(),
            chunks: [const { LazyTable::new() }; CHUNKS],
            next: AtomicU32::new(0),
            limit: AtomicU32::new(0),
            frames: Arena::new(),
        }
    }

    /// Reserves memory for the first callsites and for the overflow callsite. At most `limit`
    /// callsites are distinguished. Returns `None` if the system is out of memory.
    pub(crate) fn prepare(&self, limit: u32) -> Option<()> {
        self.index.prepare()?;
        let callsites = self.chunks[0].get_or_reserve()?;
        for (id, end) in [
            (CallsiteId::OVERFLOW, StackEnd::Overflow),
            (CallsiteId::HEAP, StackEnd::Uncaptured),
        ] {
            callsites[id.get() as usize].write(&[], None, (end, 0), CallsiteTag::default());
        }
        let limit = limit.min(MAX_CALLSITES) + CallsiteId::RESERVED;
        self.limit.store(limit, Ordering::Relaxed);
        self.next.store(CallsiteId::RESERVED, Ordering::Relaxed);
        Some(())
    }

    /// The id of the stack with this hash, [salted](CallsiteTag::salt), if it has one.
    #[inline(always)]
    pub(crate) fn find(&self, hash: u64) -> Option<CallsiteId> {
        let tag = tag(hash);
        let word = self
            .index
            .find(place(hash), |word| word & !ID_MASK == tag)?;
        Some(id_of(word))
    }

    /// The id of a stack with this tag; inserted if new.
    pub(crate) fn find_or_insert(&self, stack: Stack<'_>, tag: CallsiteTag) -> CallsiteId {
        self.find(stack.hash ^ tag.salt())
            .unwrap_or_else(|| self.insert(stack, tag))
    }

    /// Slow path: the id of a stack with this tag; inserted if new.
    #[cold]
    #[inline(never)]
    pub(crate) fn insert(&self, stack: Stack<'_>, tag: CallsiteTag) -> CallsiteId {
        let Some(inner) = stack.addresses.get(..self.frames_for_newcomers()) else {
            return self.try_insert(stack, tag).unwrap_or(CallsiteId::OVERFLOW);
        };
        let short = Stack {
            addresses: inner,
            outer: None,
            end: StackEnd::Truncated,
            hash: hash_of(inner),
            era: stack.era,
        };
        self.find(short.hash ^ tag.salt())
            .or_else(|| self.try_insert(short, tag))
            .unwrap_or(CallsiteId::OVERFLOW)
    }

    /// The id of the last walked stack with this tag; inserted if new.
    #[cold]
    #[inline(never)]
    pub(crate) fn insert_last_of(
        &self,
        walker: &mut impl LastStack,
        tag: CallsiteTag,
    ) -> CallsiteId {
        let most = self.frames_for_newcomers();
        if most != usize::MAX {
            // PERF: nearly half of these stacks are known by their innermost frames.
            let short = walker.hash_of_innermost(most);
            return short
                .and_then(|hash| self.find(hash ^ tag.salt()))
                .or_else(|| self.try_insert(walker.innermost(most), tag))
                .unwrap_or(CallsiteId::OVERFLOW);
        }
        let callsite = self.insert(walker.new_stack(), tag);
        if callsite != CallsiteId::OVERFLOW {
            walker.set_callsite(callsite);
        }
        callsite
    }

    /// Number of frames that a new callsite keeps at the present fill level.
    fn frames_for_newcomers(&self) -> usize {
        let next = self.next.load(Ordering::Relaxed);
        let limit = self.limit.load(Ordering::Relaxed);
        if next <= limit / 4 {
            usize::MAX
        } else if next <= limit / 2 {
            16
        } else {
            8
        }
    }

    fn try_insert(&self, stack: Stack<'_>, tag: CallsiteTag) -> Option<CallsiteId> {
        // NOTE: checked before the increment, so that a full table stays just above its limit.
        if self.next.load(Ordering::Relaxed) >= self.limit.load(Ordering::Relaxed) {
            return None;
        }
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        if number >= self.limit.load(Ordering::Relaxed) {
            return None;
        }
        let id = CallsiteId::from_word(number)?;
        let chunk = self.chunks.get(number as usize / CHUNK)?.get_or_reserve()?;
        let own = self.frames.store(stack.addresses)?;
        let outer = stack.outer.map(|outer| self.owner_of(outer));
        chunk[number as usize % CHUNK].write(own, outer, (stack.end, stack.era), tag);
        let hash = stack.hash ^ tag.salt();
        let hash_tag = self::tag(hash);
        let word = hash_tag | u64::from(number);
        match self
            .index
            .insert(place(hash), word, |word| word & !ID_MASK == hash_tag)
        {
            Insertion::Inserted => Some(id),
            Insertion::Found(word) => Some(id_of(word)),
            Insertion::Full => None,
        }
    }

    /// The same addresses, from the callsite that stores the first of them itself. Keeps the chain
    /// short.
    pub(crate) fn owner_of(&self, mut outer: Outer) -> Outer {
        while let Some(callsite) = self.get(outer.callsite)
            && let Some(inner_len) = outer.skip.checked_sub(callsite.own_addresses().len())
            && let Some(next) = callsite.outer()
        {
            outer.callsite = next.callsite;
            outer.skip = next.skip + inner_len;
        }
        outer
    }

    /// The callsite of an id of this session.
    #[inline]
    pub(crate) fn get(&self, id: CallsiteId) -> Option<&Callsite> {
        let number = id.get() as usize;
        self.chunks
            .get(number / CHUNK)?
            .get()
            .map(|chunk| &chunk[number % CHUNK])
    }

    /// How many callsites there are, with the reserved ones.
    pub(crate) fn len(&self) -> u32 {
        let limit = self.limit.load(Ordering::Relaxed);
        self.next.load(Ordering::Relaxed).min(limit)
    }

    /// All callsites written so far, with their ids.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (CallsiteId, &Callsite)> {
        self.iter_from(1)
    }

    /// Those of [`iter`](Self::iter) with this number and those above it.
    pub(crate) fn iter_from(&self, number: u32) -> impl Iterator<Item = (CallsiteId, &Callsite)> {
        let next = self.len();
        (number..next.max(number)).filter_map(|number| {
            let id = CallsiteId::from_word(number)?;
            Some((id, self.get(id)?))
        })
    }

    /// Removes all callsites and gives the memory back.
    ///
    /// # Safety
    ///
    /// Nobody else uses the callsites until this returns, and no id is used after.
    pub(crate) unsafe fn clear(&self) {
        self.limit.store(0, Ordering::Relaxed);
        self.next.store(0, Ordering::Relaxed);
        // SAFETY: the caller guarantees exclusive use.
        unsafe { self.index.clear() };
        // SAFETY: the caller guarantees exclusive use.
        unsafe { self.frames.clear() };
        for chunk in &self.chunks {
            // SAFETY: the caller guarantees exclusive use.
            unsafe { chunk.clear() };
        }
    }

    /// Physical memory of the callsites, in bytes.
    pub(crate) fn resident(&self) -> usize {
        let chunks = self.chunks.iter().map(LazyTable::resident).sum::<usize>();
        self.index.resident() + self.frames.resident() + chunks
    }
}

const ID_MASK: u64 = (1 << ID_BITS) - 1;

/// The bits of a hash that a word of the index stores. Never all zero, so no word is zero.
#[inline(always)]
fn tag(hash: u64) -> u64 {
    hash & !ID_MASK
}

/// The bits that a word of the index does not store, in the upper bits, to choose its line.
#[inline(always)]
fn place(hash: u64) -> u64 {
    hash.rotate_left(64 - ID_BITS)
}

#[inline(always)]
fn id_of(word: u64) -> CallsiteId {
    CallsiteId::from_word((word & ID_MASK) as u32).unwrap_or(CallsiteId::OVERFLOW)
}
