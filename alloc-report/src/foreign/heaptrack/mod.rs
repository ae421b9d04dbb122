//! heaptrack's data, as `heaptrack_interpret` writes it while a program runs: file versions 1 to 3.
//!
//! Each line is a letter and numbers in hexadecimal. Strings, code locations and stacks are tables
//! whose rows come in order and are numbered from 1; 0 stands for none.
//!
//! | line | meaning |
//! | --- | --- |
//! | `v VERSION FILE_VERSION` | the first line |
//! | `x PATH`, `X ARGUMENTS` | the program and its command line |
//! | `s [LENGTH] TEXT` | a string; with its length since version 3 |
//! | `i ADDRESS MODULE [FUNCTION [FILE LINE]...]` | a code location; the innermost function first |
//! | `t LOCATION PARENT` | a stack: the innermost location, and the stack of its caller |
//! | `a SIZE STACK` | a kind of block, numbered from 0 |
//! | `+ KIND`, `- KIND` | a block was allocated, or freed |
//! | `c`, `R`, `I`, `S`, `#` | time, resident memory, the system, a suppression, a comment |
//! | `A` | heaptrack was attached to a running program |
//!
//! So a file has every event, and all metrics are counted here. A reallocation is a free and an
//! allocation. What heaptrack filters or suppresses when it prints is not left out.
//!
//! Lines are read one at a time: only tables take up memory. A stack refers to an earlier one, so
//! none is its own caller.

mod counts;
mod tables;

use alloc_core_snapshot::seam::snapshot::About;
use alloc_core_snapshot::{Error, Snapshot, Trace};

use super::budget::Budget;
use super::contents::{self, Contents};
use super::lines::Lines;
use super::packed::Whole;
use counts::Counts;
use tables::{Fields, Tables};

pub(super) const EXPECTED: &str = "the data of heaptrack, of file version 1 to 3";

/// Whether a file starts with heaptrack's first line.
pub(super) fn is_start(start: &[u8]) -> bool {
    let line = start.split(|it| *it == b'\n').next().unwrap_or_default();
    let Some(versions) = line.strip_prefix(b"v ") else {
        return false;
    };
    line.len() <= 64
        && versions
            .iter()
            .all(|it| it.is_ascii_hexdigit() || matches!(it, b' ' | b'\r'))
}

pub(super) fn read(file: &Whole) -> Result<Snapshot, Error> {
    let mut budget = Budget::of(file.size(), EXPECTED);
    let mut lines = Lines::of(file.reader(), EXPECTED);
    let mut recording = Recording::default();
    while lines.advance()? {
        let line = lines.line();
        let Some((&kind, rest)) = line.split_first() else {
            continue;
        };
        let added = recording.add(kind, rest.trim_ascii_start(), &mut budget)?;
        added.map_err(|found| lines.error(&found))?;
    }
    recording.snapshot(&mut budget)
}

#[derive(Default)]
struct Recording {
    version: u64,
    tables: Tables,
    counts: Counts,
    about: About,
    /// Whether heaptrack was attached to a running program.
    is_attached: bool,
}

/// What is wrong with a line.
type Wrong = String;

impl Recording {
    /// Adds a line. The inner error is about the line.
    fn add(
        &mut self,
        kind: u8,
        rest: &[u8],
        budget: &mut Budget,
    ) -> Result<Result<(), Wrong>, Error> {
        let mut fields = Fields(rest);
        let event = |fields: &mut Fields<'_>| fields.number();
        Ok(match kind {
            b'+' => event(&mut fields).and_then(|kind| self.counts.allocate(kind)),
            b'-' => event(&mut fields).and_then(|kind| self.counts.free(kind)),
            b's' => return self.tables.string(rest, self.version, budget),
            b'i' => return self.tables.location(fields, budget),
            b't' => return self.tables.stack(fields, budget),
            b'a' => {
                let block = self.tables.block(&mut fields);
                return block.map_or_else(
                    |wrong| Ok(Err(wrong)),
                    |(size, stack)| self.counts.add_kind(size, stack, budget).map(Ok),
                );
            }
            b'v' => self.set_version(fields),
            b'x' => {
                self.about.program = String::from_utf8_lossy(rest).into_owned();
                Ok(())
            }
            b'X' => {
                let words = String::from_utf8_lossy(rest);
                let words = words.split_whitespace().map(str::to_owned);
                self.about.command_line = words.collect();
                Ok(())
            }
            b'A' => {
                self.is_attached = true;
                Ok(())
            }
            b'm' => {
                Err("a raw recording (heaptrack_interpret makes one that is read here)".to_owned())
            }
            b'c' | b'R' | b'I' | b'S' | b'#' => Ok(()),
            _ => Err("an unknown kind of line".to_owned()),
        })
    }

    fn set_version(&mut self, mut fields: Fields<'_>) -> Result<(), Wrong> {
        let tool = fields.number()?;
        self.version = match fields.number() {
            Ok(version) => version,
            // NOTE: before heaptrack 1.0.0, this was its version and that of the file.
            Err(_) if tool == 0x1_0200 => 1,
            Err(_) => 0,
        };
        match self.version {
            1..=3 => Ok(()),
            other => Err(format!("file version {other}")),
        }
    }

    fn snapshot(self, budget: &mut Budget) -> Result<Snapshot, Error> {
        let Recording {
            mut tables,
            counts,
            mut about,
            is_attached,
            ..
        } = self;
        let mut traces = Vec::new();
        for (stack, counters) in counts.finish() {
            let depth = tables.depth(stack);
            contents::take_trace(budget, depth)?;
            let frames = tables.frames(stack, depth, budget)?;
            traces.push(Trace::new(contents::traceback(frames), counters));
        }
        if about.program.is_empty() {
            about.program = about.command_line.first().cloned().unwrap_or_default();
        }
        about.is_at_exit = !is_attached;
        let contents = Contents {
            traces,
            about,
            sampling: None,
        };
        contents.snapshot(EXPECTED)
    }
}
