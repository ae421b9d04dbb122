//! The program and its libraries, as far as the loader knows them.

use std::ffi::c_void;

/// Keeps the library that this is part of loaded, if it is one: the system calls functions of it at
/// the end of threads and of the process, and the tracer's own threads run in it.
pub(crate) fn stay_loaded() {
    #[cfg(target_os = "linux")]
    {
        let own = object_of(stay_loaded as *const c_void);
        // SAFETY: a question. The program's headers lie in the program.
        let program = unsafe { libc::getauxval(libc::AT_PHDR) };
        let program = object_of(std::ptr::with_exposed_provenance(program as usize));
        let Some(own) = own.filter(|own| {
            !program.is_some_and(|program| std::ptr::eq(program.dli_fbase, own.dli_fbase))
        }) else {
            return;
        };
        let flags = libc::RTLD_LAZY | libc::RTLD_NOLOAD | libc::RTLD_NODELETE;
        // SAFETY: the name by which the loader has the library, which is loaded: so none of its
        // code runs by this.
        // NOTE: what is returned is one more reference, which is never given back.
        unsafe { libc::dlopen(own.dli_fname, flags) };
    }
}

/// The program or library that has this address.
#[cfg(target_os = "linux")]
pub(super) fn object_of(address: *const c_void) -> Option<libc::Dl_info> {
    let mut info = std::mem::MaybeUninit::<libc::Dl_info>::zeroed();
    // SAFETY: any address may be asked for, and there is room for the answer.
    let found = unsafe { libc::dladdr(address, info.as_mut_ptr()) } != 0;
    // SAFETY: zeroed, and filled in if found; zero is a value of every field.
    let info = unsafe { info.assume_init() };
    found.then_some(info)
}
