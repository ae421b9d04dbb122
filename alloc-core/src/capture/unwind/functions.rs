//! Which code is surely the user's, so that a walk for a single line may end there.

use std::fmt::{self, Write};
use std::ptr::{self, NonNull};
use std::slice;

use object::Endianness;
use object::elf::{FileHeader64, SHT_SYMTAB, STT_FUNC};
use object::read::elf::{FileHeader, SectionHeader, SectionTable, Sym, SymbolTable};
use once_cell::race::OnceRef;

use crate::snapshot::origin::Origin;
use crate::{snapshot::origin, system::arena};

/// The functions of the program.
///
/// NOTE: two threads that prepare at the same time both read them, and one result is used. A
/// `OnceLock` would block one of them, and would stay blocked in a child after a fork.
static FUNCTIONS: OnceRef<'static, Option<Functions>> = OnceRef::new();

/// Reads the program's symbol table, once. Off the hot path.
pub(super) fn prepare() {
    if FUNCTIONS.get().is_some() {
        return;
    }
    let Some(place) = arena::reserve(size_of::<Option<Functions>>()) else {
        return;
    };
    let place = place.cast::<Option<Functions>>();
    // SAFETY: `reserve` returned a page, which is aligned and large enough. Nothing else uses it.
    unsafe { place.write(Functions::of_the_program()) };
    // SAFETY: written above. The memory is never written again nor released.
    let _ = FUNCTIONS.set(unsafe { place.as_ref() });
}

/// Whether the code before a return address is surely the user's or a dependency's, and not the
/// standard library's or the tracer's.
///
/// Returns `false` if that is not certain: for a program without symbols, and for other objects.
/// Allocates nothing, and takes about a microsecond.
pub(super) fn is_surely_of_the_user(pc: usize) -> bool {
    let functions = FUNCTIONS.get().and_then(Option::as_ref);
    let name = functions.and_then(|functions| functions.name_at(pc.wrapping_sub(1)));
    name.is_some_and(is_of_the_user)
}

fn is_of_the_user(mangled: &str) -> bool {
    Start::of(mangled).is_some_and(|start| origin::is_surely_of_the_user(start.text()))
}

/// Whether a stack is one of an allocation by `print!` or its like: whatever code of the user's
/// formats the text, `std::io` allocates.
///
/// NOTE: also `true` for a `Display` of the user's that writes to its own vector by `std::io` while
/// it is printed.
///
/// Returns `false` if that is not certain. Takes about a microsecond for each address, innermost
/// first.
pub(super) fn is_of_printing(addresses: &[usize]) -> bool {
    let Some(functions) = FUNCTIONS.get().and_then(Option::as_ref) else {
        return false;
    };
    let (mut is_io, mut is_of_user) = (false, false);
    for &pc in addresses {
        let name = functions.name_at(pc.wrapping_sub(1));
        let Some(start) = name.and_then(Start::of) else {
            continue;
        };
        let name = start.text();
        if name.starts_with("std::io::stdio::") {
            return true;
        }
        is_of_user |= !matches!(origin::of(Some(name), None), Origin::Std | Origin::Tracer);
        is_io |= !is_of_user && name.contains("std::io::");
        if is_of_user && !is_io {
            return false;
        }
    }
    false
}

/// Whether the program consists of tests for the standard library's harness.
///
/// Returns `false` if that is not certain: for a program without symbols. It searches all names of
/// the program.
///
/// PERF: the result enables detection of `print!`, which costs 110 ns for a pair of an allocation
/// and a free in test programs only.
pub(super) fn is_for_the_test_harness() -> bool {
    let Some(file) = map_the_program() else {
        return false;
    };
    let is_for_it = names(file).is_some_and(|names| contains(names, MAIN_OF_THE_TEST_HARNESS));
    // SAFETY: the file was mapped above with that length, and no reference into it is left.
    unsafe { libc::munmap(file.as_ptr().cast_mut().cast(), file.len()) };
    is_for_it
}

/// The function that `main` of such a program calls, in both manglings.
const MAIN_OF_THE_TEST_HARNESS: &[u8] = b"4test16test_main_static";

