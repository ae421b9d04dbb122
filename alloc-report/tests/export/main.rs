//! Files for other tools: what they hold, and what the tools themselves show of them.
//!
//! The tests need Go's pprof, valgrind's page, Chromium, Node.js, and what `.ci/viewers` fetches.
//! Where one of them is missing, a test is skipped, unless `ALLOC_TESTS_REQUIRE_TOOLS` is set.

#![cfg(target_os = "linux")]

#[path = "../support/browser.rs"]
mod browser;
#[path = "../support/mod.rs"]
mod support;

mod dhat;
mod firefox;
mod notes;
mod outputs;
mod pprof;
#[cfg(feature = "parquet")]
mod rows;
mod samples;
mod speedscope;
#[path = "../support/tools.rs"]
mod tools;
mod trace_events;

use std::path::Path;

use alloc_core::TraceAlloc;

#[global_allocator]
static ALLOC: TraceAlloc = TraceAlloc::system();

/// Runs `alloc-report export` in a folder. Returns the file and what standard error says.
#[track_caller]
fn export(folder: &Path, arguments: &str) -> (Vec<u8>, String) {
    let output = support::run(folder, &format!("export {arguments}"));
    let said = support::text(&output.stderr).to_owned();
    assert_eq!(output.status.code(), Some(0), "{arguments}: {said}");
    (output.stdout, said)
}

/// The same for a format that is text.
#[track_caller]
fn exported_text(folder: &Path, arguments: &str) -> String {
    String::from_utf8(export(folder, arguments).0).unwrap()
}
