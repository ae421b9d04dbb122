//! Writes the bytes of a file to a path, whatever the path is.
//!
//! - A device, a pipe or a socket is written through, as is a descriptor of this process such as `/dev/stdout`.
//! - A link is followed, and stays; but not one that somebody else put into a folder that all share.
//! - A file is replaced at once, by one that was written beside it, and keeps its mode, and its owner where the
//!   system permits. If there can be no file beside it, it is written in place.

use std::fs::{self, File, Metadata, OpenOptions};
use std::hash::{BuildHasher as _, RandomState};
use std::io::{self, ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::system::quiet::Quiet;

/// How many links are followed, as by the system.
const MOST_LINKS: usize = 40;

/// Writes the bytes, and returns when what they replaced was written, if there was a file.
///
/// It appears whole or not at all, unless it has to be written in place. No signal comes of it.
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

/// Writes the bytes as a file that was not there.
///
/// It appears whole or not at all. No signal comes of it.
pub(crate) fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let _quiet = Quiet::begin();
    let (beside, mut file) = create_beside(path, None)?;
    let written = file.write_all(bytes);
    drop(file);
    let named = written.and_then(|()| give_name(&beside, path));
    // Where the name is another one for it, and where it is of no use.
    let _ = fs::remove_file(&beside);
    named
}

/// Gives a file a name that no file has.
fn give_name(file: &Path, name: &Path) -> io::Result<()> {
    match fs::hard_link(file, name) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => {
            // A file system without links.
            if fs::symlink_metadata(name).is_ok() {
                return Err(ErrorKind::AlreadyExists.into());
            }
            fs::rename(file, name)
        }
        named => named,
    }
}

/// What a path leads to.
enum Place {
    New(PathBuf),
    /// A regular file.
    File(PathBuf, Metadata),
    /// Something else, opened.
    #[cfg(unix)]
    Through(File),
}

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

/// Puts a file with the bytes where `path` is.
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
    // What is left of it is of no use; the error that counts is the first.
    let _ = fs::remove_file(&beside);
    match renamed {
        // Another's file in a folder that all share, or one that is mounted on its own.
        Some(Err(error)) if old.is_some() && needs_no_folder(&error) => in_place(path, old, bytes),
        Some(renamed) => renamed,
        None => written,
    }
}

/// Whether writing in place may do where this is what the folder says.
fn needs_no_folder(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::PermissionDenied
            | ErrorKind::ReadOnlyFilesystem
            | ErrorKind::ResourceBusy
            | ErrorKind::InvalidFilename
    )
}

/// A new file in the same folder, of a name that nobody knows.
fn create_beside(path: &Path, old: Option<&Metadata>) -> io::Result<(PathBuf, File)> {
    let mut attempts = 0;
    loop {
        let random = RandomState::new().hash_one((std::process::id(), attempts));
        let beside = folder_of(path).join(format!(".alloc-trace-{random:016x}"));
        match create(&beside, old.is_some()) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists && attempts < 100 => {
                attempts += 1;
            }
            created => return created.map(|file| (beside, file)),
        }
    }
}

/// Creates a file that is not there; `is_private`, nobody else reads it before it has the mode that it is to have.
fn create(path: &Path, is_private: bool) -> io::Result<File> {
    let mut options = OpenOptions::new();
    // NOTE: `create_new` follows no link.
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, if is_private { 0o600 } else { 0o666 });
    #[cfg(not(unix))]
    let _ = is_private;
    options.open(path)
}

/// Writes a file where it is. If that fails, nothing is left of it.
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

#[cfg(unix)]
mod unix {
    use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};
    use std::os::unix::fs::{
        FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, fchown,
    };
    use std::os::unix::net::UnixStream;

    use super::*;

    /// Refuses what another user put into a folder that all can write to, so that nobody is led to write elsewhere.
    ///
    /// The system itself has this rule for links and files, where it is not turned off.
    pub(super) fn check_owner(path: &Path, found: &Metadata) -> io::Result<()> {
        const SHARED: u32 = 0o1002;
        let folder = fs::metadata(folder_of(path))?;
        // SAFETY: a call without arguments.
        let user = unsafe { libc::geteuid() };
        let is_trusted = found.uid() == user || found.uid() == folder.uid();
        if folder.mode() & SHARED == SHARED && !is_trusted {
            return Err(io::Error::new(
                ErrorKind::PermissionDenied,
                "found there what another user put into a folder that all share",
            ));
        }
        Ok(())
    }

    /// The file that is open as a descriptor of this process, if a link such as `/dev/stdout` leads to one.
    ///
    /// NOTE: to open the link would begin at the start of a file that the program writes to.
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
        // SAFETY: numbers.
        let copy = unsafe { libc::fcntl(number, libc::F_DUPFD_CLOEXEC, 3) };
        if copy < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: made just above, and nobody else's.
        Ok(unsafe { OwnedFd::from_raw_fd(copy) }.into())
    }

    /// Opens what is no regular file, such as a device or a pipe.
    pub(super) fn open_through(path: &Path, found: &Metadata) -> io::Result<File> {
        if found.file_type().is_socket() {
            return Ok(OwnedFd::from(UnixStream::connect(path)?).into());
        }
        let mut options = OpenOptions::new();
        // A pipe that nobody reads is an error, and not waited for.
        options
            .write(true)
            .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY);
        options.open(path)
    }

    /// Writes the bytes, and waits where the other side is slow.
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
        // SAFETY: one place.
        let ready = unsafe { libc::poll(&mut poll, 1, -1) };
        let error = io::Error::last_os_error();
        if ready < 0 && error.kind() != ErrorKind::Interrupted {
            return Err(error);
        }
        Ok(())
    }

    /// Gives a file the owner, the group and the mode of another, as far as that is permitted.
    pub(super) fn keep(file: &File, old: &Metadata) -> io::Result<()> {
        let new = file.metadata()?;
        let mut mode = old.mode() & 0o777;
        if new.gid() != old.gid() && fchown(file, None, Some(old.gid())).is_err() {
            // What the old group might do the new one might not.
            mode &= !0o070;
        }
        if new.mode() & 0o777 != mode {
            file.set_permissions(fs::Permissions::from_mode(mode))?;
        }
        // The last, since only its owner may change a file.
        if new.uid() != old.uid() {
            let _ = fchown(file, Some(old.uid()), None);
        }
        Ok(())
    }
}
