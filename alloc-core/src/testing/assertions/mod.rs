//! Assertions on what a piece of work allocates.
//!
//! In: a piece of work and its terms. Out: the work's value, or a panic with the stacks that broke
//! a limit. Never: a count of what other threads do, unless a term says so.

mod grammar;
mod growth;
mod macros;
mod message;
mod run;
mod size;
mod terms;
mod value;

pub use growth::{assert_no_growth, assert_no_growth_async};
pub use run::{Checked, assert_memory, assert_memory_async, assert_memory_on_thread};
pub(crate) use run::{cannot_measure, refuse_threads};
pub use size::{Estimate, SizeTerm, Tolerance, assert_size, assert_size_async};
pub use terms::{Comparison, Limit, Quantity, Term, Threads};
pub use value::{Arm, OfAny, OfFuture, Value, expect_run};
