//! Sampling on the recording side: which blocks are sampled, their weight, and a filter of their
//! addresses.

use std::ptr::NonNull;

use crate::system::arena;
use crate::system::sync::{AtomicU8, Ordering};
use crate::tables::callsites::CallsiteId;

#[cfg(test)]
use alloc_core_snapshot::seam::sampling::variance;
pub(crate) use alloc_core_snapshot::seam::sampling::{Interval, Rounding, Weighted};

/// What the live-block index stores for a sampled block. In a session that records every block it
/// stores the callsite alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SampledBlock {
    pub(crate) callsite: CallsiteId,
    pub(crate) rounding: Rounding,
}

impl SampledBlock {
    const CALLSITE_BITS: u32 = u32::BITS - Rounding::BITS;
    const CALLSITES: u32 = (1 << SampledBlock::CALLSITE_BITS) - 1;

    /// Packs both into one word, stored in place of a callsite's id.
    pub(crate) fn pack(self) -> CallsiteId {
        let rounding = self.rounding.word() << SampledBlock::CALLSITE_BITS;
        CallsiteId::from_word(self.callsite.get() | rounding).unwrap_or(self.callsite)
    }

    pub(crate) fn unpack(packed: CallsiteId) -> Option<SampledBlock> {
        let callsite = CallsiteId::from_word(packed.get() & SampledBlock::CALLSITES)?;
        let rounding = Rounding::from_word(packed.get() >> SampledBlock::CALLSITE_BITS);
        Some(SampledBlock { callsite, rounding })
    }
}

impl From<CallsiteId> for SampledBlock {
    fn from(callsite: CallsiteId) -> SampledBlock {
        SampledBlock {
            callsite,
            rounding: Rounding::default(),
        }
    }
}

const _: () = assert!(CallsiteId::MOST <= SampledBlock::CALLSITES);

/// A counting filter over addresses: the number of sampled blocks in each range of 16 KiB.
///
/// Nearly every free is of a block that was not sampled, and one load here shows that. Only the
/// other frees look into the live-block index, of which four bytes for each granule would pass
/// through the cache.
///
/// # Why no sampled block is missed
///
/// A block is counted before its address leaves the allocator and until its record is removed, and
/// a pointer reaches the thread that frees it through some synchronization. So that thread sees a
/// count of one or more. Ranges whose addresses differ by a multiple of 1 GiB share a count, and a
/// saturated count stays saturated. Both cost only a needless lookup in the index.
///
/// PERF: a static, so a lookup follows no pointer. The counts are bytes, so those of a heap of 100
/// MiB take an eighth of the L1 cache. Counts of ranges without a heap are never touched.
#[repr(align(4096))]
pub(crate) struct SampleFilter {
    counts: [AtomicU8; PLACES],
}

const PLACES: usize = 1 << 16;
const PLACE_BITS: u32 = 14;

impl SampleFilter {
    pub(crate) const fn new() -> SampleFilter {
        SampleFilter {
            counts: [const { AtomicU8::new(0) }; PLACES],
        }
    }

    /// Counts a sampled block.
    pub(crate) fn add(&self, address: usize) {
        self.change(address, |count| count.checked_add(1));
    }

    /// Removes a block that was [added](Self::add).
    pub(crate) fn take(&self, address: usize) {
        self.change(address, |count| match count {
            0 | u8::MAX => None,
            count => Some(count - 1),
        });
    }

