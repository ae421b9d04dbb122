//! Steps that allocate, grow and free.

use std::alloc::dealloc;
use std::sync::atomic::Ordering::Relaxed;

use alloc_core::untraced;

use crate::checks::check;
use crate::refusing::REFUSES;
use crate::{Alive, Block, MAKE, MOST_BLOCKS, Mode, Run, SITES, layout};

impl Run {
    pub(crate) fn size(&mut self) -> usize {
        match self.random.below(50) {
            0 => 1 + self.random.below(300_000),
            _ => 16 * (1 + self.random.below(4)),
        }
    }

    pub(crate) fn innermost(&self) -> Option<usize> {
        let guards = self.alive.iter().rev();
        let mut guards = guards.filter(|(_, it)| matches!(it, Alive::Guard(_)));
        guards.next().map(|&(number, _)| number)
    }

    pub(crate) fn make_some(&mut self, muted: bool) {
        let (size, site) = (self.size(), self.random.below(SITES));
        let zeroed = self.random.one_in(3);
        let scope = self.innermost().filter(|_| !muted);
        self.make_in(scope, size, site, zeroed, muted);
    }

    pub(crate) fn make_in(
        &mut self,
        scope: Option<usize>,
        size: usize,
        site: usize,
        zeroed: bool,
        muted: bool,
    ) {
        let work = || MAKE[site](layout(size), zeroed);
        let address = if muted { untraced(work) } else { work() };
        let block = Block {
            address,
            size,
            site: (self.mode != Mode::Off && !muted).then_some(site),
            session: self.session,
            owner: scope,
        };
        self.change(None, Some(block), false);
        self.born(scope, size);
        self.live.push(block);
    }

    pub(crate) fn free_some(&mut self) {
        if !self.live.is_empty() {
            let at = self.random.below(self.live.len());
            let block = self.live.swap_remove(at);
            self.free(block);
        }
    }

    pub(crate) fn free(&mut self, block: Block) {
        // SAFETY: it is live and has that layout.
        unsafe { dealloc(block.address, layout(block.size)) };
        let scope = self.innermost();
        self.freed(block, scope);
    }

    pub(crate) fn freed(&mut self, block: Block, scope: Option<usize>) {
        self.change(Some(block), None, false);
        self.died(scope, block);
    }

    pub(crate) fn grow_some(&mut self, muted: bool) {
        if self.live.is_empty() {
            return;
        }
        let (size, site) = (self.size(), self.random.below(SITES));
        let at = self.random.below(self.live.len());
        let old = self.live[at];
        let work = || old.grow(site, size);
        let address = if muted { untraced(work) } else { work() };
        let scope = self.innermost().filter(|_| !muted);
        let block = Block {
            address,
            size,
            site: (self.mode != Mode::Off && !muted).then_some(site),
            session: self.session,
            owner: scope,
        };
        self.change(Some(old), Some(block), true);
        self.moved(scope, old, size);
        self.live[at] = block;
    }

    pub(crate) fn muted(&mut self) {
        match self.random.below(3) {
            0 if self.live.len() < MOST_BLOCKS => self.make_some(true),
            1 => self.grow_some(true),
            _ if !self.live.is_empty() => {
                let at = self.random.below(self.live.len());
                let block = self.live.swap_remove(at);
                // SAFETY: it is live and has that layout.
                untraced(|| unsafe { dealloc(block.address, layout(block.size)) });
                // NOTE: a muted thread is in no scope.
                self.freed(block, None);
            }
            _ => {}
        }
    }

    /// The inner allocator refuses, and nothing changes.
    pub(crate) fn refused(&mut self) {
        let (size, site) = (self.size(), self.random.below(SITES));
        REFUSES.store(true, Relaxed);
        let made = MAKE[site](layout(size), self.random.one_in(2));
        let grown = match self.live.first() {
            Some(&block) => block.grow(site, size),
            None => std::ptr::null_mut(),
        };
        REFUSES.store(false, Relaxed);
        check("what was refused", (made, grown), Default::default());
    }

    pub(crate) fn track_something(&mut self) {
        if self.mode == Mode::Off {
            untraced(|| assert!(alloc_core::track(1, 1, 1).is_err()));
        } else if self.tracked.len() < self.tracked.capacity() {
            let (address, size) = (self.random.below(1 << 20) << 4, self.random.below(5_000));
            self.untrack_if_there(address);
            untraced(|| alloc_core::track(1, address, size)).expect("it is tracked");
            self.change_heap(size as i64);
            self.tracked.push((address, size));
        }
    }

    pub(crate) fn untrack_if_there(&mut self, address: usize) {
        if let Some(at) = self.tracked.iter().position(|it| it.0 == address) {
            let tracked = self.tracked.swap_remove(at);
            self.untrack(tracked);
        }
    }

    pub(crate) fn untrack_something(&mut self) {
        if let Some(tracked) = self.tracked.pop() {
            self.untrack(tracked);
        }
    }

    pub(crate) fn untrack(&mut self, (address, size): (usize, usize)) {
        alloc_core::untrack(1, address).expect("it is tracked");
        self.change_heap(-(size as i64));
    }
}
