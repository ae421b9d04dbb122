//! [`Lifetimes`]: how long the blocks of a callsite lived, and how old those are that live.

use std::ops::AddAssign;
use std::time::Duration;

use crate::Bytes;

/// How long the blocks of a callsite lived that were freed, and how old those are that live.
///
/// ```
/// use std::time::Duration;
/// use alloc_core::{Ages, Lifetimes};
///
/// let freed = Ages::default().with_times(Duration::from_millis(2), 100);
/// let mut lifetimes = Lifetimes::default();
/// lifetimes.freed = freed;
/// assert_eq!(lifetimes.freed.count(), 100);
/// assert!(lifetimes.live.oldest().is_none());
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Lifetimes {
    /// Blocks that were freed, or moved by a reallocation.
    pub freed: Ages,
    /// Blocks that live, at the moment of the snapshot.
    pub live: Ages,
}

impl Lifetimes {
    #[doc(hidden)]
    pub fn new(freed: Ages, live: Ages) -> Lifetimes {
        Lifetimes { freed, live }
    }

    /// The length of a unit of time, in picoseconds.
    pub(crate) fn unit(&self) -> u64 {
        self.freed.unit.max(self.live.unit)
    }

    /// The blocks in each bucket, by time and by bytes: of those that were freed, and those that
    /// live.
    pub(crate) fn buckets(&self) -> [(Vec<u64>, Vec<u64>); 2] {
        let all = |used: &[(u8, u64)]| {
            let mut buckets = vec![0; used.last().map_or(0, |it| usize::from(it.0) + 1)];
            used.iter()
                .for_each(|&(at, blocks)| buckets[usize::from(at)] = blocks);
            buckets
        };
        [&self.freed, &self.live].map(|it| (all(&it.times), all(&it.bytes)))
    }
}

/// Numbers of blocks by age, in buckets.
///
/// There are two buckets for each power of two of time, so a quantile is exact to within a factor
/// of 1.5, or of two below some three microseconds; and one for each power of two of bytes. An age
/// in bytes is what the program allocated meanwhile.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Ages {
    /// Length of a unit of time, in picoseconds.
    pub(crate) unit: u64,
    /// Numbers of buckets that are not empty and how many blocks they have, by time in units.
    pub(crate) times: Vec<(u8, u64)>,
    /// The same by bytes in KiB.
    pub(crate) bytes: Vec<(u8, u64)>,
}

/// The unit of ages that are made by hand: a microsecond.
const MICROSECOND: u64 = 1_000_000;

impl Ages {
    /// Ages from the numbers of blocks in each bucket, with the length of a unit in picoseconds.
    #[doc(hidden)]
    pub fn from_buckets(unit: u64, times: &[u64], bytes: &[u64]) -> Ages {
        let used = |buckets: &[u64]| {
            let numbered = (0..=u8::MAX).zip(buckets.iter().copied());
            numbered.filter(|(_, blocks)| *blocks > 0).collect()
        };
        Ages {
            unit,
            times: used(times),
            bytes: used(bytes),
        }
    }

    /// The same with so many more blocks of this age.
    ///
    /// ```
    /// use std::time::Duration;
    /// use alloc_core::Ages;
    ///
    /// let ages = Ages::default().with_times(Duration::from_secs(1), 3);
    /// assert_eq!(ages.count(), 3);
    /// ```
    pub fn with_times(mut self, age: Duration, blocks: u64) -> Ages {
        if self.unit == 0 {
            self.unit = MICROSECOND;
        }
        let units = age.as_nanos() * 1000 / u128::from(self.unit);
        add(&mut self.times, bucket_of(units), blocks);
        self
    }

    /// The number of blocks.
    ///
    /// ```
    /// assert_eq!(alloc_core::Ages::default().count(), 0);
    /// ```
    pub fn count(&self) -> u64 {
        self.times.iter().map(|(_, blocks)| blocks).sum()
    }

