//! The commands `view` and `live`: a snapshot, or a running program, on a screen.
//!
//! A path, a process or an address goes in; the screen of [`alloc_report::explore`] comes out. Where
//! standard output is no terminal, and in a build without the feature `terminal`, text comes out.
//! `live` sends signals to a process, and removes the files that they made it write.
//!
//! Each module imports only from those before it: `pattern`, `source`, `files`, `address`, `template`,
//! `process`, `target`.

use std::path::{Path, PathBuf};
use std::str::FromStr as _;

use alloc_core_snapshot::{Metric, Snapshot};
use anyhow::{Result, bail};
use clap::Args;

use crate::load::{Loaded, load};
use crate::terminal::Stream;
use crate::view::{Charging, Filters};

mod address;
mod files;
mod pattern;
#[cfg(target_os = "linux")]
mod process;
mod source;
mod target;

use source::{Found, Source};
use target::Target;

pub(crate) const VIEW_EXAMPLES: &str = "\
Examples:
  alloc-report view heap.pb.gz
  alloc-report view after.pb.gz before.pb.gz
  alloc-report view heap.pb.gz --sort total --charge workspace
  alloc-report view heap.pb.gz | head -30

? shows the keys. Where standard output is no terminal, it prints what top and tree print.";

pub(crate) const LIVE_EXAMPLES: &str = "\
Examples:
  ALLOC_TRACE=128 ALLOC_TRACE_OUT=/tmp/heap-%p.pb.gz ALLOC_TRACE_SIGNAL=USR1 ./server &
  alloc-report live $!
  alloc-report live 4711 --every 10
  alloc-report live '/var/tmp/heap-*.pb.gz'
  alloc-report live localhost:6060
  alloc-report live http://10.0.0.7:8080/debug/pprof/heap

Where standard output is no terminal, it prints the table of one snapshot.";

/// The options of `view`.
#[derive(Args, Debug)]
pub(crate) struct ViewOptions {
    /// A snapshot file, a recording folder (for its last snapshot), or - for standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// An older snapshot to compare with
    #[arg(value_name = "OLD")]
    old: Option<PathBuf>,
    #[command(flatten)]
    common: Common,
}

/// The options of `live`.
#[derive(Args, Debug)]
pub(crate) struct LiveOptions {
    /// A process id, a file, a folder or a pattern such as 'heap-*.pb.gz', or an address that serves
    /// a pprof profile
    ///
    /// A process must have been started with ALLOC_TRACE_SIGNAL, and is sent that signal; or with
    /// ALLOC_TRACE_EVERY, and is waited for. Of files, the newest is shown. An address is
    /// HOST:PORT, or a URL; without a path, it is /debug/pprof/heap.
    #[arg(value_name = "PID|FILE|ADDRESS")]
    target: String,
    /// The interval between two snapshots in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 2.0, value_parser = seconds)]
    every: f64,
    /// Keep the files that the process writes because of the signals
    #[arg(long)]
    keep: bool,
    #[command(flatten)]
    common: Common,
}

#[derive(Args, Debug)]
struct Common {
    /// The metric to show first
    ///
    /// The default metric is at-peak for a snapshot that was written when the program ended, total
    /// for a profile that holds only allocations, and current for others.
    #[arg(long, value_name = "METRIC", value_parser = Metric::from_str)]
    sort: Option<Metric>,
    /// The number of rows, where standard output is no terminal
    #[arg(short = 'n', long = "rows", value_name = "N", default_value_t = 10)]
    rows: usize,
    #[command(flatten)]
    charging: Charging,
    #[command(flatten)]
    filters: Filters,
}

fn seconds(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(seconds) if (0.1..=1e6).contains(&seconds) => Ok(seconds),
        _ => Err("expected 0.1 to 1000000 seconds".to_owned()),
    }
}

