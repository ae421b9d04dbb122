//! [`Walker`]: what a thread keeps to walk its stack.

mod capture;
mod interning;
mod light;
mod line;
mod reuse;
#[cfg(test)]
mod tests;
mod walk;

use super::cached_stack::{CachedStacks, StackKey};
use super::previous_stack::{NewFrames, PreviousStack};
use crate::capture::{Buffer, MAX_FRAMES, StackBounds};
use crate::snapshot::recorded::StackEnd;
use crate::tables::stack_hash::StackHash;
use capture::CaptureSite;
use interning::NewStack;
use light::LIGHT_FRAMES;
use reuse::Reach;

/// What a thread keeps to walk its stack: the stack of the previous walk, and stacks that come
/// back.
///
/// # Implementation
///
/// Between two allocations a program changes a few inner frames; the outer ones stay. So a walk
/// first verifies the links of the previous walk, from the outermost inwards: one comparison for
/// each word that was read, where a step takes a lookup and a chain of dependent loads. Then it
/// steps outwards from the innermost frame, by rules, until it meets a link that is still valid.
///
/// # Why it is exact
///
/// A step is a function of three registers of the frame (the return address `pc`, the stack pointer
/// `sp`, and `bp`) and of the words that it reads: the return address of the next frame and, if the
/// rule says so, the saved rbp. A link stores the addresses and the values of both words. If a step
/// finds the return address of a link at the same address, the frame's `pc` and `sp` are equal. If
/// its rbp is equal too, or not [needed](PreviousStack::is) further out, then by induction each
/// link beyond is what a step would find, as long as its words are unchanged. The walk verifies
/// exactly that.
///
/// *Address and return address alone are not enough*: functions with over-aligned locals count from
/// rbp. Two calls may share both, differ in rbp, and find the return address of a dead frame.
///
/// A link is valid only if all links outside of it are: recursive functions call each other from
/// the same call sites in different orders.
///
/// *A rule may change*: where code may be unloaded ([`Rules`](super::rules::Rules)), another
/// library may be mapped at the same return address, with another frame size, while the words of
/// the dead library are still on the stack. A link that was found by such a rule has a flag
/// ([`Flags::UNLOADABLE`](super::previous_stack::Flags::UNLOADABLE)), and is valid only if the step
/// is repeated with the same result.
///
/// # What is kept
///
/// Links, outermost first, so that inner ones are pushed and popped at the end like the stack
/// itself. More links are kept than a stack shows ([`SLACK`]), so that a deep recursion that
/// returns does not start over each time. A stack that could not be walked to its bottom, or that
/// is not the thread's own, is not reused.
///
/// # The hash
///
/// The hash of a stack is a polynomial over its mixed addresses. Each link stores the sum from
/// itself outwards, so only new links are hashed, and the innermost `limit` addresses are the
/// difference of two sums.
///
/// # Whole stacks
///
/// Most walks find a stack that an earlier walk found. So stacks that come back are
/// [cached](CachedStacks) as a whole, with their callsite. A walk begins by comparing all words
/// that a cached stack was found by: nine of ten walks of a JSON parser end there.
///
/// # Cost
///
/// In instructions, as callgrind counts them: a cached stack takes 60 and 5 for each frame, about
/// 130 in total. A walk takes 145, 19 for each step, 17 for each new link, 5 for each verified one.
/// A walk that needs rbp starts over, and takes 40 for each step and each new link.
///
/// # Memory
///
/// What is kept takes some pages, which a thread that allocates little does not need. So the [first
/// walks](light::LIGHT_WALKS) of a thread are [light](Self::walk_lightly), and keep nothing.
#[repr(C)]
pub(crate) struct Walker {
    /// Whether walks keep links, and are not light any more.
    keeps: bool,
    light_walks: u16,
    /// How many addresses the last walk found, if it was a light one, and their hash.
    light_len: usize,
    light_hash: u64,
    bounds: StackBounds,
    limit: usize,
    /// The hash's base to the power of `limit`.
    power: u64,
    /// How many links the last walk found.
    len: usize,
    /// The address of the zero that ends the stack; zero if none was found.
    bottom: usize,
    end: StackEnd,
    reach: Reach,
    /// Whether the last walk was of the thread's own stack, and complete.
    is_whole: bool,
    /// Where the last walk began, and where others did: there is one for each way to allocate.
    site: CaptureSite,
    other_sites: [CaptureSite; 3],
    /// The salt of the tag that the thread records with. Stacks are cached for each tag.
    tag: usize,
    /// The key of the last walk in the cache, if it was of the thread's own stack.
    key: Option<StackKey>,
    last_new_stack: NewStack,
    /// How many links, from the outermost, are still those of the last new stack.
    common: usize,
    /// The addresses of a light walk. NOTE: all that such a walk uses is here or above, on one page
    /// or two.
    light: [usize; LIGHT_FRAMES],
    cached: CachedStacks,
    /// The links of the previous walk.
    previous: PreviousStack,
    new_frames: NewFrames,
    buffer: Buffer,
}

/// How many links are kept beyond the limit.
const SLACK: usize = 64;

impl Walker {
    /// Prepares for the stack of another thread.
    pub(crate) fn begin(&mut self, bounds: StackBounds) {
        self.bounds = bounds;
        if self.keeps {
            self.begin_to_keep();
        }
        self.forget();
    }

    /// Starts to keep links.
    #[cold]
    fn begin_to_keep(&mut self) {
        self.keeps = true;
        self.light_len = 0;
        (self.bottom, self.end) = (0, StackEnd::Complete);
        self.previous.begin(0, true);
        self.len = 0;
        self.reuse_nothing();
    }

    /// Forgets callsites: a new session numbers them from the start.
    pub(crate) fn forget(&mut self) {
        self.cached.clear();
        self.last_new_stack.callsite = 0;
    }

    /// From now on, looks up stacks that were cached with this tag only.
    pub(crate) fn set_tag(&mut self, tag: u64) {
        self.tag = tag as usize;
    }

    /// From now on, shows `limit` frames of a stack. NOTE: forget cached stacks before another
    /// limit.
    pub(crate) fn set_limit(&mut self, limit: usize) {
        let limit = limit.min(MAX_FRAMES);
        if limit != self.limit {
            // What is kept may not reach as far.
            self.reuse_nothing();
        }
        self.limit = limit;
        self.power = StackHash::power(limit);
    }

    /// The index of the innermost link that a stack does not show.
    #[inline(always)]
    fn outermost(&self) -> usize {
        self.len.saturating_sub(self.limit)
    }
}
