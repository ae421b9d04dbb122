//! [`Clock`]: the schedule of a repeated action.

use std::time::{Duration, Instant};

/// Ticks at a fixed interval. Missed ticks are skipped.
pub(crate) struct Clock {
    every: Duration,
    next: Instant,
}

impl Clock {
    /// Creates a clock that started `ago`.
    pub(crate) fn begun(every: Duration, ago: Duration) -> Clock {
        Clock {
            every,
            next: Instant::now() + every.saturating_sub(ago),
        }
    }

    /// The time until the next tick.
    pub(crate) fn left(&self) -> Duration {
        self.next.saturating_duration_since(Instant::now())
    }

    /// Whether a tick is due. If so, moves on to the next tick in the future.
    pub(crate) fn is_due(&mut self) -> bool {
        let late = Instant::now().checked_duration_since(self.next);
        if let Some(late) = late {
            // NOTE: a suspended machine may miss any number of ticks.
            let missed = late.as_nanos() / self.every.as_nanos();
            let missed = u32::try_from(missed).unwrap_or(u32::MAX);
            self.next += self.every.saturating_mul(missed.saturating_add(1));
        }
        late.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missed_ticks_are_skipped() {
        let hour = Duration::from_secs(3600);
        let mut clock = Clock::begun(hour, Duration::ZERO);
        assert!(!clock.is_due());
        assert!(clock.left() <= hour && clock.left() > hour / 2);
        let now = Instant::now();
        // A clock that nobody asked for three and a half ticks.
        let late = 3 * hour + hour / 2;
        let mut clock = Clock {
            every: hour,
            next: now.checked_sub(late).unwrap_or(now),
        };
        let is_known = clock.next < now;
        assert!(clock.is_due());
        assert!(!clock.is_due(), "missed ticks count once");
        // If the machine has been up long enough, ticks stay aligned.
        assert!(!is_known || clock.left() <= hour / 2);
    }

    #[test]
    fn a_clock_that_started_earlier_is_due_sooner() {
        let hour = Duration::from_secs(3600);
        assert!(Clock::begun(hour, 2 * hour).is_due());
        assert!(Clock::begun(hour, hour / 2).left() <= hour / 2);
    }
}
