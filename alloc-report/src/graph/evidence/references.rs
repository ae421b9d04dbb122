//! [`References`]: which references are good evidence.

use std::collections::HashMap;
use std::ops::RangeInclusive;

use super::fields::{Fields, FieldsOf};
use super::kinds::{IsTable, Kind};
use super::pointees::{Listing, Pointees};
use crate::graph::file::{Data, Length, room, rounded};
use crate::graph::names::Names;

/// The word may hold a pointer, judging by the type of its block.
const FROM_CONTENT: u8 = 1;
/// The pointer is to a place that owners point to.
const TO_OWNED: u8 = 2;
const STRONG: u8 = FROM_CONTENT | TO_OWNED;
/// The type of the block names the type of the target.
const NAMED: u8 = 4;
/// A capacity and a length are next to the pointer, as in a vector.
const HAS_LENGTH: u8 = 8;

/// What speaks for each reference.
pub(in crate::graph) struct References {
    of: Vec<u8>,
}

impl References {
    pub(super) fn of(data: &Data, names: &Names, fields: &Fields) -> References {
        let nodes = &data.nodes;
        let vectors = Vectors::of(data, names);
        let mut listings = Listings::of(names, fields);
        let mut of = vec![0; nodes.to.len()];
        for block in 0..nodes.len() as u32 {
            let kind = kind(data, names, block);
            let end = match kind.is_vector {
                true => vectors.used.get(&block).copied().unwrap_or(u64::MAX),
                false => u64::MAX,
            };
            let sizes = possible_sizes(data, block);
            for edge in nodes.edges(block) {
                let place = u64::from(nodes.word[edge]) * 8;
                let callsite = |block: u32| nodes.callsites[block as usize];
                let target = nodes.to[edge];
                let word = (&sizes, place);
                let listing = listings.between(callsite(block), word, callsite(target));
                let has_content =
                    !kind.has_no_pointers && place < end && listing != Listing::Excluded;
                let owned = is_owned_place(data, names, target, nodes.offset[edge]);
                of[edge] = u8::from(has_content) * FROM_CONTENT
                    + u8::from(owned) * TO_OWNED
                    + u8::from(listing == Listing::Named) * NAMED;
            }
        }
        for edge in vectors.references {
            of[edge as usize] |= HAS_LENGTH;
        }
        References { of }
    }

    /// Whether a reference counts whatever else reaches its target.
    pub(in crate::graph) fn is_strong(&self, edge: usize) -> bool {
        self.of[edge] & STRONG == STRONG
    }

    /// Whether a strong reference comes from a block whose type names that of the target.
    pub(super) fn is_named(&self, edge: usize) -> bool {
        self.of[edge] & (STRONG | NAMED) == STRONG | NAMED
    }

    /// Whether a strong reference looks like its target's owner: by the types of both, or as a
    /// vector's pointer next to its capacity and length.
    pub(in crate::graph) fn is_owner(&self, edge: usize) -> bool {
        self.is_strong(edge) && self.of[edge] & (NAMED | HAS_LENGTH) != 0
    }

    /// Notes that the type of the target is named next to a reference.
    pub(super) fn name(&mut self, edge: usize) {
        self.of[edge] |= NAMED;
    }

    /// Makes a strong reference one that may be left behind.
    pub(super) fn demote(&mut self, edge: usize) {
        self.of[edge] &= !TO_OWNED;
    }

    /// Makes a demoted reference strong again.
    pub(super) fn restore(&mut self, edge: usize) {
        self.of[edge] |= TO_OWNED;
    }

    /// Whether the word may hold a pointer, judging by the type of its block.
    pub(in crate::graph) fn is_content(&self, edge: usize) -> bool {
        self.of[edge] & FROM_CONTENT != 0
    }
}

/// What types say about references between their blocks.
struct Listings<'a> {
    /// The number of each callsite's type; `None` if it is not known.
    types: Vec<Option<u32>>,
    list: Vec<TypeOf<'a>>,
    /// Between types.
    known: HashMap<(u32, u32), Listing>,
    /// From words of a type, by what they may be, to types.
    of_words: HashMap<(u32, Option<u32>), Listing>,
}

