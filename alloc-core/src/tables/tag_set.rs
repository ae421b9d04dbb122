//! [`TagSet`]: a growing set of 64-bit words, read without locks.

use std::ops::ControlFlow;

use crate::system::arena::{LazyTable, Zeroed};
use crate::system::sync::{AtomicU64, Ordering};

/// Eight words, one cache line.
#[repr(align(64))]
pub(crate) struct Line([AtomicU64; WORDS]);

// SAFETY: eight zero atomics.
unsafe impl Zeroed for Line {}

const WORDS: usize = 8;

/// An insert-only set of non-zero words, found by a hash and a predicate.
///
/// Its user packs a key and a small value into a word: a tag of the hash and a callsite's id, or a
/// return address and its unwind rule.
///
/// # Implementation
///
/// Three levels of open-addressed tables, each several times as large as the one before and
/// reserved on first use. The hash names one cache line in each level. A word is stored in that
/// line of the first level; if the line is full, in the next level. Within a line the search starts
/// at a place given by the hash and wraps around. The uppermost bits of a hash count.
///
/// *Invariant:* a written word stays. So when a search meets an empty place, the word is in no
/// later place: an insertion takes the first empty place in the same order, and every place before
/// it was full then and still is. That makes growth free of migration, and both searching and
/// inserting free of locks: an insertion is one compare-exchange on the empty place that ended the
/// search, and a lost race continues the search from there.
///
/// A hit costs one cache line, as long as the first level is large enough for the program.
pub(crate) struct TagSet<const SMALL: usize, const MEDIUM: usize, const LARGE: usize> {
    small: LazyTable<Line, SMALL>,
    medium: LazyTable<Line, MEDIUM>,
    large: LazyTable<Line, LARGE>,
}

/// Result of an insertion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Insertion {
    /// The word was new and is now in the set.
    Inserted,
    /// Another word already satisfies the predicate.
    Found(u64),
    /// No place is left, or the system is out of memory.
    Full,
}

impl<const SMALL: usize, const MEDIUM: usize, const LARGE: usize> TagSet<SMALL, MEDIUM, LARGE> {
    pub(crate) const fn new() -> TagSet<SMALL, MEDIUM, LARGE> {
        TagSet {
            small: LazyTable::new(),
            medium: LazyTable::new(),
            large: LazyTable::new(),
        }
    }

    /// Reserves the first level. Returns `None` if the system is out of memory.
    pub(crate) fn prepare(&self) -> Option<()> {
        self.small.get_or_reserve().map(drop)
    }

    /// The word with this `hash` that satisfies `is_it`.
    #[inline(always)]
    pub(crate) fn find(&self, hash: u64, is_it: impl Fn(u64) -> bool + Copy) -> Option<u64> {
        // PERF: eight of ten words are in the first place searched, most others in the second.
        let (line, start) = self.small.line(hash)?;
        for place in line.places(start).take(2) {
            // The acquire pairs with the release in `insert`.
            let word = place.load(Ordering::Acquire);
            if is_it(word) {
                return Some(word);
            }
        }
        self.search(hash, is_it)
    }

    #[inline(never)]
    fn search(&self, hash: u64, is_it: impl Fn(u64) -> bool + Copy) -> Option<u64> {
        // PERF: unrolled by hand; a loop over `levels` makes virtual calls, which cost more than
        // the search.
        let found = search_in(&self.small, hash, is_it)
            .or_else(|| search_in(&self.medium, hash, is_it))
            .or_else(|| search_in(&self.large, hash, is_it));
        found.flatten()
    }

    /// Inserts `word` unless a word with this `hash` satisfies `is_it`.
    ///
    /// The release of the insertion pairs with the acquire in [`find`](Self::find): a thread that
    /// finds the word sees everything written before the insertion.
    pub(crate) fn insert(&self, hash: u64, word: u64, is_it: impl Fn(u64) -> bool) -> Insertion {
        debug_assert_ne!(word, 0);
        for level in self.levels() {
            let Some((line, start)) = level.line_or_reserve(hash) else {
                break;
            };
            for place in line.places(start) {
                match place.compare_exchange(0, word, Ordering::Release, Ordering::Acquire) {
                    Ok(_) => return Insertion::Inserted,
                    Err(there) if is_it(there) => return Insertion::Found(there),
                    Err(_) => {}
                }
            }
        }
        Insertion::Full
    }

    /// Clears the set and gives the memory back.
    ///
    /// # Safety
    ///
    /// Nobody else uses the set until this returns.
    pub(crate) unsafe fn clear(&self) {
        for level in self.levels() {
            // SAFETY: the caller guarantees exclusive use.
            unsafe { level.clear() };
        }
    }

    /// Physical memory of the set, in bytes.
    pub(crate) fn resident(&self) -> usize {
        self.levels().iter().map(|level| level.resident()).sum()
    }

    fn levels(&self) -> [&dyn Level; 3] {
        [&self.small, &self.medium, &self.large]
    }
}

