//! Looking addresses up: in what is kept, then in the files of their modules.

use std::collections::BTreeMap;
use std::fs::File;

use alloc_core_symbols::{Identity, Named};

use super::cache::{self, Place};
use super::{Gap, Location, Symbols};
use crate::snapshot::frame::{Frame, Function, Name};
use crate::snapshot::modules::Module;

/// Whether the files of this process's modules are read. Miri has no mappings of files.
const READS_FILES: bool = cfg!(all(target_os = "linux", not(miri)));

impl Symbols<'_> {
    /// Sees to it that all of these return addresses are known.
    pub(super) fn look_up(&mut self, addresses: impl Iterator<Item = usize>) {
        let mut unknown: Vec<usize> = addresses
            .filter(|it| !self.locations.contains_key(it))
            .collect();
        unknown.sort_unstable();
        unknown.dedup();
        if self.is_here {
            self.take_kept(&mut unknown);
        }
        if unknown.is_empty() {
            return;
        }
        if self.is_here && !READS_FILES {
            for &address in &unknown {
                let frames = by_backtrace(address);
                self.add(address, frames);
            }
            backtrace::clear_symbol_cache();
        } else {
            self.read_files(&unknown);
            give_back();
        }
        if self.is_here {
            let known = |address: &usize| {
                let module = self.module_of(*address).map(|it| self.modules[it]);
                let location = self.locations.get(address)?;
                Some((Place::new(module, *address), location))
            };
            cache::keep(unknown.iter().filter_map(known));
        }
    }

    fn take_kept(&mut self, unknown: &mut Vec<usize>) {
        let module = |address: usize| self.module_of(address).map(|it| self.modules[it]);
        let places: Vec<Place> = unknown
            .iter()
            .map(|&it| Place::new(module(it), it))
            .collect();
        let mut known = cache::get(&places).into_iter();
        unknown.retain(|&address| match known.next().flatten() {
            Some(location) => {
                self.locations.insert(address, location);
                false
            }
            None => true,
        });
    }

    /// Names addresses, in ascending order, from the files of their modules.
    fn read_files(&mut self, addresses: &[usize]) {
        let mut by_module: BTreeMap<Option<usize>, Vec<usize>> = BTreeMap::new();
        for &address in addresses {
            let module = self.module_of(address);
            by_module.entry(module).or_default().push(address);
        }
        for (module, addresses) in by_module {
            let mut named = Named::default();
            // NOTE: what the kernel maps into each process has no file.
            if let Some(module) = module.map(|it| self.modules[it])
                && module.path.contains('/')
            {
                // A return address: the call is the instruction before it.
                let call = |address: &usize| (*address as u64).saturating_sub(1);
                let offset = |address: &usize| call(address).saturating_sub(module.start);
                let offsets: Vec<u64> = addresses.iter().map(offset).collect();
                named = self.read_file(module, &offsets);
            }
            let mut frames = named.frames.into_iter();
            for address in addresses {
                self.add(address, frames.next().unwrap_or_default());
            }
        }
    }

    fn read_file(&mut self, module: &Module, offsets: &[u64]) -> Named {
        let of_file = alloc_core_symbols::Module {
            path: module.file().into(),
            identity: module.identity(),
            size: module.end.saturating_sub(module.start),
            file_offset: module.file_offset,
        };
        let opened = match of_file.identity {
            // Any file would be taken for it.
            Identity::Unknown => None,
            _ => self.opened(module),
        };
        let mut named = alloc_core_symbols::name(&of_file, opened, self.search, offsets);
        if let Some(why) = named.missing.take() {
            let addresses = module.start..module.end;
            self.gaps.retain(|it| it.addresses != addresses);
            self.gaps.push(Gap { addresses, why });
        }
        if named.is_unverified
            && !self
                .unverified
                .contains(&of_file.path.display().to_string())
        {
            self.unverified.push(of_file.path.display().to_string());
        }
        named
    }

    /// The file of a module that is mapped into this process, whatever is at its path now.
    fn opened(&self, module: &Module) -> Option<File> {
        if self.program.is_some_and(|it| std::ptr::eq(it, module)) {
            return File::open("/proc/self/exe").ok();
        }
        // The system lets only some processes open these. Others have the path.
        let is_there = std::fs::exists(module.file()).unwrap_or(false);
        if !self.is_here || is_there {
            return None;
        }
        let maps = std::fs::read_to_string("/proc/self/maps").ok()?;
        let range = maps.lines().find_map(|line| {
            let range = line.split(' ').next()?;
            let (start, end) = range.split_once('-')?;
            let number = |text| u64::from_str_radix(text, 16).ok();
            (number(start)?..number(end)?)
                .contains(&module.start)
                .then_some(range)
        })?;
        File::open(format!("/proc/self/map_files/{range}")).ok()
    }

    /// Notes what the code before a return address is.
    fn add(&mut self, address: usize, frames: Vec<alloc_core_symbols::Frame>) {
        let mut frames: Vec<Frame> = frames
            .into_iter()
            .map(|frame| {
                let file = frame.file.as_deref().map(|path| self.paths.path(path));
                let mangled = frame.mangled;
                let generic = frame.generic.map(|it| self.generics.shared(it));
                let name =
                    |text: Box<str>| Name::from(text).with_mangled(mangled).with_generic(generic);
                let function = Function::new(frame.function.map(name), file);
                Frame::within(function, frame.line, frame.column)
            })
            .collect();
        if frames.is_empty() {
            let module = self.module_of(address).map(|it| self.modules[it]);
            let name = module.map_or_else(
                || format!("{:#x}", address.saturating_sub(1)),
                |module| module.name_of(address as u64),
            );
            frames.push(Frame::of(Some(name.into()), None, 0, 0));
        }
        let outermost = frames.len() - 1;
        let frames = frames.into_iter().enumerate();
        let location: Location = frames
            .map(|(at, frame)| frame.at(address as u64, at < outermost))
            .collect();
        self.locations.insert(address, location);
    }
}

/// What the crate `backtrace` knows of the code before a return address of this process.
fn by_backtrace(address: usize) -> Vec<alloc_core_symbols::Frame> {
    let mut frames = Vec::new();
    // NOTE: it looks at the instruction before it.
    backtrace::resolve(std::ptr::without_provenance_mut(address), |symbol| {
        frames.push(alloc_core_symbols::Frame {
            function: symbol.name().map(|name| format!("{name:#}").into()),
            mangled: None,
            generic: None,
            file: symbol.filename().map(|it| it.to_string_lossy().into()),
            line: symbol.lineno().unwrap_or(0),
            column: symbol.colno().unwrap_or(0),
        });
    });
    frames
}

/// Hands memory back to the system that was freed. Only glibc keeps it otherwise.
fn give_back() {
    #[cfg(all(target_os = "linux", target_env = "gnu", not(miri)))]
    // SAFETY: always safe to call; it takes the C library's own locks, which it sees to at a fork.
    unsafe {
        libc::malloc_trim(0)
    };
}
