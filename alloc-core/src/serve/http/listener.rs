//! [`Listener`]: a TCP address or a Unix socket that is listened to.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, ToSocketAddrs as _};
use std::path::PathBuf;

use super::super::ServeOptions;
use crate::Error;
use crate::system::only_here::OnlyHere;

/// What is listened to.
#[derive(Clone, Debug)]
pub(super) enum Place {
    Net(SocketAddr),
    Socket(PathBuf),
}

pub(super) struct Listener {
    place: Place,
    inner: Inner,
}

enum Inner {
    Tcp(OnlyHere<TcpListener>),
    #[cfg(unix)]
    Unix(unix::Socket),
}

/// A connection to a client.
pub(super) enum Stream {
    Tcp(TcpStream),
    #[cfg(unix)]
    Unix(std::os::unix::net::UnixStream),
}

impl Listener {
    /// Listens to an address of a host and a port, or to the path of a socket.
    pub(super) fn bind(address: &str, options: &ServeOptions) -> Result<Listener, Error> {
        let fail = |error: io::Error| {
            let message = format!("cannot serve at {address}: {error}");
            Error::from(io::Error::new(error.kind(), message))
        };
        let path = address.strip_prefix("unix:");
        match path.or_else(|| address.contains('/').then_some(address)) {
            Some(path) => Listener::bind_socket(path.into(), options).map_err(fail),
            None => Listener::bind_tcp(address, options).map_err(fail),
        }
    }

    fn bind_tcp(address: &str, options: &ServeOptions) -> io::Result<Listener> {
        let expected = "expected a host and a port, as 127.0.0.1:6060, or the path of a socket";
        let resolved: Vec<SocketAddr> = match address.to_socket_addrs() {
            Ok(resolved) => resolved.collect(),
            Err(error) if error.kind() == ErrorKind::InvalidInput => {
                return Err(io::Error::new(error.kind(), expected));
            }
            Err(error) => return Err(error),
        };
        let is_public = |it: &SocketAddr| !it.ip().is_loopback();
        if options.token.is_none() && resolved.iter().any(is_public) {
            return Err(io::Error::new(
                ErrorKind::PermissionDenied,
                "others can reach it: expected ServeOptions::token, or an address of this machine \
                 only, as 127.0.0.1",
            ));
        }
        let listener = OnlyHere::open(|| TcpListener::bind(&resolved[..]))?;
        listener.set_nonblocking(true)?;
        Ok(Listener {
            place: Place::Net(listener.local_addr()?),
            inner: Inner::Tcp(listener),
        })
    }

    #[cfg(unix)]
    fn bind_socket(path: PathBuf, options: &ServeOptions) -> io::Result<Listener> {
        let path = std::path::absolute(path)?;
        let socket = unix::Socket::bind(&path, options.socket_mode)?;
        Ok(Listener {
            place: Place::Socket(path),
            inner: Inner::Unix(socket),
        })
    }

    #[cfg(not(unix))]
    fn bind_socket(_: PathBuf, _: &ServeOptions) -> io::Result<Listener> {
        Err(ErrorKind::Unsupported.into())
    }

    pub(super) fn place(&self) -> &Place {
        &self.place
    }

    /// The next connection. `None` if nobody waits.
    pub(super) fn accept(&self) -> io::Result<Option<OnlyHere<Stream>>> {
        let accept = || match &self.inner {
            Inner::Tcp(listener) => listener.accept().and_then(|(stream, _)| {
                stream.set_nonblocking(true)?;
                Ok(Stream::Tcp(stream))
            }),
            #[cfg(unix)]
            Inner::Unix(socket) => socket.accept().map(Stream::Unix),
        };
        match OnlyHere::open(accept) {
            Ok(stream) => Ok(Some(stream)),
            Err(error) => match error.kind() {
                ErrorKind::WouldBlock => Ok(None),
                // The client is gone, or a signal came.
                ErrorKind::ConnectionAborted | ErrorKind::Interrupted => self.accept(),
                _ => Err(error),
            },
        }
    }
}

#[cfg(unix)]
mod descriptors {
    use std::os::fd::{AsFd, BorrowedFd};

    use super::*;

