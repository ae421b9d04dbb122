//! Memory in benchmarks: [`bench_memory`] for any harness, and measurements for `criterion`.

#[cfg(feature = "criterion")]
pub(crate) mod criterion;

use std::fmt;

use crate::Error;
use crate::scope::{Usage, try_measure};

/// The result of [`bench_memory`].
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
    /// What the first round allocated, including one-time setup.
    pub first: Usage,
    /// What the last round allocated.
    pub last: Usage,
    /// The number of rounds.
    pub rounds: u32,
    /// Whether all rounds but the first allocated the same.
    pub is_steady: bool,
}

/// Runs `work` in rounds and counts what each allocates on this thread, exact to the byte.
///
/// Allocations are counted, not timed, so a few rounds are enough. At least one runs. The work's
/// value is dropped after its round and counts as live at the round's end.
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
    /// Formats the last round.
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

/// The result of [`bench_memory_of`]: a row for each input. It prints as a table.
///
/// ```
/// # use alloc_core::TraceAlloc;
/// # #[global_allocator]
/// # static ALLOC: TraceAlloc = TraceAlloc::system();
/// let table = alloc_core::bench_memory_of(3, [10, 100], |&n| "x".repeat(n))?;
/// let (input, bench) = &table.rows()[1];
/// assert_eq!(input, "100");
/// assert_eq!(bench.last.peak.bytes, 100);
/// # Ok::<(), alloc_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BenchMemoryTable {
    rows: Vec<(String, BenchMemory)>,
}

impl BenchMemoryTable {
    /// The inputs, as text, and the result for each.
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

/// Runs `work` in [rounds](bench_memory) with each input. The table shows how memory grows with it.
///
/// # Errors
///
/// As [`try_measure`].
///
/// ```
/// # use alloc_core::TraceAlloc;
/// # #[global_allocator]
/// # static ALLOC: TraceAlloc = TraceAlloc::system();
/// let table = alloc_core::bench_memory_of(3, [10, 100, 1000], |&n| "x".repeat(n))?;
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
    /// Formats a row for each input: its numbers, and their ratio to the row above.
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
    fn a_table_shows_the_first_input_whose_rounds_differ() {
        let mut kept = Vec::new();
        let table = bench_memory_of(20, ["a", "b"], |_| kept.push(1_u64)).unwrap();
        let text = table.to_string();
        assert!(
            text.ends_with("not the same in each round, from input a on\n"),
            "{text}"
        );
    }
}
