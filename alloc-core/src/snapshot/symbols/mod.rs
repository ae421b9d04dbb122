//! [`Symbols`]: addresses to frames.
//!
//! Frames are named by `alloc-core-symbols`, which keeps nothing: files are mapped while a batch of addresses is named, and
//! what is asked for again and again is [kept](cache) here, up to a bound. Where that crate finds no files, on
//! other systems than Linux, the crate `backtrace` names the frames of this process.

mod cache;
mod lookup;
mod paths;

use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::sync::Arc;

use alloc_core_symbols::{Missing, Search};

use crate::snapshot::frame::Frame;
use crate::snapshot::modules::Module;
use crate::snapshot::origin::Origin;
use crate::snapshot::recorded::{Recorded, StackEnd};
use crate::snapshot::traceback::{ChargeTo, Traceback};
use paths::Paths;

pub(crate) use cache::resident;

/// What is known of the code at an address: the innermost inlined function first, the function that
/// the code belongs to last.
type Location = Arc<[Frame]>;

/// What keeps code of a module from having names or lines.
#[derive(Clone, Debug)]
pub(crate) struct Gap {
    /// The addresses of the module.
    pub(crate) addresses: Range<u64>,
    pub(crate) why: Missing,
}

/// Texts, each once.
#[derive(Default)]
struct Shared(HashSet<Arc<str>>);

impl Shared {
    fn shared(&mut self, text: Box<str>) -> Arc<str> {
        if let Some(known) = self.0.get(&*text) {
            return Arc::clone(known);
        }
        let text: Arc<str> = text.into();
        self.0.insert(Arc::clone(&text));
        text
    }
}

/// One look at a program, long enough to name all stacks of a snapshot.
pub(crate) struct Symbols<'a> {
    /// In the order of their addresses.
    modules: Vec<&'a Module>,
    program: Option<&'a Module>,
    search: &'a Search,
    /// Whether the addresses are those of this process, and the modules are loaded in it.
    is_here: bool,
    locations: HashMap<usize, Location>,
    paths: Paths,
    generics: Shared,
    /// What kept names from being found.
    pub(crate) gaps: Vec<Gap>,
    /// The files of which nothing tells whether they are of the build that ran.
    pub(crate) unverified: Vec<String>,
}

