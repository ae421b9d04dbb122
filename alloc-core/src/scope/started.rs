//! Threads that are started in a scope, and counted there without a handle.
//!
//! A thread that `std` starts frees first of all a block that its starter allocated: the box with what it is
//! to run. So a thread that was never seen before, and frees a block of a scope, was started in it. Nobody is
//! seen while there are no scopes, so the threads that are older than the scope are listed, and left out.

use std::io;

use crate::error::Error;
use crate::{control, hooks, thread};

use super::slots::SlotId;

/// Takes threads into a scope, which was entered [with stacks](super::Scope::enter_with_stacks).
pub(super) fn take_in_from_now_on(scope: SlotId) -> Result<(), Error> {
    // NOTE: the scope has begun. So a thread that is too young for the list is seen from its first event on.
    let older = crate::untraced(hooks::threads).map_err(|error| {
        let expected =
            "expected a list of the process's threads, to tell those that are started in a scope";
        Error::from(io::Error::new(error.kind(), format!("{expected}: {error}")))
    })?;
    if let Some(sites) = scope.slot().sites() {
        sites.take_in_all_but(older);
    }
    Ok(())
}

/// Has the calling thread, which frees a block of `owner`, and was never seen, in the innermost scope around
/// that takes in what is started.
#[cold]
pub(super) fn take_in(owner: SlotId) {
    let own = hooks::thread_id();
    let takes_in = |it: &SlotId| {
        let sites = it.slot().sites();
        sites.is_some_and(|sites| sites.takes_in(own)) && it.try_own()
    };
    let Some(scope) = owner.chain().find(takes_in) else {
        return;
    };
    // NOTE: only a thread that is attached says when it ends.
    if control::attached().is_some() {
        thread::replace_scope(Some(scope));
    } else {
        scope.disown(1);
    }
}
