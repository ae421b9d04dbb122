//! [`Symbols`]: turns addresses into frames.
//!
//! In: return addresses and modules. Out: frames and tracebacks. It never reads a file itself,
//! which is the [`Symbolizer`](crate::symbolizer::Symbolizer)'s job. A symbolizer keeps nothing, so
//! a bounded [cache](cache) here holds the frames of this process.

mod cache;
mod lookup;
mod paths;

use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::sync::Arc;

use crate::missing::Missing;
use crate::modules::Module;
use crate::recorded::{Recorded, StackEnd};
use crate::stack::frame::Frame;
use crate::stack::origin::Origin;
use crate::stack::traceback::{ChargeTo, Traceback};
use crate::symbolizer::Search;
use paths::Paths;

pub use cache::resident;

/// The frames at an address: the innermost inlined function first, the function that contains the
/// code last.
pub(crate) type Location = Arc<[Frame]>;

/// The traceback of these return addresses of this process, cut to `limit` addresses.
pub fn traceback_here(
    modules: &[Module],
    addresses: &[usize],
    end: StackEnd,
    limit: u16,
) -> Traceback {
    let search = Search::default();
    Symbols::of_this_process(modules, &search).traceback(addresses, end, limit)
}

/// Why code of a module has no names or lines.
#[derive(Clone, Debug)]
pub(crate) struct Gap {
    /// The addresses of the module.
    pub(crate) addresses: Range<u64>,
    pub(crate) why: Missing,
}

/// Deduplicated strings.
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

/// Names the stacks of one snapshot.
pub(crate) struct Symbols<'a> {
    /// Sorted by address.
    modules: Vec<&'a Module>,
    program: Option<&'a Module>,
    search: &'a Search,
    /// Whether the addresses belong to this process, and the modules are loaded in it.
    is_here: bool,
    locations: HashMap<usize, Location>,
    paths: Paths,
    generics: Shared,
    /// Why names are missing.
    pub(crate) gaps: Vec<Gap>,
    /// Files that nothing identifies, so they may be of another build than the one that ran.
    pub(crate) unverified: Vec<String>,
}

impl<'a> Symbols<'a> {
    /// For addresses of this process, with these modules.
    pub(crate) fn of_this_process(modules: &'a [Module], search: &'a Search) -> Symbols<'a> {
        Symbols::new(modules, search, true)
    }

    /// For addresses from a file, of another process or of this one.
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

    /// The tracebacks of all callsites, in order.
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

    /// The frames at each of these return addresses, in order.
    pub(crate) fn frames(&mut self, addresses: &[u64]) -> Vec<Location> {
        let address = |it: &u64| usize::try_from(*it).unwrap_or(usize::MAX);
        self.look_up(addresses.iter().map(address));
        let frames = |it: &u64| self.locations.get(&address(it)).cloned();
        addresses
            .iter()
            .map(|it| frames(it).unwrap_or_default())
            .collect()
    }

    /// The frame that [`ChargeTo::Caller`] charges for each callsite, in order. Names only as much
    /// of each stack as necessary.
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

    /// The stack of these return addresses, without the tracer's frames, cut to `limit` addresses
    /// from the charged one on.
    pub(crate) fn traceback(
        &mut self,
        addresses: &[usize],
        end: StackEnd,
        limit: u16,
    ) -> Traceback {
        self.look_up(addresses.iter().copied());
        self.stack(addresses, end, limit)
    }

    /// The stack of addresses that have been looked up.
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

        // The number of frames at the addresses up to the limit.
        let mut frames = 0;
        // NOTE: a damaged file may have stacks and a limit of zero.
        let mut left = usize::from(limit).max(1);
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

    /// The module with the code before a return address.
    fn module_of(&self, address: usize) -> Option<usize> {
        let call = (address as u64).saturating_sub(1);
        let after = self.modules.partition_point(|it| it.start <= call);
        let module = after.checked_sub(1)?;
        (call < self.modules[module].end).then_some(module)
    }
}

/// How many of the innermost frames belong to the tracer. Without optimization, the standard
/// library calls closures of the tracer in between.
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
