//! The costs of the tracer, next to those of its peers.
//!
//! ```text
//! cargo bench -p alloc-benches --bench overhead                        # some minutes
//! cargo bench -p alloc-benches --bench overhead -- --quick             # half a minute
//! cargo bench -p alloc-benches --bench overhead -- --frame-pointers    # and with frame pointers
//! cargo bench -p alloc-benches --bench overhead --features dhat        # and a peer
//! cargo bench -p alloc-benches --bench latency                         # p50 to p99.99, and max
//! cargo bench -p alloc-benches --bench scaling                         # from 1 to 64 threads
//! cargo bench -p alloc-benches --bench reading                         # large snapshots
//! cargo bench -p alloc-benches --bench serving                         # what a scrape takes
//! cargo bench -p alloc-benches --bench graph                           # what a heap graph takes
//! cargo bench -p alloc-benches --bench soak                            # a service under load
//! ```
//!
//! A global allocator belongs to a binary, so each allocator that takes part is a program of its
//! own, a *contender* (`contenders/`). All contenders link this library: the workloads are the same
//! machine code in each. A bench runs the contenders in turn and prints a table.
//!
//! In: the command line, the contenders and, for one workload, the sources of two crates. Out:
//! tables on the terminal, and with `overhead -- --readme` the tables of both READMEs. Never: a
//! verdict on a time.

pub mod cargo;
pub mod contender;
pub mod contenders;
pub mod counting;
pub mod latency;
pub mod machine;
pub mod random;
pub mod readme;
pub mod report;
pub mod scaling;
pub mod serving;
pub mod soak;
pub mod stops;
pub mod summary;
pub mod synthetic;
pub mod workloads;
