//! Threads that stand apart from the program: nothing of theirs is recorded, and no signal interrupts them.

pub(crate) use imp::*;

#[cfg(unix)]
mod imp {
    use std::ffi::c_void;

    use crate::record::thread::{self, Stage};
    use crate::{system::hooks, system::signal_mask};

    /// Runs `service` on a thread that stands apart, until the process ends. `false` where the system refuses.
    ///
    /// Allocates nothing of the program's: a signal's handler may call it where that [only interrupted a
    /// wait](crate::system::waiting), and a thread in the middle of an allocation.
    pub(crate) fn serve(service: fn()) -> bool {
        start_thread(run_service, service as *mut c_void)
    }

    extern "C" fn run_service(service: *mut c_void) -> *mut c_void {
        thread::set(None, Stage::Internal);
        // SAFETY: `serve` passed a function of this type.
        let service = unsafe { std::mem::transmute::<*mut c_void, fn()>(service) };
        // A panic must not cross into the C library.
        if std::panic::catch_unwind(service).is_err() {
            hooks::write_to_stderr(&[
                "alloc-core: a panic ended the thread that writes snapshots\n",
            ]);
        }
        std::ptr::null_mut()
    }

    /// Runs `work` on a thread that stands apart. `false` where the system refuses.
    pub(crate) fn run(work: impl FnOnce() + Send + 'static) -> bool {
        let work: Box<Work> = Box::new(Box::new(work));
        let work = Box::into_raw(work);
        let started = start_thread(run_once, work.cast());
        if !started {
            // SAFETY: from just above, and no thread has it.
            drop(unsafe { Box::from_raw(work) });
        }
        started
    }

    type Work = Box<dyn FnOnce() + Send>;

    extern "C" fn run_once(work: *mut c_void) -> *mut c_void {
        thread::set(None, Stage::Internal);
        // SAFETY: what `run` passed on, and nobody else has it.
        let work = unsafe { Box::from_raw(work.cast::<Work>()) };
        // A panic must not cross into the C library; whoever waits sees that nothing came.
        let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
        std::ptr::null_mut()
    }

    type Body = extern "C" fn(*mut c_void) -> *mut c_void;

    /// Starts a thread that no signal interrupts.
    fn start_thread(body: Body, argument: *mut c_void) -> bool {
        // A thread inherits which signals wait.
        let blocked = signal_mask::Blocked::begin();
        let mut thread = std::mem::MaybeUninit::<libc::pthread_t>::uninit();
        // SAFETY: room for a thread, and a function of the right type that does not unwind.
        let failed =
            unsafe { libc::pthread_create(thread.as_mut_ptr(), std::ptr::null(), body, argument) }
                != 0;
        drop(blocked);
        if !failed {
            // SAFETY: it was made.
            let thread = unsafe { thread.assume_init() };
            // SAFETY: nobody waits for it.
            unsafe { libc::pthread_detach(thread) };
        }
        !failed
    }
}

#[cfg(not(unix))]
mod imp {
    /// NOTE: no variable can ask for it.
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
