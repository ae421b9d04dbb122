//! Sends the snapshot signal to this process again a little later, when its handler could not act.
//!
//! A timer sends it. The timer is armed only while a snapshot is pending, so an idle program is
//! never interrupted.

use std::ffi::c_void;

use crate::environment::signals::Signal;

/// Creates the timer. A child calls this again after a fork. Without a timer there is no retry.
#[cfg(target_os = "linux")]
pub(crate) fn prepare(signal: Signal) {
    let mut event = std::mem::MaybeUninit::<libc::sigevent>::zeroed();
    // SAFETY: all fields are integers or pointers, for which zero is valid.
    let event = unsafe { event.assume_init_mut() };
    event.sigev_notify = libc::SIGEV_SIGNAL;
    event.sigev_signo = signal.number();
    event.sigev_value.sival_ptr = mark();
    let mut timer = std::ptr::null_mut();
    // SAFETY: `event` is initialized, and `timer` has room for a timer's id.
    let failed = unsafe { libc::timer_create(libc::CLOCK_MONOTONIC, event, &mut timer) } != 0;
    TIMER.store(timer, Ordering::Relaxed);
    // The release publishes `TIMER` to the acquire in `soon`.
    HAS_TIMER.store(!failed, Ordering::Release);
}

/// Sends the signal again in a tenth of a second. Async-signal-safe.
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
    // SAFETY: `timer` was created in this process by `prepare`, and `time` is initialized.
    unsafe { libc::timer_settime(timer, 0, &time, std::ptr::null_mut()) };
}

/// Whether the signal being handled is a retry. `info` is the handler's second argument.
///
/// # Safety
///
/// `info` comes from a handler with `SA_SIGINFO` that is still running.
#[cfg(target_os = "linux")]
pub(crate) unsafe fn is_one(info: *const c_void) -> bool {
    // SAFETY: the caller guarantees that `info` is valid while the handler runs.
    let info = unsafe { &*info.cast::<libc::siginfo_t>() };
    if info.si_code != libc::SI_TIMER {
        return false;
    }
    // SAFETY: `si_value` is initialized for signals of a timer, which `si_code` shows.
    unsafe { info.si_value() }.sival_ptr == mark()
}

#[cfg(target_os = "linux")]
use crate::system::sync::{AtomicBool, AtomicPtr, Ordering};

#[cfg(target_os = "linux")]
static TIMER: AtomicPtr<c_void> = AtomicPtr::new(std::ptr::null_mut());
#[cfg(target_os = "linux")]
static HAS_TIMER: AtomicBool = AtomicBool::new(false);

/// The value that distinguishes the timer's signals from others with the same number.
#[cfg(target_os = "linux")]
fn mark() -> *mut c_void {
    (&raw const TIMER).cast_mut().cast()
}

/// NOTE: only Linux detects what a signal interrupted; on other systems nothing is deferred.
#[cfg(not(target_os = "linux"))]
pub(crate) fn prepare(_: Signal) {}

#[cfg(not(target_os = "linux"))]
pub(crate) fn soon() {}

#[cfg(not(target_os = "linux"))]
pub(crate) unsafe fn is_one(_: *const c_void) -> bool {
    false
}
