//! The only module that imports atomics and waits for other threads, so that a model checker can
//! replace both: see `alloc-core/loom`.

use std::time::Duration;

pub(crate) use std::sync::atomic::{
    AtomicBool, AtomicI32, AtomicI64, AtomicPtr, AtomicU8, AtomicU16, AtomicU32, AtomicU64,
    AtomicUsize, Ordering, compiler_fence, fence,
};

/// Number of attempts of a reader that a writer disturbs. With its [backoff](wait) that takes a
/// fifth of a second.
pub(crate) const ATTEMPTS: usize = 2_000;

/// Backs off after `attempts` failed attempts: the writer is about to finish, or it is preempted.
pub(crate) fn wait(attempts: usize) {
    match attempts {
        0..64 => std::hint::spin_loop(),
        _ => std::thread::sleep(Duration::from_micros(50)),
    }
}
