//! [`Rehearsals`]: snapshots that nobody reads, so that the next one finds all the memory it needs.

use super::reporter::writing;
use crate::control;
use crate::record::session::TABLES;
use crate::write::{self, Moment, With, stock};

/// Sets aside the memory that a snapshot would need now, and a quarter more.
///
/// It makes a snapshot and drops it. So what the thread needs of the heap and of the code is there as
/// well.
#[derive(Default)]
pub(super) struct Rehearsals {
    /// How many callsites there were at the last one.
    callsites: Option<u32>,
}

impl Rehearsals {
    /// How many more callsites are no reason for another one.
    const FEW: u32 = 64;

    /// Makes a snapshot if there are an eighth more callsites than at the last one.
    pub(super) fn rehearse_if_due(&mut self) {
        let callsites = TABLES.callsites.len();
        let is_enough = |last: u32| callsites <= last + last / 8 + Rehearsals::FEW;
        if !control::is_on() || self.callsites.is_some_and(is_enough) {
            return;
        }
        self.callsites = Some(callsites);
        // NOTE: a failure is reported when a snapshot is to be written.
        let _ = writing(|| {
            drop(write::pack(With::default(), Moment::Running, &[]));
            stock::enlarge();
            Ok(())
        });
    }
}
