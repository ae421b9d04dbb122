//! [`Scope`]: the guard of a thread that is in a scope.

use std::fmt;
use std::marker::PhantomData;

use super::prepare;
use super::sites::Sites;
use super::started::{self, Started};
use super::{ScopeHandle, SlotId, Usage};
use crate::record::thread::{self, Stage};
use crate::snapshot::recorded::Recorded;
use crate::snapshot::snapshot::Snapshot;
use crate::{Bytes, Error};
use crate::{TracedMemory, control, process};

/// Counts what this thread allocates and frees, from when it is entered until it is dropped.
///
/// Scopes are exact and do not need tracing. They do not depend on its settings: neither on
/// sampling nor on the limit of callsites. They may be nested: an allocation within counts in all
/// of them. A [handle](Self::handle) takes a scope to other threads:
///
/// ```
/// # use alloc_core::TraceAlloc;
/// # #[global_allocator]
/// # static ALLOC: TraceAlloc = TraceAlloc::system();
/// use alloc_core::Scope;
///
/// let scope = Scope::enter()?;
/// let handle = scope.handle();
/// std::thread::scope(|threads| {
///     let work = || drop(vec![0_u8; 500]);
///     threads.spawn(move || handle.run(work)).join().unwrap();
/// });
/// // With what it took to start the thread, on this one.
/// assert!(scope.usage()?.allocated.bytes >= 500);
/// # Ok::<(), alloc_core::Error>(())
/// ```
///
/// # Rayon, tokio and others
///
/// - *Futures*: [`instrument`](ScopeHandle::instrument) counts a future wherever it is polled and
///   dropped.
/// - *Rayon*: allocations in the closures of a parallel iterator are counted if each closure is
///   [run](ScopeHandle::run) by a handle: `items.par_iter().map(|it| handle.run(|| parse(it)))`. A
///   whole pool is counted if its threads live within the scope:
///   `ThreadPoolBuilder::new().spawn_handler(..)` with `handle.run(|| thread.run())` on each thread
///   that it starts.
///
/// # Order
///
/// Drop guards in the reverse of the order in which they were made, as the end of a block does. If
/// a guard is dropped before one within it, the thread stays in the inner scope.
///
/// # Cost
///
/// Entering and leaving takes some 40 ns. A pair of an allocation and a free in a scope takes some
/// 40 ns more, and as much again for each scope around it. While a scope is alive, or a block that
/// was allocated in one, code outside of scopes does one more lookup at each allocation and free,
/// for some 15 ns a pair. Otherwise the cost is zero: `cargo bench -p alloc-benches --bench
/// scopes`. In a test program under the standard harness a pair in a scope takes some 150 ns, as
/// [with stacks](Self::enter_with_stacks): the harness keeps printed text in memory on the test's
/// thread, and that must not count.
pub struct Scope {
    id: SlotId,
    /// The scope around this one.
    outer: Option<SlotId>,
    forks: u32,
    // Not `Send`: it belongs to one thread.
    _not_send: PhantomData<*const ()>,
}

impl Scope {
    /// Enters a scope, inside the thread's present scope if there is one.
    ///
    /// # Errors
    ///
    /// [`Error::is_not_installed`] if the program's global allocator is another;
    /// [`Error::is_broken`] if the system is out of memory, or a million scopes are alive,
    /// including those that ended but have live blocks.
    ///
    /// ```
    /// # use alloc_core::TraceAlloc;
    /// # #[global_allocator]
    /// # static ALLOC: TraceAlloc = TraceAlloc::system();
    /// let scope = alloc_core::Scope::enter()?;
    /// let kept = vec![0_u8; 100];
    /// assert_eq!(scope.usage()?.current.bytes, kept.len() as u64);
    /// # Ok::<(), alloc_core::Error>(())
    /// ```
    pub fn enter() -> Result<Scope, Error> {
        Scope::enter_with(std::ptr::null_mut())
    }

