//! [`LabelId`]: the labels of the program, as numbers.

use std::ptr;

use super::stack_hash::fold;
use super::tag_set::{Insertion, TagSet};
use crate::snapshot::snapshot::LABEL_SEPARATOR;
use crate::system::arena::{Arena, LazyTable};
use crate::system::sync::{AtomicPtr, AtomicU32, Ordering};

/// A label: a name, within another label or within none. Zero means no label.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct LabelId(u32);

/// Number of bits of an id.
const BITS: u32 = 14;

/// Number of bytes of a name that are kept.
const LONGEST_NAME: usize = 128;

/// Number of labels within each other. What is entered within the innermost one counts there.
const DEEPEST: u32 = 64;

/// The label that stands for those beyond the last number.
const OTHERS: LabelId = LabelId(1);
const OTHERS_PATH: &str = "<other labels>";

/// What a name that is cut ends with.
const CUT: &str = "…";

/// All labels seen so far. They are never forgotten, since callsites refer to them.
///
/// # Implementation
///
/// A [`TagSet`] finds a label by the hash of its name and the label around it, without locks. The
/// label itself is in an arena, with its path. A thread that loses the race for a new label wastes
/// a number.
struct Labels {
    index: TagSet<256, 1024, 4096>,
    labels: LazyTable<AtomicPtr<Label>, { 1 << BITS }>,
    memory: Arena,
    /// The next number to give out, less two.
    given: AtomicU32,
}

/// Its path follows it in memory.
#[repr(C)]
struct Label {
    around: LabelId,
    depth: u32,
    /// Length of the path, and where the label's own name starts in it.
    len: usize,
    name: usize,
}

static LABELS: Labels = Labels::new();

/// Physical memory of all labels, in bytes.
pub(crate) fn resident() -> usize {
    LABELS.index.resident() + LABELS.labels.resident() + LABELS.memory.resident()
}

impl LabelId {
    /// The number of distinct [numbers](Self::get).
    pub(crate) const NUMBERS: usize = 1 << BITS;

    pub(crate) fn new(number: u32) -> LabelId {
        LabelId(number)
    }

    /// The number of the label; zero for no label.
    #[inline(always)]
    pub(crate) fn get(self) -> u32 {
        self.0
    }

    /// The label of this name within this one. It allocates nothing on the heap.
    ///
    /// A long name is cut. Once there are 16,000 labels, all further ones are one. Beyond
    /// [`DEEPEST`], and if the system is out of memory, it is this label itself.
    pub(crate) fn within(self, name: &str) -> LabelId {
        LABELS.find_or_insert(self, Name::of(name))
    }

    /// Whether this is a label, or one within it.
    pub(crate) fn is_within(self, outer: LabelId) -> bool {
        let around = |it: &LabelId| LABELS.get(*it).map(|label| label.around);
        std::iter::successors(Some(self), around).any(|it| it == outer)
    }

    /// The names of the labels around this one and its own; `None` for no label.
    pub(crate) fn path(self) -> Option<&'static str> {
        match self {
            LabelId(0) => None,
            OTHERS => Some(OTHERS_PATH),
            label => LABELS.get(label).map(Label::path),
        }
    }
}

/// A name as it is kept: its first bytes, and whether it was longer.
#[derive(Clone, Copy)]
struct Name<'a> {
    text: &'a str,
    end: &'static str,
}

impl Name<'_> {
    fn of(text: &str) -> Name<'_> {
        match text.len() <= LONGEST_NAME {
            true => Name { text, end: "" },
            false => Name {
                text: &text[..boundary_before(text, LONGEST_NAME - CUT.len())],
                end: CUT,
            },
        }
    }

    fn hash(self, around: LabelId) -> u64 {
        const FACTOR: u64 = 0xE703_7ED1_A0B4_28DB;
        let start = (u64::from(around.0) << 32) | self.text.len() as u64;
        let words = self.text.as_bytes().chunks(8).map(|chunk| {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            u64::from_le_bytes(word)
        });
        let mix = |hash, word| fold(hash ^ word ^ 0xA076_1D64_78BD_642F, FACTOR);
        mix(words.fold(start, mix), 1) | 1 << 63
    }

    fn is(self, name: &str) -> bool {
        name.strip_suffix(self.end)
            .is_some_and(|start| start == self.text)
    }
}

