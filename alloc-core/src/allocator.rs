//! [`TraceAlloc`]: the global allocator that records every allocation and free.

mod inner;
mod steps;
mod usable_size;

use std::alloc::{GlobalAlloc, Layout, System};

use crate::control::{self, GranuleHint};
use crate::record::counting::Counter;
use crate::record::enter;
use crate::record::extended::Extended;
use crate::record::recorder::Recorder;
use inner::Inner;
use usable_size::UsableSize;

/// A global allocator that forwards everything to `A`, and records it while tracing is on.
///
/// Memory comes from the inner allocator only, with the layout that the program requested. The
/// tracer keeps its tables elsewhere. While tracing is off, an allocation costs one load and one
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
/// It wraps any other allocator:
///
/// ```ignore
/// #[global_allocator]
/// static ALLOC: TraceAlloc<mimalloc::MiMalloc> = TraceAlloc::new(mimalloc::MiMalloc);
/// ```
#[derive(Debug)]
pub struct TraceAlloc<A = System> {
    inner: Inner<A>,
    granule: GranuleHint,
    usable_size: UsableSize,
}

impl TraceAlloc<System> {
    /// Wraps the system's allocator.
    ///
    /// ```
    /// use alloc_core::TraceAlloc;
    ///
    /// #[global_allocator]
    /// static ALLOC: TraceAlloc = TraceAlloc::system();
    ///
    /// alloc_core::start()?;
    /// assert!(alloc_core::is_tracing());
    /// # Ok::<(), alloc_core::Error>(())
    /// ```
    pub const fn system() -> TraceAlloc<System> {
        TraceAlloc {
            inner: Inner::new(System),
            granule: GranuleHint::System,
            usable_size: UsableSize::System,
        }
    }
}

impl<A> TraceAlloc<A> {
    /// Wraps `inner`, whose blocks start at multiples of eight.
    ///
    /// The live-block index takes four bytes for each eight bytes of heap. For an allocator with a
    /// coarser granule, [`with_granule`](Self::with_granule) saves most of that.
    ///
    /// ```
    /// use alloc_core::TraceAlloc;
    /// use std::alloc::System;
    ///
    /// #[global_allocator]
    /// static ALLOC: TraceAlloc<System> = TraceAlloc::new(System);
    ///
    /// alloc_core::start()?;
    /// assert!(alloc_core::is_tracing());
    /// # Ok::<(), alloc_core::Error>(())
    /// ```
    pub const fn new(inner: A) -> TraceAlloc<A> {
        TraceAlloc::with_granule(inner, 8)
    }

    /// Wraps `inner`, whose blocks never start less than `bytes` apart.
    ///
    /// `bytes` is a power of two from 8 to 4096. Too large a value makes the numbers wrong, which
    /// [`Health::lost_blocks`](crate::Health::lost_blocks) shows. It never affects memory safety.
    ///
    /// # Panics
    ///
    /// If `bytes` is not such a power of two. In a `static`, this is a compile error.
    ///
    /// ```
    /// use alloc_core::TraceAlloc;
    /// use std::alloc::System;
    ///
    /// #[global_allocator]
    /// static ALLOC: TraceAlloc<System> = TraceAlloc::with_granule(System, 16);
    ///
    /// alloc_core::start()?;
    /// let kept: Vec<Box<u64>> = (0..100).map(Box::new).collect();
    /// assert_eq!(alloc_core::take_snapshot()?.health().lost_blocks, 0);
    /// # drop(kept);
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
            usable_size: UsableSize::Unknown,
        }
    }

    /// Gives the function by which the inner allocator shows how many bytes of a block are usable,
    /// for a session with [`Config::slack`](crate::Config::slack).
    ///
    /// It is `tikv_jemallocator::usable_size` for jemalloc, and `mi_usable_size` for mimalloc.
    /// [`system`](Self::system) needs none.
    ///
    /// # Safety
    ///
    /// The function may be called with the address of any live block of the inner allocator, at any
    /// time and on any thread. It neither allocates nor unwinds. It returns the same number from the
    /// allocation of a block to its free, unless the block is reallocated; otherwise the numbers of
    /// the session are wrong.
    ///
    /// ```
    /// use alloc_core::{Config, TraceAlloc};
    /// use std::alloc::System;
    ///
    /// # #[cfg(target_os = "linux")]
    /// unsafe fn usable_size(block: *const u8) -> usize {
    ///     // SAFETY: the block is one of `malloc`.
    ///     unsafe { libc::malloc_usable_size(block.cast_mut().cast()) }
    /// }
    /// # #[cfg(not(target_os = "linux"))]
    /// # unsafe fn usable_size(_: *const u8) -> usize { 0 }
    ///
    /// #[global_allocator]
    /// static ALLOC: TraceAlloc<System> =
    ///     // SAFETY: `System` gets its blocks from `malloc`.
    ///     unsafe { TraceAlloc::new(System).with_usable_size(usable_size) };
    ///
    /// alloc_core::start_with(Config::default().slack(true))?;
    /// # Ok::<(), alloc_core::Error>(())
    /// ```
    pub const unsafe fn with_usable_size(
        mut self,
        function: unsafe fn(*const u8) -> usize,
    ) -> TraceAlloc<A> {
        self.usable_size = UsableSize::Function(function);
        self
    }
}

// SAFETY: every block comes from the inner allocator's method of the same name and returns to it
// with the same layout, so the inner allocator's guarantees hold. Recording neither touches blocks
// nor unwinds.
//
// PERF: each method tests the gate word itself and tail-calls the inner allocator if there is
// nothing to record: after one load and one branch while tracing is off, after about ten
// instructions where a sample skips the block. Every further step is out of line, so no step pays
// for the registers that a later one saves. A free on the fast path also ends in a tail call.
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
        if word.is_special() {
            return match word.only_counts() {
                // SAFETY: the caller's promise, passed on.
                true => unsafe { Self::dealloc_fast::<Counter>(block, size, align, self) },
                // SAFETY: the caller's promise, passed on.
                false => unsafe { Self::dealloc_fast::<Extended>(block, size, align, self) },
            };
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
        if word.is_special() {
            return match word.only_counts() {
                // SAFETY: the caller's promise, passed on.
                true => unsafe { self.realloc_fast::<Counter>(block, layout, new_size) },
                // SAFETY: the caller's promise, passed on.
                false => unsafe { self.realloc_fast::<Extended>(block, layout, new_size) },
            };
        }
        // SAFETY: the caller's promise, passed on.
        unsafe { self.realloc_fast::<Recorder>(block, layout, new_size) }
    }
}
