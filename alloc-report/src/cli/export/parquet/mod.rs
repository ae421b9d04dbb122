//! Snapshots as rows of Parquet files, for the engines that query a fleet.
//!
//! Snapshots go in; a file for each goes into the folder of its service and day. The schema and its
//! meaning stand in `docs/fleet.md`.
//!
//! Each module imports only from those before it: `origin`, `rows`, `writer`.

#[cfg(feature = "parquet")]
mod origin;
#[cfg(feature = "parquet")]
mod rows;
#[cfg(feature = "parquet")]
mod writer;

use std::path::{Path, PathBuf};

use anyhow::Result;

use super::options::OriginOptions;
use crate::view::{Charging, Filters};

/// Writes a file for each snapshot into a folder. Returns the text to print.
#[cfg(not(feature = "parquet"))]
pub(super) fn write_all(
    _files: &[PathBuf],
    _folder: &Path,
    _options: &OriginOptions,
    _charging: &Charging,
    _filters: &Filters,
) -> Result<String> {
    anyhow::bail!(
        "expected an alloc-report with the feature parquet, found one without; cargo install \
         alloc-report --features parquet installs it"
    )
}

#[cfg(feature = "parquet")]
pub(super) use of_files::write_all;

#[cfg(feature = "parquet")]
mod of_files {
    use std::fs::{self, File};
    use std::io::{self, BufWriter};
    use std::mem::ManuallyDrop;

    use alloc_core_snapshot::{Escaped, Snapshot};
    use anyhow::{Context as _, bail};

    use super::origin::Origin;
    use super::*;
    use crate::load::{Loaded, load};
    use crate::output::escaped;
    use crate::recording::Recording;

    /// Writes a file for each snapshot into a folder. Returns the text to print.
    ///
    /// The file of a snapshot that was written before is replaced.
    pub(in super::super) fn write_all(
        files: &[PathBuf],
        folder: &Path,
        options: &OriginOptions,
        charging: &Charging,
        filters: &Filters,
    ) -> Result<String> {
        let mut text = String::new();
        for file in snapshots(files)? {
            let Loaded { snapshot, nothing } = load(&file, charging, filters)?;
            // NOTE: many files are read, so that each is freed.
            let snapshot = ManuallyDrop::into_inner(snapshot);
            let shown = escaped(&file);
            if let Some(nothing) = nothing {
                bail!("{shown}: {nothing}");
            }
            if snapshot.is_difference() {
                bail!("expected a snapshot, found a difference between two in {shown}");
            }
            let origin = Origin::of(&snapshot, options).context(shown)?;
            let written = write(&snapshot, &origin, folder)?;
            text += &format!("Written to {}\n", escaped(&written));
        }
        Ok(text)
    }

    /// The snapshot files at these paths: all snapshots of a recording.
    fn snapshots(paths: &[PathBuf]) -> Result<Vec<PathBuf>> {
        let mut files = Vec::new();
        for path in paths {
            match Recording::open(path) {
                Ok(recording) => files.extend(recording.snapshots()?),
                Err(_) => files.push(path.clone()),
            }
        }
        Ok(files)
    }

    /// Writes a snapshot under another name first, so that no reader meets a part of a file.
    fn write(snapshot: &Snapshot, origin: &Origin, folder: &Path) -> Result<PathBuf> {
        let (partition, name) = origin.place();
        let partition = folder.join(partition);
        let path = partition.join(format!("{name}.parquet"));
        let partial = partition.join(format!(".{name}.{}.part", std::process::id()));
        let written = fs::create_dir_all(&partition)
            .and_then(|()| File::create(&partial))
            .map_err(anyhow::Error::from)
            .and_then(|file| {
                let mut file = BufWriter::new(file);
                super::writer::write(&mut file, snapshot, origin)?;
                let file = file.into_inner().map_err(io::IntoInnerError::into_error)?;
                file.sync_all()?;
                Ok(fs::rename(&partial, &path)?)
            });
        if written.is_err() {
            let _ = fs::remove_file(&partial);
        }
        let shown = path.display().to_string();
        written.with_context(|| format!("cannot write {}", Escaped(&shown)))?;
        Ok(path)
    }
}
