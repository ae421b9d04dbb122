//! [`Symbols`]: addresses to frames.

use std::cell::OnceCell;
use std::collections::HashMap;
use std::ffi::c_void;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

use dashmap::DashMap;

use crate::frame::{Frame, SourcePath};
use crate::modules::{self, Module};
use crate::origin::Origin;
use crate::recorded::{Recorded, StackEnd};
use crate::traceback::{ChargeTo, Traceback};

/// What is known of the code at an address: the innermost inlined function first, the function that
/// the code belongs to last.
type Location = Arc<[Frame]>;

/// Every address that was ever looked up in this process.
///
/// Reading debug information takes microseconds and an address is part of many stacks, so each is
/// looked up once; several threads may take snapshots at once.
static LOCATIONS: LazyLock<DashMap<usize, Location>> = LazyLock::new(DashMap::new);

/// One look at the program, long enough to name all stacks of a snapshot.
pub(crate) struct Symbols {
    /// Listed when a first address has no symbol.
    modules: OnceCell<Vec<Module>>,
    paths: HashMap<String, SourcePath>,
    roots: HashMap<PathBuf, Option<Arc<str>>>,
}

impl Symbols {
    /// Of this process, with what is loaded now.
    pub(crate) fn of_this_process() -> Symbols {
        Symbols {
            modules: OnceCell::new(),
            paths: HashMap::new(),
            roots: HashMap::new(),
        }
    }

    /// The tracebacks of all callsites, in their order.
    pub(crate) fn tracebacks(&mut self, recorded: &Recorded) -> Vec<Traceback> {
        recorded
            .callsites
            .iter()
            .map(|callsite| {
                let addresses = &recorded.addresses[callsite.stack.clone()];
                self.traceback(addresses, callsite.stack_end, recorded.traceback_limit)
            })
            .collect()
    }

    /// The stack of these return addresses, cut to `limit` of them, counted from the one that is
    /// charged. Frames of the tracer are left out.
    pub(crate) fn traceback(
        &mut self,
        addresses: &[usize],
        end: StackEnd,
        limit: u16,
    ) -> Traceback {
        let instead = match end {
            StackEnd::Overflow => Some("<overflow>"),
            StackEnd::Uncaptured => Some("<heap>"),
            _ => None,
        };
        if instead.is_some() {
            return Traceback::with_end(vec![Frame::new(instead, None, 0, 0)], end);
        }
        let locations: Vec<Location> = addresses.iter().map(|&it| self.location(it)).collect();
        let is_tracer = |frame: &&Frame| frame.origin() == Origin::Tracer;
        let tracer = locations.iter().flat_map(|it| it.iter());
        let tracer = tracer.take_while(is_tracer).count();
        let whole: Vec<Frame> = locations
            .iter()
            .flat_map(|it| it.iter().cloned())
            .skip(tracer)
            .collect();
        if whole.is_empty() {
            return Traceback::with_end(vec![Frame::default()], end);
        }
        let whole = Traceback::with_end(whole, end);
        let charged = tracer + whole.charged_at(ChargeTo::Caller).unwrap_or(0);

        // How many frames the addresses up to the limit make up.
        let mut frames = 0;
        let mut left = usize::from(limit);
        for location in &locations {
            frames += location.len();
            left -= usize::from(frames > charged);
            if left == 0 {
                break;
            }
        }
        let kept = frames - tracer;
        if kept >= whole.len() {
            return whole;
        }
        Traceback::with_end(whole[..kept].to_vec(), StackEnd::Truncated)
    }

    fn location(&mut self, address: usize) -> Location {
        if let Some(known) = LOCATIONS.get(&address) {
            return known.clone();
        }
        let location: Location = self.look_up(address).into();
        LOCATIONS.insert(address, location.clone());
        location
    }

    fn look_up(&mut self, address: usize) -> Vec<Frame> {
        let mut frames = Vec::new();
        // A return address: the call is the instruction before it, and `resolve` looks there.
        backtrace::resolve(address as *mut c_void, |symbol| {
            let function = symbol.name().map(|name| format!("{name:#}").into());
            let file = symbol.filename().map(|path| self.path(path));
            let (line, column) = (symbol.lineno().unwrap_or(0), symbol.colno().unwrap_or(0));
            frames.push(Frame::of(function, file, line, column));
        });
        if frames.is_empty() {
            let call = (address as u64).saturating_sub(1);
            let module = self
                .modules
                .get_or_init(modules::loaded)
                .iter()
                .find(|it| (it.start..it.end).contains(&call));
            let name = module.map_or_else(
                || format!("{call:#x}"),
                |module| module.name_of(address as u64),
            );
            frames.push(Frame::of(Some(name.into()), None, 0, 0));
        }
        let outermost = frames.len() - 1;
        frames
            .into_iter()
            .enumerate()
            .map(|(at, frame)| frame.at(address as u64, at < outermost))
            .collect()
    }

