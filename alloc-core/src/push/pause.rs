//! [`Pause`]: how long to wait after a failure.

use std::hash::{BuildHasher as _, RandomState};
use std::time::Duration;

/// Pauses that double with each failure, and of which a random part of up to a half is left out, so
/// that programs that lost the same receiver do not come back to it at once.
#[derive(Debug)]
pub(super) struct Pause {
    first: Duration,
    next: Duration,
}

impl Pause {
    const FIRST: Duration = Duration::from_secs(1);
    const LONGEST: Duration = Duration::from_secs(60);

    /// Pauses for profiles that are taken at this interval: the first is no longer than that.
    pub(super) fn new(every: Duration) -> Pause {
        let first = Pause::FIRST.min(every);
        Pause { first, next: first }
    }

    /// The pause after one more failure.
    pub(super) fn after_failure(&mut self) -> Duration {
        let whole = self.next;
        self.next = (whole * 2).min(Pause::LONGEST);
        let random = RandomState::new().hash_one(whole.as_nanos()) as u32;
        whole - whole / 2 * (random >> 16) / (1 << 16)
    }

    /// After a success.
    pub(super) fn reset(&mut self) {
        self.next = self.first;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_minute() {
        let mut pause = Pause::new(Duration::from_secs(15));
        for seconds in [1, 2, 4, 8, 16, 32, 60, 60] {
            let whole = Duration::from_secs(seconds);
            let found = pause.after_failure();
            assert!((whole / 2..=whole).contains(&found), "{found:?} {whole:?}");
        }
        pause.reset();
        assert!(pause.after_failure() <= Duration::from_secs(1));
    }

    #[test]
    fn a_short_interval_has_a_short_first_pause() {
        let every = Duration::from_millis(100);
        assert!(Pause::new(every).after_failure() <= every);
    }

    #[test]
    fn pauses_differ() {
        let all = (0..20).map(|_| Pause::new(Pause::FIRST).after_failure());
        let distinct: std::collections::BTreeSet<_> = all.collect();
        assert!(distinct.len() > 10, "{distinct:?}");
    }
}
