//! What the whole-program tests share: a runner that keeps out of the way, questions to a snapshot,
//! and the programs' common cases.

mod runner;
mod snapshots;
mod system;
pub mod workloads;

pub use runner::{Test, run};
pub use snapshots::{at_function, at_line, sum_of};
pub use system::{Tool, high_water_mark, program, resident_memory};
