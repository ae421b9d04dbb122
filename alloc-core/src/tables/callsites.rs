//! The interner: a stack of return addresses to a [`CallsiteId`].

use std::num::NonZeroU32;

use crate::capture::{self, Walker, hash_of};
use crate::snapshot::recorded::StackEnd;
use crate::system::arena::{Arena, Reserved, Zeroed};
use crate::system::sync::{
    AtomicBool, AtomicPtr, AtomicU8, AtomicU16, AtomicU32, AtomicU64, Ordering,
};
use crate::tables::counters::SharedCounters;
use crate::tables::growing::Growing;
use crate::tables::label::Label;
use crate::tables::words::{Insertion, WordSet};

/// Names one callsite of one tracing session; only [`Callsites`] knows what stands behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct CallsiteId(NonZeroU32);

impl CallsiteId {
    /// The callsite that stands for all those that found no room.
    pub(crate) const OVERFLOW: CallsiteId = CallsiteId(NonZeroU32::MIN);
    /// The callsite that stands for all, where no stacks are captured.
    pub(crate) const HEAP: CallsiteId = CallsiteId(NonZeroU32::MIN.saturating_add(1));
    /// How many ids are not given to stacks: none, and the two above.
    const RESERVED: u32 = 3;
    /// As a number, none is higher.
    pub(crate) const MOST: u32 = MAX_CALLSITES + CallsiteId::RESERVED;

    /// As a word of the page map, where zero means no block.
    #[inline(always)]
    pub(crate) fn from_word(word: u32) -> Option<CallsiteId> {
        NonZeroU32::new(word).map(CallsiteId)
    }

    #[inline(always)]
    pub(crate) fn get(self) -> u32 {
        self.0.get()
    }
}

/// A stack as captured: return addresses, innermost first, with their hash.
#[derive(Clone, Copy)]
pub(crate) struct Stack<'a> {
    pub(crate) addresses: &'a [usize],
    /// The rest of them, where a callsite has them.
    pub(crate) outer: Option<Outer>,
    pub(crate) end: StackEnd,
    pub(crate) hash: u64,
    /// If it passes through libraries that may be unloaded, a number that tells which those are, whatever comes to their
    /// addresses later: see [`capture::then`]. Zero for most.
    pub(crate) era: u16,
}

/// Addresses in the stack of a callsite: `len` of them, outwards of the `skip` innermost.
#[derive(Clone, Copy)]
pub(crate) struct Outer {
    pub(crate) callsite: CallsiteId,
    pub(crate) skip: usize,
    pub(crate) len: usize,
}

impl Stack<'_> {
    /// No stack: what walks it is gone.
    pub(crate) fn unknown() -> Stack<'static> {
        Stack::empty(StackEnd::Broken)
    }

    /// No stack: none are captured.
    pub(crate) fn uncaptured() -> Stack<'static> {
        Stack::empty(StackEnd::Uncaptured)
    }

    fn empty(end: StackEnd) -> Stack<'static> {
        Stack {
            addresses: &[],
            outer: None,
            end,
            hash: hash_of(&[]),
            era: 0,
        }
    }
}

/// What is known of a callsite: its stack and label, written once, and the counters that threads share.
///
/// Of its stack it has the innermost addresses only, if the callsite that its thread met as a newcomer before has
/// the others: in a program that recurses over its data stacks of thirty frames differ in three or four.
#[repr(C, align(64))]
pub(crate) struct Callsite {
    pub(crate) shared: SharedCounters,
    addresses: AtomicPtr<usize>,
    label: AtomicU64,
    /// How many addresses are its own, and how many are not.
    own_len: AtomicU16,
    outer_len: AtomicU16,
    /// The callsite that has the rest, or zero, and how many of its innermost are not among them.
    outer: AtomicU32,
    skip: AtomicU16,
    /// That of its [stack](Stack::era).
    era: AtomicU16,
    /// Zero until the rest is written, then one plus the number of the [`StackEnd`].
    end: AtomicU8,
}

// SAFETY: zero counters, a null pointer, and an `end` that says "not written".
unsafe impl Zeroed for Callsite {}

