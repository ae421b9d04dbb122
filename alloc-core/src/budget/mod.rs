//! [`Budget`]: a limit on what a piece of work holds live, checked where the program can stop.
//!
//! In: a scope or a label, a limit, and the moments at which the program checks. Out: an [`OverBudget`], and
//! callbacks. Never: anything inside the allocator, which must not unwind, nor a block refused.

mod check;
mod future;
mod level;
mod limited;
mod over_budget;

use std::fmt;
use std::mem::ManuallyDrop;
use std::sync::Arc;

pub use future::Budgeted;
use level::Level;
use limited::{Limited, LimitedLabel};
pub use over_budget::{BudgetWarning, OverBudget};

use crate::label::Label;
use crate::record::thread;
use crate::scope::{ScopeHandle, Usage};
use crate::{Bytes, Error};

/// A limit on the bytes that a piece of work holds live, on whatever threads it runs.
///
/// It counts what a [scope](crate::Scope) counts, exactly, and needs no tracing. Nothing is refused
/// and nothing unwinds in the allocator: the program learns that it is over budget at its next
/// check, and stops where it can. A check is
///
/// - a poll of a future that the budget [instruments](Self::instrument), before and after;
/// - a call of [`check`](Self::check);
/// - the start and the end of a [`run`](Self::run).
///
/// ```
/// # use alloc_core::TraceAlloc;
/// # #[global_allocator]
/// # static ALLOC: TraceAlloc = TraceAlloc::system();
/// use alloc_core::{Budget, Bytes, OverBudget};
///
/// /// Unpacks a file that claims to be small.
/// fn unpack(budget: &Budget) -> Result<Vec<Vec<u8>>, OverBudget> {
///     let mut parts = Vec::new();
///     loop {
///         parts.push(vec![0_u8; 10_000]);
///         budget.check()?;
///     }
/// }
///
/// let budget = Budget::new(Bytes::kib(64))?;
/// let over = budget.run(|| unpack(&budget)).unwrap_err();
/// assert!(over.used > over.limit && over.used < 80_000);
/// // The work is gone, and so is its memory.
/// assert!(!budget.over_budget());
/// # Ok::<(), alloc_core::Error>(())
/// ```
///
/// # Overshoot
///
/// Between two checks the work may allocate as it likes. So the live bytes exceed the limit by at
/// most what the work allocates between two checks: in one poll, say. If several threads work on
/// one budget, each adds as much. Four threads whose polls allocate 64 KiB exceed a budget by at
/// most 256 KiB. On two processors, `cargo run --release --example budget` measures 128 KiB. What
/// exceeds the limit and is freed between two checks is not noticed; [`Usage::peak`] has it.
///
/// # What counts
///
/// The bytes that the work requested and that are live, whichever thread frees them. Not what it
/// freed; not what existed before the budget; not what tasks and threads allocate that are neither
/// run nor instrumented by the budget. A budget that is made inside a scope, or inside another
/// budget, counts in that, too.
///
/// A budget of zero is over as soon as one byte is live. It accepts work that allocates and frees
/// everything between two checks.
///
/// If the count is not reliable, where [`usage`](Self::usage) returns an error, the budget is never
/// over, and the work goes on.
///
/// # Sharing
///
/// Clones are handles of one budget, as with [`ScopeHandle`]. Several futures may share a budget:
/// those polled while it is over end, until what they freed brings it back.
///
/// # Cost
///
/// A check takes some 4 ns, and a poll 15 to 20 ns: `cargo bench -p alloc-benches --bench scopes`.
/// Allocations cost what they cost in a [scope](crate::Scope#cost) with a handle.
pub struct Budget {
    limited: Limited,
    levels: ManuallyDrop<Arc<Levels>>,
}

#[derive(Clone)]
struct Levels {
    limit: Level<OverBudget>,
    warning: Level<BudgetWarning>,
}

