//! What follows on an allocation, a free or a reallocation, in the order of a call.

use std::alloc::{GlobalAlloc, Layout};

use super::TraceAlloc;
use crate::control::Knowledge;
use crate::record::counting::Counter;
use crate::record::enter::{self, Guard};
use crate::record::extended::Extended;
use crate::record::gate::GateWord;
use crate::record::hooks::{FastPath, Hooks};
use crate::record::recorder::Recorder;
use crate::record::unguarded::Unguarded;
use crate::tables::callsites::CallsiteId;
use crate::{control, environment, scope, services};

/// Whether a call in tail position is a jump, as in an optimized program.
///
/// Whatever it takes to get there, a block must be recorded from one place, so that all stacks
/// begin alike: where calls leave frames, from one call.
const JUMPS: bool = !cfg!(debug_assertions);

/// The steps of an event. Each has the safety contract of the [`GlobalAlloc`] method that its name
/// begins with.
///
/// | step | when |
/// | --- | --- |
/// | `_fast` | fast path: a session of every block, and the thread has joined its generation |
/// | `_slow` | a sample is recorded, or a scope is alive |
/// | `_in_scope` | a scope is alive: it counts the block, besides what the session does |
/// | `_guarded` | slow path: takes the guard, and maybe a state for the thread, a new generation, or a wait |
/// | `_with` | calls the inner allocator and the hooks of the guard |
///
/// PERF: sizes and alignments are passed where, and in the order in which, the compiler's shims get
/// them: they stay in their registers. The step is chosen in the shims: one more jump makes small
/// vectors 3 % slower. Steps that are rare are cold, which keeps them out of line: 2 % there.
impl<A: GlobalAlloc> TraceAlloc<A> {
    /// The right to do what the session does about an event.
    #[inline(always)]
    fn enter(&self) -> Option<Guard> {
        if control::is_unset() {
            self.begin();
        }
        enter::enter()
    }

    /// The first call of all.
    #[cold]
    #[inline(never)]
    fn begin(&self) {
        let inner = Knowledge {
            granule: self.granule,
            usable_sizes: self.usable_size.is_known(),
        };
        environment::begin(inner, || {
            let layout = Layout::new::<u8>();
            // SAFETY: the layout is not empty.
            let block = unsafe { self.inner.alloc::<false>(layout) };
            if !block.is_null() {
                // SAFETY: from just above, with this layout.
                unsafe { self.inner.dealloc(block, layout) };
            }
        });
        services::begin();
    }

    #[inline(always)]
    pub(super) unsafe fn alloc_hooked<const ZEROED: bool>(
        &self,
        layout: Layout,
        word: GateWord,
    ) -> *mut u8 {
        let (size, align) = (layout.size(), layout.align());
        if !word.is_exact() {
            // SAFETY: the caller's promise, passed on.
            return unsafe { Self::alloc_slow::<ZEROED>(size, align, word, self) };
        }
        if word.is_special() {
            return match word.only_counts() {
                // SAFETY: the caller's promise, passed on.
                true => unsafe { Self::alloc_fast::<ZEROED, Counter>(size, align, self) },
                // SAFETY: the caller's promise, passed on.
                false => unsafe { Self::alloc_fast::<ZEROED, Extended>(size, align, self) },
            };
        }
        // SAFETY: the caller's promise, passed on.
        unsafe { Self::alloc_fast::<ZEROED, Recorder>(size, align, self) }
    }

    #[inline(never)]
    unsafe fn alloc_fast<const ZEROED: bool, F: FastPath>(
        size: usize,
        align: usize,
        this: &Self,
    ) -> *mut u8 {
        // SAFETY: size and alignment come from a `Layout`.
        let layout = unsafe { Layout::from_size_align_unchecked(size, align) };
        let follower = if JUMPS { F::try_enter() } else { None };
        let Some(follower) = follower else {
            // SAFETY: the caller's promise, passed on.
            return unsafe { Self::alloc_guarded::<ZEROED>(size, align, this) };
        };
        // SAFETY: the caller's promise, passed on.
        unsafe { this.alloc_with::<ZEROED, F>(layout, follower) }
    }

