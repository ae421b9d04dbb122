//! [`Birth`]: when a block was allocated, and [`Age`], how long ago that was.

use std::num::NonZeroU64;

use crate::system::clock;
use crate::system::sync::{AtomicU64, Ordering::Relaxed};
use crate::tables::blocks::{Companion, Companions};

/// A time is a number of units of this many ticks of the [clock], as a power of two: one to two
/// microseconds.
const UNIT_BITS: u32 = 12;

/// The bits of a birth: the time above, and below it the bytes allocated so far, in KiB, modulo 16
/// GiB.
const BYTES_BITS: u32 = 24;
const KIB_BITS: u32 = 10;

/// The largest numbers of both parts, also as masks.
const UNITS: u64 = (1 << (64 - BYTES_BITS)) - 1;
const KIB: u64 = (1 << BYTES_BITS) - 1;

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

    /// From less than 2^40 units, and less than 2^24 KiB.
    ///
    /// PERF: as floating-point numbers, which have these integers exactly. The exponent is the
    /// octave, and the first bit of the mantissa the half: a third of the instructions of two
    /// logarithms that know zero.
    #[inline(always)]
    fn new(units: u64, kib: u64) -> Age {
        debug_assert!(units <= UNITS && kib <= KIB);
        const HALF_OCTAVE_OF_ONE: u64 = 1.0_f64.to_bits() >> 51;
        const OCTAVE_OF_ONE: u32 = 1.0_f32.to_bits() >> 23;
        let half_octave = (units as i64 as f64).to_bits() >> 51;
        let octave = (kib as i32 as f32).to_bits() >> 23;
        Age {
            time: half_octave.saturating_sub(HALF_OCTAVE_OF_ONE - 1) as u8,
            bytes: octave.saturating_sub(OCTAVE_OF_ONE - 1) as u8,
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
            let last = self.crossings[0].swap(Time::now().0, Relaxed);
            self.crossings[1].store(last, Relaxed);
        }
    }

    /// This moment, for a thread that has allocated so many bytes that are not counted yet.
    #[inline(always)]
    pub(crate) fn now(&self, uncounted: u64) -> Moment {
        self.moment(Time::now(), uncounted)
    }

    /// The moment at a time, which the thread has just read.
    #[inline(always)]
    pub(crate) fn moment(&self, time: Time, uncounted: u64) -> Moment {
        Moment {
            units: time.0,
            kib: (self.bytes.load(Relaxed) + uncounted) >> KIB_BITS,
        }
    }

    /// How long ago a birth was.
    #[inline(always)]
    pub(crate) fn age(&self, birth: Birth, now: Moment) -> Age {
        let units = now.units.wrapping_sub(birth.units()) & UNITS;
        let kib = now.kib.wrapping_sub(birth.kib()) & KIB;
        // NOTE: a block of another thread may be younger than this thread's last look at the clock.
        let units = if units >> 39 != 0 { 0 } else { units };
        let wrapped = birth.units() < self.crossings[1].load(Relaxed);
        // At least 8 GiB ago, perhaps so many that the bytes wrapped around.
        Age::new(units, if wrapped { KIB } else { kib })
    }
}

/// A moment by both clocks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    units: u64,
    kib: u64,
}

/// A time in units.
///
/// PERF: reading it is the largest part of what lifetimes cost: 23 ns twice for each block in a virtual machine where all
/// else takes 8 ns, and 20 cycles on a processor without one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Time(u64);

impl Time {
    #[inline(always)]
    pub(crate) fn now() -> Time {
        Time(clock::ticks() >> UNIT_BITS)
    }
}

/// The length of a unit of time, in picoseconds.
pub(crate) fn unit_picoseconds() -> u64 {
    clock::picoseconds(1 << UNIT_BITS)
}

impl Birth {
    #[inline(always)]
    pub(crate) fn at(moment: Moment) -> Birth {
        let word = moment.units << BYTES_BITS | moment.kib & KIB;
        // A zero time is the first unit after the machine was started.
        Birth(NonZeroU64::new(word).unwrap_or(NonZeroU64::MIN))
    }

    #[inline(always)]
    fn units(self) -> u64 {
        self.0.get() >> BYTES_BITS
    }

    #[inline(always)]
    fn kib(self) -> u64 {
        self.0.get() & KIB
    }
}

impl Companion for Birth {
    const KIND: usize = Companions::BIRTH;

    #[inline(always)]
    fn word(self) -> NonZeroU64 {
        self.0
    }

    #[inline(always)]
    fn from_word(word: NonZeroU64) -> Birth {
        Birth(word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_half_octaves_of_time_and_octaves_of_bytes() {
        let octave = |it: u64| it.checked_ilog2().map_or(0, |at| 1 + at as usize);
        let half_octave = |it: u64| match it.checked_ilog2() {
            None => 0,
            Some(at) => 1 + 2 * at as usize + (it << 1 >> at & 1) as usize,
        };
        let check = |units: u64, kib: u64| {
            let age = Age::new(units, kib);
            assert_eq!(age.time(), half_octave(units), "{units} units");
            assert_eq!(age.bytes(), octave(kib), "{kib} KiB");
            assert_eq!(Age::from_word(age.word()), age);
        };
        for number in 0..5_000 {
            check(number, number);
        }
        for bits in 5..40 {
            for number in (1 << bits) - 9..(1 << bits) + 9 {
                check(number, number & KIB);
                check(number + (1 << (bits - 1)), number & KIB);
            }
        }
        check(UNITS, KIB);
        assert_eq!(Age::new(UNITS, 0).time(), Age::TIMES - 2);
        assert_eq!(Age::new(0, KIB).bytes(), Age::BYTES - 1);
    }

    #[test]
    fn a_block_of_another_thread_may_be_younger_than_this_moment() {
        let clock = Clock::new();
        let birth = |units: u64| Birth(NonZeroU64::new(units << BYTES_BITS).unwrap());
        let now = |units| Moment { units, kib: 0 };
        assert_eq!(clock.age(birth(10), now(9)), Age::new(0, 0));
        assert_eq!(clock.age(birth(UNITS), now(1)), Age::new(2, 0));
    }
}