/// The names of all functions in an ELF file, one after the other.
fn names(file: &[u8]) -> Option<&[u8]> {
    let (endian, sections, symbols) = symbols(file)?;
    let names = sections.section(symbols.string_section()).ok()?;
    names.data(endian, file).ok()
}

type Elf = FileHeader64<Endianness>;

/// The symbol table of an ELF file, and what is needed to read it.
fn symbols(file: &[u8]) -> Option<(Endianness, SectionTable<'_, Elf>, SymbolTable<'_, Elf>)> {
    let header = Elf::parse(file).ok()?;
    let endian = header.endian().ok()?;
    let sections = header.sections(endian, file).ok()?;
    let symbols = sections.symbols(endian, file, SHT_SYMTAB).ok()?;
    Some((endian, sections, symbols))
}

/// PERF: uses the C library, which is fast in a debug build, too: there may be a hundred megabytes
/// of names.
fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    // SAFETY: both pointers are of slices with these lengths.
    let found = unsafe {
        libc::memmem(
            haystack.as_ptr().cast(),
            haystack.len(),
            needle.as_ptr().cast(),
            needle.len(),
        )
    };
    !found.is_null()
}

/// The first bytes of a name.
struct Start {
    bytes: [u8; 256],
    len: usize,
}

impl Default for Start {
    fn default() -> Start {
        Start {
            bytes: [0; 256],
            len: 0,
        }
    }
}

impl Start {
    /// Demangles the start of a Rust name.
    fn of(mangled: &str) -> Option<Start> {
        let demangled = rustc_demangle::try_demangle(mangled).ok()?;
        let mut start = Start::default();
        // NOTE: an error means that there is no room for the rest.
        let _ = write!(start, "{demangled:#}");
        Some(start)
    }

    fn text(&self) -> &str {
        str::from_utf8(&self.bytes[..self.len]).unwrap_or_default()
    }
}

impl Write for Start {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = self.bytes.get_mut(self.len..self.len + text.len());
        room.ok_or(fmt::Error)?.copy_from_slice(text.as_bytes());
        self.len += text.len();
        Ok(())
    }
}

/// The functions of one object, sorted by address.
struct Functions {
    /// Difference between addresses in memory and in the file.
    base: usize,
    sorted: &'static [Function],
    /// The names, each followed by a NUL byte.
    names: object::StringTable<'static>,
}

#[derive(Clone, Copy)]
#[repr(C)]
struct Function {
    start: u32,
    end: u32,
    name: u32,
}

impl Functions {
    /// The functions of the running program. `None` if it has no symbols, or they cannot be read.
    fn of_the_program() -> Option<Functions> {
        let file = map_the_program()?;
        // SAFETY: the call has no preconditions.
        let entry = unsafe { libc::getauxval(libc::AT_ENTRY) } as usize;
        Functions::of_file(file, entry)
    }

    /// The functions of an ELF file that is loaded so that its entry point is at `entry`.
    fn of_file(file: &'static [u8], entry: usize) -> Option<Functions> {
        let header = Elf::parse(file).ok()?;
        let (endian, _, symbols) = symbols(file)?;
        let function = |symbol: &<Elf as FileHeader>::Sym| {
            let start = u32::try_from(symbol.st_value(endian)).ok()?;
            let size = u32::try_from(symbol.st_size(endian)).ok()?;
            (symbol.st_type() == STT_FUNC && size > 0).then_some(Function {
                start,
                end: start.checked_add(size)?,
                name: symbol.st_name(endian),
            })
        };
        let sorted = sorted(symbols.iter().filter_map(function))?;
        Some(Functions {
            base: entry.wrapping_sub(header.e_entry(endian) as usize),
            sorted,
            names: symbols.strings(),
        })
    }

    fn name_at(&self, address: usize) -> Option<&str> {
        let address = u32::try_from(address.wrapping_sub(self.base)).ok()?;
        let after = self.sorted.partition_point(|it| it.start <= address);
        let function = self.sorted[..after].last()?;
        let name = self.names.get(function.name).ok()?;
        (address < function.end).then(|| str::from_utf8(name).ok())?
    }
}

