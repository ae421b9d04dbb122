//! Writes the nodes, and the pointers in each.

use super::blocks::Blocks;
use super::index::{Index, Place};
use super::mappings::Mappings;
use super::output::Output;
use super::vtables::Vtables;
use crate::graph::linux::format::Tag;
use crate::tables::origin;

/// The size of a word.
pub(super) const WORD: usize = 8;

/// The most edges that are written at once.
const GROUP: usize = 512;

/// Flags of a node.
const HAS_COUNTS: u8 = 1;
const HAS_HASH: u8 = 2;
const HAS_AGE: u8 = 4;
const IS_UNREADABLE: u8 = 8;

/// A word of a block that refers to a block.
#[derive(Clone, Copy)]
struct Edge {
    word: usize,
    place: Place,
    length: Option<Length>,
}

/// What is next to a pointer to a collection's memory: its capacity and its length, in items.
#[derive(Clone, Copy)]
pub(super) struct Length {
    pub(super) capacity: usize,
    pub(super) len: usize,
}

impl Length {
    /// The length, if the words before and after a pointer could be the capacity and the length of
    /// a `Vec` whose memory is that block.
    pub(super) fn of(blocks: &Blocks, place: Place, capacity: usize, len: usize) -> Option<Length> {
        let (least, most) = blocks.sizes(place.block);
        let is_possible = place.offset == 0
            && capacity > 0
            && len <= capacity
            && capacity <= most
            && most / capacity * capacity >= least;
        is_possible.then_some(Length { capacity, len })
    }

    pub(super) fn write(self, output: &mut Output) {
        output.number(self.capacity as u64);
        output.number(self.len as u64);
    }
}

/// Reads a word of the process.
///
/// # Safety
///
/// The address is aligned, and can be read.
#[inline(always)]
pub(super) unsafe fn read_word(address: usize) -> usize {
    // SAFETY: the caller's promise. The word may be of any type, or not initialized; this process
    // has one thread, which reads what the system has at that address.
    unsafe { (address as *const usize).read_volatile() }
}

/// Writes all nodes. Returns the number of edges.
pub(super) fn write(
    index: &Index<'_>,
    mappings: &Mappings,
    key: Option<u64>,
    vtables: &mut Vtables<'_>,
    output: &mut Output,
) -> u64 {
    let blocks = index.blocks();
    output.section(Tag::Nodes);
    output.number(blocks.len() as u64);
    let (mut last, mut edges) = (0, 0);
    let mut readable = 0..0;
    let unit = origin::unit_picoseconds();
    for number in 0..blocks.len() {
        let start = blocks.start(number);
        let end = blocks.end(number);
        if !readable.contains(&start) || end > readable.end {
            readable = start..mappings.readable_until(start);
        }
        let words = Words {
            start: start.next_multiple_of(WORD),
            end: end.min(readable.end),
        };
        output.number((start - last) as u64 / WORD as u64);
        last = start;
        output.number(blocks.least_size(number) as u64);
        output.number(
            blocks
                .block(number)
                .map_or(0, |it| it.callsite().get())
                .into(),
        );
        let counts = words.counts();
        let origin = blocks.origin(number);
        let flag = |is: bool, flag: u8| if is { flag } else { 0 };
        output.byte(
            flag(counts.is_some(), HAS_COUNTS)
                | flag(key.is_some(), HAS_HASH)
                | flag(origin.is_some(), HAS_AGE)
                | flag(end > readable.end, IS_UNREADABLE),
        );
        if let Some((strong, weak)) = counts {
            output.number(strong);
            output.number(weak);
        }
        if let Some(key) = key {
            let size = blocks.least_size(number);
            output.bytes(&words.hash(key, start, size).to_le_bytes());
        }
        if let Some(origin) = origin {
            output.number(origin.age(unit));
        }
        edges += write_edges(number, words, edges, index, vtables, output);
    }
    edges
}

