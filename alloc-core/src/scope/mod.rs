//! [`Scope`] and [`measure()`]: what a piece of work allocates, whatever other threads do.
//!
//! In: the blocks that a thread allocates and frees while it is in a scope. Out: a [`Usage`], and a
//! snapshot by stack. Never: a change to what a trace records.

mod guard;
mod handle;
mod measure;
mod prepare;
mod sites;
mod slots;
mod started;
mod usage;

pub use guard::Scope;
#[cfg(feature = "tracing")]
pub(crate) use handle::InsideParts;
pub use handle::{Instrumented, ScopeHandle};
#[cfg(feature = "criterion")]
pub(crate) use measure::or_panic;
pub use measure::{Measured, measure, measure_future, try_measure};
pub(crate) use slots::SlotId;
pub(crate) use slots::{abort_realloc, begin_realloc, finish_realloc, on_alloc, on_free};
pub use usage::Usage;

/// Physical memory of scopes, in bytes.
pub(crate) fn resident() -> usize {
    slots::resident() + sites::resident()
}

/// Reserves memory for scopes. Returns `None` if the system is out of memory.
pub(crate) fn prepare(granule: crate::tables::blocks::Granule) -> Option<()> {
    slots::prepare(granule)
}

/// Reserves memory for scopes that count by callsite. Returns `None` if the system is out of
/// memory.
pub(crate) fn prepare_stacks(granule: crate::tables::blocks::Granule) -> Option<()> {
    sites::prepare(granule)
}

/// Makes all scopes leave out printed text, including those without stacks.
pub(crate) fn tell_printing() {
    sites::tell_printing();
}
