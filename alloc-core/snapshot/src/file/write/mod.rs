//! Writes a snapshot as a profile.
//!
//! In: a snapshot, or callsites one by one. Out: the bytes of a file. A file with addresses never
//! needs debug information.

mod drop_frames;
mod gzip;
mod locations;
pub(in crate::file) mod message;
pub(in crate::file) mod named;
pub(crate) mod pages;
pub(crate) mod raw;
pub(crate) mod reserve;
pub(in crate::file) mod unnamed;
