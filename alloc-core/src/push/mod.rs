//! Profiles that the program sends to a receiver: to Pyroscope, or to a collector of OpenTelemetry.
//!
//! In: the tables, every few seconds. Out: a request to the receiver. Never: a read of debug
//! information in this process, or a wait of another thread.
//!
//! [`PushOptions`] says what is sent and where, and [`PushOptions::start`] starts a thread that does it
//! until its [`Push`] is dropped.
//!
//! # What is sent
//!
//! A profile in pprof's format. Its `alloc_objects` and `alloc_space` are what was allocated since the
//! profile before it, and its `inuse_objects` and `inuse_space` are what is live: stores that take no
//! differences themselves show both as they are. The first profile has everything since tracing began.
//! Nothing is sent while tracing is off. When a session ends, what was allocated since the last profile
//! is in none.
//!
//! | receiver | request |
//! | --- | --- |
//! | [`PushOptions::pyroscope`] | `POST /ingest` with `format=pprof`, whose numbers Pyroscope takes as differences |
//! | `PushOptions::otlp` | `POST /v1development/profiles`, with the feature `otlp` |
//!
//! # OTLP
//!
//! Profiles are an alpha part of OpenTelemetry's protocol: the format is that of its version 1.11, and the
//! next version of this crate may send another. A request has four profiles, one for each sample type, and
//! each has an id by which a receiver can tell that it gets it twice. The command that looks up names makes
//! the request. Without it, this process does, which takes 3.6 MiB for 20,000 callsites and gives it back.
//!
//! # Names
//!
//! Pyroscope shows the functions that a profile has. So the command `alloc-report` looks them up, in a
//! process of its own that ends: see [`PushOptions::names`]. If it cannot, the profile is sent with
//! addresses, and [`PushHealth::unnamed`] counts it.
//!
//! # If the receiver does not answer
//!
//! A profile that was not accepted is kept and sent again, after a pause that doubles from a second to a
//! minute, and of which a random part is left out. Meanwhile further profiles are taken, up to a
//! [bound](PushOptions::queue). While that is reached, none is taken: the next one covers the whole time.
//! So the sums over all profiles that were accepted are the program's own numbers, whatever happened in
//! between.
//!
//! A receiver that refuses a profile itself, with status 400, 413 or 422, as when it is too old, gets
//! one new profile for the whole time since the last one that it accepted. A receiver that accepts a
//! profile and does not say so gets it twice.
//!
//! A receiver of OTLP may accept a request and leave out some of its profiles. These are lost: the protocol forbids to send them
//! again. [`PushHealth::rejected`] counts them, and [`PushHealth::last_error`] has what the receiver says.
//!
//! # What it costs
//!
//! Some ten bytes for each callsite, in memory that is not the heap's. A push of 20,000 callsites takes
//! 0.6 MiB and gives it back. A profile waits in a temporary file without a name: without a folder for
//! temporary files, nothing is pushed, and [`Push::health`] says so. Where that folder is in memory, so
//! are the profiles that wait.
//!
//! The thread is not recorded, and blocks all signals. It has time limits for every step but the look-up
//! of the receiver's address, which is the system's.
//!
//! A child after a fork does not push, and dropping its copy of a [`Push`] does nothing. What waits to be sent is the parent's. The
//! child has copies of its descriptors, until it ends or starts another program.

mod client;
mod health;
mod options;
mod pause;
mod queue;
mod taken;
mod worker;

use std::fmt;
use std::mem::ManuallyDrop;
use std::sync::{Arc, mpsc};
use std::time::Duration;

pub use health::PushHealth;
pub use options::PushOptions;

use crate::Error;
use crate::environment::background;
use crate::record::thread;
use health::Shared;
use worker::Worker;

/// Sends profiles until it is dropped: see [`push`](mod@crate::push).
///
/// When it is dropped, the thread sends what waits and one last profile, each once, and ends. The drop
/// waits for that, 30 seconds at most.
///
/// ```
/// use alloc_core::push::PushOptions;
///
/// // Nobody listens there, and nothing is traced: nothing is sent.
/// let push = PushOptions::pyroscope("http://127.0.0.1:9").service("shop").start()?;
/// assert_eq!(push.health().pushed, 0);
/// # Ok::<(), alloc_core::Error>(())
/// ```
#[must_use = "pushing ends when it is dropped: `detach` lets it run until the process ends"]
pub struct Push {
    /// The process that has the thread.
    process: u32,
    /// NOTE: a child does not drop it, which would wait for a lock that the thread may have held at the fork.
    stop: ManuallyDrop<mpsc::Sender<()>>,
    /// Closed when the thread ends.
    ended: mpsc::Receiver<()>,
    health: Arc<Shared>,
}

/// How long a drop waits for the last profiles.
const LAST: Duration = Duration::from_secs(30);

impl Push {
    fn start(worker: Worker) -> Result<Push, Error> {
        let health = worker.health();
        let (stop, stops) = mpsc::channel();
        let (ends, ended) = mpsc::channel();
        let started = background::run(move || {
            worker.run(&stops);
            drop(ends);
        });
        if !started {
            let refused = std::io::Error::other("the system refused a thread to push profiles");
            return Err(refused.into());
        }
        Ok(Push {
            process: std::process::id(),
            stop: ManuallyDrop::new(stop),
            ended,
            health,
        })
    }

    /// What happened up to now. Zeros in a child after a fork.
    pub fn health(&self) -> PushHealth {
        let _muted = thread::mute();
        match self.is_here() {
            true => self.health.read(),
            false => PushHealth::default(),
        }
    }

    /// Pushes until the process ends. What was allocated since the last profile is not sent then.
    ///
    /// ```
    /// # use alloc_core::push::PushOptions;
    /// PushOptions::pyroscope("http://127.0.0.1:9").start()?.detach();
    /// # Ok::<(), alloc_core::Error>(())
    /// ```
    pub fn detach(self) {
        std::mem::forget(self);
    }

    /// Whether this is the process that has the thread.
    fn is_here(&self) -> bool {
        self.process == std::process::id()
    }
}

impl Drop for Push {
    fn drop(&mut self) {
        if self.is_here() {
            let _muted = thread::mute();
            let _ = self.stop.send(());
            let _ = self.ended.recv_timeout(LAST);
            // SAFETY: nobody uses it after this.
            unsafe { ManuallyDrop::drop(&mut self.stop) };
        }
    }
}

impl fmt::Debug for Push {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Push").finish_non_exhaustive()
    }
}
