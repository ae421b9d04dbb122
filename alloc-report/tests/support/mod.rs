//! The command `alloc-report`, run in a folder. Each test binary uses a part of this.

#![allow(dead_code)]

use std::path::Path;
use std::process::{Command, Output};

use expect_test::Expect;
use serde_json::Value;

/// The command with arguments separated by spaces, without variables that change colour or width.
pub(crate) fn command(folder: &Path, arguments: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_alloc-report"));
    command
        .current_dir(folder)
        .args(arguments.split_whitespace());
    // NOTE: with `CI`, every terminal counts as colourful.
    for variable in ["CI", "NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE", "COLUMNS"] {
        command.env_remove(variable);
    }
    command
}

pub(crate) fn run(folder: &Path, arguments: &str) -> Output {
    command(folder, arguments)
        .output()
        .expect("the command runs")
}

pub(crate) fn text(bytes: &[u8]) -> &str {
    str::from_utf8(bytes).expect("UTF-8")
}

/// Runs the command, which must succeed without a message. Returns standard output.
#[track_caller]
pub(crate) fn stdout(folder: &Path, arguments: &str) -> String {
    let output = run(folder, arguments);
    assert_eq!(text(&output.stderr), "", "{arguments}");
    assert_eq!(output.status.code(), Some(0), "{arguments}");
    text(&output.stdout).to_owned()
}

/// Compares the whole standard output.
#[track_caller]
pub(crate) fn check(folder: &Path, arguments: &str, expected: Expect) {
    expected.assert_eq(&stdout(folder, arguments));
}

/// The report as JSON.
#[track_caller]
pub(crate) fn json(folder: &Path, arguments: &str) -> Value {
    let report = stdout(folder, &format!("{arguments} --format json"));
    serde_json::from_str(&report).expect("an object")
}

/// Runs the command, which must fail with this status and with this part of a message.
#[track_caller]
pub(crate) fn check_failure(folder: &Path, arguments: &str, status: i32, message: &str) {
    let output = run(folder, arguments);
    let error = text(&output.stderr);
    assert!(error.contains(message), "{arguments}: {error}");
    assert_eq!(output.status.code(), Some(status), "{arguments}: {error}");
    assert_eq!(text(&output.stdout), "", "{arguments}");
}

/// Runs the command, which must fail with status 1 and with this whole message.
#[track_caller]
pub(crate) fn check_error(folder: &Path, arguments: &str, message: &str) {
    let output = run(folder, arguments);
    assert_eq!(text(&output.stderr), format!("error: {message}\n"));
    assert_eq!(output.status.code(), Some(1), "{arguments}");
    assert_eq!(text(&output.stdout), "", "{arguments}");
}
