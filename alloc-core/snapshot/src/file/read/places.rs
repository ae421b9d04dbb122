//! [`Places`]: the frames of each location of a profile.

use std::collections::HashMap;

use super::budget::Budget;
use super::index::{Counts, Strings, field};
use super::roots::Roots;
use super::wire::Fields;
use crate::error::Error;
use crate::stack::frame::{Frame, Function, Name, SourcePath};

/// The frames of all locations in a row, and the range of each location.
///
/// PERF: there are millions of lookups here, one for each location of each sample. With a hash map
/// they took a fifth of the load time.
pub(super) struct Places {
    frames: Vec<Frame>,
    locations: Vec<Place>,
}

/// The range of frames of a location.
#[derive(Clone, Copy)]
struct Place {
    id: u64,
    first: u32,
    frames: u32,
}

impl Places {
    pub(super) fn of(
        profile: &[u8],
        counts: &Counts,
        strings: &Strings<'_>,
        roots: &Roots<'_>,
        budget: &mut Budget,
    ) -> Result<Places, Error> {
        let each = size_of::<Frame>() + Frame::SIZE;
        budget.take(counts.locations, size_of::<Place>(), "locations")?;
        budget.take(counts.frames, each, "frames")?;
        let mut places = Places {
            frames: Vec::with_capacity(counts.frames),
            locations: Vec::with_capacity(counts.locations),
        };
        let mut functions = Functions::of(profile, counts, strings, roots, budget)?;
        for at in Fields::of(profile) {
            if let (field::LOCATION, location) = at? {
                places.add(location.fields()?, &mut functions, budget)?;
            }
        }
        places.locations.sort_unstable_by_key(|place| place.id);
        let ids = places.locations.iter().map(|place| place.id);
        refuse_twins(ids, "locations")?;
        Ok(places)
    }

    fn add(
        &mut self,
        location: Fields<'_>,
        functions: &mut Functions<'_, '_>,
        budget: &mut Budget,
    ) -> Result<(), Error> {
        let (mut id, mut address, mut lines) = (0, 0, 0_usize);
        for at in location.clone() {
            match at? {
                (1, it) => id = it.number()?,
                (3, it) => address = it.number()?,
                (field::LINE, _) => lines += 1,
                _ => {}
            }
        }
        let first = self.frames.len();
        for at in location {
            if let (field::LINE, line) = at? {
                let frame = functions.frame(line.fields()?, budget)?;
                let is_outermost = self.frames.len() + 1 == first + lines;
                self.frames.push(frame.at(address, !is_outermost));
            }
        }
        if lines == 0 {
            let name = format!("{address:#x}");
            budget.take(1, Function::SIZE + Name::SIZE + name.len(), "locations")?;
            let function = Function::new(Some(name.into()), None);
            let frame = Frame::within(function, 0, 0);
            self.frames.push(frame.at(address, false));
        }
        self.locations.push(Place {
            id,
            first: first as u32,
            frames: (self.frames.len() - first) as u32,
        });
        Ok(())
    }

    /// The frames of a location, innermost first.
    #[inline]
    pub(super) fn get(&self, id: u64) -> Result<&[Frame], Error> {
        // Most writers count from 1 without gaps.
        let expected = usize::try_from(id.wrapping_sub(1)).ok();
        let place = expected
            .and_then(|at| self.locations.get(at))
            .filter(|place| place.id == id)
            .or_else(|| {
                let at = self.locations.binary_search_by_key(&id, |place| place.id);
                self.locations.get(at.ok()?)
            });
        place
            .map(|place| &self.frames[place.first as usize..][..place.frames as usize])
            .ok_or_else(|| {
                Error::invalid_file(format!(
                    "found a sample at location {id}, which is not there"
                ))
            })
    }
}

/// The functions, each created when a line first refers to it, and their names and paths.
struct Functions<'a, 'b> {
    strings: &'b Strings<'a>,
    roots: &'b Roots<'a>,
    by_id: Vec<Entry>,
    names: HashMap<i64, Name>,
    paths: HashMap<i64, SourcePath>,
}

struct Entry {
    id: u64,
    name: i64,
    path: i64,
    made: Option<Function>,
}

/// How many times the size of an entry a growing `HashMap` takes up at most.
const GROWN: usize = 4;

