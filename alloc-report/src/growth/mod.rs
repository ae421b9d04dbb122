//! Growth over several snapshots: which groups grow at every step, and how.
//!
//! Snapshots of one process and a key go in; a sorted list of [`Suspect`] comes out, and the group
//! that is held throughout. Nothing here formats a table or reads a file.

mod moment;
mod order;
mod rule;
mod series;
mod suspect;
#[cfg(test)]
mod tests;

use alloc_core_snapshot::{Bytes, GroupBy, Snapshot, Statistic};

pub use moment::Moment;
pub(crate) use order::Order;
use series::Series;
pub use suspect::Suspect;

/// The least size of a group that is reported as held throughout.
const MIN_HELD: Bytes = Bytes::mib(1);

/// What grew over some snapshots, and what was held.
pub(crate) struct Growth {
    /// The suspects, the largest growth first.
    pub(crate) suspects: Vec<Suspect>,
    /// The group that holds half of the heap or more, a MiB or more, and neither allocated nor
    /// freed a block after the first snapshot.
    pub(crate) held: Option<Statistic>,
}

impl Growth {
    /// Finds what grew. Fewer than two moments have neither suspects nor a held group.
    pub(crate) fn of(order: &Order<'_>, by: GroupBy) -> Growth {
        if order.steps() == 0 {
            return Growth {
                suspects: Vec::new(),
                held: None,
            };
        }
        let all = Series::all(&order.moments);
        let facts = rule::Facts::of(order);
        let grown = all.iter().filter(|it| rule::grows(it, &facts));
        let mut suspects: Vec<Suspect> = grown.map(|it| Suspect::of(it, &facts)).collect();
        suspects.sort_by(|a, b| a.compare(b));
        let newest = order.newest.filter(|_| facts.knows_total);
        let held = newest.and_then(|newest| held(&all, newest, by));
        Growth { suspects, held }
    }
}

fn held(all: &[Series], newest: &Snapshot, by: GroupBy) -> Option<Statistic> {
    let heap = newest.traced_memory().current;
    let is_held = |it: &&Series| {
        let (first, last) = (it.first(), it.last());
        last.bytes >= MIN_HELD.get()
            && last.bytes.saturating_mul(2) >= heap.get()
            && last.bytes == first.bytes
            && last.counters.total == first.counters.total
    };
    let key = &all.iter().find(is_held)?.key;
    let mut groups = newest.statistics(by).into_iter();
    groups.find(|it| it.key == *key)
}
