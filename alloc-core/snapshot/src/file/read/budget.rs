//! [`Budget`]: how much memory reading a file may take up.

use crate::error::Error;

/// The memory left for the content of a profile.
///
/// # The bound
///
/// Reading takes up at most [`TIMES`](Budget::TIMES) times the size of the unpacked profile, plus
/// [`BESIDE`](Budget::BESIDE) bytes, for any input. This includes the profile itself. It is enough
/// for every real file, which takes up five to eight times its size. A file that needs more has
/// little content that expands to much, such as a location of a thousand inlined functions in every
/// sample. It is refused before the memory is allocated.
///
/// The compressed size bounds the unpacked size: see [`unpack`](super::unpack).
///
/// # What counts
///
/// The builder of a table takes the table's maximum size from the budget before it builds the
/// table, including strings and the copies of a growing table. So addition enforces the bound,
/// without a limit for each kind of data. The budget bounds time as well: copies, and lookups that
/// occur once for each of many items, are charged too.
pub(super) struct Budget {
    left: usize,
    /// The size of the unpacked profile.
    size: usize,
}

impl Budget {
    /// How many times its size a profile may take up.
    pub(super) const TIMES: usize = 16;

    /// The additional allowance in bytes, so that small files may have any content.
    pub(super) const BESIDE: usize = 4 << 20;

    /// The budget for a profile of `size` bytes, which are already in memory.
    pub(super) fn of(size: usize) -> Budget {
        Budget {
            left: Budget::BESIDE + (Budget::TIMES - 1) * size,
            size,
        }
    }

    /// Takes the memory of `number` items of `each` bytes permanently.
    pub(super) fn take(&mut self, number: usize, each: usize, what: &str) -> Result<(), Error> {
        self.check(number, each, what)?;
        self.left -= number * each;
        Ok(())
    }

    /// Checks for memory that is freed before more is taken.
    pub(super) fn check(&self, number: usize, each: usize, what: &str) -> Result<(), Error> {
        let bytes = number.saturating_mul(each);
        if bytes <= self.left {
            return Ok(());
        }
        Err(Error::invalid_file(format!(
            "found one of {} bytes that would take up more than {} times that and {} MiB in memory, with \
             its {what}",
            self.size,
            Budget::TIMES,
            Budget::BESIDE >> 20,
        )))
    }
}
