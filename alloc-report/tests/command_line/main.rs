//! The command `alloc-report`, run as people and programs run it.

#[path = "../support/mod.rs"]
mod support;

mod advise;
mod check;
mod filters;
mod fleet;
mod formats;
mod input;
mod measured;
mod pages;
mod set_up;
mod stacks;
mod suspects;
mod tables;
mod terminal;
mod trees;
mod usage;
