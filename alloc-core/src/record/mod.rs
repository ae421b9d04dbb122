//! What runs inside an allocation and a free.
//!
//! In: the address and size of a block, from the allocator. Out: a changed slot, cell and account in the tables. Never:
//! a lock, an allocation, a system call in the steady state.

pub(crate) mod counting;
pub(crate) mod thread;
pub(crate) mod tracer;
