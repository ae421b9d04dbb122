//! Writes the roots: the words outside of blocks that refer to a block.

use super::Task;
use super::edges::{Length, WORD, read_word};
use super::index::{Index, Place};
use super::mappings::{Mapping, Mappings, slice};
use super::output::Output;
use super::sections::ThreadRanges;
use crate::graph::linux::format::{RootKind, Tag};
use crate::system::arena::{self, PAGE, Zeroed};

/// A range of memory that is not unknown: a module's, a thread's, or the tracer's own.
#[derive(Clone, Copy)]
struct Known {
    start: usize,
    end: usize,
}

// SAFETY: integers, for which zero is a valid value.
unsafe impl Zeroed for Known {}

/// Writes all roots. Returns how many.
pub(super) fn write(
    task: &Task<'_>,
    index: &Index<'_>,
    mappings: &Mappings,
    threads: &[ThreadRanges],
    output: &mut Output,
) -> u64 {
    output.section(Tag::Roots);
    let mut roots = Roots {
        index,
        mappings,
        output,
        last: 0,
        count: 0,
    };
    for (number, module) in task.modules.iter().enumerate() {
        for (start, end) in &module.writable {
            roots.scan(RootKind::Static, number, *start, *end);
        }
    }
    for (number, thread) in threads.iter().enumerate() {
        for (start, end) in thread.registers {
            roots.scan(RootKind::Register, number, start, end);
        }
        for (start, end) in thread.stacks {
            roots.scan(RootKind::Stack, number, start, end);
        }
        roots.scan(
            RootKind::ThreadLocal,
            number,
            thread.locals.0,
            thread.locals.1,
        );
    }
    roots.scan_unknown(task, threads);
    for (number, named) in task.named.iter().enumerate() {
        if let Some(place) = index.find(named.address) {
            // NOTE: no word of memory has it: its place is that of the last root.
            roots.row(RootKind::Named, number, roots.last, place, None);
        }
    }
    roots.count
}

struct Roots<'a> {
    index: &'a Index<'a>,
    mappings: &'a Mappings,
    output: &'a mut Output,
    last: usize,
    count: u64,
}

impl Roots<'_> {
    /// Scans the words of a range, as far as it can be read.
    fn scan(&mut self, kind: RootKind, extra: usize, start: usize, end: usize) {
        let start = start.next_multiple_of(WORD);
        let end = end.min(self.mappings.readable_until(start));
        let (mut at, mut before) = (start, 0);
        while at + WORD <= end {
            // SAFETY: the word is within what can be read, and aligned.
            let value = unsafe { read_word(at) };
            if let Some(place) = self.index.find(value) {
                let next = at + WORD;
                let len = match next + WORD <= end {
                    // SAFETY: as above.
                    true => unsafe { read_word(next) },
                    false => usize::MAX,
                };
                let length = Length::of(self.index.blocks(), place, before, len);
                self.row(kind, extra, at, place, length);
            }
            before = value;
            at += WORD;
        }
    }

    /// Writes a root.
    fn row(
        &mut self,
        kind: RootKind,
        extra: usize,
        at: usize,
        place: Place,
        length: Option<Length>,
    ) {
        let output = &mut *self.output;
        output.byte(kind as u8);
        output.number(extra as u64);
        output.signed((at as i64 - self.last as i64) / WORD as i64);
        self.last = at;
        output.number(place.block as u64);
        output.number((place.offset as u64) << 1 | u64::from(length.is_some()));
        if let Some(length) = length {
            length.write(output);
        }
        self.count += 1;
    }

    /// Scans what is left: the program's writable memory that is neither a block nor known.
    fn scan_unknown(&mut self, task: &Task<'_>, threads: &[ThreadRanges]) {
        let Some(known) = known(task, threads) else {
            return;
        };
        let is_unknown = |it: &&Mapping| it.is_readable && it.is_writable && it.is_private;
        let mappings = self.mappings;
        let mut next_known = 0;
        for mapping in mappings.iter().filter(is_unknown) {
            let mut at = mapping.start;
            while at < mapping.end {
                while known.get(next_known).is_some_and(|it| it.end <= at) {
                    next_known += 1;
                }
                let until = match known.get(next_known) {
                    Some(it) if it.start <= at => {
                        at = it.end;
                        continue;
                    }
                    Some(it) => it.start.min(mapping.end),
                    None => mapping.end,
                };
                self.scan_between_blocks(at, until);
                at = until;
            }
        }
    }

    /// Scans a range without the blocks in it.
    fn scan_between_blocks(&mut self, start: usize, end: usize) {
        let blocks = self.index.blocks();
        let mut at = match self.index.find(start) {
            Some(inside) => blocks.end(inside.block),
            None => start,
        };
        for block in blocks.first_from(at).. {
            let until = if block < blocks.len() {
                blocks.start(block).min(end)
            } else {
                end
            };
            self.scan(RootKind::Unknown, 0, at, until);
            if until == end {
                break;
            }
            at = blocks.end(block);
        }
    }
}

/// All known ranges, in order of their starts.
fn known(task: &Task<'_>, threads: &[ThreadRanges]) -> Option<&'static [Known]> {
    let mut reservations = 0;
    arena::for_each_reservation(|_, _| reservations += 1);
    let of_modules: usize = task.modules.iter().map(|it| it.writable.len()).sum();
    // NOTE: the list itself is a reservation.
    let list = slice::<Known>(reservations + 1 + of_modules + 2 * threads.len())?;
    let mut len = 0;
    let mut add = |start: usize, end: usize| {
        if let Some(place) = list.get_mut(len)
            && start < end
        {
            *place = Known { start, end };
            len += 1;
        }
    };
    arena::for_each_reservation(|start, len| add(start, start + len.next_multiple_of(PAGE)));
    for (start, end) in task.modules.iter().flat_map(|it| &it.writable) {
        add(start & !(PAGE - 1), end.next_multiple_of(PAGE));
    }
    for thread in threads {
        // What is below the stack pointer was left by calls that have returned.
        add(thread.whole_stack.0, thread.whole_stack.1);
        add(thread.locals.0, thread.locals.1);
    }
    list[..len].sort_unstable_by_key(|it| it.start);
    Some(&list[..len])
}