    fn change(&self, address: usize, to: impl Fn(u8) -> Option<u8>) {
        // NOTE: an error means that the count stays as it is.
        let _ = self
            .count(address)
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, to);
    }

    /// Whether the block may be a sampled one. `false` is certain.
    #[inline(always)]
    pub(crate) fn may_hold(&self, address: usize) -> bool {
        self.count(address).load(Ordering::Relaxed) != 0
    }

    /// Clears all counts. NOTE: only while the world is stopped; threads may still look.
    pub(crate) fn clear(&self) {
        for count in &self.counts {
            // A count that is zero is not written, so its page stays untouched.
            if count.load(Ordering::Relaxed) != 0 {
                count.store(0, Ordering::Relaxed);
            }
        }
    }

    /// Physical memory of the counts, in bytes.
    pub(crate) fn resident(&self) -> usize {
        arena::resident(NonNull::from(&self.counts).cast(), PLACES)
    }

    #[inline(always)]
    fn count(&self, address: usize) -> &AtomicU8 {
        &self.counts[(address >> PLACE_BITS) % PLACES]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_a_block_counts_as_the_whole_does() {
        let interval = Interval::from_bytes(4096).unwrap();
        for size in [1, 16, 500, 4096, 100_000] {
            let whole = interval.weigh(size, Rounding::from_word(0)).bytes as u64;
            assert_eq!(interval.weigh_part(size, size), whole);
            let halves = 2 * interval.weigh_part(size / 2, size);
            assert!(
                size % 2 == 1 || halves.abs_diff(whole) <= 1,
                "{halves}, {whole}"
            );
            assert_eq!(interval.weigh_part(0, size), 0);
        }
    }

    /// The mean over many runs is within four standard errors of the truth, for sizes below, at and
    /// above the interval.
    #[test]
    fn sums_are_unbiased_for_every_size_and_errors_are_as_large_as_stated() {
        let interval = Interval::from_bytes(4096).unwrap();
        for (size, count) in [(16, 20_000_u64), (500, 2_000), (4096, 400), (10_000, 200)] {
            const RUNS: u64 = 400;
            let mut random = 7;
            let (mut sum_bytes, mut sum_squares, mut sum_blocks) = (0.0, 0.0, 0.0);
            for _ in 0..RUNS {
                let (mut bytes, mut blocks) = (0, 0);
                let (mut until, _) = interval.draw(&mut random);
                for _ in 0..count {
                    until -= size as i64;
                    if until <= 0 {
                        let rounding;
                        (until, rounding) = interval.draw(&mut random);
                        let weighted = interval.weigh(size, rounding);
                        bytes += weighted.bytes;
                        blocks += i64::from(weighted.blocks);
                    }
                }
                sum_bytes += bytes as f64;
                sum_squares += (bytes as f64).powi(2);
                sum_blocks += blocks as f64;
            }
            let runs = RUNS as f64;
            let truth = (size as u64 * count) as f64;
            let mean = sum_bytes / runs;
            let spread = (sum_squares / runs - mean * mean).sqrt();
            let stated = variance(interval, size as u64 * count, count).sqrt();
            let of_mean = stated / runs.sqrt();
            assert!(
                (mean - truth).abs() <= 4.0 * of_mean + 1.0,
                "{size}: {mean} for {truth}"
            );
            assert!(
                (spread - stated).abs() <= 0.25 * stated + 1.0,
                "{size}: spread {spread}, stated {stated}"
            );
            let blocks = sum_blocks / runs;
            // Rounding of single blocks adds at most a half to the spread of each.
            let bound = 4.0 * (of_mean / size as f64 + (count as f64).sqrt() / 2.0 / runs.sqrt());
            assert!(
                (blocks - count as f64).abs() <= bound + 1e-9,
                "{size}: {blocks} for {count}"
            );
        }
    }

    #[test]
    fn what_is_rounded_is_right_on_average_and_the_index_keeps_it() {
        let interval = Interval::from_bytes(1000).unwrap();
        let all = || (0..Rounding::STEPS).map(Rounding::from_word);
        for size in [1, 700, 1000, 1500, 9000] {
            let sum: i64 = all()
                .map(|it| i64::from(interval.weigh(size, it).blocks))
                .sum();
            let mean = sum as f64 / f64::from(Rounding::STEPS);
            let truth = 1.0 / interval.chance(size as f64);
            assert!((mean - truth).abs() < 0.001, "{size}: {mean} for {truth}");
        }
        let ids = [1, 2, 3, 77, CallsiteId::MOST].map(|id| CallsiteId::from_word(id).unwrap());
        for (callsite, rounding) in ids.into_iter().flat_map(|id| all().map(move |it| (id, it))) {
            let drawn = SampledBlock { callsite, rounding };
            assert_eq!(SampledBlock::unpack(drawn.pack()), Some(drawn));
        }
        let whole = ids.map(|id| SampledBlock::unpack(id).unwrap());
        assert_eq!(whole, ids.map(SampledBlock::from));
    }

    /// Holds anywhere in a range, and also 1 GiB further. A saturated count stays.
    #[test]
    fn places_hold_what_was_added_and_not_taken() {
        let places = Box::new(SampleFilter::new());
        let (at, shares, other) = (0x7f00_0000_4000_usize, 0x7f00_4000_4040, 0x7f00_0000_8000);
        assert!(!places.may_hold(at));
        for taken_at in [254, 0, 1] {
            (0..254).for_each(|block| places.add(at + block * 64));
            assert!(places.may_hold(at) && places.may_hold(shares) && !places.may_hold(other));
            (0..254).for_each(|_| places.take(at + taken_at * 64));
            assert!(!places.may_hold(at));
        }
        (0..300).for_each(|block| places.add(at + block * 32));
        (0..300).for_each(|block| places.take(at + block * 32));
        assert!(
            places.may_hold(at),
            "300 blocks were more than a byte counts"
        );
        places.add(other);
        assert!(places.resident() >= arena::PAGE);
        places.clear();
        assert!(!places.may_hold(at) && !places.may_hold(other));
    }

    #[test]
    fn a_block_much_larger_than_the_interval_counts_for_itself() {
        let interval = Interval::from_bytes(1024).unwrap();
        let weighted = interval.weigh(1 << 20, Rounding::default());
        assert_eq!(
            weighted,
            Weighted {
                bytes: 1 << 20,
                blocks: 1
            }
        );
        let most = Interval::from_bytes(Interval::MOST).unwrap();
        assert!(
            most.weigh(1, Rounding::from_word(Rounding::STEPS - 1))
                .blocks
                < 1 << 27
        );
    }
}