    /// The buckets that are not empty, from the youngest: the age below which their blocks are, and
    /// how many there are.
    ///
    /// ```
    /// use std::time::Duration;
    /// use alloc_core::Ages;
    ///
    /// let ages = Ages::default().with_times(Duration::from_micros(5), 3);
    /// assert!(ages.times().eq([(Duration::from_micros(6), 3)]));
    /// ```
    pub fn times(&self) -> impl Iterator<Item = (Duration, u64)> {
        self.times
            .iter()
            .map(|&(bucket, blocks)| (self.end(bucket), blocks))
    }

    /// The same by the bytes that were allocated meanwhile.
    ///
    /// ```
    /// assert_eq!(alloc_core::Ages::default().bytes().count(), 0);
    /// ```
    pub fn bytes(&self) -> impl Iterator<Item = (Bytes, u64)> {
        // A KiB, doubled once for each bucket.
        let end = |bucket: u8| {
            1_u64
                .checked_shl(10 + u32::from(bucket))
                .unwrap_or(u64::MAX)
        };
        self.bytes
            .iter()
            .map(move |&(bucket, blocks)| (end(bucket).into(), blocks))
    }

    /// The age that this part of the blocks, from 0 to 1, did not reach: the end of its bucket.
    /// None without blocks.
    ///
    /// ```
    /// use std::time::Duration;
    /// use alloc_core::Ages;
    ///
    /// let ages = Ages::default()
    ///     .with_times(Duration::from_micros(5), 90)
    ///     .with_times(Duration::from_millis(800), 10);
    /// assert_eq!(ages.quantile(0.5), Some(Duration::from_micros(6)));
    /// assert!(ages.quantile(0.99) >= Some(Duration::from_millis(800)));
    /// ```
    pub fn quantile(&self, part: f64) -> Option<Duration> {
        let wanted = (self.count() as f64 * part).ceil().max(1.0) as u64;
        let mut below = 0;
        let bucket = self.times.iter().find(|(_, blocks)| {
            below += blocks;
            below >= wanted
        })?;
        Some(self.end(bucket.0))
    }

    /// The age that the oldest block did not reach: the end of its bucket. None without blocks.
    ///
    /// ```
    /// use std::time::Duration;
    /// use alloc_core::Ages;
    ///
    /// let ages = Ages::default().with_times(Duration::from_micros(5), 1);
    /// assert_eq!(ages.oldest(), Some(Duration::from_micros(6)));
    /// ```
    pub fn oldest(&self) -> Option<Duration> {
        self.times.last().map(|(bucket, _)| self.end(*bucket))
    }

    /// The sum of the ages, with each block in the middle of its bucket. That is exact to within a
    /// quarter, or a half for those below some three microseconds.
    ///
    /// ```
    /// use std::time::Duration;
    /// use alloc_core::Ages;
    ///
    /// // The bucket is from 4 µs to 6 µs.
    /// let ages = Ages::default().with_times(Duration::from_micros(5), 3);
    /// assert_eq!(ages.sum(), Duration::from_micros(15));
    /// ```
    pub fn sum(&self) -> Duration {
        let sum = (self.times.iter()).fold(0_u128, |sum, &(bucket, blocks)| {
            sum.saturating_add(quarters_in_the_middle(bucket).saturating_mul(blocks.into()))
        });
        let picoseconds = sum.saturating_mul(self.unit.into()) / 4;
        Duration::from_nanos((picoseconds / 1000).try_into().unwrap_or(u64::MAX))
    }

