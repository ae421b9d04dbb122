//! [`Writer`]: a recording in progress.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

use super::folder::{ABOUT, About, MEMORY};
use super::moment::Moment;

/// Writes a recording while the program runs.
#[derive(Debug)]
pub(crate) struct Writer {
    pub(crate) folder: PathBuf,
    pub(crate) about: About,
    moments: csv::Writer<File>,
}

impl Writer {
    /// Starts a recording in a folder that is empty or does not exist.
    pub(crate) fn create(folder: &Path, about: About) -> Result<Writer> {
        let shown = folder.display();
        fs::create_dir_all(folder).with_context(|| format!("cannot create the folder {shown}"))?;
        if fs::read_dir(folder)
            .with_context(|| format!("cannot read {shown}"))?
            .next()
            .is_some()
        {
            bail!(
                "expected an empty or a new folder, found files in {shown}; --force replaces a \
                 recording"
            );
        }
        // NOTE: the path is absolute, since the program may change its working directory.
        let folder = folder.canonicalize()?;
        let memory = folder.join(MEMORY);
        let moments = csv::Writer::from_path(&memory)
            .with_context(|| format!("cannot write {}", memory.display()))?;
        let writer = Writer {
            folder,
            about,
            moments,
        };
        writer.write_about()?;
        Ok(writer)
    }

    pub(crate) fn write_about(&self) -> Result<()> {
        let path = self.folder.join(ABOUT);
        let text = serde_json::to_string_pretty(&self.about)? + "\n";
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
    }

    pub(crate) fn append(&mut self, moment: Moment) -> Result<()> {
        self.moments.serialize(moment)?;
        // Flushed, so that a concurrent reader sees the row.
        self.moments.flush()?;
        Ok(())
    }
}