impl Callsite {
    /// How its stack ends, if it is written.
    fn end(&self) -> Option<StackEnd> {
        // The acquire pairs with the release in `write`.
        match self.end.load(Ordering::Acquire) {
            0 => None,
            1 => Some(StackEnd::Complete),
            2 => Some(StackEnd::Truncated),
            3 => Some(StackEnd::Broken),
            4 => Some(StackEnd::Overflow),
            _ => Some(StackEnd::Uncaptured),
        }
    }

    /// The innermost addresses, those that it has itself. NOTE: of a callsite that is written.
    fn own_addresses(&self) -> &[usize] {
        let len = self.own_len.load(Ordering::Relaxed);
        if len == 0 {
            return &[];
        }
        let addresses = self.addresses.load(Ordering::Relaxed);
        // SAFETY: `write` stored a pointer to that many words of the arena, which never change
        // and live as long as the callsite.
        unsafe { std::slice::from_raw_parts(addresses, len.into()) }
    }

    /// Where its stack goes on. NOTE: of a callsite that is written.
    fn outer(&self) -> Option<Outer> {
        Some(Outer {
            callsite: CallsiteId::from_word(self.outer.load(Ordering::Relaxed))?,
            skip: self.skip.load(Ordering::Relaxed).into(),
            len: self.outer_len.load(Ordering::Relaxed).into(),
        })
    }

    /// What tells it apart from others with this stack.
    pub(crate) fn label(&self) -> Label {
        Label::from_word(self.label.load(Ordering::Relaxed))
    }

    /// Writes it. NOTE: stacks have no more than [`MAX_FRAMES`](crate::capture::MAX_FRAMES) addresses.
    fn write(
        &self,
        own: &[usize],
        outer: Option<Outer>,
        (end, era): (StackEnd, u16),
        label: Label,
    ) {
        self.era.store(era, Ordering::Relaxed);
        let (callsite, skip, outer_len) =
            outer.map_or((0, 0, 0), |it| (it.callsite.get(), it.skip, it.len));
        self.addresses
            .store(own.as_ptr().cast_mut(), Ordering::Relaxed);
        self.label.store(label.word(), Ordering::Relaxed);
        self.own_len.store(own.len() as u16, Ordering::Relaxed);
        self.outer_len.store(outer_len as u16, Ordering::Relaxed);
        self.outer.store(callsite, Ordering::Relaxed);
        self.skip.store(skip as u16, Ordering::Relaxed);
        let end = match end {
            StackEnd::Complete => 1,
            StackEnd::Truncated => 2,
            StackEnd::Broken => 3,
            StackEnd::Overflow => 4,
            StackEnd::Uncaptured => 5,
        };
        self.end.store(end, Ordering::Release);
    }
}

/// All callsites of a tracing session.
///
/// # Implementation
///
/// An index from the hash of a stack to an id, and the callsites themselves, dense by id, in
/// chunks. Insert-only and lock-free: a new callsite is written in full before the index shows
/// its id, and of two threads that meet a new stack at once one wins; the other's id stays unused.
///
/// A word of the index is 40 bits of the hash and the 24 bits of the id. Twelve to eighteen other
/// bits of the hash choose the line, so two stacks are taken for one with a chance of one in 2^52
/// or less: for a program with 100,000 callsites, whose pairs are five thousand million, about one in a
/// million. The frames are not compared again, since that would cost a second cache miss on every hit.
///
/// # Ceiling
///
/// A program that recurses over its data, such as a parser, has stacks without number. So newcomers
/// are cut as the table fills: above a quarter of the limit to their sixteen innermost frames, above
/// half of it to eight, of which there are far fewer, and which still tell the line. Above the limit
/// they are charged to [`CallsiteId::OVERFLOW`], visibly.
pub(crate) struct Callsites {
    index: Index,
    chunks: [Reserved<Callsite, CHUNK>; CHUNKS],
    next: AtomicU32,
    limit: AtomicU32,
    frames: Arena,
}

/// Room for the callsites of most programs in 256 KiB, and for all of them in 2 and 16 MiB more.
type Index = WordSet<{ 1 << 12 }, { 1 << 15 }, { 1 << 18 }>;

/// The most callsites that a session can tell apart.
pub(crate) const MAX_CALLSITES: u32 = 1 << 20;

const CHUNK: usize = 1 << 10;
const CHUNKS: usize = MAX_CALLSITES as usize / CHUNK + 1;
const ID_BITS: u32 = 24;

