//! `alloc-report list`, `peak` and `clean`.

use std::fs;
use std::path::{Path, PathBuf};

use alloc_core::Bytes;
use anyhow::{Context as _, Result, bail};
use clap::Args;

use crate::recording::{self, Recording};

pub(crate) const LIST_EXAMPLES: &str = "\
Examples:
  alloc-report list";

pub(crate) const PEAK_EXAMPLES: &str = "\
Examples:
  alloc-report peak
  alloc-report peak -2
  alloc-report peak monday friday";

pub(crate) const CLEAN_EXAMPLES: &str = "\
Examples:
  alloc-report clean --dry-run
  alloc-report clean
  alloc-report clean 0 1";

#[derive(Args, Debug)]
pub(crate) struct PeakOptions {
    /// Folders of recordings, or their numbers in the list; -1, the newest, unless given
    #[arg(value_name = "DIR", allow_negative_numbers = true)]
    recordings: Vec<PathBuf>,
}

#[derive(Args, Debug)]
pub(crate) struct CleanOptions {
    /// Folders of recordings, or their numbers in the list; all of this folder's, unless given
    #[arg(value_name = "DIR", allow_negative_numbers = true)]
    recordings: Vec<PathBuf>,
    /// Only say what would be removed
    #[arg(long)]
    dry_run: bool,
}

fn size(bytes: Option<Bytes>) -> String {
    bytes.map_or_else(|| "?".to_owned(), |it| it.to_string())
}

/// The recordings of the present folder, a line each.
pub(crate) fn list() -> Result<String> {
    let recordings = recording::all_here()?;
    if recordings.is_empty() {
        return Ok("No recordings in this folder; alloc-report run makes one.\n".to_owned());
    }
    let mut text = String::new();
    for (number, it) in recordings.iter().enumerate() {
        text += &format!(
            "{number:>3}  {}  {:>8.1} s  heap {:>9}  resident {:>9}  {}\n",
            shown(&it.folder),
            it.duration().as_secs_f64(),
            size(it.heap_peak()),
            size(it.resident_peak()),
            it.command(),
        );
    }
    Ok(text)
}

fn shown(folder: &Path) -> String {
    alloc_core::Escaped(&folder.display().to_string()).to_string()
}

/// The most that was live and resident in each recording.
pub(crate) fn peak(options: &PeakOptions) -> Result<String> {
    let mut text = String::new();
    for recording in chosen(&options.recordings)? {
        text += &format!(
            "{}  heap {}, resident {}\n",
            shown(&recording.folder),
            size(recording.heap_peak()),
            size(recording.resident_peak()),
        );
    }
    Ok(text)
}

fn chosen(names: &[PathBuf]) -> Result<Vec<Recording>> {
    if names.is_empty() {
        if recording::all_here()?.is_empty() {
            bail!("expected a recording in this folder, found none; alloc-report run makes one");
        }
        return Ok(vec![recording::find(Path::new("-1"))?]);
    }
    names.iter().map(|name| recording::find(name)).collect()
}

/// Removes recordings: what is in their folders and is theirs, and then the folders if they are empty.
pub(crate) fn clean(options: &CleanOptions) -> Result<String> {
    let recordings = if options.recordings.is_empty() {
        recording::all_here()?
    } else {
        // NOTE: numbers are those of the list before anything is removed.
        chosen(&options.recordings)?
    };
    let mut text = String::new();
    for recording in recordings {
        let folder = &recording.folder;
        if options.dry_run {
            text += &format!("would remove {}\n", shown(folder));
            continue;
        }
        remove(folder).with_context(|| format!("cannot remove {}", folder.display()))?;
        text += &format!("removed {}\n", shown(folder));
    }
    if text.is_empty() {
        text += "No recordings in this folder.\n";
    }
    Ok(text)
}

fn remove(folder: &Path) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let is_ours = matches!(name.as_str(), "run.json" | "memory.csv")
            || name.starts_with("heap-") && name.contains(".pb.gz")
            || name.starts_with("live-") && name.ends_with(".csv");
        if is_ours {
            fs::remove_file(entry.path())?;
        }
    }
    if fs::read_dir(folder)?.next().is_some() {
        bail!("there are files in it that alloc-report did not write");
    }
    Ok(fs::remove_dir(folder)?)
}
