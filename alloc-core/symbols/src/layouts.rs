//! [`layouts`]: where the fields of a program's types are.
//!
//! # Implementation
//!
//! All units are scanned once for types with the names that are wanted; entries of functions are
//! skipped unread. Then those types are read, and the types of their fields, which may be in other
//! units. Fields of variants and unions overlap: which one is in use is not known.

use std::collections::{HashMap, HashSet};

use alloc_core_snapshot::seam::layouts::{Field, Layout, Layouts, Shape, Vtable};
use alloc_core_snapshot::seam::types::{is_of_std, shown, shown_vtable};
use gimli::{
    Attribute, AttributeValue, DebugInfoOffset, DwAt, DwTag, Dwarf, Operation, UnitHeader,
    UnitOffset, UnitRef,
};

use crate::find;
use crate::sections::{self, Slice, endian};
use crate::{Missing, Module, Search};

/// How many types are read. Above, a field is one without pointers.
const MOST_TYPES: usize = 1 << 20;

/// How many fields a type may have.
const MOST_FIELDS: usize = 1 << 16;

/// The size of a pointer.
const WORD: u64 = 8;

/// Reads the layouts of the types whose names, in short form, are wanted, and those of statics.
///
/// The result is empty if the debug information describes no types, as with `debug = 1`, or is split.
pub fn layouts(
    module: &Module,
    search: &Search,
    wanted: &HashSet<String>,
) -> Result<Layouts, Missing> {
    let found = find::find(module, None, search)?;
    let Some(binary) = found.debug() else {
        return Ok(Layouts::default());
    };
    let endian = endian(&binary.object()?);
    let slice = |it| Slice::new(it, endian);
    let common = find::alternate(binary);
    let common = common.as_ref().map(|it| sections::of(it, false));
    let common = common.transpose()?;
    let sections = sections::of(binary, false)?;
    let dwarf = sections.borrow_with_sup(common.as_ref(), |section| slice(section));
    read(&dwarf, wanted).map_err(|error| binary.damaged(&error))
}

fn read(dwarf: &Dwarf<Slice<'_>>, wanted: &HashSet<String>) -> gimli::Result<Layouts> {
    let mut units = Vec::new();
    let mut headers = dwarf.units();
    while let Some(header) = headers.next()? {
        units.push(header);
    }
    let mut reader = Reader {
        dwarf,
        loaded: units.iter().map(|_| None).collect(),
        units,
        layouts: Layouts::default(),
        numbers: HashMap::new(),
        open: Vec::new(),
    };
    let wanted = reader.wanted(wanted)?;
    let mut named = HashSet::new();
    for Wanted { what, at } in wanted {
        match what {
            // Units repeat the types of others.
            What::Type { path, size } => {
                if named.insert((path, size)) {
                    let number = reader.read(at);
                    reader.layouts.name(number);
                }
            }
            What::Static { address } => {
                let number = reader.read(at);
                reader.layouts.statics.insert(address, number);
            }
        }
    }
    Ok(reader.layouts)
}

/// The part of a type's name that a short name shares with the whole path, to tell most types apart soon:
/// `Node` for `app::Node<u8>`.
fn start_of(name: &str) -> &str {
    const MADE_BY_THE_COMPILER: &str = "{";
    let path = name.split('<').next().unwrap_or(name);
    match name.starts_with('(') {
        true => "(",
        // A closure, or a future: `closure in app::main` for `app::main::{closure_env#0}`.
        false if path.contains(' ') || path.ends_with('}') => MADE_BY_THE_COMPILER,
        false => path.rsplit("::").next().unwrap_or(path),
    }
}

/// An entry that is to be read.
struct Wanted {
    what: What,
    /// The entry of the type.
    at: DebugInfoOffset<usize>,
}

enum What {
    Type { path: String, size: u64 },
    Static { address: u64 },
}

struct Reader<'a, 'd> {
    dwarf: &'d Dwarf<Slice<'a>>,
    units: Vec<UnitHeader<Slice<'a>>>,
    loaded: Vec<Option<Unit<'a>>>,
    layouts: Layouts,
    numbers: HashMap<DebugInfoOffset<usize>, u32>,
    /// Types that have a number and are not read yet.
    open: Vec<(DebugInfoOffset<usize>, u32)>,
}

/// A unit whose types are read.
struct Unit<'a> {
    unit: gimli::Unit<Slice<'a>>,
    /// The path of each type.
    paths: HashMap<UnitOffset<usize>, Box<str>>,
}

/// A type as its entry has it.
struct Entry {
    tag: DwTag,
    name: String,
    size: u64,
    is_float: bool,
    of: Option<DebugInfoOffset<usize>>,
    fields: Vec<(String, u64, DebugInfoOffset<usize>)>,
    count: u64,
}

