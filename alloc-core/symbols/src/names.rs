//! Names addresses: turns a module's files and offsets into frames.

use std::borrow::Cow;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use addr2line::{Context, LookupContinuation as _, LookupResult, SplitDwarfLoad};
use gimli::{Dwarf, DwarfPackage, DwarfPackageSections};
use object::{Object as _, ObjectSymbol as _, SymbolKind};

use crate::chain::Chain;
use crate::elf::Binary;
use crate::find::{Found, alternate, has_debug_info};
use crate::generics::{self, Generics};
use crate::sections::{self, Sections, Slice, endian, section};
use crate::{Frame, Missing, Module};

/// How many bytes of units are read before the cache is dropped. A cached unit takes about four
/// times its size.
pub(crate) const MOST_READ: u64 = 4 << 20;

/// How many units are read before the cache is dropped. Each split unit has a file open.
const MOST_UNITS: usize = 50000;

/// Returns the bytes that naming in progress holds, on all threads: decompressed sections, and an
/// estimate of cached units.
pub fn held() -> usize {
    HELD.load(Ordering::Relaxed)
}

static HELD: AtomicUsize = AtomicUsize::new(0);

/// A guard that counts bytes in [`held`] while it lives.
struct Holding(usize);

impl Holding {
    fn new(bytes: usize) -> Holding {
        HELD.fetch_add(bytes, Ordering::Relaxed);
        Holding(bytes)
    }

    fn add(&mut self, bytes: usize) {
        HELD.fetch_add(bytes, Ordering::Relaxed);
        self.0 += bytes;
    }
}

impl Drop for Holding {
    fn drop(&mut self) {
        HELD.fetch_sub(self.0, Ordering::Relaxed);
    }
}

/// Returns the frames at the offsets, and the reason why some are incomplete.
pub(crate) fn of(
    found: &Found,
    module: &Module,
    offsets: &[u64],
) -> (Vec<Vec<Frame>>, Option<Missing>) {
    let mut frames = vec![Vec::new(); offsets.len()];
    let missing = named(found, module, offsets, &mut frames).err();
    (frames, missing)
}

fn named(
    found: &Found,
    module: &Module,
    offsets: &[u64],
    frames: &mut [Vec<Frame>],
) -> Result<(), Missing> {
    let first = found.binary.as_ref().or(found.debug.as_ref());
    let Some((binary, debug)) = first.zip(found.debug()) else {
        return Ok(());
    };
    let start = binary.address_of(module)?;
    // NOTE: a malicious file may have any offset, and readers also access the byte after it.
    let address = |it: &u64| start.saturating_add(*it).min(u64::MAX - 1);
    let addresses: Vec<u64> = offsets.iter().map(address).collect();
    let by_lines = lines(found, debug, &addresses, frames);
    let mut nameless: Vec<(u64, &mut Vec<Frame>)> = addresses
        .iter()
        .copied()
        .zip(frames)
        .filter(|(_, frames)| frames.iter().all(|it| it.function.is_none()))
        .collect();
    let has_names = symbols(&[Some(debug), found.binary.as_ref()], &mut nameless);
    by_lines?;
    let path = || binary.path.clone();
    match (has_debug_info(debug), has_names) {
        (false, false) => Err(Missing::Stripped { path: path() }),
        (false, true) => Err(Missing::NoDebugInfo { path: path() }),
        _ => Ok(()),
    }
}

/// Fills in frames from the debug information.
fn lines(
    found: &Found,
    debug: &Binary,
    addresses: &[u64],
    frames: &mut [Vec<Frame>],
) -> Result<(), Missing> {
    if !has_debug_info(debug) {
        return Ok(());
    }
    let endian = endian(&debug.object()?);
    let slice = |it| Slice::new(it, endian);
    let common = alternate(debug);
    let common = common
        .as_ref()
        .map(|it| sections::of(it, false))
        .transpose()?;
    let sections = sections::of(debug, false)?;
    let package = found.package();
    let package = package.as_ref().map(package_sections).transpose()?;
    let damaged = |error| debug.damaged(&error);
    let package = package.as_ref();
    let package = package.map(|it| it.borrow(|section| slice(section), slice(&[])));
    let reader = Reader {
        found,
        package: package.transpose().map_err(damaged)?,
    };
    let unpacked = bytes_unpacked(&sections) + common.as_ref().map_or(0, bytes_unpacked);
    let _holding = Holding::new(unpacked);
    let mut done = 0;
    while done < addresses.len() {
        let dwarf = sections.borrow_with_sup(common.as_ref(), |section| slice(section));
        let rest = (&addresses[done..], &mut frames[done..]);
        done += reader.read(dwarf, rest.0, rest.1).map_err(damaged)?;
    }
    Ok(())
}

