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

/// What a thread needs to walk its stack: above all, the stack as it was at the last walk.
///
/// # Implementation
///
/// A program that allocates has changed a few inner frames since it last did; the outer ones are
/// still there. So a walk first looks how far the links of the last walk still hold, from the outermost
/// inwards: one comparison for each word that was read, where a step takes a look-up and a chain of
/// dependent loads. Then it steps outwards from where it is, by rules, until it meets one of these.
///
/// # Why it is exact
///
/// A step is a function of three registers, as they were in the frame (the return address `pc`, the
/// stack pointer `sp`, and `bp`), and of the words that it reads: the return address of the next
/// frame and, if the rule says so, the saved rbp. A link holds where both words lie and what they
/// were. If a link meets a new step in place and return address, the frame's `pc` and `sp` are the
/// same; if its rbp is the same too, or not [needed](PreviousStack::is) further out, then by induction
/// each link beyond is what a step would find, as long as the words in its places are unchanged.
/// That is what is verified.
///
/// *Place and return address alone are not enough*: functions with over-aligned locals count from
/// rbp, so two calls may share both, differ in rbp, and find the dead frame's return address still
/// lying there.
///
/// A link holds only as long as all links outside of it do: functions that recurse call each other from the
/// same places in other orders.
///
/// *Nor is a step the same function for ever*: in code that may be unloaded ([`Rules`]) another
/// library may have come to the same return address, with another frame size, and the dead
/// library's words may still lie in their places. A link that was found by such a rule says so
/// ([`Flags::UNLOADABLE`]) and holds only if the step is made again and finds the same.
///
/// # What is kept
///
/// Links, outermost first, so that inner ones come and go at the end like the stack itself. Beyond
/// the limit more are kept than a stack shows ([`SLACK`]), so that a deep recursion that returns does
/// not start over each time. A stack that could not be followed to its bottom, or that is not the
/// thread's own, is not reused.
///
/// # The hash
///
/// The hash of a stack is a polynomial over its mixed addresses, so each link stores the sum of all
/// from itself outwards: only links that are new are hashed, and the window of the innermost `limit`
/// is the difference of two sums.
///
/// # Whole stacks
///
/// Most walks find what one before found, if not the last one. So stacks that come back are
/// [remembered](CachedStacks) as a whole, with their callsite, and a walk begins by asking whether all words
/// that such a stack was found by are still there: nine of ten walks of a JSON parser end there.
///
/// # Cost
///
/// In instructions, as callgrind counts them: a stack that is remembered takes 60 and 5 for each frame, all in all
/// about 130. A walk takes 145, 19 for each step, 17 for each link that is new, 5 for each that is verified. One that
/// has to know rbp is begun again, and takes 40 for each step and each new link.
///
/// # Memory
///
/// All that is kept takes some pages, of which a thread that allocates little needs none. So a walker begins with
/// [light](Self::walk_lightly) walks, and begins to keep something when there were [a few](LIGHT_WALKS).
#[repr(C)]
pub(crate) struct Walker {
    /// Whether walks are not light any more.
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
    /// Where the return address of zero lies that ends the stack, if one does.
    bottom: usize,
    end: StackEnd,
    reach: Reach,
    /// Whether the last walk was of the thread's own stack and found all that it was to show.
    is_whole: bool,
    /// Where the last walk began, and where others do: there is one for each way to allocate.
    site: CaptureSite,
    other_sites: [CaptureSite; 3],
    /// What distinguishes remembered stacks besides their words: the label that the thread records with.
    tag: usize,
    /// Where the last walk began, if it was of the thread's own stack.
    start: Option<StackKey>,
    last_new_stack: NewStack,
    /// How many links, from the outermost, are still those of the last newcomer.
    common: usize,
    /// What light walks find. NOTE: all that they use is above, here, and at the front of what follows, on one page or two.
    light: [usize; LIGHT_FRAMES],
    cached: CachedStacks,
    /// Those of the last walk.
    previous: PreviousStack,
    new_frames: NewFrames,
    buffer: Buffer,
}

/// How many links are kept beyond the limit.
const SLACK: usize = 64;

impl Walker {
    /// Gets ready to walk the stack of another thread.
    pub(crate) fn begin(&mut self, bounds: StackBounds) {
        self.bounds = bounds;
        if self.keeps {
            self.begin_to_keep();
        }
        self.forget();
    }

    /// Begins to keep what walks find.
    #[cold]
    fn begin_to_keep(&mut self) {
        self.keeps = true;
        self.light_len = 0;
        (self.bottom, self.end) = (0, StackEnd::Complete);
        self.previous.begin(0, true);
        self.len = 0;
        self.reuse_nothing();
    }

    /// Forgets callsites: there are others now.
    pub(crate) fn forget(&mut self) {
        self.cached.clear();
        self.last_new_stack.callsite = 0;
    }

    /// Recalls only stacks that were remembered with the same tag from now on.
    pub(crate) fn set_tag(&mut self, tag: u64) {
        self.tag = tag as usize;
    }

    /// Shows `limit` frames of a stack from now on. NOTE: what is remembered must be forgotten before, if it
    /// is another limit.
    pub(crate) fn set_limit(&mut self, limit: usize) {
        let limit = limit.min(MAX_FRAMES);
        if limit != self.limit {
            // What is kept may not reach as far.
            self.reuse_nothing();
        }
        self.limit = limit;
        self.power = StackHash::power(limit);
    }

    /// The last link that a stack does not show.
    #[inline(always)]
    fn outermost(&self) -> usize {
        self.len.saturating_sub(self.limit)
    }
}
