//! jemalloc's text, `heap_v2`, of `prof.dump` and of `MALLOC_CONF=prof:true,prof_final:true`.
//!
//! ```text
//! heap_v2/524288                        the mean distance of samples, in bytes
//!   t*: 28: 5664 [0: 0]                 all threads: live blocks and bytes [ever allocated]
//!   t3: 28: 5664 [0: 0]                 one thread
//! @ 0x5f86da8 0x5f5a1dc                 a stack of return addresses, innermost first
//!   t*: 13: 6688 [0: 0]
//!
//! MAPPED_LIBRARIES:                     /proc/self/maps
//! ```
//!
//! What was ever allocated is there with `prof_accum:true` only. The numbers are samples, and are
//! scaled as jeprof does. Threads are not told apart, since jeprof's numbers are of all threads.
//! There are no names: the memory map leads to the files that have them.

use alloc_core_snapshot::seam::recorded::{Recorded, RecordedCallsite};
use alloc_core_snapshot::seam::sampling::Interval;
use alloc_core_snapshot::seam::snapshot::About;
use alloc_core_snapshot::{Amount, Counters, Error, Metric, Snapshot, TracedMemory};

use super::budget::Budget;
use super::contents;
use super::lines::Lines;
use super::maps;
use super::sampling::{Scale, interval};

pub(super) const EXPECTED: &str = "a heap profile of jemalloc's, heap_v2";

/// The line before the memory map.
pub(super) const MAP: &str = "MAPPED_LIBRARIES:";

pub(super) fn read(file: &[u8]) -> Result<Snapshot, Error> {
    let mut budget = Budget::of(file.len(), EXPECTED);
    let mut lines = Lines::of(file, EXPECTED);
    lines.advance()?;
    let every = str::from_utf8(lines.line()).ok();
    let every = every.and_then(|it| it.trim().strip_prefix("heap_v2/")?.parse().ok());
    let sampling = interval(every.ok_or_else(|| lines.error("no interval of samples"))?);
    let [mut live, mut ever] = [sampling; 2].map(Scale::carrying);
    let mut stacks = Addresses::default();
    let mut is_of_stack = false;
    loop {
        if !lines.advance()? {
            let found = format!("found one that is cut off: it ends before {MAP:?}");
            return Err(Error::unexpected(EXPECTED, found));
        }
        let line = String::from_utf8_lossy(lines.line());
        let line = line.trim();
        if line == MAP {
            break;
        } else if let Some(addresses) = line.strip_prefix('@') {
            let added = stacks.add_stack(addresses, &mut budget)?;
            added.map_err(|found| lines.error(found))?;
            is_of_stack = true;
        } else if let Some(counts) = line.strip_prefix("t*:").filter(|_| is_of_stack) {
            let Some((current, total)) = amounts(counts) else {
                return Err(lines.error("no numbers of blocks and bytes"));
            };
            stacks.add_counts(Counters {
                current: live.amount(current),
                total: ever.amount(total),
                ..Counters::default()
            });
        } else if !line.is_empty() && !line.starts_with('t') {
            return Err(lines.error("an unknown kind of line"));
        }
    }
    let map = rest_of(lines)?;
    stacks.snapshot(&map, sampling, EXPECTED, &mut budget)
}

/// The lines that are left.
pub(super) fn rest_of(mut lines: Lines<&[u8]>) -> Result<String, Error> {
    let mut rest = String::new();
    while lines.advance()? {
        rest += &String::from_utf8_lossy(lines.line());
        rest.push('\n');
    }
    Ok(rest)
}

/// What is live and what was ever allocated, in a text such as `13: 6688 [14: 7000]`.
pub(super) fn amounts(text: &str) -> Option<(Amount, Amount)> {
    let (current, total) = text.split_once('[')?;
    let (total, _) = total.split_once(']')?;
    let amount = |text: &str| -> Option<Amount> {
        let (blocks, bytes) = text.split_once(':')?;
        Some(Amount::new(
            bytes.trim().parse().ok()?,
            blocks.trim().parse().ok()?,
        ))
    };
    Some((amount(current)?, amount(total)?))
}

/// Callsites that are stacks of return addresses.
#[derive(Default)]
pub(super) struct Addresses {
    recorded: Recorded,
}

impl Addresses {
    /// Adds a stack such as `0x5f86da8 0x5f5a1dc`. The inner error is what was found instead.
    pub(super) fn add_stack(
        &mut self,
        addresses: &str,
        budget: &mut Budget,
    ) -> Result<Result<(), &'static str>, Error> {
        let start = self.recorded.addresses.len();
        for word in addresses.split_ascii_whitespace() {
            let digits = word.strip_prefix("0x").unwrap_or(word);
            let Ok(address) = usize::from_str_radix(digits, 16) else {
                return Ok(Err("no address"));
            };
            // Each frame of the stack, and the table of names.
            budget.take(1, 6 * size_of::<usize>(), "addresses")?;
            self.recorded.addresses.push(address);
        }
        contents::take_trace(budget, self.recorded.addresses.len() - start)?;
        let deepest = self.recorded.traceback_limit;
        let depth = self.recorded.addresses.len() - start;
        self.recorded.traceback_limit = deepest.max(depth.try_into().unwrap_or(u16::MAX));
        self.recorded.callsites.push(RecordedCallsite {
            stack: start..self.recorded.addresses.len(),
            ..RecordedCallsite::default()
        });
        Ok(Ok(()))
    }

    /// Adds to the numbers of the last stack.
    pub(super) fn add_counts(&mut self, counters: Counters) {
        if let Some(callsite) = self.recorded.callsites.last_mut() {
            callsite.counters += counters;
        }
    }

    /// The snapshot, with the memory map of the process.
    pub(super) fn snapshot(
        self,
        map: &str,
        sampling: Option<Interval>,
        expected: &'static str,
        budget: &mut Budget,
    ) -> Result<Snapshot, Error> {
        let mut recorded = self.recorded;
        let callsites = &recorded.callsites;
        contents::check_sums(callsites.iter().map(|it| &it.counters), expected)?;
        let has_total = callsites.iter().any(|it| it.counters.total.blocks > 0);
        let known: &[Metric] = match has_total {
            true => &[Metric::Current, Metric::Total, Metric::Freed],
            false => &[Metric::Current],
        };
        recorded.heap = TracedMemory {
            current: callsites.iter().map(|it| it.counters.current.bytes).sum(),
            sampled: sampling.is_some(),
            ..TracedMemory::default()
        };
        recorded.heap.peak = recorded.heap.current;
        recorded.sampling = sampling;
        let modules = maps::modules(map.lines(), budget)?;
        let about = About {
            program: modules
                .first()
                .map_or_else(String::new, |it| it.path.clone()),
            modules,
            unknown: contents::only(known),
            ..About::default()
        };
        Ok(Snapshot::of_addresses(recorded, about))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_blocks_and_bytes() {
        let both = (Amount::new(6688, 13), Amount::new(7000, 14));
        assert_eq!(amounts(" 13: 6688 [14: 7000]"), Some(both));
        assert_eq!(amounts(" 13: 6688 [ 14:   7000] @ heap/7"), Some(both));
        for wrong in [
            "",
            "13: 6688",
            "13: 6688 [",
            "13 6688 [1: 2]",
            "-1: 2 [3: 4]",
            "1: 18446744073709551616 [3: 4]",
        ] {
            assert_eq!(amounts(wrong), None, "{wrong}");
        }
    }
}
