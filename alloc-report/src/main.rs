//! The command `alloc-report`: tables, JSON and CSV from snapshot files.

mod annotated;
mod arguments;
mod check;
mod conditions;
mod debuginfod;
mod json;
mod output;
mod recording;
mod recordings;
mod rows;
#[cfg(unix)]
mod run;
mod shell;
mod symbols;
mod timeline;

use std::fs::File;
use std::io::{self, BufReader, IsTerminal as _, Write as _};
use std::mem::ManuallyDrop;
use std::path::Path;
use std::process::ExitCode;

use alloc_core::{Escaped, Filter, Grouping, Metric, Snapshot};
use anstream::{AutoStream, ColorChoice};
use anstyle::{AnsiColor, Style};
use anyhow::{Context as _, Result, anyhow};
use clap::Parser as _;

use arguments::{Arguments, Command, Format, View};
use conditions::Conditions;

/// A file could not be read, or the result not be written. Clap itself exits with 2.
const FAILED: u8 = 1;

/// For a terminal that does not tell its size, such as a serial line.
const UNKNOWN_WIDTH: usize = 80;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    symbols::look_in(arguments.symbols);
    let reported = report(arguments.command);
    match reported.and_then(|(text, status)| print(&text).map(|()| status)) {
        Ok(status) => ExitCode::from(status),
        Err(error) => {
            const RED: Style = AnsiColor::Red.on_default().bold();
            anstream::eprintln!("{RED}error:{RED:#} {error:#}");
            ExitCode::from(FAILED)
        }
    }
}

/// What to print, and the status to end with.
fn report(command: Command) -> Result<(String, u8)> {
    let text = match command {
        #[cfg(unix)]
        Command::Run(options) => return run::run(&options).map(|status| (String::new(), status)),
        Command::Check(options) => return check::report(&options),
        Command::Timeline(options) => timeline::report(&options),
        Command::Peak(options) => recordings::peak(&options),
        Command::List(options) => recordings::list(&options),
        Command::Clean(options) => recordings::clean(&options),
        Command::Top { file, view } => {
            let by = view.grouping().unwrap_or_else(|wrong| wrong.exit());
            let snapshot = load(&file, &view)?;
            let by = known(by, &view, &snapshot);
            match view.format {
                Format::Text => {
                    let table = alloc_report::top(&snapshot, view.rows).by(by);
                    let table = table.colour(is_colourful()).width(width());
                    Ok(match view.no_source {
                        true => format!("{}\n", table.without_sources()),
                        false => format!("{table}\n"),
                    })
                }
                Format::Json => json::top(&snapshot, &file, &view, &by),
                Format::Csv => rows::top(&snapshot, &view, &by),
            }
        }
        Command::Diff { old, new, view } => {
            let by = view.grouping().unwrap_or_else(|wrong| wrong.exit());
            let (old, new) = match new {
                None if old.is_dir() => {
                    let (first, last) = recording::ends(&old)?;
                    (first, Some(last))
                }
                new => (old, new),
            };
            let (new_snapshot, old_snapshot) = match &new {
                Some(new) => (load(new, &view)?, load(&old, &view)?),
                None => load_difference(&old, &view)?,
            };
            let new = new.as_ref().unwrap_or(&old);
            let by = known(by, &view, &new_snapshot);
            match view.format {
                Format::Text => {
                    let table = alloc_report::diff(&new_snapshot, &old_snapshot, view.rows).by(by);
                    let table = table.colour(is_colourful()).width(width());
                    Ok(match view.no_source {
                        true => format!("{}\n", table.without_sources()),
                        false => format!("{table}\n"),
                    })
                }
                Format::Json => json::diff((&new_snapshot, new), (&old_snapshot, &old), &view, &by),
                Format::Csv => rows::diff(&new_snapshot, &old_snapshot, &view, &by),
            }
        }
        Command::Symbolize(options) => symbols::symbolize(&options),
        Command::Annotate(options) => annotated::report(&options),
        Command::Completions { shell } => shell::completions(shell),
        Command::Man { folder: None, .. } => shell::page(),
        Command::Man {
            folder: Some(folder),
            force,
        } => shell::pages(&folder, force),
    };
    text.map(|text| (text, 0))
}

fn load(path: &Path, view: &View) -> Result<ManuallyDrop<Snapshot>> {
    let snapshot = read(path)?.charge_to(view.charge());
    Ok(ManuallyDrop::new(filtered(snapshot, view)))
}

/// The two sides of a file that tells what changed.
fn load_difference(
    path: &Path,
    view: &View,
) -> Result<(ManuallyDrop<Snapshot>, ManuallyDrop<Snapshot>)> {
    let sides = read_as(path, Snapshot::read_difference);
    let (added, taken_away) =
        sides.map_err(|error| anyhow!("{error}; two are compared by diff OLD NEW"))?;
    let side =
        |snapshot: Snapshot| ManuallyDrop::new(filtered(snapshot.charge_to(view.charge()), view));
    Ok((side(added), side(taken_away)))
}

/// What is grouped by, with a metric that the file tells, unless one was asked for.
fn known(by: Grouping, view: &View, snapshot: &Snapshot) -> Grouping {
    match view.has_metric() || snapshot.knows(by.metric()) {
        true => by,
        false => by.with_metric(Metric::Total),
    }
}

/// NOTE: better never dropped: the process ends, and the system takes millions of frames back faster.
fn read(path: &Path) -> Result<Snapshot> {
    let mut snapshot = read_as(path, Snapshot::read_from)?;
    symbols::name(&mut snapshot);
    Ok(snapshot)
}

fn read_as<T>(
    path: &Path,
    read: impl FnOnce(BufReader<File>) -> std::result::Result<T, alloc_core::Error>,
) -> Result<T> {
    let path = &recording::snapshot_at(path)?;
    let loaded = File::open(path)
        .map_err(alloc_core::Error::from)
        .and_then(|file| read(BufReader::new(file)));
    // NOTE: one message, not a chain: it names its cause already.
    loaded.map_err(|error| {
        let path = path.to_string_lossy();
        anyhow!("cannot read the snapshot {}: {error}", Escaped(&path))
    })
}

fn filtered(snapshot: Snapshot, view: &View) -> Snapshot {
    let included = view.include.iter().map(Conditions::include);
    let excluded = view.exclude.iter().map(Conditions::exclude);
    let filters: Vec<Filter> = included
        .chain(excluded)
        .map(|filter| filter.all_frames(view.all_frames))
        .collect();
    if filters.is_empty() {
        return snapshot;
    }
    snapshot.filter_traces(&filters)
}

/// On a terminal, unless `NO_COLOR` is set; elsewhere only with `CLICOLOR_FORCE`.
fn is_colourful() -> bool {
    AutoStream::choice(&io::stdout()) != ColorChoice::Never
}

/// The terminal's; a file or another program gets everything.
fn width() -> usize {
    let stdout = io::stdout();
    match terminal_size::terminal_size_of(&stdout) {
        Some((terminal_size::Width(columns), _)) => columns.into(),
        None if stdout.is_terminal() => UNKNOWN_WIDTH,
        None => usize::MAX,
    }
}

/// A reader that has seen enough, such as `head`, closes the pipe: that is no error.
fn print(text: &str) -> Result<()> {
    let mut stdout = anstream::stdout().lock();
    let written = stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush());
    match written {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written.context("cannot write to the standard output"),
    }
}
