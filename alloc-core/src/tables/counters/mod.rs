//! The counters: current, peak, total and at peak, for each callsite and for the whole heap.
//!
//! # The two levels
//!
//! A thread counts in its own memory and folds its counts into shared counters now and then, so
//! that in the steady state no two threads write one cache line. For callsites the thread's part is
//! a [`Cell`] and the shared part a [`SharedCounters`]; for the heap they are [`Account`] and
//! [`Heap`]. A reader sees the sum of both.
//!
//! # At peak, in O(1)
//!
//! No counters are copied when the heap reaches a peak. A global *epoch* moves when the heap first
//! shrinks after a new peak. A counter that is about to change and carries another epoch first
//! saves its value and takes the current epoch. So at any moment, the value at the peak is the
//! saved value for a counter with the current epoch, and the present value for all others, which
//! have not changed since the peak. While the heap is at its peak ([`Heap::rising`]), present
//! values are the answer for all. Of equal peaks the later one counts.
//!
//! # Exactness
//!
//! With one thread everything is exact. With several, the heap's peak and the contents at the peak
//! are exact to within what threads hold back: see [`Account`].

mod account;
mod cell;
mod delta;
mod fold;
mod heap;
mod shared;
mod sums;
#[cfg(all(test, not(loom)))]
mod tests;

pub(crate) use account::{Account, Concurrency};
pub(crate) use cell::{Cell, CellCeiling};
pub(crate) use delta::{Delta, Signed};
pub(crate) use heap::{Heap, HeldBack};
pub(crate) use shared::SharedCounters;
pub(crate) use sums::Sums;

use crate::system::sync::{AtomicI64, Ordering};

fn raise(peak: &AtomicI64, candidate: i64) {
    // PERF: a load is cheaper than an atomic exchange that changes nothing, which is the usual
    // case.
    if candidate > peak.load(Ordering::Relaxed) {
        peak.fetch_max(candidate, Ordering::Relaxed);
    }
}
