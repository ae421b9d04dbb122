//! A signal to the process itself, a little later: for what a signal's handler cannot do yet.
//!
//! It is the signal that the handler handles, by a timer that is set only while something is asked for. So a program that
//! nobody asks is interrupted by nothing.

use std::ffi::c_void;

use crate::environment::signals::Signal;

/// Makes a timer for this process: again in a child after a fork. Without one there is no retry.
#[cfg(target_os = "linux")]
pub(crate) fn prepare(signal: Signal) {
    let mut event = std::mem::MaybeUninit::<libc::sigevent>::zeroed();
    // SAFETY: zero is a value of all fields.
    let event = unsafe { event.assume_init_mut() };
    event.sigev_notify = libc::SIGEV_SIGNAL;
    event.sigev_signo = signal.number();
    event.sigev_value.sival_ptr = mark();
    let mut timer = std::ptr::null_mut();
    // SAFETY: an event, and room for a timer.
    let failed = unsafe { libc::timer_create(libc::CLOCK_MONOTONIC, event, &mut timer) } != 0;
    TIMER.store(timer, Ordering::Relaxed);
    // The release shows the timer to the acquire in `soon`.
    HAS_TIMER.store(!failed, Ordering::Release);
}

/// Has the signal come again in a tenth of a second. A signal's handler may call it.
#[cfg(target_os = "linux")]
pub(crate) fn soon() {
    // The acquire pairs with the release in `prepare`.
    if !HAS_TIMER.load(Ordering::Acquire) {
        return;
    }
    let zero = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    let time = libc::itimerspec {
        it_interval: zero,
        it_value: libc::timespec {
            tv_nsec: 100_000_000,
            ..zero
        },
    };
    let timer = TIMER.load(Ordering::Relaxed);
    // SAFETY: the timer of this process, and a time.
    unsafe { libc::timer_settime(timer, 0, &time, std::ptr::null_mut()) };
}

/// Whether a signal is a retry, by the second argument of its handler.
///
/// # Safety
///
/// It is that of a handler with `SA_SIGINFO`, which still runs.
#[cfg(target_os = "linux")]
pub(crate) unsafe fn is_one(info: *const c_void) -> bool {
    // SAFETY: the caller's promise.
    let info = unsafe { &*info.cast::<libc::siginfo_t>() };
    if info.si_code != libc::SI_TIMER {
        return false;
    }
    // SAFETY: a signal of a timer has a value.
    unsafe { info.si_value() }.sival_ptr == mark()
}

#[cfg(target_os = "linux")]
use crate::system::sync::{AtomicBool, AtomicPtr, Ordering};

#[cfg(target_os = "linux")]
static TIMER: AtomicPtr<c_void> = AtomicPtr::new(std::ptr::null_mut());
#[cfg(target_os = "linux")]
static HAS_TIMER: AtomicBool = AtomicBool::new(false);

/// What tells its signals from others of the same number.
#[cfg(target_os = "linux")]
fn mark() -> *mut c_void {
    (&raw const TIMER).cast_mut().cast()
}

/// NOTE: where it cannot be told what a signal interrupts, nothing is put off.
#[cfg(not(target_os = "linux"))]
pub(crate) fn prepare(_: Signal) {}

#[cfg(not(target_os = "linux"))]
pub(crate) fn soon() {}

#[cfg(not(target_os = "linux"))]
pub(crate) unsafe fn is_one(_: *const c_void) -> bool {
    false
}
