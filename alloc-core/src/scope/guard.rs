//! [`Scope`]: the guard that a thread holds while it is in a scope.

use std::fmt;
use std::marker::PhantomData;

use super::prepare;
use super::sites::Sites;
use super::started::{self, Started};
use super::{ScopeHandle, SlotId, Usage};
use crate::Error;
use crate::record::thread::{self, Stage};
use crate::snapshot::recorded::Recorded;
use crate::snapshot::snapshot::Snapshot;
use crate::{TracedMemory, control, process};

/// From when it is entered until it is dropped, counts what this thread allocates and frees.
///
/// Scopes are exact and do not need tracing, nor mind how it is done: not if only a sample is
/// recorded, nor if there are more stacks than are told apart. They may be nested: what is
/// allocated within counts in all of them. A scope follows work to other threads by a
/// [handle](Self::handle):
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
/// - *Futures*: [`instrument`](ScopeHandle::instrument) has a future counted wherever it is polled
///   and dropped.
/// - *Rayon*: what the closures of a parallel iterator allocate is counted if each is
///   [run](ScopeHandle::run)
///   by a handle: `items.par_iter().map(|it| handle.run(|| parse(it)))`. A whole pool is, if its threads
///   live within the scope: `ThreadPoolBuilder::new().spawn_handler(..)` with
///   `handle.run(|| thread.run())` on each thread that it starts.
///
/// # Order
///
/// Guards are to be dropped in the reverse of the order in which they were made, as they are at the
/// end of a block. Where one is dropped before a guard within it, the thread stays in the one
/// within.
///
/// # What it costs
///
/// Entering and leaving some 40 ns; a pair of an allocation and a free in a scope some 40 ns more,
/// and as much for each scope around it. While a scope is alive, or a block that was allocated in
/// one, code outside of scopes looks once more at each allocation and free, for some 15 ns a pair.
/// Otherwise nothing: `cargo bench -p alloc-benches --bench scopes`. In a program of tests for the
/// standard harness a pair in a scope takes some 150 ns, as [with stacks](Self::enter_with_stacks):
/// what is printed there is kept in memory by the test's thread, and does not count.
pub struct Scope {
    id: SlotId,
    /// The scope around this one.
    outer: Option<SlotId>,
    forks: u32,
    // It is this thread's.
    _not_send: PhantomData<*const ()>,
}

impl Scope {
    /// Enters a scope within the present one, if there is one.
    ///
    /// # Errors
    ///
    /// [`Error::is_not_installed`] if the global allocator of the program is another;
    /// [`Error::is_broken`] if there is no memory for what is counted, or a million scopes are
    /// alive, counting those of which blocks are.
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

    /// The same, and counts for each stack on its own: see [`snapshot`](Self::snapshot).
    ///
    /// It costs some hundred nanoseconds for each allocation.
    ///
    /// # Errors
    ///
    /// As [`enter`](Self::enter).
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
        // What is allocated here is not the program's.
        let sites = thread::untraced(|| Box::into_raw(Box::<Sites>::default()));
        let entered = Scope::enter_with(sites);
        if entered.is_err() {
            // SAFETY: from just above, and nobody knows of it.
            thread::untraced(|| drop(unsafe { Box::from_raw(sites) }));
        }
        entered
    }

    /// The same, and counts what threads do that are started in it, and those that they start:
    /// without a handle.
    ///
    /// It is for work that starts its threads where no handle can be passed. They are those that
    /// `std::thread` starts, so rayon's and tokio's own as well, if their pool or runtime is made
    /// in the scope. What they hold when the scope is asked counts as live, whether they go on or
    /// not.
    ///
    /// # Errors
    ///
    /// As [`enter`](Self::enter); and [`Error::is_io`] where the threads of the process cannot be
    /// listed, as anywhere but on Linux.
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

    /// As [`enter_with_stacks`](Self::enter_with_stacks), and [tells](Self::has_started_threads)
    /// whether threads were started in it, which do not count; where they cannot be told apart it
    /// never does.
    pub(crate) fn enter_noticing_threads() -> Result<Scope, Error> {
        let scope = Scope::enter_with_stacks()?;
        // NOTE: elsewhere than on Linux there is no list. That is said where assertions are
        // documented.
        let _ = thread::untraced(|| started::look_out(scope.id, Started::IsNoted));
        Ok(scope)
    }

    /// Whether a thread was started in the scope that does not count there.
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
        // NOTE: what the thread owned is now the guard's.
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
    /// [`Error::is_broken`] if there was no memory for what is counted; [`Error::is_forked`] in a
    /// child of the process that entered the scope.
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

    /// What was allocated and freed so far, by the stacks that did it; without traces, unless the
    /// scope was entered [with stacks](Self::enter_with_stacks).
    ///
    /// All stacks are whole or 32 frames deep, and the peak is the scope's own.
    ///
    /// # Errors
    ///
    /// As [`usage`](Self::usage).
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

    /// What takes this scope along to other threads and into futures.
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
            // The guard of one within is still there, and would bring the thread back to this one.
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