    #[inline(never)]
    unsafe fn alloc_slow<const ZEROED: bool>(
        size: usize,
        align: usize,
        word: GateWord,
        this: &Self,
    ) -> *mut u8 {
        if word.sees_scopes() {
            // SAFETY: the caller's promise, passed on.
            return unsafe { Self::alloc_in_scope::<ZEROED>(size, align, this) };
        }
        // SAFETY: the caller's promise, passed on.
        unsafe { Self::alloc_guarded::<ZEROED>(size, align, this) }
    }

    #[cold]
    #[inline(never)]
    unsafe fn alloc_in_scope<const ZEROED: bool>(
        size: usize,
        align: usize,
        this: &Self,
    ) -> *mut u8 {
        // SAFETY: size and alignment come from a `Layout`.
        let layout = unsafe { Layout::from_size_align_unchecked(size, align) };
        let block = if enter::must_enter_for_alloc(size) {
            // SAFETY: the caller's promise, passed on.
            unsafe { this.alloc_with_guard::<ZEROED>(layout) }
        } else {
            // SAFETY: the caller's promise, passed on.
            unsafe { this.inner.alloc::<ZEROED>(layout) }
        };
        if !block.is_null() {
            scope::on_alloc(block.addr(), size);
        }
        block
    }

    #[cold]
    #[inline(never)]
    unsafe fn alloc_guarded<const ZEROED: bool>(size: usize, align: usize, this: &Self) -> *mut u8 {
        // SAFETY: size and alignment come from a `Layout`.
        let layout = unsafe { Layout::from_size_align_unchecked(size, align) };
        // SAFETY: the caller's promise, passed on.
        unsafe { this.alloc_with_guard::<ZEROED>(layout) }
    }

    /// NOTE: inlined where a call would leave a frame, with which the same line is another stack.
    #[inline(always)]
    unsafe fn alloc_with_guard<const ZEROED: bool>(&self, layout: Layout) -> *mut u8 {
        match self.enter() {
            // SAFETY: the caller's promise, passed on.
            Some(Guard::Record(recorder)) => unsafe {
                self.alloc_with::<ZEROED, _>(layout, recorder)
            },
            // SAFETY: the caller's promise, passed on.
            Some(Guard::Sample(sampler)) => unsafe {
                self.alloc_with::<ZEROED, _>(layout, sampler)
            },
            // SAFETY: the caller's promise, passed on.
            Some(Guard::Count(counter)) => unsafe { self.alloc_with::<ZEROED, _>(layout, counter) },
            // SAFETY: the caller's promise, passed on.
            None => unsafe { self.alloc_with::<ZEROED, _>(layout, Unguarded::new()) },
        }
    }

    #[inline(always)]
    unsafe fn alloc_with<const ZEROED: bool, F: Hooks>(
        &self,
        layout: Layout,
        follower: F,
    ) -> *mut u8 {
        // SAFETY: the caller's promise, passed on.
        let block = unsafe { self.inner.alloc::<ZEROED>(layout) };
        if !block.is_null() {
            follower.allocated(block.addr(), layout.size());
            // SAFETY: the block is live, and has this size.
            let measured = unsafe { self.measured(&follower, block, layout.size()) };
            if let Some((callsite, usable)) = measured {
                follower.usable_allocated(callsite, usable);
            }
        }
        block
    }

    /// The callsite and the usable size of a recorded block, if the session measures them.
    ///
    /// # Safety
    ///
    /// The block is live, and has this size.
    #[inline(always)]
    unsafe fn measured<F: Hooks>(
        &self,
        follower: &F,
        block: *mut u8,
        size: usize,
    ) -> Option<(CallsiteId, usize)> {
        if !follower.measures() {
            return None;
        }
        let callsite = follower.callsite_of(block.addr())?;
        // SAFETY: the caller's promise. The block is of the inner allocator, as all are.
        Some((callsite, unsafe { self.usable_size.of(block, size) }))
    }

