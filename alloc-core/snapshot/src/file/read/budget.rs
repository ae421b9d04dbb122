//! [`Budget`]: how much memory reading a file may take up.

use crate::error::Error;

/// The memory that is left for what a profile becomes.
///
/// # The bound
///
/// Reading takes up at most [`TIMES`](Budget::TIMES) times the size of the unpacked profile, and
/// [`BESIDE`](Budget::BESIDE) bytes beside, whatever the file holds. The profile itself is part of
/// that. So much is enough for every file that says something: a true one takes up five to eight
/// times its size. What takes up more is one that says little and stands for much, such as a
/// location of a thousand inlined functions in every sample, and is refused before the memory is
/// asked for.
///
/// How much a file unpacks to is bounded by its packed size: see [`unpack`](super::unpack).
///
/// # What counts
///
/// Whoever builds a table takes what it will hold at most before it is built, texts and what a
/// growing table copies included. So the bound is held by addition, and not by a limit for each
/// kind of thing. It bounds time as well: what is copied, or looked up once for each of many, is
/// paid for.
pub(super) struct Budget {
    left: usize,
    /// The size of the unpacked profile.
    size: usize,
}

impl Budget {
    /// How many times its size a profile may take up.
    pub(super) const TIMES: usize = 16;

    /// What it may take up beside, in bytes, so that small files may be made of anything.
    pub(super) const BESIDE: usize = 4 << 20;

    /// What is left for a profile of so many bytes, which are there already.
    pub(super) fn of(size: usize) -> Budget {
        Budget {
            left: Budget::BESIDE + (Budget::TIMES - 1) * size,
            size,
        }
    }

    /// Takes what `number` things of `each` bytes take up for good.
    pub(super) fn take(&mut self, number: usize, each: usize, what: &str) -> Result<(), Error> {
        self.check(number, each, what)?;
        self.left -= number * each;
        Ok(())
    }

    /// Checks for memory that is given back before more is taken.
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