impl Callsites {
    pub(crate) const fn new() -> Callsites {
        Callsites {
            index: WordSet::new(),
            chunks: [const { Reserved::new() }; CHUNKS],
            next: AtomicU32::new(0),
            limit: AtomicU32::new(0),
            frames: Arena::new(),
        }
    }

    /// Makes room for the first callsites and for the overflow callsite; at most `limit` are told
    /// apart. `None` where the system has no memory to give.
    pub(crate) fn prepare(&self, limit: u32) -> Option<()> {
        self.index.prepare()?;
        let callsites = self.chunks[0].get_or_reserve()?;
        for (id, end) in [
            (CallsiteId::OVERFLOW, StackEnd::Overflow),
            (CallsiteId::HEAP, StackEnd::Uncaptured),
        ] {
            callsites[id.get() as usize].write(&[], None, (end, 0), Label::default());
        }
        let limit = limit.min(MAX_CALLSITES) + CallsiteId::RESERVED;
        self.limit.store(limit, Ordering::Relaxed);
        self.next.store(CallsiteId::RESERVED, Ordering::Relaxed);
        Some(())
    }

    /// The id of the stack with this hash, [salted](Label::salt), if it has one.
    #[inline(always)]
    pub(crate) fn find(&self, hash: u64) -> Option<CallsiteId> {
        let tag = tag(hash);
        let word = self
            .index
            .find(place(hash), |word| word & !ID_MASK == tag)?;
        Some(id_of(word))
    }

    /// The id of a stack with this label.
    pub(crate) fn find_or_insert(&self, stack: Stack<'_>, label: Label) -> CallsiteId {
        self.find(stack.hash ^ label.salt())
            .unwrap_or_else(|| self.insert(stack, label))
    }

    /// The id of a stack with this label, new if the two are.
    #[cold]
    #[inline(never)]
    pub(crate) fn insert(&self, stack: Stack<'_>, label: Label) -> CallsiteId {
        let Some(inner) = stack.addresses.get(..self.frames_for_newcomers()) else {
            return self
                .try_insert(stack, label)
                .unwrap_or(CallsiteId::OVERFLOW);
        };
        let short = Stack {
            addresses: inner,
            outer: None,
            end: StackEnd::Truncated,
            hash: hash_of(inner),
            era: stack.era,
        };
        self.find(short.hash ^ label.salt())
            .or_else(|| self.try_insert(short, label))
            .unwrap_or(CallsiteId::OVERFLOW)
    }

    /// The id of the stack that was walked last, with this label, new if the two are.
    #[cold]
    #[inline(never)]
    pub(crate) fn insert_last_of(&self, walker: &mut Walker, label: Label) -> CallsiteId {
        let most = self.frames_for_newcomers();
        if most != usize::MAX {
            // PERF: nearly half of them are known by their inner part.
            let short = walker.hash_of_innermost(most);
            return short
                .and_then(|hash| self.find(hash ^ label.salt()))
                .or_else(|| self.try_insert(walker.innermost(most), label))
                .unwrap_or(CallsiteId::OVERFLOW);
        }
        let callsite = self.insert(walker.newcomer(), label);
        if callsite != CallsiteId::OVERFLOW {
            walker.becomes(callsite);
        }
        callsite
    }

    /// How many frames a callsite keeps that is new now.
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

    fn try_insert(&self, stack: Stack<'_>, label: Label) -> Option<CallsiteId> {
        // NOTE: checked before it is raised, so that a full table stays just above its limit.
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
        chunk[number as usize % CHUNK].write(own, outer, (stack.end, stack.era), label);
        let hash = stack.hash ^ label.salt();
        let tag = tag(hash);
        let word = tag | u64::from(number);
        match self
            .index
            .insert(place(hash), word, |word| word & !ID_MASK == tag)
        {
            Insertion::Inserted => Some(id),
            Insertion::Found(word) => Some(id_of(word)),
            Insertion::Full => None,
        }
    }

    /// The same addresses where a callsite has the first of them itself, so that it does not take many steps to
    /// find them.
    fn owner_of(&self, mut outer: Outer) -> Outer {
        while let Some(callsite) = self.get(outer.callsite)
            && let Some(inner_len) = outer.skip.checked_sub(callsite.own_addresses().len())
            && let Some(next) = callsite.outer()
        {
            outer.callsite = next.callsite;
            outer.skip = next.skip + inner_len;
        }
        outer
    }

