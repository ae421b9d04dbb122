//! [`TraceAlloc`]: the global allocator that records what passes through it.

use std::alloc::{GlobalAlloc, Layout, System};

use crate::control::GranuleHint;
use crate::scope;
use crate::tracer::{self, Entered, Task};

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
// PERF: three steps, each out of line, so that none pays for the registers that the next one saves. While
// tracing is off a method is one load and one branch before a jump into the inner allocator, wherever
// the compiler inlines it; what a sample passes over ends in such a jump too; the rest is recorded.
unsafe impl<A: GlobalAlloc> GlobalAlloc for TraceAlloc<A> {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if tracer::is_off() {
            // SAFETY: the caller's promise, passed on.
            return unsafe { self.inner.alloc(layout) };
        }
        // SAFETY: as above.
        unsafe { self.alloc_traced(layout) }
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if tracer::is_off() {
            // SAFETY: the caller's promise, passed on.
            return unsafe { self.inner.alloc_zeroed(layout) };
        }
        // SAFETY: as above.
        unsafe { self.alloc_zeroed_traced(layout) }
    }

    #[inline]
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        if tracer::is_off() {
            // SAFETY: the caller's promise, passed on.
            return unsafe { self.inner.dealloc(block, layout) };
        }
        // SAFETY: as above.
        unsafe { self.dealloc_traced(block, layout) }
    }

    #[inline]
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        if tracer::is_off() {
            // SAFETY: the caller's promise, passed on.
            return unsafe { self.inner.realloc(block, layout, new_size) };
        }
        // SAFETY: as above.
        unsafe { self.realloc_traced(block, layout, new_size) }
    }
}

/// Each with the promises of the method of [`GlobalAlloc`] that it is named for.
impl<A: GlobalAlloc> TraceAlloc<A> {
    #[inline(never)]
    unsafe fn alloc_traced(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise, passed on.
        unsafe { self.alloc_for(tracer::task_at_birth(layout.size()), layout) }
    }

    #[inline(always)]
    unsafe fn alloc_for(&self, task: Task, layout: Layout) -> *mut u8 {
        match task {
            // SAFETY: the caller's promise, passed on.
            Task::Record => unsafe { self.alloc_recorded(layout) },
            // SAFETY: as above.
            Task::Count => unsafe { self.alloc_counted(layout) },
            // SAFETY: as above.
            Task::PassOver => unsafe { self.inner.alloc(layout) },
            // SAFETY: as above.
            Task::TellScopes => unsafe { self.alloc_in_scope(layout) },
        }
    }

    #[inline(never)]
    unsafe fn alloc_in_scope(&self, layout: Layout) -> *mut u8 {
        let task = tracer::task_at_birth_in_scope(layout.size());
        // SAFETY: the caller's promise, passed on.
        let block = unsafe { self.alloc_for(task, layout) };
        if !block.is_null() {
            scope::born(block.addr(), layout.size());
        }
        block
    }

    #[inline(never)]
    unsafe fn alloc_counted(&self, layout: Layout) -> *mut u8 {
        let Some(counter) = tracer::enter_to_count() else {
            // SAFETY: the caller's promise, passed on.
            return unsafe { self.alloc_recorded(layout) };
        };
        // SAFETY: as above.
        let block = unsafe { self.inner.alloc(layout) };
        if !block.is_null() {
            counter.allocated(block.addr(), layout.size());
        }
        block
    }

    #[inline(never)]
    unsafe fn alloc_recorded(&self, layout: Layout) -> *mut u8 {
        // NOTE: whatever it takes to get there, records are made here, so that all stacks begin alike.
        let recorder = match tracer::enter_to_record() {
            Some(recorder) => recorder,
            None => match tracer::enter_slowly(self.granule) {
                Ok(recorder) => recorder,
                // SAFETY: the caller's promise, passed on.
                Err(entered) => return unsafe { self.alloc_otherwise(entered, layout) },
            },
        };
        // SAFETY: as above.
        let block = unsafe { self.inner.alloc(layout) };
        if !block.is_null() {
            recorder.allocated(block.addr(), layout.size());
        }
        block
    }

