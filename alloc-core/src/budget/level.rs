//! [`Level`]: a number of bytes, and what happens when a check finds more.

use std::sync::Arc;

use crate::Bytes;
use crate::system::sync::{AtomicBool, Ordering::Relaxed};

/// What runs when a level is crossed. NOTE: several threads may run it at once.
type Callback<T> = Arc<dyn Fn(&T) + Send + Sync>;

/// A number of bytes, and what happens when a check finds more.
pub(super) struct Level<T> {
    pub(super) bytes: Bytes,
    pub(super) callback: Option<Callback<T>>,
    /// Whether the last check found more.
    is_past: AtomicBool,
}

impl<T> Level<T> {
    pub(super) fn new(bytes: Bytes) -> Level<T> {
        Level {
            bytes,
            callback: None,
            is_past: AtomicBool::new(false),
        }
    }

    /// Notes what a check found. Returns whether it is the first to find more than the level since
    /// one found no more.
    #[inline]
    pub(super) fn is_crossed_by(&self, used: Bytes) -> bool {
        let is_past = used > self.bytes;
        // PERF: a load is cheaper than an exchange that changes nothing, which is the usual case.
        let has_changed = self.is_past.load(Relaxed) != is_past
            // Of several threads that find the same, one makes the change.
            && self.is_past.swap(is_past, Relaxed) != is_past;
        has_changed && is_past
    }
}

impl<T> Clone for Level<T> {
    fn clone(&self) -> Level<T> {
        Level {
            bytes: self.bytes,
            callback: self.callback.clone(),
            is_past: AtomicBool::new(self.is_past.load(Relaxed)),
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::Level;
    use crate::Bytes;

    #[test]
    fn a_level_is_crossed_once_until_a_check_finds_no_more() {
        let level = Level::<()>::new(Bytes::new(100));
        let crossed: Vec<u64> = [0, 100, 101, 102, 101, 100, 101, 0, 100, 200]
            .into_iter()
            .filter(|&used| level.is_crossed_by(Bytes::new(used)))
            .collect();
        assert_eq!(crossed, [101, 101, 200]);
    }
}