impl Budget {
    /// A budget with a scope of its own, inside the thread's present scope if there is one.
    ///
    /// # Errors
    ///
    /// The errors of [`Scope::enter`](crate::Scope::enter): [`Error::is_not_installed`] if the
    /// program's global allocator is another.
    ///
    /// ```
    /// # use alloc_core::TraceAlloc;
    /// # #[global_allocator]
    /// # static ALLOC: TraceAlloc = TraceAlloc::system();
    /// use alloc_core::{Budget, Bytes};
    ///
    /// let budget = Budget::new(Bytes::mib(64))?;
    /// let kept = budget.run(|| vec![0_u8; 1 << 20]);
    /// assert!(!budget.over_budget());
    /// # drop(kept);
    /// # Ok::<(), alloc_core::Error>(())
    /// ```
    pub fn new(limit: impl Into<Bytes>) -> Result<Budget, Error> {
        Ok(Budget::of(&ScopeHandle::new()?, limit))
    }

    /// A budget like [`new`](Self::new) whose [`OverBudget::top`] has the lines that hold the most.
    ///
    /// It costs some hundred nanoseconds for each allocation. The first time that a budget with
    /// stacks is over, names are looked up in the process's debug information, in the check. That
    /// takes some tenths of a second and memory that is given back: see
    /// [`Snapshot`](crate::Snapshot#what-taking-one-costs).
    ///
    /// # Errors
    ///
    /// The errors of [`new`](Self::new).
    ///
    /// ```
    /// # use alloc_core::TraceAlloc;
    /// # #[global_allocator]
    /// # static ALLOC: TraceAlloc = TraceAlloc::system();
    /// use alloc_core::{Budget, Bytes};
    ///
    /// let budget = Budget::with_stacks(Bytes::kib(64))?;
    /// let kept = budget.run(|| vec![0_u8; 100_000]);
    /// let over = budget.check().unwrap_err();
    /// assert_eq!((over.top[0].size.get(), over.top[0].count), (100_000, 1));
    /// # drop(kept);
    /// # Ok::<(), alloc_core::Error>(())
    /// ```
    pub fn with_stacks(limit: impl Into<Bytes>) -> Result<Budget, Error> {
        Ok(Budget::of(&ScopeHandle::with_stacks()?, limit))
    }

    /// A budget for a scope that already exists, including what the scope holds already.
    ///
    /// Its errors have a [`top`](OverBudget::top) if the scope counts by stack.
    ///
    /// ```
    /// # use alloc_core::TraceAlloc;
    /// # #[global_allocator]
    /// # static ALLOC: TraceAlloc = TraceAlloc::system();
    /// use alloc_core::{Budget, Scope};
    ///
    /// let scope = Scope::enter()?;
    /// let budget = Budget::of(&scope.handle(), 100);
    /// let kept = vec![0_u8; 101];
    /// assert!(budget.over_budget());
    /// # drop(kept);
    /// # Ok::<(), alloc_core::Error>(())
    /// ```
    pub fn of(scope: &ScopeHandle, limit: impl Into<Bytes>) -> Budget {
        Budget::on(Limited::Scope(scope.clone()), limit.into())
    }

