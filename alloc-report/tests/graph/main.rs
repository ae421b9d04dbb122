//! Heap graphs from files: damaged and hostile ones, the command, and what other tools read.

#[cfg(target_os = "linux")]
#[path = "../support/browser.rs"]
mod browser;
#[path = "../support/mod.rs"]
mod support;

mod command;
mod exports;
mod files;
mod memory;
#[cfg(target_os = "linux")]
mod readers;
#[cfg(target_os = "linux")]
#[path = "../support/tools.rs"]
mod tools;
