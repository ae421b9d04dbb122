//! [`Totals`]: what each callsite had allocated and held at one moment.

#[cfg(feature = "push")]
use std::io;
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

    /// Writes them to a file, for [`Totals::load`] in this process.
    #[cfg(feature = "push")]
    pub(crate) fn save(&self, file: &mut impl io::Write) -> io::Result<()> {
        let taken = self.taken.as_nanos() as u64;
        for number in [u64::from(self.last), self.session, taken] {
            file.write_all(&number.to_le_bytes())?;
        }
        file.write_all(&self.bytes)
    }

    /// Reads what [`Totals::save`] wrote, to the end of the file.
    #[cfg(feature = "push")]
    pub(crate) fn load(file: &mut impl io::Read) -> Result<Totals, Error> {
        let mut numbers = [0; 3];
        for number in &mut numbers {
            let mut bytes = [0; 8];
            file.read_exact(&mut bytes)?;
            *number = u64::from_le_bytes(bytes);
        }
        let mut totals = Totals {
            bytes: Pages::new(),
            last: numbers[0] as u32,
            session: numbers[1],
            taken: Duration::from_nanos(numbers[2]),
        };
        let mut buffer = [0; 4096];
        loop {
            match file.read(&mut buffer) {
                Ok(0) => return Ok(totals),
                Ok(len) => totals.bytes.extend(&buffer[..len])?,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
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

    #[cfg(feature = "push")]
    #[test]
    fn totals_come_back_from_a_file() {
        let mut totals = Totals::empty();
        for id in 1..3000 {
            let id = CallsiteId::from_word(id * 7).unwrap();
            totals.add(id, &counters(id.get().into())).unwrap();
        }
        let mut file = Vec::new();
        totals.save(&mut file).unwrap();
        let read = Totals::load(&mut &file[..]).unwrap();
        let (mut one, mut other) = (totals.reader(), read.reader());
        assert_eq!(read.age().as_secs(), totals.age().as_secs());
        for id in 1..22_000 {
            let id = CallsiteId::from_word(id).unwrap();
            assert_eq!(one.of(id), other.of(id), "{id:?}");
        }
        assert!(Totals::load(&mut &file[..20]).is_err());
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
