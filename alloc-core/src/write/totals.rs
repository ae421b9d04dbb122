//! [`Totals`]: what each callsite had allocated and held at one moment.

use std::time::Duration;

use crate::process::read_tables::read_tables;
use crate::snapshot::file::{NoMemory, Pages};
use crate::system::hooks;
use crate::tables::callsites::CallsiteId;
use crate::{Amount, Counters, Error, control};

/// What each callsite had allocated and held at one moment, for a difference from then.
///
/// # Memory layout
///
/// Five numbers for each callsite, in the order of their ids: the distance from the id before, and
/// the blocks and bytes that were allocated and that were live. Each takes a byte for each seven
/// bits: some ten bytes a callsite.
pub(crate) struct Totals {
    bytes: Pages<u8>,
    last: u32,
    /// The session that the ids belong to.
    session: u64,
    taken: Duration,
}

impl Totals {
    /// Those of no callsite, at this moment.
    pub(crate) fn empty() -> Totals {
        Totals {
            bytes: Pages::new(),
            last: 0,
            session: control::session(),
            taken: hooks::monotonic_time(),
        }
    }

    /// Reads the tables of this process.
    pub(crate) fn read() -> Result<Totals, Error> {
        let mut totals = Totals::empty();
        read_tables(|seen| Ok(totals.add(seen.id, &seen.counters)?))?;
        Ok(totals)
    }

    /// Adds a callsite. Its id is greater than those of all callsites before.
    pub(super) fn add(&mut self, id: CallsiteId, counters: &Counters) -> Result<(), NoMemory> {
        if self.bytes.is_empty() {
            self.session = control::session();
        }
        let Counters { total, current, .. } = counters;
        let numbers = [
            u64::from(id.get() - self.last),
            total.blocks,
            total.bytes.get(),
            current.blocks,
            current.bytes.get(),
        ];
        self.last = id.get();
        numbers.into_iter().try_for_each(|it| self.push(it))
    }

    fn push(&mut self, mut number: u64) -> Result<(), NoMemory> {
        while number >= 0x80 {
            self.bytes.push(number as u8 | 0x80)?;
            number >>= 7;
        }
        self.bytes.push(number as u8)
    }

    /// How long ago the moment is.
    pub(crate) fn age(&self) -> Duration {
        hooks::monotonic_time().saturating_sub(self.taken)
    }

    pub(super) fn reader(&self) -> Reader<'_> {
        let mut reader = Reader {
            bytes: self.bytes.iter(),
            session: self.session,
            next: None,
        };
        reader.advance(0);
        reader
    }
}

/// Reads totals in the order of callsites.
pub(super) struct Reader<'a> {
    bytes: std::slice::Iter<'a, u8>,
    session: u64,
    next: Option<(u32, Counters)>,
}

impl Reader<'_> {
    /// What a callsite had; zeros if it is newer. Ask for callsites in the order of their ids.
    ///
    /// NOTE: only while the tables cannot be cleared.
    pub(super) fn of(&mut self, id: CallsiteId) -> Counters {
        if self.session != control::session() {
            return Counters::default();
        }
        while let Some((next, counters)) = self.next
            && next <= id.get()
        {
            self.advance(next);
            if next == id.get() {
                return counters;
            }
        }
        Counters::default()
    }

    fn advance(&mut self, last: u32) {
        self.next = self.read(last);
    }

    fn read(&mut self, last: u32) -> Option<(u32, Counters)> {
        let id = last + self.number()? as u32;
        let mut amount = || {
            let blocks = self.number()?;
            Some(Amount::new(self.number()?, blocks))
        };
        let (total, current) = (amount()?, amount()?);
        let counters = Counters {
            total,
            current,
            ..Counters::default()
        };
        Some((id, counters))
    }

    fn number(&mut self) -> Option<u64> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = *self.bytes.next()?;
            number |= u64::from(byte & 0x7F) << shift;
            if byte < 0x80 {
                break;
            }
        }
        Some(number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counters(number: u64) -> Counters {
        Counters {
            total: Amount::new(number * 1000, number),
            current: Amount::new(u64::MAX / (number + 1), 0),
            ..Counters::default()
        }
    }

    #[test]
    fn callsites_are_found_in_order_and_newer_ones_are_zero() {
        let mut totals = Totals::empty();
        for id in [1, 2, 300, 70_000] {
            totals
                .add(CallsiteId::from_word(id).unwrap(), &counters(id.into()))
                .unwrap();
        }
        let mut reader = totals.reader();
        for (id, expected) in [
            (1, counters(1)),
            (3, Counters::default()),
            (300, counters(300)),
            (301, Counters::default()),
            (70_000, counters(70_000)),
            (70_001, Counters::default()),
        ] {
            assert_eq!(
                reader.of(CallsiteId::from_word(id).unwrap()),
                expected,
                "{id}"
            );
        }
    }
}
