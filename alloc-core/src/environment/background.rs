//! Background threads of the tracer: they are not recorded, and they block all signals.

pub(crate) use imp::*;

#[cfg(unix)]
mod imp {
    use std::ffi::c_void;

    use crate::record::thread::{self, Stage};
    use crate::{system::hooks, system::signal_mask};

    /// Runs `service` on a background thread until the process ends. `false` if the system refuses.
    ///
    /// Does not use the global allocator. So a thread may call it inside an allocation, and so may
    /// a signal handler that [interrupted a wait](crate::system::waiting).
    pub(crate) fn serve(service: fn()) -> bool {
        start_thread(run_service, service as *mut c_void)
    }

    extern "C" fn run_service(service: *mut c_void) -> *mut c_void {
        thread::set(None, Stage::Internal);
        // SAFETY: `serve` made the pointer from a `fn()`.
        let service = unsafe { std::mem::transmute::<*mut c_void, fn()>(service) };
        // A panic must not unwind into the C library.
        if std::panic::catch_unwind(service).is_err() {
            hooks::write_to_stderr(&[
                "alloc-core: a panic ended the thread that writes snapshots\n",
            ]);
        }
        std::ptr::null_mut()
    }

    /// Runs `work` on a background thread. `false` if the system refuses.
    pub(crate) fn run(work: impl FnOnce() + Send + 'static) -> bool {
        let work: Box<Work> = Box::new(Box::new(work));
        let work = Box::into_raw(work);
        let started = start_thread(run_once, work.cast());
        if !started {
            // SAFETY: `into_raw` returned the pointer above, and no thread received it.
            drop(unsafe { Box::from_raw(work) });
        }
        started
    }

    type Work = Box<dyn FnOnce() + Send>;

    extern "C" fn run_once(work: *mut c_void) -> *mut c_void {
        thread::set(None, Stage::Internal);
        // SAFETY: `run` made the pointer from a `Box<Work>` and gave up ownership.
        let work = unsafe { Box::from_raw(work.cast::<Work>()) };
        // A panic must not unwind into the C library. A receiver sees its channel closed.
        let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
        std::ptr::null_mut()
    }

    type Body = extern "C" fn(*mut c_void) -> *mut c_void;

    /// Starts a thread that blocks all signals.
    fn start_thread(body: Body, argument: *mut c_void) -> bool {
        // A thread inherits its creator's signal mask.
        let blocked = signal_mask::Blocked::begin();
        let mut thread = std::mem::MaybeUninit::<libc::pthread_t>::uninit();
        // SAFETY: `thread` has room for an id, and `body` does not unwind.
        let failed =
            unsafe { libc::pthread_create(thread.as_mut_ptr(), std::ptr::null(), body, argument) }
                != 0;
        drop(blocked);
        if !failed {
            // SAFETY: `pthread_create` succeeded, so it wrote the id.
            let thread = unsafe { thread.assume_init() };
            // SAFETY: the thread is new, and nobody joins it.
            unsafe { libc::pthread_detach(thread) };
        }
        !failed
    }
}

#[cfg(not(unix))]
mod imp {
    /// NOTE: no variable is read on this system, so nothing needs the service.
    pub(crate) fn serve(_: fn()) -> bool {
        false
    }

    pub(crate) fn run(work: impl FnOnce() + Send + 'static) -> bool {
        let work = || {
            crate::record::thread::set(None, crate::record::thread::Stage::Internal);
            work()
        };
        std::thread::Builder::new().spawn(work).is_ok()
    }
}
