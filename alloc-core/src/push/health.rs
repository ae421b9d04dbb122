//! [`PushHealth`]: what became of the profiles.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::Bytes;

/// What became of the profiles of a [`Push`](super::Push).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PushHealth {
    /// Profiles that the receiver accepted.
    pub pushed: u64,
    /// Attempts that failed: requests, and profiles that could not be taken.
    pub failed: u64,
    /// Profiles that the receiver refused for good, and that a later one replaces.
    pub refused: u64,
    /// Parts that a receiver of OTLP left out of profiles that it accepted. A profile has four, one for each sample
    /// type. They are in no later profile: the protocol forbids to send them again.
    pub rejected: u64,
    /// Profiles that have addresses, since the command for names failed.
    pub unnamed: u64,
    /// Profiles that wait.
    pub queued: u64,
    /// The size of the files of those that wait.
    pub queued_bytes: Bytes,
    /// What the last failure was, or why a part was rejected; `None` once a whole profile is accepted after it.
    pub last_error: Option<String>,
}

/// Where the thread writes them.
#[derive(Debug, Default)]
pub(super) struct Shared(Mutex<PushHealth>);

impl Shared {
    pub(super) fn read(&self) -> PushHealth {
        self.lock().clone()
    }

    pub(super) fn update(&self, change: impl FnOnce(&mut PushHealth)) {
        change(&mut self.lock());
    }

    pub(super) fn failed(&self, error: String) {
        self.update(|health| {
            health.failed += 1;
            health.last_error = Some(error);
        });
    }

    fn lock(&self) -> MutexGuard<'_, PushHealth> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
