//! Writes bytes to a path of any kind.
//!
//! - A device, pipe or socket is written to directly, and so is a descriptor of this process, such
//!   as `/dev/stdout`.
//! - A link is followed and kept, unless another user created it in a shared folder.
//! - What must be new, as the files of a ring, gets its name once it is whole, where the system has files
//!   without a name: a process that is killed leaves no part of it.
//! - A file is replaced atomically by a temporary file next to it. It keeps its mode, and its owner
//!   where the system permits. If no temporary file can be created, it is overwritten in place.

use std::fs::{self, File, Metadata, OpenOptions};
use std::hash::{BuildHasher as _, RandomState};
use std::io::{self, ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::system::quiet::Quiet;

/// How many links are followed at most. Linux has the same limit.
const MOST_LINKS: usize = 40;

/// Writes the bytes. Returns the modification time of the file that they replaced, if any.
///
/// The file appears whole or not at all, unless it has to be overwritten in place. Raises no
/// signal.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> io::Result<Option<SystemTime>> {
    let _quiet = Quiet::begin();
    match place_of(path)? {
        Place::New(path) => replace(&path, None, bytes).map(|()| None),
        Place::File(path, old) => {
            replace(&path, Some(&old), bytes)?;
            Ok(old.modified().ok())
        }
        #[cfg(unix)]
        Place::Through(mut file) => unix::write_through(&mut file, bytes).map(|()| None),
    }
}

/// Writes the bytes to a new file. Fails if something exists at the path.
///
/// The file appears whole or not at all. Raises no signal.
pub(crate) fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let _quiet = Quiet::begin();
    #[cfg(target_os = "linux")]
    if let Ok(mut file) = nameless::create(folder_of(path), 0o666) {
        file.write_all(bytes)?;
        match nameless::give_name(&file, path) {
            // NOTE: the other way needs no `/proc`.
            Err(error) if error.kind() != ErrorKind::AlreadyExists => {}
            named => return named,
        }
    }
    let (beside, mut file) = create_beside(path, None)?;
    let written = file.write_all(bytes);
    drop(file);
    let named = written.and_then(|()| give_name(&beside, path));
    // Removes the second name of the file, or a file that is of no use.
    let _ = fs::remove_file(&beside);
    named
}

/// Renames a file, unless the new name exists.
fn give_name(file: &Path, name: &Path) -> io::Result<()> {
    match fs::hard_link(file, name) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => {
            // The file system has no links.
            if fs::symlink_metadata(name).is_ok() {
                return Err(ErrorKind::AlreadyExists.into());
            }
            fs::rename(file, name)
        }
        named => named,
    }
}

/// Creates a file without a name in a folder. Only its owner can read it.
#[cfg(feature = "serve")]
pub(crate) fn create_nameless(folder: &Path) -> io::Result<File> {
    #[cfg(target_os = "linux")]
    if let Ok(file) = nameless::create(folder, 0o600) {
        return Ok(file);
    }
    let (path, file) = create_private(&folder.join("file"))?;
    fs::remove_file(path)?;
    Ok(file)
}

/// Creates a temporary file next to a path, which only its owner can read.
pub(crate) fn create_private(path: &Path) -> io::Result<(PathBuf, File)> {
    create_beside_as(path, true)
}

/// What a path resolves to.
enum Place {
    /// Nothing: a file can be created here.
    New(PathBuf),
    /// A regular file.
    File(PathBuf, Metadata),
    /// Anything else, opened.
    #[cfg(unix)]
    Through(File),
}

/// Resolves a path, following links.
fn place_of(path: &Path) -> io::Result<Place> {
    let mut path = path.to_owned();
    for _ in 0..MOST_LINKS {
        let found = match fs::symlink_metadata(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Place::New(path)),
            found => found?,
        };
        #[cfg(unix)]
        unix::check_owner(&path, &found)?;
        if found.is_symlink() {
            #[cfg(unix)]
            if let Some(file) = unix::descriptor(&path) {
                return file.map(Place::Through);
            }
            let target = fs::read_link(&path)?;
            path = folder_of(&path).join(target);
        } else if found.is_file() {
            return Ok(Place::File(path, found));
        } else {
            #[cfg(unix)]
            return unix::open_through(&path, &found).map(Place::Through);
            #[cfg(not(unix))]
            return Err(ErrorKind::IsADirectory.into());
        }
    }
    Err(io::Error::other(
        "found more than 40 links, one to the other",
    ))
}