impl<'a> Reader<'a, '_> {
    fn wanted(&mut self, names: &HashSet<String>) -> gimli::Result<Vec<Wanted>> {
        let starts: HashSet<&str> = names.iter().map(|it| start_of(it)).collect();
        let mut wanted = Vec::new();
        let vtables = &mut self.layouts.vtables;
        for header in &self.units {
            let unit = self.dwarf.unit(*header)?;
            let unit = UnitRef::new(self.dwarf, &unit);
            scan(unit, |offset, tag, path, attributes| {
                let at = || offset.to_debug_info_offset(&unit.header);
                if tag == gimli::DW_TAG_variable {
                    let address = address(unit, attributes);
                    if let (Some(address), Some((of, as_trait))) = (address, shown_vtable(path)) {
                        vtables.insert(address, Vtable { of, as_trait });
                        return;
                    }
                    let of = attribute(attributes, gimli::DW_AT_type);
                    let of = of.and_then(|it| reference(unit, it));
                    if let (Some(address), Some(at)) = (address, of) {
                        let what = What::Static { address };
                        wanted.push(Wanted { what, at });
                    }
                    return;
                }
                let size = attribute(attributes, gimli::DW_AT_byte_size);
                let size = size.and_then(|it| it.udata_value());
                if let (Some(size), Some(at)) = (size, at())
                    && starts.contains(start_of(path))
                    && names.contains(&shown(path))
                {
                    let path = path.to_owned();
                    let what = What::Type { path, size };
                    wanted.push(Wanted { what, at });
                }
            })?;
        }
        Ok(wanted)
    }

    /// The number of the type at an entry.
    fn number(&mut self, at: DebugInfoOffset<usize>) -> u32 {
        if let Some(known) = self.numbers.get(&at) {
            return *known;
        }
        let number = self.layouts.add(Layout {
            name: String::new(),
            size: 0,
            is_of_std: false,
            shape: Shape::Data,
        });
        self.numbers.insert(at, number);
        self.open.push((at, number));
        number
    }

    /// Reads the type at an entry, and all that it consists of. Returns its number.
    fn read(&mut self, at: DebugInfoOffset<usize>) -> u32 {
        let wanted = self.number(at);
        while let Some((at, number)) = self.open.pop() {
            if self.layouts.len() > MOST_TYPES {
                continue;
            }
            if let Some(entry) = self.entry(at) {
                let layout = self.layout(entry);
                *self.layouts.get_mut(number) = layout;
            }
        }
        wanted
    }

    fn layout(&mut self, entry: Entry) -> Layout {
        let shape = match entry.tag {
            gimli::DW_TAG_pointer_type | gimli::DW_TAG_reference_type => Shape::Pointer,
            gimli::DW_TAG_base_type if entry.size >= WORD && !entry.is_float => Shape::Integer,
            gimli::DW_TAG_array_type => match entry.of {
                Some(of) => Shape::Array {
                    of: self.number(of),
                    count: entry.count,
                },
                None => Shape::Data,
            },
            _ => match entry.of {
                // A name for another type.
                Some(of) => Shape::Fields(vec![Field {
                    name: String::new(),
                    at: 0,
                    layout: self.number(of),
                }]),
                None => Shape::Fields(
                    entry
                        .fields
                        .into_iter()
                        .map(|(name, at, of)| Field {
                            name,
                            at,
                            layout: self.number(of),
                        })
                        .collect(),
                ),
            },
        };
        let size = match (&shape, entry.size) {
            (Shape::Pointer, 0) => WORD,
            (_, size) => size,
        };
        Layout {
            is_of_std: is_of_std(&entry.name),
            name: shown(&entry.name),
            size,
            shape,
        }
    }

    fn entry(&mut self, at: DebugInfoOffset<usize>) -> Option<Entry> {
        let start = |it: &UnitHeader<Slice<'a>>| it.debug_info_offset().map(|it| it.0);
        let after = self
            .units
            .partition_point(|it| start(it).is_some_and(|start| start <= at.0));
        let index = after.checked_sub(1)?;
        if self.loaded[index].is_none() {
            self.loaded[index] = Some(Unit::new(self.dwarf, self.units[index])?);
        }
        let Unit { unit, paths } = self.loaded[index].as_ref()?;
        let unit = UnitRef::new(self.dwarf, unit);
        Entry::read(unit, at.to_unit_offset(&unit.header)?, paths)
    }
}

impl<'a> Unit<'a> {
    fn new(dwarf: &Dwarf<Slice<'a>>, header: UnitHeader<Slice<'a>>) -> Option<Unit<'a>> {
        let unit = dwarf.unit(header).ok()?;
        let mut paths = HashMap::new();
        let add = |offset, _, path: &str, _: &[_]| {
            paths.insert(offset, Box::from(path));
        };
        scan(UnitRef::new(dwarf, &unit), add).ok()?;
        Some(Unit { unit, paths })
    }
}