fn bytes_unpacked(sections: &Sections<'_>) -> usize {
    let mut bytes = 0;
    let _ = sections.borrow(|section| {
        if let Cow::Owned(unpacked) = section {
            bytes += unpacked.len();
        }
        Slice::default()
    });
    bytes
}

fn package_sections(package: &Binary) -> Result<DwarfPackageSections<Cow<'_, [u8]>>, Missing> {
    enum Failed {
        Missing(Missing),
        Gimli(gimli::Error),
    }
    impl From<gimli::Error> for Failed {
        fn from(error: gimli::Error) -> Failed {
            Failed::Gimli(error)
        }
    }
    let object = package.object()?;
    let load = |id| section(package, &object, id, true).map_err(Failed::Missing);
    DwarfPackageSections::load(load).map_err(|error| match error {
        Failed::Missing(missing) => missing,
        Failed::Gimli(error) => package.damaged(&error),
    })
}

struct Reader<'a> {
    found: &'a Found,
    package: Option<DwarfPackage<Slice<'a>>>,
}

impl<'a> Reader<'a> {
    /// Fills in frames until the cache is full, and returns the number of addresses done.
    fn read(
        &self,
        dwarf: Dwarf<Slice<'a>>,
        addresses: &[u64],
        frames: &mut [Vec<Frame>],
    ) -> Result<usize, gimli::Error> {
        // Split files must outlive the context.
        let (files, contents) = (Chain::new(), Chain::new());
        let context: Context<Slice<'_>> = Context::from_dwarf(dwarf)?;
        let mut holding = Holding::new(0);
        let (mut units, mut read) = (Vec::new(), 0);
        let (mut generics, mut entries) = (Generics::new(), Vec::new());
        for (at, (&address, frames)) in addresses.iter().zip(frames).enumerate() {
            let mut lookup = context.find_frames(address);
            let found = loop {
                lookup = match lookup {
                    LookupResult::Output(found) => break found,
                    LookupResult::Load { load, continuation } => {
                        continuation.resume(self.split(load, &files, &contents))
                    }
                };
            };
            // NOTE: a damaged unit does not affect others.
            if let Ok(mut found) = found {
                while let Ok(Some(frame)) = found.next() {
                    entries.push(frame.dw_die_offset);
                    frames.push(of_debug_info(&frame));
                }
            }
            let unit = context.find_dwarf_and_unit(address).skip_all_loads();
            for (frame, entry) in frames.iter_mut().zip(entries.drain(..)) {
                if let (Some(unit), Some(entry)) = (unit, entry)
                    && frame.function.as_deref().is_some_and(generics::are_wanted)
                {
                    frame.generic = generics.name(unit, entry);
                }
            }
            if let Some(unit) = unit {
                let start = unit.header.debug_info_offset().map_or(0, |it| it.0);
                if let Err(place) = units.binary_search(&start) {
                    units.insert(place, start);
                    let size = unit.header.length_including_self() as u64;
                    read += size;
                    holding.add(4 * size as usize);
                }
            }
            if read > MOST_READ || units.len() > MOST_UNITS {
                return Ok(at + 1);
            }
        }
        Ok(addresses.len())
    }

