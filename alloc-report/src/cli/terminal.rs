//! Standard output and standard error: width, colour, and printing.

use std::io::{self, IsTerminal as _, Write as _};

use anstream::{AutoStream, ColorChoice};
use anyhow::{Context as _, Result};

/// The width of a terminal that does not report one, such as a serial line.
const UNKNOWN_WIDTH: usize = 80;

/// A stream to print to.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Stream {
    Output,
    Error,
}

impl Stream {
    /// Whether to print colours: on a terminal unless `NO_COLOR` is set, elsewhere only with
    /// `CLICOLOR_FORCE`.
    pub(crate) fn is_colourful(self) -> bool {
        let choice = match self {
            Stream::Output => AutoStream::choice(&io::stdout()),
            Stream::Error => AutoStream::choice(&io::stderr()),
        };
        choice != ColorChoice::Never
    }

    /// The width of the terminal in columns. A file or a pipe has no limit.
    pub(crate) fn width(self) -> usize {
        let (size, is_terminal) = match self {
            Stream::Output => {
                let stream = io::stdout();
                (
                    terminal_size::terminal_size_of(&stream),
                    stream.is_terminal(),
                )
            }
            Stream::Error => {
                let stream = io::stderr();
                (
                    terminal_size::terminal_size_of(&stream),
                    stream.is_terminal(),
                )
            }
        };
        match size {
            Some((terminal_size::Width(columns), _)) => columns.into(),
            None if is_terminal => columns().unwrap_or(UNKNOWN_WIDTH),
            None => usize::MAX,
        }
    }
}

/// The width that the environment names, for a terminal that does not report one.
fn columns() -> Option<usize> {
    std::env::var("COLUMNS")
        .ok()?
        .parse()
        .ok()
        .filter(|it| *it > 0)
}

/// Prints to standard output. A reader such as `head` may close the pipe early: that is no error.
pub(crate) fn print(text: &str) -> Result<()> {
    let mut stdout = anstream::stdout().lock();
    finished(
        stdout
            .write_all(text.as_bytes())
            .and_then(|()| stdout.flush()),
    )
}

/// Prints bytes as they are, like [`print`].
pub(crate) fn print_bytes(bytes: &[u8]) -> Result<()> {
    let mut stdout = io::stdout().lock();
    finished(stdout.write_all(bytes).and_then(|()| stdout.flush()))
}

fn finished(written: io::Result<()>) -> Result<()> {
    match written {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written.context("cannot write to standard output"),
    }
}