    /// Enters a scope like [`enter`](Self::enter) that also counts for each stack: see
    /// [`snapshot`](Self::snapshot).
    ///
    /// It costs some hundred nanoseconds for each allocation.
    ///
    /// # Errors
    ///
    /// The errors of [`enter`](Self::enter).
    ///
    /// ```
    /// # use alloc_core::TraceAlloc;
    /// # #[global_allocator]
    /// # static ALLOC: TraceAlloc = TraceAlloc::system();
    /// use alloc_core::{GroupBy, Scope};
    ///
    /// let scope = Scope::enter_with_stacks()?;
    /// let kept = vec![0_u8; 100];
    /// let lines = scope.snapshot()?.statistics(GroupBy::Line);
    /// assert_eq!((lines[0].size.get(), lines[0].count), (100, 1));
    /// # drop(kept);
    /// # Ok::<(), alloc_core::Error>(())
    /// ```
    pub fn enter_with_stacks() -> Result<Scope, Error> {
        prepare::prepare_scopes()?;
        prepare::prepare_scopes_with_stacks()?;
        // This allocation is not the program's.
        let sites = thread::untraced(|| Box::into_raw(Box::<Sites>::default()));
        let entered = Scope::enter_with(sites);
        if entered.is_err() {
            // SAFETY: `Box::into_raw` above returned it, and it was not shared.
            thread::untraced(|| drop(unsafe { Box::from_raw(sites) }));
        }
        entered
    }

    /// Enters a scope like [`enter_with_stacks`](Self::enter_with_stacks) that also counts the
    /// threads started in it, and the threads that those start: without a handle.
    ///
    /// It is for work that starts its threads where no handle can be passed. It counts threads that
    /// `std::thread` starts, which includes those of rayon and tokio if the pool or runtime is made
    /// in the scope. Blocks that they hold when the scope is read count as live, whether the
    /// threads still run or not.
    ///
    /// # Errors
    ///
    /// The errors of [`enter`](Self::enter); and [`Error::is_io`] if the threads of the process
    /// cannot be listed, as on all systems but Linux.
    ///
    /// ```
    /// # use alloc_core::TraceAlloc;
    /// # #[global_allocator]
    /// # static ALLOC: TraceAlloc = TraceAlloc::system();
    /// # #[cfg(target_os = "linux")] {
    /// let scope = alloc_core::Scope::enter_with_threads()?;
    /// let work = || std::thread::spawn(|| drop(vec![0_u8; 500])).join();
    /// std::thread::spawn(work).join().unwrap().unwrap();
    /// assert!(scope.usage()?.allocated.bytes >= 500);
    /// # }
    /// # Ok::<(), alloc_core::Error>(())
    /// ```
    pub fn enter_with_threads() -> Result<Scope, Error> {
        let scope = Scope::enter_with_stacks()?;
        scope.id.share();
        started::look_out(scope.id, Started::Counts)?;
        Ok(scope)
    }

    /// Enters a scope like [`enter_with_stacks`](Self::enter_with_stacks) that also
    /// [notices](Self::has_started_threads) threads that are started in it and do not count. On
    /// systems that do not list threads it notices none.
    pub(crate) fn enter_noticing_threads() -> Result<Scope, Error> {
        let scope = Scope::enter_with_stacks()?;
        // NOTE: only Linux lists threads. The documentation of assertions says so.
        let _ = thread::untraced(|| started::look_out(scope.id, Started::IsNoted));
        Ok(scope)
    }

    /// Whether a thread was started in the scope that does not count in it.
    pub(crate) fn has_started_threads(&self) -> bool {
        has_started_threads(self.id)
    }

    fn enter_with(sites: *mut Sites) -> Result<Scope, Error> {
        prepare::prepare_scopes()?;
        if thread::stage() == Stage::Fresh {
            control::attached();
        }
        let outer = thread::scope();
        let id = SlotId::claim(outer, sites)
            .ok_or_else(|| Error::out_of_memory("another scope: a million are alive"))?;
        // NOTE: the thread's share now belongs to the guard.
        thread::replace_scope(Some(id));
        Ok(Scope {
            id,
            outer,
            forks: control::forks(),
            _not_send: PhantomData,
        })
    }

