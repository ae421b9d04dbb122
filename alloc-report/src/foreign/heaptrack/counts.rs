//! [`Counts`]: the counters of each stack, from one event after the other.

use std::collections::HashMap;

use alloc_core_snapshot::{Amount, Counters, Error};

use crate::foreign::budget::Budget;

/// The counters of each stack so far.
///
/// # The peak
///
/// A new peak of the heap would have to copy what every callsite holds. Instead the peaks are
/// numbered. A callsite copies what it holds when it first changes after a new peak, which is what
/// it held at that peak.
#[derive(Default)]
pub(super) struct Counts {
    kinds: Vec<Kind>,
    sites: Vec<Site>,
    by_stack: HashMap<u32, u32>,
    /// What the heap holds, in bytes, and the most it ever held.
    held: u64,
    most: u64,
    peak: u64,
}

/// Blocks of one size from one stack.
struct Kind {
    size: u64,
    site: u32,
}

#[derive(Default)]
struct Site {
    stack: u32,
    counters: Counters,
    /// The number of the peak that `at_peak` is of.
    peak: u64,
}

impl Counts {
    pub(super) fn add_kind(
        &mut self,
        size: u64,
        stack: u32,
        budget: &mut Budget,
    ) -> Result<(), Error> {
        budget.take(1, 3 * size_of::<Kind>(), "kinds of blocks")?;
        let next = self.sites.len() as u32;
        let site = *self.by_stack.entry(stack).or_insert(next);
        if site == next {
            budget.take(1, 3 * size_of::<Site>() + 32, "callsites")?;
            self.sites.push(Site {
                stack,
                ..Site::default()
            });
        }
        self.kinds.push(Kind { size, site });
        Ok(())
    }

    pub(super) fn allocate(&mut self, kind: u64) -> Result<(), String> {
        let (size, site) = self.find(kind)?;
        let held = self.held.checked_add(size);
        self.held = held.ok_or("more than 2^64 bytes at once")?;
        let site = &mut self.sites[site];
        site.keep_peak(self.peak);
        let Counters {
            current,
            peak,
            total,
            ..
        } = &mut site.counters;
        let one = Amount::new(size, 1);
        *current += one;
        *total += one;
        peak.bytes = peak.bytes.max(current.bytes);
        peak.blocks = peak.blocks.max(current.blocks);
        if self.held > self.most {
            self.most = self.held;
            self.peak += 1;
        }
        Ok(())
    }

    pub(super) fn free(&mut self, kind: u64) -> Result<(), String> {
        let (size, site) = self.find(kind)?;
        let site = &mut self.sites[site];
        site.keep_peak(self.peak);
        let current = &mut site.counters.current;
        let bytes = current.bytes.get().checked_sub(size);
        let blocks = current.blocks.checked_sub(1);
        let (Some(bytes), Some(blocks)) = (bytes, blocks) else {
            return Err("a free of a block that is not live".to_owned());
        };
        *current = Amount::new(bytes, blocks);
        self.held = self.held.saturating_sub(size);
        Ok(())
    }

    fn find(&self, kind: u64) -> Result<(u64, usize), String> {
        let kind = usize::try_from(kind).ok().and_then(|at| self.kinds.get(at));
        let kind = kind.ok_or("a block of a kind that is not there")?;
        Ok((kind.size, kind.site as usize))
    }

    /// The stacks that allocated, with their counters.
    pub(super) fn finish(self) -> impl Iterator<Item = (u32, Counters)> {
        let peak = self.peak;
        let sites = self.sites.into_iter();
        sites
            .map(move |mut site| {
                site.keep_peak(peak);
                (site.stack, site.counters)
            })
            .filter(|(_, counters)| counters.total.blocks > 0)
    }
}

impl Site {
    /// Keeps what the site holds as its share of this peak, before it changes.
    fn keep_peak(&mut self, peak: u64) {
        if self.peak != peak {
            self.peak = peak;
            self.counters.at_peak = self.counters.current;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Random events, with the peak copied as it happens.
    #[test]
    fn the_share_at_the_peak_is_what_was_held_then() {
        let mut budget = Budget::of(1 << 20, "events");
        let mut random = 0x2545_F491_4F6C_DD1D_u64;
        let mut below = |n: u64| {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            (random >> 33) % n
        };
        for _ in 0..50 {
            let mut counts = Counts::default();
            for kind in 0..12 {
                let stack = kind / 2 + 1;
                counts
                    .add_kind(10 + u64::from(kind), stack, &mut budget)
                    .unwrap();
            }
            let mut live = [0_u64; 12];
            let (mut most, mut at_peak) = (0, live);
            for _ in 0..400 {
                let kind = below(12);
                let at = kind as usize;
                if live[at] > 0 && below(2) == 0 {
                    live[at] -= 1;
                    counts.free(kind).unwrap();
                } else {
                    live[at] += 1;
                    counts.allocate(kind).unwrap();
                }
                let held = (10..).zip(live).map(|(size, blocks)| size * blocks).sum();
                if held > most {
                    (most, at_peak) = (held, live);
                }
            }
            for (stack, counters) in counts.finish() {
                let kinds = [2 * stack - 2, 2 * stack - 1];
                let amount = |blocks: &[u64; 12]| {
                    let blocks = kinds.map(|kind| (kind as u64 + 10, blocks[kind as usize]));
                    let bytes = blocks.iter().map(|(size, blocks)| size * blocks).sum();
                    Amount::new(bytes, blocks.iter().map(|it| it.1).sum())
                };
                assert_eq!(counters.current, amount(&live));
                assert_eq!(counters.at_peak, amount(&at_peak));
            }
        }
    }
}
