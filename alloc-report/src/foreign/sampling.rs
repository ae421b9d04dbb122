//! What a sample stands for, by the rules of pprof and jeprof.

use alloc_core_snapshot::Amount;
use alloc_core_snapshot::seam::sampling::Interval;

/// Scales the sampled amounts of one metric.
///
/// If each byte was drawn with a chance of one in `interval`, a block of a callsite's mean size was
/// drawn with the chance `1 - exp(-mean / interval)`. jemalloc writes its numbers such that this is
/// right for blocks of different sizes too (`prof_unbias`).
pub(super) struct Scale {
    /// None: every block was recorded.
    interval: Option<Interval>,
    /// The parts of bytes and blocks that were left over, if they are carried on.
    carried: Option<[f64; 2]>,
}

impl Scale {
    /// Cuts off what is behind the point, as pprof does.
    pub(super) fn cutting(interval: Option<Interval>) -> Scale {
        Scale {
            interval,
            carried: None,
        }
    }

    /// Carries what is behind the point over to the next amount, so that the sum is that of jeprof,
    /// which adds fractions up.
    pub(super) fn carrying(interval: Option<Interval>) -> Scale {
        Scale {
            interval,
            carried: Some([0.0; 2]),
        }
    }

    /// What the sampled blocks of a callsite stand for.
    pub(super) fn amount(&mut self, amount: Amount) -> Amount {
        let (bytes, blocks) = (amount.bytes.get(), amount.blocks);
        let Some(interval) = self.interval.filter(|_| bytes > 0 && blocks > 0) else {
            return amount;
        };
        let chance = interval.chance(bytes as f64 / blocks as f64);
        let mut exact = [bytes, blocks].map(|it| it as f64 / chance);
        if let Some(carried) = &mut self.carried {
            for (exact, carried) in exact.iter_mut().zip(carried) {
                *exact += *carried;
                *carried = exact.fract();
            }
        }
        Amount::new(exact[0] as u64, exact[1] as u64)
    }
}

/// The interval of this number of bytes; none if it means that every block is recorded.
pub(super) fn interval(bytes: u64) -> Option<Interval> {
    Interval::from_bytes(bytes).filter(|it| it.bytes() > 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check((bytes, blocks): (u64, u64), every: u64, expected: (u64, u64)) {
        let amount = Scale::cutting(interval(every)).amount(Amount::new(bytes, blocks));
        assert_eq!(amount, Amount::new(expected.0, expected.1));
    }

    #[test]
    fn fractions_add_up() {
        let mut scale = Scale::carrying(interval(4096));
        let blocks = (0..1000).map(|_| scale.amount(Amount::new(4096, 1)));
        let mut sum = Amount::default();
        blocks.for_each(|it| sum += it);
        // 1000 / (1 - exp(-1)) = 1581.97..., each of 4096 bytes.
        assert_eq!(sum, Amount::new(6_479_776, 1581));
    }

    #[test]
    fn a_block_stands_for_those_that_were_not_drawn() {
        // 1 / (1 - exp(-1)) = 1.58197...
        check((4096, 1), 4096, (6479, 1));
        check((40_960_000, 10_000), 4096, (64_797_765, 15_819));
        // Large blocks are drawn almost surely.
        check((1 << 30, 1), 4096, (1 << 30, 1));
        check((100, 3), 1, (100, 3));
        check((100, 3), 0, (100, 3));
        check((0, 0), 4096, (0, 0));
        check((0, 7), 4096, (0, 7));
        check((u64::MAX, u64::MAX), 4096, (u64::MAX, u64::MAX));
    }
}
