//! What runs inside an allocation and a free.
//!
//! In: the address and size of a block, from the allocator. Out: a slot, a cell and an account
//! changed in the tables. Never: a lock, an allocation, a system call in the steady state.

//!
//! `gate`, `settings`, `session` and `thread` are what a record works on. They are a layer below
//! [`control`](crate::control), which changes them. The rest is a layer above it: the steps of an
//! event, in the order in which it meets them, `enter`, then one of `recorder`, `sampler`,
//! `counting` and `unguarded`, then `count`.

mod count;
pub(crate) mod counting;
pub(crate) mod enter;
pub(crate) mod extended;
pub(crate) mod gate;
pub(crate) mod hooks;
pub(crate) mod manual;
pub(crate) mod recorder;
mod sampler;
pub(crate) mod session;
pub(crate) mod settings;
pub(crate) mod stack_here;
pub(crate) mod thread;
pub(crate) mod unguarded;
