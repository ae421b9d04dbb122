//! [`Birth`]: when a block was allocated, and [`Age`], how long ago that was.

use std::num::NonZeroU64;

use crate::system::clock;
use crate::system::sync::{AtomicU64, Ordering::Relaxed};
use crate::tables::blocks::Word;

/// A time is a number of units of this many ticks of the [clock], as a power of two: one to two
/// microseconds.
const UNIT_BITS: u32 = 12;

/// The bits of a birth: the time above, and below it the bytes allocated so far, in KiB, modulo 16
/// GiB.
const BYTES_BITS: u32 = 24;
const KIB_BITS: u32 = 10;

/// The distance of two crossings of the byte clock.
const CROSSING_BITS: u32 = 33;

/// When a block was allocated: by the clock, and by the bytes that were allocated before it.
///
/// The time wraps around after 2^40 units, some two weeks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Birth(NonZeroU64);

/// How long a block lives, as the number of its bucket: in time, and in bytes allocated meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Age {
    time: u8,
    bytes: u8,
}

impl Age {
    /// Number of buckets for time: below one unit, and half octaves up to 2^40 units.
    pub(crate) const TIMES: usize = 82;
    /// Number of buckets for bytes: below one KiB, octaves up to 8 GiB, and beyond.
    pub(crate) const BYTES: usize = 25;

    fn new(units: u64, kib: u64) -> Age {
        let octave = |it: u64| it.checked_ilog2();
        let time = octave(units).map_or(0, |at| {
            let half = (units << 1 >> at) & 1;
            1 + 2 * at as u8 + half as u8
        });
        let bytes = octave(kib).map_or(0, |at| 1 + at as u8);
        Age {
            time: time.min(Age::TIMES as u8 - 1),
            bytes: bytes.min(Age::BYTES as u8 - 1),
        }
    }

    pub(crate) fn time(self) -> usize {
        usize::from(self.time)
    }

    pub(crate) fn bytes(self) -> usize {
        usize::from(self.bytes)
    }

    /// Packs the age into twelve bits.
    pub(super) fn word(self) -> u64 {
        u64::from(self.time) << 5 | u64::from(self.bytes)
    }

    pub(super) fn from_word(word: u64) -> Age {
        Age {
            time: (word >> 5 & 0x7F) as u8,
            bytes: (word & 0x1F) as u8,
        }
    }
}

/// The clock of bytes that all threads share.
pub(crate) struct Clock {
    bytes: AtomicU64,
    /// The times of the last two crossings of a multiple of 8 GiB, the last one first.
    crossings: [AtomicU64; 2],
}

impl Clock {
    pub(crate) const fn new() -> Clock {
        Clock {
            bytes: AtomicU64::new(0),
            crossings: [const { AtomicU64::new(0) }; 2],
        }
    }

    /// Sets the clock of bytes to zero. NOTE: only while no thread records.
    pub(crate) fn clear(&self) {
        self.bytes.store(0, Relaxed);
        self.crossings.iter().for_each(|it| it.store(0, Relaxed));
    }

    /// Counts bytes that a thread has allocated.
    pub(crate) fn advance(&self, bytes: u64) {
        let before = self.bytes.fetch_add(bytes, Relaxed);
        if before >> CROSSING_BITS != (before + bytes) >> CROSSING_BITS {
            let last = self.crossings[0].swap(units(), Relaxed);
            self.crossings[1].store(last, Relaxed);
        }
    }

    /// This moment, for a thread that has allocated so many bytes that are not counted yet.
    #[inline(always)]
    pub(crate) fn now(&self, uncounted: u64) -> Birth {
        let kib = (self.bytes.load(Relaxed) + uncounted) >> KIB_BITS;
        let kib = kib & ((1 << BYTES_BITS) - 1);
        let word = units() << BYTES_BITS | kib;
        // A zero time is the first unit after the machine was started.
        Birth(NonZeroU64::new(word).unwrap_or(NonZeroU64::MIN))
    }

    /// How long ago a birth was.
    #[inline(always)]
    pub(crate) fn age(&self, birth: Birth, now: Birth) -> Age {
        let units = now.units().wrapping_sub(birth.units()) & ((1 << (64 - BYTES_BITS)) - 1);
        let kib = now.kib().wrapping_sub(birth.kib()) & ((1 << BYTES_BITS) - 1);
        // NOTE: a block of another thread may be younger than this thread's last look at the clock.
        let units = if units >> 39 != 0 { 0 } else { units };
        if birth.units() < self.crossings[1].load(Relaxed) {
            // At least 8 GiB ago, perhaps so many that the bytes wrapped around.
            return Age::new(units, u64::MAX);
        }
        Age::new(units, kib)
    }
}

#[inline(always)]
fn units() -> u64 {
    clock::ticks() >> UNIT_BITS
}

/// The length of a unit of time, in picoseconds.
pub(crate) fn unit_picoseconds() -> u64 {
    clock::picoseconds(1 << UNIT_BITS)
}

impl Birth {
    #[inline(always)]
    fn units(self) -> u64 {
        self.0.get() >> BYTES_BITS
    }

    #[inline(always)]
    fn kib(self) -> u64 {
        self.0.get() & ((1 << BYTES_BITS) - 1)
    }
}

impl Word for AtomicU64 {
    type Owner = Birth;

    #[inline(always)]
    fn read(&self) -> Option<Birth> {
        NonZeroU64::new(self.load(Relaxed)).map(Birth)
    }

    #[inline(always)]
    fn write(&self, birth: Option<Birth>) {
        self.store(birth.map_or(0, |it| it.0.get()), Relaxed);
    }
}
