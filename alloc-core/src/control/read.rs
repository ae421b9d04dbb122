//! Read access to the tables: totals, and a lock against clearing.

use super::{Config, lock, lock_readers};
use crate::Error;
use crate::capture::{self, CaptureMethod};
use crate::record::gate::{check_fault, is_on};
use crate::record::session::{SAMPLE_FILTER, TABLES};
use crate::record::settings::{only_counts, sampling};
use crate::record::thread::{self, Busy, ThreadState};
use crate::tables::counters::HeldBack;
use crate::{Bytes, TracedMemory};

fn held_back() -> HeldBack {
    let states = TABLES.threads.iter().map(ThreadState::held_back);
    states.fold(HeldBack::NOTHING, HeldBack::plus)
}

/// Whether the heap has not shrunk since its peak. In a session that only counts, a single thread
/// records that only when it checks.
pub(crate) fn is_rising() -> bool {
    TABLES.heap.rising() || only_counts() && TABLES.heap.is_at_peak(held_back().bytes)
}

pub(crate) fn traced_memory() -> TracedMemory {
    if is_on() {
        TracedMemory {
            sampled: sampling().is_some(),
            ..TABLES.heap.read(held_back)
        }
    } else {
        TracedMemory::default()
    }
}

/// Number of frames that a traceback keeps, while tracing is on.
pub(crate) fn traceback_limit() -> Option<u16> {
    let _muted = thread::mute();
    let _busy = Busy::begin();
    lock().session.as_ref().map(Config::traceback_limit)
}

pub(crate) fn capture_method() -> Option<CaptureMethod> {
    let _muted = thread::mute();
    let _busy = Busy::begin();
    lock().method
}

/// Physical memory of the tracer, in bytes; `others` returns that of the layers above.
pub(crate) fn tracer_memory(others: impl FnOnce() -> usize) -> Bytes {
    let _muted = thread::mute();
    let _busy = Busy::begin();
    let _readers = lock_readers();
    let bytes = TABLES.blocks.resident()
        + TABLES.counted.resident()
        + TABLES.callsites.resident()
        + TABLES.lifetimes.resident()
        + TABLES.held_back.resident()
        + TABLES.ages.resident()
        + TABLES.frees.resident()
        + TABLES.usable.resident()
        + TABLES.threads.resident()
        + SAMPLE_FILTER.resident()
        + capture::resident()
        + others();
    Bytes::new(bytes as u64)
}

/// Has all threads add what they hold back of who freed what, if the session counts that.
///
/// It stops the world, unless this is a signal handler that interrupted a record.
pub(crate) fn settle_frees() {
    if thread::current().is_some_and(ThreadState::is_waited_for) {
        return;
    }
    let _busy = Busy::begin();
    let mut control = lock();
    if control.session.as_ref().is_some_and(|it| it.frees) {
        control.stop_the_world(|_| TABLES.threads.claimed().for_each(ThreadState::settle_frees));
        control.publish();
    }
}

/// Runs `read` while the tables cannot be cleared. Other threads go on recording.
pub(crate) fn reading<R>(read: impl FnOnce(&Config) -> R) -> Result<R, Error> {
    let config = {
        let _busy = Busy::begin();
        let mut control = lock();
        control.detach_gone(64);
        control.session.clone()
    };
    // NOTE: between the two locks tracing may stop; then the tables are empty, but still valid.
    let _readers = lock_readers();
    check_fault()?;
    match config {
        Some(config) if is_on() => Ok(read(&config)),
        _ => Err(Error::not_tracing()),
    }
}
