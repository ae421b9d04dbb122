//! Takes a graph: stops, clones, goes on, waits, and completes the file.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::AsRawFd as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::child::{self, Task};
use super::clone::{self, Clone, End, Report, Shared};
use super::format::{Fact, Tag};
use super::machine::Registers;
use super::modules;
use super::threads;
use crate::graph::named::{self, Named};
use crate::graph::{GraphOptions, HeapGraph};
use crate::system::hooks;
use crate::system::quiet::Quiet;
use crate::system::signal_mask::Blocked;
use crate::system::sync::Ordering::Relaxed;
use crate::write::{self, output};
use crate::{Bytes, Error, control};

/// Writes a graph to a path. The file appears whole or not at all.
pub(in crate::graph) fn write(path: &Path, options: &GraphOptions) -> Result<HeapGraph, Error> {
    threads::prepare()?;
    let _quiet = Quiet::begin();
    let with_path = |error: io::Error| Error::from(error).about("cannot write", path);
    let (beside, file) = output::create_private(path).map_err(with_path)?;
    let beside = Unfinished(beside);
    let taken = write_to(file, options).map_err(|it| it.about("cannot write", path))?;
    std::fs::rename(&beside.0, path).map_err(with_path)?;
    Ok(taken)
}

/// A file that is removed unless it was renamed.
struct Unfinished(PathBuf);

impl Drop for Unfinished {
    fn drop(&mut self) {
        // NOTE: an error means that it was renamed.
        let _ = std::fs::remove_file(&self.0);
    }
}

fn write_to(mut file: File, options: &GraphOptions) -> Result<HeapGraph, Error> {
    let modules = modules::list();
    let named = named::list();
    let shared = Shared::new()?;
    let report = shared.report();
    let key = options.hashes.then(random);
    let task = |granule, registers| Task {
        file: file.as_raw_fd(),
        report,
        modules: &modules,
        named: &named,
        granule,
        key,
        // SAFETY: the call takes no arguments.
        process: unsafe { libc::getpid() },
        thread: hooks::thread_id(),
        registers,
    };
    let started = SystemTime::now();
    let cloned = control::graph::with_world_stopped(|granule| {
        let _blocked = Blocked::begin();
        stop_and_clone(options, |registers| task(granule, registers))
    })?;
    let end = cloned.clone?.wait(options.timeout);
    check(end, report, options)?;

    let facts = [
        (Fact::Nanoseconds, nanoseconds_since_1970(started)),
        (Fact::Pause, cloned.pause.as_nanos() as u64),
        (Fact::CloneTime, cloned.clone_time.as_nanos() as u64),
        (Fact::Threads, report.threads.load(Relaxed)),
        (Fact::ThreadsMissed, report.threads_missed.load(Relaxed)),
        (Fact::ChildCpu, report.cpu_nanoseconds.load(Relaxed)),
        (Fact::WithoutStop, (!options.stops).into()),
    ];
    complete(&mut file, &facts, &named, report)?;
    Ok(HeapGraph {
        pause: cloned.pause,
        clone_time: cloned.clone_time,
        threads: report.threads.load(Relaxed),
        threads_missed: report.threads_missed.load(Relaxed),
        blocks: report.blocks.load(Relaxed),
        bytes: Bytes::new(report.bytes.load(Relaxed)),
        edges: report.edges.load(Relaxed),
        roots: report.roots.load(Relaxed),
        child_cpu: Duration::from_nanos(report.cpu_nanoseconds.load(Relaxed)),
        file_size: Bytes::new(file.metadata()?.len()),
    })
}

/// What happened while the threads stood still.
struct Cloned {
    clone: io::Result<Clone>,
    pause: Duration,
    clone_time: Duration,
}

/// Stops the threads, clones the process, and lets them go on.
///
/// NOTE: not inlined, so that the registers are those of a frame that stays.
#[inline(never)]
fn stop_and_clone<'a>(options: &GraphOptions, task: impl FnOnce(Registers) -> Task<'a>) -> Cloned {
    let registers = Registers::here();
    let began = Instant::now();
    match options.stops {
        true => threads::stop(options.deadline),
        false => threads::forget(),
    }
    let task = task(registers);
    let stopped = Instant::now();
    // SAFETY: the clone only calls `run`, which does not return.
    let clone = match unsafe { clone::clone() } {
        Ok(None) => child::run(&task),
        Ok(Some(clone)) => Ok(clone),
        Err(error) => Err(error),
    };
    let clone_time = stopped.elapsed();
    if options.stops {
        threads::release();
    }
    Cloned {
        clone,
        pause: began.elapsed(),
        clone_time,
    }
}

/// A number that nobody else knows.
fn random() -> u64 {
    use std::hash::{BuildHasher as _, RandomState};
    RandomState::new().hash_one(0)
}

fn nanoseconds_since_1970(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_nanos() as u64)
}

/// Checks how the clone ended.
fn check(end: End, report: &Report, options: &GraphOptions) -> Result<(), Error> {
    let step = report.step.load(Relaxed);
    let what = match end {
        End::Exit(0) => return Ok(()),
        End::Exit(_) if step != 0 => {
            let error = io::Error::from_raw_os_error(report.errno.load(Relaxed));
            let action = child::Step::action(step);
            return Err(io::Error::new(
                error.kind(),
                format!("the clone that scans the heap could not {action}: {error}"),
            )
            .into());
        }
        End::Exit(status) => format!("found that it ended with status {status}"),
        End::Signal(libc::SIGKILL) => {
            "found that it was killed, perhaps for want of memory".to_owned()
        }
        End::Signal(signal) => format!("found that signal {signal} ended it"),
        End::Timeout => format!("found that it took longer than {:?}", options.timeout),
        End::Unknown => "found that the program waited for it".to_owned(),
    };
    let message = format!("expected that a clone of the process scans the heap, {what}");
    Err(io::Error::other(message).into())
}

/// Writes what the clone does not know: facts, a snapshot, and the end.
fn complete(
    file: &mut File,
    facts: &[(Fact, u64)],
    named: &[Named],
    report: &Report,
) -> Result<(), Error> {
    let mut own = Vec::new();
    for (fact, value) in facts {
        number(&mut own, *fact as u64);
        number(&mut own, *value);
    }
    section(file, Tag::Facts, &own)?;

    let mut names = Vec::new();
    number(&mut names, named.len() as u64);
    for named in named {
        number(&mut names, named.name.len() as u64);
        names.extend_from_slice(named.name.as_bytes());
    }
    section(file, Tag::NamedRoots, &names)?;

    let mut callsites = Vec::new();
    let snapshot = write::pack_with_callsites(&mut |id| number(&mut callsites, id.into()))?;
    section(file, Tag::Snapshot, snapshot.bytes())?;
    section(file, Tag::SampleCallsites, &callsites)?;

    let mut end = Vec::new();
    for count in [&report.blocks, &report.edges, &report.roots] {
        number(&mut end, count.load(Relaxed));
    }
    section(file, Tag::End, &end)
}

/// Writes a section, in frames of at most 1 MiB.
fn section(file: &mut File, tag: Tag, bytes: &[u8]) -> Result<(), Error> {
    for part in bytes.chunks(1 << 20) {
        file.write_all(&[tag as u8])?;
        file.write_all(&(part.len() as u32).to_le_bytes())?;
        file.write_all(part)?;
    }
    Ok(())
}

fn number(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}
