//! [`Scope`] and [`measure`]: what a piece of work allocates, whatever other threads do.
//!
//! In: the blocks that a thread allocates and frees while it is in a scope. Out: a [`Usage`], and a
//! snapshot by stacks. Never: a change to what a trace records.

mod guard;
mod handle;
mod measure;
mod prepare;
mod sites;
mod slots;
mod started;
mod usage;

pub use guard::Scope;
pub use handle::{Instrumented, ScopeHandle};
#[cfg(feature = "criterion")]
pub(crate) use measure::or_panic;
pub use measure::{Measured, measure, measure_future, try_measure};
pub(crate) use slots::SlotId;
pub(crate) use slots::{abort_realloc, begin_realloc, finish_realloc, on_alloc, on_free};
pub use usage::Usage;

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
