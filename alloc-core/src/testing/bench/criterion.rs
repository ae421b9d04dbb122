//! Measurements for `criterion`: [`TimeAndMemory`] and [`Memory`].

use std::cell::Cell;
use std::hint::black_box;
use std::time::{Duration, Instant};

use ::criterion::Throughput;
use ::criterion::measurement::{Measurement, ValueFormatter, WallTime};

use super::{BenchMemory, bench_memory};
use crate::scope::{Scope, or_panic};

/// A `criterion` measurement of time that also shows memory in each line of the report.
///
/// ```
/// use alloc_core::TimeAndMemory;
/// use criterion::Criterion;
/// # use alloc_core::TraceAlloc;
/// # #[global_allocator]
/// # static ALLOC: TraceAlloc = TraceAlloc::system();
///
/// fn words(c: &mut Criterion<TimeAndMemory>) {
///     let words = || "one two three".split(' ').map(str::to_owned).collect::<Vec<_>>();
///     c.bench_function("words", |b| b.iter_custom(TimeAndMemory::of(words)));
/// }
///
/// let criterion = Criterion::default().with_measurement(TimeAndMemory::default());
/// # let _ = (words, criterion);
/// ```
///
/// prints
///
/// ```text
/// words      time:   [81.302 ns 81.517 ns 81.755 ns, 83 B in 4 blocks, peak 83 B]
/// ```
///
/// Memory is counted in separate rounds before the first timed one, so it does not affect the time.
#[derive(Debug, Default)]
pub struct TimeAndMemory {
    /// The memory of the benchmark whose samples were read last.
    memory: Cell<Option<BenchMemory>>,
    /// How many values were formatted since then.
    formatted: Cell<u32>,
}

impl TimeAndMemory {
    /// Turns `work` into the argument of `Bencher::iter_custom`.
    ///
    /// # Panics
    ///
    /// In the first call, if nothing can be measured: see [`Scope::enter`].
    pub fn of<T>(mut work: impl FnMut() -> T) -> impl FnMut(u64) -> TimedMemory {
        const ROUNDS: u32 = 3;
        let mut memory = None;
        move |iterations| {
            let memory =
                *memory.get_or_insert_with(|| or_panic(bench_memory(ROUNDS, || black_box(work()))));
            let started = Instant::now();
            for _ in 0..iterations {
                black_box(work());
            }
            TimedMemory {
                time: started.elapsed(),
                memory: Some(memory),
            }
        }
    }
}

/// A value of [`TimeAndMemory`]: the time of some iterations, and the memory of one.
#[derive(Clone, Copy, Debug)]
pub struct TimedMemory {
    time: Duration,
    memory: Option<BenchMemory>,
}

impl Measurement for TimeAndMemory {
    type Intermediate = Instant;
    type Value = TimedMemory;

    fn start(&self) -> Instant {
        Instant::now()
    }

    fn end(&self, started: Instant) -> TimedMemory {
        TimedMemory {
            time: started.elapsed(),
            memory: None,
        }
    }

    fn add(&self, a: &TimedMemory, b: &TimedMemory) -> TimedMemory {
        TimedMemory {
            time: a.time + b.time,
            memory: a.memory.or(b.memory),
        }
    }

    fn zero(&self) -> TimedMemory {
        TimedMemory {
            time: Duration::ZERO,
            memory: None,
        }
    }

    fn to_f64(&self, value: &TimedMemory) -> f64 {
        self.memory.set(value.memory);
        self.formatted.set(0);
        WallTime.to_f64(&value.time)
    }

    fn formatter(&self) -> &dyn ValueFormatter {
        self
    }
}

impl ValueFormatter for TimeAndMemory {
    /// Formats a time, and appends the memory to the third value of a line, which has the lower
    /// bound, the estimate and the upper bound.
    fn format_value(&self, value: f64) -> String {
        const LAST: u32 = 3;
        let time = WallTime.formatter().format_value(value);
        self.formatted.set(self.formatted.get().saturating_add(1));
        match self.memory.get() {
            Some(memory) if self.formatted.get() == LAST => format!("{time}, {memory}"),
            _ => time,
        }
    }

