//! Calls of Cargo: the resolved dependencies, and a second build with frame pointers.
//!
//! The second build keeps the rows of peers that need frame pointers honest: each is compared with
//! a bare program that has them too.

use std::collections::BTreeSet;
use std::env;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::contenders::{Build, Contender};

const MANIFEST: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
const FRAME_POINTERS: &str = "-Cforce-frame-pointers=yes";

/// The resolved dependencies of this package.
#[derive(Clone, Debug)]
pub struct Dependencies(Vec<Dependency>);

#[derive(Clone, Debug)]
struct Dependency {
    name: String,
    version: String,
    folder: PathBuf,
    optional: bool,
}

impl Dependencies {
    /// The dependencies of a build with the features of these contenders.
    ///
    /// # Errors
    ///
    /// If `cargo metadata` fails.
    pub fn of(contenders: &[Contender]) -> Result<Dependencies, Box<dyn Error>> {
        let output = cargo()
            .args(["metadata", "--format-version", "1"])
            .args(["--manifest-path", MANIFEST])
            .args(["--features", &features(contenders)])
            .output()?;
        if !output.status.success() {
            let message = String::from_utf8_lossy(&output.stderr).into_owned();
            return Err(format!("cargo metadata was expected to succeed: {message}").into());
        }
        let metadata: Value = serde_json::from_slice(&output.stdout)?;
        let found = Dependencies::from_metadata(&metadata);
        Ok(found.ok_or("expected this package and its dependencies among the resolved ones")?)
    }

    fn from_metadata(metadata: &Value) -> Option<Dependencies> {
        let resolve = &metadata["resolve"];
        let packages = metadata["packages"].as_array()?;
        let package = |id: &Value| packages.iter().find(|package| package["id"] == *id);
        let nodes = resolve["nodes"].as_array()?;
        let own = nodes.iter().find(|node| node["id"] == resolve["root"])?;
        let declared = package(&resolve["root"])?["dependencies"].as_array()?;
        let dependency = |node: &Value| {
            let package = package(&node["pkg"])?;
            let declared = declared
                .iter()
                .find(|declared| declared["name"] == package["name"])?;
            let manifest = Path::new(package["manifest_path"].as_str()?);
            Some(Dependency {
                name: package["name"].as_str()?.to_owned(),
                version: package["version"].as_str()?.to_owned(),
                folder: manifest.parent()?.to_owned(),
                optional: declared["optional"].as_bool()?,
            })
        };
        let dependencies: Option<_> = own["deps"].as_array()?.iter().map(dependency).collect();
        Some(Dependencies(dependencies?))
    }

    /// The source folders of `syn` and `serde_json`: real code, present wherever the bench is
    /// built, and fixed by `Cargo.lock`.
    ///
    /// # Errors
    ///
    /// If one of them is no dependency.
    pub fn rust_sources(&self) -> Result<Vec<PathBuf>, Box<dyn Error>> {
        let source = |name| {
            let found = self.0.iter().find(|dependency| dependency.name == name);
            let found = found.ok_or_else(|| format!("expected {name} among the dependencies"))?;
            Ok(found.folder.join("src"))
        };
        ["syn", "serde_json"].into_iter().map(source).collect()
    }

    /// The names and versions of the peers.
    pub fn peers(&self) -> Vec<String> {
        let peers = self.0.iter().filter(|dependency| dependency.optional);
        peers
            .map(|peer| format!("{} {}", peer.name, peer.version))
            .collect()
    }
}

/// Builds the programs of the contenders that need frame pointers, and returns their folder.
///
/// The target folder is next to `programs`.
///
/// # Errors
///
/// If the build fails.
pub fn build_with_frame_pointers(
    contenders: &[Contender],
    programs: &Path,
) -> Result<PathBuf, Box<dyn Error>> {
    let mut needed = contenders.to_vec();
    needed.retain(|contender| contender.build == Build::FramePointers);
    let names: BTreeSet<_> = needed.iter().map(|contender| contender.program).collect();
    let names = names.into_iter().map(|name| format!("bench-{name}"));
    // target/release
    let target = programs
        .parent()
        .ok_or("expected the programs in a target folder")?
        .join("frame-pointers");
    let flags = env::var("RUSTFLAGS").unwrap_or_default();
    let status = cargo()
        .args(["build", "--release", "--manifest-path", MANIFEST])
        // The build of the harness with these contenders was given this flag too.
        .arg("--ignore-rust-version")
        .arg("--target-dir")
        .arg(&target)
        .args(["--features", &features(&needed)])
        .args(names.flat_map(|name| ["--bin".to_owned(), name]))
        .env("RUSTFLAGS", format!("{flags} {FRAME_POINTERS}").trim())
        .status()?;
    if !status.success() {
        let message = "the build with frame pointers was expected to succeed, found";
        return Err(format!("{message} {status}").into());
    }
    Ok(target.join("release"))
}

fn features(contenders: &[Contender]) -> String {
    let features = contenders.iter().filter_map(|contender| contender.feature);
    let features: BTreeSet<_> = features.collect();
    Vec::from_iter(features).join(",")
}

fn cargo() -> Command {
    Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn dependencies_are_read_from_the_metadata() {
        let metadata = json!({
            "packages": [
                {
                    "id": "own", "name": "alloc-benches", "version": "0.0.0",
                    "manifest_path": "/here/Cargo.toml",
                    "dependencies": [
                        { "name": "syn", "optional": false },
                        { "name": "dhat", "optional": true },
                        { "name": "mimalloc", "optional": true },
                    ],
                },
                {
                    "id": "a", "name": "syn", "version": "2.0.119",
                    "manifest_path": "/there/syn-2.0.119/Cargo.toml",
                },
                {
                    "id": "b", "name": "dhat", "version": "0.3.3",
                    "manifest_path": "/there/dhat-0.3.3/Cargo.toml",
                },
            ],
            "resolve": {
                "root": "own",
                "nodes": [{ "id": "own", "deps": [{ "pkg": "a" }, { "pkg": "b" }] }],
            },
        });
        let found = Dependencies::from_metadata(&metadata).expect("the metadata is complete");
        assert_eq!(found.peers(), ["dhat 0.3.3"]);
        let error = found.rust_sources().expect_err("there is no serde_json");
        assert_eq!(
            error.to_string(),
            "expected serde_json among the dependencies"
        );
        assert!(Dependencies::from_metadata(&json!({})).is_none());
    }
}
