//! [`Mappings`]: what memory the process has, by `/proc/self/maps`.

use super::files;
use crate::system::arena::{self, Zeroed};

/// A range of memory with the same rights.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Mapping {
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) is_readable: bool,
    pub(super) is_writable: bool,
    pub(super) is_private: bool,
    /// Whether it is the stack of the first thread.
    pub(super) is_main_stack: bool,
}

// SAFETY: integers and flags, for which zero is a valid value.
unsafe impl Zeroed for Mapping {}

/// The most mappings that are read. Linux permits 65,530 by default.
const MOST: usize = 1 << 20;

/// The mappings of the process, in order of their addresses.
pub(super) struct Mappings(&'static [Mapping]);

impl Mappings {
    /// Reads the mappings. `None` if the system refuses.
    pub(super) fn read() -> Option<Mappings> {
        let place = slice::<Mapping>(MOST)?;
        let mut parser = Parser::default();
        let mut len = 0;
        let is_whole = files::read(c"/proc/self/maps", |byte| {
            if let Some(mapping) = parser.take(byte)
                && let Some(place) = place.get_mut(len)
            {
                *place = mapping;
                len += 1;
            }
        });
        is_whole.then_some(Mappings(&place[..len]))
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Mapping> {
        self.0.iter()
    }

    /// The mapping that contains an address.
    pub(super) fn at(&self, address: usize) -> Option<&Mapping> {
        let after = self.0.partition_point(|it| it.start <= address);
        self.0[..after].last().filter(|it| address < it.end)
    }

    /// The end of the memory from an address on that can be read without a gap.
    pub(super) fn readable_until(&self, address: usize) -> usize {
        let from = self.0.partition_point(|it| it.end <= address);
        let mut end = address;
        for mapping in &self.0[from..] {
            if mapping.start > end || !mapping.is_readable {
                break;
            }
            end = mapping.end;
        }
        end
    }
}

/// Zeroed memory for a list, from the system. It lasts as long as the clone.
pub(super) fn slice<T: Zeroed>(len: usize) -> Option<&'static mut [T]> {
    let bytes = len.checked_mul(size_of::<T>())?.max(1);
    let place = arena::reserve(bytes.next_multiple_of(arena::PAGE))?;
    // SAFETY: the memory is zeroed, which is valid for `T`, aligned to a page, has room for `len`
    // of them, is referred to by nothing else, and is never released.
    Some(unsafe { std::slice::from_raw_parts_mut(place.cast().as_ptr(), len) })
}

/// Parses the lines of `/proc/self/maps`, byte by byte.
#[derive(Default)]
struct Parser {
    mapping: Mapping,
    field: Field,
    /// How many bytes of the field there are.
    at: usize,
    is_stack: bool,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Field {
    #[default]
    Start,
    End,
    Rights,
    Rest,
}

/// How the line of the first thread's stack ends.
const STACK: &[u8] = b"[stack]";

impl Parser {
    fn take(&mut self, byte: u8) -> Option<Mapping> {
        let hex = |number: usize| {
            let digit = char::from(byte).to_digit(16).unwrap_or(0);
            number << 4 | digit as usize
        };
        match (self.field, byte) {
            (_, b'\n') => {
                let mut mapping = self.mapping;
                mapping.is_main_stack = self.is_stack && self.at == STACK.len();
                *self = Parser::default();
                return Some(mapping);
            }
            (Field::Start, b'-') => self.field = Field::End,
            (Field::Start, _) => self.mapping.start = hex(self.mapping.start),
            (Field::End, b' ') => (self.field, self.at) = (Field::Rights, 0),
            (Field::End, _) => self.mapping.end = hex(self.mapping.end),
            (Field::Rights, b' ') => (self.field, self.at, self.is_stack) = (Field::Rest, 0, true),
            (Field::Rights, _) => {
                match (self.at, byte) {
                    (0, b'r') => self.mapping.is_readable = true,
                    (1, b'w') => self.mapping.is_writable = true,
                    (3, b'p') => self.mapping.is_private = true,
                    _ => {}
                }
                self.at += 1;
            }
            (Field::Rest, b' ') => (self.at, self.is_stack) = (0, true),
            (Field::Rest, _) => {
                self.is_stack &= STACK.get(self.at) == Some(&byte);
                self.at += 1;
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_parsed() {
        let text = "\
            55d0c0a00000-55d0c0a21000 rw-p 00000000 00:00 0                          [heap]\n\
            7f0000000000-7f0000001000 ---p 00000000 00:00 0 \n\
            7f0000001000-7f0000002000 r--s 00001000 08:01 77   /usr/lib/a b [stack] c\n\
            7ffc00000000-7ffc00021000 rw-p 00000000 00:00 0                          [stack]\n";
        let mut parser = Parser::default();
        let found: Vec<_> = text.bytes().filter_map(|byte| parser.take(byte)).collect();
        let shown = |it: &Mapping| {
            let flag = |is: bool, letter: &'static str| if is { letter } else { "-" };
            format!(
                "{:x} {:x} {}{}{}{}",
                it.start,
                it.end,
                flag(it.is_readable, "r"),
                flag(it.is_writable, "w"),
                flag(it.is_private, "p"),
                flag(it.is_main_stack, "m"),
            )
        };
        assert_eq!(
            found.iter().map(shown).collect::<Vec<_>>(),
            [
                "55d0c0a00000 55d0c0a21000 rwp-",
                "7f0000000000 7f0000001000 --p-",
                "7f0000001000 7f0000002000 r---",
                "7ffc00000000 7ffc00021000 rwpm",
            ]
        );
    }

    #[test]
    fn own_memory_is_found_and_ends_where_it_cannot_be_read() {
        let mappings = Mappings::read().unwrap();
        let local = 7;
        let stack = mappings.at((&raw const local).addr()).unwrap();
        assert!(stack.is_readable && stack.is_writable && stack.is_private);
        let end = mappings.readable_until(stack.start);
        assert!(end >= stack.end);
        assert_eq!(mappings.readable_until(0), 0);
        assert!(mappings.at(1).is_none());
    }
}
