//! [`Files`]: a file that changes, or the newest of several.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use alloc_core_snapshot::Escaped;
use anyhow::{Context as _, Result, bail};

use super::pattern::Pattern;
use super::source::{Found, Rules, Source, found};
use crate::recording::Recording;

/// The newest file of a pattern, of a folder, or one file, whenever it changes.
pub(super) struct Files {
    folder: PathBuf,
    names: Pattern,
    shown: String,
    /// Whether the folder is a recording, whose end is known.
    is_recording: bool,
    last: Option<Version>,
    rules: Rules,
}

/// A file as it was when it was read.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Version {
    written: SystemTime,
    path: PathBuf,
    size: u64,
}

impl Files {
    pub(super) fn open(text: &str, rules: Rules) -> Result<Files> {
        let path = Path::new(text);
        let mut files = Files {
            folder: path.to_owned(),
            names: Pattern::new("*.pb.gz"),
            shown: Escaped(text).to_string(),
            is_recording: false,
            last: None,
            rules,
        };
        if path.is_dir() {
            if let Ok(recording) = Recording::open(path) {
                let names = format!("heap-{}.*pb.gz", recording.about.process_id);
                files.names = Pattern::new(&names);
                files.is_recording = true;
            }
        } else {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            files.names = Pattern::new(&name);
            let folder = path.parent().filter(|it| !it.as_os_str().is_empty());
            files.folder = folder.unwrap_or(Path::new(".")).to_owned();
        }
        let list = fs::read_dir(&files.folder);
        list.with_context(|| {
            format!(
                "cannot read the folder {}",
                Escaped(&files.folder.display().to_string())
            )
        })?;
        if files.newest().is_none() && !Pattern::is_one(text) && !files.is_recording {
            bail!(
                "expected a process id, a file, a pattern or HOST:PORT, found {}",
                files.shown
            );
        }
        Ok(files)
    }

    fn newest(&self) -> Option<Version> {
        let entries = fs::read_dir(&self.folder).into_iter().flatten().flatten();
        let version = |entry: fs::DirEntry| {
            let name = entry.file_name();
            let about = fs::metadata(entry.path()).ok()?;
            let is_it = about.is_file() && self.names.matches(name.to_str()?);
            is_it.then(|| Version {
                written: about.modified().unwrap_or(SystemTime::UNIX_EPOCH),
                path: entry.path(),
                size: about.len(),
            })
        };
        entries.filter_map(version).max()
    }
}

impl Source for Files {
    fn next(&mut self) -> Found {
        match self.newest() {
            Some(newest) if self.last.as_ref() != Some(&newest) => {
                let path = newest.path.clone();
                self.last = Some(newest);
                found(self.rules.load(&path))
            }
            _ if self.is_recording && has_ended(&self.folder) => {
                Found::Ended(format!("the recording {} has ended", self.shown))
            }
            _ => Found::Unchanged,
        }
    }

    fn name(&self) -> String {
        format!("nothing matches {}", self.shown)
    }
}

fn has_ended(folder: &Path) -> bool {
    Recording::open(folder).is_ok_and(|it| it.about.ended_at.is_some())
}
