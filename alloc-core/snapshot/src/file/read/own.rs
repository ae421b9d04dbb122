//! [`Own`]: the content of our own files that the format has no field for.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Duration;

use super::budget::Budget;
use super::index::{Counts, field};
use super::roots::Roots;
use super::wire::{Fields, Value};
use crate::error::Error;
use crate::file::FORMAT;
use crate::recorded::Recorded;
use crate::sampling::Interval;
use crate::snapshot::Run;
use crate::{Bytes, Health, Residence, TracedMemory};

/// The extension of a profile. See [`proto::Extension`](crate::file::proto::Extension) for its
/// fields.
#[derive(Default)]
pub(super) struct Own<'a> {
    /// The fields that are single numbers.
    numbers: Numbers,
    program: &'a [u8],
    pub(super) command_line: Vec<String>,
    roots: Vec<Cow<'a, str>>,
    pub(super) metadata: BTreeMap<String, String>,
}

/// Single numbers, by their fields.
struct Numbers([u64; NUMBERS]);

/// The highest field number plus one.
const NUMBERS: usize = 35;

impl Default for Numbers {
    fn default() -> Numbers {
        Numbers([0; NUMBERS])
    }
}

/// The most that an entry of a `BTreeMap` takes up, without its strings: nodes are at least half
/// full.
const ENTRY: usize = 3 * size_of::<(String, String)>();

impl<'a> Own<'a> {
    /// Reads the extension of our own file; `None` for a file of another writer.
    ///
    /// If the field occurs more than once, its parts are joined, as the format requires.
    pub(super) fn of(
        profile: &'a [u8],
        counts: &Counts,
        budget: &mut Budget,
    ) -> Result<Option<Own<'a>>, Error> {
        if counts.extensions == 0 {
            return Ok(None);
        }
        budget.take(counts.arguments, size_of::<String>(), "command line")?;
        budget.take(
            counts.roots,
            size_of::<Cow<'_, str>>() + Roots::EACH,
            "roots",
        )?;
        let mut own = Own {
            command_line: Vec::with_capacity(counts.arguments),
            roots: Vec::with_capacity(counts.roots),
            ..Own::default()
        };
        for at in Fields::of(profile) {
            if let (field::EXTENSION, extension) = at? {
                own.add(extension.fields()?, budget)?;
            }
        }
        let format = own.number(22);
        if format > u64::from(FORMAT) {
            return Err(Error::invalid_file(format!(
                "found a snapshot of format {format}, of a later alloc-core: this one reads up to {FORMAT}"
            )));
        }
        Ok(Some(own))
    }

    fn add(&mut self, fields: Fields<'a>, budget: &mut Budget) -> Result<(), Error> {
        for at in fields {
            match at? {
                (6, program) => self.program = program.bytes()?,
                (field::COMMAND_LINE, argument) => {
                    let argument = text(argument)?;
                    budget.take(argument.len(), 1, "command line")?;
                    self.command_line.push(argument.into_owned());
                }
                (field::ROOT, root) => {
                    let root = text(root)?;
                    budget.take(root.len(), 1, "roots")?;
                    self.roots.push(root);
                }
                (field::METADATA, entry) => {
                    let (key, value) = self.entry(entry.fields()?)?;
                    budget.take(ENTRY + key.len() + value.len(), 1, "metadata")?;
                    self.metadata.insert(key.into_owned(), value.into_owned());
                }
                (number, Value::Number(value)) => {
                    let place = usize::try_from(number).ok();
                    if let Some(place) = place.and_then(|at| self.numbers.0.get_mut(at)) {
                        *place = value;
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn entry(&self, fields: Fields<'a>) -> Result<(Cow<'a, str>, Cow<'a, str>), Error> {
        let (mut key, mut value) = (Value::Bytes(&[]), Value::Bytes(&[]));
        for at in fields {
            match at? {
                (1, text) => key = text,
                (2, text) => value = text,
                _ => {}
            }
        }
        Ok((text(key)?, text(value)?))
    }

    fn number(&self, field: usize) -> u64 {
        self.numbers.0[field]
    }

    /// Whether locations without lines are addresses without names.
    pub(super) fn is_unnamed(&self) -> bool {
        self.number(23) != 0
    }

    pub(super) fn program(&self) -> String {
        String::from_utf8_lossy(self.program).into_owned()
    }

    pub(super) fn process_id(&self) -> u32 {
        self.number(5) as u32
    }

    pub(super) fn is_at_exit(&self) -> bool {
        self.number(12) != 0
    }

    /// When the process began, and how long it had run; zeros if that is unknown.
    pub(super) fn run(&self) -> Run {
        Run {
            began: Duration::from_nanos(self.number(33)),
            uptime: Duration::from_nanos(self.number(34)),
        }
    }

    /// Whether ages are those of each callsite's mean.
    pub(super) fn has_mean_ages(&self) -> bool {
        self.number(24) != 0
    }

    pub(super) fn filtered_out(&self) -> u64 {
        self.number(11)
    }

    /// Takes out the folders that short paths are relative to.
    pub(super) fn take_roots(&mut self) -> Roots<'a> {
        Roots::of(std::mem::take(&mut self.roots).into_iter())
    }

    pub(super) fn recorded(&self) -> Recorded {
        Recorded {
            heap: TracedMemory {
                current: self.number(1).into(),
                peak: self.number(2).into(),
                peak_error: self.number(3).into(),
                sampled: self.number(9) != 0,
            },
            traceback_limit: self.number(4).try_into().unwrap_or(u16::MAX),
            health: Health {
                truncated_stacks: self.number(16),
                broken_stacks: self.number(17),
                overflowed: self.number(18),
                skipped: self.number(19),
                unknown_frees: self.number(20),
                lost_blocks: self.number(21),
            },
            sampling: Interval::from_bytes(self.number(9)),
            residence: self.residence(),
            ..Recorded::default()
        }
    }

    /// Where the resident memory goes. NOTE: a process has resident memory.
    fn residence(&self) -> Option<Residence> {
        let [resident, live, between, free, tracer, files, other, sparse] =
            std::array::from_fn(|at| Bytes::new(self.number(25 + at)));
        (resident > 0).then_some(Residence {
            resident,
            live,
            between,
            free,
            tracer,
            files,
            other,
            sparse,
        })
    }
}

fn text(value: Value<'_>) -> Result<Cow<'_, str>, Error> {
    value.bytes().map(String::from_utf8_lossy)
}
