//! Stops the world for a heap graph.

use super::{lock, lock_readers};
use crate::Error;
use crate::record::gate::{Mode, check_fault};
use crate::record::thread::{self, Busy, Stage, ThreadState};
use crate::tables::blocks::Granule;

/// Runs `work` while no other thread records, for a heap graph. It gets the granule of the index.
///
/// # Errors
///
/// If tracing is off or does not record every block with its stack, if the index does not have the
/// starts of blocks, and in a signal handler that interrupted a record.
pub(crate) fn with_world_stopped<R>(work: impl FnOnce(Granule) -> R) -> Result<R, Error> {
    if thread::stage() == Stage::Busy || thread::current().is_some_and(ThreadState::is_waited_for) {
        let message = "expected a call outside of the tracer, found one in a signal handler that interrupted it";
        return Err(std::io::Error::new(std::io::ErrorKind::WouldBlock, message).into());
    }
    let _busy = Busy::begin();
    let _readers = lock_readers();
    let mut control = lock();
    check_fault()?;
    let config = control.session.as_ref().ok_or_else(Error::not_tracing)?;
    if config.how() != Mode::Whole {
        return Err(Error::invalid_config(
            "a heap graph needs stacks of every block: expected at least one frame and no sample"
                .to_owned(),
        ));
    }
    let granule = control.granule.unwrap_or(Granule::SMALLEST);
    if granule > Granule::WITH_STARTS {
        return Err(Error::invalid_config(format!(
            "a heap graph needs the starts of blocks: expected a granule of at most 32 bytes, found {}",
            1 << granule.bits()
        )));
    }
    let result = control.stop_the_world(|_| work(granule));
    control.publish();
    Ok(result)
}