/// What is known of a type.
struct TypeOf<'a> {
    name: &'a str,
    /// What its blocks point to.
    pointees: Option<Pointees>,
    fields: Option<FieldsOf<'a>>,
}

impl<'a> Listings<'a> {
    fn of(names: &'a Names, fields: &'a Fields) -> Listings<'a> {
        let mut numbers: HashMap<&str, u32> = HashMap::new();
        let mut list = Vec::new();
        let types = names.callsites.iter().map(|callsite| {
            let name = callsite.type_name.as_deref()?;
            Some(*numbers.entry(name).or_insert_with(|| {
                list.push(TypeOf {
                    name,
                    pointees: Pointees::of(name),
                    fields: fields.of_type(name),
                });
                list.len() as u32 - 1
            }))
        });
        Listings {
            types: types.collect(),
            list,
            known: HashMap::new(),
            of_words: HashMap::new(),
        }
    }

    /// From a word of a block of one callsite, given the sizes that the block may have and the word's
    /// place, to a block of another.
    fn between(&mut self, from: u32, word: (&RangeInclusive<u64>, u64), to: u32) -> Listing {
        let [from, to] = [from, to].map(|it| self.types[it as usize]);
        let Some(from) = from else {
            return Listing::Possible;
        };
        let name = |it: u32| self.list[it as usize].name;
        let TypeOf {
            pointees, fields, ..
        } = &self.list[from as usize];
        if let Some(spot) = fields.and_then(|it| it.at(word.0, word.1)) {
            let listing = || spot.listing(to.map(name));
            return *self
                .of_words
                .entry((spot.word(), to))
                .or_insert_with(listing);
        }
        match (pointees, to) {
            (Some(pointees), Some(to)) => {
                let listing = || pointees.listing(name(to));
                *self.known.entry((from, to)).or_insert_with(listing)
            }
            _ => Listing::Possible,
        }
    }
}

pub(super) fn kind(data: &Data, names: &Names, block: u32) -> Kind {
    names.callsites[data.nodes.callsites[block as usize] as usize].kind
}

/// Whether owners point to this byte of a block: the start, where up to seven may be a tag; the
/// value of an `Rc` or `Arc`; the control bytes of a hash table.
pub(super) fn is_owned_place(data: &Data, names: &Names, block: u32, offset: u32) -> bool {
    const TAGS: u32 = 8;
    const COUNTS: u32 = 16;
    if offset < TAGS {
        return true;
    }
    let kind = kind(data, names, block);
    if kind.is_counted && offset == COUNTS {
        return true;
    }
    match kind.table {
        IsTable::No => false,
        IsTable::Yes | IsTable::Maybe => {
            let size = data.nodes.sizes[block as usize];
            let callsite = data.nodes.callsites[block as usize] as usize;
            // The sum over a callsite is exact.
            let is_alone = data.callsites[callsite]
                .live
                .is_some_and(|it| it.blocks == 1);
            let sizes = match is_alone {
                true => size..=size,
                false => possible_sizes(data, block),
            };
            ends_in_control_bytes(sizes, offset.into())
        }
    }
}

/// The sizes that a block may have: the file rounds those of large ones.
pub(in crate::graph) fn possible_sizes(data: &Data, block: u32) -> RangeInclusive<u64> {
    let size = data.nodes.sizes[block as usize];
    match data.facts.exact_sizes {
        true => size..=size,
        false => rounded(size)..=rounded(size) + room(size),
    }
}

/// Whether a block of a size in this range ends in the control bytes of a table at this offset: one
/// for each of 4, 8, 16 or more places, and a group of sixteen.
fn ends_in_control_bytes(sizes: RangeInclusive<u64>, offset: u64) -> bool {
    const GROUP: u64 = 16;
    let before = offset + GROUP;
    let places = sizes
        .start()
        .saturating_sub(before)
        .max(4)
        .next_power_of_two();
    // What is before the control bytes has elements of one size, and ends at a multiple of sixteen.
    offset.is_multiple_of(GROUP.max(places)) && sizes.contains(&(before + places))
}

