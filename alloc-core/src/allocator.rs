//! [`TraceAlloc`]: the global allocator that records what passes through it.

use std::alloc::{GlobalAlloc, Layout, System};

use crate::control::{self, GranuleHint, Look};
use crate::scope;
use crate::tracer::{self, Follow, Outside, Right, Task};

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
// PERF: in steps, each out of line, so that none pays for the registers that the next one saves. While
// tracing is off a method is one load and one branch before a jump into the inner allocator, wherever
// the compiler inlines it; what a sample passes over ends in such a jump too, and so does a free that nothing
// is in the way of.
unsafe impl<A: GlobalAlloc> GlobalAlloc for TraceAlloc<A> {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let look = control::look();
        if look.is_idle() {
            // SAFETY: the caller's promise, passed on.
            return unsafe { self.inner.alloc(layout) };
        }
        // SAFETY: as above.
        unsafe { Self::alloc_traced::<false>(layout.size(), layout.align(), look, self) }
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        let look = control::look();
        if look.is_idle() {
            // SAFETY: the caller's promise, passed on.
            return unsafe { self.inner.alloc_zeroed(layout) };
        }
        // SAFETY: as above.
        unsafe { Self::alloc_traced::<true>(layout.size(), layout.align(), look, self) }
    }

    #[inline]
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        let look = control::look();
        if look.is_idle() {
            // SAFETY: the caller's promise, passed on.
            return unsafe { self.inner.dealloc(block, layout) };
        }
        // SAFETY: as above.
        unsafe { Self::dealloc_traced(block, layout.size(), layout.align(), look, self) }
    }

    #[inline]
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        let look = control::look();
        if look.is_idle() {
            // SAFETY: the caller's promise, passed on.
            return unsafe { self.inner.realloc(block, layout, new_size) };
        }
        // SAFETY: as above.
        unsafe { self.realloc_traced(block, layout, new_size) }
    }
}

/// Whether a call in tail position is a jump, as in an optimized program.
///
/// Whatever it takes to get there, a block must be recorded from one place, so that all stacks begin alike: where calls
/// leave frames, from one call.
const JUMPS: bool = !cfg!(debug_assertions);

/// Each with the promises of the method of [`GlobalAlloc`] that it is named for.
impl<A: GlobalAlloc> TraceAlloc<A> {
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

    /// PERF: the arguments come in the order in which the compiler's shims get them, and so they do in what is called
    /// next: they stay in their registers.
    #[inline(never)]
    unsafe fn alloc_traced<const ZEROED: bool>(
        size: usize,
        align: usize,
        look: Look,
        this: &Self,
    ) -> *mut u8 {
        // SAFETY: those of a layout.
        let layout = unsafe { Layout::from_size_align_unchecked(size, align) };
        let right = match tracer::enter_at_once(look) {
            Some(right) => right,
            None => match tracer::task_at_birth(look, size) {
                // SAFETY: the caller's promise, passed on.
                Task::Enter if JUMPS => return unsafe { this.alloc_entered::<ZEROED>(layout) },
                Task::Enter => match tracer::enter(this.granule) {
                    Some(right) => right,
                    // SAFETY: as above.
                    None => return unsafe { this.alloc_as::<ZEROED, _>(layout, Outside) },
                },
                // SAFETY: as above.
                Task::PassOver => return unsafe { this.alloc_inner::<ZEROED>(layout) },
                // SAFETY: as above.
                Task::TellScopes => return unsafe { this.alloc_in_scope::<ZEROED>(layout) },
            },
        };
        // SAFETY: as above.
        unsafe { this.alloc_with::<ZEROED>(right, layout) }
    }

    #[inline(always)]
    unsafe fn alloc_with<const ZEROED: bool>(&self, right: Right, layout: Layout) -> *mut u8 {
        match right {
            // SAFETY: the caller's promise, passed on.
            Right::Record(recorder) => unsafe { self.alloc_as::<ZEROED, _>(layout, recorder) },
            // SAFETY: as above.
            Right::Sample(sampler) => unsafe { self.alloc_as::<ZEROED, _>(layout, sampler) },
            // SAFETY: as above.
            Right::Count(counter) => unsafe { self.alloc_as::<ZEROED, _>(layout, counter) },
        }
    }

    #[inline(always)]
    unsafe fn alloc_as<const ZEROED: bool, F: Follow>(
        &self,
        layout: Layout,
        follower: F,
    ) -> *mut u8 {
        // SAFETY: the caller's promise, passed on.
        unsafe { Self::alloc_by::<ZEROED, F>(layout.size(), layout.align(), follower, self) }
    }

    #[inline(never)]
    unsafe fn alloc_in_scope<const ZEROED: bool>(&self, layout: Layout) -> *mut u8 {
        let block = match tracer::task_at_birth_in_scope(layout.size()) {
            // SAFETY: the caller's promise, passed on.
            Task::PassOver => unsafe { self.alloc_inner::<ZEROED>(layout) },
            // SAFETY: as above.
            _ => unsafe { self.alloc_entered::<ZEROED>(layout) },
        };
        if !block.is_null() {
            scope::born(block.addr(), layout.size());
        }
        block
    }

    #[inline(never)]
    unsafe fn alloc_entered<const ZEROED: bool>(&self, layout: Layout) -> *mut u8 {
        match tracer::enter(self.granule) {
            // SAFETY: the caller's promise, passed on.
            Some(right) => unsafe { self.alloc_with::<ZEROED>(right, layout) },
            // SAFETY: as above.
            None => unsafe { self.alloc_as::<ZEROED, _>(layout, Outside) },
        }
    }

