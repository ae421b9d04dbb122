//! [`Delta`]: what a profile is a difference from.

use std::sync::{Mutex, PoisonError};

use crate::Error;
use crate::write::Packed;
use crate::write::profile::{Profile, Since};
use crate::write::totals::Totals;

/// The moment of the last profile of what was allocated since the one before.
#[derive(Default)]
pub(super) struct Delta(Mutex<Option<Totals>>);

impl Delta {
    /// A profile of what is live now, and what was allocated since the last one.
    pub(super) fn pack(&self) -> Result<Packed, Error> {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut now = Totals::empty();
        let profile = Profile {
            since: last.as_ref().map(|totals| Since {
                totals,
                counts_live: false,
            }),
            shows_allocated: false,
        };
        // NOTE: one pass reads what this profile has and what the next one begins with, so that each
        // allocation is in one of them. A profile that fails leaves the moment as it is.
        let packed = profile.pack(Some(&mut now))?;
        *last = Some(now);
        Ok(packed)
    }
}

/// A profile of what changed since a moment.
pub(super) fn since(totals: &Totals, shows_allocated: bool) -> Result<Packed, Error> {
    let since = Since {
        totals,
        counts_live: true,
    };
    let profile = Profile {
        since: Some(since),
        shows_allocated,
    };
    profile.pack(None)
}

/// A profile of everything up to now.
pub(super) fn whole(shows_allocated: bool) -> Result<Packed, Error> {
    let profile = Profile {
        since: None,
        shows_allocated,
    };
    profile.pack(None)
}
