//! The tracer's own life as events of `tracing`: started, stopped, wrote a snapshot, lost something.
//!
//! In: what happened, after it happened, with no lock held. Out: an event of the target
//! `alloc_core`, or nothing without the feature `tracing`. Never: a call from within an allocation.

use std::path::Path;

use crate::Error;
use crate::snapshot::numbers::Health;

/// A session began.
pub(crate) fn started() {
    #[cfg(feature = "tracing")]
    tracing::info!(
        target: "alloc_core",
        frames = crate::control::traceback_limit(),
        "tracing started"
    );
}

/// A session ended.
pub(crate) fn stopped() {
    #[cfg(feature = "tracing")]
    tracing::info!(target: "alloc_core", "tracing stopped");
}

/// A snapshot file was written.
pub(crate) fn wrote(path: &Path) {
    #[cfg(feature = "tracing")]
    tracing::info!(target: "alloc_core", path = %path.display(), "snapshot written");
    let _ = path;
}

/// A snapshot file was not written.
pub(crate) fn did_not_write(error: &str) {
    #[cfg(feature = "tracing")]
    tracing::warn!(target: "alloc_core", error, "snapshot not written");
    let _ = error;
}

/// A snapshot was taken, with this health, or the tracer gave up.
pub(crate) fn took(health: Result<Health, &Error>) {
    #[cfg(feature = "tracing")]
    match health {
        Ok(health) if health.overflowed > 0 => tracing::warn!(
            target: "alloc_core",
            allocations = health.overflowed,
            "the limit of callsites is reached: new ones are counted together"
        ),
        Err(error) if error.is_broken() => tracing::error!(
            target: "alloc_core",
            error = %error,
            "the tracer gave up"
        ),
        Ok(_) | Err(_) => {}
    }
    let _ = health;
}