    /// A histogram of the ages in nanoseconds, of the feature `hdrhistogram`: each block counts with
    /// the last nanosecond of its bucket.
    ///
    /// Histograms of several programs can be added, and recorded with others.
    ///
    /// ```
    /// use std::time::Duration;
    /// use alloc_core::Ages;
    ///
    /// let ages = Ages::default()
    ///     .with_times(Duration::from_micros(5), 90)
    ///     .with_times(Duration::from_millis(800), 10);
    /// let mut histogram = ages.time_histogram();
    /// histogram.add(ages.time_histogram()).unwrap();
    /// assert_eq!(histogram.len(), 200);
    /// assert!(histogram.equivalent(histogram.value_at_quantile(0.5), 5_999));
    /// ```
    #[cfg(feature = "hdrhistogram")]
    pub fn time_histogram(&self) -> hdrhistogram::Histogram<u64> {
        let nanoseconds = |end: Duration| u64::try_from(end.as_nanos()).unwrap_or(u64::MAX);
        histogram(self.times().map(|(end, blocks)| (nanoseconds(end), blocks)))
    }

    /// The same of the bytes that were allocated meanwhile.
    ///
    /// ```
    /// assert!(alloc_core::Ages::default().byte_histogram().is_empty());
    /// ```
    #[cfg(feature = "hdrhistogram")]
    pub fn byte_histogram(&self) -> hdrhistogram::Histogram<u64> {
        histogram(self.bytes().map(|(end, blocks)| (end.get(), blocks)))
    }

    /// Where a bucket of time ends.
    fn end(&self, bucket: u8) -> Duration {
        // Twice the number of units, which is whole in each half octave.
        let halves = match bucket {
            0 => 2,
            // The first octave is one number, and has no halves.
            1 => 4,
            _ => {
                let at = bucket - 1;
                (3 + u128::from(at % 2)) << (at / 2).min(100)
            }
        };
        let picoseconds = halves.saturating_mul(u128::from(self.unit)) / 2;
        Duration::from_nanos((picoseconds / 1000).try_into().unwrap_or(u64::MAX))
    }
}

/// The bucket of an age in units of time.
fn bucket_of(units: u128) -> u8 {
    let bucket = match units.checked_ilog2() {
        None => 0,
        Some(at) => 1 + 2 * at + (units << 1 >> at) as u32 % 2,
    };
    bucket.min(u8::MAX.into()) as u8
}

/// Four times the number of units in the middle of a bucket of time, which is whole.
fn quarters_in_the_middle(bucket: u8) -> u128 {
    match bucket {
        0 => 2,
        // The first octave is one number, and has no halves.
        1 => 6,
        _ => {
            let at = bucket - 1;
            (5 + 2 * u128::from(at % 2)) << (at / 2).min(60)
        }
    }
}

/// A histogram of blocks by where their buckets end.
#[cfg(feature = "hdrhistogram")]
fn histogram(buckets: impl Iterator<Item = (u64, u64)>) -> hdrhistogram::Histogram<u64> {
    // Two digits tell all buckets apart.
    let digits = 2;
    let mut histogram = hdrhistogram::Histogram::new(digits).expect("a valid number of digits");
    for (end, blocks) in buckets {
        // NOTE: a histogram that resizes itself takes any value.
        let _ = histogram.record_n(end.saturating_sub(1), blocks);
    }
    histogram
}

fn add(buckets: &mut Vec<(u8, u64)>, bucket: u8, blocks: u64) {
    match buckets.binary_search_by_key(&bucket, |it| it.0) {
        Ok(at) => buckets[at].1 = buckets[at].1.saturating_add(blocks),
        Err(at) => buckets.insert(at, (bucket, blocks)),
    }
}

impl AddAssign<&Ages> for Ages {
    /// Adds the blocks of the other. If its units of time are of another length, as in another
    /// process, each block counts with the middle of its bucket.
    fn add_assign(&mut self, other: &Ages) {
        if self.unit == 0 {
            self.unit = other.unit;
        }
        for &(bucket, blocks) in &other.times {
            let bucket = if self.unit == other.unit || self.unit == 0 {
                bucket
            } else {
                let quarters = quarters_in_the_middle(bucket).saturating_mul(other.unit.into());
                bucket_of(quarters / (4 * u128::from(self.unit)))
            };
            add(&mut self.times, bucket, blocks);
        }
        for &(bucket, blocks) in &other.bytes {
            add(&mut self.bytes, bucket, blocks);
        }
    }
}

