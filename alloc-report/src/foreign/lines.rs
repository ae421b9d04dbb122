//! [`Lines`]: the lines of a text, one at a time.

use std::io::{BufRead, BufReader, Read};

use alloc_core_snapshot::Error;

use super::packed::damaged;

/// The lines of a text in memory, which may be packed. So an error of its reader is damage.
pub(super) struct Lines<R> {
    reader: BufReader<R>,
    line: Vec<u8>,
    number: u64,
    expected: &'static str,
}

impl<R: Read> Lines<R> {
    /// The longest line. Names with a mebibyte of template arguments do not exist.
    const LONGEST: usize = 1 << 20;

    /// Errors say what was `expected`.
    pub(super) fn of(reader: R, expected: &'static str) -> Lines<R> {
        Lines {
            reader: BufReader::with_capacity(1 << 16, reader),
            line: Vec::new(),
            number: 0,
            expected,
        }
    }

    /// Moves to the next line. Returns whether there is one.
    pub(super) fn advance(&mut self) -> Result<bool, Error> {
        self.line.clear();
        self.number += 1;
        let mut line = self.reader.by_ref().take(Self::LONGEST as u64 + 1);
        let read = line.read_until(b'\n', &mut self.line);
        read.map_err(|error| damaged(&error, self.expected))?;
        if self.line.is_empty() {
            return Ok(false);
        }
        if self.line.last() == Some(&b'\n') {
            self.line.pop();
        } else if self.line.len() > Self::LONGEST {
            let found = format!("found line {} of more than 1 MiB", self.number);
            return Err(Error::unexpected(self.expected, found));
        }
        if self.line.last() == Some(&b'\r') {
            self.line.pop();
        }
        Ok(true)
    }

    /// The current line, without its end.
    pub(super) fn line(&self) -> &[u8] {
        &self.line
    }

    /// An error about the current line.
    pub(super) fn error(&self, found: &str) -> Error {
        let start = String::from_utf8_lossy(&self.line[..self.line.len().min(60)]);
        let number = self.number;
        Error::unexpected(
            self.expected,
            format!("found {found} in line {number}: {start:?}"),
        )
    }
}
