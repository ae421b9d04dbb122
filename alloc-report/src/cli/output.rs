//! Output files. An existing file is replaced only with `--force`.

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::path::Path;

use alloc_core_snapshot::Escaped;
use anyhow::{Context as _, Result, bail};

/// Fails if a file exists at `path`, unless `force` is set. Devices and pipes are fine.
pub(crate) fn check_free(path: &Path, force: bool) -> Result<()> {
    match fs::metadata(path) {
        Ok(found) if found.is_file() && !force => bail!(
            "expected a new path, found a file at {}; --force replaces it",
            escaped(path)
        ),
        _ => Ok(()),
    }
}

/// Writes a file. Fails if it exists, unless `force` is set.
pub(crate) fn write(path: &Path, bytes: &[u8], force: bool) -> Result<()> {
    let mut options = OpenOptions::new();
    options.write(true);
    // NOTE: `create_new` also protects a file that appeared since `check_free`.
    let created = match force {
        true => options.create(true).truncate(true).open(path),
        false => match options.clone().create_new(true).open(path) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                check_free(path, false)?;
                options.open(path)
            }
            created => created,
        },
    };
    let written = created.and_then(|mut file| file.write_all(bytes));
    written.with_context(|| format!("cannot write {}", escaped(path)))
}

/// A path that is safe to print.
pub(crate) fn escaped(path: &Path) -> String {
    Escaped(&path.display().to_string()).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_force_replaces_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        write(&path, b"one", false).unwrap();
        let error = write(&path, b"two", false).unwrap_err().to_string();
        assert!(error.ends_with("/a; --force replaces it"), "{error}");
        assert_eq!(fs::read(&path).unwrap(), b"one");
        write(&path, b"3", true).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"3");
    }

    #[cfg(unix)]
    #[test]
    fn a_device_is_written_to() {
        write(Path::new("/dev/null"), b"one", false).unwrap();
    }
}