/// The bytes of each vector that its length covers, by the longest length next to a pointer to it.
pub(in crate::graph) fn used_bytes(data: &Data, names: &Names) -> HashMap<u32, u64> {
    Vectors::of(data, names).used
}

/// What capacities and lengths say of vectors.
struct Vectors {
    /// The bytes that a vector's length covers, by the longest length next to a pointer to it.
    used: HashMap<u32, u64>,
    /// The references that have a capacity and a length of their target, by their places.
    references: Vec<u32>,
}

impl Vectors {
    /// Compares capacities with the sizes of blocks.
    ///
    /// Other words may look like a capacity and a length, such as those around the pointer of a boxed
    /// slice. All vectors of one type have elements of one size, so the size decides that most of its
    /// pointers agree on.
    fn of(data: &Data, names: &Names) -> Vectors {
        let nodes = &data.nodes;
        let callsite = |block: u32| &names.callsites[nodes.callsites[block as usize] as usize];
        let sizes = |block: u32| possible_sizes(data, block);
        // NOTE: a capacity of one is nothing special: counts and flags are one as well.
        let plausible = || {
            let lengths = nodes.lengths.iter().copied();
            lengths.filter(|it| {
                it.capacity > 1 && it.length <= it.capacity && callsite(it.block).kind.is_vector
            })
        };
        let mut votes: HashMap<&str, HashMap<u64, u32>> = HashMap::new();
        for Length {
            block, capacity, ..
        } in plausible()
        {
            let sizes = sizes(block);
            // The only size of an element that fits.
            let element = sizes.end() / capacity;
            let fits = element > 0 && sizes.contains(&element.saturating_mul(capacity));
            let is_only = element.saturating_sub(1).saturating_mul(capacity) < *sizes.start();
            if let (true, Some(name)) = (fits && is_only, &callsite(block).type_name) {
                *votes.entry(name).or_default().entry(element).or_default() += 1;
            }
        }
        let elected: HashMap<&str, u64> = votes
            .into_iter()
            .filter_map(|(name, votes)| {
                let most = votes
                    .into_iter()
                    .max_by_key(|(element, votes)| (*votes, *element))?;
                Some((name, most.0))
            })
            .collect();
        let mut vectors = Vectors {
            used: HashMap::new(),
            references: Vec::new(),
        };
        for it in plausible() {
            let name = callsite(it.block).type_name.as_deref();
            let Some(&element) = name.and_then(|it| elected.get(it)) else {
                continue;
            };
            if sizes(it.block).contains(&element.saturating_mul(it.capacity)) {
                let known = vectors.used.entry(it.block).or_default();
                *known = (*known).max(it.length.saturating_mul(element));
                vectors.references.extend(it.edge);
            }
        }
        vectors
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_bytes_are_found_by_the_size_of_the_table() {
        #[track_caller]
        fn check(sizes: RangeInclusive<u64>, offset: u64, expected: bool) {
            assert_eq!(ends_in_control_bytes(sizes, offset), expected);
        }
        for places in [4, 8, 16, 1024] {
            let offset = (places * 24_u64).next_multiple_of(16);
            let size = offset + places + 16;
            check(size..=size, offset, true);
            check(size..=size, offset - 16, false);
            check(size..=size, offset + 8, false);
            check(size - 3..=size, offset, true);
            check(size..=size + 3, offset, true);
            check(size + 1..=size + 3, offset, false);
        }
        check(64..=64, 48, false);
        check(64..=64, 64, false);
        check(0..=0, 16, false);
        // A table of 512 places of 32 bytes.
        check(16_896..=17_151, 16_384, true);
        check(16_896..=17_151, 16_160, false);
        check(16_912..=16_912, 16_912, false);
    }
}
