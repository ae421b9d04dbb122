//! Which loaded object holds an address, and where its unwind tables are.

use std::ffi::c_void;
use std::sync::OnceLock;

/// A loaded object: the program or a shared library.
#[derive(Clone, Copy, Debug)]
pub(super) struct Object {
    /// The lowest and one past the highest address of its segments.
    pub(super) start: usize,
    pub(super) end: usize,
    /// Its `.eh_frame_hdr`.
    pub(super) index: usize,
}

/// Finds the object that holds `address`, without a lock and without entering the loader.
pub(super) fn find(address: usize) -> Option<Object> {
    match dl_find_object() {
        Some(find) => find_by_loader(find, address),
        None => {
            let objects = AT_START.get()?;
            objects
                .iter()
                .flatten()
                .find(|it| (it.start..it.end).contains(&address))
                .copied()
        }
    }
}

/// Reads the list of objects ahead, where the C library cannot be asked later. It takes the
/// loader's lock, so it must run off the hot path.
pub(super) fn prepare() {
    if dl_find_object().is_none() {
        AT_START.get_or_init(read_list);
    }
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
    // start: with zero, since the symbol is weak, where the C library does not have it.
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
    // SAFETY: a struct of integers and pointers, for which zero is a value.
    let mut found: DlFindObject = unsafe { std::mem::zeroed() };
    // SAFETY: the second argument points to a struct of the right layout; the first is only
    // compared.
    let failed = unsafe { find(address as *mut c_void, &mut found) } != 0;
    if failed || found.eh_frame.is_null() {
        return None;
    }
    Some(Object {
        start: found.map_start as usize,
        end: found.map_end as usize,
        index: found.eh_frame as usize,
    })
}

const MOST_OBJECTS: usize = 256;

static AT_START: OnceLock<[Option<Object>; MOST_OBJECTS]> = OnceLock::new();

fn read_list() -> [Option<Object>; MOST_OBJECTS] {
    struct List {
        objects: [Option<Object>; MOST_OBJECTS],
        len: usize,
    }

    unsafe extern "C" fn add(info: *mut libc::dl_phdr_info, _: usize, list: *mut c_void) -> i32 {
        // SAFETY: `dl_iterate_phdr` passes on the pointer it was given below.
        let list = unsafe { &mut *list.cast::<List>() };
        // SAFETY: and a pointer to a struct that is valid during the call.
        let info = unsafe { &*info };
        // SAFETY: which says where the object's program headers are, and how many.
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
            *place = Some(Object { start, end, index });
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
            let by_list = listed
                .iter()
                .flatten()
                .find(|it| (it.start..it.end).contains(&address))
                .unwrap();
            let Some(find) = dl_find_object() else { return };
            let by_loader = find_by_loader(find, address).unwrap();
            assert_eq!(by_loader.index, by_list.index);
            assert!((by_loader.start..by_loader.end).contains(&address));
        }
        assert!(find(0x1000).is_none());
    }
}
