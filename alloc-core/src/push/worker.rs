//! [`Worker`]: takes profiles and sends them, on a thread of its own.

use std::ffi::OsString;
use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant, SystemTime};

use super::client::{Client, Failure, Limits};
use super::health::Shared;
use super::pause::Pause;
use super::queue::Queue;
use super::taken::{self, Taken};
use crate::write::profile::{Profile, Since};
use crate::write::totals::Totals;
use crate::{Bytes, Error};

/// What the thread has.
pub(super) struct Worker {
    client: Client,
    every: Duration,
    /// The command that looks up names, if any does.
    command: Option<OsString>,
    queue: Queue,
    /// The end of the last profile that was taken. The next one begins there.
    last: Option<Totals>,
    /// When that was.
    last_at: SystemTime,
    pause: Pause,
    retry_at: Instant,
    health: Arc<Shared>,
}

/// The limits of a request.
const USUAL: Limits = Limits {
    connect: Duration::from_secs(10),
    answer: Duration::from_secs(30),
};
/// The same while somebody waits for the end.
const AT_THE_END: Limits = Limits {
    connect: Duration::from_secs(5),
    answer: Duration::from_secs(10),
};

impl Worker {
    pub(super) fn new(
        client: Client,
        every: Duration,
        command: Option<OsString>,
        most: Bytes,
    ) -> Worker {
        Worker {
            client,
            every,
            command,
            queue: Queue::new(most),
            last: None,
            last_at: SystemTime::now(),
            pause: Pause::new(every),
            retry_at: Instant::now(),
            health: Arc::default(),
        }
    }

    pub(super) fn health(&self) -> Arc<Shared> {
        Arc::clone(&self.health)
    }

    /// Pushes until `stops` has a message.
    pub(super) fn run(mut self, stops: &mpsc::Receiver<()>) {
        let mut take_at = Instant::now() + self.every;
        loop {
            let next = match self.queue.len() {
                0 => take_at,
                _ => take_at.min(self.retry_at),
            };
            let left = next.saturating_duration_since(Instant::now());
            let stopped = stops.recv_timeout(left) != Err(mpsc::RecvTimeoutError::Timeout);
            let is_due = stopped || Instant::now() >= take_at;
            // A panic is a failure like others: what was not accepted is taken again.
            let done = catch_unwind(AssertUnwindSafe(|| {
                if is_due {
                    self.take(stopped);
                }
                self.send(stopped);
            }));
            if done.is_err() {
                self.health
                    .failed("a panic while a profile was pushed".to_owned());
                self.retry_at = Instant::now() + self.pause.after_failure();
            }
            if stopped {
                return;
            }
            if is_due {
                take_at = Instant::now() + self.every;
            }
        }
    }

    /// Takes a profile, unless too many wait. Nothing is lost if it fails: the next one begins where
    /// this one would have begun.
    fn take(&mut self, is_last: bool) {
        if self.queue.is_full() && !is_last {
            return;
        }
        match self.try_take() {
            Ok(()) => self.note_queue(),
            Err(error) if error.is_not_tracing() => {}
            Err(error) => self
                .health
                .failed(format!("cannot take a profile: {error}")),
        }
    }

    fn try_take(&mut self) -> Result<(), Error> {
        let mut now = Totals::empty();
        let profile = Profile {
            since: self.last.as_ref().map(|totals| Since {
                totals,
                counts_live: false,
            }),
            shows_allocated: false,
        };
        let packed = profile.pack(Some(&mut now))?;
        let until = SystemTime::now();
        let profile = taken::file_of(packed.bytes())?;
        // NOTE: its memory is not needed while a command looks up names.
        drop(packed);
        let named = self.named(&profile);
        let file = named.map_or_else(|| self.client.converted(profile), Ok)?;
        let taken = Taken::write(file, self.last.as_ref(), [self.last_at, until])?;
        self.queue.push(taken);
        (self.last, self.last_at) = (Some(now), until);
        Ok(())
    }

    /// What the receiver gets of a profile, with names, if a command makes it.
    fn named(&self, profile: &File) -> Option<File> {
        let command = self.command.as_ref()?;
        let named = taken::named(command, &self.client.arguments(), profile);
        let failed = |error| {
            self.health.update(|health| {
                health.unnamed += 1;
                health.last_error = Some(format!("a profile has no names: {error}"));
            });
        };
        named.map_err(failed).ok()
    }

    /// Sends what waits, oldest first, up to the first failure.
    fn send(&mut self, is_last: bool) {
        if !is_last && Instant::now() < self.retry_at {
            return;
        }
        let limits = if is_last { AT_THE_END } else { USUAL };
        while let Some(first) = self.queue.first() {
            match self.client.send(first, limits) {
                // NOTE: what a receiver left out is not sent again: it has the rest, and would count it twice.
                Ok(rejection) => {
                    self.queue.remove_first();
                    self.pause.reset();
                    self.health.update(|health| {
                        health.pushed += 1;
                        health.rejected += rejection.as_ref().map_or(0, |it| it.profiles);
                        health.last_error = rejection.map(|it| it.message);
                    });
                }
                Err(failure) => {
                    self.retry_at = Instant::now() + self.pause.after_failure();
                    self.fail(failure);
                    break;
                }
            }
        }
        self.note_queue();
    }

    fn fail(&mut self, failure: Failure) {
        match failure {
            Failure::Later(error) => self.health.failed(error),
            Failure::Refused(error) => {
                let refused = self.queue.len() as u64;
                self.health.failed(error);
                match self.begin_again() {
                    Ok(()) => self.health.update(|health| health.refused += refused),
                    Err(error) => self
                        .health
                        .failed(format!("cannot read a profile that waits: {error}")),
                }
            }
        }
    }

    /// Lets the next profile begin where the first of those that wait began.
    fn begin_again(&mut self) -> Result<(), Error> {
        if let Some(first) = self.queue.first() {
            self.last = first.totals()?;
            self.last_at = first.from;
            self.queue.clear();
        }
        Ok(())
    }

    fn note_queue(&self) {
        self.health.update(|health| {
            health.queued = self.queue.len() as u64;
            health.queued_bytes = self.queue.bytes();
        });
    }
}