impl Entry {
    fn read(
        unit: UnitRef<'_, Slice<'_>>,
        offset: UnitOffset<usize>,
        paths: &HashMap<UnitOffset<usize>, Box<str>>,
    ) -> Option<Entry> {
        let mut tree = unit.entries_tree(Some(offset)).ok()?;
        let root = tree.root().ok()?;
        let own = root.entry();
        let number = |attributes: &[_], name| attribute(attributes, name)?.udata_value();
        let path = paths.get(&offset).map(|it| it.to_string());
        let mut entry = Entry {
            tag: own.tag,
            name: path.or_else(|| text(unit, &own.attrs)).unwrap_or_default(),
            size: number(&own.attrs, gimli::DW_AT_byte_size).unwrap_or(0),
            is_float: attribute(&own.attrs, gimli::DW_AT_encoding)
                == Some(AttributeValue::Encoding(gimli::DW_ATE_float)),
            of: attribute(&own.attrs, gimli::DW_AT_type).and_then(|it| reference(unit, it)),
            fields: Vec::new(),
            count: 0,
        };
        let mut children = root.children();
        while let Some(child) = children.next().ok()? {
            let of_child = child.entry();
            match of_child.tag {
                gimli::DW_TAG_member => entry.fields.extend(field(unit, &of_child.attrs)),
                gimli::DW_TAG_subrange_type => {
                    entry.count = number(&of_child.attrs, gimli::DW_AT_count).unwrap_or(0);
                }
                gimli::DW_TAG_variant_part => {
                    let mut variants = child.children();
                    while let Some(variant) = variants.next().ok()? {
                        if variant.entry().tag != gimli::DW_TAG_variant {
                            continue;
                        }
                        let mut members = variant.children();
                        while let Some(member) = members.next().ok()? {
                            entry.fields.extend(field(unit, &member.entry().attrs));
                        }
                    }
                }
                _ => {}
            }
            if entry.fields.len() > MOST_FIELDS {
                return None;
            }
        }
        Some(entry)
    }
}

/// The name, place and type of a field.
fn field<'a>(
    unit: UnitRef<'_, Slice<'a>>,
    attributes: &[Attribute<Slice<'a>>],
) -> Option<(String, u64, DebugInfoOffset<usize>)> {
    let of = reference(unit, attribute(attributes, gimli::DW_AT_type)?)?;
    let at = attribute(attributes, gimli::DW_AT_data_member_location);
    let at = at.and_then(|it| it.udata_value()).unwrap_or(0);
    let name = text(unit, attributes).unwrap_or_default();
    // The fields of tuples are `__0` and `__1`.
    let plain = name.strip_prefix("__").filter(|it| is_number(it));
    Some((plain.map_or_else(|| name.clone(), str::to_owned), at, of))
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|it| it.is_ascii_digit())
}

/// Calls `visit` with each type and static outside of functions, and its path.
fn scan<'a>(
    unit: UnitRef<'_, Slice<'a>>,
    mut visit: impl FnMut(UnitOffset<usize>, DwTag, &str, &[Attribute<Slice<'a>>]),
) -> gimli::Result<()> {
    let mut entries = unit.entries_raw(None)?;
    let mut path = String::new();
    // The depths of the entries that the next one is in, and the lengths of the path outside of them.
    let mut around: Vec<(isize, usize)> = Vec::new();
    let mut attributes = Vec::new();
    while !entries.is_empty() {
        let (offset, depth) = (entries.next_offset(), entries.next_depth());
        let Some(abbreviation) = entries.read_abbreviation()? else {
            continue;
        };
        while let Some((_, length)) = around.pop_if(|(it, _)| *it >= depth) {
            path.truncate(length);
        }
        let tag = abbreviation.tag();
        // NOTE: the unit itself is at depth 0.
        let is_outside = depth == 1 || around.last().is_some_and(|(it, _)| *it == depth - 1);
        let is_type = matches!(tag, gimli::DW_TAG_structure_type | gimli::DW_TAG_union_type);
        let is_visited = is_type || tag == gimli::DW_TAG_variable;
        if !is_outside || !(is_visited || tag == gimli::DW_TAG_namespace) {
            entries.skip_attributes(abbreviation.attributes())?;
            continue;
        }
        entries.read_attributes(abbreviation.attributes(), &mut attributes)?;
        let length = path.len();
        if let Some(name) = text(unit, &attributes) {
            if !path.is_empty() {
                path.push_str("::");
            }
            path.push_str(&name);
        }
        if is_visited {
            visit(offset, tag, &path, &attributes);
        }
        match abbreviation.has_children() {
            true => around.push((depth, length)),
            false => path.truncate(length),
        }
    }
    Ok(())
}

fn attribute<'a>(of: &[Attribute<Slice<'a>>], name: DwAt) -> Option<AttributeValue<Slice<'a>>> {
    of.iter().find(|it| it.name() == name).map(|it| it.value())
}

