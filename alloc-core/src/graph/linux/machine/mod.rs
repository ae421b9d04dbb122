//! Registers: those of a thread that a signal interrupted, and those of the caller.

#[cfg(target_arch = "aarch64")]
mod aarch64;
#[cfg(test)]
mod tests;
#[cfg(target_arch = "x86_64")]
mod x86_64;

#[cfg(target_arch = "aarch64")]
pub(super) use aarch64::{Registers, control_block, thread_pointer};
#[cfg(target_arch = "x86_64")]
pub(super) use x86_64::{Registers, control_block, thread_pointer};

/// The start and the end of each range of memory that has registers of a thread. Some are empty.
pub(super) type RegisterPlaces = [(usize, usize); 6];
