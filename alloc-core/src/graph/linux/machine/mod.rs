//! Registers: those of a thread that a signal interrupted, and those of the caller.

#[cfg(target_arch = "aarch64")]
mod aarch64;
#[cfg(target_arch = "x86_64")]
mod x86_64;

#[cfg(target_arch = "aarch64")]
pub(super) use aarch64::{Registers, thread_pointer};
#[cfg(target_arch = "x86_64")]
pub(super) use x86_64::{Registers, thread_pointer};
