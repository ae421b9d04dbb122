//! [`Clock`]: when something is to be done that is done again and again.

use std::time::{Duration, Instant};

pub(crate) struct Clock {
    every: Duration,
    next: Instant,
}

impl Clock {
    /// One that began some time ago.
    pub(crate) fn begun(every: Duration, ago: Duration) -> Clock {
        Clock {
            every,
            next: Instant::now() + every.saturating_sub(ago),
        }
    }

    pub(crate) fn left(&self) -> Duration {
        self.next.saturating_duration_since(Instant::now())
    }

    /// Whether it is time. What was missed is left out.
    pub(crate) fn is_due(&mut self) -> bool {
        let late = Instant::now().checked_duration_since(self.next);
        if let Some(late) = late {
            // NOTE: a suspended machine may have missed any number.
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
    fn what_is_missed_is_left_out() {
        let hour = Duration::from_secs(3600);
        let mut clock = Clock::begun(hour, Duration::ZERO);
        assert!(!clock.is_due());
        assert!(clock.left() <= hour && clock.left() > hour / 2);
        let now = Instant::now();
        // A clock that was not looked at for three ticks and a half.
        let late = 3 * hour + hour / 2;
        let mut clock = Clock {
            every: hour,
            next: now.checked_sub(late).unwrap_or(now),
        };
        let is_known = clock.next < now;
        assert!(clock.is_due());
        assert!(!clock.is_due(), "once for all of them");
        // Where the machine is up for so long, the ticks stay where they were.
        assert!(!is_known || clock.left() <= hour / 2);
    }

    #[test]
    fn a_clock_that_began_before_is_due_sooner() {
        let hour = Duration::from_secs(3600);
        assert!(Clock::begun(hour, 2 * hour).is_due());
        assert!(Clock::begun(hour, hour / 2).left() <= hour / 2);
    }
}
