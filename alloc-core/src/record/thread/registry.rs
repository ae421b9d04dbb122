//! [`Threads`]: the list of all states ever made.

use std::ptr::{self, NonNull};

use super::mode::MUTED;
use super::{Events, ThreadState, muted};
use crate::capture::StackBounds;
use crate::system::sync::{AtomicPtr, Ordering};
use crate::system::{arena, hooks};
use Ordering::Relaxed;

/// All thread states ever made.
pub(crate) struct Threads {
    first: AtomicPtr<ThreadState>,
    /// The first state in the free list. NOTE: only under the control lock.
    free: AtomicPtr<ThreadState>,
    /// The states claimed last, and the state where [`gone`](Self::gone) continues. NOTE: only
    /// under the control lock.
    latest: [AtomicPtr<ThreadState>; LATEST],
    looked_at: AtomicPtr<ThreadState>,
}

const LATEST: usize = 4;

impl Threads {
    pub(crate) const fn new() -> Threads {
        Threads {
            first: AtomicPtr::new(ptr::null_mut()),
            free: AtomicPtr::new(ptr::null_mut()),
            latest: [const { AtomicPtr::new(ptr::null_mut()) }; LATEST],
            looked_at: AtomicPtr::new(ptr::null_mut()),
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &'static ThreadState> {
        // The acquire pairs with the release in `claim`.
        Threads::iter_from(self.first.load(Ordering::Acquire))
    }

    fn iter_from(mut next: *mut ThreadState) -> impl Iterator<Item = &'static ThreadState> {
        std::iter::from_fn(move || {
            // SAFETY: states are published whole and never freed.
            let state = unsafe { next.as_ref() }?;
            next = state.next.load(Relaxed);
            Some(state)
        })
    }

    /// A state for the calling thread, in constant time. NOTE: only under the control lock.
    pub(crate) fn claim(&self, bounds: StackBounds) -> Option<&'static ThreadState> {
        // SAFETY: the pointer is null or a state; states are published whole and never freed.
        let state = match unsafe { self.free.load(Relaxed).as_ref() } {
            Some(state) => {
                self.free.store(state.next_free.load(Relaxed), Relaxed);
                state
            }
            None => {
                let fresh: NonNull<ThreadState> = arena::reserve(size_of::<ThreadState>())?.cast();
                // SAFETY: the memory has the right size and alignment, and is zeroed, which is
                // valid for every field. It is never released.
                let state = unsafe { fresh.as_ref() };
                state.cells.begin();
                state.recent.begin();
                state.next.store(self.first.load(Relaxed), Relaxed);
                // The release publishes the state to the acquire in `iter`.
                self.first.store(fresh.as_ptr(), Ordering::Release);
                state
            }
        };
        state.claimed.store(true, Relaxed);
        let latest = ptr::from_ref(state).cast_mut();
        self.latest
            .iter()
            .fold(latest, |newer, place| place.swap(newer, Relaxed));
        // SAFETY: no thread owns the state, so no thread records with it.
        unsafe { state.walker() }.begin(bounds);
        // NOTE: no session has this number, so the next thread is named again.
        state.session.store(u64::MAX, Relaxed);
        state.tls_destructor_rounds.store(0, Relaxed);
        state.is_of_this_thread();
        state.mode.store(MUTED * muted(), Relaxed);
        state.rejoin_later();
        Some(state)
    }

    /// Gives a folded state back. NOTE: only under the control lock, by the owner or while it is
    /// stopped.
    pub(crate) fn give_back(&self, state: &'static ThreadState, events: &Events) {
        state.fold_all();
        state.events.move_to(events);
        state.mode.store(0, Relaxed);
        state.uses.store(0, Relaxed);
        state.uses_begun.store(0, Relaxed);
        state.claimed.store(false, Relaxed);
        state.next_free.store(self.free.load(Relaxed), Relaxed);
        self.free.store(ptr::from_ref(state).cast_mut(), Relaxed);
    }

    /// The states that belong to a thread.
    pub(crate) fn claimed(&self) -> impl Iterator<Item = &'static ThreadState> {
        self.iter().filter(|state| state.claimed.load(Relaxed))
    }

    /// States whose thread ended without giving its state back, among those claimed last and
    /// `others` more. NOTE: only under the control lock.
    ///
    /// A thread that first records while its last destructor runs gets no notice of its end.
    pub(crate) fn gone(&self, others: usize) -> impl Iterator<Item = &'static ThreadState> {
        // SAFETY: the pointer is null or a state; states are published whole and never freed.
        let latest = |place: &AtomicPtr<ThreadState>| unsafe { place.load(Relaxed).as_ref() };
        let from_here = Threads::iter_from(self.looked_at.load(Relaxed));
        let others = from_here.chain(self.iter()).take(others).inspect(|state| {
            self.looked_at.store(state.next.load(Relaxed), Relaxed);
        });
        let is_gone = |state: &&ThreadState| {
            state.claimed.load(Relaxed) && hooks::is_gone(state.thread.load(Relaxed))
        };
        let all = self.latest.iter().filter_map(latest).chain(others);
        all.filter(is_gone)
    }

    pub(crate) fn resident(&self) -> usize {
        self.iter()
            .map(|state| arena::resident(NonNull::from(state).cast(), size_of::<ThreadState>()))
            .sum()
    }
}
