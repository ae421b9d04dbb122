//! [`memory_usage`]: the heap over time while something runs.

use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use crate::resident_set_size;
use crate::{Bytes, TracedMemory, control, environment::background, record::thread};

/// What [`memory_usage`] saw.
///
/// ```
/// use std::time::Duration;
///
/// // Tracing is off, so there is no peak.
/// let usage = alloc_core::memory_usage(Duration::from_millis(1), || 7);
/// assert_eq!((usage.value, usage.peak), (7, None));
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct MemoryUsage<T> {
    /// What the work returned.
    pub value: T,
    /// The heap from the start of the work to its end, in the order of time: at least one sample at the
    /// start and one at the end.
    pub samples: Vec<MemorySample>,
    /// The most bytes that were live while the work ran, if the heap reached a new peak in it: then it is
    /// exact, to within [`TracedMemory::peak_error`].
    ///
    /// Else the heap had been larger before, and what was reached now is only known from the samples:
    /// [`highest`](Self::highest). [`reset_peak`](crate::reset_peak) before the work makes sure.
    pub peak: Option<Bytes>,
}

/// The heap at one moment.
///
/// ```
/// let usage = alloc_core::memory_usage(std::time::Duration::from_millis(1), || ());
/// assert!(usage.samples.is_sorted_by_key(|sample| sample.at));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MemorySample {
    /// How long after the start of the work.
    pub at: Duration,
    /// The traced heap: its current bytes, and its peak so far.
    pub heap: TracedMemory,
    /// The process's resident set size, where the system tells.
    pub resident: Option<Bytes>,
}

impl<T> MemoryUsage<T> {
    /// The most bytes that are known to have been live while the work ran: the peak, or else the highest
    /// sample.
    ///
    /// ```
    /// # use alloc_core::TraceAlloc;
    /// # #[global_allocator]
    /// # static ALLOC: TraceAlloc = TraceAlloc::system();
    /// use std::time::Duration;
    ///
    /// alloc_core::start()?;
    /// let work = || drop(vec![0_u8; 1 << 20]);
    /// let usage = alloc_core::memory_usage(Duration::from_millis(1), work);
    /// assert!(usage.highest() >= 1 << 20);
    /// # Ok::<(), alloc_core::Error>(())
    /// ```
    pub fn highest(&self) -> Bytes {
        let samples = self.samples.iter().map(|it| it.heap.current);
        let highest = samples.max().unwrap_or_default();
        self.peak.unwrap_or(highest)
    }
}

/// Runs `work`, once, and looks at the heap at its start, at its end, and at every `interval` in between.
///
/// The heap is that of the whole process, which must be traced: else all is zero but what is
/// resident. For the work of one thread alone, to the byte, see [`measure`](crate::measure()). The thread
/// that looks is not recorded. If the work panics, so does this.
///
/// ```
/// # use alloc_core::TraceAlloc;
/// # #[global_allocator]
/// # static ALLOC: TraceAlloc = TraceAlloc::system();
/// use std::time::Duration;
///
/// alloc_core::start()?;
/// let usage = alloc_core::memory_usage(Duration::from_millis(1), || {
///     let large = vec![0_u8; 10 << 20];
///     std::thread::sleep(Duration::from_millis(20));
///     large.len()
/// });
/// assert_eq!(usage.value, 10 << 20);
/// assert!(usage.peak.unwrap() >= 10 << 20);
/// assert!(usage.samples.len() > 2);
/// assert!(usage.samples.last().unwrap().heap.current < 1 << 20);
/// # Ok::<(), alloc_core::Error>(())
/// ```
pub fn memory_usage<T>(interval: Duration, work: impl FnOnce() -> T) -> MemoryUsage<T> {
    let start = Instant::now();
    let first = sample(start);
    let (done, wait) = crate::untraced(mpsc::channel::<()>);
    let (give, take) = crate::untraced(mpsc::channel::<Vec<MemorySample>>);
    let look = move || {
        let mut samples = vec![first];
        while wait.recv_timeout(interval) == Err(RecvTimeoutError::Timeout) {
            samples.push(sample(start));
        }
        // Nobody waits for them if the work panicked.
        let _ = give.send(samples);
    };
    // NOTE: where the system has no thread to give, there are the first and the last.
    crate::untraced(|| background::run(look));
    let value = work();
    let last = sample(start);
    let _muted = thread::mute();
    drop(done);
    let mut samples = take.recv().unwrap_or_else(|_| vec![first]);
    // The thread that looks may do so once more before it hears of the end.
    samples.retain(|it| it.at <= last.at);
    samples.push(last);
    let rose = last.heap.peak > first.heap.peak;
    MemoryUsage {
        value,
        samples,
        peak: rose.then_some(last.heap.peak),
    }
}

fn sample(start: Instant) -> MemorySample {
    MemorySample {
        at: start.elapsed(),
        heap: control::traced_memory(),
        resident: crate::untraced(|| resident_set_size(std::process::id()).ok()),
    }
}