fn text<'a>(unit: UnitRef<'_, Slice<'a>>, attributes: &[Attribute<Slice<'a>>]) -> Option<String> {
    let name = attribute(attributes, gimli::DW_AT_name)?;
    let name = unit.attr_string(name).ok()?;
    std::str::from_utf8(name.slice()).ok().map(str::to_owned)
}

/// The entry that an attribute refers to.
fn reference(
    unit: UnitRef<'_, Slice<'_>>,
    value: AttributeValue<Slice<'_>>,
) -> Option<DebugInfoOffset<usize>> {
    match value {
        AttributeValue::UnitRef(offset) => offset.to_debug_info_offset(&unit.header),
        AttributeValue::DebugInfoRef(offset) => Some(offset),
        _ => None,
    }
}

/// The address of a variable that has one for the whole program.
fn address(unit: UnitRef<'_, Slice<'_>>, attributes: &[Attribute<Slice<'_>>]) -> Option<u64> {
    let AttributeValue::Exprloc(location) = attribute(attributes, gimli::DW_AT_location)? else {
        return None;
    };
    let mut operations = location.operations(unit.encoding());
    let address = match operations.next().ok()?? {
        Operation::Address { address } => address,
        Operation::AddressIndex { index } => unit.address(index).ok()?,
        _ => return None,
    };
    operations.next().ok()?.is_none().then_some(address)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[allow(dead_code, reason = "read from debug information")]
    struct Node {
        before: u32,
        name: String,
        next: Option<Box<Node>>,
        kind: Kind,
        pair: (u8, Vec<Node>),
        table: [Option<Box<u64>>; 3],
    }

    #[allow(dead_code, reason = "read from debug information")]
    enum Kind {
        Leaf(u64),
        Inner { left: Box<Node>, right: Box<Node> },
    }

    static KEPT: std::sync::Mutex<Option<Node>> = std::sync::Mutex::new(None);

    fn own() -> Module {
        Module {
            path: std::env::current_exe().unwrap(),
            ..Module::default()
        }
    }

    #[test]
    fn fields_are_where_the_compiler_put_them() {
        let kept = KEPT.lock().unwrap();
        std::hint::black_box(&*kept);
        drop(kept);
        let name = "alloc_core_symbols::layouts::tests::Node";
        let found = layouts(
            &own(),
            &Search::default(),
            &HashSet::from([name.to_owned()]),
        )
        .unwrap();
        let [node] = found.named(name) else {
            panic!("{:?}", found.named(name));
        };
        let node = found.get(*node);
        assert_eq!(node.size, size_of::<Node>() as u64);
        assert!(!node.is_of_std);
        let Shape::Fields(fields) = &node.shape else {
            panic!("{node:?}");
        };
        let fields: BTreeMap<&str, &Field> = fields.iter().map(|it| (&*it.name, it)).collect();
        for (name, at) in [
            ("before", std::mem::offset_of!(Node, before)),
            ("name", std::mem::offset_of!(Node, name)),
            ("next", std::mem::offset_of!(Node, next)),
            ("kind", std::mem::offset_of!(Node, kind)),
            ("pair", std::mem::offset_of!(Node, pair)),
            ("table", std::mem::offset_of!(Node, table)),
        ] {
            assert_eq!(fields[name].at, at as u64, "{name}");
        }
        let of = |name: &str| found.get(fields[name].layout);
        assert_eq!(of("name").name, "String");
        assert!(of("name").is_of_std);
        assert_eq!(of("kind").name, "alloc_core_symbols::layouts::tests::Kind");
        let Shape::Fields(variants) = &of("kind").shape else {
            panic!("{:?}", of("kind"));
        };
        let names: Vec<&str> = variants.iter().map(|it| &*it.name).collect();
        assert_eq!(names, ["Leaf", "Inner"]);
        let Shape::Array { of: element, count } = of("table").shape else {
            panic!("{:?}", of("table"));
        };
        assert_eq!(count, 3);
        assert_eq!(found.get(element).name, "Option<Box<u64>>");
        let shows = |it: &&u32| found.get(**it).name.starts_with("Mutex<Option<");
        assert!(found.statics.values().any(|it| shows(&it)));
    }

    #[test]
    fn a_type_that_nobody_wants_is_not_read() {
        let found = layouts(&own(), &Search::default(), &HashSet::new()).unwrap();
        assert!(found.named("String").is_empty());
    }
}
