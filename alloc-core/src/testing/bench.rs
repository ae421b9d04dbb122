//! Memory in benchmarks: [`bench_memory`] for a harness of one's own, and what `criterion` measures with.

use std::fmt;

use crate::Error;
use crate::scope::{Usage, try_measure};

/// What [`bench_memory`] found.
///
/// ```
/// # use alloc_core::TraceAlloc;
/// # #[global_allocator]
/// # static ALLOC: TraceAlloc = TraceAlloc::system();
/// let bench = alloc_core::bench_memory(3, || vec![0_u8; 100])?;
/// assert_eq!((bench.rounds, bench.last.allocated.blocks), (3, 1));
/// # Ok::<(), alloc_core::Error>(())
/// ```
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

/// What [`bench_memory_of`] found: a row for each input. It prints as a table.
///
/// ```
/// # use alloc_core::TraceAlloc;
/// # #[global_allocator]
/// # static ALLOC: TraceAlloc = TraceAlloc::system();
/// let table = alloc_core::bench_memory_of(3, [10, 100], |&n| vec![0_u8; n])?;
/// let last = table.to_string().lines().last().map(str::to_owned);
/// assert_eq!(last.unwrap(), "  100      100 B  10.0x            1  1.0x  100 B  10.0x");
/// # Ok::<(), alloc_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BenchMemoryTable {
    rows: Vec<(String, BenchMemory)>,
}

impl BenchMemoryTable {
    /// The inputs as they print, and what was found for each.
    ///
    /// ```
    /// # use alloc_core::TraceAlloc;
    /// # #[global_allocator]
    /// # static ALLOC: TraceAlloc = TraceAlloc::system();
    /// let table = alloc_core::bench_memory_of(3, [10, 100], |&n| vec![0_u8; n])?;
    /// assert_eq!(table.rows()[1].1.last.peak.bytes, 100);
    /// # Ok::<(), alloc_core::Error>(())
    /// ```
    pub fn rows(&self) -> &[(String, BenchMemory)] {
        &self.rows
    }
}

/// Runs `work` with each input in [rounds](bench_memory), so that one sees how memory grows with the input.
///
/// # Errors
///
/// As [`try_measure`].
///
/// ```
/// # use alloc_core::TraceAlloc;
/// # #[global_allocator]
/// # static ALLOC: TraceAlloc = TraceAlloc::system();
/// let table = alloc_core::bench_memory_of(3, [10, 100, 1000], |&n| vec![0_u8; n].into_boxed_slice())?;
/// let expected = "\
/// input  allocated         allocations          peak
///    10       10 B                   1          10 B
///   100      100 B  10.0x            1  1.0x   100 B  10.0x
///  1000     1000 B  10.0x            1  1.0x  1000 B  10.0x
/// ";
/// assert_eq!(table.to_string(), expected);
/// # Ok::<(), alloc_core::Error>(())
/// ```
pub fn bench_memory_of<I: fmt::Display, T>(
    rounds: u32,
    inputs: impl IntoIterator<Item = I>,
    mut work: impl FnMut(&I) -> T,
) -> Result<BenchMemoryTable, Error> {
    let row = |input: I| Ok((input.to_string(), bench_memory(rounds, || work(&input))?));
    let rows = inputs.into_iter().map(row);
    Ok(BenchMemoryTable {
        rows: rows.collect::<Result<_, Error>>()?,
    })
}

impl fmt::Display for BenchMemoryTable {
    /// A row for each input: its numbers, and how many times those of the row before they are.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut lines =
            vec![["input", "allocated", "", "allocations", "", "peak", ""].map(str::to_owned)];
        let mut before: Option<Usage> = None;
        for (input, BenchMemory { last, .. }) in &self.rows {
            let growth = |number: fn(&Usage) -> u64| match before.as_ref().map(number) {
                None | Some(0) => String::new(),
                Some(before) => format!("{:.1}x", number(last) as f64 / before as f64),
            };
            lines.push([
                input.clone(),
                last.allocated.bytes.to_string(),
                growth(|it| it.allocated.bytes.get()),
                last.allocated.blocks.to_string(),
                growth(|it| it.allocated.blocks),
                last.peak.bytes.to_string(),
                growth(|it| it.peak.bytes.get()),
            ]);
            before = Some(*last);
        }
        let width = |column: usize| lines.iter().map(|it| it[column].chars().count()).max();
        let widths: [usize; 7] = std::array::from_fn(|column| width(column).unwrap_or(0));
        for line in &lines {
            let cells = line
                .iter()
                .zip(widths)
                .map(|(cell, width)| format!("{cell:>width$}"));
            writeln!(f, "{}", cells.collect::<Vec<_>>().join("  ").trim_end())?;
        }
        if let Some((input, _)) = self.rows.iter().find(|(_, it)| !it.is_steady) {
            writeln!(f, "not the same in each round, from input {input} on")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_shows_growth_from_row_to_row() {
        let inputs = [10, 100, 5000];
        let table = bench_memory_of(3, inputs, |&n| vec![0_u8; n].into_boxed_slice()).unwrap();
        let expected = "\
input  allocated         allocations          peak
   10       10 B                   1          10 B
  100      100 B  10.0x            1  1.0x   100 B  10.0x
 5000     5000 B  50.0x            1  1.0x  5000 B  50.0x
";
        assert_eq!(table.to_string(), expected);
    }

    #[test]
    fn rows_that_differ_from_round_to_round_are_told() {
        let mut kept = Vec::new();
        let table = bench_memory_of(20, ["a", "b"], |_| kept.push(1_u64)).unwrap();
        let text = table.to_string();
        assert!(
            text.ends_with("not the same in each round, from input a on\n"),
            "{text}"
        );
    }
}

#[cfg(feature = "criterion")]
pub(crate) mod criterion {
    use std::cell::Cell;
    use std::hint::black_box;
    use std::time::{Duration, Instant};

    use ::criterion::Throughput;
    use ::criterion::measurement::{Measurement, ValueFormatter, WallTime};

    use super::{BenchMemory, bench_memory};
    use crate::scope::{Scope, or_panic};

    /// Time as `criterion` measures it, and memory in the same line of its report.
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
    /// Memory is counted in rounds of their own, before the first that is timed. So it costs no time.
    #[derive(Debug, Default)]
    pub struct TimeAndMemory {
        /// That of the benchmark whose samples were read last.
        memory: Cell<Option<BenchMemory>>,
        /// How many values were formatted since.
        formatted: Cell<u32>,
    }

    impl TimeAndMemory {
        /// What to pass to `Bencher::iter_custom`.
        ///
        /// # Panics
        ///
        /// In the first call, if there is nothing to count with: see [`Scope::enter`].
        pub fn of<T>(mut work: impl FnMut() -> T) -> impl FnMut(u64) -> TimedMemory {
            const ROUNDS: u32 = 3;
            let mut memory = None;
            move |iterations| {
                let memory = *memory
                    .get_or_insert_with(|| or_panic(bench_memory(ROUNDS, || black_box(work()))));
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

    /// What [`TimeAndMemory`] measures: the time of some iterations, and the memory of one.
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
        /// Memory follows the third value: a line of the report has the lower bound, the estimate and the upper bound.
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
