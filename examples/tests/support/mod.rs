//! Runs the examples from their tests.

use std::process::Command;

/// Whether this test is optimized, and so the examples that it runs.
pub(crate) const OPTIMIZED: bool = !cfg!(debug_assertions);

/// The command that runs an example, built like this test. Its own arguments come next.
pub(crate) fn example(name: &str) -> Command {
    let mut command = Command::new(env!("CARGO"));
    command.args(["run", "--quiet", "-p", "alloc-examples", "--example", name]);
    if OPTIMIZED {
        command.arg("--release");
    }
    command.arg("--");
    command
}