impl AddAssign<&Lifetimes> for Lifetimes {
    fn add_assign(&mut self, other: &Lifetimes) {
        self.freed += &other.freed;
        self.live += &other.live;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_ends_where_the_next_begins() {
        let mut last = Duration::ZERO;
        for micros in 0..5000 {
            let age = Duration::from_micros(micros);
            let end = Ages::default().with_times(age, 1).oldest().unwrap();
            assert!(age < end && end >= last, "{micros}: {end:?}");
            // A unit is all of a microsecond, of which this is the start.
            let last_of_unit = age + Duration::from_nanos(999);
            assert!(last_of_unit < end, "{micros}: {end:?}");
            assert!(
                micros == 0 || end.as_secs_f64() <= 1.5 * age.as_secs_f64() + 1e-6,
                "{micros}: {end:?}"
            );
            last = end;
        }
    }

    #[test]
    fn a_sum_is_exact_to_within_a_quarter() {
        let (mut ages, mut exact) = (Ages::default(), Duration::ZERO);
        for micros in 1..4096_u64 {
            let age = Duration::from_micros(micros);
            let one = Ages::default().with_times(age, 1).sum();
            let most = if micros == 1 {
                age * 3 / 2
            } else {
                age * 5 / 4
            };
            assert!(one <= most && one >= age * 3 / 4, "{age:?}: {one:?}");
            ages = ages.with_times(age, micros);
            exact += age * micros as u32;
        }
        assert!(ages.sum().abs_diff(exact) < exact / 50, "{:?}", ages.sum());
        let endless = Ages::from_buckets(u64::MAX, &[0; 256].map(|_: u64| u64::MAX), &[]);
        assert_eq!(endless.sum(), Duration::from_nanos(u64::MAX));
    }

    #[test]
    fn ages_of_processes_with_other_clocks_add_up() {
        let ages = |unit, bucket: usize| {
            let mut times = [0; 82];
            times[bucket] = 7;
            Ages::from_buckets(unit, &times, &[])
        };
        // No whole number of units is in the second half of the first octave.
        for bucket in (0..80).filter(|it| *it != 2) {
            // A unit that was measured a little differently, and one of half the length.
            let mut sum = ages(1_365_333, bucket);
            sum += &ages(1_365_400, bucket);
            assert_eq!(sum.times, [(bucket as u8, 14)]);
            let mut sum = Ages::from_buckets(2_000_000, &[], &[]);
            sum += &ages(1_000_000, bucket);
            let end = ages(1_000_000, bucket).oldest().unwrap();
            let found = sum.oldest().unwrap();
            assert!(
                found >= end && found <= 2 * end,
                "{bucket}: {found:?}, {end:?}"
            );
        }
    }

    #[cfg(feature = "hdrhistogram")]
    #[test]
    fn a_histogram_has_the_same_quantiles() {
        let mut ages = Ages::default();
        for micros in 1..200_000_u64 {
            ages = ages.with_times(Duration::from_micros(micros * micros), micros % 7);
        }
        let histogram = ages.time_histogram();
        assert_eq!(histogram.len(), ages.count());
        for part in [0.0, 0.01, 0.5, 0.9, 0.999, 1.0] {
            let ours = ages.quantile(part).unwrap().as_nanos() as u64 - 1;
            let theirs = histogram.value_at_quantile(part);
            assert!(
                histogram.equivalent(ours, theirs),
                "{part}: {ours}, {theirs}"
            );
        }
        let endless = Ages::from_buckets(u64::MAX, &[0; 256].map(|_: u64| 1), &[1; 256]);
        assert_eq!(endless.time_histogram().len(), 256);
        assert_eq!(endless.byte_histogram().len(), 256);
        assert!(endless.bytes().is_sorted_by_key(|(end, _)| end));
    }
}
