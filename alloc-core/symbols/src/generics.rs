//! [`Generics`]: reads a function's generic arguments from its entry in the debug information.

use gimli::{AttributeValue, Dwarf, UnitHeader, UnitOffset, UnitRef};

use crate::sections::Slice;

/// Finds names of functions with generic arguments: `new<demo::Node>`.
///
/// The linker's name, which [`addr2line`] reads, has placeholders instead: `Box<T>::new`.
pub(crate) struct Generics<'a> {
    /// The units of the file, sorted by offset. Read when a function first refers to another unit.
    headers: Option<Vec<UnitHeader<Slice<'a>>>>,
    /// The last unit that another one referred to.
    last: Option<gimli::Unit<Slice<'a>>>,
}

/// How many references are followed from a function's code to its name: the inlined call, the
/// abstract entry and the declaration, with one to spare.
const MOST_REFERENCES: usize = 4;

impl<'a> Generics<'a> {
    pub(crate) fn new() -> Generics<'a> {
        Generics {
            headers: None,
            last: None,
        }
    }

    /// Returns the name of the function at an entry with its generic arguments, or `None` if it has
    /// none.
    pub(crate) fn name(
        &mut self,
        unit: UnitRef<'_, Slice<'a>>,
        entry: UnitOffset<usize>,
    ) -> Option<Box<str>> {
        let mut referred = self.look(unit, entry)?;
        for _ in 0..MOST_REFERENCES {
            let (offset, is_elsewhere) = match referred {
                Found::Name(name) => return name,
                Found::InUnit(offset) => (offset, false),
                Found::InFile(offset) => (self.enter(unit.dwarf, offset)?, true),
            };
            referred = match (is_elsewhere, self.last.take()) {
                (true, Some(other)) => {
                    let found = self.look(UnitRef::new(unit.dwarf, &other), offset);
                    self.last = Some(other);
                    // The next reference is relative to that unit.
                    match found? {
                        Found::InUnit(offset) => {
                            let unit = self.last.as_ref()?;
                            Found::InFile(offset.to_debug_info_offset(&unit.header)?)
                        }
                        found => found,
                    }
                }
                (_, last) => {
                    self.last = last;
                    self.look(unit, offset)?
                }
            };
        }
        None
    }

    fn look(&self, unit: UnitRef<'_, Slice<'a>>, offset: UnitOffset<usize>) -> Option<Found> {
        let entry = unit.entry(offset).ok()?;
        if let Some(name) = entry.attr_value(gimli::DW_AT_name) {
            let name = unit.attr_string(name).ok()?;
            let name = std::str::from_utf8(name.slice()).ok();
            let generic = name.filter(|it| it.ends_with('>') && it.contains('<'));
            return Some(Found::Name(generic.map(Box::from)));
        }
        let reference = [gimli::DW_AT_abstract_origin, gimli::DW_AT_specification]
            .into_iter()
            .find_map(|it| entry.attr_value(it))?;
        match reference {
            AttributeValue::UnitRef(offset) => Some(Found::InUnit(offset)),
            AttributeValue::DebugInfoRef(offset) => Some(Found::InFile(offset)),
            _ => None,
        }
    }

    /// Loads the unit at a file offset into `last`, and returns the offset within it.
    fn enter(
        &mut self,
        dwarf: &Dwarf<Slice<'a>>,
        offset: gimli::DebugInfoOffset<usize>,
    ) -> Option<UnitOffset<usize>> {
        if let Some(last) = &self.last
            && let Some(offset) = offset.to_unit_offset(&last.header)
        {
            return Some(offset);
        }
        let headers = self.headers.get_or_insert_with(|| {
            let mut headers = Vec::new();
            let mut units = dwarf.units();
            while let Ok(Some(header)) = units.next() {
                headers.push(header);
            }
            headers
        });
        let start = |header: &UnitHeader<Slice<'a>>| header.debug_info_offset().map(|it| it.0);
        let after = headers.partition_point(|it| start(it).is_some_and(|it| it <= offset.0));
        let header = *headers.get(after.checked_sub(1)?)?;
        let within = offset.to_unit_offset(&header)?;
        self.last = Some(dwarf.unit(header).ok()?);
        Some(within)
    }
}

/// What an entry contains for its function's name.
enum Found {
    /// The name, if it is generic.
    Name(Option<Box<str>>),
    /// A reference to an entry of the same unit.
    InUnit(UnitOffset<usize>),
    /// A reference to an entry anywhere in the file.
    InFile(gimli::DebugInfoOffset<usize>),
}

/// Whether a function's generic arguments show the type of an allocated value: those of the
/// allocating part of the standard library, and of hashbrown.
pub(crate) fn are_wanted(function: &str) -> bool {
    let path = function.trim_start_matches('<');
    ["alloc::", "hashbrown::"]
        .iter()
        .any(|it| path.starts_with(it))
}
