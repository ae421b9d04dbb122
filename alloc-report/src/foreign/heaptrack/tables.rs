//! [`Tables`]: the strings, code locations and stacks of a recording.

use std::collections::HashMap;
use std::ops::Range;

use alloc_core_snapshot::{Error, Frame};

use super::Wrong;
use crate::foreign::budget::Budget;
use crate::foreign::frame;

#[derive(Default)]
pub(super) struct Tables {
    strings: Vec<Box<str>>,
    locations: Vec<Location>,
    /// The functions of all locations, one location after the other.
    functions: Vec<Function>,
    stacks: Vec<Stack>,
    frames: HashMap<Function, Frame>,
}

struct Location {
    address: u64,
    module: u32,
    functions: Range<u32>,
    /// Its frames, once they are needed.
    frames: Option<Box<[Frame]>>,
}

/// A function, its file, and a line.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Function {
    name: u32,
    file: u32,
    line: u32,
}

struct Stack {
    location: u32,
    parent: u32,
    /// The number of frames.
    depth: u32,
}

/// The fields of a line: numbers in hexadecimal.
pub(super) struct Fields<'a>(pub(super) &'a [u8]);

impl Fields<'_> {
    pub(super) fn number(&mut self) -> Result<u64, Wrong> {
        let rest = self.0.trim_ascii_start();
        let end = rest.iter().position(|it| *it == b' ').unwrap_or(rest.len());
        let (field, rest) = rest.split_at(end);
        self.0 = rest;
        let number = match field {
            [] => None,
            _ if field.len() > 16 => None,
            _ => field.iter().try_fold(0_u64, |number, digit| {
                let digit = (*digit as char).to_digit(16)?;
                Some(number << 4 | u64::from(digit))
            }),
        };
        number.ok_or_else(|| "no number in hexadecimal".to_owned())
    }

    /// A number of 32 bits, which all tables and lines fit in.
    fn short(&mut self) -> Result<u32, Wrong> {
        let number = self.number()?;
        let number = u32::try_from(number).ok();
        number.ok_or_else(|| "a number of more than 32 bits".to_owned())
    }

    fn is_at_end(&self) -> bool {
        self.0.trim_ascii_start().is_empty()
    }
}

impl Tables {
    pub(super) fn string(
        &mut self,
        rest: &[u8],
        version: u64,
        budget: &mut Budget,
    ) -> Result<Result<(), Wrong>, Error> {
        let mut text = rest;
        if version >= 3 {
            let mut fields = Fields(rest);
            let length = match fields.number() {
                Ok(length) => length,
                Err(wrong) => return Ok(Err(wrong)),
            };
            text = fields.0.strip_prefix(b" ").unwrap_or(fields.0);
            if text.len() as u64 != length {
                let found = format!("a string of {} bytes instead of {length}", text.len());
                return Ok(Err(found));
            }
        }
        // A replacement character takes three bytes for each invalid byte.
        budget.take(
            1,
            3 * size_of::<Box<str>>() + 16 + 3 * text.len(),
            "strings",
        )?;
        self.strings.push(String::from_utf8_lossy(text).into());
        Ok(Ok(()))
    }

    pub(super) fn location(
        &mut self,
        mut fields: Fields<'_>,
        budget: &mut Budget,
    ) -> Result<Result<(), Wrong>, Error> {
        let start = self.functions.len() as u32;
        let mut parse = || -> Result<Result<Location, Wrong>, Error> {
            let head = fields.number().and_then(|it| Ok((it, fields.short()?)));
            let (address, module) = match head {
                Ok(head) => head,
                Err(wrong) => return Ok(Err(wrong)),
            };
            while !fields.is_at_end() {
                budget.take(1, 3 * size_of::<Function>(), "code locations")?;
                let name = fields.short();
                // NOTE: a function without debug information has no file and line.
                let place = match fields.is_at_end() {
                    true => Ok((0, 0)),
                    false => fields.short().and_then(|it| Ok((it, fields.short()?))),
                };
                match (name, place) {
                    (Ok(name), Ok((file, line))) => {
                        self.functions.push(Function { name, file, line });
                    }
                    (Err(wrong), _) | (_, Err(wrong)) => return Ok(Err(wrong)),
                }
            }
            Ok(Ok(Location {
                address,
                module,
                functions: start..self.functions.len() as u32,
                frames: None,
            }))
        };
        let location = match parse()? {
            Ok(location) => location,
            Err(wrong) => return Ok(Err(wrong)),
        };
        let functions = &self.functions[start as usize..];
        let mut strings = functions.iter().flat_map(|it| [it.name, it.file]);
        if strings.any(|it| it as usize > self.strings.len())
            || location.module as usize > self.strings.len()
        {
            return Ok(Err("a string that is not there".to_owned()));
        }
        budget.take(1, 3 * size_of::<Location>(), "code locations")?;
        self.locations.push(location);
        Ok(Ok(()))
    }

