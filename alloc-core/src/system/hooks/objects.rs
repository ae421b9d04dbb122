//! The program and its libraries, as the loader lists them.

use std::ffi::c_void;

/// Keeps the library that contains this code loaded, if it is a library. The system calls functions
/// of it at the end of threads and of the process, and the tracer's own threads run in it.
pub(crate) fn stay_loaded() {
    #[cfg(target_os = "linux")]
    {
        let own = object_of(stay_loaded as *const c_void);
        // SAFETY: a query. The program's headers are inside the program.
        let program = unsafe { libc::getauxval(libc::AT_PHDR) };
        let program = object_of(std::ptr::with_exposed_provenance(program as usize));
        let Some(own) = own.filter(|own| {
            !program.is_some_and(|program| std::ptr::eq(program.dli_fbase, own.dli_fbase))
        }) else {
            return;
        };
        let flags = libc::RTLD_LAZY | libc::RTLD_NOLOAD | libc::RTLD_NODELETE;
        // SAFETY: the library of this name is already loaded, so the call runs none of its code.
        // NOTE: the returned reference is never released.
        unsafe { libc::dlopen(own.dli_fname, flags) };
    }
}

/// The program or library that contains this address.
#[cfg(target_os = "linux")]
pub(super) fn object_of(address: *const c_void) -> Option<libc::Dl_info> {
    let mut info = std::mem::MaybeUninit::<libc::Dl_info>::zeroed();
    // SAFETY: any address is allowed, and `info` has room for the answer.
    let found = unsafe { libc::dladdr(address, info.as_mut_ptr()) } != 0;
    // SAFETY: `info` is zeroed, and filled in if found; zero is valid for every field.
    let info = unsafe { info.assume_init() };
    found.then_some(info)
}
