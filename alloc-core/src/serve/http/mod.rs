//! [`Server`]: answers requests on a thread of its own.

mod connection;
mod guard;
mod listener;
mod request;
mod wait;

use std::fmt;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use connection::Connection;
use guard::Guard;
use listener::{Listener, Place};
use wait::{Waker, wait};

use super::{Endpoint, ServeOptions};
use crate::environment::background;
use crate::{Error, system::hooks};

/// Serves profiles until it is dropped: see [`serve`](crate::serve()).
///
/// ```
/// let server = alloc_core::serve("127.0.0.1:0")?;
/// assert!(server.address().unwrap().ip().is_loopback());
/// drop(server); // Nobody listens any more.
///
/// // Until the process ends:
/// alloc_core::serve("127.0.0.1:0")?.detach();
/// # Ok::<(), alloc_core::Error>(())
/// ```
#[must_use = "the server ends when it is dropped: `detach` lets it run until the process ends"]
pub struct Server {
    place: Place,
    /// The process that has the thread.
    process: u32,
    stop: Arc<Stop>,
    /// Closed when the thread ends.
    ended: mpsc::Receiver<()>,
}

/// Tells the thread to end.
struct Stop {
    is_asked: AtomicBool,
    waker: Waker,
}

/// The most connections at once.
const MOST_CONNECTIONS: usize = 64;
/// The most answers at once that take time or much memory.
const MOST_ANSWERS: usize = 4;
/// How long the thread waits before it accepts again, after the system refused.
const AFTER_REFUSAL: Duration = Duration::from_millis(100);

impl Server {
    pub(super) fn start(address: &str, options: &ServeOptions) -> Result<Server, Error> {
        let listener = Listener::bind(address, options)?;
        let place = listener.place().clone();
        let (waker, woken) = wait::waker()?;
        let stop = Arc::new(Stop {
            is_asked: AtomicBool::new(false),
            waker,
        });
        let (ends, ended) = mpsc::channel();
        let service = Service {
            listener,
            woken,
            guard: Guard::new(options, &place),
            endpoint: Endpoint::new(options),
            connections: Vec::new(),
            stop: Arc::clone(&stop),
        };
        let started = background::run(move || {
            service.run();
            drop(ends);
        });
        if !started {
            let refused = std::io::Error::other("the system refused a thread to serve profiles");
            return Err(refused.into());
        }
        Ok(Server {
            place,
            process: std::process::id(),
            stop,
            ended,
        })
    }

    /// The address that is served; `None` for a Unix socket.
    ///
    /// ```
    /// let server = alloc_core::serve("127.0.0.1:0")?;
    /// assert_ne!(server.address().unwrap().port(), 0);
    /// # Ok::<(), alloc_core::Error>(())
    /// ```
    pub fn address(&self) -> Option<SocketAddr> {
        match &self.place {
            Place::Net(address) => Some(*address),
            Place::Socket(_) => None,
        }
    }

    /// The path of the Unix socket that is served, if it is one.
    ///
    /// ```
    /// assert!(alloc_core::serve("127.0.0.1:0")?.path().is_none());
    /// # Ok::<(), alloc_core::Error>(())
    /// ```
    pub fn path(&self) -> Option<&Path> {
        match &self.place {
            Place::Net(_) => None,
            Place::Socket(path) => Some(path),
        }
    }

    /// Serves until the process ends.
    ///
    /// ```
    /// alloc_core::serve("127.0.0.1:0")?.detach();
    /// # Ok::<(), alloc_core::Error>(())
    /// ```
    pub fn detach(self) {
        std::mem::forget(self);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // A child after a fork has no such thread.
        if self.process != std::process::id() {
            return;
        }
        // The waker publishes it.
        self.stop.is_asked.store(true, Ordering::Relaxed);
        self.stop.waker.wake();
        // An answer in progress takes milliseconds.
        let _ = self.ended.recv_timeout(Duration::from_secs(5));
    }
}

/// The address of the index, or the path of the socket.
impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Place::Net(address) => write!(f, "http://{address}/debug/pprof/"),
            Place::Socket(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Server").field(&self.place).finish()
    }
}

/// What the thread has.
struct Service {
    listener: Listener,
    woken: wait::Woken,
    guard: Guard,
    endpoint: Endpoint,
    connections: Vec<Connection>,
    stop: Arc<Stop>,
}

impl Service {
    fn run(mut self) {
        let mut accepts_at = Instant::now();
        loop {
            let now = Instant::now();
            let left = |at: Instant| at.saturating_duration_since(now);
            let is_open = accepts_at <= now;
            let deadlines = self.connections.iter().map(|it| left(it.looks_again_at()));
            let again = (!is_open).then(|| left(accepts_at));
            let timeout = deadlines.chain(again).min();
            wait(
                &self.woken,
                is_open.then_some(&self.listener),
                &self.connections,
                timeout,
            );
            if self.stop.is_asked.load(Ordering::Relaxed) {
                return;
            }
            if is_open && !self.accept() {
                accepts_at = Instant::now() + AFTER_REFUSAL;
            }
            self.advance();
        }
    }

    /// Accepts those that wait. `false` if the system refuses.
    fn accept(&mut self) -> bool {
        for _ in 0..MOST_CONNECTIONS {
            match self.listener.accept() {
                Ok(Some(stream)) => {
                    if self.connections.len() == MOST_CONNECTIONS && !self.evict() {
                        continue;
                    }
                    self.connections.push(Connection::new(stream));
                    self.advance_last();
                }
                Ok(None) => return true,
                Err(_) => return false,
            }
        }
        true
    }

    /// Closes the connection that has waited longest for the rest of its request. `false` if there
    /// is none.
    fn evict(&mut self) -> bool {
        let waiting = self.connections.iter().enumerate();
        let waiting = waiting.filter(|it| it.1.has_no_request());
        let slowest = waiting.min_by_key(|it| it.1.looks_again_at());
        match slowest.map(|it| it.0) {
            Some(at) => {
                self.connections.swap_remove(at);
                true
            }
            None => false,
        }
    }

    fn advance_last(&mut self) {
        let Some(mut last) = self.connections.pop() else {
            return;
        };
        if self.advance_one(&mut last) {
            self.connections.push(last);
        }
    }

    fn advance(&mut self) {
        let mut at = 0;
        while at < self.connections.len() {
            let mut one = self.connections.swap_remove(at);
            if self.advance_one(&mut one) {
                let last = self.connections.len();
                self.connections.push(one);
                self.connections.swap(at, last);
                at += 1;
            }
        }
    }

    /// Does what can be done for a connection without waiting. `false` if it is over.
    fn advance_one(&self, connection: &mut Connection) -> bool {
        let busy = self.connections.iter().filter(|it| it.has_an_answer());
        let is_busy = busy.count() >= MOST_ANSWERS;
        let advanced = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            connection.advance(&self.guard, &self.endpoint, is_busy)
        }));
        advanced.unwrap_or_else(|_| {
            hooks::write_to_stderr(&["alloc-core: a panic while a profile was served\n"]);
            false
        })
    }
}