    /// What handles the end of a block without a guard.
    ///
    /// # Safety
    ///
    /// The block is live, and has this size.
    #[cold]
    unsafe fn unguarded(&self, block: *mut u8, size: usize) -> Unguarded {
        match control::measures() {
            // SAFETY: the caller's promise. The block is of the inner allocator, as all are.
            true => Unguarded::measured(unsafe { self.usable_size.of(block, size) }),
            false => Unguarded::new(),
        }
    }

    // The record goes first in each of these: once the block is free, its address may be another's.

    #[inline(never)]
    pub(super) unsafe fn dealloc_fast<F: FastPath>(
        block: *mut u8,
        size: usize,
        align: usize,
        this: &Self,
    ) {
        // SAFETY: size and alignment come from a `Layout`.
        let layout = unsafe { Layout::from_size_align_unchecked(size, align) };
        let Some(follower) = F::try_enter() else {
            // SAFETY: the caller's promise, passed on.
            return unsafe { Self::dealloc_guarded(block, size, align, this) };
        };
        if !follower.try_free_fast(block.addr(), size) {
            // SAFETY: the caller's promise, passed on.
            return unsafe { this.dealloc_with(block, layout, follower) };
        }
        drop(follower);
        // SAFETY: the caller's promise, passed on.
        unsafe { this.inner.dealloc(block, layout) };
    }

    #[inline(never)]
    pub(super) unsafe fn dealloc_slow(
        block: *mut u8,
        size: usize,
        align: usize,
        word: GateWord,
        this: &Self,
    ) {
        if word.sees_scopes() {
            // SAFETY: the caller's promise, passed on.
            return unsafe { Self::dealloc_in_scope(block, size, align, this) };
        }
        // SAFETY: the caller's promise, passed on.
        unsafe { Self::dealloc_guarded(block, size, align, this) }
    }

    #[cold]
    #[inline(never)]
    unsafe fn dealloc_in_scope(block: *mut u8, size: usize, align: usize, this: &Self) {
        // SAFETY: size and alignment come from a `Layout`.
        let layout = unsafe { Layout::from_size_align_unchecked(size, align) };
        scope::on_free(block.addr(), size);
        if enter::must_enter_for_free(block.addr()) {
            // SAFETY: the caller's promise, passed on.
            unsafe { Self::dealloc_guarded(block, size, align, this) }
        } else {
            // SAFETY: the caller's promise, passed on.
            unsafe { this.inner.dealloc(block, layout) }
        }
    }

    #[cold]
    #[inline(never)]
    unsafe fn dealloc_guarded(block: *mut u8, size: usize, align: usize, this: &Self) {
        // SAFETY: size and alignment come from a `Layout`.
        let layout = unsafe { Layout::from_size_align_unchecked(size, align) };
        match this.enter() {
            // SAFETY: the caller's promise, passed on.
            Some(Guard::Record(recorder)) => unsafe { this.dealloc_with(block, layout, recorder) },
            // SAFETY: the caller's promise, passed on.
            Some(Guard::Sample(sampler)) => unsafe { this.dealloc_with(block, layout, sampler) },
            // SAFETY: the caller's promise, passed on.
            Some(Guard::Count(counter)) => unsafe { this.dealloc_with(block, layout, counter) },
            None => {
                // SAFETY: the block is live until it is freed below.
                let unguarded = unsafe { this.unguarded(block, size) };
                // SAFETY: the caller's promise, passed on.
                unsafe { this.dealloc_with(block, layout, unguarded) }
            }
        }
    }

    #[inline(never)]
    unsafe fn dealloc_with<F: Hooks>(&self, block: *mut u8, layout: Layout, follower: F) {
        // SAFETY: the block is live until it is freed below.
        let measured = unsafe { self.measured(&follower, block, layout.size()) };
        follower.freed(block.addr(), layout.size());
        if let Some((callsite, usable)) = measured {
            follower.usable_freed(callsite, usable);
        }
        drop(follower);
        // SAFETY: the caller's promise, passed on.
        unsafe { self.inner.dealloc(block, layout) };
    }

