//! [`CachedStacks`]: whole stacks with their callsites, found by the frame that a walk begins in.

use super::checks::{self, Check, read_stack};
use crate::tables::callsites::CallsiteId;

/// A stack that a walk found, with all words that the walk read, so that one pass over them shows
/// whether another walk would find the same stack.
///
/// # Why it is exact
///
/// A step is a function of three registers and of the words that it reads; see
/// [`Walker`](super::Walker). So a walk that begins with the same registers and reads the same
/// words at the same addresses takes the same steps and finds the same stack. The registers are
/// compared (rbp only where a step needs it), and so is every word that was read: each return
/// address, each saved rbp that a step further out needs, and the zero at the bottom. A stack with
/// code that may be unloaded is not cached.
///
/// # Cost
///
/// 4 instructions for each word, against some 75 for a step and 4 for a verified link. No load
/// depends on another.
#[repr(C, align(64))]
struct CachedStack {
    /// A hash of the key and of the words at branches.
    key: u64,
    /// Where the walk began, and where it found its first return address.
    from: usize,
    slot: usize,
    /// An address where stacks that begin alike have different words. An entry with a branch has
    /// nothing else.
    branch: usize,
    /// Zero for a stack that was met once.
    callsite: u32,
    takes_bp: bool,
    bp: usize,
    /// How many fours of checks there are.
    fours: u32,
    checks: [[Check; 4]; MOST_FOURS],
}

/// Room for 47 frames, or 23 where each step takes rbp.
const MOST_FOURS: usize = 12;

/// Where a walk begins: its registers, and the first return address with its location.
#[derive(Clone, Copy)]
pub(super) struct StackKey {
    pub(super) from: usize,
    pub(super) bp: usize,
    pub(super) slot: usize,
    pub(super) pc: usize,
}

impl StackKey {
    /// The hash of the first entry of the walk's way.
    ///
    /// NOTE: with the tag, which is in `from`: else all labels and size classes of one call would
    /// share two places.
    #[inline(always)]
    fn hash(&self) -> u64 {
        mixed(self.slot ^ self.from, self.pc)
    }
}

impl CachedStack {
    #[inline(always)]
    fn checks(&self) -> &[Check] {
        debug_assert!(self.fours as usize <= MOST_FOURS);
        // SAFETY: there are never more than there is room for: see `keep`.
        unsafe { self.checks.get_unchecked(..self.fours as usize) }.as_flattened()
    }

    /// Whether all words of the stack are unchanged.
    ///
    /// # Safety
    ///
    /// The stack of the calling thread is in use from the walk's beginning on, which is the one
    /// that is remembered.
    #[inline(always)]
    unsafe fn is_valid(&self, bp: usize) -> bool {
        // SAFETY: places further out than the beginning, by the caller's promise.
        let hold = unsafe { checks::hold(self.checks()) };
        hold && (!self.takes_bp || bp == self.bp)
    }

    /// Whether this is the entry of the key, for a walk that begins in the same place: then all of
    /// its words are further out.
    #[inline(always)]
    fn is_at(&self, key: u64, start: &StackKey) -> bool {
        self.key == key && self.slot == start.slot && self.from == start.from
    }

    /// The address of a word that has changed.
    ///
    /// # Safety
    ///
    /// As [`is_valid`](Self::is_valid).
    unsafe fn first_change(&self) -> Option<usize> {
        // SAFETY: the caller's promise.
        let changed = |check: &&Check| unsafe { read_stack(check.address) } != check.word;
        self.checks().iter().find(changed).map(|it| it.address)
    }

    /// Stores the words of a stack and its callsite, if there is room for them.
    fn keep(&mut self, walk: Walk<'_, impl ExactSizeIterator<Item = Check>>, callsite: CallsiteId) {
        let (pcs, held) = (walk.pcs.len(), walk.held.len());
        let len = pcs + held;
        let places = self.checks.as_flattened_mut();
        let Some((kept, rest)) = places.split_at_mut_checked(len + 1) else {
            return;
        };
        kept[..pcs].copy_from_slice(walk.pcs);
        let rbps = kept[pcs..len].iter_mut();
        rbps.zip(walk.held).for_each(|(place, held)| *place = held);
        let first = Check {
            address: walk.start.slot,
            word: walk.start.pc,
        };
        kept[len] = walk.bottom.unwrap_or(first);
        rest.iter_mut().take(3).for_each(|place| *place = first);
        self.fours = (len + 1).div_ceil(4) as u32;
        self.bp = walk.start.bp;
        self.takes_bp = walk.takes_bp;
        self.callsite = callsite.get();
    }
}

