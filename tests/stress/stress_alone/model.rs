//! The expected numbers of the heap, the callsites and the scopes.

use alloc_core::{Amount, Usage};

use crate::checks::check;
use crate::{Block, Mode, Run};

impl Run {
    /// One change: a block is freed (`gone`), another is allocated (`come`), or both at once.
    pub(crate) fn change(&mut self, gone: Option<Block>, come: Option<Block>, reallocated: bool) {
        if matches!(self.mode, Mode::Off | Mode::Sampled) {
            return;
        }
        let gone = gone.filter(|it| it.session == self.session && it.site.is_some());
        let come = come.filter(|it| it.site.is_some());
        let size = |block: Option<Block>| block.map_or(0, |it| it.size as i64);
        let grown = size(come) - size(gone);
        if grown < 0 {
            self.fall();
        }
        if let Some(block) = gone {
            let current = &mut self.sites[block.site.unwrap_or(0)].current;
            *current = minus(*current, block.size);
        }
        if let Some(block) = come {
            let site = &mut self.sites[block.site.unwrap_or(0)];
            site.current += Amount::new(block.size as u64, 1);
            site.total += Amount::new(block.size as u64, 1);
            site.reallocations += u64::from(reallocated);
            site.peak.bytes = site.peak.bytes.max(site.current.bytes);
            site.peak.blocks = site.peak.blocks.max(site.current.blocks);
        }
        self.add(grown);
    }

    /// A change of the heap by tracked memory, which belongs to no callsite of the model.
    pub(crate) fn change_heap(&mut self, bytes: i64) {
        if matches!(self.mode, Mode::Off | Mode::Sampled) {
            return;
        }
        if bytes < 0 {
            self.fall();
        }
        self.add(bytes);
    }

    pub(crate) fn fall(&mut self) {
        if self.rising {
            self.rising = false;
            self.at_peak = self.sites.map(|it| it.current);
        }
    }

    pub(crate) fn add(&mut self, bytes: i64) {
        self.current = self.current.wrapping_add_signed(bytes);
        if bytes >= 0 && self.current >= self.peak {
            (self.peak, self.rising) = (self.current, true);
        }
    }

    /// Calls `act` for `scope` and the scopes around it, up to `end`.
    pub(crate) fn each_around(
        &mut self,
        scope: Option<usize>,
        end: Option<usize>,
        act: impl Fn(&mut ScopeModel),
    ) {
        let mut next = scope;
        while let Some(number) = next.filter(|it| Some(*it) != end) {
            act(&mut self.scopes[number]);
            next = self.scopes[number].parent;
        }
    }

    pub(crate) fn is_within(&self, mut scope: Option<usize>, outer: usize) -> bool {
        while let Some(number) = scope {
            if number == outer {
                return true;
            }
            scope = self.scopes[number].parent;
        }
        false
    }

    /// The innermost scope around both.
    pub(crate) fn common(&self, one: Option<usize>, other: Option<usize>) -> Option<usize> {
        let mut next = one;
        while let Some(number) = next.filter(|it| !self.is_within(other, *it)) {
            next = self.scopes[number].parent;
        }
        next
    }

    pub(crate) fn born(&mut self, scope: Option<usize>, size: usize) {
        self.each_around(scope, None, |it| it.born(size));
    }

    pub(crate) fn died(&mut self, scope: Option<usize>, block: Block) {
        let common = self.common(scope, block.owner);
        self.each_around(scope, common, |it| {
            it.before += Amount::new(block.size as u64, 1)
        });
        self.each_around(block.owner, None, |it| it.net = minus(it.net, block.size));
    }

    pub(crate) fn moved(&mut self, scope: Option<usize>, old: Block, size: usize) {
        let common = self.common(scope, old.owner);
        self.each_around(scope, common, |it| {
            it.before += Amount::new(old.size as u64, 1);
            it.born(size);
        });
        self.each_around(common, None, |it| it.reborn(old.size, size));
        self.each_around(scope, None, |it| it.reallocations += 1);
        self.each_around(old.owner, common, |it| it.net = minus(it.net, old.size));
    }
}

/// The expected numbers of a scope.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ScopeModel {
    pub(crate) parent: Option<usize>,
    pub(crate) net: Amount,
    pub(crate) peak: Amount,
    pub(crate) total: Amount,
    pub(crate) reallocations: u64,
    pub(crate) before: Amount,
}

impl ScopeModel {
    pub(crate) fn born(&mut self, size: usize) {
        self.net += Amount::new(size as u64, 1);
        self.total += Amount::new(size as u64, 1);
        self.raise();
    }

    pub(crate) fn reborn(&mut self, old: usize, size: usize) {
        self.net = minus(self.net, old);
        self.net += Amount::new(size as u64, 1);
        self.total += Amount::new(size as u64, 1);
        self.raise();
    }

    fn raise(&mut self) {
        self.peak.bytes = self.peak.bytes.max(self.net.bytes);
        self.peak.blocks = self.peak.blocks.max(self.net.blocks);
    }

    pub(crate) fn check(&self, usage: Usage) {
        check("a scope's blocks", usage.current, self.net);
        check("what a scope allocated", usage.allocated, self.total);
        check("a scope's peak", usage.peak, self.peak);
        let freed = Amount::new(
            (self.total.bytes - self.net.bytes).get(),
            self.total.blocks - self.net.blocks,
        );
        check("what a scope freed", usage.freed, freed);
        check("what was before a scope", usage.freed_before, self.before);
        check(
            "a scope's reallocations",
            usage.reallocations,
            self.reallocations,
        );
    }
}

pub(crate) fn minus(amount: Amount, size: usize) -> Amount {
    Amount::new(amount.bytes.get() - size as u64, amount.blocks - 1)
}
