//! The traced program: start, signals, and measurements until it ends.

use std::ffi::{OsStr, OsString};
use std::io::{self, IsTerminal as _};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::Path;
use std::process::{Child, Command, ExitStatus};
use std::time::Duration;

use alloc_core_snapshot::Escaped;
use anyhow::{Context as _, Result};
use rustix::process::{Pid, Signal, kill_process};
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2};
use signal_hook::iterator::Signals;

use super::options::Options;
use super::progress::Progress;
use crate::recording::live::{self, Live};
use crate::recording::{Moment, Writer, now};

/// The interval between measurements.
const INTERVAL: Duration = Duration::from_millis(100);
/// Counting pages is slow, so only one of this many measurements does it.
const PAGE_COUNT_INTERVAL: u32 = 10;
/// The signals to forward.
pub(super) const SIGNALS: [i32; 6] = [SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2];

/// Starts the program with tracing enabled through its environment.
pub(super) fn start(options: &Options, folder: &Path) -> Result<Child> {
    let program = &options.command[0];
    let mut command = Command::new(program);
    command
        .args(&options.command[1..])
        .env("ALLOC_TRACE", options.frames.to_string())
        .env("ALLOC_TRACE_EVERY", options.every.to_string())
        .env("ALLOC_TRACE_OUT", template(folder, "heap-%p.pb.gz"))
        .env("ALLOC_TRACE_LIVE", template(folder, "live-%p.csv"))
        .env_remove("ALLOC_TRACE_SIGNAL");
    match options.sample {
        Some(bytes) => command.env("ALLOC_TRACE_SAMPLE", bytes.to_string()),
        None => command.env_remove("ALLOC_TRACE_SAMPLE"),
    };
    for (name, is_on) in [
        ("ALLOC_TRACE_THREADS", options.threads),
        ("ALLOC_TRACE_SIZES", options.sizes),
        ("ALLOC_TRACE_LIFETIMES", options.lifetimes),
        ("ALLOC_TRACE_FREES", options.frees),
        ("ALLOC_TRACE_SLACK", options.slack),
        ("ALLOC_TRACE_EXACT_PEAK", options.exact_peak),
    ] {
        if is_on {
            command.env(name, "1");
        }
    }
    for (name, number) in [
        ("ALLOC_TRACE_MAX_CALLSITES", options.max_callsites),
        ("ALLOC_TRACE_KEEP", options.keep),
    ] {
        if let Some(number) = number {
            command.env(name, number.to_string());
        }
    }
    command
        .spawn()
        .with_context(|| format!("cannot start {}", Escaped(&program.to_string_lossy())))
}

/// The path template `folder/name`, in which the percent signs of the folder are escaped.
fn template(folder: &Path, name: &str) -> OsString {
    let mut path = Vec::new();
    for &byte in folder.as_os_str().as_bytes() {
        path.push(byte);
        if byte == b'%' {
            path.push(byte);
        }
    }
    path.extend(OsStr::new("/").as_bytes());
    path.extend(name.bytes());
    OsString::from_vec(path)
}

/// Forwards signals to the program until `signals` is closed.
///
/// A terminal sends SIGINT and SIGQUIT to its whole foreground group, the program included.
pub(super) fn forward_signals(signals: &mut Signals, process: u32) {
    let Some(process) = Pid::from_raw(process as i32) else {
        return;
    };
    let has_terminal = io::stdin().is_terminal();
    for signal in signals.forever() {
        let from_terminal = has_terminal && matches!(signal, SIGINT | SIGQUIT);
        if let (false, Some(signal)) = (from_terminal, Signal::from_named_raw(signal)) {
            let _ = kill_process(process, signal);
        }
    }
}

/// Measures the program until it ends.
///
/// A program without the allocator, such as a shell or cargo, may start one with it. Then the first
/// such process is measured.
pub(super) fn measure(child: &mut Child, writer: &mut Writer) -> Result<ExitStatus> {
    let mut process = child.id();
    let mut live = Live::new(live::path_for(&writer.folder, process));
    let mut progress = Progress::new();
    let mut count = 0_u32;
    let mut last = 0.0;
    loop {
        let status = child.try_wait().context("cannot wait for the program")?;
        if !live.exists()
            && let Some(&first) = live::processes(&writer.folder).first()
            && first != process
        {
            process = first;
            live = Live::new(live::path_for(&writer.folder, process));
            writer.about.process_id = process;
        }
        let mut moment = live.newest().unwrap_or(Moment {
            seconds: now(),
            ..Moment::default()
        });
        if status.is_none() {
            let count_pages = count.is_multiple_of(PAGE_COUNT_INTERVAL);
            live::add_resident(&mut moment, process, count_pages);
        }
        // NOTE: the tracer stamps a line before it writes it, so the line may be late.
        moment.seconds = moment.seconds.max(last);
        last = moment.seconds;
        if moment.heap_bytes.is_some() || moment.rss_bytes.is_some() {
            writer.append(moment)?;
            progress.show(moment);
        }
        writer.about.traced |= live.exists();
        if let Some(status) = status {
            progress.end();
            return Ok(status);
        }
        count = count.wrapping_add(1);
        std::thread::sleep(INTERVAL);
    }
}
