//! Memory in benchmarks: [`bench_memory`] for a harness of one's own, and what `criterion` measures with.

#[cfg(feature = "criterion")]
pub(crate) mod criterion;

use std::fmt;

use crate::Error;
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

/// What [`bench_memory_of`] found: a row for each input. It prints as a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BenchMemoryTable {
    rows: Vec<(String, BenchMemory)>,
}

impl BenchMemoryTable {
    /// The inputs as they print, and what was found for each.
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
