//! [`Object`]: which loaded object contains an address, and where its unwind tables are.

use std::ffi::{CStr, c_char, c_void};
use std::sync::OnceLock;

use crate::capture::modules::{self, Listed};
use crate::system::sync::{AtomicUsize, Ordering};
use crate::tables::stack_hash::fold;

/// A loaded object: the program or a shared library.
#[derive(Clone, Copy, Debug)]
pub(super) struct Object {
    /// The lowest and one past the highest address of its segments. If the linker left holes
    /// between segments, those of the one segment that contains the address.
    pub(super) start: usize,
    pub(super) end: usize,
    /// Address of its `.eh_frame_hdr`.
    pub(super) index: usize,
    /// Start and end of the segment that contains the unwind tables.
    pub(super) tables: (usize, usize),
}

/// Finds the object that contains `address`, without a lock and without entering the loader.
///
/// Before glibc 2.35 only objects that [stay](Object::stays) loaded are found: a list made earlier
/// cannot show whether another object is still loaded.
pub(super) fn find(address: usize) -> Option<Object> {
    match dl_find_object() {
        Some(find) => find_by_loader(find, address),
        None => find_in_list(AT_START.get()?, address).filter(Object::stays),
    }
}

/// Records which objects stay loaded. If the C library has no lock-free lookup, also reads the list
/// of objects. That takes the loader's lock, so it must run off the hot path.
pub(super) fn prepare() {
    if dl_find_object().is_none() {
        AT_START.get_or_init(read_list);
    }
    for (place, address) in STAYING.iter().zip(addresses_that_stay()) {
        let object = match dl_find_object() {
            Some(find) => find_by_loader(find, address),
            None => AT_START.get().and_then(|it| find_in_list(it, address)),
        };
        place.store(object.map_or(0, |it| it.start), Ordering::Relaxed);
    }
}

/// Start addresses of the objects that are never unloaded while this code runs.
static STAYING: [AtomicUsize; 7] = [const { AtomicUsize::new(0) }; 7];

/// Addresses of code in the program, in this object, and in libraries that this object depends on:
/// the loader keeps every library that a symbol of this object is bound to.
fn addresses_that_stay() -> [usize; 7] {
    // NOTE: none of these functions may be one that the program unwinds with. With link-time
    // optimization, what this declaration implies would hold for the whole program, such as that no
    // panic unwinds through the function.
    unsafe extern "C" {
        fn _Unwind_GetIP(context: *mut c_void) -> usize;
    }
    // SAFETY: the call has no preconditions.
    let program = unsafe { libc::getauxval(libc::AT_ENTRY) };
    let loader = dl_find_object().map_or(0, |find| find as usize);
    [
        program as usize,
        addresses_that_stay as *const () as usize,
        loader,
        libc::abort as *const () as usize,
        libc::qsort as *const () as usize,
        libc::pthread_create as *const () as usize,
        _Unwind_GetIP as *const () as usize,
    ]
}

impl Object {
    /// Whether the object can never be unloaded, so that facts about its code stay valid.
    ///
    /// True of the program, the tracer's own object, the C library and the unwinder. Other
    /// libraries that the program was linked with stay as well, but cannot be distinguished,
    /// without entering the loader, from those that were opened later.
    pub(super) fn stays(&self) -> bool {
        let is_it = |place: &AtomicUsize| place.load(Ordering::Relaxed) == self.start;
        STAYING.iter().any(is_it)
    }

    /// A number that distinguishes this object from any other that was or will be at its address: a
    /// hash of its address and its build id. `None` if it has no build id in the bytes that are
    /// surely readable.
    ///
    /// Only its first page is read. The object's file headers are there, and the linkers of GNU and
    /// LLVM put the notes right behind them. If there are holes between the segments, the page read
    /// is the first of the segment with the tables, which may be another.
    pub(super) fn fingerprint(&self) -> Option<u64> {
        let id = build_id(self.first_page()?)?;
        let hash = [self.end, self.index].iter().fold(self.start as u64, mix);
        Some(mix_bytes(hash, id) | 1)
    }

    fn first_page(&self) -> Option<&[u8]> {
        const PAGE: usize = 4096;
        let (start, end) = self.tables;
        if !start.is_multiple_of(PAGE) || end < start + PAGE {
            return None;
        }
        // SAFETY: the loader has mapped the object from `start` on, in whole pages, and a return
        // address on the stack keeps it loaded. The first page is read-only memory: the loader
        // itself has read the headers in it, or it is in the same segment as the tables.
        Some(unsafe { std::slice::from_raw_parts(start as *const u8, PAGE) })
    }

