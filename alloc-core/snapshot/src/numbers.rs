//! The quantities of the public API: bytes, amounts, and the counters of a callsite.

use std::cmp::Ordering;
use std::fmt;
use std::iter::Sum;
use std::ops::{Add, AddAssign, Sub};
use std::str::FromStr;

/// A number of bytes, as the program requested them.
///
/// Prints like sizes in `tracemalloc`: whole bytes below 10 KiB, then three digits and a binary
/// unit. Compares with plain numbers.
///
/// ```
/// use alloc_core::Bytes;
///
/// assert_eq!(Bytes::new(10_239).to_string(), "10239 B");
/// assert_eq!(Bytes::new(10_240).to_string(), "10.0 KiB");
/// assert_eq!(Bytes::mib(12).to_string(), "12.0 MiB");
/// assert!(Bytes::kib(64) <= 65_536);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Bytes(u64);

impl Bytes {
    /// No bytes.
    ///
    /// ```
    /// assert_eq!(alloc_core::Bytes::ZERO, alloc_core::Bytes::default());
    /// ```
    pub const ZERO: Bytes = Bytes(0);

    /// `n` bytes.
    ///
    /// ```
    /// assert_eq!(alloc_core::Bytes::new(512).to_string(), "512 B");
    /// ```
    pub const fn new(n: u64) -> Bytes {
        Bytes(n)
    }

    /// `n` KiB, each 1,024 bytes.
    ///
    /// ```
    /// assert_eq!(alloc_core::Bytes::kib(4), 4096);
    /// ```
    pub const fn kib(n: u64) -> Bytes {
        Bytes(n.saturating_mul(1 << 10))
    }

    /// `n` MiB, each 1,024 KiB.
    ///
    /// ```
    /// assert_eq!(alloc_core::Bytes::mib(4), alloc_core::Bytes::kib(4096));
    /// ```
    pub const fn mib(n: u64) -> Bytes {
        Bytes(n.saturating_mul(1 << 20))
    }

    /// `n` GiB, each 1,024 MiB.
    ///
    /// ```
    /// assert_eq!(alloc_core::Bytes::gib(4), alloc_core::Bytes::mib(4096));
    /// ```
    pub const fn gib(n: u64) -> Bytes {
        Bytes(n.saturating_mul(1 << 30))
    }

    /// The number of bytes as a plain integer.
    ///
    /// ```
    /// let share = alloc_core::Bytes::kib(1).get() as f64 / 2048.0;
    /// assert_eq!(share, 0.5);
    /// ```
    pub const fn get(self) -> u64 {
        self.0
    }

    /// Parses bytes as people write them: `64`, `64 KiB`, `1_000 B`, `2GiB`. `None` if the text is
    /// invalid.
    ///
    /// Does not allocate, and works in constants.
    ///
    /// ```
    /// use alloc_core::Bytes;
    ///
    /// assert_eq!(Bytes::parse("64 KiB"), Some(Bytes::kib(64)));
    /// assert_eq!(Bytes::parse("1_000"), Some(Bytes::new(1000)));
    /// assert_eq!(Bytes::parse("64 kb"), None);
    /// ```
    pub const fn parse(text: &str) -> Option<Bytes> {
        let text = text.as_bytes();
        let (mut number, mut at, mut has_digits) = (0_u64, 0, false);
        while at < text.len() {
            match text[at] {
                digit @ b'0'..=b'9' => {
                    has_digits = true;
                    number = match number.checked_mul(10) {
                        Some(number) => match number.checked_add((digit - b'0') as u64) {
                            Some(number) => number,
                            None => return None,
                        },
                        None => return None,
                    };
                }
                b'_' if has_digits => {}
                _ => break,
            }
            at += 1;
        }
        let (_, mut unit) = text.split_at(at);
        if let [b' ', rest @ ..] = unit
            && !rest.is_empty()
        {
            unit = rest;
        }
        let bits = match unit {
            b"" | b"B" => 0,
            b"KiB" => 10,
            b"MiB" => 20,
            b"GiB" => 30,
            b"TiB" => 40,
            _ => return None,
        };
        match number.checked_mul(1 << bits) {
            Some(bytes) if has_digits => Some(Bytes(bytes)),
            _ => None,
        }
    }

