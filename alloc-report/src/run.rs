//! `alloc-report run`.

use std::ffi::{OsStr, OsString};
use std::io::{self, IsTerminal as _, Write as _};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};

use alloc_core::{Bytes, Escaped, Metric};
use anstream::{AutoStream, ColorChoice};
use anyhow::{Context as _, Result};
use clap::Args;
use rustix::process::{Pid, Signal, kill_process};
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2};
use signal_hook::iterator::Signals;

use crate::recording::live::{self, Live};
use crate::recording::{self, About, Moment, Recording, Writer, now};
use crate::{UNKNOWN_WIDTH, output, read};

pub(crate) const EXAMPLES: &str = "\
Examples:
  alloc-report run -- target/release/server --port 8080
  alloc-report run --every 10 -o morning -- ./server
  alloc-report run --sample 512KiB -- ./server
  alloc-report run --report memory.txt -- ./server | less
  alloc-report timeline morning -o morning.svg

The table at the end goes to standard error, so that standard output is the program's own. The program must have alloc_core::TraceAlloc as its global allocator; without it, resident memory is
recorded all the same. The exit status is the program's.";

#[derive(Args, Debug)]
pub(crate) struct Options {
    /// How many frames of a stack to keep
    #[arg(long, value_name = "N", default_value_t = 128, value_parser = clap::value_parser!(u16).range(1..=1000))]
    frames: u16,
    /// Record a sample: a block every so many bytes, as 524288 or 512KiB
    #[arg(long, value_name = "BYTES", value_parser = bytes)]
    sample: Option<u64>,
    /// Tell threads apart, for top --by thread
    #[arg(long)]
    threads: bool,
    /// Have the heap's peak exact where several threads allocate at once, at a cost for each
    /// allocation
    #[arg(long)]
    exact_peak: bool,
    /// How many callsites to tell apart; 262144 unless given
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1 << 20))]
    max_callsites: Option<u32>,
    /// Take a snapshot each time that so many seconds have passed
    #[arg(long, value_name = "SECONDS", default_value_t = 1.0, value_parser = seconds)]
    every: f64,
    /// Keep the newest so many of these snapshots; all unless given
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    keep: Option<u32>,
    /// The folder to write to, which must be empty or not there; alloc-trace-DATE-TIME unless given
    #[arg(short = 'o', long = "output", value_name = "DIR")]
    output: Option<PathBuf>,
    /// The file for the table at the end; standard error unless given
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// Replace a recording that is in the folder, and a report that is in the file
    #[arg(long)]
    force: bool,
    /// How many lines to show at the end
    #[arg(short = 'n', long = "rows", value_name = "N", default_value_t = 10)]
    rows: usize,
    /// The program and its arguments
    #[arg(
        value_name = "PROGRAM",
        required = true,
        trailing_var_arg = true,
        allow_hyphen_values = true
    )]
    command: Vec<OsString>,
}

fn seconds(text: &str) -> std::result::Result<f64, String> {
    let seconds = text.parse().ok().filter(|it| (0.01..=1e6).contains(it));
    seconds.ok_or_else(|| "expected a number of seconds from 0.01 to 1000000".to_owned())
}

/// A number of bytes, with or without a unit, as `ALLOC_TRACE_SAMPLE` has it.
fn bytes(text: &str) -> std::result::Result<u64, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match &text[digits.len()..] {
        "" | "B" => Some(1),
        "KiB" => Some(1 << 10),
        "MiB" => Some(1 << 20),
        _ => None,
    };
    let bytes = unit.zip(digits.parse::<u64>().ok());
    let bytes = bytes.and_then(|(unit, number)| number.checked_mul(unit));
    let bytes = bytes.filter(|it| (1..=64 << 20).contains(it));
    bytes
        .ok_or_else(|| "expected a number of bytes from 1 to 64MiB, as 524288 or 512KiB".to_owned())
}

/// How often numbers are looked at, and with how many looks the system is asked to count pages.
const LOOK: Duration = Duration::from_millis(100);
const LOOKS_WITHOUT_PAGES: u32 = 10;
/// How often a line is printed where there is no terminal.
const LINE: Duration = Duration::from_secs(10);
/// The signals that are passed on.
const SIGNALS: [i32; 6] = [SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2];

