//! Looks addresses up in the cache, then with the symbolizer.

use std::collections::BTreeMap;

use super::cache::{self, Place};
use super::{Gap, Location, Symbols};
use crate::missing::Missing;
use crate::modules::Module;
use crate::process;
use crate::stack::frame::{Frame, Function, Name};
use crate::symbolizer::{self, Code, Symbolizer};

impl Symbols<'_> {
    /// Looks up those return addresses that are not known yet.
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
        match process::symbolizer() {
            Some(symbolizer) => {
                self.name(symbolizer, &unknown);
                symbolizer.finish();
            }
            None => unknown
                .iter()
                .for_each(|&address| self.add(address, Vec::new())),
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

    /// Names addresses, in ascending order, module by module.
    fn name(&mut self, symbolizer: &dyn Symbolizer, addresses: &[usize]) {
        let mut by_module: BTreeMap<Option<usize>, Vec<usize>> = BTreeMap::new();
        for &address in addresses {
            let module = self.module_of(address);
            by_module.entry(module).or_default().push(address);
        }
        for (module, addresses) in by_module {
            let module = module.map(|it| self.modules[it]);
            let named = symbolizer.name(
                &Code {
                    module,
                    is_program: module.is_some_and(|it| self.is_program(it)),
                    is_here: self.is_here,
                    addresses: &addresses,
                },
                self.search,
            );
            if let Some(module) = module {
                self.note(module, named.missing, named.is_unverified);
            }
            let mut frames = named.frames.into_iter();
            for address in addresses {
                self.add(address, frames.next().unwrap_or_default());
            }
        }
    }

    fn is_program(&self, module: &Module) -> bool {
        self.program.is_some_and(|it| std::ptr::eq(it, module))
    }

    /// Records what a module's file lacks.
    fn note(&mut self, module: &Module, missing: Option<Missing>, is_unverified: bool) {
        if let Some(why) = missing {
            let addresses = module.start..module.end;
            self.gaps.retain(|it| it.addresses != addresses);
            self.gaps.push(Gap { addresses, why });
        }
        let path = module.file();
        if is_unverified && !self.unverified.iter().any(|it| it == path) {
            self.unverified.push(path.to_owned());
        }
    }

    /// Stores the frames of a return address.
    fn add(&mut self, address: usize, frames: Vec<symbolizer::Frame>) {
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
