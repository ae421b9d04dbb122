//! [`Paths`]: deduplicated paths of source files.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::stack::frame::SourcePath;

/// The paths so far, with the folders that their short forms are relative to.
#[derive(Default)]
pub(super) struct Paths {
    paths: HashMap<String, SourcePath>,
    roots: HashMap<PathBuf, Option<Arc<str>>>,
}

impl Paths {
    pub(super) fn path(&mut self, text: &str) -> SourcePath {
        if let Some(known) = self.paths.get(text) {
            return known.clone();
        }
        let roots = self.root_of(Path::new(text));
        let known = SourcePath::new(text, roots.as_slice());
        self.paths.insert(text.to_owned(), known.clone());
        known
    }

    /// The folder that the paths of a workspace are relative to: the outermost parent of the file
    /// with a `Cargo.lock`, else the innermost with a `Cargo.toml`, else the current folder of the
    /// program.
    fn root_of(&mut self, file: &Path) -> Option<Arc<str>> {
        let folder = file.parent().filter(|_| file.is_absolute())?;
        if let Some(known) = self.roots.get(folder) {
            return known.clone();
        }
        let above = || folder.ancestors().collect::<Vec<_>>().into_iter();
        let workspace = above().rev().find(|it| it.join("Cargo.lock").is_file());
        let package = || above().find(|it| it.join("Cargo.toml").is_file());
        let here = || {
            std::env::current_dir()
                .ok()
                .filter(|it| folder.starts_with(it))
        };
        let root = workspace
            .or_else(package)
            .map(Path::to_owned)
            .or_else(here)
            .map(|root| root.to_string_lossy().trim_end_matches('/').into());
        self.roots.insert(folder.to_owned(), root.clone());
        root
    }
}