fn folder_of(path: &Path) -> &Path {
    let folder = path.parent().unwrap_or(Path::new(""));
    if folder.as_os_str().is_empty() {
        Path::new(".")
    } else {
        folder
    }
}

/// Creates or replaces the file at `path`.
fn replace(path: &Path, old: Option<&Metadata>, bytes: &[u8]) -> io::Result<()> {
    let (beside, mut file) = match create_beside(path, old) {
        Ok(created) => created,
        Err(error) if needs_no_folder(&error) => return in_place(path, old, bytes),
        Err(error) => return Err(error),
    };
    let written = file.write_all(bytes);
    #[cfg(unix)]
    let written = written.and_then(|()| old.map_or(Ok(()), |old| unix::keep(&file, old)));
    drop(file);
    let renamed = written.is_ok().then(|| fs::rename(&beside, path));
    if matches!(renamed, Some(Ok(()))) {
        return Ok(());
    }
    // The temporary file is of no use. The first error is the one to report.
    let _ = fs::remove_file(&beside);
    match renamed {
        // Another user's file in a shared folder, or a mount point.
        Some(Err(error)) if old.is_some() && needs_no_folder(&error) => in_place(path, old, bytes),
        Some(renamed) => renamed,
        None => written,
    }
}

/// Whether overwriting in place may work although the folder refuses a new file.
fn needs_no_folder(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::PermissionDenied
            | ErrorKind::ReadOnlyFilesystem
            | ErrorKind::ResourceBusy
            | ErrorKind::InvalidFilename
    )
}

/// Creates a temporary file with a random name in the same folder.
fn create_beside(path: &Path, old: Option<&Metadata>) -> io::Result<(PathBuf, File)> {
    create_beside_as(path, old.is_some())
}

fn create_beside_as(path: &Path, is_private: bool) -> io::Result<(PathBuf, File)> {
    let mut attempts = 0;
    loop {
        let random = RandomState::new().hash_one((std::process::id(), attempts));
        let beside = folder_of(path).join(format!(".alloc-trace-{random:016x}"));
        match create(&beside, is_private) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists && attempts < 100 => {
                attempts += 1;
            }
            created => return created.map(|file| (beside, file)),
        }
    }
}

/// Creates a new file. If `is_private`, only its owner can read it, until it gets its final mode.
fn create(path: &Path, is_private: bool) -> io::Result<File> {
    let mut options = OpenOptions::new();
    // NOTE: `create_new` follows no link.
    options.read(true).write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, if is_private { 0o600 } else { 0o666 });
    #[cfg(not(unix))]
    let _ = is_private;
    options.open(path)
}

/// Overwrites a file in place. If that fails, removes or empties it.
fn in_place(path: &Path, old: Option<&Metadata>, bytes: &[u8]) -> io::Result<()> {
    let mut file = match old {
        None => create(path, false)?,
        Some(_) => {
            let mut options = OpenOptions::new();
            options.write(true);
            #[cfg(unix)]
            std::os::unix::fs::OpenOptionsExt::custom_flags(&mut options, libc::O_NOFOLLOW);
            options.open(path)?
        }
    };
    file.set_len(0)?;
    let written = file.write_all(bytes);
    if written.is_err() {
        let _ = match old {
            None => fs::remove_file(path),
            Some(_) => file.set_len(0),
        };
    }
    written
}

/// Files that have no name until they get one. Some file systems have none.
#[cfg(target_os = "linux")]
mod nameless {
    use std::ffi::CString;
    use std::os::fd::AsRawFd as _;
    use std::os::unix::ffi::OsStrExt as _;
    use std::os::unix::fs::OpenOptionsExt as _;

    use super::*;

    pub(super) fn create(folder: &Path, mode: u32) -> io::Result<File> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).mode(mode);
        options.custom_flags(libc::O_TMPFILE).open(folder)
    }

    /// Fails if something exists at the path.
    pub(super) fn give_name(file: &File, path: &Path) -> io::Result<()> {
        let file = CString::new(format!("/proc/self/fd/{}", file.as_raw_fd()))?;
        let path = CString::new(path.as_os_str().as_bytes())?;
        // SAFETY: both texts end with a zero byte.
        let failed = unsafe {
            libc::linkat(
                libc::AT_FDCWD,
                file.as_ptr(),
                libc::AT_FDCWD,
                path.as_ptr(),
                libc::AT_SYMLINK_FOLLOW,
            )
        } != 0;
        match failed {
            true => Err(io::Error::last_os_error()),
            false => Ok(()),
        }
    }
}

