//! The numbered snapshots of this process, of which only the newest are kept on request.
//!
//! In: a snapshot that is packed. Out: a file under the next free number. Never: a file of another
//! process replaced or removed.

use std::collections::VecDeque;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use super::template::{self, Template};
use crate::Error;
use crate::system::sync::{AtomicU32, Ordering};
use crate::write::Packed;

/// The number of the last numbered snapshot.
static NUMBER: AtomicU32 = AtomicU32::new(0);
/// The process that wrote the numbered snapshots, and those that are kept, oldest first.
static KEPT: Mutex<(u32, VecDeque<PathBuf>)> = Mutex::new((0, VecDeque::new()));

/// The number of the last numbered snapshot; 0 before the first.
pub(crate) fn last_number() -> u32 {
    NUMBER.load(Ordering::Relaxed)
}

/// The path of the next numbered file.
pub(crate) fn next_path(out: Template) -> PathBuf {
    let number = last_number().wrapping_add(1);
    NUMBER.store(number, Ordering::Relaxed);
    out.numbered(std::process::id(), number)
}

/// Writes a snapshot under the next free number, and returns its path. NOTE: one at a time.
///
/// A number may be taken by another process with the same path, or by this one before an `exec`. If
/// nothing is written, the number is used again. Of those that this process wrote, the newest `keep`
/// are kept.
pub(crate) fn write(
    out: Template,
    keep: Option<u32>,
    pack: impl FnOnce() -> Result<Packed, Error>,
) -> Result<PathBuf, String> {
    let last = last_number();
    let written = write_next(out, keep, pack);
    if written.is_err() {
        NUMBER.store(last, Ordering::Relaxed);
    }
    written
}

fn write_next(
    out: Template,
    keep: Option<u32>,
    pack: impl FnOnce() -> Result<Packed, Error>,
) -> Result<PathBuf, String> {
    let mut path = next_path(out);
    template::check_length(&path)?;
    let packed = pack().map_err(|error| about(error, &path))?;
    while !put(&packed, &path, keep).map_err(|error| about(error.into(), &path))? {
        path = next_path(out);
    }
    if let Some(keep) = keep {
        let mut kept = Kept::of_this_process();
        kept.paths().push_back(path.clone());
        while kept.paths().len() > keep as usize {
            kept.remove_oldest();
        }
    }
    Ok(path)
}

/// Writes a new file. `false` if something exists at the path.
///
/// Where the disk is full and only some snapshots are kept, the oldest make room, but for the last
/// one: what comes last says why a process ended.
fn put(packed: &Packed, path: &Path, keep: Option<u32>) -> io::Result<bool> {
    loop {
        match packed.put_new(path) {
            Err(error) if is_full(&error) && keep.is_some() => {
                let mut kept = Kept::of_this_process();
                if kept.paths().len() < 2 {
                    return Err(error);
                }
                kept.remove_oldest();
            }
            put => return put,
        }
    }
}

fn is_full(error: &io::Error) -> bool {
    let kind = error.kind();
    matches!(
        kind,
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    )
}

/// The snapshots of this process that are kept.
struct Kept(std::sync::MutexGuard<'static, (u32, VecDeque<PathBuf>)>);

impl Kept {
    fn of_this_process() -> Kept {
        let mut kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
        let process = std::process::id();
        if kept.0 != process {
            // NOTE: after a fork, the parent's snapshots stay its own.
            *kept = (process, VecDeque::new());
        }
        Kept(kept)
    }

    fn paths(&mut self) -> &mut VecDeque<PathBuf> {
        &mut self.0.1
    }

    fn remove_oldest(&mut self) {
        if let Some(oldest) = self.paths().pop_front() {
            // A reader may have moved it already.
            let _ = fs::remove_file(oldest);
        }
    }
}

/// What went wrong with the file at a path.
pub(crate) fn about(error: Error, path: &Path) -> String {
    let error = match error.is_io() {
        true => error.about("cannot write", path),
        false => error,
    };
    error.to_string()
}