    /// What was allocated and freed so far.
    ///
    /// # Errors
    ///
    /// [`Error::is_broken`] if memory for a count was missing; [`Error::is_forked`] in a child of
    /// the process that entered the scope.
    ///
    /// ```
    /// # use alloc_core::TraceAlloc;
    /// # #[global_allocator]
    /// # static ALLOC: TraceAlloc = TraceAlloc::system();
    /// let scope = alloc_core::Scope::enter()?;
    /// drop(vec![0_u8; 100]);
    /// assert_eq!(scope.usage()?.freed, alloc_core::Amount::new(100, 1));
    /// # Ok::<(), alloc_core::Error>(())
    /// ```
    pub fn usage(&self) -> Result<Usage, Error> {
        usage_of(self.id, self.forks)
    }

    /// What was allocated and freed so far, by stack. It has no traces unless the scope was entered
    /// [with stacks](Self::enter_with_stacks).
    ///
    /// Stacks are cut to their 32 innermost frames, and the peak is the scope's own.
    ///
    /// # Errors
    ///
    /// The errors of [`usage`](Self::usage).
    ///
    /// ```
    /// # use alloc_core::TraceAlloc;
    /// # #[global_allocator]
    /// # static ALLOC: TraceAlloc = TraceAlloc::system();
    /// let scope = alloc_core::Scope::enter_with_stacks()?;
    /// drop(vec![0_u8; 100]);
    /// assert_eq!(scope.snapshot()?.traced_memory().peak, 100);
    /// # Ok::<(), alloc_core::Error>(())
    /// ```
    pub fn snapshot(&self) -> Result<Snapshot, Error> {
        snapshot_of(self.id, self.forks)
    }

    /// A handle that takes this scope to other threads and into futures.
    ///
    /// ```
    /// # use alloc_core::TraceAlloc;
    /// # #[global_allocator]
    /// # static ALLOC: TraceAlloc = TraceAlloc::system();
    /// let scope = alloc_core::Scope::enter()?;
    /// let handle = scope.handle();
    /// drop(scope);
    /// // The scope lives on in its handle.
    /// handle.run(|| drop(vec![0_u8; 100]));
    /// assert_eq!(handle.usage()?.allocated.bytes, 100);
    /// # Ok::<(), alloc_core::Error>(())
    /// ```
    pub fn handle(&self) -> ScopeHandle {
        self.id.share();
        self.id.own();
        ScopeHandle {
            id: self.id,
            forks: self.forks,
        }
    }
}

pub(super) fn has_started_threads(id: SlotId) -> bool {
    id.slot().sites().is_some_and(Sites::has_started)
}

pub(super) fn has_stacks(id: SlotId) -> bool {
    id.slot().sites().is_some()
}

/// The bytes live in a scope; `None` where [`usage_of`] returns an error.
#[inline]
pub(super) fn live_bytes_of(id: SlotId, forks: u32) -> Option<Bytes> {
    let slot = id.slot();
    (forks == control::forks() && !slot.is_broken()).then(|| slot.live_bytes())
}

pub(super) fn usage_of(id: SlotId, forks: u32) -> Result<Usage, Error> {
    if forks != control::forks() {
        return Err(Error::forked());
    }
    if id.slot().is_broken() {
        return Err(Error::out_of_memory("the blocks of a scope"));
    }
    Ok(id.slot().usage())
}

pub(super) fn snapshot_of(id: SlotId, forks: u32) -> Result<Snapshot, Error> {
    let usage = usage_of(id, forks)?;
    let heap = TracedMemory {
        current: usage.current.bytes,
        peak: usage.peak.bytes,
        ..TracedMemory::default()
    };
    let _muted = thread::mute();
    let recorded = match id.slot().sites() {
        Some(sites) => sites.recorded(heap),
        None => Recorded {
            heap,
            ..Recorded::default()
        },
    };
    Ok(process::snapshot_of(recorded))
}

impl Drop for Scope {
    fn drop(&mut self) {
        if thread::scope() == Some(self.id) {
            thread::replace_scope(SlotId::come_back(self.outer));
            self.id.leave();
        } else {
            // A guard within still lives, and would bring the thread back to this scope.
            self.id.mark_left();
            self.id.disown(1);
            if let Some(outer) = self.outer {
                outer.disown(1);
            }
        }
    }
}

impl fmt::Debug for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scope")
            .field("usage", &self.id.slot().usage())
            .finish_non_exhaustive()
    }
}