    /// Loads the debug information of a split unit.
    fn split<'c>(
        &self,
        load: SplitDwarfLoad<Slice<'c>>,
        files: &'c Chain<Binary>,
        contents: &'c Chain<Sections<'c>>,
    ) -> Option<Arc<Dwarf<Slice<'c>>>>
    where
        'a: 'c,
    {
        if let Some(package) = &self.package
            && let Ok(Some(unit)) = package.find_cu(load.dwo_id, &load.parent)
        {
            return Some(Arc::new(unit));
        }
        let text = |slice: &Slice<'_>| slice.to_string_lossy().into_owned();
        let compiled_in = load.comp_dir.as_ref().map(text).unwrap_or_default();
        let path = text(load.path.as_ref()?);
        let file = files.add(
            self.found
                .split(Path::new(&compiled_in), Path::new(&path))?,
        );
        let endian = endian(&file.object().ok()?);
        let sections = contents.add(sections::of(file, true).ok()?);
        let mut dwarf = sections.borrow(|section| Slice::new(section, endian));
        dwarf.make_dwo(&load.parent);
        let mut units = dwarf.units();
        let header = units.next().ok()??;
        // A file of another build has another id.
        let unit = dwarf.unit(header).ok()?;
        (unit.dwo_id == Some(load.dwo_id)).then(|| Arc::new(dwarf))
    }
}

fn of_debug_info(frame: &addr2line::Frame<'_, Slice<'_>>) -> Frame {
    let location = frame.location.as_ref();
    let names = frame.function.as_ref().map(|it| names(it.name.slice()));
    let (function, mangled) = names.unzip();
    Frame {
        function,
        mangled: mangled.flatten(),
        generic: None,
        file: location.and_then(|it| it.file).map(Into::into),
        line: location.and_then(|it| it.line).unwrap_or(0),
        column: location.and_then(|it| it.column).unwrap_or(0),
    }
}

/// Returns a function's demangled name, and the mangled one if it differs.
fn names(name: &[u8]) -> (Box<str>, Option<Box<str>>) {
    let known = std::str::from_utf8(name).ok();
    let demangled = known.and_then(|it| Some((it, rustc_demangle::try_demangle(it).ok()?)));
    match demangled {
        Some((mangled, name)) => (format!("{name:#}").into(), Some(mangled.into())),
        None => (String::from_utf8_lossy(name).into(), None),
    }
}

/// Fills in names from the first file with a symbol table, and returns whether one has it.
///
/// Falls back to dynamic symbols, which do not count as a symbol table: every library has some.
fn symbols(files: &[Option<&Binary>], wanted: &mut [(u64, &mut Vec<Frame>)]) -> bool {
    let objects = || files.iter().flatten().filter_map(|it| it.object().ok());
    let of_code = |object: &object::File<'_>| object.symbols().next().is_some();
    if let Some(object) = objects().find(of_code) {
        fill_in(object.symbols(), wanted);
        return true;
    }
    for object in objects() {
        fill_in(object.dynamic_symbols(), wanted);
    }
    false
}

/// Names each address by the last symbol that starts at or before it and extends to it.
fn fill_in<'s>(
    symbols: impl Iterator<Item = object::Symbol<'s, 's>>,
    wanted: &mut [(u64, &mut Vec<Frame>)],
) {
    if wanted.is_empty() {
        return;
    }
    let mut best: Vec<Option<(u64, &[u8])>> = vec![None; wanted.len()];
    for symbol in symbols {
        let is_code = matches!(symbol.kind(), SymbolKind::Text | SymbolKind::Data);
        if !is_code || symbol.is_undefined() {
            continue;
        }
        let (start, size) = (symbol.address(), symbol.size());
        let from = wanted.partition_point(|(address, _)| *address < start);
        let within = wanted[from..].iter().zip(&mut best[from..]);
        for ((address, _), best) in within {
            if address - start > size {
                break;
            }
            let is_nearer = best.is_none_or(|(known, _)| known < start);
            if let (true, Ok(name)) = (is_nearer, symbol.name_bytes()) {
                *best = Some((start, name));
            }
        }
    }
    for ((_, frames), best) in wanted.iter_mut().zip(best) {
        let Some((_, name)) = best else { continue };
        let (function, mangled) = names(name);
        if frames.is_empty() {
            frames.push(Frame::default());
        }
        for frame in frames.iter_mut() {
            frame.function = Some(function.clone());
            frame.mangled.clone_from(&mangled);
        }
    }
}
