//! The operating system's interface: callbacks at the end of threads and around forks, and queries.
//!
//! In: function pointers that the layers above register. Out: calls of these, and answers. Never:
//! an allocation.

#[cfg(unix)]
mod barrier;
#[cfg(unix)]
mod callbacks;
#[cfg(unix)]
mod environment;
#[cfg(unix)]
mod malloc;
mod mappings;
#[cfg(unix)]
mod objects;
#[cfg(not(unix))]
mod other;
mod process;
#[cfg(unix)]
mod thread_name;
#[cfg(unix)]
mod unix;

#[cfg(unix)]
pub(crate) use barrier::*;
#[cfg(unix)]
pub(crate) use callbacks::*;
#[cfg(unix)]
pub(crate) use environment::*;
#[cfg(unix)]
pub(crate) use malloc::*;
pub(crate) use mappings::*;
#[cfg(unix)]
pub(crate) use objects::stay_loaded;
#[cfg(not(unix))]
pub(crate) use other::*;
pub(crate) use process::*;
#[cfg(unix)]
pub(crate) use thread_name::*;
#[cfg(unix)]
pub(crate) use unix::*;

/// A thread's name as the system stores it. A shorter name ends in a NUL byte.
pub(crate) type SystemName = [u8; 16];

/// Callbacks around a fork.
#[cfg_attr(not(unix), allow(dead_code, reason = "there are no forks"))]
pub(crate) struct ForkHandlers {
    pub(crate) before: unsafe extern "C" fn(),
    pub(crate) in_parent: unsafe extern "C" fn(),
    pub(crate) in_child: unsafe extern "C" fn(),
}
