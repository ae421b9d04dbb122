//! Details of a callsite that our own fields hold: how long its blocks lived, and who freed them.

use super::{RawFile, Text};
use crate::Amount;
use crate::file::proto::field;
use crate::file::write::pages::{NoMemory, Zeroed};

/// Numbers of blocks by age, in each bucket of time and of bytes.
#[derive(Clone, Copy, Debug)]
pub struct Lifetimes<'a> {
    /// The length of a unit of time, in picoseconds.
    pub unit: u64,
    /// Blocks that were freed.
    pub freed: (&'a [u64], &'a [u64]),
    /// Blocks that live.
    pub live: (&'a [u64], &'a [u64]),
}

/// What was freed of a callsite by one label or thread.
#[derive(Clone, Copy, Debug)]
pub struct Freed {
    /// The path of the label, from [`RawFile::text`]; the empty one for none.
    pub label: Text,
    /// The name of the thread, from [`RawFile::text`]; the empty one if it is not known.
    pub thread: Text,
    /// What was freed.
    pub amount: Amount,
}

// SAFETY: integers, for which zero is a valid value.
unsafe impl Zeroed for Freed {}

impl RawFile {
    /// Adds lifetimes to the sample under construction.
    pub(super) fn lifetimes(&mut self, lifetimes: Lifetimes<'_>) -> Result<(), NoMemory> {
        let Lifetimes { unit, freed, live } = lifetimes;
        self.inner.clear();
        self.inner.varint((field::UNIT << 3).into())?;
        self.inner.varint(unit)?;
        let buckets = [freed.0, freed.1, live.0, live.1];
        for (field, buckets) in field::BUCKETS.into_iter().zip(buckets) {
            self.innermost.clear();
            for (at, &blocks) in (0..).zip(buckets).filter(|(_, blocks)| **blocks > 0) {
                self.innermost.varint(at)?;
                self.innermost.varint(blocks)?;
            }
            self.inner.field(field, self.innermost.bytes())?;
        }
        self.message.field(field::LIFETIMES, self.inner.bytes())
    }

    /// Adds who freed to the sample under construction.
    pub(super) fn freed_by(&mut self, freed_by: &[Freed]) -> Result<(), NoMemory> {
        self.innermost.clear();
        for freed in freed_by {
            self.innermost.varint(freed.label.number() as u64)?;
            self.innermost.varint(freed.thread.number() as u64)?;
            self.innermost.varint(freed.amount.bytes.get())?;
            self.innermost.varint(freed.amount.blocks)?;
        }
        self.inner.clear();
        self.inner.field(field::NUMBERS, self.innermost.bytes())?;
        self.message.field(field::FREED_BY, self.inner.bytes())
    }
}