    #[cold]
    #[inline(never)]
    unsafe fn alloc_otherwise(&self, entered: Entered, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise, passed on.
        let block = unsafe { self.inner.alloc(layout) };
        if !block.is_null() {
            entered.allocated(block.addr(), layout.size());
        }
        block
    }

    #[inline(never)]
    unsafe fn alloc_zeroed_traced(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise, passed on.
        unsafe { self.alloc_zeroed_for(tracer::task_at_birth(layout.size()), layout) }
    }

    #[inline(always)]
    unsafe fn alloc_zeroed_for(&self, task: Task, layout: Layout) -> *mut u8 {
        match task {
            // SAFETY: the caller's promise, passed on.
            Task::Record => unsafe { self.alloc_zeroed_recorded(layout) },
            // SAFETY: as above.
            Task::Count => unsafe { self.alloc_zeroed_counted(layout) },
            // SAFETY: as above.
            Task::PassOver => unsafe { self.inner.alloc_zeroed(layout) },
            // SAFETY: as above.
            Task::TellScopes => unsafe { self.alloc_zeroed_in_scope(layout) },
        }
    }

    #[inline(never)]
    unsafe fn alloc_zeroed_in_scope(&self, layout: Layout) -> *mut u8 {
        let task = tracer::task_at_birth_in_scope(layout.size());
        // SAFETY: the caller's promise, passed on.
        let block = unsafe { self.alloc_zeroed_for(task, layout) };
        if !block.is_null() {
            scope::born(block.addr(), layout.size());
        }
        block
    }

    #[inline(never)]
    unsafe fn alloc_zeroed_counted(&self, layout: Layout) -> *mut u8 {
        let Some(counter) = tracer::enter_to_count() else {
            // SAFETY: the caller's promise, passed on.
            return unsafe { self.alloc_zeroed_recorded(layout) };
        };
        // SAFETY: as above.
        let block = unsafe { self.inner.alloc_zeroed(layout) };
        if !block.is_null() {
            counter.allocated(block.addr(), layout.size());
        }
        block
    }

    #[inline(never)]
    unsafe fn alloc_zeroed_recorded(&self, layout: Layout) -> *mut u8 {
        // NOTE: whatever it takes to get there, records are made here, so that all stacks begin alike.
        let recorder = match tracer::enter_to_record() {
            Some(recorder) => recorder,
            None => match tracer::enter_slowly(self.granule) {
                Ok(recorder) => recorder,
                // SAFETY: the caller's promise, passed on.
                Err(entered) => return unsafe { self.alloc_zeroed_otherwise(entered, layout) },
            },
        };
        // SAFETY: as above.
        let block = unsafe { self.inner.alloc_zeroed(layout) };
        if !block.is_null() {
            recorder.allocated(block.addr(), layout.size());
        }
        block
    }

    #[cold]
    #[inline(never)]
    unsafe fn alloc_zeroed_otherwise(&self, entered: Entered, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise, passed on.
        let block = unsafe { self.inner.alloc_zeroed(layout) };
        if !block.is_null() {
            entered.allocated(block.addr(), layout.size());
        }
        block
    }

    #[inline(never)]
    unsafe fn dealloc_traced(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise, passed on.
        unsafe { self.dealloc_for(tracer::task_at_end(block.addr()), block, layout) }
    }

    #[inline(always)]
    unsafe fn dealloc_for(&self, task: Task, block: *mut u8, layout: Layout) {
        match task {
            // SAFETY: the caller's promise, passed on.
            Task::Record => unsafe { self.dealloc_recorded(block, layout) },
            // SAFETY: as above.
            Task::Count => unsafe { self.dealloc_counted(block, layout) },
            // SAFETY: as above.
            Task::PassOver => unsafe { self.inner.dealloc(block, layout) },
            // SAFETY: as above.
            Task::TellScopes => unsafe { self.dealloc_in_scope(block, layout) },
        }
    }

    #[inline(never)]
    unsafe fn dealloc_in_scope(&self, block: *mut u8, layout: Layout) {
        scope::died(block.addr(), layout.size());
        let task = tracer::task_at_end_in_scope(block.addr());
        // SAFETY: the caller's promise, passed on.
        unsafe { self.dealloc_for(task, block, layout) }
    }

