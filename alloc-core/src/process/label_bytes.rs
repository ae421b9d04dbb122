//! [`LabelBytes`]: the live bytes of a label and those within it.

use std::sync::{Mutex, PoisonError};

use super::{read_tables, snapshot_of};
use crate::record::session::TABLES;
use crate::record::thread;
use crate::snapshot::snapshot::LABEL_SEPARATOR;
use crate::tables::callsites::CallsiteId;
use crate::tables::labels::LabelId;
use crate::{Bytes, Error, Snapshot, control};

/// The live bytes of a label and those within it.
///
/// # Implementation
///
/// The sum over the callsites of the label, each with what threads hold back. Callsites never change
/// their label, so each reader keeps a list of those it has seen, and looks at new ones only.
///
/// PERF: a label holds no more than the heap, so while the heap is small enough no callsite is read.
pub(crate) struct LabelBytes {
    label: LabelId,
    seen: Mutex<Seen>,
}

/// The callsites of the label, of those that were looked at.
#[derive(Default)]
struct Seen {
    session: u64,
    callsites: Vec<CallsiteId>,
    /// Those that another thread was in the middle of adding.
    unwritten: Vec<CallsiteId>,
    /// The number of the first callsite that was not looked at.
    next: u32,
}

impl LabelBytes {
    pub(crate) fn new(label: LabelId) -> LabelBytes {
        LabelBytes {
            label,
            seen: Mutex::default(),
        }
    }

    pub(crate) fn label(&self) -> LabelId {
        self.label
    }

    /// The live bytes; perhaps zero instead if they are no more than `least`. `None` without a
    /// session.
    pub(crate) fn live(&self, least: Bytes) -> Option<Bytes> {
        if !control::is_on() {
            return None;
        }
        if control::traced_memory().current <= least {
            return Some(Bytes::ZERO);
        }
        let _muted = thread::mute();
        control::beside_record(|| self.sum())
    }

    /// The sum over the callsites. NOTE: only while the tables cannot be cleared.
    fn sum(&self) -> Bytes {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.look(self.label);
        let (epoch, rising) = (TABLES.epoch(), control::is_rising());
        let live = seen.callsites.iter().filter_map(|&id| {
            let cells = || TABLES.threads.iter().filter_map(|state| state.delta(id));
            let shared = &TABLES.callsites.get(id)?.shared;
            Some(shared.sum(cells, epoch, rising).current.bytes)
        });
        live.sum()
    }

    /// A snapshot of the label's callsites.
    pub(crate) fn snapshot(&self) -> Result<Snapshot, Error> {
        let _muted = thread::mute();
        let mut recorded = read_tables::read(None)?;
        let own = self.label.path().unwrap_or_default();
        recorded.callsites.retain(|it| {
            let path = it.label.as_deref();
            let rest = path.and_then(|path| path.strip_prefix(own));
            rest.is_some_and(|it| it.is_empty() || it.starts_with(LABEL_SEPARATOR))
        });
        Ok(snapshot_of(recorded))
    }
}

impl Seen {
    /// Looks at the callsites that are new since the last time.
    fn look(&mut self, label: LabelId) {
        if self.session != control::session() {
            *self = Seen {
                session: control::session(),
                next: 1,
                ..Seen::default()
            };
        }
        let new = TABLES.callsites.iter_from(self.next).map(|(id, _)| id);
        let again = std::mem::take(&mut self.unwritten);
        for id in again.into_iter().chain(new) {
            self.next = self.next.max(id.get() + 1);
            match TABLES.callsites.get(id) {
                Some(callsite) if callsite.end().is_some() => {
                    if callsite.tag().label.is_within(label) {
                        self.callsites.push(id);
                    }
                }
                _ => self.unwritten.push(id),
            }
        }
    }
}
