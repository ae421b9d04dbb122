//! [`TraceAlloc`]: the global allocator that records what passes through it.

mod inner;
mod steps;

use std::alloc::{GlobalAlloc, Layout, System};

use crate::control::{self, GranuleHint};
use crate::record::counting::Counter;
use crate::record::enter;
use crate::record::recorder::Recorder;
use inner::Inner;

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
    inner: Inner<A>,
    granule: GranuleHint,
}

impl TraceAlloc<System> {
    /// Around the system's allocator.
    ///
    /// ```
    /// # use alloc_core::TraceAlloc;
    /// # #[global_allocator]
    /// # static ALLOC: TraceAlloc = TraceAlloc::system();
    /// alloc_core::start()?;
    /// assert!(alloc_core::is_tracing());
    /// # Ok::<(), alloc_core::Error>(())
    /// ```
    pub const fn system() -> TraceAlloc<System> {
        TraceAlloc {
            inner: Inner::new(System),
            granule: GranuleHint::System,
        }
    }
}

impl<A> TraceAlloc<A> {
    /// Around `inner`, of which nothing is known but that blocks start at multiples of eight.
    ///
    /// The live-block index then takes four bytes for each eight bytes of heap that blocks lie in.
    /// Where more is known, [`with_granule`](Self::with_granule) saves most of that.
    ///
    /// ```
    /// use std::alloc::System;
    /// use alloc_core::TraceAlloc;
    ///
    /// #[global_allocator]
    /// static ALLOC: TraceAlloc<System> = TraceAlloc::new(System);
    ///
    /// assert!(alloc_core::start().is_ok());
    /// ```
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
    ///
    /// ```
    /// use std::alloc::System;
    /// use alloc_core::TraceAlloc;
    ///
    /// // On 64-bit systems, blocks of the system's allocator start at least 16 bytes apart.
    /// #[global_allocator]
    /// static ALLOC: TraceAlloc<System> = TraceAlloc::with_granule(System, 16);
    ///
    /// alloc_core::start()?;
    /// drop(vec![0_u8; 100]);
    /// assert_eq!(alloc_core::take_snapshot()?.health().lost_blocks, 0);
    /// # Ok::<(), alloc_core::Error>(())
    /// ```
    pub const fn with_granule(inner: A, bytes: usize) -> TraceAlloc<A> {
        assert!(
            bytes.is_power_of_two() && bytes >= 8 && bytes <= 4096,
            "the granule must be a power of two from 8 to 4096"
        );
        TraceAlloc {
            inner: Inner::new(inner),
            granule: GranuleHint::Bytes(bytes),
        }
    }
}

// SAFETY: every block comes from the inner allocator, through its own method for the same request,
// and goes back to it with the layout it came with; so its promises are ours. Recording neither
// touches blocks nor unwinds.
//
// PERF: whether there is anything to do is seen in the method itself, which then jumps into the
// inner allocator: while tracing is off after one load and one branch, and where a sample passes
// over a block after some ten instructions. All else goes in steps, each out of line, so that none
// pays for the registers that the next one saves; a free that nothing is in the way of ends in such
// a jump, too.
unsafe impl<A: GlobalAlloc> GlobalAlloc for TraceAlloc<A> {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let word = control::gate_word();
        if enter::skips_alloc(word, layout.size()) {
            // SAFETY: the caller's promise, passed on.
            return unsafe { self.inner.alloc::<false>(layout) };
        }
        // SAFETY: the caller's promise, passed on.
        unsafe { self.alloc_hooked::<false>(layout, word) }
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        let word = control::gate_word();
        if enter::skips_alloc(word, layout.size()) {
            // SAFETY: the caller's promise, passed on.
            return unsafe { self.inner.alloc::<true>(layout) };
        }
        // SAFETY: the caller's promise, passed on.
        unsafe { self.alloc_hooked::<true>(layout, word) }
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
            // SAFETY: the caller's promise, passed on.
            return unsafe { Self::dealloc_slow(block, size, align, word, self) };
        }
        if word.only_counts() {
            // SAFETY: the caller's promise, passed on.
            return unsafe { Self::dealloc_fast::<Counter>(block, size, align, self) };
        }
        // SAFETY: the caller's promise, passed on.
        unsafe { Self::dealloc_fast::<Recorder>(block, size, align, self) }
    }

    #[inline]
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        let word = control::gate_word();
        if enter::skips_free(word, block.addr()) && enter::skips_alloc(word, new_size) {
            // SAFETY: the caller's promise, passed on.
            return unsafe { self.inner.realloc(block, layout, new_size) };
        }
        if !word.is_exact() {
            // SAFETY: the caller's promise, passed on.
            return unsafe { self.realloc_slow(block, layout, new_size, word) };
        }
        if word.only_counts() {
            // SAFETY: the caller's promise, passed on.
            return unsafe { self.realloc_fast::<Counter>(block, layout, new_size) };
        }
        // SAFETY: the caller's promise, passed on.
        unsafe { self.realloc_fast::<Recorder>(block, layout, new_size) }
    }
}