    impl AsFd for Listener {
        fn as_fd(&self) -> BorrowedFd<'_> {
            match &self.inner {
                Inner::Tcp(listener) => listener.as_fd(),
                Inner::Unix(socket) => socket.as_fd(),
            }
        }
    }

    impl AsFd for Stream {
        fn as_fd(&self) -> BorrowedFd<'_> {
            match self {
                Stream::Tcp(stream) => stream.as_fd(),
                Stream::Unix(stream) => stream.as_fd(),
            }
        }
    }
}

impl Stream {
    /// Says that nothing more is written.
    pub(super) fn finish(&self) -> io::Result<()> {
        let side = std::net::Shutdown::Write;
        match self {
            Stream::Tcp(stream) => stream.shutdown(side),
            #[cfg(unix)]
            Stream::Unix(stream) => stream.shutdown(side),
        }
    }
}

impl Read for Stream {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Stream::Tcp(stream) => stream.read(into),
            #[cfg(unix)]
            Stream::Unix(stream) => stream.read(into),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Stream::Tcp(stream) => stream.write(bytes),
            #[cfg(unix)]
            Stream::Unix(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(unix)]
mod unix {
    use std::fs::{self, DirBuilder, Permissions};
    use std::hash::{BuildHasher as _, RandomState};
    use std::io;
    use std::os::fd::{AsFd, BorrowedFd};
    use std::os::unix::fs::PermissionsExt as _;
    use std::os::unix::fs::{DirBuilderExt as _, FileTypeExt as _, MetadataExt as _};
    use std::os::unix::net::{UnixListener, UnixStream};
    use std::path::{Path, PathBuf};

    use crate::system::only_here::OnlyHere;

    /// A Unix socket, which is removed at the end.
    pub(super) struct Socket {
        listener: OnlyHere<UnixListener>,
        path: PathBuf,
        /// The file that is removed, unless another one has its name by then.
        inode: u64,
    }

    impl Socket {
        /// Creates the socket, or replaces one that nobody listens to any more.
        pub(super) fn bind(path: &Path, mode: u32) -> io::Result<Socket> {
            check_free(path)?;
            let folder = path.parent().unwrap_or(Path::new("/"));
            // NOTE: a new socket can be opened by whom the umask permits. So it gets its
            // permissions in a folder that nobody else can enter.
            let random = RandomState::new().hash_one(std::process::id()) as u32;
            let private = folder.join(format!(".{random:08x}"));
            DirBuilder::new().mode(0o700).create(&private)?;
            let bound = bind_in(&private, path, mode);
            let _ = fs::remove_file(private.join("s"));
            let _ = fs::remove_dir(&private);
            let (listener, inode) = bound?;
            Ok(Socket {
                listener,
                path: path.to_owned(),
                inode,
            })
        }

        pub(super) fn accept(&self) -> io::Result<UnixStream> {
            let (stream, _) = self.listener.accept()?;
            stream.set_nonblocking(true)?;
            Ok(stream)
        }
    }

    fn bind_in(
        private: &Path,
        path: &Path,
        mode: u32,
    ) -> io::Result<(OnlyHere<UnixListener>, u64)> {
        let temporary = private.join("s");
        let listener = OnlyHere::open(|| UnixListener::bind(&temporary))?;
        listener.set_nonblocking(true)?;
        fs::set_permissions(&temporary, Permissions::from_mode(mode))?;
        let inode = fs::symlink_metadata(&temporary)?.ino();
        fs::rename(&temporary, path)?;
        Ok((listener, inode))
    }

    /// Refuses a path where somebody listens, or where something else is.
    fn check_free(path: &Path) -> io::Result<()> {
        let found = match fs::symlink_metadata(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            found => found?,
        };
        if !found.file_type().is_socket() {
            return Err(io::Error::new(
                io::ErrorKind::AlreadyExists,
                "expected a socket or nothing there, found a file",
            ));
        }
        match UnixStream::connect(path) {
            Ok(_) => Err(io::ErrorKind::AddrInUse.into()),
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(()),
            Err(error) => Err(error),
        }
    }

    impl AsFd for Socket {
        fn as_fd(&self) -> BorrowedFd<'_> {
            self.listener.as_fd()
        }
    }

    impl Drop for Socket {
        fn drop(&mut self) {
            let is_own = |it: fs::Metadata| it.ino() == self.inode;
            if fs::symlink_metadata(&self.path).is_ok_and(is_own) {
                let _ = fs::remove_file(&self.path);
            }
        }
    }
}
