//! The lifetimes of blocks, as a thread counts them.

use super::ThreadState;
use crate::record::gate::GateWord;
use crate::record::session::TABLES;
use crate::record::settings;
use crate::system::sync::Ordering::Relaxed;
use crate::tables::callsites::CallsiteId;
use crate::tables::lifetimes::{Age, Birth};

/// Bytes that a thread allocates before it moves the clock of bytes.
const UNCOUNTED: u64 = 64 << 10;

impl ThreadState {
    /// Whether the session that the thread last joined records how long blocks live.
    #[inline(always)]
    pub(crate) fn ages(&self) -> bool {
        self.ages.load(Relaxed)
    }

    /// Whether the session that the thread last joined keeps the time and the exact size of each
    /// block.
    #[inline(always)]
    pub(crate) fn keeps_origins(&self) -> bool {
        self.keeps_origins.load(Relaxed)
    }

    /// Whether the thread has joined the generation that was seen, without scopes, in a session
    /// that records more of each block than its stack.
    #[inline(always)]
    pub(crate) fn extends_at(&self, word: GateWord) -> bool {
        word.word() == self.extending.load(Relaxed)
    }

    /// Keeps the birth of a block.
    #[inline(never)]
    pub(crate) fn born(&self, address: usize, size: usize) {
        let clock = &TABLES.clock;
        let mut uncounted = self.uncounted_bytes.load(Relaxed) + size as u64;
        // NOTE: a block without memory for its birth has no age.
        let _ = TABLES.births.insert(address, clock.now(uncounted));
        if uncounted >= UNCOUNTED {
            clock.advance(uncounted);
            uncounted = 0;
        }
        self.uncounted_bytes.store(uncounted, Relaxed);
    }

    /// Counts how long a block lived that is freed now.
    #[inline(never)]
    pub(crate) fn died(&self, callsite: Option<CallsiteId>, birth: Option<Birth>) {
        if let (Some(callsite), Some(birth)) = (callsite, birth) {
            let clock = &TABLES.clock;
            let now = clock.now(self.uncounted_bytes.load(Relaxed));
            let age = clock.age(birth, now);
            self.deaths.add(callsite, age, &TABLES.lifetimes);
        }
    }

    /// Adds the deaths and the bytes that the thread holds back. NOTE: only by the owner, or while
    /// it is stopped.
    pub(super) fn settle_lifetimes(&self) {
        if settings::ages() {
            self.deaths.flush(&TABLES.lifetimes);
            TABLES.clock.advance(self.uncounted_bytes.load(Relaxed));
            self.uncounted_bytes.store(0, Relaxed);
        }
    }

    /// Forgets the deaths that the thread holds back. NOTE: only while the owner is stopped.
    pub(super) fn clear_lifetimes(&self) {
        self.deaths.clear();
        self.uncounted_bytes.store(0, Relaxed);
    }

    /// Bytes that the thread allocated and that the clock does not count yet.
    pub(crate) fn uncounted_bytes(&self) -> u64 {
        self.uncounted_bytes.load(Relaxed)
    }

    /// Calls `each` with the deaths that the thread holds back.
    pub(crate) fn for_each_death(&self, each: impl FnMut(CallsiteId, Age, u64)) {
        self.deaths.for_each(each);
    }
}