#[cfg(unix)]
mod unix {
    use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};
    use std::os::unix::fs::{
        FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, fchown,
    };
    use std::os::unix::net::UnixStream;

    use super::*;

    /// Refuses a file or link that another user created in a shared folder.
    ///
    /// Such a link could redirect the write. Linux enforces the same rule, unless it is turned off
    /// (`fs.protected_symlinks`, `fs.protected_regular`).
    pub(super) fn check_owner(path: &Path, found: &Metadata) -> io::Result<()> {
        const SHARED: u32 = 0o1002;
        let folder = fs::metadata(folder_of(path))?;
        // SAFETY: `geteuid` has no preconditions.
        let user = unsafe { libc::geteuid() };
        let is_trusted = found.uid() == user || found.uid() == folder.uid();
        if folder.mode() & SHARED == SHARED && !is_trusted {
            return Err(io::Error::new(
                ErrorKind::PermissionDenied,
                "another user put this file into a shared folder",
            ));
        }
        Ok(())
    }

    /// Returns the open file that a link such as `/dev/stdout` refers to, if it is a descriptor.
    ///
    /// NOTE: opening the link instead would start at offset zero of a file that the program writes.
    pub(super) fn descriptor(link: &Path) -> Option<io::Result<File>> {
        let folder = fs::canonicalize(folder_of(link)).ok()?;
        let of_process = folder.strip_prefix("/proc").ok()?;
        if of_process.file_name()? != "fd" {
            return None;
        }
        let number = link.file_name()?.to_str()?.parse::<i32>().ok()?;
        let process = of_process.iter().next()?.to_str()?.parse::<u32>().ok()?;
        if process != std::process::id() {
            return Some(OpenOptions::new().append(true).open(link));
        }
        Some(duplicate(number))
    }

    fn duplicate(number: i32) -> io::Result<File> {
        // SAFETY: all arguments are integers; a bad descriptor is an error.
        let copy = unsafe { libc::fcntl(number, libc::F_DUPFD_CLOEXEC, 3) };
        if copy < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: `fcntl` returned a new descriptor that nothing else owns.
        Ok(unsafe { OwnedFd::from_raw_fd(copy) }.into())
    }

    /// Opens a file that is not regular, such as a device or a pipe.
    pub(super) fn open_through(path: &Path, found: &Metadata) -> io::Result<File> {
        if found.file_type().is_socket() {
            return Ok(OwnedFd::from(UnixStream::connect(path)?).into());
        }
        let mut options = OpenOptions::new();
        // A pipe without a reader is an error rather than a wait.
        options
            .write(true)
            .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY);
        options.open(path)
    }

    /// Writes the bytes, and waits for a slow reader.
    pub(super) fn write_through(file: &mut File, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            match file.write(bytes) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(written) => bytes = &bytes[written..],
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => wait_for(file)?,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn wait_for(file: &File) -> io::Result<()> {
        let mut poll = libc::pollfd {
            fd: file.as_raw_fd(),
            events: libc::POLLOUT,
            revents: 0,
        };
        // SAFETY: the pointer and the length describe one valid `pollfd`.
        let ready = unsafe { libc::poll(&mut poll, 1, -1) };
        let error = io::Error::last_os_error();
        if ready < 0 && error.kind() != ErrorKind::Interrupted {
            return Err(error);
        }
        Ok(())
    }

    /// Copies owner, group and mode from another file, as far as that is permitted.
    pub(super) fn keep(file: &File, old: &Metadata) -> io::Result<()> {
        let new = file.metadata()?;
        let mut mode = old.mode() & 0o777;
        if new.gid() != old.gid() && fchown(file, None, Some(old.gid())).is_err() {
            // The new group must not get the rights of the old one.
            mode &= !0o070;
        }
        if new.mode() & 0o777 != mode {
            file.set_permissions(fs::Permissions::from_mode(mode))?;
        }
        // Last, since only the owner may change a file.
        if new.uid() != old.uid() {
            let _ = fchown(file, Some(old.uid()), None);
        }
        Ok(())
    }
}
