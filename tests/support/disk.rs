use std::ffi::CString;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use crate::{Folder, skip};

/// A disk of 256 KiB, mounted in a temporary folder. Dropping it unmounts it.
pub struct SmallDisk(Folder);

impl SmallDisk {
    const BYTES: u64 = 256 << 10;

    /// Mounts an empty one. `None` where the machine mounts nothing for this user, which is reported.
    pub fn new() -> Option<SmallDisk> {
        let disk = SmallDisk(Folder::new("small-disk"));
        match disk.mount(0, &format!("size={}", SmallDisk::BYTES)) {
            Ok(()) => Some(disk),
            Err(error) => {
                skip(&format!("no disk can be mounted here: {error}"));
                None
            }
        }
    }

    fn mount(&self, flags: libc::c_ulong, options: &str) -> std::io::Result<()> {
        let text = |it: &str| CString::new(it).expect("no NUL");
        let (kind, path) = (text("tmpfs"), text(self.path().to_str().expect("UTF-8")));
        let options = text(options);
        // SAFETY: all pointers are to C strings that outlive the call.
        let failed = unsafe {
            libc::mount(
                kind.as_ptr(),
                path.as_ptr(),
                kind.as_ptr(),
                flags,
                options.as_ptr().cast(),
            )
        };
        match failed {
            0 => Ok(()),
            _ => Err(std::io::Error::last_os_error()),
        }
    }

    /// Mounts it again with other flags, such as `MS_RDONLY`.
    ///
    /// # Errors
    ///
    /// If the system refuses, as while a file is open for writing.
    pub fn remount(&self, flags: libc::c_ulong) -> std::io::Result<()> {
        self.mount(libc::MS_REMOUNT | flags, "")
    }

    /// The path of its root.
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// Takes all of the disk that is free, and returns the file to remove.
    ///
    /// # Panics
    ///
    /// If it cannot be written to.
    pub fn fill(&self) -> PathBuf {
        let path = self.path().join("filler");
        let mut file = fs::OpenOptions::new()
            .append(true)
            .create(true)
            .open(&path)
            .expect("a file");
        // NOTE: the recorder may give up and take a page at the same time.
        for _ in 0..SmallDisk::BYTES {
            if file.write_all(&[0; 64]).is_err() {
                break;
            }
        }
        path
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let path = CString::new(self.path().to_str().expect("UTF-8")).expect("no NUL");
        // SAFETY: the pointer is to a C string.
        unsafe { libc::umount2(path.as_ptr(), libc::MNT_DETACH) };
    }
}