    /// Its [fingerprint](Self::fingerprint). Without a build id, a hash of its address, its path
    /// and the file's header, which implies the file's length. Another build of the same length at
    /// the same path is not distinguished.
    pub(super) fn identity(&self) -> u64 {
        self.fingerprint().unwrap_or_else(|| {
            let hash = [self.end, self.index].iter().fold(self.start as u64, mix);
            let header = self.first_page().map_or(&[][..], |page| &page[..64]);
            let map = dl_find_object().and_then(|find| link_map(find, self.start));
            [header, map.map_or(&[], LinkMap::path)]
                .into_iter()
                .fold(hash, mix_bytes)
        })
    }

    /// Passes the data that the loader would list of the object to `with`, if it can be read.
    /// Allocates nothing, and does not enter the loader.
    ///
    /// NOTE: the object must be loaded, and have code on this thread's stack.
    pub(super) fn describe(&self, with: impl FnMut(Listed<'_>)) {
        let Some(map) = dl_find_object().and_then(|find| link_map(find, self.start)) else {
            return;
        };
        // The page with the file's headers, at the start of its first segment.
        let page = self
            .first_page()
            .filter(|page| page.starts_with(b"\x7fELF"));
        let Some(page) = page else { return };
        let Some(headers) = program_headers(page) else {
            return;
        };
        let listed = modules::describe(map.base as u64, headers, map.path());
        listed.into_iter().for_each(with);
    }
}

/// The program headers in the first page of an object, if the page contains all of them.
fn program_headers(page: &[u8]) -> Option<&[libc::Elf64_Phdr]> {
    let (before, header, _) =
        // SAFETY: the struct consists of integers, for which any bytes are valid.
        unsafe { page.get(..size_of::<libc::Elf64_Ehdr>())?.align_to::<libc::Elf64_Ehdr>() };
    let header = header.first().filter(|_| before.is_empty())?;
    let start = usize::try_from(header.e_phoff).ok()?;
    let len = usize::from(header.e_phnum) * size_of::<libc::Elf64_Phdr>();
    let bytes = page.get(start..start.checked_add(len)?)?;
    // SAFETY: the struct consists of integers, for which any bytes are valid.
    let (before, headers, after) = unsafe { bytes.align_to::<libc::Elf64_Phdr>() };
    (before.is_empty() && after.is_empty()).then_some(headers)
}

/// A hash over the unloadable objects of these addresses. Zero if there are none. The uppermost bit
/// is always clear, since it is set in every hash.
pub(super) fn salt(addresses: impl Iterator<Item = usize>) -> u64 {
    let mut last: Option<Object> = None;
    let mut salt = 0;
    for address in addresses {
        if last.is_some_and(|it| (it.start..it.end).contains(&address)) {
            continue;
        }
        last = find(address);
        if let Some(object) = last.filter(|it| !it.stays()) {
            salt = mix(salt, &(object.identity() as usize));
        }
    }
    salt & !(1 << 63)
}

fn mix_bytes(hash: u64, bytes: &[u8]) -> u64 {
    bytes.chunks(8).fold(hash, |hash, chunk| {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        mix(hash, &usize::from_ne_bytes(word))
    })
}

fn mix(hash: u64, word: &usize) -> u64 {
    fold(
        hash ^ 0x2D35_8DCC_AA6C_78A5,
        *word as u64 ^ 0x8BB8_4B93_962E_ACC9,
    )
}

/// The build id of the object that starts with these bytes, if they contain it.
fn build_id(page: &[u8]) -> Option<&[u8]> {
    let half = |at: usize| {
        page.get(at..at + 2)?
            .try_into()
            .map(u16::from_ne_bytes)
            .ok()
    };
    let word = |at: usize| {
        let bytes = page.get(at..at.checked_add(8)?)?;
        let word = bytes.try_into().map(usize::from_ne_bytes).ok()?;
        // An offset inside the page, so that no sum of two overflows.
        (word < page.len()).then_some(word)
    };
    if page.get(..4)? != b"\x7fELF" {
        return None;
    }
    // Offset, size and number of the program headers, in `Elf64_Ehdr`.
    let (headers, size, count) = (word(32)?, usize::from(half(54)?), usize::from(half(56)?));
    (0..count).find_map(|number| {
        let header = headers + number * size;
        let kind = page.get(header..header + 4)?.try_into().ok()?;
        if u32::from_ne_bytes(kind) != libc::PT_NOTE {
            return None;
        }
        // `p_vaddr` counts from the start if the first segment begins at zero, as in a library; the
        // offset in the file is then the same.
        let (offset, address, length) = (word(header + 8)?, word(header + 16)?, word(header + 32)?);
        let notes = page.get(offset..offset + length)?;
        (offset == address)
            .then_some(notes)
            .and_then(modules::build_id)
    })
}

/// `struct dl_find_object` of glibc's `<dlfcn.h>`, x86-64.
#[repr(C)]
struct DlFindObject {
    flags: u64,
    map_start: *mut c_void,
    map_end: *mut c_void,
    link_map: *mut c_void,
    eh_frame: *mut c_void,
    reserved: [u64; 7],
}

type FindFn = unsafe extern "C" fn(*mut c_void, *mut DlFindObject) -> i32;

/// glibc's `_dl_find_object`, from 2.35 on: lock-free, and safe to call from a signal handler.
fn dl_find_object() -> Option<FindFn> {
    let address: usize;
    // SAFETY: loads the symbol's entry of the global offset table, which the loader fills in at
    // start. It is zero if the C library does not have the symbol, since the symbol is weak.
    unsafe {
        std::arch::asm!(
            ".weak _dl_find_object",
            "mov {address}, qword ptr [rip + _dl_find_object@GOTPCREL]",
            address = out(reg) address,
            options(nostack, pure, readonly, preserves_flags),
        );
    }
    if address == 0 {
        return None;
    }
    // SAFETY: the symbol is a function of that type: `int _dl_find_object(void *, struct
    // dl_find_object *)`.
    Some(unsafe { std::mem::transmute::<usize, FindFn>(address) })
}

fn find_by_loader(find: FindFn, address: usize) -> Option<Object> {
    let object = ask(find, address)?;
    // NOTE: for an object with holes the loader returns one segment, and the code's segment is not
    // that of the tables.
    if (object.start..object.end).contains(&object.index) {
        return Some(object);
    }
    let holder = ask(find, object.index).filter(|it| it.index == object.index)?;
    Some(Object {
        tables: (holder.start, holder.end),
        ..object
    })
}

fn ask(find: FindFn, address: usize) -> Option<Object> {
    // SAFETY: the struct consists of integers and pointers, for which zero is valid.
    let mut found: DlFindObject = unsafe { std::mem::zeroed() };
    // SAFETY: the second argument points to a struct of the right layout; the first is only
    // compared.
    let failed = unsafe { find(address as *mut c_void, &mut found) } != 0;
    if failed || found.eh_frame.is_null() {
        return None;
    }
    let (start, end) = (found.map_start as usize, found.map_end as usize);
    Some(Object {
        start,
        end,
        index: found.eh_frame as usize,
        tables: (start, end),
    })
}

/// The first fields of `struct link_map` of glibc's `<link.h>`.
#[repr(C)]
struct LinkMap {
    /// Difference between addresses in memory and in the file.
    base: usize,
    name: *const c_char,
}

impl LinkMap {
    fn path(&self) -> &[u8] {
        if self.name.is_null() {
            return &[];
        }
        // SAFETY: the loader's name of an object is a C string, which lives as long as the object
        // is loaded.
        unsafe { CStr::from_ptr(self.name) }.to_bytes()
    }
}

fn link_map(find: FindFn, address: usize) -> Option<&'static LinkMap> {
    // SAFETY: the struct consists of integers and pointers, for which zero is valid.
    let mut found: DlFindObject = unsafe { std::mem::zeroed() };
    // SAFETY: the second argument points to a struct of the right layout; the first is only
    // compared.
    let failed = unsafe { find(address as *mut c_void, &mut found) } != 0;
    if failed {
        return None;
    }
    // SAFETY: the pointer is null, or the loader's own for an object that is loaded.
    unsafe { found.link_map.cast::<LinkMap>().as_ref() }
}

