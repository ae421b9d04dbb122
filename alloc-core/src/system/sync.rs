//! The one place through which atomics come, and waiting for other threads, so that a model checker
//! can take their place: see `alloc-core/loom`.

use std::time::Duration;

pub(crate) use std::sync::atomic::{
    AtomicBool, AtomicI32, AtomicI64, AtomicPtr, AtomicU8, AtomicU16, AtomicU32, AtomicU64,
    AtomicUsize, Ordering, compiler_fence, fence,
};

/// How often a reader tries whom a writer is in the way of. With what it [waits](wait) that takes a
/// fifth of a second.
pub(crate) const ATTEMPTS: usize = 2_000;

/// Waits for a writer after so many attempts: it is about to be done, or the system has put it
/// aside.
pub(crate) fn wait(attempts: usize) {
    match attempts {
        0..64 => std::hint::spin_loop(),
        _ => std::thread::sleep(Duration::from_micros(50)),
    }
}
