//! A recording: the folder that `run` writes and that other commands read.
//!
//! The folder has a description of the run, the memory at each moment, and snapshots. A path or a
//! number goes in; a [`Recording`] comes out. Nothing here parses a snapshot.
//!
//! Each module imports only from those before it: `folder`, `moment`, `live`, `writer`.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use alloc_core_snapshot::{Bytes, Escaped};
use anyhow::{Context as _, Result, bail};

mod folder;
pub(crate) mod live;
mod moment;
mod writer;

use folder::{ABOUT, MEMORY};
pub(crate) use folder::{About, PREFIX, contains_only_recording, remove_files};
use moment::read_moments;
pub(crate) use moment::{Moment, now, stamp, taken_at};
pub(crate) use writer::Writer;

/// A recording that was read.
#[derive(Debug)]
pub(crate) struct Recording {
    pub(crate) folder: PathBuf,
    pub(crate) about: About,
    pub(crate) moments: Vec<Moment>,
}

impl Recording {
    /// Reads a folder without its snapshots.
    pub(crate) fn open(folder: &Path) -> Result<Recording> {
        let shown = folder.display().to_string();
        let path = folder.join(ABOUT);
        let about = fs::read(&path).with_context(|| {
            format!(
                "expected a recording by alloc-report run, found none at {}",
                Escaped(&shown)
            )
        })?;
        let about = serde_json::from_slice(&about)
            .with_context(|| format!("cannot read {}", path.display()))?;
        Ok(Recording {
            about,
            moments: read_moments(&folder.join(MEMORY))?,
            folder: folder.to_owned(),
        })
    }

    /// The paths of the program's own snapshots in order of time, the one at exit last.
    pub(crate) fn snapshots(&self) -> Result<Vec<PathBuf>> {
        let of_program = format!("heap-{}.", self.about.process_id);
        let folder = fs::read_dir(&self.folder);
        let folder = folder.with_context(|| format!("cannot read {}", self.folder.display()))?;
        let mut paths = Vec::new();
        for entry in folder {
            let name = entry?.file_name();
            let name = name.to_string_lossy().into_owned();
            if name.starts_with(&of_program) && name.ends_with(".pb.gz") {
                paths.push(self.folder.join(name));
            }
        }
        // NOTE: numbers have at least four digits; the snapshot at exit has none.
        let key = |path: &PathBuf| {
            let name = path
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            let number = name[of_program.len()..].split('.').next();
            number.and_then(|it| it.parse().ok()).unwrap_or(u64::MAX)
        };
        paths.sort_by_key(key);
        Ok(paths)
    }

    /// The peak of the heap as counted by the tracer, if the program was traced.
    pub(crate) fn heap_peak(&self) -> Option<Bytes> {
        let peak = self
            .moments
            .iter()
            .filter_map(|it| it.heap_peak_bytes)
            .max();
        peak.map(Bytes::new)
    }

    /// The largest measured resident set size.
    pub(crate) fn resident_peak(&self) -> Option<Bytes> {
        let peak = self.moments.iter().filter_map(|it| it.rss_bytes).max();
        peak.map(Bytes::new)
    }

    pub(crate) fn duration(&self) -> Duration {
        let last = self.moments.last().map(|it| it.seconds);
        let end = self
            .about
            .ended_at
            .or(last)
            .unwrap_or(self.about.started_at);
        Duration::from_secs_f64((end - self.about.started_at).clamp(0.0, 1e9))
    }

    pub(crate) fn command(&self) -> String {
        let command = self.about.command.join(" ");
        Escaped(&command).to_string()
    }
}

/// All recordings in a folder, whatever their names, the oldest first.
pub(crate) fn all_in(folder: &Path) -> Result<Vec<Recording>> {
    let mut recordings = Vec::new();
    let entries = fs::read_dir(folder);
    for entry in entries.with_context(|| format!("cannot read {}", folder.display()))? {
        let name = entry?.file_name();
        let path = match folder == Path::new(".") {
            true => PathBuf::from(name),
            false => folder.join(name),
        };
        if let Ok(recording) = Recording::open(&path) {
            recordings.push(recording);
        }
    }
    recordings.sort_by(|a, b| a.about.started_at.total_cmp(&b.about.started_at));
    Ok(recordings)
}

/// All recordings in the current folder, the oldest first.
pub(crate) fn all_here() -> Result<Vec<Recording>> {
    all_in(Path::new("."))
}

/// The snapshot at a path: the file itself, or the last snapshot of a recording.
pub(crate) fn snapshot_at(path: &Path) -> Result<PathBuf> {
    if !path.is_dir() {
        return Ok(path.to_owned());
    }
    if !path.join(ABOUT).exists() {
        bail!(
            "expected a snapshot file or a recording by alloc-report run, found another folder \
             at {}",
            Escaped(&path.display().to_string())
        );
    }
    ends(path).map(|(_, last)| last)
}

/// The first and the last snapshot of a recording.
pub(crate) fn ends(folder: &Path) -> Result<(PathBuf, PathBuf)> {
    let mut snapshots = Recording::open(folder)?.snapshots()?;
    let last = snapshots.pop().with_context(|| {
        format!(
            "expected a recording with snapshots, found none in {}",
            Escaped(&folder.display().to_string())
        )
    })?;
    let first = snapshots.into_iter().next();
    Ok((first.unwrap_or_else(|| last.clone()), last))
}

/// Finds a recording by its folder, or by its number in [`all_here`]: 0 is the oldest, -1 the
/// newest.
pub(crate) fn find(name: &Path) -> Result<Recording> {
    let number: Option<i64> = name.to_str().and_then(|it| it.parse().ok());
    let Some(number) = number.filter(|_| !name.exists()) else {
        return Recording::open(name);
    };
    let mut all = all_here()?;
    let at = if number < 0 {
        number + all.len() as i64
    } else {
        number
    };
    let at = usize::try_from(at).ok().filter(|&at| at < all.len());
    match at {
        Some(at) => Ok(all.swap_remove(at)),
        None => bail!(
            "expected the number of one of the {} recordings in this folder, found {number}",
            all.len()
        ),
    }
}