/// The word in a level; `Some(None)` if this level and all later ones do not have it; `None` if the
/// search must go on in the next level.
#[inline(always)]
fn search_in<const LINES: usize>(
    level: &LazyTable<Line, LINES>,
    hash: u64,
    is_it: impl Fn(u64) -> bool,
) -> Option<Option<u64>> {
    let Some((line, start)) = level.line(hash) else {
        return Some(None);
    };
    line.search(start, is_it).break_value()
}

/// One level of the set.
trait Level {
    /// The line that a hash names, and the place in it where a search starts; `None` without a
    /// table.
    fn line(&self, hash: u64) -> Option<(&Line, usize)>;

    /// Like `line`, but reserves the table if needed. `None` if the system is out of memory.
    fn line_or_reserve(&self, hash: u64) -> Option<(&Line, usize)>;

    /// See [`LazyTable::clear`].
    unsafe fn clear(&self);

    fn resident(&self) -> usize;
}

impl<const LINES: usize> Level for LazyTable<Line, LINES> {
    #[inline(always)]
    fn line(&self, hash: u64) -> Option<(&Line, usize)> {
        let place = place_of::<LINES>(hash);
        Some((&self.get()?[place / WORDS], place % WORDS))
    }

    fn line_or_reserve(&self, hash: u64) -> Option<(&Line, usize)> {
        let place = place_of::<LINES>(hash);
        Some((&self.get_or_reserve()?[place / WORDS], place % WORDS))
    }

    unsafe fn clear(&self) {
        // SAFETY: the caller guarantees exclusive use, as `LazyTable::clear` requires.
        unsafe { LazyTable::clear(self) };
    }

    fn resident(&self) -> usize {
        LazyTable::resident(self)
    }
}

/// The place that a hash names in a table, by its uppermost bits.
#[inline(always)]
fn place_of<const LINES: usize>(hash: u64) -> usize {
    const { assert!(LINES.is_power_of_two()) };
    (hash >> (64 - (LINES * WORDS).ilog2())) as usize
}

impl Line {
    /// The places in search order.
    #[inline(always)]
    fn places(&self, start: usize) -> impl Iterator<Item = &AtomicU64> {
        (0..WORDS).map(move |i| &self.0[(start + i) & (WORDS - 1)])
    }

    /// Breaks with the word, or with `None` at an empty place. Continues if the line is full.
    #[inline(always)]
    fn search(&self, start: usize, is_it: impl Fn(u64) -> bool) -> ControlFlow<Option<u64>> {
        for place in self.places(start) {
            // The acquire pairs with the release in `insert`.
            let word = place.load(Ordering::Acquire);
            if is_it(word) {
                return ControlFlow::Break(Some(word));
            }
            if word == 0 {
                return ControlFlow::Break(None);
            }
        }
        ControlFlow::Continue(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Few = TagSet<{ 1 << 10 }, { 1 << 12 }, { 1 << 16 }>;

    fn hash(key: u64) -> u64 {
        key.wrapping_mul(0x9E37_79B9_7F4A_7C15)
            .rotate_left(29)
            .wrapping_mul(0xD6E8_FEB8_6659_FD93)
    }

    #[test]
    fn finds_what_was_inserted_and_nothing_else_across_levels() {
        let set = Few::new();
        set.prepare().unwrap();
        for key in 1..=60_000 {
            assert_eq!(set.find(hash(key), |word| word == key), None);
            assert_eq!(
                set.insert(hash(key), key, |word| word == key),
                Insertion::Inserted
            );
        }
        for key in 1..=60_000 {
            assert_eq!(set.find(hash(key), |word| word == key), Some(key));
            assert_eq!(
                set.insert(hash(key), key, |word| word == key),
                Insertion::Found(key)
            );
        }
        assert!(
            set.large.resident() > 0,
            "60,000 words must spill into the third level"
        );
        // SAFETY: this thread is the only user.
        unsafe { set.clear() };
        assert_eq!(
            (set.find(hash(1), |word| word == 1), set.resident()),
            (None, 0)
        );
    }

    #[test]
    fn of_equal_hashes_only_as_many_fit_as_there_are_levels() {
        let set = Few::new();
        for key in 1..=24 {
            assert_eq!(set.insert(7, key, |word| word == key), Insertion::Inserted);
        }
        assert_eq!(set.insert(7, 25, |word| word == 25), Insertion::Full);
        assert_eq!(set.find(7, |word| word == 24), Some(24));
        assert_eq!(set.find(7, |word| word == 25), None);
        // SAFETY: this thread is the only user.
        unsafe { set.clear() };
    }

    #[test]
    fn of_racing_insertions_of_one_key_exactly_one_wins() {
        let set = Few::new();
        let inserted: usize = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4u64)
                .map(|thread| {
                    let set = &set;
                    scope.spawn(move || {
                        (1..=20_000u64)
                            .filter(|&key| {
                                let is_it = |word: u64| word >> 8 == key;
                                set.insert(hash(key), key << 8 | thread, is_it)
                                    == Insertion::Inserted
                            })
                            .count()
                    })
                })
                .collect();
            threads
                .into_iter()
                .map(|thread| thread.join().unwrap())
                .sum()
        });
        assert_eq!(inserted, 20_000);
        // SAFETY: the threads are done.
        unsafe { set.clear() };
    }
}
