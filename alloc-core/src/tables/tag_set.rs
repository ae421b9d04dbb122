//! A growing set of 64-bit words that is read without locks.

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
/// Whoever uses it packs a key and a small value into a word: a tag of the hash and a callsite's
/// id, or a return address and its unwind rule.
///
/// # Implementation
///
/// Three levels of open-addressed tables, each several times as large as the one before and
/// reserved when first needed. A word lives in the one cache line of a level that its hash names;
/// where that line is full, in the next level. Within a line the search starts at a place given by
/// the hash and goes round. The uppermost bits of a hash count.
///
/// *Invariant:* a word that was once written stays. So when a search meets an empty place, the
/// word it looks for is in no later place: whoever inserts takes the first empty place in the same
/// order, and every place before it was full then and still is. That makes growth free of
/// migration, and both searching and inserting free of locks: an insertion is one compare-exchange
/// on the empty place that ended the search, and a lost race continues the search from there.
///
/// A hit costs one cache line, as long as the first level is large enough for the program.
pub(crate) struct TagSet<const SMALL: usize, const MEDIUM: usize, const LARGE: usize> {
    small: LazyTable<Line, SMALL>,
    medium: LazyTable<Line, MEDIUM>,
    large: LazyTable<Line, LARGE>,
}

/// What became of an insertion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Insertion {
    /// The word is new and now in the set.
    Inserted,
    /// Another word already answers the predicate: this one.
    Found(u64),
    /// No place is left, or no memory for one.
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

    /// Reserves the first level. `None` where the system has no memory to give.
    pub(crate) fn prepare(&self) -> Option<()> {
        self.small.get_or_reserve().map(drop)
    }

    /// The word with this `hash` for which `is_it` holds.
    #[inline(always)]
    pub(crate) fn find(&self, hash: u64, is_it: impl Fn(u64) -> bool + Copy) -> Option<u64> {
        // PERF: eight of ten words lie in the very first place that is searched, most others in the
        // second.
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
        // PERF: not a loop over `levels`, whose calls would cost more than the search.
        let found = search_in(&self.small, hash, is_it)
            .or_else(|| search_in(&self.medium, hash, is_it))
            .or_else(|| search_in(&self.large, hash, is_it));
        found.flatten()
    }

    /// Inserts `word` unless a word with this `hash` for which `is_it` holds is there.
    ///
    /// The release of the insertion pairs with the acquire of [`find`](Self::find): what was
    /// written before is seen by whoever finds the word.
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

    /// Gives the memory back; the set is empty.
    ///
    /// # Safety
    ///
    /// Nobody else uses the set until this returns.
    pub(crate) unsafe fn clear(&self) {
        for level in self.levels() {
            // SAFETY: the caller's promise.
            unsafe { level.clear() };
        }
    }

    /// The physical memory that the set takes up.
    pub(crate) fn resident(&self) -> usize {
        self.levels().iter().map(|level| level.resident()).sum()
    }

    fn levels(&self) -> [&dyn Level; 3] {
        [&self.small, &self.medium, &self.large]
    }
}

/// The word in a level, or `Some(None)` if there is none in this level or any after it.
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

/// A table of one size.
trait Level {
    /// The line that a hash names, if there is a table, and where in it a search starts.
    fn line(&self, hash: u64) -> Option<(&Line, usize)>;

    /// Inserts, if there is memory for a table.
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
        // SAFETY: the caller's promise is the same.
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
    /// The places in the order in which they are searched.
    #[inline(always)]
    fn places(&self, start: usize) -> impl Iterator<Item = &AtomicU64> {
        (0..WORDS).map(move |i| &self.0[(start + i) & (WORDS - 1)])
    }

    /// Breaks with the word, or with `None` at an empty place; continues when the line is full.
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
