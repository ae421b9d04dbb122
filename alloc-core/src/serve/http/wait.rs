//! Waits until a connection can go on.

pub(super) use imp::*;

#[cfg(unix)]
mod imp {
    use std::io::{self, Read as _, Write as _};
    use std::os::fd::{AsFd, AsRawFd as _};
    use std::os::unix::net::UnixStream;
    use std::time::Duration;

    use super::super::connection::{Connection, Waits};
    use super::super::listener::Listener;

    /// Wakes the thread that [`wait`]s.
    pub(in super::super) struct Waker(UnixStream);
    /// The other end of a [`Waker`].
    pub(in super::super) struct Woken(UnixStream);

    pub(in super::super) fn waker() -> io::Result<(Waker, Woken)> {
        let (one, other) = UnixStream::pair()?;
        one.set_nonblocking(true)?;
        other.set_nonblocking(true)?;
        Ok((Waker(one), Woken(other)))
    }

    impl Waker {
        pub(in super::super) fn wake(&self) {
            // A pipe that is full wakes as well.
            let _ = (&self.0).write(&[0]);
        }
    }

    /// Waits until somebody connects, a connection can go on, the waker wakes, or time is up.
    pub(in super::super) fn wait(
        woken: &Woken,
        listener: Option<&Listener>,
        connections: &[Connection],
        timeout: Option<Duration>,
    ) {
        let poll = |it: &dyn AsFd, events| libc::pollfd {
            fd: it.as_fd().as_raw_fd(),
            events,
            revents: 0,
        };
        let mut all = vec![poll(&woken.0, libc::POLLIN)];
        all.extend(listener.map(|it| poll(it, libc::POLLIN)));
        all.extend(connections.iter().map(|it| {
            let events = match it.waits() {
                Waits::ToRead => libc::POLLIN,
                Waits::ToWrite => libc::POLLOUT,
            };
            poll(it.stream(), events)
        }));
        // Rounded up, so that nobody looks too early again and again.
        let timeout = timeout.map_or(-1, |it| {
            let milliseconds = it.as_micros().div_ceil(1000);
            i32::try_from(milliseconds).unwrap_or(i32::MAX)
        });
        // SAFETY: the pointer and the length are those of a vector that lives until it returns.
        unsafe { libc::poll(all.as_mut_ptr(), all.len() as libc::nfds_t, timeout) };
        if all[0].revents != 0 {
            let _ = (&woken.0).read(&mut [0; 64]);
        }
    }
}

#[cfg(not(unix))]
mod imp {
    use std::io;
    use std::time::Duration;

    use super::super::connection::Connection;
    use super::super::listener::Listener;

    pub(in super::super) struct Waker;
    pub(in super::super) struct Woken;

    pub(in super::super) fn waker() -> io::Result<(Waker, Woken)> {
        Ok((Waker, Woken))
    }

    impl Waker {
        pub(in super::super) fn wake(&self) {}
    }

    /// Waits for a moment: std has no way to wait for several sockets.
    pub(in super::super) fn wait(
        _: &Woken,
        _: Option<&Listener>,
        _: &[Connection],
        timeout: Option<Duration>,
    ) {
        let moment = Duration::from_millis(20);
        std::thread::sleep(timeout.unwrap_or(moment).min(moment));
    }
}
