//! Writes the file of this process's snapshots, with as little of the heap as can be.
//!
//! In: the tables. Out: a file at a path. Never: a look into debug information, unless names are asked for.

pub(crate) mod output;
mod tables;

use std::path::Path;
use std::sync::OnceLock;
use std::time::SystemTime;

use crate::Error;
use crate::process::read_tables;
use crate::process::snapshot_of;
pub(crate) use crate::snapshot::file::Reserve;
use crate::snapshot::file::{Names, Pages, write_named};

/// When a snapshot of this process is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Moment {
    /// While the program runs.
    Running,
    /// When the program ends.
    Exit,
}

/// What the tables of this process hold, as a file that is not written yet.
pub(crate) struct Packed(Pages<u8>);

/// Reads the tables of this process. Where there is no memory, this is an error, which takes none.
pub(crate) fn pack(names: Names, moment: Moment) -> Result<Packed, Error> {
    match names {
        Names::Addresses => tables::of_tables(moment).map(Packed),
        Names::Symbols => {
            let (mut bytes, mut pages) = (Vec::new(), Pages::new());
            let mut snapshot = snapshot_of(read_tables::read()?);
            if moment == Moment::Exit {
                snapshot.set_at_exit();
            }
            write_named(&snapshot, &mut bytes)?;
            pages.extend(&bytes)?;
            Ok(Packed(pages))
        }
    }
}

impl Packed {
    /// Writes it to a path: see [`output`] for what a path may be. Returns whether it replaced what was written
    /// while this process ran, as by a child that was told the same path.
    pub(crate) fn put(&self, path: &Path) -> Result<bool, Error> {
        let replaced = output::write(path, &self.0)?;
        let began = BEGAN.get().copied();
        Ok(replaced
            .zip(began)
            .is_some_and(|(replaced, began)| replaced >= began))
    }

    /// Writes it as a new file, and returns `false` if there is something at the path.
    pub(crate) fn put_new(&self, path: &Path) -> Result<bool, Error> {
        match output::write_new(path, &self.0) {
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(false),
            written => Ok(written.map(|()| true)?),
        }
    }
}

/// When this process began, as the clock on the wall had it.
static BEGAN: OnceLock<SystemTime> = OnceLock::new();

/// Notes that the process begins. Does not allocate.
pub(crate) fn begin() {
    let _ = BEGAN.set(SystemTime::now());
}
