//! Attaching and detaching: a thread gets its state, and gives it back at its end.

use std::ffi::c_void;
use std::ptr::NonNull;

use super::{Control, lock};
use crate::capture;
use crate::record::session::TABLES;
use crate::record::thread::{self, Busy, Stage, ThreadState};
use crate::system::hooks;

impl Control {
    /// Gives the calling thread a state.
    pub(super) fn attach(&mut self) -> Option<&'static ThreadState> {
        let state = TABLES.threads.claim(capture::stack_bounds())?;
        if !hooks::call_at_thread_end(NonNull::from(state).cast()) {
            TABLES.threads.give_back(state, &TABLES.events);
            return None;
        }
        self.attached += 1;
        self.detach_gone(2);
        // The second thread: the first one must join a multi-threaded generation before this one
        // records. A third thread or later changes only each one's share of the credit.
        if self.attached == 2 && self.session.is_some() {
            self.stop_the_world(|_| {
                TABLES.threads.claimed().for_each(ThreadState::fold_all);
            });
            self.publish();
        }
        TABLES.heap.set_threads(self.attached);
        thread::set(Some(state), Stage::Attached);
        Some(state)
    }

    /// Takes the calling thread's state away. The thread may still allocate: see
    /// [`with_exclusive_tables`].
    fn detach(&mut self, state: &'static ThreadState) {
        thread::set(None, Stage::Gone);
        self.take_back(state);
        self.detach_gone(8);
    }

    /// Takes back a state whose thread no longer records.
    fn take_back(&mut self, state: &'static ThreadState) {
        TABLES.threads.give_back(state, &TABLES.events);
        self.attached -= 1;
        if self.session.is_some() && self.attached <= 1 {
            self.publish();
        }
        TABLES.heap.set_threads(self.attached);
    }

    /// Takes back the states of threads that ended without giving them back, among the next
    /// `states` states.
    ///
    /// Each new thread checks more states than it can leave behind, so there are never many, and a
    /// last remaining thread is single again.
    pub(super) fn detach_gone(&mut self, states: usize) {
        for state in TABLES.threads.gone(states) {
            self.take_back(state);
        }
    }
}

/// The calling thread's state, claimed if it has none. `None` at the thread's end, and if the
/// system is out of memory.
pub(crate) fn attached() -> Option<&'static ThreadState> {
    match thread::stage() {
        Stage::Attached => thread::current(),
        Stage::Busy => thread::current(),
        Stage::Gone | Stage::Internal => None,
        Stage::Fresh => {
            let _busy = Busy::begin();
            lock().attach()
        }
    }
}

/// Called at the end of each thread that has a state.
fn thread_ended(state: &'static ThreadState) {
    // NOTE: the scope is one that the thread was started in.
    thread::disown_scope();
    let _busy = Busy::begin();
    thread::give_back_spare_slot();
    lock().detach(state);
}

/// Called by the system at the end of each thread that has a state, with that state.
///
/// # Safety
///
/// `state` is what [`hooks::call_at_thread_end`] was called with on this thread: a state, which is
/// never freed.
pub(super) unsafe extern "C" fn at_thread_end(state: *mut c_void) {
    // SAFETY: the caller passes a state, which is never freed.
    let state: &'static ThreadState = unsafe { &*state.cast_const().cast() };
    let calls_again = || hooks::call_at_thread_end(NonNull::from(state).cast());
    if !thread::is_last_tls_destructor_round(state) && calls_again() {
        return;
    }
    thread_ended(state);
}

/// Runs `change` with the tables to itself, for a thread that no longer has a state.
pub(crate) fn with_exclusive_tables<R>(change: impl FnOnce() -> Option<R>) -> Option<R> {
    let _busy = Busy::begin();
    let mut control = lock();
    control.session.as_ref()?;
    // A single thread assumes that only it changes the heap and folds.
    let result = if control.attached <= 1 {
        control.stop_the_world(|_| {
            for state in TABLES.threads.claimed() {
                state.tell_peak();
            }
            change()
        })
    } else {
        change()
    };
    control.publish();
    result
}
