//! Measurements of a running program: by its tracer, and by the operating system.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};

use super::moment::Moment;

/// A growing file to which a traced program appends the numbers of its heap (`ALLOC_TRACE_LIVE`).
pub(crate) struct Live {
    path: PathBuf,
    file: Option<BufReader<File>>,
    /// The start of an incomplete line.
    partial: String,
}

impl Live {
    pub(crate) fn new(path: PathBuf) -> Live {
        Live {
            path,
            file: None,
            partial: String::new(),
        }
    }

    /// Whether the program has created the file.
    pub(crate) fn exists(&self) -> bool {
        self.file.is_some()
    }

    /// The newest numbers since the last call, with the newest totals among them.
    pub(crate) fn newest(&mut self) -> Option<Moment> {
        if self.file.is_none() {
            self.file = File::open(&self.path).ok().map(BufReader::new);
        }
        let file = self.file.as_mut()?;
        let mut newest: Option<Moment> = None;
        while file.read_line(&mut self.partial).is_ok_and(|read| read > 0) {
            let Some(line) = self.partial.strip_suffix('\n') else {
                break;
            };
            if let Some(mut moment) = parse(line) {
                if let (None, Some(before)) = (moment.total_bytes, newest) {
                    (moment.total_bytes, moment.total_blocks) =
                        (before.total_bytes, before.total_blocks);
                    moment.tracer_bytes = before.tracer_bytes;
                }
                newest = Some(moment);
            }
            self.partial.clear();
        }
        newest
    }
}

fn parse(line: &str) -> Option<Moment> {
    let (seconds, numbers) = line.split_once(',')?;
    let mut fields = numbers.split(',').map(|it| it.parse::<u64>().ok());
    let mut next = || fields.next().flatten();
    Some(Moment {
        // NOTE: the program's own clock, which also stamps its snapshots.
        seconds: seconds.parse().ok().filter(|it: &f64| it.is_finite())?,
        heap_bytes: next(),
        heap_peak_bytes: next(),
        total_bytes: next(),
        total_blocks: next(),
        tracer_bytes: next(),
        ..Moment::default()
    })
}

/// Adds the resident memory of a process.
///
/// The proportional and unique set sizes are added only with `all`: the kernel walks the pages to
/// compute them.
pub(crate) fn add_resident(moment: &mut Moment, process: u32, all: bool) {
    let rss = alloc_core_snapshot::resident_set_size(process).ok();
    moment.rss_bytes = rss.map(|it| it.get()).filter(|&it| it > 0);
    if all && let Ok(resident) = alloc_core_snapshot::resident_memory_of(process) {
        moment.pss_bytes = Some(resident.pss.get());
        moment.uss_bytes = Some(resident.uss.get());
    }
}

/// The live file of a process.
pub(crate) fn path_for(folder: &Path, process: u32) -> PathBuf {
    folder.join(format!("live-{process}.csv"))
}

/// The processes that have a live file, in ascending order.
pub(crate) fn processes(folder: &Path) -> Vec<u32> {
    let process = |entry: std::io::Result<std::fs::DirEntry>| {
        let name = entry.ok()?.file_name();
        let name = name.to_str()?.strip_prefix("live-")?;
        name.strip_suffix(".csv")?.parse().ok()
    };
    let entries = std::fs::read_dir(folder).into_iter().flatten();
    let mut processes: Vec<u32> = entries.filter_map(process).collect();
    processes.sort_unstable();
    processes
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn complete_lines_are_read_as_they_arrive() {
        let folder = tempfile::tempdir().unwrap();
        let path = path_for(folder.path(), 7);
        let mut live = Live::new(path.clone());
        assert!(live.newest().is_none() && !live.exists());
        let mut file = File::create(path).unwrap();
        write!(file, "1.5,10,20,30,4,50\n1.6,11,20,,,\n1.7,12").unwrap();
        let newest = live.newest().unwrap();
        let numbers = |it: Moment| {
            (
                it.heap_bytes,
                it.heap_peak_bytes,
                it.total_bytes,
                it.total_blocks,
                it.tracer_bytes,
            )
        };
        let all = (Some(11), Some(20), Some(30), Some(4), Some(50));
        assert_eq!((newest.seconds, numbers(newest)), (1.6, all));
        assert!(live.newest().is_none());
        writeln!(file, ",21,,,").unwrap();
        assert_eq!(
            numbers(live.newest().unwrap()),
            (Some(12), Some(21), None, None, None)
        );
    }
}
