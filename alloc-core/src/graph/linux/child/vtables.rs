//! Writes which pointers have a vtable next to them: those of trait objects.

use super::edges::{WORD, read_word};
use super::index::{Index, Place};
use super::mappings::{Mappings, slice};
use super::output::Output;
use crate::graph::linux::format::Tag;
use crate::graph::linux::modules::Module;
use crate::system::arena::Zeroed;

/// The most that are written: 24 MiB, of which only those found take memory.
const MOST: usize = 1 << 20;

/// The largest alignment of a value.
const MOST_ALIGNED: usize = 1 << 29;

/// A pointer to a value, and the vtable of the value's type.
#[derive(Clone, Copy)]
pub(super) struct Vtable {
    /// The number of the edge.
    edge: u64,
    module: usize,
    address: usize,
}

// SAFETY: integers, for which zero is a valid value.
unsafe impl Zeroed for Vtable {}

pub(super) struct Vtables<'a> {
    modules: &'a [Module],
    mappings: &'a Mappings,
    list: &'static mut [Vtable],
    len: usize,
}

impl<'a> Vtables<'a> {
    pub(super) fn new(modules: &'a [Module], mappings: &'a Mappings) -> Vtables<'a> {
        Vtables {
            modules,
            mappings,
            // Without memory for them, none are written.
            list: slice(MOST).unwrap_or_default(),
            len: 0,
        }
    }

    /// Notes an edge, if the word next to it is the address of a vtable.
    #[inline]
    pub(super) fn add(&mut self, edge: u64, place: Place, index: &Index<'_>, next: usize) {
        if place.offset != 0 || !next.is_multiple_of(WORD) {
            return;
        }
        let is_in = |it: &Module| it.writable.iter().any(|it| (it.0..it.1).contains(&next));
        let Some(module) = self.modules.iter().position(is_in) else {
            return;
        };
        // The function that drops the value, the value's size, and its alignment.
        if self.mappings.readable_until(next) < next + 3 * WORD {
            return;
        }
        // SAFETY: the word can be read, and is aligned.
        let size = unsafe { read_word(next + WORD) };
        // SAFETY: as above.
        let alignment = unsafe { read_word(next + 2 * WORD) };
        let (_, most) = index.blocks().sizes(place.block);
        let is_vtable =
            alignment.is_power_of_two() && alignment <= MOST_ALIGNED && size > 0 && size <= most;
        if let (true, Some(free)) = (is_vtable, self.list.get_mut(self.len)) {
            *free = Vtable {
                edge,
                module,
                address: next,
            };
            self.len += 1;
        }
    }

    /// Writes the section: for each, the step from the last one's edge, the module, and the address
    /// in its file, and the size of a value.
    pub(super) fn write(&self, output: &mut Output) {
        output.section(Tag::Vtables);
        let mut last = 0;
        for it in &self.list[..self.len] {
            output.number(it.edge - last);
            last = it.edge;
            output.number(it.module as u64);
            output.number(it.address.wrapping_sub(self.modules[it.module].bias) as u64);
            // SAFETY: `add` has read it.
            output.number(unsafe { read_word(it.address + WORD) } as u64);
        }
    }
}
