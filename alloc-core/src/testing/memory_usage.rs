//! [`memory_usage`]: the heap over time while a piece of work runs.

use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use crate::resident_set_size;
use crate::{Bytes, TracedMemory, control, environment::background, record::thread};

/// The result of [`memory_usage`].
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
    /// The work's value.
    pub value: T,
    /// The heap during the work, in chronological order. The first sample is from its start, the
    /// last from its end.
    pub samples: Vec<MemorySample>,
    /// The peak of live bytes during the work, exact to within [`TracedMemory::peak_error`].
    ///
    /// `None` if the heap was larger at some time before the work: then only the samples are known,
    /// see [`highest`](Self::highest). Call [`reset_peak`](crate::reset_peak) before the work to
    /// always get a peak.
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
    /// The time since the start of the work.
    pub at: Duration,
    /// The traced heap: its current bytes, and its peak so far.
    pub heap: TracedMemory,
    /// The process's resident set size, where the system reports it.
    pub resident: Option<Bytes>,
}

impl<T> MemoryUsage<T> {
    /// The most bytes known to have been live during the work: the peak, or the highest sample.
    ///
    /// ```
    /// # use alloc_core::TraceAlloc;
    /// # #[global_allocator]
    /// # static ALLOC: TraceAlloc = TraceAlloc::system();
    /// use std::time::Duration;
    ///
    /// alloc_core::start()?;
    /// let usage = alloc_core::memory_usage(Duration::from_secs(1), || vec![0_u8; 1 << 20]);
    /// assert!(usage.highest() >= 1 << 20);
    /// # Ok::<(), alloc_core::Error>(())
    /// ```
    pub fn highest(&self) -> Bytes {
        let samples = self.samples.iter().map(|it| it.heap.current);
        let highest = samples.max().unwrap_or_default();
        self.peak.unwrap_or(highest)
    }
}

/// Runs `work` once, and samples the heap at its start, at every `interval`, and at its end.
///
/// The samples cover the whole process. If it is not traced, only
/// [`resident`](MemorySample::resident) is not zero. For exact numbers of one thread's work see
/// [`measure`](crate::measure()). The sampling thread itself is not recorded. A panic of the work
/// is passed on.
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
    let (done, stop) = crate::untraced(mpsc::channel::<()>);
    let (send, receive) = crate::untraced(mpsc::channel::<Vec<MemorySample>>);
    let sampler = move || {
        let mut samples = vec![first];
        while stop.recv_timeout(interval) == Err(RecvTimeoutError::Timeout) {
            samples.push(sample(start));
        }
        // Nobody receives them if the work panicked.
        let _ = send.send(samples);
    };
    // NOTE: if the system refuses a thread, only the first and the last sample are taken.
    crate::untraced(|| background::run(sampler));
    let value = work();
    let last = sample(start);
    let _muted = thread::mute();
    drop(done);
    let mut samples = receive.recv().unwrap_or_else(|_| vec![first]);
    // The sampling thread may take one more sample before it sees the end.
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
