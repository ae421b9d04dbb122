//! Following a program: what it says of its heap, and what the system says of it.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};

use super::Moment;

/// The file that a traced program adds its heap's numbers to (`ALLOC_TRACE_LIVE`), while it grows.
pub(crate) struct Live {
    path: PathBuf,
    file: Option<BufReader<File>>,
    /// The part of a line that was there so far.
    begun: String,
}

impl Live {
    pub(crate) fn new(path: PathBuf) -> Live {
        Live {
            path,
            file: None,
            begun: String::new(),
        }
    }

    /// Whether the program writes it.
    pub(crate) fn is_there(&self) -> bool {
        self.file.is_some()
    }

    /// The newest numbers of those that came since the last call, with the newest totals.
    pub(crate) fn newest(&mut self) -> Option<Moment> {
        if self.file.is_none() {
            self.file = File::open(&self.path).ok().map(BufReader::new);
        }
        let file = self.file.as_mut()?;
        let mut newest: Option<Moment> = None;
        while file.read_line(&mut self.begun).is_ok_and(|read| read > 0) {
            let Some(line) = self.begun.strip_suffix('\n') else {
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
            self.begun.clear();
        }
        newest
    }
}

fn parse(line: &str) -> Option<Moment> {
    let (seconds, numbers) = line.split_once(',')?;
    let mut fields = numbers.split(',').map(|it| it.parse::<u64>().ok());
    let mut next = || fields.next().flatten();
    Some(Moment {
        // NOTE: by the program's own clock, as the snapshots, so that both agree.
        seconds: seconds.parse().ok().filter(|it: &f64| it.is_finite())?,
        heap_bytes: next(),
        heap_peak_bytes: next(),
        total_bytes: next(),
        total_blocks: next(),
        tracer_bytes: next(),
        ..Moment::default()
    })
}

/// Adds what the system says of a process; the proportional and the unique size only if `all` is asked for,
/// since the system counts pages for them.
pub(crate) fn look(moment: &mut Moment, process: u32, all: bool) {
    let rss = alloc_core::resident_set_size(process).ok();
    moment.rss_bytes = rss.map(|it| it.get()).filter(|&it| it > 0);
    if all && let Ok(resident) = alloc_core::resident_memory_of(process) {
        moment.pss_bytes = Some(resident.pss.get());
        moment.uss_bytes = Some(resident.uss.get());
    }
}

/// The file for one process.
pub(crate) fn path_for(folder: &Path, process: u32) -> PathBuf {
    folder.join(format!("live-{process}.csv"))
}

/// The processes that write such a file, in the order of their numbers.
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
    fn lines_are_read_as_they_come() {
        let folder = tempfile::tempdir().unwrap();
        let path = path_for(folder.path(), 7);
        let mut live = Live::new(path.clone());
        assert!(live.newest().is_none() && !live.is_there());
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
