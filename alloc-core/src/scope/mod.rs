//! [`Scope`] and [`measure`]: what a piece of work allocates, whatever other threads do.

use std::fmt;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll};

use crate::Error;
use crate::record::thread::Stage;
use crate::snapshot::recorded::Recorded;
use crate::snapshot::snapshot::Snapshot;
use crate::{Amount, TracedMemory, control, record::thread};

mod sites;
mod slots;
mod started;

use sites::Sites;
pub(crate) use slots::SlotId;
pub(crate) use slots::{born, died, leave, moved, stay};
use started::Started;

/// What a scope allocated and freed, in exact numbers.
///
/// A block belongs to the scope that allocated it, wherever and whenever it is freed. So a free on another
/// thread is counted, and one of a block from before never makes a number negative: such blocks are
/// counted apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Usage {
    /// All that was allocated; a reallocation counts as one allocation of the new size.
    pub allocated: Amount,
    /// What of it was freed, or reallocated.
    pub freed: Amount,
    /// What of it is live.
    pub current: Amount,
    /// The most of it that was live at one moment: bytes and blocks, each at its own.
    ///
    /// Exact where one thread of the scope runs at a time. Where several do, off by no more than the blocks that
    /// they are in the middle of allocating or freeing, one for each thread.
    pub peak: Amount,
    /// How many of the allocations were reallocations.
    pub reallocations: u64,
    /// Blocks from before the scope, or from outside of it, that were freed or reallocated in it.
    pub freed_before: Amount,
}

impl fmt::Display for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let blocks = |n: u64| match n {
            1 => "1 block".to_owned(),
            n => format!("{n} blocks"),
        };
        write!(
            f,
            "allocated {} in {}, peak {}, live {} in {}",
            self.allocated.bytes,
            blocks(self.allocated.blocks),
            self.peak.bytes,
            self.current.bytes,
            blocks(self.current.blocks),
        )
    }
}

/// What [`measure`] returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Measured<T> {
    /// What the work returned. What it holds counts as live.
    pub value: T,
    /// What the work allocated and freed.
    pub usage: Usage,
}

/// Runs `work`, and counts what it allocates and frees on this thread.
///
/// Exact whatever other threads do, so tests may run side by side. It does not need tracing, and does not
/// disturb it. For work that goes on to other threads, see [`Scope`].
///
/// # Panics
///
/// If what it counted is not true: where [`Scope::enter`] or [`Scope::usage`] return an error.
///
/// ```
/// # use alloc_core::TraceAlloc;
/// # #[global_allocator]
/// # static ALLOC: TraceAlloc = TraceAlloc::system();
/// let measured = alloc_core::measure(|| {
///     drop(vec![0_u8; 1000]);
///     vec![0_u8; 100]
/// });
/// let usage = measured.usage;
/// assert_eq!(usage.allocated, alloc_core::Amount::new(1100, 2));
/// assert_eq!(usage.peak.bytes, 1000);
/// assert_eq!(usage.current.bytes, measured.value.len() as u64);
/// ```
#[track_caller]
pub fn measure<T>(work: impl FnOnce() -> T) -> Measured<T> {
    or_panic(try_measure(work))
}

/// For those who promise to panic where they cannot measure.
#[track_caller]
pub(crate) fn or_panic<T>(measured: Result<T, Error>) -> T {
    // NOTE: in a closure the panic would not be the caller's.
    match measured {
        Ok(measured) => measured,
        Err(error) => panic!("cannot measure: {error}"),
    }
}

/// The same, with an error where [`measure`] panics.
///
/// # Errors
///
/// As [`Scope::enter`], before the work, and [`Scope::usage`], after it.
pub fn try_measure<T>(work: impl FnOnce() -> T) -> Result<Measured<T>, Error> {
    let scope = Scope::enter()?;
    let value = work();
    let usage = scope.usage()?;
    Ok(Measured { value, usage })
}

/// Runs a future, and counts what it allocates and frees, whichever threads poll it.
///
/// What was allocated to make the future is not counted.
///
/// # Errors
///
/// As [`try_measure`].
///
/// ```
/// # use alloc_core::TraceAlloc;
/// # #[global_allocator]
/// # static ALLOC: TraceAlloc = TraceAlloc::system();
/// # fn block_on<F: Future>(future: F) -> F::Output {
/// #     let mut context = std::task::Context::from_waker(std::task::Waker::noop());
/// #     match std::pin::pin!(future).poll(&mut context) {
/// #         std::task::Poll::Ready(value) => value,
/// #         std::task::Poll::Pending => unreachable!(),
/// #     }
/// # }
/// # block_on(async {
/// let measured = alloc_core::measure_future(async { vec![0_u8; 100] }).await?;
/// assert_eq!(measured.usage.current.bytes, measured.value.len() as u64);
/// # Ok::<(), alloc_core::Error>(())
/// # })?;
/// # Ok::<(), alloc_core::Error>(())
/// ```
pub async fn measure_future<F: Future>(future: F) -> Result<Measured<F::Output>, Error> {
    let handle = ScopeHandle::new()?;
    let value = handle.instrument(future).await;
    let usage = handle.usage()?;
    Ok(Measured { value, usage })
}

