//! [`TraceAlloc`]: the global allocator that records what passes through it.

use std::alloc::{GlobalAlloc, Layout, System};

use crate::control::{self, GateWord, GranuleHint};
use crate::environment;
use crate::record::counting::Counter;
use crate::record::enter::{self, Guard};
use crate::record::hooks::{FastPath, Hooks};
use crate::record::recorder::Recorder;
use crate::record::unguarded::Unguarded;
use crate::scope;

/// A global allocator that forwards everything to `A`, and records it while tracing is on.
///
/// Memory comes from the inner allocator only, with the layout that the program asked for: the
/// tracer keeps its own books elsewhere. While tracing is off, an allocation costs one load and one
/// branch more.
///
/// ```
/// use alloc_core::TraceAlloc;
///
/// #[global_allocator]
/// static ALLOC: TraceAlloc = TraceAlloc::system();
///
/// alloc_core::start()?;
/// let kept = vec![0_u8; 1000];
/// assert!(alloc_core::traced_memory().current >= 1000);
/// # drop(kept);
/// # Ok::<(), alloc_core::Error>(())
/// ```
///
/// Around another allocator, which keeps doing what it does:
///
/// ```ignore
/// #[global_allocator]
/// static ALLOC: TraceAlloc<mimalloc::MiMalloc> = TraceAlloc::new(mimalloc::MiMalloc);
/// ```
#[derive(Debug)]
pub struct TraceAlloc<A = System> {
    inner: A,
    granule: GranuleHint,
}

impl TraceAlloc<System> {
    /// Around the system's allocator.
    pub const fn system() -> TraceAlloc<System> {
        TraceAlloc {
            inner: System,
            granule: GranuleHint::System,
        }
    }
}

impl<A> TraceAlloc<A> {
    /// Around `inner`, of which nothing is known but that blocks start at multiples of eight.
    ///
    /// The live-block index then takes four bytes for each eight bytes of heap that blocks lie in.
    /// Where more is known, [`with_granule`](Self::with_granule) saves most of that.
    pub const fn new(inner: A) -> TraceAlloc<A> {
        TraceAlloc::with_granule(inner, 8)
    }

    /// Around `inner`, whose blocks never start less than `bytes` apart: a power of two from 8 to
    /// 4,096.
    ///
    /// A wrong promise makes numbers wrong, visibly: it shows in
    /// [`Health::lost_blocks`](crate::Health::lost_blocks). Memory stays safe in any case.
    ///
    /// # Panics
    ///
    /// If `bytes` is not such a power of two; in a `static`, when it is compiled.
    pub const fn with_granule(inner: A, bytes: usize) -> TraceAlloc<A> {
        assert!(
            bytes.is_power_of_two() && bytes >= 8 && bytes <= 4096,
            "the granule must be a power of two from 8 to 4096"
        );
        TraceAlloc {
            inner,
            granule: GranuleHint::Bytes(bytes),
        }
    }
}

