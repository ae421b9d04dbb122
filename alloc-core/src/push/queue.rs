//! [`Queue`]: profiles that wait to be sent, oldest first.

use std::collections::VecDeque;

use super::taken::Taken;
use crate::Bytes;

/// Profiles that wait, in files.
pub(super) struct Queue {
    waiting: VecDeque<Taken>,
    /// Beyond this, no profile is taken.
    most: Bytes,
}

impl Queue {
    /// The most profiles that wait: each has a descriptor open.
    const MOST: usize = 32;

    pub(super) fn new(most: Bytes) -> Queue {
        Queue {
            waiting: VecDeque::new(),
            most,
        }
    }

    /// Whether no profile is to be taken. An empty queue is never full.
    pub(super) fn is_full(&self) -> bool {
        let many = self.waiting.len() >= Queue::MOST || self.bytes() >= self.most;
        many && !self.waiting.is_empty()
    }

    pub(super) fn bytes(&self) -> Bytes {
        self.waiting
            .iter()
            .fold(Bytes::ZERO, |sum, it| sum + it.size())
    }

    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    pub(super) fn push(&mut self, taken: Taken) {
        self.waiting.push_back(taken);
    }

    pub(super) fn first(&mut self) -> Option<&mut Taken> {
        self.waiting.front_mut()
    }

    pub(super) fn remove_first(&mut self) {
        self.waiting.pop_front();
    }

    pub(super) fn clear(&mut self) {
        self.waiting.clear();
    }
}