    #[inline(never)]
    pub(super) unsafe fn realloc_fast<F: FastPath>(
        &self,
        block: *mut u8,
        layout: Layout,
        new_size: usize,
    ) -> *mut u8 {
        let follower = if JUMPS { F::try_enter() } else { None };
        let Some(follower) = follower else {
            // SAFETY: the caller's promise, passed on.
            return unsafe { self.realloc_guarded(block, layout, new_size) };
        };
        // SAFETY: the caller's promise, passed on.
        unsafe { self.realloc_with(block, layout, new_size, follower) }
    }

    #[inline(never)]
    pub(super) unsafe fn realloc_slow(
        &self,
        block: *mut u8,
        layout: Layout,
        new_size: usize,
        word: GateWord,
    ) -> *mut u8 {
        if word.sees_scopes() {
            // SAFETY: the caller's promise, passed on.
            return unsafe { self.realloc_in_scope(block, layout, new_size) };
        }
        // SAFETY: the caller's promise, passed on.
        unsafe { self.realloc_guarded(block, layout, new_size) }
    }

    #[inline(never)]
    unsafe fn realloc_in_scope(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        let left = scope::begin_realloc(block.addr());
        let moved =
            if enter::must_enter_for_free(block.addr()) || enter::must_enter_for_alloc(new_size) {
                // SAFETY: the caller's promise, passed on.
                unsafe { self.realloc_with_guard(block, layout, new_size) }
            } else {
                // SAFETY: the caller's promise, passed on.
                unsafe { self.inner.realloc(block, layout, new_size) }
            };
        if moved.is_null() {
            scope::abort_realloc(left, block.addr());
        } else {
            let old = (block.addr(), layout.size());
            scope::finish_realloc(left, old, (moved.addr(), new_size));
        }
        moved
    }

    #[inline(never)]
    unsafe fn realloc_guarded(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        // SAFETY: the caller's promise, passed on.
        unsafe { self.realloc_with_guard(block, layout, new_size) }
    }

    /// NOTE: as [`alloc_with_guard`](Self::alloc_with_guard).
    #[inline(always)]
    unsafe fn realloc_with_guard(
        &self,
        block: *mut u8,
        layout: Layout,
        new_size: usize,
    ) -> *mut u8 {
        match self.enter() {
            // SAFETY: the caller's promise, passed on.
            Some(Guard::Record(recorder)) => unsafe {
                self.realloc_with(block, layout, new_size, recorder)
            },
            // SAFETY: the caller's promise, passed on.
            Some(Guard::Sample(sampler)) => unsafe {
                self.realloc_with(block, layout, new_size, sampler)
            },
            // SAFETY: the caller's promise, passed on.
            Some(Guard::Count(counter)) => unsafe {
                self.realloc_with(block, layout, new_size, counter)
            },
            None => {
                // SAFETY: the block is live until it is reallocated below.
                let unguarded = unsafe { self.unguarded(block, layout.size()) };
                // SAFETY: the caller's promise, passed on.
                unsafe { self.realloc_with(block, layout, new_size, unguarded) }
            }
        }
    }

    #[inline(always)]
    unsafe fn realloc_with<F: Hooks>(
        &self,
        block: *mut u8,
        layout: Layout,
        new_size: usize,
        follower: F,
    ) -> *mut u8 {
        // The record is taken out first: once the block is free, its address may be another's.
        let old = (block.addr(), layout.size());
        // SAFETY: the block is live until it is reallocated below.
        let gone = unsafe { self.measured(&follower, block, layout.size()) };
        let taken = follower.take(old);
        // SAFETY: the caller's promise, passed on.
        let moved = unsafe { self.inner.realloc(block, layout, new_size) };
        if moved.is_null() {
            follower.put_back(old.0, taken);
        } else {
            follower.reallocated(taken, old, (moved.addr(), new_size));
            if let Some((callsite, usable)) = gone {
                follower.usable_freed(callsite, usable);
            }
            // SAFETY: the block is live, and has the new size.
            let come = unsafe { self.measured(&follower, moved, new_size) };
            if let Some((callsite, usable)) = come {
                follower.usable_allocated(callsite, usable);
            }
        }
        moved
    }
}