    /// The difference, or zero if `other` is larger.
    ///
    /// ```
    /// use alloc_core::Bytes;
    ///
    /// let (before, after) = (Bytes::kib(3), Bytes::kib(1));
    /// assert_eq!(before.saturating_sub(after), Bytes::kib(2));
    /// assert_eq!(after.saturating_sub(before), Bytes::ZERO);
    /// ```
    pub const fn saturating_sub(self, other: Bytes) -> Bytes {
        Bytes(self.0.saturating_sub(other.0))
    }
}

impl fmt::Display for Bytes {
    /// The format of CPython's `tracemalloc._format_size`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
        let mut size = self.0 as f64;
        let mut unit = 0;
        loop {
            if unit > 0 && size < 100.0 {
                return f.pad(&format!("{size:.1} {}", UNITS[unit]));
            }
            if size < 10.0 * 1024.0 || unit == UNITS.len() - 1 {
                return f.pad(&format!("{size:.0} {}", UNITS[unit]));
            }
            size /= 1024.0;
            unit += 1;
        }
    }
}

impl FromStr for Bytes {
    type Err = String;

    /// Parses like [`Bytes::parse`].
    ///
    /// # Errors
    ///
    /// A message that says what was expected and what was found.
    fn from_str(text: &str) -> Result<Bytes, String> {
        Bytes::parse(text).ok_or_else(|| {
            format!(
                "expected a number of bytes such as 512KiB, found {:?}",
                text
            )
        })
    }
}

impl From<u64> for Bytes {
    fn from(n: u64) -> Bytes {
        Bytes(n)
    }
}

impl Add for Bytes {
    type Output = Bytes;
    /// Saturates, since a damaged file may hold huge sums.
    fn add(self, other: Bytes) -> Bytes {
        Bytes(self.0.saturating_add(other.0))
    }
}

impl AddAssign for Bytes {
    fn add_assign(&mut self, other: Bytes) {
        *self = *self + other;
    }
}

impl Sub for Bytes {
    type Output = Bytes;
    fn sub(self, other: Bytes) -> Bytes {
        Bytes(self.0 - other.0)
    }
}

impl Sum for Bytes {
    fn sum<I: Iterator<Item = Bytes>>(iter: I) -> Bytes {
        iter.fold(Bytes::ZERO, Add::add)
    }
}

impl PartialEq<u64> for Bytes {
    fn eq(&self, other: &u64) -> bool {
        self.0 == *other
    }
}

impl PartialOrd<u64> for Bytes {
    fn partial_cmp(&self, other: &u64) -> Option<Ordering> {
        self.0.partial_cmp(other)
    }
}

/// Some blocks, and the bytes requested for them.
///
/// ```
/// use alloc_core::Amount;
///
/// let mut sum = Amount::new(96, 3);
/// sum += Amount::new(4, 1);
/// assert_eq!((sum.bytes.get(), sum.blocks), (100, 4));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Amount {
    /// The bytes requested for the blocks.
    pub bytes: Bytes,
    /// The number of blocks.
    pub blocks: u64,
}

impl Amount {
    /// `blocks` blocks with `bytes` bytes in total.
    ///
    /// ```
    /// assert_eq!(alloc_core::Amount::new(100, 2).blocks, 2);
    /// ```
    pub const fn new(bytes: u64, blocks: u64) -> Amount {
        Amount {
            bytes: Bytes::new(bytes),
            blocks,
        }
    }
}

impl AddAssign for Amount {
    fn add_assign(&mut self, other: Amount) {
        self.bytes += other.bytes;
        self.blocks = self.blocks.saturating_add(other.blocks);
    }
}

