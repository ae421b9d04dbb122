//! Threads that are started in a scope: counted there without a handle, or noticed.
//!
//! A thread that `std` starts first of all frees a block that its starter allocated: the box with
//! its closure. So a thread that was never seen before, and frees a block of a scope, was started
//! in it. Threads are not seen while there are no scopes, so the threads that are older than the
//! scope are listed, and left out.
//!
//! The free happens before the thread runs any closure, so a thread that joins it, or synchronizes
//! with it otherwise, finds that it was noticed. A thread that did not get so far did no work
//! either. Unrelated threads, such as parallel tests, first free blocks of their own starters, and
//! are seen from then on.

use std::io;

use crate::Error;
use crate::{control, record::thread, system::hooks};

use super::slots::SlotId;

/// How a scope treats the threads that are started in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Started {
    /// They count in the scope.
    Counts,
    /// The scope only marks that there are some.
    IsNoted,
}

/// Makes a scope look out for threads that are started in it. The scope was entered [with
/// stacks](super::Scope::enter_with_stacks).
pub(super) fn look_out(scope: SlotId, started: Started) -> Result<(), Error> {
    // NOTE: the scope has begun, so a thread too young for the list is seen from its first event
    // on.
    let older = thread::untraced(hooks::threads).map_err(|error| {
        let expected =
            "expected a list of the process's threads, to tell those that are started in a scope";
        Error::from(io::Error::new(error.kind(), format!("{expected}: {error}")))
    })?;
    if let Some(sites) = scope.slot().sites() {
        sites.look_out(older, started);
    }
    Ok(())
}

/// Handles a thread seen for the first time, as it frees a block of `owner`. Moves it into the
/// innermost scope around that counts started threads; scopes within that only notice them set
/// their mark.
#[cold]
pub(super) fn look_at(owner: SlotId) {
    let own = hooks::thread_id();
    for scope in owner.chain() {
        let Some(sites) = scope.slot().sites() else {
            continue;
        };
        match sites.what_becomes_of(own) {
            Some(Started::IsNoted) => sites.note_started(),
            Some(Started::Counts) if scope.try_own() => return take_in(scope),
            Some(Started::Counts) | None => {}
        }
    }
}

/// Moves the calling thread into a scope and gives the thread a share of it.
fn take_in(scope: SlotId) {
    // NOTE: only an attached thread gets a notice of its end.
    if control::attached().is_some() {
        thread::replace_scope(Some(scope));
    } else {
        scope.disown(1);
    }
}
