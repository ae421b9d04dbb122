//! Heap graphs from files: damaged and hostile ones, and the command.

#[path = "../support/mod.rs"]
mod support;

mod command;
mod exports;
mod files;
mod memory;