/// What a walk read.
pub(super) struct Walk<'a, H> {
    pub(super) start: StackKey,
    /// Whether its first step took rbp, or left it to one that did.
    pub(super) takes_bp: bool,
    /// Return addresses, outermost first, and the saved rbps that steps further out take.
    pub(super) pcs: &'a [Check],
    pub(super) held: H,
    /// The zero that ends the stack, if it was read.
    pub(super) bottom: Option<Check>,
}

/// A thread's cache of stacks that come back.
///
/// # Implementation
///
/// A small two-way table. The key is the address and value of the first return address, which names
/// the call of the allocator and its depth, and the thread's tag. Where two stacks begin alike and differ further out,
/// their entry becomes a *branch*: it has an address where they differ, and the word at that
/// address gives the key of the next entry. A few branches distinguish most stacks of a recursive
/// program. The entry at the end is compared as a whole, so a wrong branch costs time only.
///
/// A stack is cached when it is met the second time, so a stack that never comes back costs one
/// cache line.
///
/// # Back-off
///
/// A miss costs as much as a hit saves. So where fewer than two in three lookups hit, the cache
/// backs off: for a number of walks it is neither read nor written. Each time the rate is no better
/// afterwards, the number doubles, up to a fraction of a second.
///
/// It backs off at first, too: a thread that allocates little has no use for it, and each stack
/// would be on a page of its own.
#[repr(C)]
pub(super) struct CachedStacks {
    /// Hits and misses since the rate was last computed.
    recalled: u32,
    missed: u32,
    /// For how many more walks the cache backs off, and how many there were the last time.
    backoff: u32,
    last_backoff: u32,
    // NOTE: last, since most threads use no page of it.
    table: [CachedStack; CACHED_STACKS],
}

/// After how many misses the rate is computed.
const MISSED: u32 = 512;
const FIRST_BACKOFF: u32 = 1 << 8;
const LEAST_BACKOFF: u32 = 1 << 14;
const MOST_BACKOFF: u32 = 1 << 19;
const CACHED_STACKS: usize = 256;
/// How many branches a lookup follows at most.
const MOST_TURNS: usize = 4;

impl CachedStacks {
    /// Clears the cache and its rate.
    pub(super) fn clear(&mut self) {
        (self.recalled, self.missed) = (0, 0);
        (self.backoff, self.last_backoff) = (FIRST_BACKOFF, 0);
        for cached in self.table.iter_mut().filter(|cached| cached.key != 0) {
            cached.key = 0;
        }
    }

    /// Ends the back-off.
    #[cfg(test)]
    pub(super) fn wake(&mut self) {
        self.backoff = 0;
    }

    /// Whether the cache backs off for this walk.
    #[inline(always)]
    pub(super) fn are_backing_off(&mut self) -> bool {
        let resting = self.backoff > 0;
        if resting {
            self.backoff -= 1;
        }
        resting
    }

    /// The callsite of the stack with this key, if it is cached and unchanged.
    ///
    /// # Safety
    ///
    /// The beginning is that of a walk of the stack that the calling thread runs on. What was
    /// [remembered](Self::remember) is of stacks that are in use from there on, if there is one in
    /// that place.
    #[inline(always)]
    pub(super) unsafe fn recall(&mut self, start: &StackKey) -> Option<CallsiteId> {
        // SAFETY: the caller's promise is the same.
        let cached = unsafe { self.way(start) }?;
        let callsite = CallsiteId::from_word(cached.callsite)?;
        // SAFETY: the caller's promise, and it begins as the one that is remembered.
        if !unsafe { cached.is_valid(start.bp) } {
            return None;
        }
        self.recalled = self.recalled.wrapping_add(1);
        Some(callsite)
    }

