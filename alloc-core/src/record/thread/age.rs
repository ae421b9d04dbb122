//! The lifetimes of blocks, as a thread counts them.

use super::ThreadState;
use crate::record::gate::GateWord;
use crate::record::session::TABLES;
use crate::record::settings;
use crate::system::sync::Ordering::Relaxed;
use crate::tables::callsites::CallsiteId;
use crate::tables::lifetimes::{Age, Birth, Time};

/// Bytes that a thread allocates before it moves the clock of bytes.
const UNCOUNTED: u64 = 64 << 10;

impl ThreadState {
    /// Whether the thread has joined the generation that was seen, without scopes, in a session
    /// that records more of each block than its stack.
    #[inline(always)]
    pub(crate) fn extends_at(&self, word: GateWord) -> bool {
        word.word() == self.extending.load(Relaxed)
    }

    /// The birth of a block that is allocated at this time, which is now.
    #[inline(always)]
    pub(crate) fn birth(&self, time: Time, size: usize) -> Birth {
        let uncounted = self.uncounted_bytes.load(Relaxed) + size as u64;
        let birth = Birth::at(TABLES.clock.moment(time, uncounted));
        self.uncounted_bytes.store(uncounted, Relaxed);
        if uncounted >= UNCOUNTED {
            self.count_bytes();
        }
        birth
    }

    #[cold]
    fn count_bytes(&self) {
        TABLES.clock.advance(self.uncounted_bytes.load(Relaxed));
        self.uncounted_bytes.store(0, Relaxed);
    }

    /// Counts how long a block of a callsite lived that is freed at this time, which is now.
    #[cfg_attr(not(debug_assertions), inline(always))]
    pub(crate) fn died(&self, time: Time, callsite: CallsiteId, birth: Birth) {
        let clock = &TABLES.clock;
        let now = clock.moment(time, self.uncounted_bytes.load(Relaxed));
        let age = clock.age(birth, now);
        self.deaths.add(callsite, age, &TABLES.lifetimes);
    }

    /// Adds the deaths and the bytes that the thread holds back. NOTE: only by the owner, or while
    /// it is stopped.
    pub(super) fn settle_lifetimes(&self) {
        if settings::ages() {
            self.deaths.flush(&TABLES.lifetimes);
            self.count_bytes();
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