/// From when it is entered until it is dropped, counts what this thread allocates and frees.
///
/// Scopes are exact and do not need tracing, nor mind how it is done: not if only a sample is recorded, nor
/// if there are more stacks than are told apart. They may be nested: what is allocated within counts in all
/// of them. A scope follows work to other threads by a [handle](Self::handle):
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
/// - *Futures*: [`instrument`](ScopeHandle::instrument) has a future counted wherever it is polled and dropped.
/// - *Rayon*: what the closures of a parallel iterator allocate is counted if each is [run](ScopeHandle::run)
///   by a handle: `items.par_iter().map(|it| handle.run(|| parse(it)))`. A whole pool is, if its threads
///   live within the scope: `ThreadPoolBuilder::new().spawn_handler(..)` with
///   `handle.run(|| thread.run())` on each thread that it starts.
///
/// # Order
///
/// Guards are to be dropped in the reverse of the order in which they were made, as they are at the end of a
/// block. Where one is dropped before a guard within it, the thread stays in the one within.
///
/// # What it costs
///
/// Entering and leaving some 40 ns; a pair of an allocation and a free in a scope some 40 ns more, and as
/// much for each scope around it. While a scope is alive, or a block that was allocated in one, code
/// outside of scopes looks once more at each allocation and free, for some 15 ns a pair. Otherwise nothing:
/// `cargo bench -p alloc-benches --bench scopes`. In a program of tests for the standard harness a pair in a
/// scope takes some 150 ns, as [with stacks](Self::enter_with_stacks): what is printed there is kept in memory by
/// the test's thread, and does not count.
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
    /// [`Error::is_broken`] if there is no memory for what is counted, or a million scopes are alive, counting
    /// those of which blocks are.
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
    pub fn enter_with_stacks() -> Result<Scope, Error> {
        control::prepare_scopes()?;
        control::prepare_scopes_with_stacks()?;
        // What is allocated here is not the program's.
        let sites = crate::untraced(|| Box::into_raw(Box::<Sites>::default()));
        let entered = Scope::enter_with(sites);
        if entered.is_err() {
            // SAFETY: from just above, and nobody knows of it.
            crate::untraced(|| drop(unsafe { Box::from_raw(sites) }));
        }
        entered
    }

    /// The same, and counts what threads do that are started in it, and those that they start: without a handle.
    ///
    /// It is for work that starts its threads where no handle can be passed. They are those that `std::thread`
    /// starts, so rayon's and tokio's own as well, if their pool or runtime is made in the scope. What they hold
    /// when the scope is asked counts as live, whether they go on or not.
    ///
    /// # Errors
    ///
    /// As [`enter`](Self::enter); and [`Error::is_io`] where the threads of the process cannot be listed, as
    /// anywhere but on Linux.
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
        let _ = crate::untraced(|| started::look_out(scope.id, Started::IsNoted));
        Ok(scope)
    }

    /// Whether a thread was started in the scope that does not count there.
    pub(crate) fn has_started_threads(&self) -> bool {
        has_started_threads(self.id)
    }

    fn enter_with(sites: *mut Sites) -> Result<Scope, Error> {
        control::prepare_scopes()?;
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
    /// [`Error::is_broken`] if there was no memory for what is counted; [`Error::is_forked`] in a child of the
    /// process that entered the scope.
    pub fn usage(&self) -> Result<Usage, Error> {
        usage_of(self.id, self.forks)
    }

    /// What was allocated and freed so far, by the stacks that did it; without traces, unless the scope was
    /// entered [with stacks](Self::enter_with_stacks).
    ///
    /// All stacks are whole or 32 frames deep, and the peak is the scope's own.
    ///
    /// # Errors
    ///
    /// As [`usage`](Self::usage).
    pub fn snapshot(&self) -> Result<Snapshot, Error> {
        snapshot_of(self.id, self.forks)
    }

    /// What takes this scope along to other threads and into futures.
    pub fn handle(&self) -> ScopeHandle {
        self.id.share();
        self.id.own();
        ScopeHandle {
            id: self.id,
            forks: self.forks,
        }
    }
}

fn has_started_threads(id: SlotId) -> bool {
    id.slot().sites().is_some_and(Sites::has_started)
}

fn usage_of(id: SlotId, forks: u32) -> Result<Usage, Error> {
    if forks != control::forks() {
        return Err(Error::forked());
    }
    if id.slot().is_broken() {
        return Err(Error::out_of_memory("the blocks of a scope"));
    }
    Ok(id.slot().usage())
}

