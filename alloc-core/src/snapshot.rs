//! What this crate uses of the reading side, the crate `alloc-core-snapshot`, under short paths.

pub(crate) use alloc_core_snapshot::seam::*;
