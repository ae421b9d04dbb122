//! Tools that no one here wrote. Each test binary uses a part of this.

#![allow(dead_code)]

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// Notes that a tool is missing, which is an error if all are required.
fn missing<T>(what: &str) -> Option<T> {
    let required = std::env::var_os("ALLOC_TESTS_REQUIRE_TOOLS").is_some();
    assert!(
        !required,
        "{what} is not there, and ALLOC_TESTS_REQUIRE_TOOLS is set"
    );
    eprintln!("skipped: {what} is not there");
    None
}

/// A file that a package brings.
pub(crate) fn file(path: &str) -> Option<PathBuf> {
    let path = PathBuf::from(path);
    match path.exists() {
        true => Some(path),
        false => missing(&path.display().to_string()),
    }
}

/// The folder of a package that `.ci/viewers` fetches.
pub(crate) fn package(name: &str) -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent()?;
    file(
        root.join("target/viewers/node_modules")
            .join(name)
            .to_str()?,
    )
}

/// Runs a script of Node.js, which sees the fetched packages, with a file as its argument. Returns
/// the JSON that it prints.
pub(crate) fn node(script: &str, file: &Path) -> Option<Value> {
    if Command::new("node").arg("--version").output().is_err() {
        return missing("node");
    }
    let packages = package("")?;
    let mut node = Command::new("node");
    node.env("NODE_PATH", packages);
    // The first argument stands for the script's own name.
    let output = node
        .args(["-e", script, "script"])
        .arg(file)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    Some(serde_json::from_slice(&output.stdout).unwrap())
}

/// The output of `go tool pprof` for a file.
pub(crate) fn go_tool_pprof(file: &Path, arguments: &[&str]) -> Option<String> {
    if Command::new("go").arg("version").output().is_err() {
        return missing("go");
    }
    let folder = std::env::temp_dir();
    let mut go = Command::new("go");
    go.args(["tool", "pprof"]).args(arguments).arg(file);
    // The Go tools need a folder for a cache, even if they store nothing in it.
    go.env("HOME", &folder).env("PPROF_TMPDIR", &folder);
    let output = go.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    Some(String::from_utf8(output.stdout).unwrap())
}