/// The allocations of a callsite, or of a group of callsites, since tracing began.
///
/// ```
/// use alloc_core::{Amount, Counters};
///
/// let mut sum = Counters { current: Amount::new(100, 1), ..Counters::default() };
/// sum += Counters { current: Amount::new(50, 1), reallocations: 3, ..Counters::default() };
/// assert_eq!((sum.current, sum.reallocations), (Amount::new(150, 2), 3));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Counters {
    /// Live at the moment of the snapshot.
    pub current: Amount,
    /// The most bytes and the most blocks that were ever live, each at its own moment.
    ///
    /// For a group of callsites this is the sum of their own peaks. It is an upper bound, which the
    /// group may never have reached at one moment.
    pub peak: Amount,
    /// Live at the moment the whole heap was at its peak.
    pub at_peak: Amount,
    /// Ever allocated; a reallocation counts as one allocation of the new size.
    pub total: Amount,
    /// How many of the allocations in `total` were reallocations.
    pub reallocations: u64,
    /// The bytes that these reallocations copied: for each one that moved its block, the smaller of
    /// the old and the new size. It is charged to the callsite that reallocated.
    ///
    /// It is an upper bound: allocators move large blocks by remapping their pages (`mremap`), which
    /// copies nothing. It is zero where it is not known: see
    /// [`Snapshot::knows_copied`](crate::Snapshot::knows_copied).
    pub copied: Bytes,
}

impl Counters {
    /// What was allocated and is no longer live.
    ///
    /// ```
    /// use alloc_core::{Amount, Counters};
    ///
    /// let (current, total) = (Amount::new(100, 1), Amount::new(900, 5));
    /// let counters = Counters { current, total, ..Counters::default() };
    /// assert_eq!(counters.freed(), Amount::new(800, 4));
    /// ```
    pub fn freed(&self) -> Amount {
        Amount {
            bytes: self.total.bytes.saturating_sub(self.current.bytes),
            blocks: self.total.blocks.saturating_sub(self.current.blocks),
        }
    }
}

impl AddAssign for Counters {
    fn add_assign(&mut self, other: Counters) {
        self.current += other.current;
        self.peak += other.peak;
        self.at_peak += other.at_peak;
        self.total += other.total;
        self.reallocations = self.reallocations.saturating_add(other.reallocations);
        self.copied += other.copied;
    }
}

/// The totals of the whole traced heap.
///
/// ```
/// // Tracing is off.
/// let heap = alloc_core::traced_memory();
/// assert_eq!((heap.current.get(), heap.peak.get()), (0, 0));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct TracedMemory {
    /// Bytes live now.
    pub current: Bytes,
    /// The most bytes that were live at one moment since tracing began or the last
    /// `reset_peak`.
    pub peak: Bytes,
    /// The maximum distance of the true peak from [`peak`](Self::peak), in either direction. It is
    /// zero as long as only one thread that has allocated is alive.
    pub peak_error: Bytes,
    /// Whether these are estimates from a sample (`Config::sample_every`).
    pub sampled: bool,
}

/// Counts of events that the tracer could not record in full.
///
/// ```
/// use alloc_core::{Health, Snapshot};
///
/// // Nothing was cut, skipped or ignored.
/// assert_eq!(Snapshot::from_traces(vec![], 32).health(), Health::default());
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Health {
    /// Callsites whose stack was deeper than the limit.
    pub truncated_stacks: u64,
    /// Callsites whose stack could not be followed to its bottom.
    pub broken_stacks: u64,
    /// Allocations charged to the overflow callsite because the callsite table was full.
    pub overflowed: u64,
    /// Allocations that were not recorded: inside the tracer, in a signal handler that interrupted
    /// it, or by a thread whose thread-locals were already destroyed.
    pub skipped: u64,
    /// Frees of blocks that the tracer never recorded: from before tracing began, or of its own
    /// memory, such as that of snapshots.
    pub unknown_frees: u64,
    /// Blocks that were released without the tracer's knowledge and whose address was allocated
    /// again. They still count as live.
    pub lost_blocks: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_print_as_in_tracemalloc() {
        for (bytes, text) in [
            (0, "0 B"),
            (5002, "5002 B"),
            (10_239, "10239 B"),
            (10_240, "10.0 KiB"),
            (102_399, "100.0 KiB"),
            (102_400, "100 KiB"),
            (10_485_759, "10240 KiB"),
            (10_485_760, "10.0 MiB"),
            (12_345_678, "11.8 MiB"),
            (1 << 40, "1024 GiB"),
            (1 << 45, "32.0 TiB"),
            (1 << 60, "1048576 TiB"),
        ] {
            assert_eq!(Bytes::new(bytes).to_string(), text);
        }
    }
}