    /// Appends the stack of a callsite to `addresses`, and returns how it ends, if it is written.
    pub(crate) fn append_stack(
        &self,
        callsite: &Callsite,
        addresses: &mut Vec<usize>,
    ) -> Option<StackEnd> {
        let end = callsite.end()?;
        let start = addresses.len();
        addresses.extend_from_slice(callsite.own_addresses());
        let mut rest = callsite.outer();
        while let Some(outer) = rest.filter(|outer| outer.len > 0) {
            let outer = self.owner_of(outer);
            let owner = self.get(outer.callsite)?;
            let own = owner.own_addresses();
            let part = own.get(outer.skip..)?;
            let part = &part[..part.len().min(outer.len)];
            addresses.extend_from_slice(part);
            rest = owner.outer().map(|next| Outer {
                len: outer.len - part.len(),
                ..next
            });
        }
        let era = callsite.era.load(Ordering::Relaxed);
        if era != 0 {
            let own = addresses[start..].iter_mut();
            own.for_each(|address| *address = capture::then(*address, era));
        }
        Some(end)
    }

    /// The callsite behind an id of this session.
    #[inline]
    pub(crate) fn get(&self, id: CallsiteId) -> Option<&Callsite> {
        let number = id.get() as usize;
        self.chunks
            .get(number / CHUNK)?
            .get()
            .map(|chunk| &chunk[number % CHUNK])
    }

    /// All callsites that were written so far, with their ids.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (CallsiteId, &Callsite)> {
        let limit = self.limit.load(Ordering::Relaxed);
        let next = self.next.load(Ordering::Relaxed).min(limit);
        (1..next.max(1)).filter_map(|number| {
            let id = CallsiteId::from_word(number)?;
            Some((id, self.get(id)?))
        })
    }

    /// Forgets all callsites and gives the memory back.
    ///
    /// # Safety
    ///
    /// Nobody else uses the callsites until this returns, and no id is used after.
    pub(crate) unsafe fn clear(&self) {
        self.limit.store(0, Ordering::Relaxed);
        self.next.store(0, Ordering::Relaxed);
        // SAFETY: the caller's promise.
        unsafe { self.index.clear() };
        // SAFETY: the caller's promise.
        unsafe { self.frames.clear() };
        for chunk in &self.chunks {
            // SAFETY: the caller's promise.
            unsafe { chunk.clear() };
        }
    }

    /// The physical memory that the callsites take up.
    pub(crate) fn resident(&self) -> usize {
        let chunks = self.chunks.iter().map(Reserved::resident).sum::<usize>();
        self.index.resident() + self.frames.resident() + chunks
    }
}

/// The callsites that one thread met last, for it to ask before all others are asked.
///
/// A word of the [index](Callsites) for each place that a hash may name; the newest takes the place. A program
/// with many callsites meets most of them again soon, and their words in the index lie far apart.
///
/// NOTE: as [`Growing`], of zeroed memory [`begin`](Self::begin) makes one.
#[repr(C, align(64))]
pub(crate) struct Recent {
    words: Growing<AtomicU64, FEW_RECENT, MOST_RECENT>,
    is_used: AtomicBool,
}

const FEW_RECENT: usize = 1 << 6;
const MOST_RECENT: usize = 1 << 13;
// The bits of a hash that choose the place are none of those that a word keeps.
const _: () = assert!(MOST_RECENT <= 1 << ID_BITS);

impl Recent {
    /// Makes zeroed memory ready. NOTE: by the only one who knows of it.
    pub(crate) fn begin(&self) {
        self.words.begin();
    }

    /// The id of the stack with this hash, [salted](Label::salt), if it was met lately.
    #[inline(always)]
    pub(crate) fn find(&self, hash: u64) -> Option<CallsiteId> {
        let word = self.words.place(hash as usize).load(Ordering::Relaxed);
        (tag(word) == tag(hash)).then_some(id_of(word))
    }

