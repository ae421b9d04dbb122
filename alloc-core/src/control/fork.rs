//! Fork handling: what a fork waits for, and the state of the child.

use std::sync::MutexGuard;

use super::{Lock, lock, lock_readers};
use crate::capture;
use crate::record::gate::{Fault, give_up};
use crate::record::session::TABLES;
use crate::record::thread::{self, Busy};
use crate::system::sync::{AtomicU32, Ordering::Relaxed};

/// The locks that a fork holds, from before it to after it.
pub(crate) struct Fork {
    _readers: MutexGuard<'static, ()>,
    control: Lock,
    busy: Busy,
}

/// Before a fork: waits until no thread is in the middle of a record and no thread holds a lock.
///
/// NOTE: not in a signal handler that interrupted the control of the tracer: the thread may hold
/// any of the locks.
pub(crate) fn before_fork() -> Fork {
    let busy = Busy::begin();
    let readers = lock_readers();
    let mut control = lock();
    // NOTE: also needed without a session: scopes that count by stack take locks as well.
    control.stop_the_world(|_| ());
    Fork {
        _readers: readers,
        control,
        busy,
    }
}

/// After a fork, in the parent.
pub(crate) fn after_fork_in_parent(fork: Fork) {
    let Fork {
        _readers,
        mut control,
        busy,
    } = fork;
    control.publish();
    drop(control);
    drop(busy);
}

/// After a fork in the child, if [`before_fork`] could do nothing: other threads' records stay half
/// done. Recording is off from here on.
pub(crate) fn after_fork_unprepared() {
    FORKS.fetch_add(1, Relaxed);
    give_up(Fault::ForkWithinTracer);
}

/// After a fork, in the child: only the calling thread still exists. What the others had counted
/// stays counted.
///
/// The calling thread is busy until the returned guard is dropped.
pub(crate) fn after_fork_in_child(fork: Fork) -> Busy {
    let Fork {
        _readers,
        mut control,
        busy,
    } = fork;
    FORKS.fetch_add(1, Relaxed);
    capture::after_fork_in_child();
    let own = thread::current();
    for state in TABLES.threads.claimed() {
        if !own.is_some_and(|own| std::ptr::eq(own, state)) {
            TABLES.threads.give_back(state, &TABLES.events);
        }
    }
    if let Some(own) = own {
        own.is_of_this_thread();
    }
    control.attached = own.is_some().into();
    control.publish();
    drop(control);
    busy
}

/// Number of forks between the first process that used the tracer and this one.
pub(crate) fn forks() -> u32 {
    FORKS.load(Relaxed)
}

static FORKS: AtomicU32 = AtomicU32::new(0);
