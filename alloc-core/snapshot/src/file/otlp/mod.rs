//! [`to_otlp`]: a profile as a request of OTLP, the protocol of OpenTelemetry.
//!
//! Specification: `opentelemetry/proto/profiles/v1development/profiles.proto`, version 1.11. It is not
//! stable.
//!
//! # Layout
//!
//! The tables of pprof become tables of the dictionary. pprof counts from 1 and the dictionary from 0, where
//! each table has an empty entry that stands for none: so the numbers stay as they are. A profile of OTLP has
//! one value for each sample, so there is one for each sample type. A sample without a value is left out.

mod answer;
mod field;

pub use answer::rejected;

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::io::{self, Read, Write};

use crate::error::Error;
use crate::file::proto::field as of_pprof;
use crate::file::read::unpack::unpack;
use crate::file::read::wire::{Fields, Value};
use crate::file::write::message::{Message, head};
use crate::file::write::pages::NoMemory;

/// The attribute of a mapping that has the build id.
const BUILD_ID: &str = "process.executable.build_id.gnu";

/// Writes a request of OTLP from a file of a profile. The resource has these attributes.
///
/// # Errors
///
/// [`Error::is_invalid_file`] if the profile is damaged, or if its ids do not count from 1 without gaps.
/// [`Error::is_io`] if it cannot be read, or the request cannot be written.
pub fn to_otlp(
    file: impl Read,
    resource: &[(&str, &str)],
    mut output: impl Write,
) -> Result<(), Error> {
    let unpacked = unpack(file)?;
    let mut strings = Vec::new();
    for field in Fields::of(&unpacked.profile) {
        if let (number, Value::Bytes(text)) = field?
            && known(number) == of_pprof::STRING
        {
            strings.push(text);
        }
    }
    let mut converted = Converted::new(strings)?;
    for field in Fields::of(&unpacked.profile) {
        let (number, value) = field?;
        converted.add(number, value)?;
    }
    converted.write(resource, &mut output)
}

/// What is converted up to now.
struct Converted<'a> {
    strings: Vec<&'a [u8]>,
    dictionary: Message,
    /// Each kind of value, as in pprof, and the samples that have it.
    profiles: Vec<(&'a [u8], Message)>,
    stacks: HashMap<&'a [u8], u64>,
    attributes: HashMap<Attribute, u64>,
    /// The numbers of the last mapping, location and function.
    last: [u64; 3],
    time: u64,
    duration: u64,
    period_type: Option<&'a [u8]>,
    period: u64,
    scratch: Scratch,
}

