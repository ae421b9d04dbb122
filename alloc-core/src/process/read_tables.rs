//! Reads the tables: into a [`Recorded`], or callsite by callsite.
//!
//! In: the tables, while other threads record. Out: plain numbers and addresses. Never: names.

use std::collections::HashMap;
use std::sync::Arc;

use super::lifetimes::Buckets;
use super::residence::PinnedPages;
use crate::capture::{self, MAX_FRAMES};
use crate::record::session::TABLES;
use crate::snapshot::file::{Pages, Zeroed};
use crate::snapshot::recorded::{Recorded, RecordedCallsite, StackEnd};
use crate::tables::callsite_tag::CallsiteTag;
use crate::tables::callsites::CallsiteId;
use crate::tables::frees::Freer;
use crate::tables::labels::LabelId;
use crate::tables::sampling::Interval;
use crate::tables::thread_name::ThreadName;
use crate::{
    Amount, Bytes, Counters, Error, FreedBy, Health, Slack, TracedMemory, control, control::track,
    record::thread,
};

/// Reads all tables, while other threads keep recording. With the resident pages, if they were
/// read.
pub(crate) fn read(pages: Option<&PinnedPages>) -> Result<Recorded, Error> {
    let mut recorded = Recorded::default();
    let mut threads: HashMap<ThreadName, Option<Arc<str>>> = HashMap::new();
    let mut labels: HashMap<LabelId, Option<Arc<str>>> = HashMap::new();
    let whole = read_tables(|seen| {
        let start = recorded.addresses.len();
        recorded.addresses.try_reserve(seen.stack.len())?;
        recorded.addresses.extend_from_slice(seen.stack);
        let CallsiteTag {
            domain,
            label,
            thread,
            size,
        } = seen.tag;
        let mut of_label = |it: LabelId| {
            let path = || it.path().map(Into::into);
            labels.entry(it).or_insert_with(path).clone()
        };
        let mut of_thread = |it: ThreadName| {
            let name = || it.text().map(Into::into);
            threads.entry(it).or_insert_with(name).clone()
        };
        let freed_by = seen.freed_by.map(|all| {
            let named = all.iter().map(|it| {
                let mut freed = FreedBy::new(it.amount);
                freed.label = of_label(it.by.label);
                freed.thread = of_thread(it.by.thread);
                freed
            });
            FreedBy::in_order(named.collect())
        });
        recorded.callsites.try_reserve(1)?;
        recorded.callsites.push(RecordedCallsite {
            stack: start..recorded.addresses.len(),
            stack_end: seen.stack_end,
            counters: seen.counters,
            domain,
            thread: of_thread(thread),
            label: of_label(label),
            size_class: size.largest().map(Bytes::from),
            lifetimes: seen.lifetimes.map(|it| Arc::new(it.lifetimes())),
            freed_by,
            slack: seen.slack,
            pinned: pages.map(|it| it.of(seen.id)),
        });
        Ok(())
    })?;
    Ok(Recorded {
        heap: whole.heap,
        traceback_limit: whole.traceback_limit,
        health: whole.health,
        sampling: whole.sampling,
        residence: pages.map(|it| it.residence),
        ..recorded
    })
}

/// A callsite as read from the tables.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen<'a> {
    pub(crate) id: CallsiteId,
    pub(crate) stack: &'a [usize],
    pub(crate) stack_end: StackEnd,
    pub(crate) counters: Counters,
    pub(crate) tag: CallsiteTag,
    /// How long its blocks lived, in a session that records lifetimes.
    pub(crate) lifetimes: Option<&'a Buckets>,
    /// Who freed its blocks, in a session that counts that.
    pub(crate) freed_by: Option<&'a [Freed]>,
    /// How many more bytes its blocks have than were asked for, in a session that measures it.
    pub(crate) slack: Option<Slack>,
}

#[cfg(feature = "serve")]
impl Seen<'_> {
    /// The callsite without what only some sessions record.
    pub(crate) fn with_counts_only(self) -> Self {
        Seen {
            lifetimes: None,
            freed_by: None,
            slack: None,
            ..self
        }
    }
}

/// What was freed of a callsite by one label or thread.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Freed {
    pub(crate) by: Freer,
    pub(crate) amount: Amount,
}

// SAFETY: integers, for which zero is a valid value.
unsafe impl Zeroed for Freed {}

/// What the tables hold besides callsites: see [`Recorded`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Whole {
    pub(crate) heap: TracedMemory,
    pub(crate) traceback_limit: u16,
    pub(crate) health: Health,
    pub(crate) sampling: Option<Interval>,
}

