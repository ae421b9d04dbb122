//! The command `oom`: what took the memory of a process that is gone.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use alloc_core_snapshot::seam::snapshot::Run;
use alloc_core_snapshot::{Bytes, Snapshot};
use anyhow::{Context as _, Result, bail};
use clap::Args;

use crate::load::{load, read_unnamed};
use crate::output::escaped;
use crate::terminal::Stream;
use crate::view::{Charging, Filters};

pub(crate) const EXAMPLES: &str = "\
Examples:
  ALLOC_TRACE_SAMPLE=512KiB ALLOC_TRACE_WHEN=limit=80%,growth=20% ALLOC_TRACE_KEEP=20 ./server
  alloc-report oom morning
  alloc-report oom before.pb.gz after.pb.gz --charge workspace";

#[derive(Args, Debug)]
pub(crate) struct Options {
    /// The folder with the snapshots of the process, or the files; the last process is shown, if
    /// they are of several
    #[arg(value_name = "DIR|FILES", required = true)]
    files: Vec<PathBuf>,
    /// The number of rows
    #[arg(short = 'n', long = "rows", value_name = "N", default_value_t = 10)]
    rows: usize,
    #[command(flatten)]
    charging: Charging,
    #[command(flatten)]
    filters: Filters,
}

/// What is known of a file without its names.
struct Seen {
    path: PathBuf,
    at: SystemTime,
    process: u32,
    run: Option<Run>,
    heap: Bytes,
}

impl Seen {
    fn of(path: &Path) -> Result<Seen> {
        let snapshot = read_unnamed(path)?;
        Ok(Seen {
            path: path.to_owned(),
            at: snapshot.taken_at(),
            process: snapshot.process_id(),
            run: snapshot.run(),
            heap: snapshot.traced_memory().current,
        })
    }

    /// Whether it is of the same process. NOTE: in containers, process ids repeat.
    fn is_of(&self, other: &Seen) -> bool {
        let began = |it: &Seen| it.run.map(|it| it.began);
        (self.process, began(self)) == (other.process, began(other))
    }
}

/// The files of the process that was seen last, in order of time, also if the clock was set.
fn of_last_process(mut seen: Vec<Seen>) -> Vec<Seen> {
    seen.sort_by_key(|it| it.at);
    if let Some(last) = seen.pop() {
        seen.retain(|it| it.is_of(&last));
        seen.push(last);
    }
    seen.sort_by_key(|it| it.run.map(|it| it.uptime));
    seen
}

pub(crate) fn report(options: &Options) -> Result<String> {
    let mut seen = Vec::new();
    let mut damaged = Vec::new();
    for path in files(&options.files)? {
        match Seen::of(&path) {
            Ok(file) => seen.push(file),
            // NOTE: a process that is killed may leave a file that is cut off.
            Err(error) => damaged.push(format!("note: left out: {error}\n")),
        }
    }
    let seen = of_last_process(seen);
    let Some(last) = seen.last() else {
        bail!(
            "expected snapshots in {}, found none{}",
            escaped(&options.files[0]),
            damaged
                .first()
                .map_or(String::new(), |it| format!(": {it}"))
        );
    };
    let since = began_to_grow(&seen);
    let load = |path: &Path| -> Result<Snapshot> {
        let loaded = load(path, &options.charging, &options.filters)?;
        match loaded.nothing {
            Some(nothing) => bail!(nothing),
            None => Ok(std::mem::ManuallyDrop::into_inner(loaded.snapshot)),
        }
    };
    let (newer, older) = (load(&last.path)?, load(&since.path)?);
    let stdout = Stream::Output;
    let report = alloc_report::oom(&newer, &older, options.rows)
        .colour(stdout.is_colourful())
        .width(stdout.width());
    Ok(format!("{report}\n{}", damaged.concat()))
}

/// The last file from which the heap did nothing but grow, as far as a tenth of the growth goes.
fn began_to_grow(files: &[Seen]) -> &Seen {
    let last = &files[files.len() - 1];
    let least = files.iter().map(|it| it.heap).min().unwrap_or(last.heap);
    let slack = last.heap.saturating_sub(least).get() / 10;
    let is_low = |it: &&Seen| it.heap.get() <= least.get() + slack;
    let before = &files[..files.len() - 1];
    before
        .iter()
        .rev()
        .find(is_low)
        .or(before.first())
        .unwrap_or(last)
}

/// The snapshot files of folders and those that are named.
fn files(paths: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for path in paths {
        if !path.is_dir() {
            files.push(path.clone());
            continue;
        }
        let folder = fs::read_dir(path);
        let folder = folder.with_context(|| format!("cannot read {}", escaped(path)))?;
        for entry in folder {
            let path = entry?.path();
            let name = path
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            // NOTE: a file that is being written has a name that begins with a full stop.
            if name.ends_with(".pb.gz") && !name.starts_with('.') {
                files.push(path);
            }
        }
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn growth_begins_after_the_last_low_file() {
        #[track_caller]
        fn check(heaps: &[u64], expected: usize) {
            let all: Vec<Seen> = heaps
                .iter()
                .map(|&heap| Seen {
                    path: PathBuf::new(),
                    at: SystemTime::UNIX_EPOCH,
                    process: 1,
                    run: None,
                    heap: Bytes::new(heap),
                })
                .collect();
            let found = began_to_grow(&all);
            assert!(std::ptr::eq(found, &all[expected]), "{heaps:?}");
        }
        check(&[5], 0);
        check(&[5, 100], 0);
        check(&[5, 6, 5, 50, 100], 2);
        check(&[5, 90, 7, 60, 100], 2);
        check(&[100, 100, 100], 1);
        check(&[100, 50], 0);
    }

    /// Of process 1 in two containers, with a clock that was set back in the second one.
    #[test]
    fn files_are_in_the_order_in_which_the_process_wrote_them() {
        let file = |began: u64, uptime: u64, at: u64| Seen {
            path: PathBuf::new(),
            at: SystemTime::UNIX_EPOCH + Duration::from_secs(at),
            process: 1,
            run: Some(Run {
                began: Duration::from_secs(began),
                uptime: Duration::from_secs(uptime),
            }),
            heap: Bytes::ZERO,
        };
        let seen = vec![
            file(9_000, 10, 9_010),
            file(9_000, 5, 99_005),
            file(100, 5_000, 5_100),
            file(9_000, 20, 20),
        ];
        let found = of_last_process(seen);
        let found: Vec<u64> = found
            .iter()
            .map(|it| it.run.unwrap().uptime.as_secs())
            .collect();
        assert_eq!(found, [5, 10, 20]);
    }
}