    /// A budget for a [`Label`] and those within it, whoever enters them: for a tenant, or for the
    /// requests of one route.
    ///
    /// It limits the live bytes that the traced session counts in the label, from its start on.
    /// Its work, which [`run`](Self::run) and [`instrument`](Self::instrument) get, runs in the
    /// label. Its errors have a [`top`](OverBudget::top), which takes as long as for a budget
    /// [with stacks](Self::with_stacks).
    ///
    /// While the whole heap is no larger than the limit and the warning level, a check takes some
    /// 30 ns, and no callsite is read. Otherwise it adds up the callsites of the label: some 15 ns
    /// for each, and a few more for each further thread.
    ///
    /// When the session ends, the budget is never over, until another begins; [`used`](Self::used)
    /// is an error. In a sample, the live bytes are an estimate.
    ///
    /// # Errors
    ///
    /// [`Error::is_not_tracing`] without a session, [`Error::is_not_installed`] without the
    /// allocator, and [`Error::is_invalid_config`] for no label, and in a session without stacks.
    ///
    /// ```
    /// # use alloc_core::TraceAlloc;
    /// # #[global_allocator]
    /// # static ALLOC: TraceAlloc = TraceAlloc::system();
    /// use alloc_core::{Budget, Bytes, Label};
    ///
    /// alloc_core::start()?;
    /// let tenant = Label::new("tenant 7");
    /// let budget = Budget::of_label(tenant, Bytes::kib(64))?;
    /// let kept = tenant.within("import").run(|| std::hint::black_box(vec![0_u8; 100_000]));
    /// assert_eq!(budget.check().unwrap_err().used, 100_000);
    /// drop(kept);
    /// assert!(budget.check().is_ok());
    /// # Ok::<(), alloc_core::Error>(())
    /// ```
    pub fn of_label(label: Label, limit: impl Into<Bytes>) -> Result<Budget, Error> {
        let limited = Limited::Label(LimitedLabel::new(label)?);
        Ok(Budget::on(limited, limit.into()))
    }

    fn on(limited: Limited, limit: Bytes) -> Budget {
        let levels = Levels {
            limit: Level::new(limit),
            warning: Level::new(Bytes::new(u64::MAX)),
        };
        Budget {
            limited,
            // This allocation is not the program's.
            levels: ManuallyDrop::new(thread::untraced(|| Arc::new(levels))),
        }
    }

    /// Sets a level past which a check runs the callback of [`on_warning`](Self::on_warning).
    ///
    /// ```
    /// # use alloc_core::TraceAlloc;
    /// # #[global_allocator]
    /// # static ALLOC: TraceAlloc = TraceAlloc::system();
    /// use alloc_core::{Budget, Bytes};
    ///
    /// let (sender, warnings) = std::sync::mpsc::channel();
    /// let budget = Budget::new(Bytes::kib(64))?
    ///     .warn_at(Bytes::kib(48))
    ///     .on_warning(move |warning| sender.send(warning.used).unwrap());
    /// let kept = budget.run(|| vec![0_u8; 50_000]);
    /// assert_eq!(warnings.recv().unwrap(), 50_000);
    /// # drop(kept);
    /// # Ok::<(), alloc_core::Error>(())
    /// ```
    #[must_use = "it returns the budget"]
    pub fn warn_at(self, level: impl Into<Bytes>) -> Budget {
        let level = level.into();
        self.change(|levels| levels.warning.bytes = level)
    }

    /// Sets what a check does when the work holds more than the [warning level](Self::warn_at).
    ///
    /// The callback runs once for each crossing: again only after a check found no more than the
    /// level. It runs on the thread that checks, before the limit is checked, so it may free
    /// memory. It is an ordinary call outside of the allocator. What it allocates counts in the
    /// budget only if `check` is called inside the budget's own work.
    ///
    /// Clones that exist already keep their callbacks and levels.
    ///
    /// ```
    /// # use alloc_core::TraceAlloc;
    /// # #[global_allocator]
    /// # static ALLOC: TraceAlloc = TraceAlloc::system();
    /// use std::sync::atomic::{AtomicU32, Ordering};
    ///
    /// static WARNINGS: AtomicU32 = AtomicU32::new(0);
    /// let budget = alloc_core::Budget::new(100)?
    ///     .warn_at(50)
    ///     .on_warning(|_| _ = WARNINGS.fetch_add(1, Ordering::Relaxed));
    /// let kept = budget.run(|| vec![0_u8; 60]);
    /// budget.check().unwrap();
    /// assert_eq!(WARNINGS.load(Ordering::Relaxed), 1);
    /// # drop(kept);
    /// # Ok::<(), alloc_core::Error>(())
    /// ```
    #[must_use = "it returns the budget"]
    pub fn on_warning(self, callback: impl Fn(&BudgetWarning) + Send + Sync + 'static) -> Budget {
        self.change(|levels| levels.warning.callback = Some(Arc::new(callback)))
    }