/// Runs the program, and prints the table at the end. Returns the status to end with.
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
    // NOTE: registered before the program starts, so that none is missed.
    let mut signals = Signals::new(SIGNALS).context("cannot catch signals")?;
    if options.force && recording::has_nothing_else(&folder) {
        recording::remove_files(&folder)
            .with_context(|| format!("cannot replace {}", folder.display()))?;
    }
    let mut writer = Writer::create(&folder, about)?;
    let mut child = match start(options, &writer.folder) {
        Ok(child) => child,
        Err(error) => {
            // There is nothing in it.
            let _ = std::fs::remove_dir_all(&writer.folder);
            return Err(error);
        }
    };
    writer.about.process_id = child.id();
    writer.write_about()?;
    let handle = signals.handle();
    let process = child.id();
    let passing = std::thread::spawn(move || pass_on(&mut signals, process));
    let followed = follow(&mut child, &mut writer);
    handle.close();
    let _ = passing.join();
    let status = followed?;
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
        // NOTE: a standard error that is gone changes nothing about the recording.
        None => drop(anstream::stderr().write_all(report.as_bytes())),
    }
    Ok(status_of(status) as u8)
}

fn start(options: &Options, folder: &Path) -> Result<Child> {
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

/// A path in which a percent sign of the folder's is no other.
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

/// Passes signals on until there are no more to come. What a terminal sends goes to all of its foreground,
/// the program among them.
fn pass_on(signals: &mut Signals, process: u32) {
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

/// Looks at the program until it ends: at the one that was started or, if that has not the allocator, at the
/// first that has of those that it starts, as a shell or cargo does.
fn follow(child: &mut Child, writer: &mut Writer) -> Result<ExitStatus> {
    let mut process = child.id();
    let mut live = Live::new(live::path_for(&writer.folder, process));
    let mut progress = Progress::new();
    let mut looks = 0;
    let mut last = 0.0;
    loop {
        let status = child.try_wait().context("cannot wait for the program")?;
        if !live.is_there()
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
            live::look(&mut moment, process, looks % LOOKS_WITHOUT_PAGES == 0);
        }
        // A line may have waited for a moment before it was written.
        moment.seconds = moment.seconds.max(last);
        last = moment.seconds;
        if moment.heap_bytes.is_some() || moment.rss_bytes.is_some() {
            writer.append(moment)?;
            progress.show(moment);
        }
        writer.about.traced |= live.is_there();
        if let Some(status) = status {
            progress.end();
            return Ok(status);
        }
        looks += 1;
        std::thread::sleep(LOOK);
    }
}

/// A line that tells how it goes: over and over on a terminal, else now and then.
struct Progress {
    started: Instant,
    is_terminal: bool,
    next: Instant,
    /// The newest of each number: those that come late, as while a snapshot is written, stand until
    /// they come.
    newest: Moment,
    /// The last totals, and when they were looked at.
    totals: Option<(f64, u64)>,
    rate: Option<f64>,
}

impl Progress {
    fn new() -> Progress {
        let now = Instant::now();
        Progress {
            started: now,
            is_terminal: io::stderr().is_terminal(),
            next: now + LINE,
            newest: Moment::default(),
            totals: None,
            rate: None,
        }
    }

    fn show(&mut self, moment: Moment) {
        self.take(moment);
        if !self.is_terminal && Instant::now() < self.next {
            return;
        }
        self.next = Instant::now() + LINE;
        let line = self.line(self.started.elapsed());
        if self.is_terminal {
            // NOTE: the next one could not take back a line that is wrapped.
            let line: String = line.chars().take(width().saturating_sub(1)).collect();
            eprint!("\r\u{1b}[K{line}");
            let _ = io::stderr().flush();
        } else {
            eprintln!("{line}");
        }
    }

    fn take(&mut self, moment: Moment) {
        let newest = &mut self.newest;
        newest.heap_bytes = moment.heap_bytes.or(newest.heap_bytes);
        newest.heap_peak_bytes = moment.heap_peak_bytes.or(newest.heap_peak_bytes);
        newest.rss_bytes = moment.rss_bytes.or(newest.rss_bytes);
        if let Some(total) = moment.total_bytes {
            if let Some((seconds, before)) = self.totals {
                let passed = (moment.seconds - seconds).max(1e-3);
                self.rate = Some(total.saturating_sub(before) as f64 / passed);
            }
            self.totals = Some((moment.seconds, total));
        }
    }

    /// All numbers from the first that is known of the heap on, so that none jumps in its place.
    fn line(&self, elapsed: Duration) -> String {
        let bytes = |bytes: Option<u64>| {
            bytes.map_or_else(|| "?".to_owned(), |it| Bytes::new(it).to_string())
        };
        let newest = &self.newest;
        let mut line = format!("{:.1} s", elapsed.as_secs_f64());
        if newest.heap_bytes.is_some() {
            line += &format!(
                "  heap {}, peak {}",
                bytes(newest.heap_bytes),
                bytes(newest.heap_peak_bytes)
            );
        }
        line += &format!("  resident {}", bytes(newest.rss_bytes));
        if newest.heap_bytes.is_some() {
            let rate = self.rate.map(|it| it as u64);
            line += &format!("  allocating {}/s", bytes(rate));
        }
        line
    }

    fn end(&self) {
        if self.is_terminal {
            eprint!("\r\u{1b}[K");
        }
    }
}

/// On a terminal, unless `NO_COLOR` is set; elsewhere only with `CLICOLOR_FORCE`.
fn is_colourful() -> bool {
    AutoStream::choice(&io::stderr()) != ColorChoice::Never
}

/// The terminal's that standard error is; a file or another program gets everything.
fn width() -> usize {
    let stderr = io::stderr();
    match terminal_size::terminal_size_of(&stderr) {
        Some((terminal_size::Width(columns), _)) => columns.into(),
        None if stderr.is_terminal() => UNKNOWN_WIDTH,
        None => usize::MAX,
    }
}

/// As a shell has it.
fn status_of(status: ExitStatus) -> i32 {
    let killed = status.signal().map(|signal| 128 + signal);
    status.code().or(killed).unwrap_or(1)
}

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
        text += &format!("The program was ended by signal {signal}.\n");
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
                .colour(options.report.is_none() && is_colourful())
                .width(match options.report {
                    Some(_) => usize::MAX,
                    None => width(),
                });
            let peak = snapshot.traced_memory().peak;
            text += &format!(
                "{seconds:.1} s, heap at most {peak}{resident}. Written to {shown}.\n\n{table}\n"
            );
        }
        (Some(peak), None) => {
            text += &format!(
                "{seconds:.1} s, heap at most {peak}{resident}. No snapshot was written: the program \
                 ended before the first.\nWritten to {shown}.\n"
            );
        }
        (None, None) => {
            let program = recording.about.command.first().map_or("", |it| it.as_str());
            text += &format!(
                "{seconds:.1} s{resident}. Only resident memory was recorded: {} does not have \
                 alloc_core::TraceAlloc as its global allocator, or did not run for long enough.\nWritten to {shown}.\n",
                Escaped(program)
            );
        }
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_may_have_a_unit() {
        assert_eq!(bytes("1"), Ok(1));
        assert_eq!(bytes("512KiB"), Ok(512 << 10));
        assert_eq!(bytes("64MiB"), Ok(64 << 20));
        for wrong in ["0", "65MiB", "1GiB", "1kb", "KiB", "-1", "1.5MiB", ""] {
            assert!(bytes(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_line_keeps_its_numbers_while_none_come() {
        let mut progress = Progress::new();
        let at = |seconds| Moment {
            seconds,
            ..Moment::default()
        };
        let resident = |seconds| Moment {
            rss_bytes: Some(9 << 20),
            ..at(seconds)
        };
        let line = |progress: &Progress| progress.line(Duration::from_secs(3));
        progress.take(resident(0.0));
        assert_eq!(line(&progress), "3.0 s  resident 9216 KiB");
        progress.take(Moment {
            heap_bytes: Some(5 << 20),
            heap_peak_bytes: Some(6 << 20),
            total_bytes: Some(10 << 20),
            ..resident(1.0)
        });
        assert_eq!(
            line(&progress),
            "3.0 s  heap 5120 KiB, peak 6144 KiB  resident 9216 KiB  allocating ?/s"
        );
        progress.take(Moment {
            total_bytes: Some(30 << 20),
            ..resident(2.0)
        });
        let whole = "3.0 s  heap 5120 KiB, peak 6144 KiB  resident 9216 KiB  allocating 20.0 MiB/s";
        assert_eq!(line(&progress), whole);
        // As while a snapshot is written, and when the process was just gone.
        progress.take(resident(2.1));
        progress.take(at(2.2));
        assert_eq!(line(&progress), whole);
    }
}