impl Labels {
    const fn new() -> Labels {
        Labels {
            index: TagSet::new(),
            labels: LazyTable::new(),
            memory: Arena::new(),
            given: AtomicU32::new(0),
        }
    }

    fn get(&self, label: LabelId) -> Option<&Label> {
        let slot = self.labels.get()?.get(label.0 as usize)?;
        // SAFETY: null, or a label that `insert` wrote before the release that this acquire pairs
        // with. Labels never change, and their memory is never given back.
        unsafe { slot.load(Ordering::Acquire).as_ref() }
    }

    fn find_or_insert(&self, around: LabelId, name: Name<'_>) -> LabelId {
        let hash = name.hash(around);
        let is_it = |word: u64| {
            let label = self.get(label_of(word));
            (word ^ hash) >> BITS == 0
                && label.is_some_and(|it| it.around == around && name.is(it.name()))
        };
        match self.index.find(place(hash), is_it) {
            Some(word) => label_of(word),
            None => self.insert(around, name, hash, is_it).unwrap_or(around),
        }
    }

    #[cold]
    fn insert(
        &self,
        around: LabelId,
        name: Name<'_>,
        hash: u64,
        is_it: impl Fn(u64) -> bool,
    ) -> Option<LabelId> {
        let outer = self.get(around);
        let depth = outer.map_or(1, |it| it.depth + 1);
        if depth > DEEPEST || around == OTHERS {
            return None;
        }
        let labels = self.labels.get_or_reserve()?;
        let last = LabelId::NUMBERS as u32 - 1;
        let next = |given| (given + 2 <= last).then_some(given + 1);
        let given = self
            .given
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, next);
        let Ok(given) = given else {
            return Some(OTHERS);
        };
        let label = LabelId(given + 2);
        let around_it = outer.map_or("", Label::path);
        let separator = match outer {
            Some(_) => LABEL_SEPARATOR,
            None => "",
        };
        let parts = [around_it, separator, name.text, name.end];
        let head = Label {
            around,
            depth,
            len: parts.iter().map(|part| part.len()).sum(),
            name: around_it.len() + separator.len(),
        };
        let size = size_of::<Label>() + head.len;
        let piece = self.memory.zeroed(size, align_of::<Label>())?;
        let mut end = piece.as_ptr().wrapping_add(size_of::<Label>());
        // SAFETY: the piece is large enough for the head, aligned for it, and not shared yet.
        unsafe { piece.cast::<Label>().write(head) };
        for part in parts {
            // SAFETY: the piece has room for all parts after the head, and is not shared yet.
            unsafe { ptr::copy_nonoverlapping(part.as_ptr(), end, part.len()) };
            end = end.wrapping_add(part.len());
        }
        labels[label.0 as usize].store(piece.as_ptr().cast(), Ordering::Release);
        let word = hash >> BITS << BITS | u64::from(label.0);
        match self.index.insert(place(hash), word, is_it) {
            Insertion::Inserted => Some(label),
            Insertion::Found(word) => Some(label_of(word)),
            Insertion::Full => None,
        }
    }
}

/// The last boundary between characters that is not after `at`.
fn boundary_before(text: &str, at: usize) -> usize {
    (0..=at)
        .rev()
        .find(|&it| text.is_char_boundary(it))
        .unwrap_or(0)
}

/// The hash by which the index finds a word: without the uppermost bit, which is always set.
fn place(hash: u64) -> u64 {
    hash << 1
}

fn label_of(word: u64) -> LabelId {
    LabelId(word as u32 & ((1 << BITS) - 1))
}

