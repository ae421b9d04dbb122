//! [`Budget`]: how much memory the content of a file may take up.

use alloc_core_snapshot::Error;

/// The memory left for the content of a file.
///
/// Reading takes up at most [`TIMES`](Budget::TIMES) times the size of the unpacked file, plus
/// [`BESIDE`](Budget::BESIDE) bytes. Real files take up two to ten times their size. The builder of
/// a table takes the memory of each row, the copies of a growing table included, before it adds the
/// row. So no limit for a kind of data is necessary, and a file that refers to a long stack from
/// every line is refused before the memory is allocated.
pub(super) struct Budget {
    left: usize,
    size: usize,
    expected: &'static str,
}

impl Budget {
    /// How many times its size a file may take up.
    pub(super) const TIMES: usize = 32;

    /// The additional allowance in bytes, so that small files may have any content.
    pub(super) const BESIDE: usize = 8 << 20;

    /// The budget for an unpacked file of `size` bytes. Errors say what was `expected`.
    pub(super) fn of(size: usize, expected: &'static str) -> Budget {
        Budget {
            left: Budget::BESIDE.saturating_add(size.saturating_mul(Budget::TIMES - 1)),
            size,
            expected,
        }
    }

    /// Takes the memory of `number` items of `each` bytes.
    pub(super) fn take(&mut self, number: usize, each: usize, what: &str) -> Result<(), Error> {
        let bytes = number.saturating_mul(each);
        self.left = self.left.checked_sub(bytes).ok_or_else(|| {
            Error::unexpected(
                self.expected,
                format!(
                    "found one of {} bytes that would take up more than {} times that and {} MiB in memory, \
                     with its {what}",
                    self.size,
                    Budget::TIMES,
                    Budget::BESIDE >> 20,
                ),
            )
        })?;
        Ok(())
    }
}