    #[inline(never)]
    unsafe fn dealloc_counted(&self, block: *mut u8, layout: Layout) {
        // The record goes first: once the block is free, its address may be another's.
        match tracer::enter_to_count() {
            Some(counter) => counter.freed(block.addr(), layout.size()),
            None => tracer::freed_otherwise(self.granule, block.addr(), layout.size()),
        }
        // SAFETY: the caller's promise, passed on.
        unsafe { self.inner.dealloc(block, layout) };
    }

    #[inline(never)]
    unsafe fn dealloc_recorded(&self, block: *mut u8, layout: Layout) {
        // The record goes first, as above.
        match tracer::enter_to_record() {
            Some(recorder) => recorder.freed(block.addr(), layout.size()),
            None => tracer::freed_otherwise(self.granule, block.addr(), layout.size()),
        }
        // SAFETY: the caller's promise, passed on.
        unsafe { self.inner.dealloc(block, layout) };
    }

    #[inline(never)]
    unsafe fn realloc_traced(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        let task = match tracer::task_at_end(block.addr()) {
            Task::PassOver => tracer::task_at_birth(new_size),
            task => task,
        };
        // SAFETY: the caller's promise, passed on.
        unsafe { self.realloc_for(task, block, layout, new_size) }
    }

    #[inline(always)]
    unsafe fn realloc_for(
        &self,
        task: Task,
        block: *mut u8,
        layout: Layout,
        new_size: usize,
    ) -> *mut u8 {
        match task {
            // SAFETY: the caller's promise, passed on.
            Task::Record => unsafe { self.realloc_recorded(block, layout, new_size) },
            // SAFETY: as above.
            Task::Count => unsafe { self.realloc_counted(block, layout, new_size) },
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
        // SAFETY: the caller's promise, passed on.
        let moved = unsafe { self.realloc_for(task, block, layout, new_size) };
        if moved.is_null() {
            scope::stay(left, block.addr());
        } else {
            let old = (block.addr(), layout.size());
            scope::moved(left, old, (moved.addr(), new_size));
        }
        moved
    }

    #[inline(never)]
    unsafe fn realloc_counted(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        let Some(counter) = tracer::enter_to_count() else {
            // SAFETY: the caller's promise, passed on.
            return unsafe { self.realloc_recorded(block, layout, new_size) };
        };
        // The record is taken out first: once the block is free, its address may be another's.
        let (address, old_size) = (block.addr(), layout.size());
        let was_counted = counter.take(address);
        // SAFETY: as above.
        let moved = unsafe { self.inner.realloc(block, layout, new_size) };
        if moved.is_null() {
            counter.put_back(address, was_counted);
        } else {
            counter.reallocated(was_counted, old_size, (moved.addr(), new_size));
        }
        moved
    }

    #[inline(never)]
    unsafe fn realloc_recorded(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        let recorder = match tracer::enter_to_record() {
            Some(recorder) => recorder,
            None => match tracer::enter_slowly(self.granule) {
                Ok(recorder) => recorder,
                Err(entered) => {
                    // SAFETY: the caller's promise, passed on.
                    return unsafe { self.realloc_otherwise(entered, block, layout, new_size) };
                }
            },
        };
        // The record is taken out first, as above.
        let old = (block.addr(), layout.size());
        let taken = recorder.take(block.addr());
        // SAFETY: as above.
        let moved = unsafe { self.inner.realloc(block, layout, new_size) };
        if moved.is_null() {
            recorder.put_back(old.0, taken);
        } else {
            recorder.reallocated(taken, old, (moved.addr(), new_size));
        }
        moved
    }

    #[cold]
    #[inline(never)]
    unsafe fn realloc_otherwise(
        &self,
        entered: Entered,
        block: *mut u8,
        layout: Layout,
        new_size: usize,
    ) -> *mut u8 {
        let old = (block.addr(), layout.size());
        let taken = entered.take(old);
        // SAFETY: the caller's promise, passed on.
        let moved = unsafe { self.inner.realloc(block, layout, new_size) };
        if moved.is_null() {
            entered.put_back(old.0, taken);
        } else {
            entered.reallocated(taken, old, (moved.addr(), new_size));
        }
        moved
    }
}
