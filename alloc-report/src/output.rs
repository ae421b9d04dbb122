//! Files that the command writes for people: a file that is there is replaced only by whoever says
//! so.

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::path::Path;

use alloc_core::Escaped;
use anyhow::{Context as _, Result, bail};

/// Refuses a path where a file is, unless it may be replaced. Devices and pipes are written to.
pub(crate) fn check_free(path: &Path, force: bool) -> Result<()> {
    match fs::metadata(path) {
        Ok(found) if found.is_file() && !force => bail!(
            "expected a path where no file is, found one at {}; --force replaces it",
            shown(path)
        ),
        _ => Ok(()),
    }
}

/// Writes a file, but not over one that is there, unless it may be replaced.
pub(crate) fn write(path: &Path, bytes: &[u8], force: bool) -> Result<()> {
    let mut options = OpenOptions::new();
    options.write(true);
    // NOTE: whoever makes the file between a look and this is not overwritten either.
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
    written.with_context(|| format!("cannot write {}", shown(path)))
}

fn shown(path: &Path) -> String {
    Escaped(&path.display().to_string()).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_by_whoever_says_so() {
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
