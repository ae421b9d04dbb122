//! What the operating system and the machine provide: memory, atomics, thread ends, forks, signals.
//!
//! In: requests from the recording side. Out: pages, handlers, the names of threads. Never:
//! anything about blocks, stacks or sessions.

pub(crate) mod arena;
pub(crate) mod clock;
pub(crate) mod hooks;
#[cfg_attr(
    not(feature = "serve"),
    allow(dead_code, reason = "nothing else has sockets")
)]
pub(crate) mod only_here;
pub(crate) mod quiet;
pub(crate) mod signal_mask;
pub(crate) mod sync;
pub(crate) mod waiting;
