//! [`BytesDiff`]: a signed number of bytes.

use std::fmt;
use std::ops::{Add, Sub};

use alloc_core_snapshot::Bytes;

/// A change in bytes.
///
/// It prints as in Python's `tracemalloc`: always signed, in the units of [`Bytes`].
///
/// ```
/// use alloc_report::BytesDiff;
///
/// assert_eq!(BytesDiff::new(5000).to_string(), "+5000 B");
/// assert_eq!(BytesDiff::new(-12_345_678).to_string(), "-11.8 MiB");
/// assert_eq!(BytesDiff::new(0).to_string(), "+0 B");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BytesDiff(i64);

impl BytesDiff {
    /// A change by `n` bytes.
    ///
    /// ```
    /// use alloc_report::BytesDiff;
    ///
    /// const SHRUNK: BytesDiff = BytesDiff::new(-64);
    /// assert_eq!(SHRUNK + BytesDiff::new(60), BytesDiff::new(-4));
    /// ```
    pub const fn new(n: i64) -> BytesDiff {
        BytesDiff(n)
    }

    /// The change from `old` to `new`.
    ///
    /// A change of 8 EiB or more saturates.
    ///
    /// ```
    /// use alloc_core::Bytes;
    /// use alloc_report::BytesDiff;
    ///
    /// let (old, new) = (Bytes::new(900), Bytes::new(100));
    /// assert_eq!(BytesDiff::between(new, old), -800);
    /// ```
    pub fn between(new: Bytes, old: Bytes) -> BytesDiff {
        BytesDiff(difference(new.get(), old.get()))
    }

    /// The change as a plain integer.
    ///
    /// ```
    /// assert_eq!(alloc_report::BytesDiff::new(-64).get(), -64);
    /// ```
    pub const fn get(self) -> i64 {
        self.0
    }
}

impl fmt::Display for BytesDiff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format_size(self.0 as f64, true))
    }
}

impl Add for BytesDiff {
    type Output = BytesDiff;
    fn add(self, other: BytesDiff) -> BytesDiff {
        BytesDiff(self.0.saturating_add(other.0))
    }
}

impl Sub for BytesDiff {
    type Output = BytesDiff;
    fn sub(self, other: BytesDiff) -> BytesDiff {
        BytesDiff(self.0.saturating_sub(other.0))
    }
}

impl PartialEq<i64> for BytesDiff {
    fn eq(&self, other: &i64) -> bool {
        self.0 == *other
    }
}

impl PartialOrd<i64> for BytesDiff {
    fn partial_cmp(&self, other: &i64) -> Option<std::cmp::Ordering> {
        self.0.partial_cmp(other)
    }
}

/// `new - old`, saturated to the range of `i64`.
pub(crate) fn difference(new: u64, old: u64) -> i64 {
    let difference = i128::from(new) - i128::from(old);
    difference.clamp(i64::MIN.into(), i64::MAX.into()) as i64
}

/// CPython's `tracemalloc._format_size`.
///
/// [`Bytes`] prints whole numbers in the same format. An average is fractional: 10,239.95 bytes
/// print as `10240 B`, while 10,240 bytes print as `10.0 KiB`.
pub(super) fn format_size(mut size: f64, signed: bool) -> String {
    let sign = if signed && size >= 0.0 { "+" } else { "" };
    let mut units = ["B", "KiB", "MiB", "GiB", "TiB"].into_iter().peekable();
    while let Some(unit) = units.next() {
        if unit != "B" && size.abs() < 100.0 {
            return format!("{sign}{size:.1} {unit}");
        }
        if size.abs() < 10.0 * 1024.0 || units.peek().is_none() {
            return format!("{sign}{size:.0} {unit}");
        }
        size /= 1024.0;
    }
    unreachable!("the last unit takes every size")
}
