//! The command `alloc-report`: tables, JSON and CSV from snapshot files.

mod annotated;
mod arguments;
mod check;
mod conditions;
mod debuginfod;
mod json;
mod near;
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
use std::io::{self, BufReader, IsTerminal as _, Read, Write as _};
use std::mem::ManuallyDrop;
use std::path::Path;
use std::process::ExitCode;

use alloc_core::{Escaped, Filter, Grouping, Metric, Snapshot};
use anstream::{AutoStream, ColorChoice};
use anstyle::{AnsiColor, Style};
use anyhow::{Context as _, Result, anyhow, bail};
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

/// A table of either kind as the command line asks for it.
macro_rules! shown {
    ($table:ident, $view:ident) => {{
        let mut table = $table.colour(is_colourful()).width(width());
        if $view.no_source {
            table = table.without_sources();
        }
        if $view.full {
            table = table.full();
        }
        if let Some(lines) = $view.depth {
            table = table.depth(lines);
        }
        format!("{table}\n")
    }};
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
            let Loaded { snapshot, nothing } = load(&file, &view)?;
            if let Some(nothing) = nothing {
                bail!(nothing);
            }
            let by = with_metric(by, &view, snapshot.first_metric());
            match view.format {
                Format::Text => {
                    let table = alloc_report::top(&snapshot, view.rows).by(by);
                    Ok(shown!(table, view))
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
            if let (Some(nothing), Some(_)) = (&new_snapshot.nothing, &old_snapshot.nothing) {
                bail!("{nothing}");
            }
            let (new_snapshot, old_snapshot) = (new_snapshot.snapshot, old_snapshot.snapshot);
            let new = new.as_ref().unwrap_or(&old);
            let (now, then) = (new_snapshot.first_metric(), old_snapshot.first_metric());
            let metric = match new_snapshot.knows(Metric::Current) {
                true if now != then => Metric::Current,
                _ => now,
            };
            let by = with_metric(by, &view, metric);
            match view.format {
                Format::Text => {
                    let table = alloc_report::diff(&new_snapshot, &old_snapshot, view.rows).by(by);
                    Ok(shown!(table, view))
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

/// A snapshot, filtered.
struct Loaded {
    snapshot: ManuallyDrop<Snapshot>,
    /// What to say if the filters left nothing of it.
    nothing: Option<String>,
}

fn load(path: &Path, view: &View) -> Result<Loaded> {
    Ok(filtered(charged(read(path)?, view), view))
}

/// The two sides of a file that tells what changed.
fn load_difference(path: &Path, view: &View) -> Result<(Loaded, Loaded)> {
    let sides = read_as(path, Snapshot::read_difference);
    let (added, taken_away) =
        sides.map_err(|error| anyhow!("{error}; two are compared by diff OLD NEW"))?;
    let side = |snapshot| filtered(charged(snapshot, view), view);
    Ok((side(added), side(taken_away)))
}

/// What is grouped by, with this metric unless one was asked for.
fn with_metric(by: Grouping, view: &View, metric: Metric) -> Grouping {
    match view.has_metric() {
        true => by,
        false => by.with_metric(metric),
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
    read: impl FnOnce(Box<dyn Read>) -> std::result::Result<T, alloc_core::Error>,
) -> Result<T> {
    let is_standard_input = path == Path::new("-");
    let path = match is_standard_input {
        true => path.to_owned(),
        false => recording::snapshot_at(path)?,
    };
    let loaded = match is_standard_input {
        true => read(Box::new(io::stdin().lock())),
        false => File::open(&path)
            .map_err(alloc_core::Error::from)
            .and_then(|file| read(Box::new(BufReader::new(file)))),
    };
    // NOTE: one message, not a chain: it names its cause already.
    loaded.map_err(|error| {
        let path = path.to_string_lossy();
        let path = match is_standard_input {
            true => "of the standard input".into(),
            false => path,
        };
        anyhow!("cannot read the snapshot {}: {error}", Escaped(&path))
    })
}

fn charged(snapshot: Snapshot, view: &View) -> Snapshot {
    snapshot.charge_to(view.charge()).skip_crates(&view.skip)
}

fn filtered(snapshot: Snapshot, view: &View) -> Loaded {
    let with = |all_frames| {
        let included = view.include.iter().map(Conditions::include);
        let excluded = view.exclude.iter().map(Conditions::exclude);
        let filters = included.chain(excluded);
        let filters: Vec<Filter> = filters.map(|it| it.all_frames(all_frames)).collect();
        snapshot.filter_traces(&filters)
    };
    if view.include.is_empty() && view.exclude.is_empty() {
        return Loaded {
            snapshot: ManuallyDrop::new(snapshot),
            nothing: None,
        };
    }
    let filtered = ManuallyDrop::new(with(view.all_frames));
    let is_nothing = filtered.traces().is_empty() && !snapshot.traces().is_empty();
    let nothing = is_nothing.then(|| {
        let outer = !view.all_frames && !with(true).traces().is_empty();
        nothing_left(&snapshot, view, outer)
    });
    Loaded {
        snapshot: filtered,
        nothing,
    }
}

/// What to say where the filters leave nothing; `outer` if they would not with outer frames of the
/// stacks.
fn nothing_left(snapshot: &Snapshot, view: &View, outer: bool) -> String {
    let Some(first) = view.include.first() else {
        let first = view.exclude.first().map_or("", |it| it.text.as_str());
        return format!("--exclude {} leaves no callsite", Escaped(first));
    };
    let mut text = match view.include.len() {
        1 => format!("no callsite meets --include {}", Escaped(&first.text)),
        n => format!("no callsite meets any of the {n} --include"),
    };
    if !view.exclude.is_empty() {
        text += " and is left by --exclude";
    }
    if outer {
        text += "; outer frames of stacks do: add --all-frames";
    } else if let Some(near) = first.near(snapshot, view.all_frames) {
        text += &format!("; {near}");
    }
    text
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