impl Label {
    fn path(&self) -> &str {
        let start = ptr::from_ref(self)
            .cast::<u8>()
            .wrapping_add(size_of::<Label>());
        // SAFETY: the path follows the head in the same piece of the arena, and never changes.
        let bytes = unsafe { std::slice::from_raw_parts(start, self.len) };
        // SAFETY: the bytes are those of strings, one after the other.
        unsafe { std::str::from_utf8_unchecked(bytes) }
    }

    fn name(&self) -> &str {
        &self.path()[self.name..]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(names: &[&str]) -> Option<&'static str> {
        let label = names
            .iter()
            .fold(LabelId::default(), |it, name| it.within(name));
        label.path()
    }

    #[test]
    fn equal_names_in_one_label_are_one() {
        let request = LabelId::default().within("request");
        let decode = request.within("decode");
        assert_eq!(
            LabelId::default().within("request").within("decode"),
            decode
        );
        assert_ne!(LabelId::default().within("decode"), decode);
        assert_ne!(request.within("decod"), decode);
        assert_eq!(decode.path(), Some("request > decode"));
        assert_eq!(LabelId::default().path(), None);
        let within = [request, decode].map(|it| [it.is_within(request), it.is_within(decode)]);
        assert_eq!(within, [[true, false], [true, true]]);
        assert_eq!(
            path(&["größe", "", "\u{1b}[31m"]),
            Some("größe >  > \u{1b}[31m")
        );
    }

    #[test]
    fn long_names_are_cut_between_characters() {
        let long = "ö".repeat(100);
        let cut = format!("{}…", "ö".repeat(62));
        assert_eq!(path(&[&long]), Some(&*cut));
        assert_eq!(path(&[&long, "in it"]), Some(&*format!("{cut} > in it")));
        // What differs beyond the cut is the same.
        let label = LabelId::default().within(&long);
        assert_eq!(LabelId::default().within(&format!("{long}!")), label);
        let fits = "a".repeat(LONGEST_NAME);
        assert_eq!(path(&[&fits]), Some(&*fits));
    }

    #[test]
    fn what_recurses_ends_in_the_deepest_label() {
        let deepest = (0..1000).fold(LabelId::default(), |it, _| it.within("recursive"));
        let path = deepest.path().unwrap();
        assert_eq!(path.split(LABEL_SEPARATOR).count(), DEEPEST as usize);
        assert_eq!(deepest.within("further"), deepest);
    }

    #[test]
    fn beyond_the_last_number_all_labels_are_one() {
        let labels = Labels::new();
        let within = |name: usize| {
            labels.find_or_insert(LabelId::default(), Name::of(&format!("user-{name}")))
        };
        let numbers = 0..2 * LabelId::NUMBERS;
        let distinct: std::collections::HashSet<u32> = numbers.map(|it| within(it).0).collect();
        assert_eq!(distinct.len(), LabelId::NUMBERS - 1);
        assert_eq!(within(2 * LabelId::NUMBERS), OTHERS);
        assert_eq!(OTHERS.path(), Some(OTHERS_PATH));
        assert_eq!(within(7), within(7));
        assert_eq!(labels.get(within(7)).map(Label::path), Some("user-7"));
    }

    #[test]
    fn threads_agree_on_a_new_label() {
        for round in 0..100 {
            let names: Vec<String> = (0..8).map(|it| format!("{round}-{it}")).collect();
            let of_all = || names.iter().map(|it| LabelId::default().within(it));
            let threads: Vec<Vec<LabelId>> = std::thread::scope(|scope| {
                let threads: Vec<_> = (0..4).map(|_| scope.spawn(|| of_all().collect())).collect();
                threads.into_iter().map(|it| it.join().unwrap()).collect()
            });
            assert!(threads.iter().all(|it| *it == threads[0]));
            assert!(of_all().eq(threads[0].iter().copied()));
        }
    }
}
