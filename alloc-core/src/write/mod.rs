//! Writes snapshots of this process to files, with minimal use of the heap.
//!
//! In: the tables. Out: a file at a path. Never: a read of debug information, unless names are
//! requested.

pub(crate) mod output;
#[cfg(feature = "serve")]
pub(crate) mod profile;
pub(crate) mod stock;
mod tables;
#[cfg(feature = "serve")]
pub(crate) mod totals;

use std::io;
use std::path::Path;

use crate::Error;
use crate::process::read_tables;
use crate::process::residence::PinnedPages;
use crate::process::{allocator, began_at, snapshot_of};
pub(crate) use crate::snapshot::file::Reserve;
use crate::snapshot::file::{Names, Pages, write_named};
#[cfg(feature = "serve")]
pub(crate) use tables::arguments;

/// The moment at which a snapshot is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Moment {
    /// While the program runs.
    #[default]
    Running,
    /// When the program ends.
    Exit,
}

/// The content of a snapshot file, not written yet.
pub(crate) struct Packed(Pages<u8>);

/// What a snapshot has besides the tables.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct With {
    pub(crate) names: Names,
    /// Where the resident memory goes.
    pub(crate) residence: bool,
}

/// Reads the tables of this process. Fails without allocating if there is no memory.
pub(crate) fn pack(with: With, moment: Moment, metadata: &[(&str, &str)]) -> Result<Packed, Error> {
    let numbers = with.residence.then(allocator::numbers).unwrap_or_default();
    let numbers = numbers.iter().map(|(key, value)| (&**key, &**value));
    let metadata: Vec<(&str, &str)> = metadata.iter().copied().chain(numbers).collect();
    let pages = with.residence.then(PinnedPages::read).transpose()?;
    let pages = pages.as_ref();
    match with.names {
        Names::Addresses => tables::of_tables(moment, pages, &metadata, &mut |_| ()).map(Packed),
        Names::Symbols => {
            let (mut bytes, mut file) = (Vec::new(), Pages::new());
            let mut snapshot = snapshot_of(read_tables::read(pages)?);
            if moment == Moment::Exit {
                snapshot.set_at_exit();
            }
            for (key, value) in metadata {
                snapshot.set_metadata(key, value);
            }
            write_named(&snapshot, &mut bytes)?;
            file.extend(&bytes)?;
            Ok(Packed(file))
        }
    }
}

/// Reads the tables of this process, and passes the callsite of each sample to `each`, in order.
pub(crate) fn pack_with_callsites(each: &mut dyn FnMut(u32)) -> Result<Packed, Error> {
    tables::of_tables(Moment::Running, None, &[], each).map(Packed)
}

impl Packed {
    #[cfg(feature = "serve")]
    pub(crate) fn of(pages: Pages<u8>) -> Packed {
        Packed(pages)
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// Writes the file to a path: see [`output`] for the kinds of paths.
    ///
    /// Returns whether it replaced a file that was written while this process ran, such as by a
    /// child with the same path.
    pub(crate) fn put(&self, path: &Path) -> Result<bool, Error> {
        let replaced = output::write(path, &self.0)?;
        let began = began_at();
        Ok(replaced
            .zip(began)
            .is_some_and(|(replaced, began)| replaced >= began))
    }

    /// Writes a new file. `false` if something exists at the path.
    pub(crate) fn put_new(&self, path: &Path) -> io::Result<bool> {
        match output::write_new(path, &self.0) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
            written => written.map(|()| true),
        }
    }
}
