//! The commands `list`, `peak` and `clean`.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use alloc_core_snapshot::Bytes;
use anyhow::{Context as _, Result, bail};
use clap::Args;
use unicode_width::UnicodeWidthStr as _;

use crate::output::escaped;
use crate::recording::{self, Recording};

pub(crate) const LIST_EXAMPLES: &str = "\
Examples:
  alloc-report list
  alloc-report list ~/recordings";

pub(crate) const PEAK_EXAMPLES: &str = "\
Examples:
  alloc-report peak
  alloc-report peak -2
  alloc-report peak monday friday";

pub(crate) const CLEAN_EXAMPLES: &str = "\
Examples:
  alloc-report clean --dry-run
  alloc-report clean
  alloc-report clean --all
  alloc-report clean 0 1";

#[derive(Args, Debug)]
pub(crate) struct ListOptions {
    /// The folder with the recordings [default: .]
    #[arg(value_name = "DIR")]
    folder: Option<PathBuf>,
}

#[derive(Args, Debug)]
pub(crate) struct PeakOptions {
    /// Recording folders, or their numbers in the list [default: -1, the newest]
    #[arg(value_name = "DIR", allow_negative_numbers = true)]
    recordings: Vec<PathBuf>,
}

#[derive(Args, Debug)]
pub(crate) struct CleanOptions {
    /// Recording folders, or their numbers in the list [default: all in this folder, after a
    /// confirmation]
    #[arg(value_name = "DIR", allow_negative_numbers = true)]
    recordings: Vec<PathBuf>,
    /// Remove all recordings in this folder without confirmation
    #[arg(long, conflicts_with = "recordings")]
    all: bool,
    /// Only print what would be removed
    #[arg(long)]
    dry_run: bool,
}

fn size(bytes: Option<Bytes>) -> String {
    bytes.map_or_else(|| "?".to_owned(), |it| it.to_string())
}

/// Lists the recordings of a folder, one per line.
pub(crate) fn list(options: &ListOptions) -> Result<String> {
    let recordings = match &options.folder {
        Some(folder) => recording::all_in(folder)?,
        None => recording::all_here()?,
    };
    if recordings.is_empty() {
        return Ok("No recordings in this folder; alloc-report run makes one.\n".to_owned());
    }
    let names: Vec<String> = recordings.iter().map(|it| escaped(&it.folder)).collect();
    let width = names.iter().map(|it| it.width()).max().unwrap_or(0);
    let mut text = String::new();
    for ((number, it), name) in recordings.iter().enumerate().zip(names) {
        let padding = " ".repeat(width - name.width());
        text += &format!(
            "{number:>3}  {name}{padding}  {:>8.1} s  heap {:>9}  resident {:>9}  {}\n",
            it.duration().as_secs_f64(),
            size(it.heap_peak()),
            size(it.resident_peak()),
            it.command(),
        );
    }
    Ok(text)
}

/// Shows the peak of live and of resident memory of each recording.
pub(crate) fn peak(options: &PeakOptions) -> Result<String> {
    let mut text = String::new();
    for recording in chosen(&options.recordings)? {
        text += &format!(
            "{}  heap {}, resident {}\n",
            escaped(&recording.folder),
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

/// Removes the files of recordings, and their folders if nothing else is in them.
pub(crate) fn clean(options: &CleanOptions) -> Result<String> {
    let recordings = if options.recordings.is_empty() {
        recording::all_here()?
    } else {
        // NOTE: all numbers are resolved before anything is removed.
        chosen(&options.recordings)?
    };
    if recordings.is_empty() {
        return Ok("No recordings in this folder.\n".to_owned());
    }
    let is_chosen = options.all || !options.recordings.is_empty();
    if !is_chosen && !options.dry_run {
        ask(&recordings)?;
    }
    let mut text = String::new();
    for recording in recordings {
        let folder = &recording.folder;
        if options.dry_run {
            text += &format!("would remove {}\n", escaped(folder));
            continue;
        }
        remove(folder).with_context(|| format!("cannot remove {}", folder.display()))?;
        text += &format!("removed {}\n", escaped(folder));
    }
    Ok(text)
}

/// Asks for confirmation. Any answer but yes is an error.
fn ask(recordings: &[Recording]) -> Result<()> {
    let mut question = String::new();
    for recording in recordings {
        question += &format!("{}  {}\n", escaped(&recording.folder), recording.command());
    }
    question += match recordings.len() {
        1 => "Remove this recording? [y/N] ",
        _ => "Remove these recordings? [y/N] ",
    };
    let mut stderr = io::stderr();
    let _ = stderr.write_all(question.as_bytes());
    let _ = stderr.flush();
    let mut answer = String::new();
    let read = io::stdin().read_line(&mut answer);
    if read.context("cannot read the answer")? == 0 {
        // The input ended without a newline after the question.
        let _ = stderr.write_all(b"\n");
    }
    match answer.trim().to_ascii_lowercase().as_str() {
        "y" | "yes" => Ok(()),
        _ => bail!("nothing was removed; clean --all does not ask"),
    }
}

fn remove(folder: &Path) -> Result<()> {
    recording::remove_files(folder)?;
    if fs::read_dir(folder)?.next().is_some() {
        bail!("it contains files that alloc-report did not write");
    }
    Ok(fs::remove_dir(folder)?)
}