const MOST_OBJECTS: usize = 256;

type Objects = [Option<Object>; MOST_OBJECTS];

/// The objects loaded at the start.
///
/// NOTE: initialized under the control lock, before captures. Captures only call `get`, which never
/// blocks.
static AT_START: OnceLock<Objects> = OnceLock::new();

fn find_in_list(objects: &Objects, address: usize) -> Option<Object> {
    let is_valid = |it: &&Object| (it.start..it.end).contains(&address);
    objects.iter().flatten().find(is_valid).copied()
}

fn read_list() -> Objects {
    struct List {
        objects: Objects,
        len: usize,
    }

    unsafe extern "C" fn add(info: *mut libc::dl_phdr_info, _: usize, list: *mut c_void) -> i32 {
        // SAFETY: `dl_iterate_phdr` passes on the pointer it was given below.
        let list = unsafe { &mut *list.cast::<List>() };
        // SAFETY: `dl_iterate_phdr` passes a pointer to a struct that is valid during the call.
        let info = unsafe { &*info };
        // SAFETY: the struct contains the place and the number of the object's program headers.
        let headers = unsafe { std::slice::from_raw_parts(info.dlpi_phdr, info.dlpi_phnum.into()) };
        let at = |header: &libc::Elf64_Phdr| (info.dlpi_addr + header.p_vaddr) as usize;
        let loads = || {
            headers
                .iter()
                .filter(|header| header.p_type == libc::PT_LOAD)
        };
        let index = headers
            .iter()
            .find(|header| header.p_type == libc::PT_GNU_EH_FRAME)
            .map(at);
        let start = loads().map(at).min();
        let end = loads()
            .map(|header| at(header) + header.p_memsz as usize)
            .max();
        if let (Some(index), Some(start), Some(end), Some(place)) =
            (index, start, end, list.objects.get_mut(list.len))
        {
            let tables = (start, end);
            *place = Some(Object {
                start,
                end,
                index,
                tables,
            });
            list.len += 1;
        }
        0
    }

    let mut list = List {
        objects: [None; MOST_OBJECTS],
        len: 0,
    };
    // SAFETY: `add` matches the callback's type and does not unwind; the pointer is to a local
    // that outlives the call.
    unsafe { libc::dl_iterate_phdr(Some(add), (&raw mut list).cast()) };
    list.objects
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways_find_the_same_object_for_a_function_of_ours_and_of_libc() {
        let listed = read_list();
        for address in [
            find as *const () as usize,
            libc::malloc as *const () as usize,
        ] {
            let by_list = find_in_list(&listed, address).unwrap();
            let Some(find) = dl_find_object() else { return };
            let by_loader = find_by_loader(find, address).unwrap();
            assert_eq!(by_loader.index, by_list.index);
            assert!((by_loader.start..by_loader.end).contains(&address));
        }
        assert!(find(0x1000).is_none());
    }

    #[test]
    fn the_program_and_the_c_library_stay_and_have_fingerprints_of_their_own() {
        prepare();
        let objects = addresses_that_stay().map(|address| find(address).unwrap());
        assert!(objects.iter().all(Object::stays));
        let elsewhere = Object {
            start: objects[1].start + 4096,
            tables: (objects[1].tables.0 + 4096, objects[1].tables.1),
            ..objects[1]
        };
        assert!(!elsewhere.stays());
        // The page with the tables is not the one with the headers.
        assert_eq!(elsewhere.fingerprint(), None);
        let libc = objects[3];
        assert!(libc.fingerprint().is_some());
        let longer = Object {
            end: libc.end + 4096,
            ..libc
        };
        assert_ne!(longer.fingerprint(), libc.fingerprint());
    }

    #[test]
    fn a_build_id_is_never_looked_for_beyond_the_first_page() {
        let mut page = [0xFF_u8; 4096];
        page[..4].copy_from_slice(b"\x7fELF");
        assert_eq!(build_id(&page), None);
        page[32..40].copy_from_slice(&64_usize.to_ne_bytes());
        page[54..56].copy_from_slice(&56_u16.to_ne_bytes());
        page[64..68].copy_from_slice(&libc::PT_NOTE.to_ne_bytes());
        for at in [64 + 8, 64 + 16] {
            page[at..at + 8].copy_from_slice(&4_076_usize.to_ne_bytes());
        }
        page[96..104].copy_from_slice(&20_usize.to_ne_bytes());
        for (at, word) in [(4_076, 4_u32), (4_080, 4), (4_084, 3)] {
            page[at..at + 4].copy_from_slice(&word.to_ne_bytes());
        }
        page[4_088..4_092].copy_from_slice(b"GNU\0");
        page[4_092..].copy_from_slice(&[1, 2, 3, 4]);
        assert_eq!(build_id(&page), Some(&[1, 2, 3, 4][..]));
        page[96..104].copy_from_slice(&21_usize.to_ne_bytes());
        assert_eq!(build_id(&page), None);
    }
}