    /// Keeps the id of a stack for as long as no other comes to its place. NOTE: only by the owner.
    #[inline(always)]
    pub(crate) fn keep(&self, hash: u64, id: CallsiteId) {
        let word = tag(hash) | u64::from(id.get());
        let place = self.words.place(hash as usize);
        if place.load(Ordering::Relaxed) != 0 && self.words.has_made_way() {
            self.clear();
            self.words.grow();
        }
        self.words
            .place(hash as usize)
            .store(word, Ordering::Relaxed);
        self.is_used.store(true, Ordering::Relaxed);
    }

    /// Forgets all: there are other callsites now. NOTE: only by the owner.
    pub(crate) fn clear(&self) {
        // What was never touched takes up no memory, and is not to.
        if self.is_used.swap(false, Ordering::Relaxed) {
            let words = self.words.iter();
            words.for_each(|word| word.store(0, Ordering::Relaxed));
        }
    }
}

const ID_MASK: u64 = (1 << ID_BITS) - 1;

/// The bits of a hash that a word of the index keeps. Never all zero, so that no word is.
#[inline(always)]
fn tag(hash: u64) -> u64 {
    hash & !ID_MASK
}

/// The bits that a word of the index does not keep, uppermost, to choose its place.
#[inline(always)]
fn place(hash: u64) -> u64 {
    hash.rotate_left(64 - ID_BITS)
}

