//! What the system calls us for: the end of a thread, a fork, the end of the process.

use std::ffi::c_void;
use std::ptr::NonNull;
use std::sync::OnceLock;

use super::ForkHandlers;
use super::barrier::register_barrier;
use super::objects::stay_loaded;

static THREAD_END: OnceLock<Option<libc::pthread_key_t>> = OnceLock::new();

/// Registers once what the system calls: `thread_end` at the end of each thread that [asked for
/// it](call_at_thread_end), with what it passed, and `fork` around a fork. `false` where the system
/// refuses.
pub(crate) fn prepare(
    thread_end: unsafe extern "C" fn(*mut c_void),
    fork: &'static ForkHandlers,
) -> bool {
    let key = THREAD_END.get_or_init(|| {
        let mut key = 0;
        // SAFETY: room for a key, and a function of the right type that does not unwind.
        let failed = unsafe { libc::pthread_key_create(&mut key, Some(thread_end)) } != 0;
        stay_loaded();
        let (before, in_parent) = (Some(fork.before), Some(fork.in_parent));
        // SAFETY: three functions of the right type that do not unwind. Without memory for the
        // registration a forked child of a program with threads may find a lock held.
        unsafe { libc::pthread_atfork(before, in_parent, Some(fork.in_child)) };
        register_barrier();
        (!failed).then_some(key)
    });
    key.is_some()
}

/// Registers the end of the calling thread, which is passed `data` then. `false` where the system
/// refuses.
pub(crate) fn call_at_thread_end(data: NonNull<()>) -> bool {
    let Some(key) = THREAD_END.get().copied().flatten() else {
        return false;
    };
    // SAFETY: the key was created; nothing but what is called at the end reads the value.
    unsafe { libc::pthread_setspecific(key, data.as_ptr().cast_const().cast()) == 0 }
}

/// Has `act` called when the process ends by `exit` or by returning from `main`.
pub(crate) fn call_at_exit(act: extern "C" fn()) -> bool {
    // SAFETY: a function of the right type that does not unwind.
    unsafe { libc::atexit(act) == 0 }
}
