//! One-time reservation of memory for scopes.

use crate::Error;
use crate::system::sync::{AtomicBool, Ordering};
use crate::{capture, control};

/// Reserves memory for scopes, once.
pub(super) fn prepare_scopes() -> Result<(), Error> {
    // The acquire pairs with the release below.
    if SCOPES_ARE_READY.load(Ordering::Acquire) {
        return Ok(());
    }
    if capture::is_for_the_test_harness() {
        prepare_scopes_with_stacks()?;
        super::tell_printing();
    }
    control::prepare_once(super::prepare, &SCOPES_ARE_READY)
}

/// Reserves memory for scopes that count by callsite, once.
pub(super) fn prepare_scopes_with_stacks() -> Result<(), Error> {
    if STACKS_ARE_READY.load(Ordering::Acquire) {
        return Ok(());
    }
    capture::prepare_for_line();
    control::prepare_once(super::prepare_stacks, &STACKS_ARE_READY)
}

static SCOPES_ARE_READY: AtomicBool = AtomicBool::new(false);

static STACKS_ARE_READY: AtomicBool = AtomicBool::new(false);