/// Shows snapshots. Returns the text to print; it is empty after a screen.
pub(crate) fn view(options: &ViewOptions) -> Result<String> {
    let load = |path: &Path| -> Result<Snapshot> {
        let Common {
            charging, filters, ..
        } = &options.common;
        let Loaded { snapshot, nothing } = load(path, charging, filters)?;
        match nothing {
            Some(nothing) => bail!(nothing),
            None => Ok(std::mem::ManuallyDrop::into_inner(snapshot)),
        }
    };
    let snapshot = load(&options.file)?;
    let old = options.old.as_deref().map(load).transpose()?;
    if let Some(metric) = options.common.sort
        && !snapshot.knows(metric)
    {
        let file = options.file.display().to_string();
        bail!(
            "the snapshot {} does not have {metric}",
            alloc_core_snapshot::Escaped(&file)
        );
    }
    #[cfg(feature = "terminal")]
    if has_screen() {
        let mut explorer = alloc_report::explore(snapshot);
        if let Some(old) = old {
            explorer = explorer.compared_to(old);
        }
        if let Some(metric) = options.common.sort {
            explorer = explorer.metric(metric);
        }
        explorer.run()?;
        return Ok(String::new());
    }
    let table = table(&snapshot, old.as_ref(), &options.common);
    let stdout = Stream::Output;
    let tree = alloc_report::stacks(&snapshot, options.common.rows)
        .metric(metric(&snapshot, &options.common))
        .colour(stdout.is_colourful())
        .width(stdout.width());
    hint();
    Ok(format!("{table}\n{tree}\n"))
}

/// Shows a running program. Returns the text to print; it is empty after a screen.
pub(crate) fn live(options: &LiveOptions) -> Result<String> {
    let target: Target = options.target.parse()?;
    let mut source = target.open(options)?;
    let snapshot = first(source.as_mut())?;
    #[cfg(feature = "terminal")]
    if has_screen() {
        use alloc_report::Refreshed;
        let every = std::time::Duration::from_secs_f64(options.every);
        let mut explorer =
            alloc_report::explore(snapshot).refreshed(every, move || match source.next() {
                Found::Snapshot(snapshot) => Refreshed::Snapshot(snapshot),
                Found::Unchanged => Refreshed::Unchanged,
                Found::Failed(why) => Refreshed::Failed(why),
                Found::Ended(why) => Refreshed::Ended(why),
            });
        if let Some(metric) = options.common.sort {
            explorer = explorer.metric(metric);
        }
        explorer.run()?;
        return Ok(String::new());
    }
    hint();
    Ok(table(&snapshot, None, &options.common))
}

/// How long the first snapshot may take.
const FIRST: std::time::Duration = std::time::Duration::from_secs(30);

/// The first snapshot of a source.
fn first(source: &mut dyn Source) -> Result<Snapshot> {
    let start = std::time::Instant::now();
    loop {
        match source.next() {
            Found::Snapshot(snapshot) => return Ok(*snapshot),
            Found::Failed(why) | Found::Ended(why) => bail!(why),
            Found::Unchanged if start.elapsed() > FIRST => bail!(
                "expected a snapshot within {} s, found none: {}",
                FIRST.as_secs(),
                source.name()
            ),
            Found::Unchanged => std::thread::sleep(std::time::Duration::from_millis(50)),
        }
    }
}

fn metric(snapshot: &Snapshot, common: &Common) -> Metric {
    common.sort.unwrap_or_else(|| snapshot.first_metric())
}

/// What `top` and `diff` print.
fn table(snapshot: &Snapshot, old: Option<&Snapshot>, common: &Common) -> String {
    let stdout = Stream::Output;
    let metric = metric(snapshot, common);
    match old {
        Some(old) => {
            let table = alloc_report::diff(snapshot, old, common.rows)
                .metric(metric)
                .colour(stdout.is_colourful())
                .width(stdout.width());
            format!("{table}\n")
        }
        None => {
            let table = alloc_report::top(snapshot, common.rows)
                .metric(metric)
                .colour(stdout.is_colourful())
                .width(stdout.width());
            format!("{table}\n")
        }
    }
}

/// Whether there is a terminal that can show a screen and has keys.
#[cfg(feature = "terminal")]
fn has_screen() -> bool {
    use std::io::IsTerminal as _;
    let is_dumb = std::env::var_os("TERM").is_some_and(|it| it == "dumb");
    // NOTE: keys come from the terminal itself where standard input is a snapshot.
    let has_keys = || {
        let tty = || std::fs::File::open("/dev/tty").is_ok();
        std::io::stdin().is_terminal() || cfg!(unix) && tty()
    };
    std::io::stdout().is_terminal() && !is_dumb && has_keys()
}

/// Says on a terminal why text is printed, in a build that has no screen.
fn hint() {
    #[cfg(not(feature = "terminal"))]
    {
        use std::io::IsTerminal as _;
        if std::io::stdout().is_terminal() {
            anstream::eprintln!(
                "This build has no screen: install alloc-report with --features terminal."
            );
        }
    }
}
