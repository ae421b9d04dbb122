//! The command `alloc-report`: tables and JSON from snapshot files.

mod arguments;
mod json;

use std::fs::File;
use std::io::{self, BufReader, IsTerminal as _, Write as _};
use std::path::Path;
use std::process::ExitCode;

use alloc_core::{Escaped, Snapshot};
use anstream::{AutoStream, ColorChoice};
use anstyle::{AnsiColor, Style};
use anyhow::{Context as _, Result, bail};
use clap::Parser as _;

use arguments::{Arguments, Command, Format, View};

/// A file could not be read, or the result not be written. Clap itself exits with 2.
const FAILED: u8 = 1;

/// For a terminal that does not tell its size, such as a serial line.
const UNKNOWN_WIDTH: usize = 80;

fn main() -> ExitCode {
    let printed = report(Arguments::parse().command).and_then(|text| print(&text));
    match printed {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            const RED: Style = AnsiColor::Red.on_default().bold();
            anstream::eprintln!("{RED}error:{RED:#} {error:#}");
            ExitCode::from(FAILED)
        }
    }
}

fn report(command: Command) -> Result<String> {
    match command {
        Command::Top { file, view } => {
            let snapshot = load(&file, &view)?;
            match view.format {
                Format::Text => Ok(text_of_top(&snapshot, &view)),
                Format::Json => json::top(&snapshot, &file, &view),
            }
        }
        Command::Diff { old, new, view } => {
            let (old_snapshot, new_snapshot) = (load(&old, &view)?, load(&new, &view)?);
            match view.format {
                Format::Text => Ok(text_of_diff(&new_snapshot, &old_snapshot, &view)),
                Format::Json => json::diff((&new_snapshot, &new), (&old_snapshot, &old), &view),
            }
        }
    }
}

fn load(path: &Path, view: &View) -> Result<Snapshot> {
    let loaded = File::open(path)
        .map_err(alloc_core::Error::from)
        .and_then(|file| Snapshot::read_from(BufReader::new(file)));
    match loaded {
        Ok(snapshot) => Ok(snapshot.charge_to(view.charge())),
        // NOTE: one message, not a chain: it names its cause already.
        Err(error) => {
            let path = path.to_string_lossy();
            bail!("cannot read the snapshot {}: {error}", Escaped(&path))
        }
    }
}

fn text_of_top(snapshot: &Snapshot, view: &View) -> String {
    let top = alloc_report::top(snapshot, view.rows)
        .by(view.by())
        .metric(view.metric())
        .colour(is_colourful())
        .width(width());
    let top = if view.no_source {
        top.without_sources()
    } else {
        top
    };
    format!("{top}\n")
}

fn text_of_diff(new: &Snapshot, old: &Snapshot, view: &View) -> String {
    let diff = alloc_report::diff(new, old, view.rows)
        .by(view.by())
        .metric(view.metric())
        .colour(is_colourful())
        .width(width());
    let diff = if view.no_source {
        diff.without_sources()
    } else {
        diff
    };
    format!("{diff}\n")
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
