//! The modules of the process, with their writable ranges and thread-locals.

use std::ffi::{CStr, c_void};

use super::machine::thread_pointer;

/// A module: the program or a shared library.
pub(super) struct Module {
    /// What an address in the file is moved by.
    pub(super) bias: usize,
    /// Empty for the program.
    pub(super) path: Vec<u8>,
    /// The start and the end of each writable range.
    pub(super) writable: Vec<(usize, usize)>,
    /// The distance from the thread pointer to the module's thread-locals, if they are at the same
    /// distance in every thread.
    pub(super) tls_offset: isize,
    pub(super) tls_size: usize,
}

/// The most bytes between the thread pointer and thread-locals at a fixed distance.
const FARTHEST: isize = 1 << 24;

/// Lists the modules. NOTE: takes the loader's lock.
pub(super) fn list() -> Vec<Module> {
    unsafe extern "C" fn add(info: *mut libc::dl_phdr_info, _: usize, list: *mut c_void) -> i32 {
        // SAFETY: `dl_iterate_phdr` passes on the pointer that it was given below.
        let list = unsafe { &mut *list.cast::<Vec<Module>>() };
        // SAFETY: `dl_iterate_phdr` passes a pointer to a struct that is valid during the call.
        let info = unsafe { &*info };
        // SAFETY: the struct contains the place and the number of the object's program headers.
        let headers = unsafe { std::slice::from_raw_parts(info.dlpi_phdr, info.dlpi_phnum.into()) };
        // SAFETY: the name is a C string, which the loader keeps while the object is loaded.
        let name = unsafe { CStr::from_ptr(info.dlpi_name) };
        let bias = info.dlpi_addr as usize;
        let is_writable =
            |it: &&libc::Elf64_Phdr| it.p_type == libc::PT_LOAD && it.p_flags & libc::PF_W != 0;
        let range = |it: &libc::Elf64_Phdr| {
            let start = bias + it.p_vaddr as usize;
            (start, start + it.p_memsz as usize)
        };
        let tls_size = headers
            .iter()
            .find(|it| it.p_type == libc::PT_TLS)
            .map_or(0, |it| it.p_memsz as usize);
        let tls = info.dlpi_tls_data.addr();
        let offset = (tls as isize).wrapping_sub(thread_pointer() as isize);
        let is_fixed = tls != 0 && tls_size > 0 && offset.abs() < FARTHEST;
        list.push(Module {
            bias,
            path: name.to_bytes().to_vec(),
            writable: headers.iter().filter(is_writable).map(range).collect(),
            tls_offset: if is_fixed { offset } else { 0 },
            tls_size: if is_fixed { tls_size } else { 0 },
        });
        0
    }

    let mut list = Vec::<Module>::new();
    // SAFETY: `add` matches the callback's type; the pointer is to a local that outlives the call.
    unsafe { libc::dl_iterate_phdr(Some(add), (&raw mut list).cast()) };
    list
}
