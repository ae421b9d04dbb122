//! [`Counts`] and [`Strings`]: the number of each kind of message in a profile, and its strings.

use std::borrow::Cow;

use super::budget::Budget;
use super::wire::Fields;
use crate::error::Error;

/// The numbers of the fields of a profile that are read.
pub(super) mod field {
    pub(in crate::file) const SAMPLE_TYPE: u64 = 1;
    pub(in crate::file) const SAMPLE: u64 = 2;
    pub(in crate::file) const MAPPING: u64 = 3;
    pub(in crate::file) const LOCATION: u64 = 4;
    pub(in crate::file) const FUNCTION: u64 = 5;
    pub(in crate::file) const STRING: u64 = 6;
    pub(in crate::file) const TIME_NANOS: u64 = 9;
    pub(in crate::file) const DURATION_NANOS: u64 = 10;
    pub(in crate::file) const EXTENSION: u64 = 7100;
    /// Of a location.
    pub(in crate::file) const LINE: u64 = 4;
    /// Of the extension.
    pub(in crate::file) const COMMAND_LINE: u64 = 7;
    pub(in crate::file) const ROOT: u64 = 8;
    pub(in crate::file) const METADATA: u64 = 10;
}

/// How many messages of each kind a profile has, so that tables are allocated at their final size.
#[derive(Default)]
pub(super) struct Counts {
    pub(super) sample_types: usize,
    pub(super) samples: usize,
    pub(super) mappings: usize,
    pub(super) locations: usize,
    /// The frames of all locations: one each, or one for each inlined function.
    pub(super) frames: usize,
    pub(super) functions: usize,
    pub(super) strings: usize,
    pub(super) extensions: usize,
    pub(super) arguments: usize,
    pub(super) roots: usize,
    pub(super) metadata: usize,
}

impl Counts {
    pub(super) fn of(profile: &[u8]) -> Result<Counts, Error> {
        let mut counts = Counts::default();
        for at in Fields::of(profile) {
            match at? {
                (field::SAMPLE_TYPE, _) => counts.sample_types += 1,
                (field::SAMPLE, _) => counts.samples += 1,
                (field::MAPPING, _) => counts.mappings += 1,
                (field::LOCATION, location) => {
                    counts.locations += 1;
                    let mut lines = 0;
                    for at in location.fields()? {
                        lines += usize::from(at?.0 == field::LINE);
                    }
                    counts.frames += lines.max(1);
                }
                (field::FUNCTION, _) => counts.functions += 1,
                (field::STRING, _) => counts.strings += 1,
                (field::EXTENSION, extension) => {
                    counts.extensions += 1;
                    for at in extension.fields()? {
                        match at?.0 {
                            field::COMMAND_LINE => counts.arguments += 1,
                            field::ROOT => counts.roots += 1,
                            field::METADATA => counts.metadata += 1,
                            _ => {}
                        }
                    }
                }
                _ => {}
            }
        }
        Ok(counts)
    }
}

/// The table of strings, which other messages refer to by number.
///
/// Invalid UTF-8 is read as in pprof: each invalid byte becomes a replacement character.
pub(super) struct Strings<'a>(Vec<&'a [u8]>);

impl<'a> Strings<'a> {
    pub(super) fn of(
        profile: &'a [u8],
        counts: &Counts,
        budget: &mut Budget,
    ) -> Result<Strings<'a>, Error> {
        budget.take(counts.strings, size_of::<&[u8]>(), "strings")?;
        let mut strings = Vec::with_capacity(counts.strings);
        for at in Fields::of(profile) {
            if let (field::STRING, string) = at? {
                strings.push(string.bytes()?);
            }
        }
        Ok(Strings(strings))
    }

    pub(super) fn bytes(&self, at: i64) -> Result<&'a [u8], Error> {
        let string = usize::try_from(at).ok().and_then(|at| self.0.get(at));
        string.copied().ok_or_else(|| {
            Error::invalid_file(format!(
                "found a reference to string {at}, which is not there"
            ))
        })
    }

    /// NOTE: reads the whole string. Where many messages can refer to one string, the caller caches
    /// the result or charges the budget for each use.
    pub(super) fn text(&self, at: i64) -> Result<Cow<'a, str>, Error> {
        self.bytes(at).map(String::from_utf8_lossy)
    }
}