    /// Sets what a check does when the work holds more than the limit.
    ///
    /// It runs like the callback of [`on_warning`](Self::on_warning). The check returns its error
    /// whatever the callback does.
    ///
    /// ```
    /// # use alloc_core::TraceAlloc;
    /// # #[global_allocator]
    /// # static ALLOC: TraceAlloc = TraceAlloc::system();
    /// use std::sync::atomic::{AtomicU64, Ordering};
    ///
    /// static USED: AtomicU64 = AtomicU64::new(0);
    /// let budget = alloc_core::Budget::new(100)?
    ///     .on_over_budget(|over| USED.store(over.used.get(), Ordering::Relaxed));
    /// let kept = budget.run(|| vec![0_u8; 150]);
    /// assert_eq!(USED.load(Ordering::Relaxed), 150);
    /// # drop(kept);
    /// # Ok::<(), alloc_core::Error>(())
    /// ```
    #[must_use = "it returns the budget"]
    pub fn on_over_budget(self, callback: impl Fn(&OverBudget) + Send + Sync + 'static) -> Budget {
        self.change(|levels| levels.limit.callback = Some(Arc::new(callback)))
    }

    fn change(mut self, change: impl FnOnce(&mut Levels)) -> Budget {
        thread::untraced(|| change(Arc::make_mut(&mut self.levels)));
        self
    }

    /// Runs `work` on this thread, within the budget. Its start and its end are checks, for the
    /// callbacks.
    ///
    /// The value is returned even if the budget is exceeded: see [`check`](Self::check). Without
    /// another check, the work may exceed the budget by all that it allocates.
    ///
    /// ```
    /// # use alloc_core::TraceAlloc;
    /// # #[global_allocator]
    /// # static ALLOC: TraceAlloc = TraceAlloc::system();
    /// let budget = alloc_core::Budget::new(100)?;
    /// let kept = budget.run(|| vec![0_u8; 101]);
    /// assert_eq!(kept.len(), 101);
    /// assert!(budget.check().is_err());
    /// # Ok::<(), alloc_core::Error>(())
    /// ```
    pub fn run<T>(&self, work: impl FnOnce() -> T) -> T {
        self.run_callbacks();
        let value = self.limited.run(work);
        self.run_callbacks();
        value
    }

    /// Wraps a future so that it runs within the budget, whichever thread polls or drops it.
    ///
    /// It resolves to `Ok` with the future's value, or to an [`OverBudget`]: at the first poll
    /// before or after which the budget is exceeded. The future is dropped then, in the scope. So
    /// is its value, if the poll that exceeded the budget was its last. A future that waits is not
    /// woken when others exceed a budget that it shares.
    ///
    /// # Panics
    ///
    /// When it is polled again after it resolved.
    ///
    /// ```
    /// # use alloc_core::TraceAlloc;
    /// # #[global_allocator]
    /// # static ALLOC: TraceAlloc = TraceAlloc::system();
    /// # let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    /// let budget = alloc_core::Budget::new(100)?;
    /// let future = budget.instrument(async {
    ///     let _kept = vec![0_u8; 101];
    ///     std::future::pending::<()>().await;
    /// });
    /// let polled = std::pin::pin!(future).poll(&mut context);
    /// let std::task::Poll::Ready(Err(over)) = polled else { unreachable!() };
    /// assert_eq!(over.used, 101);
    /// assert_eq!(budget.usage()?.current.bytes, 0);
    /// # Ok::<(), alloc_core::Error>(())
    /// ```
    pub fn instrument<F>(&self, future: F) -> Budgeted<F> {
        Budgeted::new(self.clone(), future)
    }