    /// Follows branches to the entry of the stack with this key. `None` if there is no such entry.
    ///
    /// # Safety
    ///
    /// As [`recall`](Self::recall).
    #[inline(always)]
    unsafe fn way(&self, start: &StackKey) -> Option<&CachedStack> {
        let mut key = start.hash();
        for _ in 0..MOST_TURNS {
            let cached = self.cached(key, start)?;
            if cached.branch == 0 {
                return Some(cached);
            }
            // SAFETY: further out than the beginning, which is the same.
            key = mixed(key as usize ^ cached.branch, unsafe {
                read_stack(cached.branch)
            });
        }
        None
    }

    /// The entry with this hash, of a walk that begins at `start`.
    ///
    /// PERF: a reference, since an index is multiplied by the size of an entry each time.
    #[inline(always)]
    fn cached(&self, key: u64, start: &StackKey) -> Option<&CachedStack> {
        let first = first_place(key);
        let cached = [&self.table[first], &self.table[first ^ 1]];
        cached.into_iter().find(|cached| cached.is_at(key, start))
    }

    /// The entry with this hash, to change.
    fn cached_mut(&mut self, key: u64, start: &StackKey) -> Option<&mut CachedStack> {
        let first = first_place(key);
        let is_it = |at: &usize| self.table[*at].is_at(key, start);
        let at = [first, first ^ 1].into_iter().find(is_it)?;
        Some(&mut self.table[at])
    }

    /// Evicts an entry for an empty one with this hash: one that was met once, if there is.
    fn make_place(&mut self, key: u64, start: &StackKey) {
        let first = first_place(key);
        let is_used = |at: usize| self.table[at].callsite != 0 || self.table[at].branch != 0;
        let at = match (is_used(first), is_used(first ^ 1)) {
            (false, _) => first,
            (true, false) => first ^ 1,
            // By turns, so that no entry stays for ever.
            (true, true) => first ^ (self.missed & 1) as usize,
        };
        let cached = &mut self.table[at];
        (cached.key, cached.from, cached.slot) = (key, start.from, start.slot);
        (cached.branch, cached.callsite) = (0, 0);
    }

    /// Caches the stack of a walk, which [`recall`](Self::recall) did not find, if a walk with its
    /// key was met before.
    ///
    /// # Safety
    ///
    /// As [`recall`](Self::recall), of the walk's beginning.
    pub(super) unsafe fn remember(
        &mut self,
        walk: Walk<'_, impl ExactSizeIterator<Item = Check>>,
        callsite: CallsiteId,
    ) {
        self.missed += 1;
        if self.missed >= MISSED {
            let few = self.recalled < 2 * self.missed;
            (self.recalled, self.missed) = (0, 0);
            self.backoff = if few {
                (2 * self.last_backoff).clamp(LEAST_BACKOFF, MOST_BACKOFF)
            } else {
                0
            };
            self.last_backoff = self.backoff;
        }
        let start = &walk.start;
        let mut key = start.hash();
        for _ in 0..MOST_TURNS {
            let Some(cached) = self.cached_mut(key, start) else {
                return self.make_place(key, start);
            };
            if cached.branch == 0 && cached.callsite != 0 {
                // SAFETY: the caller's promise, and it begins as the one that is remembered.
                cached.branch = unsafe { cached.first_change() }.unwrap_or(0);
            }
            if cached.branch == 0 {
                return cached.keep(walk, callsite);
            }
            // SAFETY: further out than the beginning, which is the same.
            key = mixed(key as usize ^ cached.branch, unsafe {
                read_stack(cached.branch)
            });
        }
    }
}

#[inline(always)]
fn first_place(key: u64) -> usize {
    (key >> (64 - CACHED_STACKS.ilog2())) as usize
}