fn snapshot_of(id: SlotId, forks: u32) -> Result<Snapshot, Error> {
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
    Ok(crate::process::snapshot_of(recorded))
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

/// A share in a [`Scope`], for other threads and for futures.
///
/// The scope lives as long as its guard or a handle does. One without a guard counts what is
/// [run](Self::run) and [polled](Self::instrument) by its handles:
///
/// ```
/// # use alloc_core::TraceAlloc;
/// # #[global_allocator]
/// # static ALLOC: TraceAlloc = TraceAlloc::system();
/// let handle = alloc_core::ScopeHandle::new()?;
/// let kept = handle.run(|| vec![0_u8; 100]);
/// let other = vec![0_u8; 5000];
/// assert_eq!(handle.usage()?.current.bytes, 100);
/// # drop((kept, other));
/// # Ok::<(), alloc_core::Error>(())
/// ```
pub struct ScopeHandle {
    /// NOTE: owned.
    id: SlotId,
    forks: u32,
}

impl Clone for ScopeHandle {
    fn clone(&self) -> ScopeHandle {
        self.id.own();
        ScopeHandle { ..*self }
    }
}

impl Drop for ScopeHandle {
    fn drop(&mut self) {
        self.id.disown(1);
    }
}

impl ScopeHandle {
    /// A scope within the present one, if there is one, that no thread is in yet.
    ///
    /// # Errors
    ///
    /// As [`Scope::enter`].
    pub fn new() -> Result<ScopeHandle, Error> {
        Scope::enter().map(|scope| scope.handle())
    }

    /// The same, and counts for each stack on its own.
    ///
    /// # Errors
    ///
    /// As [`Scope::enter`].
    pub fn with_stacks() -> Result<ScopeHandle, Error> {
        Scope::enter_with_stacks().map(|scope| scope.handle())
    }

    /// Whether a thread was started in the scope that does not count there, as
    /// [`Scope::has_started_threads`].
    pub(crate) fn has_started_threads(&self) -> bool {
        has_started_threads(self.id)
    }

    /// What was allocated and freed so far, as [`Scope::usage`].
    ///
    /// # Errors
    ///
    /// As [`Scope::usage`].
    pub fn usage(&self) -> Result<Usage, Error> {
        usage_of(self.id, self.forks)
    }

    /// What was allocated and freed so far, by stacks, as [`Scope::snapshot`].
    ///
    /// # Errors
    ///
    /// As [`Scope::usage`].
    pub fn snapshot(&self) -> Result<Snapshot, Error> {
        snapshot_of(self.id, self.forks)
    }

    /// Runs `work` in the scope, on this thread. If it panics, the thread is out of the scope again.
    pub fn run<T>(&self, work: impl FnOnce() -> T) -> T {
        let _inside = Inside::begin(self.id);
        work()
    }

    /// A future that runs in the scope, whichever thread polls or drops it.
    ///
    /// The future itself was made before; what it allocates when it is polled is the scope's.
    pub fn instrument<F>(&self, future: F) -> Instrumented<F> {
        Instrumented {
            future: Some(future),
            scope: self.clone(),
        }
    }
}

impl fmt::Debug for ScopeHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScopeHandle").finish_non_exhaustive()
    }
}

/// Has the thread in a scope until it is dropped.
struct Inside {
    id: SlotId,
    outer: Option<SlotId>,
    _not_send: PhantomData<*const ()>,
}

impl Inside {
    fn begin(id: SlotId) -> Inside {
        id.own();
        Inside {
            id,
            outer: thread::replace_scope(Some(id)),
            _not_send: PhantomData,
        }
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        if thread::scope() == Some(self.id) {
            thread::replace_scope(SlotId::come_back(self.outer));
            self.id.disown(1);
        } else if let Some(outer) = self.outer {
            outer.disown(1);
        }
    }
}

/// A future that runs in a scope: see [`ScopeHandle::instrument`].
#[must_use = "futures do nothing unless polled"]
pub struct Instrumented<F> {
    /// NOTE: pinned with the whole: it is never moved out, and dropped where it is. Nothing only in `drop`.
    future: Option<F>,
    scope: ScopeHandle,
}

impl<F: Future> Future for Instrumented<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        // SAFETY: nothing is moved out of it here.
        let this = unsafe { self.get_unchecked_mut() };
        let _inside = Inside::begin(this.scope.id);
        let future = this.future.as_mut().expect("only `drop` takes the future");
        // SAFETY: the whole is pinned, and never lets go of the future but to drop it in place.
        unsafe { Pin::new_unchecked(future) }.poll(context)
    }
}

impl<F> Drop for Instrumented<F> {
    fn drop(&mut self) {
        let _inside = Inside::begin(self.scope.id);
        // NOTE: an assignment drops the old value where it is, as a pinned one must be.
        self.future = None;
    }
}

impl<F> fmt::Debug for Instrumented<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Instrumented").finish_non_exhaustive()
    }
}

/// The physical memory that scopes take up.
pub(crate) fn resident() -> usize {
    slots::resident() + sites::resident()
}

/// Makes room for scopes. `None` where the system has no memory to give.
pub(crate) fn prepare(granule: crate::tables::blocks::Granule) -> Option<()> {
    slots::prepare(granule)
}

/// Makes room for scopes that count by callsite.
pub(crate) fn prepare_stacks(granule: crate::tables::blocks::Granule) -> Option<()> {
    sites::prepare(granule)
}

/// Has all scopes leave out what is printed, those without stacks, too.
pub(crate) fn tell_printing() {
    sites::tell_printing();
}
