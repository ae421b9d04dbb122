//! What the whole-program tests share: a runner that allocates nothing while a test runs, queries
//! on snapshots, marks in source files, random numbers, and workloads.

mod bump;
mod calls;
#[cfg(target_os = "linux")]
mod disk;
mod folder;
mod message;
mod random;
mod runner;
pub mod slack;
mod snapshots;
mod source;
mod stress;
mod system;
pub mod workloads;

pub use bump::Bump;
pub use calls::{call_by_bits, path_of};
#[cfg(target_os = "linux")]
pub use disk::SmallDisk;
pub use folder::Folder;
pub use message::Message;
pub use random::Random;
pub use runner::{Test, run};
pub use snapshots::{at_function, at_line, sum_of};
pub use source::Source;
pub use stress::Stress;
pub use system::{
    Tool, copy_program, high_water_mark, program, resident_files, resident_memory, skip, status_of,
    wait_until,
};

/// Makes a box in this crate, which does not choose the allocator, so that the allocation is a call
/// to the allocator and never inlined.
#[inline(never)]
pub fn boxed_afar() -> Box<[u8; 48]> {
    Box::new(std::hint::black_box([1; 48]))
}
