//! The stand-in for [`residence`](super) where the system does not say which pages are resident.

use crate::tables::callsites::CallsiteId;
use crate::{Error, Pinned, Residence};

/// What each callsite keeps resident.
pub(crate) struct PinnedPages {
    pub(crate) residence: Residence,
}

impl PinnedPages {
    pub(crate) fn read() -> Result<PinnedPages, Error> {
        let needs = "where the resident memory goes is known on Linux only";
        Err(std::io::Error::new(std::io::ErrorKind::Unsupported, needs).into())
    }

    pub(crate) fn of(&self, _: CallsiteId) -> Pinned {
        Pinned::default()
    }
}