/// Calls `each` with every callsite that has allocated since tracing started, while other threads
/// keep recording.
///
/// Each callsite is read at a slightly different moment. The result is consistent if no other
/// thread records meanwhile. NOTE: a fork waits for the lock that this function holds.
pub(crate) fn read_tables(
    mut each: impl FnMut(Seen<'_>) -> Result<(), Error>,
) -> Result<Whole, Error> {
    let _muted = thread::mute();
    let mut stack = Vec::new();
    stack.try_reserve_exact(MAX_FRAMES)?;
    control::beside_record(capture::look);
    control::settle_frees();
    let mut frees = Pages::new();
    control::reading(|config| {
        let mut health = Health::default();
        let mut lifetimes = config.has_lifetimes().then(Buckets::read);
        for (id, callsite) in TABLES.callsites.iter() {
            // NOTE: before the counters, so that no more is known of who freed than was freed.
            frees.clear();
            for (by, amount) in TABLES.frees.of(id) {
                frees.push(Freed { by, amount })?;
            }
            let cells = || TABLES.threads.iter().filter_map(|state| state.delta(id));
            let counters = callsite
                .shared
                .sum(cells, TABLES.epoch(), control::is_rising());
            if counters.total.blocks == 0 {
                continue;
            }
            stack.clear();
            let Some(stack_end) = TABLES.callsites.append_stack(callsite, &mut stack) else {
                continue;
            };
            match stack_end {
                StackEnd::Complete | StackEnd::Uncaptured => {}
                StackEnd::Truncated => health.truncated_stacks += 1,
                StackEnd::Broken => health.broken_stacks += 1,
                StackEnd::Overflow => health.overflowed = counters.total.blocks,
            }
            each(Seen {
                id,
                stack: &stack,
                stack_end,
                counters,
                tag: callsite.tag(),
                lifetimes: lifetimes.as_mut().map(|it| it.of(id)),
                freed_by: config.counts_frees().then_some(&frees[..]),
                slack: (config.has_slack() && callsite.tag().domain == 0)
                    .then(|| slack(id, &counters)),
            })?;
        }
        let heap = control::traced_memory();
        TABLES.events.add_to(&mut health);
        TABLES
            .threads
            .iter()
            .for_each(|state| state.events.add_to(&mut health));
        Ok(Whole {
            heap,
            traceback_limit: config.traceback_limit(),
            health,
            sampling: config.sampling(),
        })
    })?
}

/// How many more bytes the blocks of a callsite have than were asked for.
fn slack(callsite: CallsiteId, counters: &Counters) -> Slack {
    let [allocated, freed] = TABLES.usable.sum(callsite, |side| {
        let threads = TABLES.threads.iter();
        threads.map(|state| state.usable_of(callsite, side)).sum()
    });
    // NOTE: others may record between the reads of the counters and of the usable sizes.
    let usable = |bytes: u64| Bytes::new(bytes);
    Slack {
        current: usable(allocated.saturating_sub(freed)).saturating_sub(counters.current.bytes),
        total: usable(allocated).saturating_sub(counters.total.bytes),
    }
}

/// Returns what all callsites together have allocated in total.
pub(crate) fn total() -> Result<Amount, Error> {
    control::reading(|_| {
        let mut total = Amount::default();
        for (id, callsite) in TABLES.callsites.iter() {
            let cells = || TABLES.threads.iter().filter_map(|state| state.delta(id));
            let (epoch, rising) = (TABLES.epoch(), control::is_rising());
            total += callsite.shared.sum(cells, epoch, rising).total;
        }
        total
    })
}

/// Returns the stack of the live block that starts at `address`, if it is traced.
pub(crate) fn stack_of(address: usize) -> Option<(Vec<usize>, StackEnd)> {
    stack_by(|| TABLES.callsite_of(address))
}

/// Returns the stack of a block that the program tracks.
pub(crate) fn stack_of_tracked(domain: u32, address: usize) -> Option<(Vec<usize>, StackEnd)> {
    let _muted = thread::mute();
    let (callsite, session) = track::callsite_of(domain, address)?;
    stack_by(|| (control::session() == session).then_some(callsite))
}

fn stack_by(callsite: impl FnOnce() -> Option<CallsiteId>) -> Option<(Vec<usize>, StackEnd)> {
    let _muted = thread::mute();
    control::beside_record(capture::look);
    control::reading(|_| {
        let callsite = TABLES.callsites.get(callsite()?)?;
        let mut addresses = Vec::new();
        let end = TABLES.callsites.append_stack(callsite, &mut addresses)?;
        Some((addresses, end))
    })
    .ok()
    .flatten()
}