impl<'a> Symbols<'a> {
    /// Of this process, with these modules.
    pub(crate) fn of_this_process(modules: &'a [Module], search: &'a Search) -> Symbols<'a> {
        Symbols::new(modules, search, true)
    }

    /// Of another process, or of this one as a file has it.
    pub(crate) fn of_file(modules: &'a [Module], search: &'a Search) -> Symbols<'a> {
        Symbols::new(modules, search, false)
    }

    fn new(modules: &'a [Module], search: &'a Search, is_here: bool) -> Symbols<'a> {
        let program = modules.first();
        let mut modules: Vec<&Module> = modules.iter().collect();
        modules.sort_by_key(|it| it.start);
        Symbols {
            modules,
            program,
            search,
            is_here,
            locations: HashMap::new(),
            paths: Paths::default(),
            generics: Shared::default(),
            gaps: Vec::new(),
            unverified: Vec::new(),
        }
    }

    /// The tracebacks of all callsites, in their order.
    pub(crate) fn tracebacks(&mut self, recorded: &Recorded) -> Vec<Traceback> {
        self.look_up(recorded.addresses.iter().copied());
        recorded
            .callsites
            .iter()
            .map(|callsite| {
                let addresses = &recorded.addresses[callsite.stack.clone()];
                self.stack(addresses, callsite.stack_end, recorded.traceback_limit)
            })
            .collect()
    }

    /// The frames that blocks of each callsite are charged to by [`ChargeTo::Caller`], in their order. Names no more
    /// of a stack than that takes.
    pub(crate) fn charged(&mut self, recorded: &Recorded) -> Vec<Frame> {
        let mut charged = vec![None; recorded.callsites.len()];
        for depth in [3, 12] {
            let stacks = || recorded.callsites.iter().zip(&charged);
            let open = stacks().filter(|(_, charged)| charged.is_none());
            let addresses: Vec<usize> = open
                .flat_map(|(it, _)| recorded.addresses[it.stack.clone()].iter().take(depth))
                .copied()
                .collect();
            self.look_up(addresses.into_iter());
            for (callsite, charged) in recorded.callsites.iter().zip(&mut charged) {
                let addresses = recorded.addresses[callsite.stack.clone()].iter();
                let mut frames = addresses
                    .take(depth)
                    .filter_map(|it| self.locations.get(it))
                    .flat_map(|it| it.iter());
                let is_charged = |it: &&Frame| !it.is_passed_over();
                *charged = charged.take().or(frames.find(is_charged).cloned());
            }
        }
        let callsites = recorded.callsites.iter().zip(charged);
        callsites
            .map(|(callsite, charged)| {
                charged.unwrap_or_else(|| {
                    let addresses = &recorded.addresses[callsite.stack.clone()];
                    let limit = recorded.traceback_limit;
                    let whole = self.traceback(addresses, callsite.stack_end, limit);
                    whole.charged(ChargeTo::Caller).clone()
                })
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
        self.look_up(addresses.iter().copied());
        self.stack(addresses, end, limit)
    }

    /// The same of addresses that have been looked up.
    fn stack(&self, addresses: &[usize], end: StackEnd, limit: u16) -> Traceback {
        let instead = match end {
            StackEnd::Overflow => Some("<overflow>"),
            StackEnd::Uncaptured => Some("<heap>"),
            _ => None,
        };
        if instead.is_some() {
            return Traceback::with_end(vec![Frame::new(instead, None, 0, 0)], end);
        }
        let locations = addresses.iter().filter_map(|it| self.locations.get(it));
        let locations: Vec<&Location> = locations.collect();
        let tracer = frames_of_the_tracer(locations.iter().flat_map(|it| it.iter()));
        let whole: Vec<Frame> = locations
            .iter()
            .flat_map(|it| it.iter().cloned())
            .skip(tracer)
            .collect();
        if whole.is_empty() {
            return Traceback::with_end(vec![Frame::default()], end);
        }
        let whole = Traceback::with_end(whole, end);
        let charged = tracer + whole.charged_at(ChargeTo::Caller, &[]).unwrap_or(0);

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

    /// The module that has the code before a return address.
    fn module_of(&self, address: usize) -> Option<usize> {
        let call = (address as u64).saturating_sub(1);
        let after = self.modules.partition_point(|it| it.start <= call);
        let module = after.checked_sub(1)?;
        (call < self.modules[module].end).then_some(module)
    }
}

/// How many of the innermost frames are those of a record. In a build without optimization the standard library calls
/// closures of the tracer in between.
fn frames_of_the_tracer<'f>(frames: impl Iterator<Item = &'f Frame>) -> usize {
    const MOST_BETWEEN: usize = 4;
    let (mut ours, mut between) = (0, 0);
    for (at, frame) in frames.enumerate() {
        match frame.origin() {
            Origin::Tracer => (ours, between) = (at + 1, 0),
            Origin::Std if between < MOST_BETWEEN => between += 1,
            _ => break,
        }
    }
    ours
}

#[cfg(all(test, not(miri)))]
mod tests {
    use super::*;

    fn symbols() -> Symbols<'static> {
        // NOTE: the tests' own, for as long as they run.
        let modules: &[Module] = Box::leak(crate::snapshot::modules::known().into_boxed_slice());
        Symbols::of_this_process(modules, Box::leak(Box::default()))
    }

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
        let traceback = symbols().traceback(&addresses, StackEnd::Complete, 100);
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
            format!("alloc-core/src/snapshot/symbols/mod.rs:{line}")
        );
        assert_eq!(traceback[caller].origin(), Origin::Workspace);
    }

    #[test]
    fn the_limit_counts_addresses_from_the_charged_one() {
        let mut symbols = symbols();
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
        let nowhere = symbols().traceback(&[0x11], StackEnd::Broken, 8);
        assert_eq!(nowhere.charged(ChargeTo::Caller).to_string(), "0x10");
        assert!(nowhere.is_broken());
    }

    #[test]
    fn the_charged_frames_are_those_of_the_whole_stacks() {
        let mut recorded = Recorded {
            traceback_limit: 32,
            ..Recorded::default()
        };
        let std = recorded_stack(&mut recorded, here);
        for depth in 0..std {
            recorded_stack(&mut recorded, || here().split_off(depth));
        }
        let tracebacks = symbols().tracebacks(&recorded);
        let charged = symbols().charged(&recorded);
        for (traceback, charged) in tracebacks.iter().zip(charged) {
            assert_eq!(*traceback.charged(ChargeTo::Caller), charged);
        }
    }

    fn recorded_stack(recorded: &mut Recorded, stack: impl FnOnce() -> Vec<usize>) -> usize {
        let (start, stack) = (recorded.addresses.len(), stack());
        recorded.addresses.extend(&stack);
        recorded
            .callsites
            .push(crate::snapshot::recorded::RecordedCallsite {
                stack: start..recorded.addresses.len(),
                ..Default::default()
            });
        stack.len()
    }

    #[test]
    fn no_frame_at_all_is_an_unknown_one() {
        let mut symbols = symbols();
        let empty = symbols.traceback(&[], StackEnd::Broken, 8);
        assert_eq!(empty.charged(ChargeTo::Caller).to_string(), "<unknown>");
        let overflow = symbols.traceback(&[], StackEnd::Overflow, 8);
        assert_eq!(overflow.charged(ChargeTo::Caller).to_string(), "<overflow>");
        let heap = symbols.traceback(&[], StackEnd::Uncaptured, 0);
        assert_eq!(heap.charged(ChargeTo::Caller).to_string(), "<heap>");
    }
}
