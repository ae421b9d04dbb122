//! [`Worker`]: the thread that asks for newer snapshots.

use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender, TryRecvError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::Refreshed;

/// How long the end waits for the thread.
const PATIENCE: Duration = Duration::from_millis(300);

/// A thread that asks a source for newer snapshots, and waits in between.
pub(super) struct Worker {
    found: Receiver<Refreshed>,
    orders: Sender<Order>,
    thread: Option<JoinHandle<()>>,
}

enum Order {
    /// Ask at once.
    Refresh,
    /// Ask no more, or ask again.
    Pause(bool),
}

impl Worker {
    pub(super) fn start(
        every: Duration,
        mut source: Box<dyn FnMut() -> Refreshed + Send>,
    ) -> Worker {
        let (send, found) = mpsc::channel();
        let (orders, receive) = mpsc::channel();
        let work = move || {
            let mut is_paused = false;
            loop {
                match receive.recv_timeout(every) {
                    Ok(Order::Pause(paused)) => {
                        is_paused = paused;
                        continue;
                    }
                    Err(RecvTimeoutError::Timeout) if is_paused => continue,
                    Err(RecvTimeoutError::Timeout) | Ok(Order::Refresh) => {}
                    Err(RecvTimeoutError::Disconnected) => return,
                }
                let found = source();
                let is_over = matches!(found, Refreshed::Ended(_));
                if send.send(found).is_err() || is_over {
                    return;
                }
            }
        };
        Worker {
            found,
            orders,
            thread: Some(std::thread::spawn(work)),
        }
    }

    /// What was found since the last call.
    ///
    /// A panic of the source goes on here.
    pub(super) fn newest(&mut self) -> Option<Refreshed> {
        match self.found.try_recv() {
            Ok(found) => Some(found),
            Err(TryRecvError::Empty) => None,
            Err(TryRecvError::Disconnected) => {
                let ended = self.thread.take().map(JoinHandle::join);
                match ended {
                    Some(Err(panic)) => std::panic::resume_unwind(panic),
                    _ => None,
                }
            }
        }
    }

    /// Ends the thread. It may finish what it does, such as taking a file that it has asked for.
    pub(super) fn end(self) {
        drop(self.orders);
        let start = Instant::now();
        let has_ended = || self.thread.as_ref().is_none_or(|it| it.is_finished());
        while !has_ended() && start.elapsed() < PATIENCE {
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    pub(super) fn refresh(&self) {
        // NOTE: a thread that has ended has said so.
        let _ = self.orders.send(Order::Refresh);
    }

    pub(super) fn pause(&self, is_paused: bool) {
        let _ = self.orders.send(Order::Pause(is_paused));
    }
}
