//! What the tracer costs, side by side with its peers.
//!
//! ```text
//! cargo bench -p alloc-benches --bench overhead                        # some minutes
//! cargo bench -p alloc-benches --bench overhead -- --quick             # within half a minute
//! cargo bench -p alloc-benches --bench overhead -- --frame-pointers    # and frame pointers
//! cargo bench -p alloc-benches --bench overhead --features dhat        # and a peer
//! cargo bench -p alloc-benches --bench scaling                         # from 1 to 64 threads
//! cargo bench -p alloc-benches --bench reading                         # large snapshots
//! ```
//!
//! A global allocator belongs to a binary, so every allocator that takes part is a program of its
//! own, a *contender* (`contenders/`). All of them link this library, so the code of the workloads
//! is the same machine code in each. The bench `overhead` runs them in turn and prints the tables;
//! with `--readme` it makes the table and the picture of the README too.

pub mod cargo;
pub mod contender;
pub mod counting;
pub mod lineup;
pub mod machine;
pub mod made_up;
pub mod picture;
pub mod readme;
pub mod report;
pub mod summary;
pub mod throughput;
pub mod workloads;
