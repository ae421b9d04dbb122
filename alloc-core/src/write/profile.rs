//! Profiles for servers: Go's four sample types, as they are or as they changed.

use std::time::Duration;

use super::tables::{About, TablesFile};
use super::totals::Totals;
use super::{Moment, Packed, Reserve};
use crate::process::read_tables::{Seen, read_tables};
use crate::snapshot::file::{NoMemory, RawFile};
use crate::{Amount, Counters, Error};

/// What a profile has.
#[derive(Clone, Copy)]
pub(crate) struct Profile<'a> {
    /// What the profile leaves out, since it was there before.
    pub(crate) since: Option<Since<'a>>,
    /// Whether readers show first what was allocated, and not what is live.
    pub(crate) shows_allocated: bool,
}

/// An earlier moment, from which a profile counts.
#[derive(Clone, Copy)]
pub(crate) struct Since<'a> {
    pub(crate) totals: &'a Totals,
    /// Whether what is live counts from then, too. It may be negative.
    pub(crate) counts_live: bool,
}

impl Profile<'_> {
    /// Reads the tables of this process. What was read is added to `next`, for a later profile.
    pub(crate) fn pack(&self, mut next: Option<&mut Totals>) -> Result<Packed, Error> {
        let _reserve = Reserve::take().ok_or(NoMemory)?;
        let mut file = TablesFile::begin(RawFile::of_go()?)?;
        let mut earlier = self.since.map(|it| it.totals.reader());
        let whole = read_tables(|seen| {
            if let Some(next) = &mut next {
                next.add(seen.id, &seen.counters)?;
            }
            let before = match (&mut earlier, self.since) {
                (Some(earlier), Some(since)) => {
                    let before = earlier.of(seen.id);
                    Counters {
                        total: before.total,
                        current: match since.counts_live {
                            true => before.current,
                            false => Default::default(),
                        },
                        ..Counters::default()
                    }
                }
                _ => Counters::default(),
            };
            let all = seen.counters;
            if (all.total, all.current) == (before.total, before.current) {
                return Ok(());
            }
            file.add(&seen.with_counts_only(), before, None)
        })?;
        let about = About {
            moment: Moment::Running,
            duration: self.since.map_or(Duration::ZERO, |it| it.totals.age()),
            shows_allocated: self.shows_allocated,
            residence: None,
            metadata: &[],
        };
        file.finish(&whole, about).map(Packed)
    }
}

/// A profile of some callsites, in the order of their ids, in which the live bytes of each are its id.
pub(crate) fn of_callsites(ids: &[u32]) -> Result<Packed, Error> {
    let _reserve = Reserve::take().ok_or(NoMemory)?;
    let mut file = TablesFile::begin(RawFile::of_go()?)?;
    let whole = read_tables(|seen| {
        let id = seen.id.get();
        if ids.binary_search(&id).is_err() {
            return Ok(());
        }
        let amount = Amount::new(id.into(), 1);
        let counters = Counters {
            total: amount,
            current: amount,
            ..Counters::default()
        };
        let seen = Seen {
            counters,
            ..seen.with_counts_only()
        };
        file.add(&seen, Counters::default(), None)
    })?;
    file.finish(&whole, About::default()).map(Packed)
}