/// Reusable memory for messages in messages.
struct Scratch {
    outer: Message,
    inner: Message,
    innermost: Message,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Attribute {
    /// The number of a string, or of [`BUILD_ID`].
    key: u64,
    value: Content,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Content {
    /// The number of a string.
    Text(u64),
    Number(u64),
}

impl<'a> Converted<'a> {
    fn new(strings: Vec<&'a [u8]>) -> Result<Converted<'a>, NoMemory> {
        let mut dictionary = Message::new();
        use field::dictionary::*;
        for table in [MAPPING, LOCATION, FUNCTION, LINK, ATTRIBUTE, STACK] {
            dictionary.field(table, &[])?;
        }
        for text in &strings {
            dictionary.text(STRING, text)?;
        }
        // The first string after those of the profile.
        dictionary.text(STRING, BUILD_ID.as_bytes())?;
        Ok(Converted {
            strings,
            dictionary,
            profiles: Vec::new(),
            stacks: HashMap::new(),
            attributes: HashMap::new(),
            last: [0; 3],
            time: 0,
            duration: 0,
            period_type: None,
            period: 0,
            scratch: Scratch {
                outer: Message::new(),
                inner: Message::new(),
                innermost: Message::new(),
            },
        })
    }

    /// Converts a field of the profile. Sample types come before samples.
    fn add(&mut self, number: u64, value: Value<'a>) -> Result<(), Error> {
        match known(number) {
            // NOTE: this message, and that of a line, is the same in both.
            of_pprof::SAMPLE_TYPE => self.profiles.push((value.bytes()?, Message::new())),
            of_pprof::SAMPLE => self.sample(value.fields()?)?,
            of_pprof::MAPPING => self.mapping(value.fields()?)?,
            of_pprof::LOCATION => self.location(value.fields()?)?,
            of_pprof::FUNCTION => self.function(value.fields()?)?,
            of_pprof::TIME_NANOS => self.time = value.number()?,
            of_pprof::DURATION_NANOS => self.duration = value.number()?,
            of_pprof::PERIOD_TYPE => self.period_type = Some(value.bytes()?),
            of_pprof::PERIOD => self.period = value.number()?,
            _ => {}
        }
        Ok(())
    }

    fn sample(&mut self, fields: Fields<'a>) -> Result<(), Error> {
        let (mut stack, mut values): (&[u8], _) = (&[], Vec::new());
        let mut attributes = Vec::new();
        for field in fields {
            let (number, value) = field?;
            match known(number) {
                of_pprof::LOCATION_ID => stack = value.bytes()?,
                of_pprof::VALUE => {
                    for number in value.numbers() {
                        values.push(number?);
                    }
                }
                of_pprof::LABEL => attributes.push(self.label(value.fields()?)?),
                _ => {}
            }
        }
        if values.len() != self.profiles.len() {
            let (expected, found) = (self.profiles.len(), values.len());
            return Err(Error::invalid_file(format!(
                "found a sample of {found} values where there are {expected} types"
            )));
        }
        let stack = self.stack(stack)?;
        let Scratch { outer, inner, .. } = &mut self.scratch;
        for ((_, samples), value) in self.profiles.iter_mut().zip(values) {
            if value == 0 {
                continue;
            }
            outer.clear();
            outer.number(field::sample::STACK, stack)?;
            if !attributes.is_empty() {
                inner.clear();
                attributes.iter().try_for_each(|it| inner.varint(*it))?;
                outer.field(field::sample::ATTRIBUTES, inner.bytes())?;
            }
            inner.clear();
            inner.varint(value)?;
            outer.field(field::sample::VALUES, inner.bytes())?;
            samples.field(field::profile::SAMPLE, outer.bytes())?;
        }
        Ok(())
    }

    /// The number of a stack, of which these are the packed numbers of its locations.
    fn stack(&mut self, locations: &'a [u8]) -> Result<u64, NoMemory> {
        if locations.is_empty() {
            return Ok(0);
        }
        let next = self.stacks.len() as u64 + 1;
        let number = *self.stacks.entry(locations).or_insert(next);
        if number == next {
            let outer = &mut self.scratch.outer;
            outer.clear();
            outer.field(1, locations)?;
            self.dictionary
                .field(field::dictionary::STACK, outer.bytes())?;
        }
        Ok(number)
    }

    /// The number of the attribute that a label becomes.
    fn label(&mut self, fields: Fields<'a>) -> Result<u64, Error> {
        let [key, text, number, _] = numbers(fields)?;
        let value = match text {
            0 => Content::Number(number),
            _ => Content::Text(text),
        };
        self.attribute(Attribute { key, value })
    }

    fn attribute(&mut self, attribute: Attribute) -> Result<u64, Error> {
        let next = self.attributes.len() as u64 + 1;
        let number = *self.attributes.entry(attribute).or_insert(next);
        if number == next {
            let Scratch { outer, inner, .. } = &mut self.scratch;
            inner.clear();
            match attribute.value {
                Content::Text(text) => {
                    let text = self.strings.get(text as usize).copied();
                    inner.text(1, text.unwrap_or_default())?;
                }
                Content::Number(number) => inner.number(3, number)?,
            }
            outer.clear();
            outer.number(1, attribute.key)?;
            outer.field(2, inner.bytes())?;
            self.dictionary
                .field(field::dictionary::ATTRIBUTE, outer.bytes())?;
        }
        Ok(number)
    }

    fn mapping(&mut self, fields: Fields<'a>) -> Result<(), Error> {
        let [id, start, limit, offset, name, build_id] = numbers(fields)?;
        self.next(0, id)?;
        let attribute = match build_id {
            0 => None,
            build_id => Some(self.attribute(Attribute {
                key: self.strings.len() as u64,
                value: Content::Text(build_id),
            })?),
        };
        let Scratch { outer, inner, .. } = &mut self.scratch;
        outer.clear();
        for (number, value) in [(1, start), (2, limit), (3, offset), (4, name)] {
            outer.number(number, value)?;
        }
        if let Some(attribute) = attribute {
            inner.clear();
            inner.varint(attribute)?;
            outer.field(5, inner.bytes())?;
        }
        Ok(self
            .dictionary
            .field(field::dictionary::MAPPING, outer.bytes())?)
    }

    fn location(&mut self, fields: Fields<'a>) -> Result<(), Error> {
        let [id, mapping, address] = numbers(fields.clone())?;
        self.next(1, id)?;
        let outer = &mut self.scratch.outer;
        outer.clear();
        outer.number(1, mapping)?;
        outer.number(2, address)?;
        for field in fields {
            if let (number, Value::Bytes(line)) = field?
                && known(number) == of_pprof::LINE
            {
                outer.field(3, line)?;
            }
        }
        Ok(self
            .dictionary
            .field(field::dictionary::LOCATION, outer.bytes())?)
    }

    fn function(&mut self, fields: Fields<'a>) -> Result<(), Error> {
        let [id, name, system_name, file, line] = numbers(fields)?;
        self.next(2, id)?;
        let outer = &mut self.scratch.outer;
        outer.clear();
        for (number, value) in [(1, name), (2, system_name), (3, file), (4, line)] {
            outer.number(number, value)?;
        }
        Ok(self
            .dictionary
            .field(field::dictionary::FUNCTION, outer.bytes())?)
    }

    /// Checks that an id is the place of its entry.
    fn next(&mut self, table: usize, id: u64) -> Result<(), Error> {
        self.last[table] += 1;
        match self.last[table] {
            expected if expected == id => Ok(()),
            expected => Err(Error::invalid_file(format!(
                "found the id {id} where {expected} is next"
            ))),
        }
    }

    /// Writes the request.
    ///
    /// NOTE: the parts are not copied into each other, so that they are in memory once.
    fn write(self, resource: &[(&str, &str)], output: &mut impl Write) -> Result<(), Error> {
        let Scratch {
            mut outer,
            mut inner,
            mut innermost,
        } = self.scratch;
        // Of each profile, what is not a sample.
        let mut heads = Vec::with_capacity(self.profiles.len());
        for (kind, _) in &self.profiles {
            let mut head = Message::new();
            use field::profile::*;
            head.field(SAMPLE_TYPE, kind)?;
            head.fixed(TIME, self.time)?;
            head.number(DURATION, self.duration)?;
            if let Some(period_type) = self.period_type {
                head.field(PERIOD_TYPE, period_type)?;
            }
            head.number(PERIOD, self.period)?;
            // A receiver that gets the profile twice can tell.
            let random = [0, 1].map(|at| RandomState::new().hash_one(at).to_be_bytes());
            head.field(ID, random.as_flattened())?;
            heads.push(head);
        }
        let profiles = || {
            let pairs = heads.iter().zip(&self.profiles);
            pairs.map(|(head, (_, samples))| [head.bytes(), samples.bytes()])
        };

        outer.clear();
        outer.text(1, b"alloc-core")?;
        outer.text(2, env!("CARGO_PKG_VERSION").as_bytes())?;
        let mut scope = Message::new();
        scope.field(field::scope_profiles::SCOPE, outer.bytes())?;
        outer.clear();
        for (name, value) in resource {
            innermost.clear();
            innermost.text(1, value.as_bytes())?;
            inner.clear();
            inner.text(1, name.as_bytes())?;
            inner.field(2, innermost.bytes())?;
            outer.field(1, inner.bytes())?;
        }
        let mut of_resource = Message::new();
        of_resource.field(field::resource_profiles::RESOURCE, outer.bytes())?;

        let length = |profile: [&[u8]; 2]| profile[0].len() + profile[1].len();
        let with_head = |field, length| head(field, length).1 + length;
        let lengths = profiles().map(|it| with_head(field::scope_profiles::PROFILE, length(it)));
        let of_scope = scope.bytes().len() + lengths.sum::<usize>();
        let of_all = with_head(field::resource_profiles::SCOPE_PROFILES, of_scope);
        let of_all = of_resource.bytes().len() + of_all;

        begin(output, field::request::RESOURCE_PROFILES, of_all)?;
        output.write_all(of_resource.bytes())?;
        begin(output, field::resource_profiles::SCOPE_PROFILES, of_scope)?;
        output.write_all(scope.bytes())?;
        for profile in profiles() {
            begin(output, field::scope_profiles::PROFILE, length(profile))?;
            profile.iter().try_for_each(|it| output.write_all(it))?;
        }
        let dictionary = self.dictionary.bytes();
        begin(output, field::request::DICTIONARY, dictionary.len())?;
        Ok(output.write_all(dictionary)?)
    }
}

/// Writes what stands in front of a message of this length.
fn begin(output: &mut impl Write, field: u32, length: usize) -> io::Result<()> {
    let (bytes, of_head) = head(field, length);
    output.write_all(&bytes[..of_head])
}

/// The number of a field. One that is too large is unknown, as [`u32::MAX`] is.
fn known(field: u64) -> u32 {
    u32::try_from(field).unwrap_or(u32::MAX)
}

/// The numbers of a message's first fields, from the field 1. Zero if one is not there.
fn numbers<const COUNT: usize>(fields: Fields<'_>) -> Result<[u64; COUNT], Error> {
    let mut numbers = [0; COUNT];
    for field in fields {
        let (number, value) = field?;
        // NOTE: a field has a number from 1.
        let place = numbers.get_mut(known(number) as usize - 1);
        if let (Some(place), Value::Number(value)) = (place, value) {
            *place = value;
        }
    }
    Ok(numbers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_damaged_profile_is_an_error() {
        for (profile, found) in [
            // A sample of one value, and no sample type.
            (
                &[18, 3, 18, 1, 7][..],
                "a sample of 1 values where there are 0",
            ),
            // A location with the id 2.
            (&[34, 2, 8, 2], "the id 2 where 1 is next"),
            (&[34, 9], "cut off"),
        ] {
            let error = to_otlp(profile, &[], io::sink()).err().unwrap().to_string();
            assert!(error.contains(found), "{error}");
        }
    }
}