/// The functions sorted by address, in memory that is never released.
fn sorted(functions: impl Iterator<Item = Function> + Clone) -> Option<&'static [Function]> {
    let len = functions.clone().count();
    if len == 0 {
        return None;
    }
    let place: NonNull<Function> = arena::reserve(len * size_of::<Function>())?.cast();
    // SAFETY: `place` has room for `len` items. It is zeroed, which is valid for every field,
    // page-aligned, not shared yet, and never released.
    let all = unsafe { slice::from_raw_parts_mut(place.as_ptr(), len) };
    all.iter_mut()
        .zip(functions)
        .for_each(|(place, function)| *place = function);
    all.sort_unstable_by_key(|function| function.start);
    Some(all)
}

/// Maps the file of the running program for reading.
///
/// NOTE: nobody can write to it or truncate it while it runs: the system refuses (`ETXTBSY`).
fn map_the_program() -> Option<&'static [u8]> {
    // SAFETY: the path ends in a NUL byte.
    let file = unsafe { libc::open(c"/proc/self/exe".as_ptr(), libc::O_RDONLY | libc::O_CLOEXEC) };
    if file < 0 {
        return None;
    }
    // SAFETY: the struct consists of integers, for which zero is valid.
    let mut status: libc::stat = unsafe { std::mem::zeroed() };
    // SAFETY: the file is open, and `status` has room for its status.
    let failed = unsafe { libc::fstat(file, &mut status) } != 0;
    let len = usize::try_from(status.st_size).unwrap_or(0);
    let base = if failed || len == 0 {
        libc::MAP_FAILED
    } else {
        let (protection, flags) = (libc::PROT_READ, libc::MAP_PRIVATE);
        // SAFETY: a new mapping at an address of the system's choice touches no memory of ours.
        unsafe { libc::mmap(ptr::null_mut(), len, protection, flags, file, 0) }
    };
    // SAFETY: the file was opened above, and is closed once; the mapping does not need it.
    unsafe { libc::close(file) };
    if base == libc::MAP_FAILED {
        return None;
    }
    // SAFETY: mapped just above with that length for reading, and never written. It stays mapped
    // until a caller that holds no reference into it unmaps it.
    Some(unsafe { slice::from_raw_parts(base.cast(), len) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_are_found_by_any_address_in_them() {
        prepare();
        let functions = FUNCTIONS.get().and_then(Option::as_ref).unwrap();
        let own = functions_are_found_by_any_address_in_them as *const () as usize;
        let name = functions.name_at(own + 10).unwrap();
        let demangled = format!("{:#}", rustc_demangle::demangle(name));
        assert!(
            demangled.ends_with("functions_are_found_by_any_address_in_them"),
            "{demangled}"
        );
        assert_eq!(functions.name_at(0), None);
        assert_eq!(functions.name_at(usize::MAX), None);
    }

    #[test]
    fn names_of_either_mangling_tell_whose_a_function_is() {
        for (name, expected) in [
            ("_ZN4demo4fill17h0123456789abcdefE", true),
            (
                "_ZN5alloc3vec12Vec$LT$T$GT$4push17h0123456789abcdefE",
                false,
            ),
            ("_RNvCsgStHSCytQ6I_4demo4fill", true),
            ("_RNvCsgStHSCytQ6I_5alloc4fill", false),
            ("main", false),
            ("qsort", false),
            ("", false),
        ] {
            assert_eq!(is_of_the_user(name), expected, "{name}");
        }
    }

    #[test]
    fn a_program_of_tests_is_told_by_its_names() {
        assert!(is_for_the_test_harness());
        assert!(!contains(
            b"_ZN4demo4test9something",
            MAIN_OF_THE_TEST_HARNESS
        ));
        assert!(!contains(b"", MAIN_OF_THE_TEST_HARNESS));
        assert!(names(b"#!/bin/sh").is_none());
    }

    #[test]
    fn a_file_that_is_not_elf_has_no_functions() {
        assert!(Functions::of_file(b"#!/bin/sh", 0).is_none());
        assert!(Functions::of_file(&[], 0).is_none());
    }
}
