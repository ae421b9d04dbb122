//! Threads that stand apart from the program: nothing of theirs is recorded, and no signal interrupts them.

pub(crate) use imp::{run, start};

#[cfg(unix)]
mod imp {
    use std::ffi::c_void;
    use std::time::Duration;

    use crate::hooks;
    use crate::signals::Signal;
    use crate::sync::{AtomicI32, AtomicPtr, Ordering};
    use crate::thread::{self, Stage};

    /// What [`start`] runs: it is given what waits for so long at most, or until a signal, and says
    /// whether that came.
    pub(crate) type Service = fn(&dyn Fn(Option<Duration>) -> bool);

    static SERVICE: AtomicPtr<()> = AtomicPtr::new(std::ptr::null_mut());
    /// The ends of the pipe by which a signal's handler wakes the thread: where to read and to write.
    static WAKE: [AtomicI32; 2] = [const { AtomicI32::new(-1) }; 2];

    /// Runs `service` on a thread of its own, which no signal interrupts, and has it woken by `signal`.
    /// `false` where the system refuses.
    ///
    /// May be called before `main`, and again in a child after a fork.
    pub(crate) fn start(service: Service, signal: Option<Signal>) -> bool {
        let mut ends = [-1; 2];
        // SAFETY: room for two numbers.
        if unsafe { libc::pipe(ends.as_mut_ptr()) } != 0 {
            return false;
        }
        for (end, place) in ends.into_iter().zip(&WAKE) {
            for (command, flag) in [
                (libc::F_SETFD, libc::FD_CLOEXEC),
                // Neither a handler nor the thread ever waits for the pipe.
                (libc::F_SETFL, libc::O_NONBLOCK),
            ] {
                // SAFETY: a file of ours, and a number.
                unsafe { libc::fcntl(end, command, flag) };
            }
            let before = place.swap(end, Ordering::AcqRel);
            if before >= 0 {
                // The parent's, which has it still.
                //
                // SAFETY: nobody else in this process uses it: this is the only thread after a fork.
                unsafe { libc::close(before) };
            }
        }
        SERVICE.store(service as *mut (), Ordering::Release);
        if let Some(signal) = signal
            && !handle(signal)
        {
            return false;
        }
        start_thread(serve, std::ptr::null_mut())
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
        thread::set(None, Stage::Apart);
        // SAFETY: what `run` passed on, and nobody else has it.
        let work = unsafe { Box::from_raw(work.cast::<Work>()) };
        // A panic must not cross into the C library; whoever waits sees that nothing came.
        let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
        std::ptr::null_mut()
    }

    fn handle(signal: Signal) -> bool {
        let mut action = std::mem::MaybeUninit::<libc::sigaction>::zeroed();
        // SAFETY: zero is a value of all fields: no handler, no flags, an empty set.
        let action = unsafe { action.assume_init_mut() };
        action.sa_sigaction = wake as *const () as usize;
        action.sa_flags = libc::SA_RESTART;
        // SAFETY: a handler of the right type that does nothing that a handler must not.
        unsafe { libc::sigaction(signal.number(), action, std::ptr::null_mut()) == 0 }
    }

    extern "C" fn wake(_: libc::c_int) {
        let error = std::io::Error::last_os_error().raw_os_error();
        let end = WAKE[1].load(Ordering::Acquire);
        // SAFETY: one byte. A pipe that is full wakes the thread as well.
        unsafe { libc::write(end, c"!".as_ptr().cast(), 1) };
        if let Some(error) = error {
            set_errno(error);
        }
    }

    /// The program that was interrupted shall find its own error.
    fn set_errno(error: i32) {
        #[cfg(target_os = "linux")]
        // SAFETY: it has no conditions.
        let place = unsafe { libc::__errno_location() };
        #[cfg(target_os = "macos")]
        // SAFETY: as above.
        let place = unsafe { libc::__error() };
        #[cfg(any(target_os = "linux", target_os = "macos"))]
        // SAFETY: the thread's own place for it.
        unsafe {
            place.write(error);
        }
        #[cfg(not(any(target_os = "linux", target_os = "macos")))]
        let _ = error;
    }

    type Body = extern "C" fn(*mut c_void) -> *mut c_void;

    /// Starts a thread that no signal interrupts.
    fn start_thread(body: Body, argument: *mut c_void) -> bool {
        let mut all = std::mem::MaybeUninit::<libc::sigset_t>::zeroed();
        let mut before = std::mem::MaybeUninit::<libc::sigset_t>::zeroed();
        // SAFETY: room for a set.
        unsafe { libc::sigfillset(all.as_mut_ptr()) };
        // SAFETY: a set that was filled, and room for another.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, all.as_ptr(), before.as_mut_ptr()) };
        let mut thread = std::mem::MaybeUninit::<libc::pthread_t>::uninit();
        // SAFETY: room for a thread, and a function of the right type that does not unwind.
        let failed =
            unsafe { libc::pthread_create(thread.as_mut_ptr(), std::ptr::null(), body, argument) }
                != 0;
        // SAFETY: the set that was there before.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, before.as_ptr(), std::ptr::null_mut()) };
        if !failed {
            // SAFETY: it was made.
            let thread = unsafe { thread.assume_init() };
            // SAFETY: nobody waits for it.
            unsafe { libc::pthread_detach(thread) };
        }
        !failed
    }

    extern "C" fn serve(_: *mut c_void) -> *mut c_void {
        thread::set(None, Stage::Apart);
        let service = SERVICE.load(Ordering::Acquire);
        // SAFETY: `start` stored a function of this type.
        let service = unsafe { std::mem::transmute::<*mut (), Service>(service) };
        // A panic must not cross into the C library.
        if std::panic::catch_unwind(|| service(&wait)).is_err() {
            hooks::write_to_stderr(&[
                "alloc-core: a panic ended the thread that writes snapshots\n",
            ]);
        }
        std::ptr::null_mut()
    }

    fn wait(at_most: Option<Duration>) -> bool {
        let fd = WAKE[0].load(Ordering::Acquire);
        let mut poll = libc::pollfd {
            fd,
            events: libc::POLLIN,
            revents: 0,
        };
        // Rounded up, so that it is time when it returns; and again after a day.
        let milliseconds = at_most.map_or(i128::MAX, |it| it.as_micros().div_ceil(1000) as i128);
        let milliseconds = milliseconds.min(86_400_000) as libc::c_int;
        // SAFETY: one place.
        if unsafe { libc::poll(&mut poll, 1, milliseconds) } <= 0 {
            return false;
        }
        let mut bytes = [0_u8; 64];
        // SAFETY: room for as many bytes as are said.
        unsafe { libc::read(fd, bytes.as_mut_ptr().cast(), bytes.len()) > 0 }
    }
}

#[cfg(not(unix))]
mod imp {
    /// NOTE: no variable can ask for it.
    pub(crate) fn start(
        _: fn(&dyn Fn(Option<std::time::Duration>) -> bool),
        _: Option<crate::signals::Signal>,
    ) -> bool {
        false
    }

    pub(crate) fn run(work: impl FnOnce() + Send + 'static) -> bool {
        let work = || {
            crate::thread::set(None, crate::thread::Stage::Apart);
            work()
        };
        std::thread::Builder::new().spawn(work).is_ok()
    }
}