    #[inline(never)]
    unsafe fn alloc_by<const ZEROED: bool, F: Follow>(
        size: usize,
        align: usize,
        follower: F,
        this: &Self,
    ) -> *mut u8 {
        // SAFETY: those of a layout.
        let layout = unsafe { Layout::from_size_align_unchecked(size, align) };
        // SAFETY: the caller's promise, passed on.
        let block = unsafe { this.alloc_inner::<ZEROED>(layout) };
        if !block.is_null() {
            follower.allocated(block.addr(), size);
        }
        block
    }

    // The record goes first in each of these: once the block is free, its address may be another's.

    /// PERF: the arguments as in `alloc_traced`.
    #[inline(never)]
    unsafe fn dealloc_traced(block: *mut u8, size: usize, align: usize, look: Look, this: &Self) {
        // SAFETY: those of a layout.
        let layout = unsafe { Layout::from_size_align_unchecked(size, align) };
        match tracer::enter_at_once(look) {
            Some(Right::Record(recorder)) => {
                if !recorder.freed_at_once(block.addr(), size) {
                    // SAFETY: the caller's promise, passed on.
                    return unsafe { this.dealloc_by(block, layout, recorder) };
                }
            }
            Some(Right::Count(counter)) => {
                if !counter.freed_at_once(block.addr(), size) {
                    // SAFETY: as above.
                    return unsafe { this.dealloc_by(block, layout, counter) };
                }
            }
            _ => match tracer::task_at_end(look, block.addr()) {
                // SAFETY: as above.
                Task::Enter => return unsafe { this.dealloc_entered(block, layout) },
                Task::PassOver => {}
                // SAFETY: as above.
                Task::TellScopes => return unsafe { this.dealloc_in_scope(block, layout) },
            },
        }
        // SAFETY: as above.
        unsafe { this.inner.dealloc(block, layout) };
    }

    #[inline(never)]
    unsafe fn dealloc_in_scope(&self, block: *mut u8, layout: Layout) {
        scope::died(block.addr(), layout.size());
        match tracer::task_at_end_in_scope(block.addr()) {
            // SAFETY: the caller's promise, passed on.
            Task::PassOver => unsafe { self.inner.dealloc(block, layout) },
            // SAFETY: as above.
            _ => unsafe { self.dealloc_entered(block, layout) },
        }
    }

    #[inline(never)]
    unsafe fn dealloc_entered(&self, block: *mut u8, layout: Layout) {
        match tracer::enter(self.granule) {
            // SAFETY: the caller's promise, passed on.
            Some(Right::Record(recorder)) => unsafe { self.dealloc_by(block, layout, recorder) },
            // SAFETY: as above.
            Some(Right::Sample(sampler)) => unsafe { self.dealloc_by(block, layout, sampler) },
            // SAFETY: as above.
            Some(Right::Count(counter)) => unsafe { self.dealloc_by(block, layout, counter) },
            // SAFETY: as above.
            None => unsafe { self.dealloc_by(block, layout, Outside) },
        }
    }

    #[inline(never)]
    unsafe fn dealloc_by<F: Follow>(&self, block: *mut u8, layout: Layout, follower: F) {
        follower.freed(block.addr(), layout.size());
        drop(follower);
        // SAFETY: the caller's promise, passed on.
        unsafe { self.inner.dealloc(block, layout) };
    }

    #[inline(never)]
    unsafe fn realloc_traced(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        let look = control::look();
        let task = match tracer::task_at_end(look, block.addr()) {
            Task::PassOver => tracer::task_at_birth(look, new_size),
            task => task,
        };
        match task {
            // SAFETY: the caller's promise, passed on.
            Task::Enter => unsafe { self.realloc_entered(block, layout, new_size) },
            // SAFETY: as above.
            Task::PassOver => unsafe { self.inner.realloc(block, layout, new_size) },
            // SAFETY: as above.
            Task::TellScopes => unsafe { self.realloc_in_scope(block, layout, new_size) },
        }
    }

    #[inline(never)]
    unsafe fn realloc_in_scope(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        let left = scope::leave(block.addr());
        let task = match tracer::task_at_end_in_scope(block.addr()) {
            Task::PassOver => tracer::task_at_birth_in_scope(new_size),
            task => task,
        };
        let moved = match task {
            // SAFETY: the caller's promise, passed on.
            Task::PassOver => unsafe { self.inner.realloc(block, layout, new_size) },
            // SAFETY: as above.
            _ => unsafe { self.realloc_entered(block, layout, new_size) },
        };
        if moved.is_null() {
            scope::stay(left, block.addr());
        } else {
            let old = (block.addr(), layout.size());
            scope::moved(left, old, (moved.addr(), new_size));
        }
        moved
    }

    #[inline(never)]
    unsafe fn realloc_entered(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        match tracer::enter(self.granule) {
            // SAFETY: the caller's promise, passed on.
            Some(Right::Record(recorder)) => unsafe {
                self.realloc_by(block, layout, new_size, recorder)
            },
            // SAFETY: as above.
            Some(Right::Sample(sampler)) => unsafe {
                self.realloc_by(block, layout, new_size, sampler)
            },
            // SAFETY: as above.
            Some(Right::Count(counter)) => unsafe {
                self.realloc_by(block, layout, new_size, counter)
            },
            // SAFETY: as above.
            None => unsafe { self.realloc_by(block, layout, new_size, Outside) },
        }
    }

    #[inline(never)]
    unsafe fn realloc_by<F: Follow>(
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