#[inline(always)]
fn id_of(word: u64) -> CallsiteId {
    CallsiteId::from_word((word & ID_MASK) as u32).unwrap_or(CallsiteId::OVERFLOW)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn intern(callsites: &Callsites, addresses: &[usize]) -> CallsiteId {
        let hash = hash_of(addresses);
        let end = StackEnd::Complete;
        let stack = Stack {
            addresses,
            outer: None,
            end,
            hash,
            era: 0,
        };
        callsites
            .find(hash)
            .unwrap_or_else(|| callsites.insert(stack, Label::default()))
    }

    fn stack_of(callsites: &Callsites, id: CallsiteId) -> (Vec<usize>, StackEnd) {
        let mut addresses = Vec::new();
        let callsite = callsites.get(id).unwrap();
        let end = callsites.append_stack(callsite, &mut addresses);
        (addresses, end.unwrap())
    }

    fn ready(limit: u32) -> Callsites {
        let callsites = Callsites::new();
        callsites.prepare(limit).unwrap();
        callsites
    }

    #[test]
    fn equal_stacks_share_an_id_and_ids_lead_back_to_their_stack() {
        let callsites = ready(MAX_CALLSITES);
        let stacks: Vec<Vec<usize>> = (0..30_000)
            .map(|i| {
                (0..1 + i % 40)
                    .map(|frame| 0x5500_0000 + i * 16 + frame)
                    .collect()
            })
            .collect();
        let ids: Vec<_> = stacks
            .iter()
            .map(|stack| intern(&callsites, stack))
            .collect();
        for (stack, &id) in stacks.iter().zip(&ids) {
            assert_eq!(intern(&callsites, stack), id);
            assert_eq!(
                stack_of(&callsites, id),
                (stack.clone(), StackEnd::Complete)
            );
        }
        assert_eq!(
            callsites.iter().count(),
            stacks.len() + 2,
            "all of them, the overflow and the whole heap"
        );
        // SAFETY: this thread is the only user.
        unsafe { callsites.clear() };
        assert_eq!((callsites.iter().count(), callsites.resident()), (0, 0));
    }

    /// Stacks that differ in their innermost frames, each beginning where the one before ends.
    #[test]
    fn a_newcomer_may_have_its_outer_frames_from_any_callsite() {
        let callsites = ready(MAX_CALLSITES);
        let mut random = 0x9E37_79B9_7F4A_7C15_u64;
        let mut last: Option<(CallsiteId, Vec<usize>)> = None;
        for at in 0..2_000_usize {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            let own: Vec<usize> = (0..1 + (random >> 60) as usize)
                .map(|frame| at * 64 + frame)
                .collect();
            let outer = last.as_ref().map(|(callsite, stack)| {
                let skip = (random >> 40) as usize % (stack.len() + 1);
                let len = (random >> 20) as usize % (stack.len() - skip + 1);
                let callsite = *callsite;
                (
                    Outer {
                        callsite,
                        skip,
                        len,
                    },
                    stack,
                )
            });
            let mut whole = own.clone();
            if let Some((Outer { skip, len, .. }, stack)) = outer {
                whole.extend_from_slice(&stack[skip..skip + len.min(900 - own.len())]);
            }
            let stack = Stack {
                addresses: &own,
                outer: outer.map(|(outer, _)| Outer {
                    len: whole.len() - own.len(),
                    ..outer
                }),
                end: StackEnd::Complete,
                hash: hash_of(&whole),
                era: 0,
            };
            let id = callsites.insert(stack, Label::default());
            assert_eq!(
                stack_of(&callsites, id),
                (whole.clone(), StackEnd::Complete)
            );
            last = Some((id, whole));
        }
        // SAFETY: this thread is the only user.
        unsafe { callsites.clear() };
    }

    #[test]
    fn one_stack_with_two_labels_is_two_callsites() {
        let callsites = ready(MAX_CALLSITES);
        let label = |domain| Label {
            domain,
            ..Label::default()
        };
        let addresses = [0x1000, 0x2000];
        let stack = Stack {
            addresses: &addresses,
            outer: None,
            end: StackEnd::Complete,
            hash: hash_of(&addresses),
            era: 0,
        };
        let ids: Vec<_> = (0..100)
            .map(|domain| callsites.insert(stack, label(domain)))
            .collect();
        for (domain, &id) in (0..100).zip(&ids) {
            assert_eq!(callsites.find(stack.hash ^ label(domain).salt()), Some(id));
            assert_eq!(callsites.get(id).unwrap().label(), label(domain));
        }
        // SAFETY: this thread is the only user.
        unsafe { callsites.clear() };
    }

    #[test]
    fn beyond_the_ceiling_all_share_the_overflow_callsite() {
        let callsites = ready(8);
        let ids: Vec<_> = (0..20).map(|i| intern(&callsites, &[0x1000 + i])).collect();
        assert!(ids[..8].iter().all(|&id| id != CallsiteId::OVERFLOW));
        assert!(ids[8..].iter().all(|&id| id == CallsiteId::OVERFLOW));
        assert_eq!(
            intern(&callsites, &[0x1000]),
            ids[0],
            "those before keep their ids"
        );
        assert_eq!(
            stack_of(&callsites, CallsiteId::OVERFLOW),
            (vec![], StackEnd::Overflow)
        );
        // SAFETY: this thread is the only user.
        unsafe { callsites.clear() };
    }

    #[test]
    fn newcomers_are_cut_as_the_table_fills() {
        let callsites = ready(37);
        let stack = |i| -> Vec<usize> { (0..30).map(|frame| 0x1000 + frame + i * 100).collect() };
        let kept = |id| stack_of(&callsites, id);
        let ids: Vec<_> = (0..30).map(|i| intern(&callsites, &stack(i))).collect();
        for (at, len, end) in [
            (7, 30, StackEnd::Complete),
            (8, 16, StackEnd::Truncated),
            (17, 16, StackEnd::Truncated),
            (18, 8, StackEnd::Truncated),
        ] {
            assert_eq!(kept(ids[at]), (stack(at)[..len].to_vec(), end), "{at}");
        }
        assert_eq!(intern(&callsites, &stack(0)), ids[0]);
        // Where only outer frames differ, newcomers are one.
        let mut like_the_last = stack(29);
        like_the_last[8] = 0x9999;
        assert_eq!(intern(&callsites, &like_the_last), ids[29]);
        // SAFETY: this thread is the only user.
        unsafe { callsites.clear() };
    }

    #[test]
    fn threads_that_meet_the_same_stacks_agree_on_their_ids() {
        let callsites = ready(MAX_CALLSITES);
        let ids: Vec<Vec<CallsiteId>> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4)
                .map(|_| {
                    let callsites = &callsites;
                    scope.spawn(move || {
                        (0..5_000)
                            .map(|i| intern(callsites, &[0x1000 + i * 4, 0x9000]))
                            .collect()
                    })
                })
                .collect();
            threads
                .into_iter()
                .map(|thread| thread.join().unwrap())
                .collect()
        });
        assert!(ids.iter().all(|theirs| *theirs == ids[0]));
        // SAFETY: the threads are done.
        unsafe { callsites.clear() };
    }
}