/// Writes the edges of a node. `before`: how many edges the nodes before it have.
fn write_edges(
    number: usize,
    words: Words,
    before: u64,
    index: &Index<'_>,
    vtables: &mut Vtables<'_>,
    output: &mut Output,
) -> u64 {
    const NONE: Edge = Edge {
        word: 0,
        place: Place {
            block: 0,
            offset: 0,
        },
        length: None,
    };
    let blocks = index.blocks();
    let mut group = [NONE; GROUP];
    let (mut len, mut last, mut edges) = (0, 0, 0);
    let mut flush = |group: &[Edge], output: &mut Output| {
        output.number(group.len() as u64);
        for edge in group {
            let flags = u64::from(edge.length.is_some()) << 1 | u64::from(edge.place.offset != 0);
            output.number(((edge.word - last) as u64) << 2 | flags);
            last = edge.word;
            output.signed(edge.place.block as i64 - number as i64);
            if edge.place.offset != 0 {
                output.number(edge.place.offset as u64);
            }
            if let Some(length) = edge.length {
                length.write(output);
            }
        }
    };
    words.for_each(|word, value| {
        let Some(place) = index.find(value) else {
            return;
        };
        let length = match (word.checked_sub(1), words.get(word + 1)) {
            (Some(before), Some(len)) if place.offset == 0 => {
                let capacity = words.get(before).unwrap_or(0);
                Length::of(blocks, place, capacity, len)
            }
            _ => None,
        };
        if let (None, Some(next)) = (length, words.get(word + 1)) {
            vtables.add(before + edges, place, index, next);
        }
        group[len] = Edge {
            word,
            place,
            length,
        };
        len += 1;
        edges += 1;
        if len == GROUP {
            flush(&group, output);
            len = 0;
        }
    });
    flush(&group[..len], output);
    edges
}

/// The whole words of a range that can be read.
#[derive(Clone, Copy)]
struct Words {
    start: usize,
    end: usize,
}

impl Words {
    fn count(self) -> usize {
        self.end.saturating_sub(self.start) / WORD
    }

    #[inline(always)]
    fn get(self, word: usize) -> Option<usize> {
        // SAFETY: the word is within the range, which can be read, and aligned.
        (word < self.count()).then(|| unsafe { read_word(self.start + word * WORD) })
    }

    #[inline(always)]
    fn for_each(self, mut each: impl FnMut(usize, usize)) {
        for word in 0..self.count() {
            // SAFETY: the word is within the range, which can be read, and aligned.
            each(word, unsafe { read_word(self.start + word * WORD) });
        }
    }

    /// The first two words, if they could be the counts of an `Rc` or `Arc`.
    fn counts(self) -> Option<(u64, u64)> {
        const MOST: usize = 1 << 31;
        let (strong, weak) = (self.get(0)?, self.get(1)?);
        let is_alive = (1..MOST).contains(&strong) && (1..MOST).contains(&weak);
        // Only a `Weak` is left.
        let is_dead = strong == 0 && (1..1 << 16).contains(&weak);
        (is_alive || is_dead).then_some((strong as u64, weak as u64))
    }

    /// A hash of the block's contents. NOTE: the smallest size that the block can have.
    fn hash(self, key: u64, start: usize, size: usize) -> u64 {
        let mix = |hash: u64, word: u64| {
            (hash ^ word)
                .wrapping_mul(0x9E37_79B9_7F4A_7C15)
                .rotate_left(29)
        };
        let mut hash = mix(key, size as u64);
        let whole = size / WORD;
        for word in 0..whole.min(self.count()) {
            hash = mix(hash, self.get(word).unwrap_or(0) as u64);
        }
        for at in start + whole * WORD..(start + size).min(self.end) {
            // SAFETY: the byte is within the range, which can be read.
            hash = mix(
                hash,
                u64::from(unsafe { (at as *const u8).read_volatile() }),
            );
        }
        mix(mix(hash, key), 1)
    }
}
