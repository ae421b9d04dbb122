//! [`Numbers`]: the content of a baseline's file.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::scope::Usage;
use crate::snapshot::snapshot::Snapshot;
use crate::{Amount, GroupBy, Metric};

/// How many functions a file lists.
const FUNCTIONS: usize = 20;

/// The numbers of a file: totals, and bytes and blocks by function.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Numbers {
    pub(super) allocated: u64,
    pub(super) allocations: u64,
    pub(super) peak: u64,
    pub(super) functions: BTreeMap<String, (u64, u64)>,
}

impl Numbers {
    pub(super) fn of(usage: Usage, snapshot: &Snapshot) -> Numbers {
        let charged = snapshot.charged_only();
        let statistics = charged.statistics_by(GroupBy::Function, Metric::Total);
        let functions = statistics.iter().take(FUNCTIONS).map(|it| {
            let Amount { bytes, blocks } = it.counters.total;
            (it.key.to_string(), (bytes.get(), blocks))
        });
        Numbers {
            allocated: usage.allocated.bytes.get(),
            allocations: usage.allocated.blocks,
            peak: usage.peak.bytes.get(),
            functions: functions.collect(),
        }
    }

    /// Formats the file. The functions that allocated the most come first.
    pub(super) fn text(&self) -> String {
        let mut text = format!(
            "allocated    {} B\nallocations  {}\npeak         {} B\n\n",
            self.allocated, self.allocations, self.peak
        );
        let mut functions: Vec<_> = self.functions.iter().collect();
        functions
            .sort_by_key(|(name, (bytes, blocks))| (std::cmp::Reverse((*bytes, *blocks)), *name));
        for (name, (bytes, blocks)) in functions {
            // Writing to a string does not fail.
            let _ = writeln!(text, "{bytes:>10} B {blocks:>8}  {name}");
        }
        text
    }

    /// Parses a file. The error is the number of the first malformed line.
    pub(super) fn parse(text: &str) -> Result<Numbers, usize> {
        let mut numbers = Numbers::default();
        for (line, at) in text.lines().zip(1..) {
            let words: Vec<&str> = line.split_whitespace().collect();
            let number = |word: &str| word.parse::<u64>().map_err(|_| at);
            match words[..] {
                [] => {}
                ["allocated", bytes, "B"] => numbers.allocated = number(bytes)?,
                ["allocations", blocks] => numbers.allocations = number(blocks)?,
                ["peak", bytes, "B"] => numbers.peak = number(bytes)?,
                [bytes, "B", blocks, ..] => {
                    // The name is the rest of the line, and may contain spaces.
                    let name = line
                        .split_once(" B ")
                        .and_then(|(_, it)| it.trim_start().split_once("  "));
                    let (_, name) = name.ok_or(at)?;
                    let amount = (number(bytes)?, number(blocks)?);
                    numbers.functions.insert(name.to_owned(), amount);
                }
                _ => return Err(at),
            }
        }
        Ok(numbers)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in super::super) fn numbers() -> Numbers {
        let functions = [
            ("demo::parse", (900, 3)),
            ("<demo::Key as demo::T<u8, u16>>::new", (100, 1)),
        ];
        Numbers {
            allocated: 1000,
            allocations: 4,
            peak: 600,
            functions: functions.map(|(name, it)| (name.to_owned(), it)).into(),
        }
    }

    #[test]
    fn files_are_read_back() {
        let text = numbers().text();
        assert_eq!(Numbers::parse(&text), Ok(numbers()), "{text}");
        assert_eq!(Numbers::parse("allocated 5 B\nhello\n"), Err(2));
        assert_eq!(Numbers::parse("allocated x B"), Err(1));
    }
}
