//! The table of percentiles.

use hdrhistogram::Histogram;

use super::{Latencies, Scenario};
use crate::summary;

/// A contender's latencies under its name.
#[derive(Clone, Debug)]
pub struct Row {
    /// The name of the contender.
    pub label: String,
    /// The latencies of all its runs together.
    pub latencies: Latencies,
}

/// The columns: a title and a quantile.
const COLUMNS: [(&str, f64); 5] = [
    ("p50", 0.5),
    ("p99", 0.99),
    ("p99.9", 0.999),
    ("p99.99", 0.9999),
    ("max", 1.0),
];

/// The percentiles of one scenario: allocations, then frees. The first row of each part is the
/// clock alone, from the process of the first contender.
pub fn table(rows: &[Row]) -> String {
    let Some(first) = rows.first() else {
        return String::new();
    };
    type Part = fn(&Latencies) -> &Histogram<u64>;
    let parts: [(&str, Part); 2] = [
        ("one allocation", |latencies| &latencies.alloc),
        ("one free", |latencies| &latencies.free),
    ];
    let mut cells = Vec::new();
    for (title, part) in parts {
        cells.push(head(title));
        cells.push(percentiles("the clock alone", &first.latencies.nothing));
        cells.extend((rows.iter()).map(|it| percentiles(&it.label, part(&it.latencies))));
    }
    summary::table(&cells)
}

/// The p99.9 of one allocation in all scenarios side by side: the figure that a request with 1,000
/// allocations meets about once.
pub fn overview(all: &[(Scenario, Vec<Row>)]) -> String {
    let Some((_, first)) = all.first() else {
        return String::new();
    };
    let scenarios = all.iter().map(|(scenario, _)| scenario.name().to_owned());
    let head = std::iter::once("p99.9 of one allocation".to_owned()).chain(scenarios);
    let mut cells = vec![head.collect()];
    for (place, contender) in first.iter().enumerate() {
        let figures = all
            .iter()
            .map(|(_, rows)| duration(rows[place].latencies.alloc.value_at_quantile(0.999)));
        cells.push(
            std::iter::once(contender.label.clone())
                .chain(figures)
                .collect(),
        );
    }
    summary::table(&cells)
}

/// The head of a table of [`percentiles`].
pub fn head(title: &str) -> Vec<String> {
    let columns = COLUMNS.iter().map(|(column, _)| (*column).to_owned());
    std::iter::once(title.to_owned()).chain(columns).collect()
}

/// The cells of a row: a label, and percentiles of nanoseconds.
pub fn percentiles(label: &str, histogram: &Histogram<u64>) -> Vec<String> {
    let cells = COLUMNS.iter().map(|&(_, quantile)| match quantile {
        1.0 => duration(histogram.max()),
        quantile => duration(histogram.value_at_quantile(quantile)),
    });
    std::iter::once(label.to_owned()).chain(cells).collect()
}

/// Nanoseconds with two or three digits and a unit.
fn duration(nanoseconds: u64) -> String {
    let scaled = |unit: f64| nanoseconds as f64 / unit;
    match nanoseconds {
        0..1_000 => format!("{nanoseconds} ns"),
        1_000..9_950 => format!("{:.1} µs", scaled(1e3)),
        9_950..999_500 => format!("{:.0} µs", scaled(1e3)),
        999_500..9_950_000 => format!("{:.1} ms", scaled(1e6)),
        _ => format!("{:.0} ms", scaled(1e6)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_has_a_unit_and_few_digits() {
        let texts = [0, 7, 999, 1_000, 9_949, 9_950, 999_499, 999_500, 9_950_000].map(duration);
        let expected = [
            "0 ns", "7 ns", "999 ns", "1.0 µs", "9.9 µs", "10 µs", "999 µs", "1.0 ms", "10 ms",
        ];
        assert_eq!(texts, expected);
    }

    fn row(label: &str, factor: u64) -> Row {
        let mut latencies = Latencies::new();
        let record = |histogram: &mut Histogram<u64>, value, count| {
            histogram.record_n(value, count).expect("in bounds");
        };
        record(&mut latencies.nothing, 8, 10_000);
        record(&mut latencies.alloc, 20 * factor, 9_800);
        record(&mut latencies.alloc, 90 * factor, 150);
        record(&mut latencies.alloc, 2_000 * factor, 50);
        record(&mut latencies.free, 12 * factor, 10_000);
        Row {
            label: label.to_owned(),
            latencies,
        }
    }

    #[test]
    fn the_overview_has_a_column_for_each_scenario() {
        let rows = || vec![row("bare", 1), row("traced", 3)];
        let all = [(Scenario::Steady, rows()), (Scenario::Threads, rows())];
        let expected = "\
p99.9 of one allocation  steady  threads
bare                     2.0 µs   2.0 µs
traced                   6.0 µs   6.0 µs
";
        assert_eq!(overview(&all), expected);
        assert_eq!(overview(&[]), "");
    }

    #[test]
    fn each_part_has_the_clock_and_all_contenders() {
        let expected = "\
one allocation     p50     p99   p99.9  p99.99     max
the clock alone   8 ns    8 ns    8 ns    8 ns    8 ns
bare             20 ns   90 ns  2.0 µs  2.0 µs  2.0 µs
traced           60 ns  270 ns  6.0 µs  6.0 µs  6.0 µs
one free           p50     p99   p99.9  p99.99     max
the clock alone   8 ns    8 ns    8 ns    8 ns    8 ns
bare             12 ns   12 ns   12 ns   12 ns   12 ns
traced           36 ns   36 ns   36 ns   36 ns   36 ns
";
        assert_eq!(table(&[row("bare", 1), row("traced", 3)]), expected);
        assert_eq!(table(&[]), "");
    }
}
