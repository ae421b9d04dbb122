//! Memory in benchmarks: [`bench_memory`] for a harness of one's own, and what `criterion` measures with.

use std::fmt;

use crate::error::Error;
use crate::scope::{Usage, try_measure};

/// What [`bench_memory`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BenchMemory {
    /// What the first round allocated, which may have set something up.
    pub first: Usage,
    /// What the last round allocated.
    pub last: Usage,
    /// How many rounds there were.
    pub rounds: u32,
    /// Whether all rounds but the first allocated the same.
    pub is_steady: bool,
}

/// Runs `work` in rounds, and counts what each allocates, on this thread and to the byte.
///
/// Allocations are counted and not timed, so a few rounds are enough. What the work returns is dropped
/// after its round, and counts as live at its end.
///
/// # Errors
///
/// As [`try_measure`].
///
/// ```
/// # use alloc_core::TraceAlloc;
/// # #[global_allocator]
/// # static ALLOC: TraceAlloc = TraceAlloc::system();
/// let bench = alloc_core::bench_memory(10, || "a word".repeat(100))?;
/// assert!(bench.is_steady);
/// assert_eq!(bench.to_string(), "600 B in 1 block, peak 600 B");
/// # Ok::<(), alloc_core::Error>(())
/// ```
pub fn bench_memory<T>(rounds: u32, mut work: impl FnMut() -> T) -> Result<BenchMemory, Error> {
    let mut round = || Ok::<Usage, Error>(try_measure(&mut work)?.usage);
    let first = round()?;
    let mut bench = BenchMemory {
        first,
        last: first,
        rounds: rounds.max(1),
        is_steady: true,
    };
    for number in 1..bench.rounds {
        let usage = round()?;
        bench.is_steady &= number == 1 || usage == bench.last;
        bench.last = usage;
    }
    Ok(bench)
}

impl fmt::Display for BenchMemory {
    /// The last round.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Usage {
            allocated, peak, ..
        } = self.last;
        let s = if allocated.blocks == 1 { "" } else { "s" };
        write!(
            f,
            "{} in {} block{s}, peak {}",
            allocated.bytes, allocated.blocks, peak.bytes
        )?;
        if !self.is_steady {
            f.write_str(", not the same in each round")?;
        }
        Ok(())
    }
}

#[cfg(feature = "criterion")]
pub(crate) mod criterion {
    use ::criterion::Throughput;
    use ::criterion::measurement::{Measurement, ValueFormatter};

    use crate::scope::{Scope, or_panic};

    /// What `criterion` measures instead of time: pass it to `Criterion::with_measurement`.
    ///
    /// Bytes and blocks are those that were allocated. A peak is that of one call only where each is measured
    /// by itself: with `Bencher::iter_batched` and `BatchSize::PerIteration`.
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
        /// If there is nothing to measure with: see [`Scope::enter`].
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

    /// What each byte or element of the input takes.
    fn per(throughput: &Throughput, values: &mut [f64], units: [&'static str; 2]) -> &'static str {
        let (number, unit) = match *throughput {
            Throughput::Bytes(number) | Throughput::BytesDecimal(number) => (number, units[0]),
            Throughput::Elements(number) => (number, units[1]),
            _ => (1, units[1]),
        };
        values.iter_mut().for_each(|it| *it /= number.max(1) as f64);
        unit
    }
}
