//! What the harness asks of Cargo: where the sources lie, and the build with frame pointers.

use std::env;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

const MANIFEST: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
const FRAME_POINTERS: &str = "-Cforce-frame-pointers=yes";

/// The sources of this package's own dependencies `syn` and `serde_json`: real code that is at hand
/// wherever the bench was built, and the same wherever `Cargo.lock` is.
///
/// # Errors
///
/// If Cargo does not know them.
pub fn rust_sources() -> Result<Vec<PathBuf>, Box<dyn Error>> {
    let output = cargo()
        .args([
            "metadata",
            "--format-version",
            "1",
            "--manifest-path",
            MANIFEST,
        ])
        .output()?;
    if !output.status.success() {
        let message = String::from_utf8_lossy(&output.stderr).into_owned();
        return Err(format!("cargo metadata was expected to succeed: {message}").into());
    }
    let metadata: Value = serde_json::from_slice(&output.stdout)?;
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let nodes = list(&metadata["resolve"]["nodes"]);
    let own = nodes
        .iter()
        .find(|node| node["id"] == metadata["resolve"]["root"]);
    let dependencies = list(&own.ok_or("expected this package among the resolved ones")?["deps"]);
    ["syn", "serde_json"]
        .into_iter()
        .map(|name| {
            let id = dependencies
                .iter()
                .find(|dependency| dependency["name"] == name);
            let id = id.map(|dependency| &dependency["pkg"]);
            let packages = list(&metadata["packages"]);
            let package = packages.iter().find(|package| Some(&package["id"]) == id);
            let manifest = package.and_then(|package| package["manifest_path"].as_str());
            let folder = manifest.and_then(|path| Path::new(path).parent());
            let folder = folder.ok_or_else(|| format!("expected {name} among the dependencies"))?;
            Ok(folder.join("src"))
        })
        .collect()
}

/// Whether the flag was set for the build that is running.
pub fn built_with_frame_pointers() -> bool {
    // NOTE: a program cannot see this flag; Cargo hands the variable on to what it runs.
    env::var("RUSTFLAGS").is_ok_and(|flags| flags.contains("force-frame-pointers=yes"))
}

/// Builds everything once more, with the flag and the given features, in a target folder beside, and
/// runs that with the same options.
///
/// # Errors
///
/// If it cannot be built, or does not succeed.
pub fn run_with_frame_pointers(features: &[&str]) -> Result<(), Box<dyn Error>> {
    let program = env::current_exe()?;
    // target/release/deps/overhead
    let target = program
        .ancestors()
        .nth(3)
        .ok_or("expected this program to lie in a target folder")?;
    let flags = env::var("RUSTFLAGS").unwrap_or_default();
    let status = cargo()
        .args(["bench", "--bench", "overhead", "--manifest-path", MANIFEST])
        .arg("--target-dir")
        .arg(target.join("frame-pointers"))
        .args(["--features", &features.join(",")])
        .arg("--")
        .args(env::args_os().skip(1))
        .env("RUSTFLAGS", format!("{flags} {FRAME_POINTERS}").trim())
        .status()?;
    if !status.success() {
        return Err(
            format!("the run with frame pointers was expected to succeed, found {status}").into(),
        );
    }
    Ok(())
}

fn cargo() -> Command {
    Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}
