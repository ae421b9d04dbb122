//! [`References`]: which references are good evidence.

use std::collections::HashMap;

use super::kinds::{IsTable, Kind};
use super::pointees::Pointees;
use crate::graph::file::{Data, room};
use crate::graph::names::Names;

/// The word may hold a pointer, judging by the type of its block.
const FROM_CONTENT: u8 = 1;
/// The pointer is to a place that owners point to.
const TO_OWNED: u8 = 2;
const STRONG: u8 = FROM_CONTENT | TO_OWNED;

/// What speaks for each reference.
pub(in crate::graph) struct References {
    of: Vec<u8>,
}

impl References {
    pub(super) fn of(data: &Data, names: &Names) -> References {
        let nodes = &data.nodes;
        let used = used_bytes(data, names);
        let callsites = names.callsites.iter();
        let pointees = callsites.map(|it| Pointees::of(it.type_name.as_deref()?));
        let pointees: Vec<Option<Pointees>> = pointees.collect();
        let mut of = vec![0; nodes.to.len()];
        for block in 0..nodes.len() as u32 {
            let kind = kind(data, names, block);
            let pointees = pointees[nodes.callsites[block as usize] as usize].as_ref();
            let end = match kind.is_vector {
                true => used.get(&block).copied().unwrap_or(u64::MAX),
                false => u64::MAX,
            };
            for edge in nodes.edges(block) {
                let place = u64::from(nodes.word[edge]) * 8;
                let target = nodes.callsites[nodes.to[edge] as usize] as usize;
                let target = names.callsites[target].type_name.as_deref();
                let has_content = !kind.has_no_pointers
                    && place < end
                    && pointees.is_none_or(|it| target.is_none_or(|name| it.contain(name)));
                let owned = is_owned_place(data, names, nodes.to[edge], nodes.offset[edge]);
                of[edge] = u8::from(has_content) * FROM_CONTENT + u8::from(owned) * TO_OWNED;
            }
        }
        References { of }
    }

    /// Whether a reference counts whatever else reaches its target.
    pub(in crate::graph) fn is_strong(&self, edge: usize) -> bool {
        self.of[edge] == STRONG
    }

    /// Whether the word may hold a pointer, judging by the type of its block.
    pub(in crate::graph) fn is_content(&self, edge: usize) -> bool {
        self.of[edge] & FROM_CONTENT != 0
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
            let room = match data.facts.exact_sizes {
                true => 0,
                false => room(size),
            };
            ends_in_control_bytes(size, room, offset.into())
        }
    }
}

/// Whether a block of this size, or as much as `room` more or less, ends in the control bytes of a
/// table at this offset: one for each of 4, 8, 16 or more places, and a group of sixteen.
fn ends_in_control_bytes(size: u64, room: u64, offset: u64) -> bool {
    const GROUP: u64 = 16;
    if !offset.is_multiple_of(GROUP) {
        return false;
    }
    let before = offset + GROUP;
    let least = size.saturating_sub(room).saturating_sub(before);
    let places = least.max(4).next_power_of_two();
    before + places <= size + room
}

/// The bytes of each vector that its length covers, by the longest length next to a pointer to it.
fn used_bytes(data: &Data, names: &Names) -> HashMap<u32, u64> {
    let mut used: HashMap<u32, u64> = HashMap::new();
    for &(block, capacity, length) in &data.nodes.lengths {
        if capacity == 0 || length > capacity || !kind(data, names, block).is_vector {
            continue;
        }
        // Rounded up: sizes may be too small by less than one for each element.
        let element = data.nodes.sizes[block as usize].div_ceil(capacity);
        let bytes = length.saturating_mul(element);
        let known = used.entry(block).or_default();
        *known = (*known).max(bytes);
    }
    used
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_bytes_are_found_by_the_size_of_the_table() {
        #[track_caller]
        fn check(size: u64, room: u64, offset: u64, expected: bool) {
            assert_eq!(ends_in_control_bytes(size, room, offset), expected);
        }
        for places in [4, 8, 16, 1024] {
            let offset = (places * 24_u64).next_multiple_of(16);
            let size = offset + places + 16;
            check(size, 0, offset, true);
            // NOTE: with sixteen places, a table of 32 smaller ones would have the same size.
            check(size, 0, offset - 16, places == 16);
            check(size, 0, offset + 8, false);
            check(size - 3, 3, offset, true);
            check(size + 3, 3, offset, true);
            check(size + 3, 0, offset, false);
        }
        check(64, 0, 48, false);
        check(64, 0, 64, false);
        check(0, 0, 16, false);
    }
}
