//! [`OnlyHere`]: a socket that a child after a fork closes.
//!
//! A child has a copy of each descriptor. As long as one is open, a port is in use and a connection has no end, though the
//! process that answers is gone.

pub(crate) use imp::*;

#[cfg(unix)]
mod imp {
    use std::io;
    use std::mem::ManuallyDrop;
    use std::ops::{Deref, DerefMut};
    use std::os::fd::{AsFd, AsRawFd as _, RawFd};
    use std::sync::{Mutex, MutexGuard, PoisonError};

    use crate::system::signal_mask::Blocked;

    /// A socket that is open in this process only. It closes when this is dropped.
    pub(crate) struct OnlyHere<T: AsFd> {
        inner: ManuallyDrop<T>,
        /// Its place in [`OPEN`]. `None` if there was none left: then a child has a copy.
        place: Option<usize>,
    }

    /// A server has a listener and some connections.
    const MOST: usize = 256;

    /// What is open.
    ///
    /// NOTE: the lock is held while a socket opens and while it closes, and around a fork. So no child has one that is not
    /// listed, and no number that is listed belongs to another file.
    static OPEN: Mutex<[Option<Open>; MOST]> = Mutex::new([None; MOST]);

    #[derive(Clone, Copy, PartialEq, Eq)]
    struct Open {
        descriptor: RawFd,
        file: File,
    }

    /// Device and inode.
    type File = (libc::dev_t, libc::ino_t);

    impl<T: AsFd> OnlyHere<T> {
        /// Opens a socket.
        pub(crate) fn open(open: impl FnOnce() -> io::Result<T>) -> io::Result<OnlyHere<T>> {
            // NOTE: a signal handler that forks would wait for the lock that it interrupted.
            let _blocked = Blocked::begin();
            let mut all = lock();
            let inner = ManuallyDrop::new(open()?);
            let descriptor = inner.as_fd().as_raw_fd();
            let place = all.iter().position(Option::is_none);
            let place = place.zip(file_of(descriptor)).map(|(place, file)| {
                all[place] = Some(Open { descriptor, file });
                place
            });
            Ok(OnlyHere { inner, place })
        }
    }

    impl<T: AsFd> Drop for OnlyHere<T> {
        fn drop(&mut self) {
            let _blocked = Blocked::begin();
            let mut all = lock();
            if let Some(place) = self.place {
                all[place] = None;
            }
            // SAFETY: nobody uses it after this.
            unsafe { ManuallyDrop::drop(&mut self.inner) };
        }
    }

    impl<T: AsFd> Deref for OnlyHere<T> {
        type Target = T;

        fn deref(&self) -> &T {
            &self.inner
        }
    }

    impl<T: AsFd> DerefMut for OnlyHere<T> {
        fn deref_mut(&mut self) -> &mut T {
            &mut self.inner
        }
    }

    /// The lock, from before a fork to after it.
    pub(crate) struct Held(MutexGuard<'static, [Option<Open>; MOST]>);

    /// Keeps other threads from opening and closing such sockets, for the duration of a fork.
    pub(crate) fn hold() -> Held {
        Held(lock())
    }

    impl Held {
        /// Closes the child's copies. Only threads of the parent use them.
        pub(crate) fn close(mut self) {
            close_all(&mut *self.0);
        }
    }

    fn close_all(all: &mut [Option<Open>]) {
        for open in all.iter_mut().filter_map(Option::take) {
            // NOTE: a program that closes all descriptors, as daemons do, has other files there.
            if file_of(open.descriptor) == Some(open.file) {
                // SAFETY: the owner is a thread that this process does not have.
                unsafe { libc::close(open.descriptor) };
            }
        }
    }

    fn lock() -> MutexGuard<'static, [Option<Open>; MOST]> {
        OPEN.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The file that a descriptor stands for.
    fn file_of(descriptor: RawFd) -> Option<File> {
        let mut status = std::mem::MaybeUninit::<libc::stat>::uninit();
        // SAFETY: there is room for the status, and any number may be asked for.
        let failed = unsafe { libc::fstat(descriptor, status.as_mut_ptr()) } != 0;
        if failed {
            return None;
        }
        // SAFETY: `fstat` succeeded, so it wrote it.
        let status = unsafe { status.assume_init() };
        Some((status.st_dev, status.st_ino))
    }

    #[cfg(test)]
    mod tests {
        use std::os::fd::IntoRawFd as _;
        use std::os::unix::net::UnixStream;

        use super::*;

        #[test]
        fn a_descriptor_that_stands_for_another_file_stays_open() {
            let (one, other) = UnixStream::pair().unwrap();
            let (one, other) = (one.into_raw_fd(), other.into_raw_fd());
            let files = [one, other].map(|it| file_of(it).unwrap());
            let open = |descriptor, file| Some(Open { descriptor, file });
            let mut all = [open(one, files[0]), None, open(other, files[0])];
            close_all(&mut all);
            assert!(all == [None; 3]);
            assert_ne!(file_of(one), Some(files[0]));
            assert_eq!(file_of(other), Some(files[1]));
        }
    }
}

#[cfg(not(unix))]
mod imp {
    use std::io;
    use std::ops::{Deref, DerefMut};

    /// A socket. There are no forks.
    pub(crate) struct OnlyHere<T>(T);

    impl<T> OnlyHere<T> {
        pub(crate) fn open(open: impl FnOnce() -> io::Result<T>) -> io::Result<OnlyHere<T>> {
            open().map(OnlyHere)
        }
    }

    impl<T> Deref for OnlyHere<T> {
        type Target = T;

        fn deref(&self) -> &T {
            &self.0
        }
    }

    impl<T> DerefMut for OnlyHere<T> {
        fn deref_mut(&mut self) -> &mut T {
            &mut self.0
        }
    }

    pub(crate) struct Held;

    pub(crate) fn hold() -> Held {
        Held
    }

    impl Held {
        pub(crate) fn close(self) {}
    }
}