    fn scale_values(&self, typical: f64, values: &mut [f64]) -> &'static str {
        WallTime.formatter().scale_values(typical, values)
    }

    fn scale_throughputs(
        &self,
        typical: f64,
        throughput: &Throughput,
        values: &mut [f64],
    ) -> &'static str {
        WallTime
            .formatter()
            .scale_throughputs(typical, throughput, values)
    }

    fn scale_for_machines(&self, values: &mut [f64]) -> &'static str {
        WallTime.formatter().scale_for_machines(values)
    }
}

/// A `criterion` measurement of memory instead of time, for `Criterion::with_measurement`.
///
/// Bytes and blocks are those allocated. A peak covers a single call only if each call is measured
/// alone: use `Bencher::iter_batched` with `BatchSize::PerIteration`.
///
/// ```
/// use alloc_core::Memory;
/// use criterion::{BatchSize, Criterion};
/// # use alloc_core::TraceAlloc;
/// # #[global_allocator]
/// # static ALLOC: TraceAlloc = TraceAlloc::system();
///
/// fn parse(c: &mut Criterion<Memory>) {
///     let words = || "one two three".split(' ').map(str::to_owned).collect::<Vec<_>>();
///     c.bench_function("words", |b| {
///         b.iter_batched(|| (), |()| words(), BatchSize::PerIteration);
///     });
/// }
///
/// let criterion = Criterion::default().with_measurement(Memory::Peak);
/// # let _ = (parse, criterion);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Memory {
    /// Bytes allocated.
    Bytes,
    /// Blocks allocated.
    Allocations,
    /// The most bytes that were live at one moment.
    Peak,
}

impl Measurement for Memory {
    type Intermediate = Scope;
    type Value = u64;

    /// # Panics
    ///
    /// If nothing can be measured: see [`Scope::enter`].
    fn start(&self) -> Scope {
        or_panic(Scope::enter())
    }

    fn end(&self, scope: Scope) -> u64 {
        let usage = or_panic(scope.usage());
        match self {
            Memory::Bytes => usage.allocated.bytes.get(),
            Memory::Allocations => usage.allocated.blocks,
            Memory::Peak => usage.peak.bytes.get(),
        }
    }

    fn add(&self, a: &u64, b: &u64) -> u64 {
        a + b
    }

    fn zero(&self) -> u64 {
        0
    }

    fn to_f64(&self, value: &u64) -> f64 {
        *value as f64
    }

    fn formatter(&self) -> &dyn ValueFormatter {
        self
    }
}

impl ValueFormatter for Memory {
    fn scale_values(&self, typical: f64, values: &mut [f64]) -> &'static str {
        const UNITS: [&str; 4] = ["B", "KiB", "MiB", "GiB"];
        if *self == Memory::Allocations {
            return "blocks";
        }
        let power = (typical.max(1.0).log2() / 10.0).floor().clamp(0.0, 3.0);
        values.iter_mut().for_each(|it| *it /= 1024_f64.powf(power));
        UNITS[power as usize]
    }

    fn scale_throughputs(
        &self,
        _: f64,
        throughput: &Throughput,
        values: &mut [f64],
    ) -> &'static str {
        let units = match self {
            Memory::Allocations => ["blocks/byte", "blocks/element"],
            Memory::Bytes | Memory::Peak => ["B/byte", "B/element"],
        };
        per(throughput, values, units)
    }

    fn scale_for_machines(&self, _: &mut [f64]) -> &'static str {
        match self {
            Memory::Allocations => "blocks",
            Memory::Bytes | Memory::Peak => "B",
        }
    }
}

/// Divides values by the bytes or elements of the input, and returns the unit.
fn per(throughput: &Throughput, values: &mut [f64], units: [&'static str; 2]) -> &'static str {
    let (number, unit) = match *throughput {
        Throughput::Bytes(number) | Throughput::BytesDecimal(number) => (number, units[0]),
        Throughput::Elements(number) => (number, units[1]),
        _ => (1, units[1]),
    };
    values.iter_mut().for_each(|it| *it /= number.max(1) as f64);
    unit
}
