//! Callbacks from the system: the end of a thread, a fork, the end of the process.

use std::ffi::c_void;
use std::ptr::NonNull;
use std::sync::OnceLock;

use super::ForkHandlers;
use super::barrier::register_barrier;
use super::objects::stay_loaded;

/// The key whose destructor runs at the end of a thread, or `None` if the system refused it.
///
/// NOTE: a `OnceLock`, since the registrations must run only once. They run in the first call of
/// the allocator, under the control lock, so no other thread waits for them.
static THREAD_END: OnceLock<Option<libc::pthread_key_t>> = OnceLock::new();

/// Registers the callbacks once: `thread_end` at the end of each thread that called
/// [`call_at_thread_end`], with the `data` that it passed, and `fork` around a fork. Returns
/// `false` if the system refuses.
pub(crate) fn prepare(
    thread_end: unsafe extern "C" fn(*mut c_void),
    fork: &'static ForkHandlers,
) -> bool {
    let key = THREAD_END.get_or_init(|| {
        let mut key = 0;
        // SAFETY: `key` has room for a key, and the function has the right type and does not
        // unwind.
        let failed = unsafe { libc::pthread_key_create(&mut key, Some(thread_end)) } != 0;
        stay_loaded();
        let (before, in_parent) = (Some(fork.before), Some(fork.in_parent));
        // SAFETY: the three functions have the right type and do not unwind. If the system has no
        // memory for the registration, the child of a program with threads may find a lock held.
        unsafe { libc::pthread_atfork(before, in_parent, Some(fork.in_child)) };
        register_barrier();
        (!failed).then_some(key)
    });
    key.is_some()
}

/// Registers the end of the calling thread; `data` is passed to the callback. Returns `false` if
/// the system refuses.
pub(crate) fn call_at_thread_end(data: NonNull<()>) -> bool {
    let Some(key) = THREAD_END.get().copied().flatten() else {
        return false;
    };
    // SAFETY: the key was created; only the callback at the thread's end reads the value.
    unsafe { libc::pthread_setspecific(key, data.as_ptr().cast_const().cast()) == 0 }
}

/// Registers `act` to run when the process ends by `exit` or by a return from `main`.
pub(crate) fn call_at_exit(act: extern "C" fn()) -> bool {
    // SAFETY: the function has the right type and does not unwind.
    unsafe { libc::atexit(act) == 0 }
}