    fn path(&mut self, path: &Path) -> SourcePath {
        let text = path.to_string_lossy();
        if let Some(known) = self.paths.get(&*text) {
            return known.clone();
        }
        let roots = self.root_of(path);
        let known = SourcePath::new(&text, roots.as_slice());
        self.paths.insert(text.into_owned(), known.clone());
        known
    }

    /// The folder that the paths of a workspace are relative to: the outermost above the file with
    /// a `Cargo.lock`, else the innermost with a `Cargo.toml`, else the folder that the program
    /// runs in.
    fn root_of(&mut self, file: &Path) -> Option<Arc<str>> {
        let folder = file.parent().filter(|_| file.is_absolute())?;
        if let Some(known) = self.roots.get(folder) {
            return known.clone();
        }
        let above = || folder.ancestors().collect::<Vec<_>>().into_iter();
        let workspace = above().rev().find(|it| it.join("Cargo.lock").is_file());
        let package = || above().find(|it| it.join("Cargo.toml").is_file());
        let here = || {
            std::env::current_dir()
                .ok()
                .filter(|it| folder.starts_with(it))
        };
        let root = workspace
            .or_else(package)
            .map(Path::to_owned)
            .or_else(here)
            .map(|root| root.to_string_lossy().trim_end_matches('/').into());
        self.roots.insert(folder.to_owned(), root.clone());
        root
    }
}

#[cfg(all(test, not(miri)))]
mod tests {
    use super::*;

    /// Return addresses of the caller, innermost first.
    #[inline(never)]
    fn here() -> Vec<usize> {
        let mut addresses = Vec::new();
        backtrace::trace(|frame| {
            addresses.push(frame.ip() as usize);
            true
        });
        addresses
    }

    #[inline(always)]
    fn inlined() -> Vec<usize> {
        here()
    }

    #[test]
    fn inlined_functions_are_frames_and_paths_are_relative_to_the_workspace() {
        let addresses = inlined();
        let line = line!() - 1;
        let traceback = Symbols::of_this_process().traceback(&addresses, StackEnd::Complete, 100);
        let at = |name: &str| {
            let found = traceback
                .iter()
                .position(|it| it.function().is_some_and(|it| it.ends_with(name)));
            found.unwrap_or_else(|| panic!("no {name} in {traceback}"))
        };
        let (callee, caller) = (at("inlined"), at("are_relative_to_the_workspace"));
        assert_eq!(callee + 1, caller);
        assert!(traceback[callee].is_inlined() && !traceback[caller].is_inlined());
        assert_eq!(
            traceback[caller].to_string(),
            format!("alloc-core/src/symbols.rs:{line}")
        );
        assert_eq!(traceback[caller].origin(), Origin::Workspace);
    }

    #[test]
    fn the_limit_counts_addresses_from_the_charged_one() {
        let mut symbols = Symbols::of_this_process();
        let addresses = here();
        let whole = symbols.traceback(&addresses, StackEnd::Complete, 1000);
        let one = symbols.traceback(&addresses, StackEnd::Complete, 1);
        assert!(!whole.is_truncated() && one.is_truncated());
        let charged = whole.charged(ChargeTo::Caller);
        assert_eq!(one.charged(ChargeTo::Caller), charged);
        assert_eq!(one.last().map(Frame::address), Some(charged.address()));
        assert_eq!(one[..], whole[..one.len()]);
    }

    #[test]
    fn what_has_no_symbol_is_named_by_its_module_or_its_address() {
        let nowhere = Symbols::of_this_process().traceback(&[0x11], StackEnd::Broken, 8);
        assert_eq!(nowhere.charged(ChargeTo::Caller).to_string(), "0x10");
        assert!(nowhere.is_broken());
    }

    #[test]
    fn no_frame_at_all_is_an_unknown_one() {
        let mut symbols = Symbols::of_this_process();
        let empty = symbols.traceback(&[], StackEnd::Broken, 8);
        assert_eq!(empty.charged(ChargeTo::Caller).to_string(), "<unknown>");
        let overflow = symbols.traceback(&[], StackEnd::Overflow, 8);
        assert_eq!(overflow.charged(ChargeTo::Caller).to_string(), "<overflow>");
        let heap = symbols.traceback(&[], StackEnd::Uncaptured, 0);
        assert_eq!(heap.charged(ChargeTo::Caller).to_string(), "<heap>");
    }
}
