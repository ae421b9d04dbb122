//! The clock of all contenders.

/// The processor's time stamp counter where it is reliable, else the system's monotonic clock.
///
/// `quanta` calibrates the counter. Fences around each reading keep the measured operation between
/// its two readings.
#[derive(Clone, Debug)]
pub(super) struct Clock(quanta::Clock);

impl Clock {
    /// Calibrates the clock. It takes some tens of milliseconds and allocates.
    pub(super) fn new() -> Clock {
        Clock(quanta::Clock::new())
    }

    /// Reads the clock, in ticks. It never allocates.
    #[inline(always)]
    pub(super) fn read(&self) -> u64 {
        fence();
        let ticks = self.0.raw();
        fence();
        ticks
    }

    /// The step of the clock in nanoseconds, as the median of many. Some processors count every 10
    /// ns.
    pub(super) fn step(&self) -> u64 {
        let step = || {
            let start = self.0.raw();
            let next = std::iter::repeat_with(|| self.0.raw()).find(|&now| now != start);
            self.nanoseconds(start, next.unwrap_or(start))
        };
        let mut steps: Vec<u64> = (0..1_001).map(|_| step()).collect();
        steps.sort_unstable();
        steps[steps.len() / 2]
    }

    /// The nanoseconds between two readings.
    #[inline(always)]
    pub(super) fn nanoseconds(&self, start: u64, end: u64) -> u64 {
        self.0.delta_as_nanos(start, end)
    }
}

#[inline(always)]
fn fence() {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: every x86-64 processor has SSE2, the only requirement of the instruction.
    unsafe {
        std::arch::x86_64::_mm_lfence();
    }
}
