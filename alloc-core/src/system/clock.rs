//! A clock that is cheap to read: the processor's, where it ticks at one rate.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::hooks;

/// Ticks and nanoseconds at one moment, from which the rate is computed later.
static BEGAN: [AtomicU64; 2] = [const { AtomicU64::new(0) }; 2];

/// Whether the processor's counter ticks at one rate, in all states of the processor: bit 8 of
/// leaf `0x8000_0007`, "invariant TSC" (Intel SDM, volume 3, 18.17.1; AMD APM, volume 3, E.4.6).
#[cfg(target_arch = "x86_64")]
fn is_steady() -> bool {
    use std::arch::x86_64::__cpuid;

    const POWER: u32 = 0x8000_0007;
    __cpuid(0x8000_0000).eax >= POWER && __cpuid(POWER).edx & 1 << 8 != 0
}

/// Zero: not asked yet. One: the processor's counter. Two: the system's clock.
#[cfg(target_arch = "x86_64")]
static SOURCE: std::sync::atomic::AtomicU8 = std::sync::atomic::AtomicU8::new(0);

/// Chooses the source, and begins to measure its rate. Call it before [`ticks`].
pub(crate) fn prepare() {
    #[cfg(target_arch = "x86_64")]
    if SOURCE.load(Relaxed) == 0 {
        SOURCE.store(if is_steady() { 1 } else { 2 }, Relaxed);
    }
    if BEGAN[1].load(Relaxed) == 0 {
        BEGAN[0].store(ticks(), Relaxed);
        BEGAN[1].store(nanoseconds(), Relaxed);
    }
}

/// The time in ticks: of the processor's counter, which takes some 20 cycles to read, or else
/// nanoseconds.
#[inline(always)]
pub(crate) fn ticks() -> u64 {
    #[cfg(target_arch = "x86_64")]
    if SOURCE.load(Relaxed) == 1 {
        // SAFETY: the instruction is a part of x86-64.
        return unsafe { std::arch::x86_64::_rdtsc() };
    }
    nanoseconds()
}

fn nanoseconds() -> u64 {
    hooks::monotonic_time().as_nanos() as u64
}

/// The length of so many ticks in picoseconds, as measured since [`prepare`] was first called.
pub(crate) fn picoseconds(ticks_long: u64) -> u64 {
    let [ticks_then, nanoseconds_then] = BEGAN.each_ref().map(|it| it.load(Relaxed));
    let (ticks_now, nanoseconds_now) = (ticks(), nanoseconds());
    let passed = ticks_now.saturating_sub(ticks_then).max(1);
    let nanoseconds = nanoseconds_now.saturating_sub(nanoseconds_then).max(1);
    let long = u128::from(ticks_long) * u128::from(nanoseconds) * 1000 / u128::from(passed);
    long.try_into().unwrap_or(u64::MAX)
}