/// A hash of an address and the word there. Never zero, which marks an empty entry.
#[inline(always)]
fn mixed(address: usize, word: usize) -> u64 {
    let both = address as u64 ^ (word as u64).rotate_left(32);
    both.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Words of a stack, and memos that saw walks which read them.
    struct Fixture {
        stack: [usize; 8],
        cached: Box<CachedStacks>,
    }

    impl Fixture {
        fn new() -> Fixture {
            // SAFETY: numbers and flags, for which zero is a value.
            let cached = unsafe { Box::<CachedStacks>::new_zeroed().assume_init() };
            let stack = [11, 12, 13, 14, 15, 16, 17, 0];
            Fixture { stack, cached }
        }

        fn address(&self, at: usize) -> usize {
            &raw const self.stack[at] as usize
        }

        fn start(&self, bp: usize) -> StackKey {
            StackKey {
                from: 0x1000,
                bp,
                slot: self.address(0),
                pc: self.stack[0],
            }
        }

        fn remember(&mut self, bp: usize, takes_bp: bool, callsite: u32) {
            let check = |at: usize| Check {
                address: self.address(at),
                word: self.stack[at],
            };
            let walk = Walk {
                start: self.start(bp),
                takes_bp,
                pcs: &[1, 2, 3, 4].map(check),
                held: [5, 6].map(check).into_iter(),
                bottom: Some(check(7)),
            };
            let callsite = CallsiteId::from_word(callsite).unwrap();
            // SAFETY: all places are words of a local.
            unsafe { self.cached.remember(walk, callsite) };
        }

        fn recall(&mut self, bp: usize) -> Option<u32> {
            let start = self.start(bp);
            // SAFETY: all places are words of a local.
            unsafe { self.cached.recall(&start) }.map(CallsiteId::get)
        }
    }

    #[test]
    fn a_stack_is_remembered_when_it_is_seen_again() {
        let mut fixture = Fixture::new();
        assert_eq!(fixture.recall(1), None);
        fixture.remember(1, false, 5);
        assert_eq!(fixture.recall(1), None);
        fixture.remember(1, false, 5);
        assert_eq!(fixture.recall(1), Some(5));
        assert_eq!(fixture.recall(2), Some(5), "rbp does not matter");
        fixture.cached.clear();
        assert_eq!(fixture.recall(1), None);
    }

    #[test]
    fn any_word_that_differs_is_another_stack() {
        let mut fixture = Fixture::new();
        for _ in 0..2 {
            fixture.remember(1, false, 5);
        }
        for at in 0..fixture.stack.len() {
            fixture.stack[at] ^= 1;
            assert_eq!(fixture.recall(1), None, "{at}");
            fixture.stack[at] ^= 1;
            assert_eq!(fixture.recall(1), Some(5));
        }
    }

    #[test]
    fn rbp_matters_where_a_step_takes_it() {
        let mut fixture = Fixture::new();
        for _ in 0..2 {
            fixture.remember(1, true, 5);
        }
        assert_eq!((fixture.recall(1), fixture.recall(2)), (Some(5), None));
        // Nothing on the stack distinguishes the two, so the newer takes the place.
        fixture.remember(2, true, 6);
        assert_eq!((fixture.recall(1), fixture.recall(2)), (None, Some(6)));
    }

    /// Nearly always: now and then their memos fall into the same places, and drive each other out.
    #[test]
    fn stacks_that_begin_alike_are_told_apart_by_where_they_differ() {
        let are_told_apart = |first: &usize| {
            let mut fixture = Fixture::new();
            fixture.stack[0] = 11 + first;
            for _ in 0..4 {
                for last in 20..23 {
                    fixture.stack[5] = last;
                    if fixture.recall(1).is_none() {
                        fixture.remember(1, false, last as u32);
                    }
                }
            }
            (20..23).all(|last| {
                fixture.stack[5] = last;
                fixture.recall(1) == Some(last as u32)
            })
        };
        let told_apart = (0..100).filter(are_told_apart).count();
        assert!(told_apart >= 90, "{told_apart}");
    }

    #[test]
    fn what_has_no_room_is_not_remembered() {
        let mut fixture = Fixture::new();
        let check = Check {
            address: fixture.address(1),
            word: fixture.stack[1],
        };
        for (len, recalled) in [(MOST_FOURS * 4, None), (MOST_FOURS * 4 - 1, Some(9))] {
            for _ in 0..2 {
                let walk = Walk {
                    start: fixture.start(1),
                    takes_bp: false,
                    pcs: &vec![check; len],
                    held: [].into_iter(),
                    bottom: None,
                };
                let callsite = CallsiteId::from_word(9).unwrap();
                // SAFETY: all places are words of a local.
                unsafe { fixture.cached.remember(walk, callsite) };
            }
            assert_eq!(fixture.recall(1), recalled, "{len}");
        }
    }
}