    pub(super) fn stack(
        &mut self,
        mut fields: Fields<'_>,
        budget: &mut Budget,
    ) -> Result<Result<(), Wrong>, Error> {
        let stack = match fields.short().and_then(|it| Ok((it, fields.short()?))) {
            Ok(stack) => stack,
            Err(wrong) => return Ok(Err(wrong)),
        };
        let (location, parent) = stack;
        let Some(at) = at(&self.locations, location) else {
            return Ok(Err("a code location that is not there".to_owned()));
        };
        // NOTE: a stack that is there is an earlier one, so stacks do not form circles.
        let outer = match parent {
            0 => 0,
            parent => match self::at(&self.stacks, parent) {
                Some(parent) => parent.depth,
                None => return Ok(Err("a stack that is not there".to_owned())),
            },
        };
        budget.take(1, 3 * size_of::<Stack>(), "stacks")?;
        let own = (at.functions.len() as u32).max(1);
        self.stacks.push(Stack {
            location,
            parent,
            depth: outer.saturating_add(own),
        });
        Ok(Ok(()))
    }

    /// The size and the stack of a kind of block.
    pub(super) fn block(&self, fields: &mut Fields<'_>) -> Result<(u64, u32), Wrong> {
        let (size, stack) = (fields.number()?, fields.short()?);
        match stack as usize <= self.stacks.len() {
            true => Ok((size, stack)),
            false => Err("a stack that is not there".to_owned()),
        }
    }

    /// The number of frames of a stack.
    pub(super) fn depth(&self, stack: u32) -> usize {
        at(&self.stacks, stack).map_or(0, |it| it.depth as usize)
    }

    /// The frames of a stack of this depth, innermost first.
    pub(super) fn frames(
        &mut self,
        stack: u32,
        depth: usize,
        budget: &mut Budget,
    ) -> Result<Vec<Frame>, Error> {
        let mut frames = Vec::with_capacity(depth);
        let mut next = stack;
        while let Some(&Stack {
            location, parent, ..
        }) = at(&self.stacks, next)
        {
            self.add_frames(location, &mut frames, budget)?;
            next = parent;
        }
        Ok(frames)
    }

    fn add_frames(
        &mut self,
        number: u32,
        frames: &mut Vec<Frame>,
        budget: &mut Budget,
    ) -> Result<(), Error> {
        // PERF: a lookup by function for each frame of each stack takes most of the time.
        let known = at(&self.locations, number).and_then(|it| it.frames.as_ref());
        if let Some(known) = known {
            frames.extend_from_slice(known);
            return Ok(());
        }
        let own = self.frames_at(number, budget)?;
        frames.extend_from_slice(&own);
        let location = (number as usize).checked_sub(1);
        if let Some(location) = location.and_then(|it| self.locations.get_mut(it)) {
            location.frames = Some(own.into());
        }
        Ok(())
    }

    /// The frames of a code location, innermost first.
    fn frames_at(&mut self, number: u32, budget: &mut Budget) -> Result<Vec<Frame>, Error> {
        let Some(location) = at(&self.locations, number) else {
            return Ok(Vec::new());
        };
        let functions = location.functions.start as usize..location.functions.end as usize;
        budget.take(functions.len().max(1), 3 * size_of::<Frame>(), "frames")?;
        let text = |number| at(&self.strings, number).map_or("", |it| &**it);
        let functions = &self.functions[functions];
        let mut frames = Vec::with_capacity(functions.len().max(1));
        let is_nameless = functions.first().is_none_or(|it| it.name == 0);
        if is_nameless {
            let address = format!("{:#x}", location.address);
            frames.push(frame::nameless(text(location.module), &address, budget)?);
        }
        for function in &functions[usize::from(is_nameless).min(functions.len())..] {
            let frame = match self.frames.get(function) {
                Some(known) => known.clone(),
                None => {
                    let (name, file) = (text(function.name), text(function.file));
                    let frame = frame::frame(name, file, (function.line, 0), budget)?;
                    self.frames.insert(*function, frame.clone());
                    frame
                }
            };
            frames.push(frame);
        }
        Ok(frames)
    }
}

/// The row with a number from 1.
fn at<T>(table: &[T], number: u32) -> Option<&T> {
    table.get((number as usize).checked_sub(1)?)
}