// SAFETY: every block comes from the inner allocator, through its own method for the same request,
// and goes back to it with the layout it came with; so its promises are ours. Recording neither
// touches blocks nor unwinds.
//
// PERF: whether there is anything to do is seen in the method itself, which then jumps into the inner allocator: while
// tracing is off after one load and one branch, and where a sample passes over a block after some ten instructions.
// All else goes in steps, each out of line, so that none pays for the registers that the next one saves; a free that
// nothing is in the way of ends in such a jump, too.
unsafe impl<A: GlobalAlloc> GlobalAlloc for TraceAlloc<A> {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let word = control::gate_word();
        if enter::skips_alloc(word, layout.size()) {
            // SAFETY: the caller's promise, passed on.
            return unsafe { self.inner.alloc(layout) };
        }
        // SAFETY: as above.
        unsafe { self.alloc_followed::<false>(layout, word) }
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        let word = control::gate_word();
        if enter::skips_alloc(word, layout.size()) {
            // SAFETY: the caller's promise, passed on.
            return unsafe { self.inner.alloc_zeroed(layout) };
        }
        // SAFETY: as above.
        unsafe { self.alloc_followed::<true>(layout, word) }
    }

    #[inline]
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        let word = control::gate_word();
        if enter::skips_free(word, block.addr()) {
            // SAFETY: the caller's promise, passed on.
            return unsafe { self.inner.dealloc(block, layout) };
        }
        let (size, align) = (layout.size(), layout.align());
        if !word.is_exact() {
            // SAFETY: as above.
            return unsafe { Self::dealloc_otherwise(block, size, align, word, self) };
        }
        if word.only_counts() {
            // SAFETY: as above.
            return unsafe { Self::dealloc_as::<Counter>(block, size, align, self) };
        }
        // SAFETY: as above.
        unsafe { Self::dealloc_as::<Recorder>(block, size, align, self) }
    }

    #[inline]
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        let word = control::gate_word();
        if enter::skips_free(word, block.addr()) && enter::skips_alloc(word, new_size) {
            // SAFETY: the caller's promise, passed on.
            return unsafe { self.inner.realloc(block, layout, new_size) };
        }
        if !word.is_exact() {
            // SAFETY: as above.
            return unsafe { self.realloc_otherwise(block, layout, new_size, word) };
        }
        if word.only_counts() {
            // SAFETY: as above.
            return unsafe { self.realloc_as::<Counter>(block, layout, new_size) };
        }
        // SAFETY: as above.
        unsafe { self.realloc_as::<Recorder>(block, layout, new_size) }
    }
}

/// Whether a call in tail position is a jump, as in an optimized program.
///
/// Whatever it takes to get there, a block must be recorded from one place, so that all stacks begin alike: where calls
/// leave frames, from one call.
const JUMPS: bool = !cfg!(debug_assertions);

