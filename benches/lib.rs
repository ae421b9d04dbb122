//! What the tracer costs, side by side with its peers.
//!
//! ```text
//! cargo bench -p alloc-benches                         # some minutes
//! cargo bench -p alloc-benches -- --quick              # within half a minute
//! cargo bench -p alloc-benches -- --frame-pointers     # a build with frame pointers
//! cargo bench -p alloc-benches --features dhat         # with a peer
//! ```
//!
//! A global allocator belongs to a binary, so every allocator that takes part is a program of its
//! own, a *contender* (`contenders/`). All of them link this library, so the code of the workloads
//! is the same machine code in each. The bench `overhead` runs them in turn and prints the tables.

pub mod cargo;
pub mod contender;
pub mod counting;
pub mod machine;
pub mod report;
pub mod summary;
pub mod workloads;
