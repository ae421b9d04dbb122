//! The command `run`: a traced program, recorded.
//!
//! A command line goes in; a recording folder, a table and the program's exit status come out. The
//! program runs as a child process; nothing here traces.
//!
//! Each module imports only from those before it: `options`, `progress`, `child`.

use std::io::Write as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;

use alloc_core_snapshot::{Escaped, Metric};
use anyhow::{Context as _, Result};
use signal_hook::iterator::Signals;

use crate::load::read;
use crate::output;
use crate::recording::live;
use crate::recording::{self, About, Recording, Writer, now};
use crate::terminal::Stream;

mod child;
mod options;
mod progress;

use child::{SIGNALS, forward_signals, measure, start};
pub(crate) use options::Options;

pub(crate) const EXAMPLES: &str = "\
Examples:
  alloc-report run -- target/release/server --port 8080
  alloc-report run --every 10 -o morning -- ./server
  alloc-report run --sample 512KiB -- ./server
  alloc-report run --report memory.txt -- ./server | less
  alloc-report timeline morning -o morning.svg

The table at the end goes to standard error, so that standard output belongs to the program. The \
program must have alloc_core::TraceAlloc as its global allocator; otherwise, only resident memory \
is recorded. The exit status is that of the program.";

/// Runs the program, and prints the table at the end. Returns the exit status.
pub(crate) fn run(options: &Options) -> Result<u8> {
    let started_at = now();
    if let Some(file) = &options.report {
        output::check_free(file, options.force)?;
    }
    let folder = options.output.clone().unwrap_or_else(|| {
        PathBuf::from(format!(
            "{}{}",
            recording::PREFIX,
            recording::stamp(started_at)
        ))
    });
    let command = options
        .command
        .iter()
        .map(|it| it.to_string_lossy().into_owned());
    let about = About {
        command: command.collect(),
        started_at,
        ..About::default()
    };
    // NOTE: registered before the program starts, so that no signal is missed.
    let mut signals = Signals::new(SIGNALS).context("cannot catch signals")?;
    if options.force && recording::contains_only_recording(&folder) {
        recording::remove_files(&folder)
            .with_context(|| format!("cannot replace {}", folder.display()))?;
    }
    let mut writer = Writer::create(&folder, about)?;
    let mut child = match start(options, &writer.folder) {
        Ok(child) => child,
        Err(error) => {
            // Nothing has been recorded.
            let _ = std::fs::remove_dir_all(&writer.folder);
            return Err(error);
        }
    };
    writer.about.process_id = child.id();
    writer.write_about()?;
    let handle = signals.handle();
    let process = child.id();
    let forwarder = std::thread::spawn(move || forward_signals(&mut signals, process));
    let status = measure(&mut child, &mut writer);
    handle.close();
    let _ = forwarder.join();
    let status = status?;
    writer.about.ended_at = Some(now());
    writer.about.status = Some(status_of(status));
    writer.write_about()?;
    for process in live::processes(&writer.folder) {
        let _ = std::fs::remove_file(live::path_for(&writer.folder, process));
    }
    let recording = Recording::open(&writer.folder)?;
    let report = report(options, &folder, &recording, status)?;
    match &options.report {
        Some(file) => output::write(file, report.as_bytes(), options.force)?,
        // NOTE: the recording is complete even if standard error is closed.
        None => drop(anstream::stderr().write_all(report.as_bytes())),
    }
    Ok(status_of(status) as u8)
}

/// The exit status as in a shell: 128 plus the number of a signal.
fn status_of(status: ExitStatus) -> i32 {
    let killed = status.signal().map(|signal| 128 + signal);
    status.code().or(killed).unwrap_or(1)
}

/// The text at the end: the size of the heap, and a table of the last snapshot.
fn report(
    options: &Options,
    folder: &Path,
    recording: &Recording,
    status: ExitStatus,
) -> Result<String> {
    let shown = folder.display().to_string();
    let shown = Escaped(&shown);
    let mut text = String::new();
    if let Some(signal) = status.signal() {
        text += &format!("The program was killed by signal {signal}.\n");
    }
    let resident = recording
        .resident_peak()
        .map_or_else(String::new, |it| format!(", resident at most {it}"));
    let seconds = recording.duration().as_secs_f64();
    match (recording.heap_peak(), recording.snapshots()?.last()) {
        (_, Some(last)) => {
            let snapshot = read(last)?;
            let table = alloc_report::top(&snapshot, options.rows)
                .metric(Metric::AtPeak)
                .colour(options.report.is_none() && Stream::Error.is_colourful())
                .width(match options.report {
                    Some(_) => usize::MAX,
                    None => Stream::Error.width(),
                });
            let peak = snapshot.traced_memory().peak;
            text += &format!(
                "{seconds:.1} s, heap at most {peak}{resident}. Written to {shown}.\n\n{table}\n"
            );
        }
        (Some(peak), None) => {
            text += &format!(
                "{seconds:.1} s, heap at most {peak}{resident}. The program ended before its first \
                 snapshot.\nWritten to {shown}.\n"
            );
        }
        (None, None) => {
            let program = recording.about.command.first().map_or("", |it| it.as_str());
            text += &format!(
                "{seconds:.1} s{resident}. Only resident memory was recorded: {} does not have \
                 alloc_core::TraceAlloc as its global allocator, or ended too soon.\n\
                 Written to {shown}.\n",
                Escaped(program)
            );
        }
    }
    Ok(text)
}