/// Each with the promises of the method of [`GlobalAlloc`] that it is named for.
///
/// `_as` is the way where nothing is in the way: a thread that has taken note of all there is to, in a session of every
/// block. `_otherwise` finds out what else to do, and `_entered` does it by the right that there is.
///
/// PERF: where sizes and alignments are passed, and in which order, is as the compiler's shims get them: they stay in
/// their registers. The way is chosen in the shims: one more jump makes small vectors three per cent slower. What an
/// allocation or a free seldom comes to is marked as cold, which keeps it out of the way of the rest: two per cent there.
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
        environment::begin(self.granule, || {
            let layout = Layout::new::<u8>();
            // SAFETY: the layout is not empty.
            let block = unsafe { self.inner.alloc(layout) };
            if !block.is_null() {
                // SAFETY: from just above, with this layout.
                unsafe { self.inner.dealloc(block, layout) };
            }
        });
    }

    /// Zeroed memory, or any.
    #[inline(always)]
    unsafe fn alloc_inner<const ZEROED: bool>(&self, layout: Layout) -> *mut u8 {
        if ZEROED {
            // SAFETY: the caller's promise, passed on.
            unsafe { self.inner.alloc_zeroed(layout) }
        } else {
            // SAFETY: as above.
            unsafe { self.inner.alloc(layout) }
        }
    }

    #[inline(always)]
    unsafe fn alloc_followed<const ZEROED: bool>(&self, layout: Layout, word: GateWord) -> *mut u8 {
        let (size, align) = (layout.size(), layout.align());
        if !word.is_exact() {
            // SAFETY: the caller's promise, passed on.
            return unsafe { Self::alloc_otherwise::<ZEROED>(size, align, word, self) };
        }
        if word.only_counts() {
            // SAFETY: as above.
            return unsafe { Self::alloc_as::<ZEROED, Counter>(size, align, self) };
        }
        // SAFETY: as above.
        unsafe { Self::alloc_as::<ZEROED, Recorder>(size, align, self) }
    }

    #[inline(never)]
    unsafe fn alloc_as<const ZEROED: bool, F: FastPath>(
        size: usize,
        align: usize,
        this: &Self,
    ) -> *mut u8 {
        // SAFETY: those of a layout.
        let layout = unsafe { Layout::from_size_align_unchecked(size, align) };
        let follower = if JUMPS { F::try_enter() } else { None };
        let Some(follower) = follower else {
            // SAFETY: the caller's promise, passed on.
            return unsafe { Self::alloc_entered::<ZEROED>(size, align, this) };
        };
        // SAFETY: as above.
        unsafe { this.alloc_by::<ZEROED, F>(layout, follower) }
    }

    #[inline(never)]
    unsafe fn alloc_otherwise<const ZEROED: bool>(
        size: usize,
        align: usize,
        word: GateWord,
        this: &Self,
    ) -> *mut u8 {
        if word.sees_scopes() {
            // SAFETY: the caller's promise, passed on.
            return unsafe { Self::alloc_in_scope::<ZEROED>(size, align, this) };
        }
        // SAFETY: as above.
        unsafe { Self::alloc_entered::<ZEROED>(size, align, this) }
    }

    #[cold]
    #[inline(never)]
    unsafe fn alloc_in_scope<const ZEROED: bool>(
        size: usize,
        align: usize,
        this: &Self,
    ) -> *mut u8 {
        // SAFETY: those of a layout.
        let layout = unsafe { Layout::from_size_align_unchecked(size, align) };
        let block = if enter::must_enter_for_alloc(size) {
            // SAFETY: the caller's promise, passed on.
            unsafe { this.alloc_by_right::<ZEROED>(layout) }
        } else {
            // SAFETY: as above.
            unsafe { this.alloc_inner::<ZEROED>(layout) }
        };
        if !block.is_null() {
            scope::on_alloc(block.addr(), size);
        }
        block
    }

    #[cold]
    #[inline(never)]
    unsafe fn alloc_entered<const ZEROED: bool>(size: usize, align: usize, this: &Self) -> *mut u8 {
        // SAFETY: those of a layout.
        let layout = unsafe { Layout::from_size_align_unchecked(size, align) };
        // SAFETY: the caller's promise, passed on.
        unsafe { this.alloc_by_right::<ZEROED>(layout) }
    }

    /// NOTE: inlined where a call would leave a frame, with which the same line is another stack.
    #[inline(always)]
    unsafe fn alloc_by_right<const ZEROED: bool>(&self, layout: Layout) -> *mut u8 {
        match self.enter() {
            // SAFETY: the caller's promise, passed on.
            Some(Guard::Record(recorder)) => unsafe {
                self.alloc_by::<ZEROED, _>(layout, recorder)
            },
            // SAFETY: as above.
            Some(Guard::Sample(sampler)) => unsafe { self.alloc_by::<ZEROED, _>(layout, sampler) },
            // SAFETY: as above.
            Some(Guard::Count(counter)) => unsafe { self.alloc_by::<ZEROED, _>(layout, counter) },
            // SAFETY: as above.
            None => unsafe { self.alloc_by::<ZEROED, _>(layout, Unguarded) },
        }
    }

    #[inline(always)]
    unsafe fn alloc_by<const ZEROED: bool, F: Hooks>(
        &self,
        layout: Layout,
        follower: F,
    ) -> *mut u8 {
        // SAFETY: the caller's promise, passed on.
        let block = unsafe { self.alloc_inner::<ZEROED>(layout) };
        if !block.is_null() {
            follower.allocated(block.addr(), layout.size());
        }
        block
    }

    // The record goes first in each of these: once the block is free, its address may be another's.

    #[inline(never)]
    unsafe fn dealloc_as<F: FastPath>(block: *mut u8, size: usize, align: usize, this: &Self) {
        // SAFETY: those of a layout.
        let layout = unsafe { Layout::from_size_align_unchecked(size, align) };
        let Some(follower) = F::try_enter() else {
            // SAFETY: the caller's promise, passed on.
            return unsafe { Self::dealloc_entered(block, size, align, this) };
        };
        if !follower.try_free_fast(block.addr(), size) {
            // SAFETY: as above.
            return unsafe { this.dealloc_by(block, layout, follower) };
        }
        drop(follower);
        // SAFETY: as above.
        unsafe { this.inner.dealloc(block, layout) };
    }

    #[inline(never)]
    unsafe fn dealloc_otherwise(
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
        // SAFETY: as above.
        unsafe { Self::dealloc_entered(block, size, align, this) }
    }

    #[cold]
    #[inline(never)]
    unsafe fn dealloc_in_scope(block: *mut u8, size: usize, align: usize, this: &Self) {
        // SAFETY: those of a layout.
        let layout = unsafe { Layout::from_size_align_unchecked(size, align) };
        scope::on_free(block.addr(), size);
        if enter::must_enter_for_free(block.addr()) {
            // SAFETY: the caller's promise, passed on.
            unsafe { Self::dealloc_entered(block, size, align, this) }
        } else {
            // SAFETY: as above.
            unsafe { this.inner.dealloc(block, layout) }
        }
    }

    #[cold]
    #[inline(never)]
    unsafe fn dealloc_entered(block: *mut u8, size: usize, align: usize, this: &Self) {
        // SAFETY: those of a layout.
        let layout = unsafe { Layout::from_size_align_unchecked(size, align) };
        match this.enter() {
            // SAFETY: the caller's promise, passed on.
            Some(Guard::Record(recorder)) => unsafe { this.dealloc_by(block, layout, recorder) },
            // SAFETY: as above.
            Some(Guard::Sample(sampler)) => unsafe { this.dealloc_by(block, layout, sampler) },
            // SAFETY: as above.
            Some(Guard::Count(counter)) => unsafe { this.dealloc_by(block, layout, counter) },
            // SAFETY: as above.
            None => unsafe { this.dealloc_by(block, layout, Unguarded) },
        }
    }

    #[inline(never)]
    unsafe fn dealloc_by<F: Hooks>(&self, block: *mut u8, layout: Layout, follower: F) {
        follower.freed(block.addr(), layout.size());
        drop(follower);
        // SAFETY: the caller's promise, passed on.
        unsafe { self.inner.dealloc(block, layout) };
    }

    #[inline(never)]
    unsafe fn realloc_as<F: FastPath>(
        &self,
        block: *mut u8,
        layout: Layout,
        new_size: usize,
    ) -> *mut u8 {
        let follower = if JUMPS { F::try_enter() } else { None };
        let Some(follower) = follower else {
            // SAFETY: the caller's promise, passed on.
            return unsafe { self.realloc_entered(block, layout, new_size) };
        };
        // SAFETY: as above.
        unsafe { self.realloc_by(block, layout, new_size, follower) }
    }

    #[inline(never)]
    unsafe fn realloc_otherwise(
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
        // SAFETY: as above.
        unsafe { self.realloc_entered(block, layout, new_size) }
    }

    #[inline(never)]
    unsafe fn realloc_in_scope(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        let left = scope::begin_realloc(block.addr());
        let moved =
            if enter::must_enter_for_free(block.addr()) || enter::must_enter_for_alloc(new_size) {
                // SAFETY: the caller's promise, passed on.
                unsafe { self.realloc_by_right(block, layout, new_size) }
            } else {
                // SAFETY: as above.
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
    unsafe fn realloc_entered(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        // SAFETY: the caller's promise, passed on.
        unsafe { self.realloc_by_right(block, layout, new_size) }
    }

    /// NOTE: as [`alloc_by_right`](Self::alloc_by_right).
    #[inline(always)]
    unsafe fn realloc_by_right(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        match self.enter() {
            // SAFETY: the caller's promise, passed on.
            Some(Guard::Record(recorder)) => unsafe {
                self.realloc_by(block, layout, new_size, recorder)
            },
            // SAFETY: as above.
            Some(Guard::Sample(sampler)) => unsafe {
                self.realloc_by(block, layout, new_size, sampler)
            },
            // SAFETY: as above.
            Some(Guard::Count(counter)) => unsafe {
                self.realloc_by(block, layout, new_size, counter)
            },
            // SAFETY: as above.
            None => unsafe { self.realloc_by(block, layout, new_size, Unguarded) },
        }
    }

    #[inline(always)]
    unsafe fn realloc_by<F: Hooks>(
        &self,
        block: *mut u8,
        layout: Layout,
        new_size: usize,
        follower: F,
    ) -> *mut u8 {
        // The record is taken out first: once the block is free, its address may be another's.
        let old = (block.addr(), layout.size());
        let taken = follower.take(old);
        // SAFETY: the caller's promise, passed on.
        let moved = unsafe { self.inner.realloc(block, layout, new_size) };
        if moved.is_null() {
            follower.put_back(old.0, taken);
        } else {
            follower.reallocated(taken, old, (moved.addr(), new_size));
        }
        moved
    }
}