impl<'a, 'b> Functions<'a, 'b> {
    fn of(
        profile: &[u8],
        counts: &Counts,
        strings: &'b Strings<'a>,
        roots: &'b Roots<'a>,
        budget: &mut Budget,
    ) -> Result<Functions<'a, 'b>, Error> {
        budget.take(counts.functions, size_of::<Entry>(), "functions")?;
        let mut by_id = Vec::with_capacity(counts.functions);
        for at in Fields::of(profile) {
            let (field::FUNCTION, function) = at? else {
                continue;
            };
            let (mut id, mut name, mut path) = (0, 0, 0);
            for at in function.fields()? {
                match at? {
                    (1, it) => id = it.number()?,
                    (2, it) => name = it.number()? as i64,
                    (4, it) => path = it.number()? as i64,
                    _ => {}
                }
            }
            by_id.push(Entry {
                id,
                name,
                path,
                made: None,
            });
        }
        by_id.sort_unstable_by_key(|function| function.id);
        refuse_twins(by_id.iter().map(|function| function.id), "functions")?;
        Ok(Functions {
            strings,
            roots,
            by_id,
            names: HashMap::new(),
            paths: HashMap::new(),
        })
    }

    /// The frame of a line.
    fn frame(&mut self, fields: Fields<'_>, budget: &mut Budget) -> Result<Frame, Error> {
        let (mut id, mut line, mut column) = (0, 0, 0);
        for at in fields {
            match at? {
                (1, it) => id = it.number()?,
                (2, it) => line = it.number()? as i64,
                (3, it) => column = it.number()? as i64,
                _ => {}
            }
        }
        let function = self.get(id, budget)?;
        Ok(Frame::within(
            function,
            line.try_into().unwrap_or(0),
            column.try_into().unwrap_or(0),
        ))
    }

    fn get(&mut self, id: u64, budget: &mut Budget) -> Result<Function, Error> {
        let expected = usize::try_from(id.wrapping_sub(1)).ok();
        let at = expected
            .filter(|&at| self.by_id.get(at).is_some_and(|it| it.id == id))
            .or_else(|| self.by_id.binary_search_by_key(&id, |it| it.id).ok())
            .ok_or_else(|| {
                Error::invalid_file(format!(
                    "found a location in function {id}, which is not there"
                ))
            })?;
        let Entry {
            name, path, made, ..
        } = &self.by_id[at];
        if let Some(made) = made {
            return Ok(made.clone());
        }
        let (name, path) = (*name, *path);
        budget.take(1, Function::SIZE, "functions")?;
        let function = Function::new(self.name(name, budget)?, self.path(path, budget)?);
        self.by_id[at].made = Some(function.clone());
        Ok(function)
    }

    fn name(&mut self, at: i64, budget: &mut Budget) -> Result<Option<Name>, Error> {
        if let Some(known) = self.names.get(&at) {
            return Ok(Some(known.clone()));
        }
        let text = self.strings.text(at)?;
        if text.is_empty() {
            return Ok(None);
        }
        let each = Name::SIZE + GROWN * size_of::<(i64, Name)>();
        budget.take(1, each + text.len(), "names")?;
        let name = Name::from(&*text);
        self.names.insert(at, name.clone());
        Ok(Some(name))
    }

    fn path(&mut self, at: i64, budget: &mut Budget) -> Result<Option<SourcePath>, Error> {
        if at == 0 {
            return Ok(None);
        }
        if let Some(known) = self.paths.get(&at) {
            return Ok(Some(known.clone()));
        }
        let text = self.strings.text(at)?;
        let each = SourcePath::SIZE + GROWN * size_of::<(i64, SourcePath)>();
        budget.take(1, each + text.len(), "paths")?;
        let path = SourcePath::new(&text, self.roots.around(&text).as_slice());
        self.paths.insert(at, path.clone());
        Ok(Some(path))
    }
}

/// Refuses sorted ids that contain a duplicate: it is ambiguous.
fn refuse_twins(mut ids: impl Iterator<Item = u64>, what: &str) -> Result<(), Error> {
    let mut last = None;
    match ids.find(|id| last.replace(*id) == Some(*id)) {
        None => Ok(()),
        Some(twin) => Err(Error::invalid_file(format!(
            "found two {what} with the id {twin}"
        ))),
    }
}
