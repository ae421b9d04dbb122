//! Threads that are started in a scope: counted there without a handle, or noticed.
//!
//! A thread that `std` starts frees first of all a block that its starter allocated: the box with
//! what it is to run. So a thread that was never seen before, and frees a block of a scope, was
//! started in it. Nobody is seen while there are no scopes, so the threads that are older than the
//! scope are listed, and left out.
//!
//! It does so before it runs anything, so whoever joins it, or hears from it otherwise, finds that
//! it was noticed. A thread that did not get so far did no work either. The threads of others, such
//! as tests beside this one, free blocks of their own starters first, and are seen from then on.

use std::io;

use crate::Error;
use crate::{control, record::thread, system::hooks};

use super::slots::SlotId;

/// What becomes of the threads that are started in a scope.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Started {
    /// They count in it.
    Counts,
    /// It is noted that there are some.
    IsNoted,
}

/// Looks out for threads that are started in a scope, which was entered [with
/// stacks](super::Scope::enter_with_stacks).
pub(super) fn look_out(scope: SlotId, started: Started) -> Result<(), Error> {
    // NOTE: the scope has begun. So a thread that is too young for the list is seen from its first
    // event on.
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

/// Has the calling thread, which frees a block of `owner`, and was never seen, in the innermost
/// scope around that takes in what is started. Those within have it noted.
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

/// Has the calling thread in a scope, of which it owns a share.
fn take_in(scope: SlotId) {
    // NOTE: only a thread that is attached says when it ends.
    if control::attached().is_some() {
        thread::replace_scope(Some(scope));
    } else {
        scope.disown(1);
    }
}
