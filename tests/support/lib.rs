//! What the whole-program tests share: a runner that keeps out of the way, questions to a snapshot,
//! and the programs' common cases.

mod bump;
mod calls;
mod folder;
mod message;
mod random;
mod runner;
mod snapshots;
mod source;
mod stress;
mod system;
pub mod workloads;

pub use bump::Bump;
pub use calls::{call_by_bits, path_of};
pub use folder::Folder;
pub use message::Message;
pub use random::Random;
pub use runner::{Test, run};
pub use snapshots::{at_function, at_line, sum_of};
pub use source::Source;
pub use stress::Stress;
pub use system::{Tool, copy_program, high_water_mark, program, resident_memory, skip};

/// A box that is made by code which has no part in the program's choice of an allocator: so it is one call that makes
/// it, whatever the allocator does.
#[inline(never)]
pub fn boxed_afar() -> Box<[u8; 48]> {
    Box::new(std::hint::black_box([1; 48]))
}