    /// The limit.
    ///
    /// ```
    /// # use alloc_core::TraceAlloc;
    /// # #[global_allocator]
    /// # static ALLOC: TraceAlloc = TraceAlloc::system();
    /// use alloc_core::{Budget, Bytes};
    ///
    /// let limit: Bytes = "64 MiB".parse().unwrap();
    /// assert_eq!(Budget::new(limit)?.limit(), Bytes::mib(64));
    /// # Ok::<(), alloc_core::Error>(())
    /// ```
    pub fn limit(&self) -> Bytes {
        self.levels.limit.bytes
    }

    /// The bytes that are live now.
    ///
    /// # Errors
    ///
    /// The errors of [`Scope::usage`](crate::Scope::usage); for a label
    /// [`Error::is_not_tracing`] if the session has ended.
    ///
    /// ```
    /// # use alloc_core::TraceAlloc;
    /// # #[global_allocator]
    /// # static ALLOC: TraceAlloc = TraceAlloc::system();
    /// let budget = alloc_core::Budget::new(100)?;
    /// let kept = budget.run(|| vec![0_u8; 60]);
    /// assert_eq!(budget.used()?, kept.len() as u64);
    /// # Ok::<(), alloc_core::Error>(())
    /// ```
    pub fn used(&self) -> Result<Bytes, Error> {
        self.limited.used()
    }

    /// What the work allocated and freed so far, as in [`Scope::usage`](crate::Scope::usage).
    ///
    /// # Errors
    ///
    /// The errors of [`Scope::usage`](crate::Scope::usage), and [`Error::is_invalid_config`] for
    /// the budget of a label, which has live bytes only: see [`used`](Self::used).
    ///
    /// ```
    /// # use alloc_core::TraceAlloc;
    /// # #[global_allocator]
    /// # static ALLOC: TraceAlloc = TraceAlloc::system();
    /// let budget = alloc_core::Budget::new(100)?;
    /// budget.run(|| drop(vec![0_u8; 150]));
    /// assert_eq!(budget.usage()?.peak.bytes, 150);
    /// # Ok::<(), alloc_core::Error>(())
    /// ```
    pub fn usage(&self) -> Result<Usage, Error> {
        match &self.limited {
            Limited::Scope(scope) => scope.usage(),
            Limited::Label(_) => Err(Error::invalid_config(
                "usage is counted by scopes: expected the budget of a scope, found that of a label"
                    .to_owned(),
            )),
        }
    }

    /// The scope that the budget limits; `None` if it limits a label.
    ///
    /// ```
    /// # use alloc_core::TraceAlloc;
    /// # #[global_allocator]
    /// # static ALLOC: TraceAlloc = TraceAlloc::system();
    /// let budget = alloc_core::Budget::with_stacks(100)?;
    /// let kept = budget.run(|| vec![0_u8; 50]);
    /// assert_eq!(budget.scope().unwrap().snapshot()?.traces().len(), 1);
    /// # drop(kept);
    /// # Ok::<(), alloc_core::Error>(())
    /// ```
    pub fn scope(&self) -> Option<&ScopeHandle> {
        match &self.limited {
            Limited::Scope(scope) => Some(scope),
            Limited::Label(_) => None,
        }
    }
}

impl Clone for Budget {
    fn clone(&self) -> Budget {
        Budget {
            limited: self.limited.clone(),
            levels: self.levels.clone(),
        }
    }
}

impl Drop for Budget {
    fn drop(&mut self) {
        // The levels are not the program's: see `of`.
        let _muted = thread::mute();
        // SAFETY: they are not used after this, and nothing else drops them.
        unsafe { ManuallyDrop::drop(&mut self.levels) };
    }
}

impl fmt::Debug for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Budget")
            .field("used", &self.used().ok())
            .field("limit", &self.limit())
            .finish_non_exhaustive()
    }
}
