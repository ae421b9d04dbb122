//! From runs to the cells of a table.

use std::time::Duration;

/// The runs of one contender and one workload.
#[derive(Clone, Debug, Default)]
pub struct Runs {
    nanoseconds: Vec<u64>,
    resident_kib: Vec<u64>,
}

impl Runs {
    /// Adds a run.
    pub fn push(&mut self, elapsed: Duration, resident_kib: Option<u64>) {
        let nanoseconds = u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX);
        self.nanoseconds.push(nanoseconds);
        self.resident_kib.extend(resident_kib);
    }

    /// The number of runs.
    pub fn count(&self) -> usize {
        self.nanoseconds.len()
    }

    /// The median wall time; zero without runs.
    pub fn median(&self) -> Duration {
        Duration::from_nanos(median(&self.nanoseconds).unwrap_or(0))
    }

    /// The shortest wall time; zero without runs.
    pub fn best(&self) -> Duration {
        Duration::from_nanos(self.nanoseconds.iter().copied().min().unwrap_or(0))
    }

    /// The sum of the wall times.
    pub fn spent(&self) -> Duration {
        Duration::from_nanos(self.nanoseconds.iter().sum())
    }

    /// The median peak of resident memory; `None` where the system does not report it.
    pub fn resident_kib(&self) -> Option<u64> {
        median(&self.resident_kib)
    }
}

/// `time` divided by `base`.
pub fn ratio(time: Duration, base: Duration) -> f64 {
    time.as_secs_f64() / base.as_secs_f64()
}

/// The nanoseconds by which `time` exceeds `base`, divided by `pairs`. Negative if `time` is less.
pub fn added_per_pair(time: Duration, base: Duration, pairs: u64) -> f64 {
    (time.as_nanos() as f64 - base.as_nanos() as f64) / pairs as f64
}

/// The median. Of an even number of values it is the mean of the middle two, rounded down.
fn median(values: &[u64]) -> Option<u64> {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    let upper = *sorted.get(sorted.len() / 2)?;
    if sorted.len() % 2 == 1 {
        return Some(upper);
    }
    Some(u64::midpoint(sorted[sorted.len() / 2 - 1], upper))
}

/// Aligns cells in columns: the first column to the left, all others to the right.
pub fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).enumerate();
        let line: String = cells
            .map(|(column, (cell, &width))| match column {
                0 => format!("{cell:width$}"),
                _ => format!("  {cell:>width$}"),
            })
            .collect();
        line.trim_end().to_owned() + "\n"
    };
    rows.iter().map(line).collect()
}

/// A ratio with three significant digits or none after the point: `1.02`, `27`.
pub fn short_ratio(ratio: f64) -> String {
    // From 9.995 up, two decimals would round to 10.00.
    if ratio < 9.995 {
        return format!("{ratio:.2}");
    }
    format!("{ratio:.0}")
}

/// A number with thousands separators: `1,234,567`.
pub fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place != 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: fn(u64) -> Duration = Duration::from_millis;

    #[test]
    fn a_median_is_the_middle() {
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[7]), Some(7));
        assert_eq!(median(&[9, 1]), Some(5));
        assert_eq!(median(&[100, 1, 3]), Some(3));
        assert_eq!(median(&[8, 1, 100, 5]), Some(6));
        assert_eq!(median(&[u64::MAX, u64::MAX]), Some(u64::MAX));
    }

    #[test]
    fn runs_are_summed_up() {
        let mut runs = Runs::default();
        assert_eq!(
            (runs.count(), runs.median(), runs.resident_kib()),
            (0, MS(0), None)
        );
        runs.push(MS(30), Some(100));
        runs.push(MS(10), None);
        runs.push(MS(11), Some(300));
        assert_eq!(runs.count(), 3);
        assert_eq!(
            (runs.median(), runs.best(), runs.spent()),
            (MS(11), MS(10), MS(51))
        );
        assert_eq!(runs.resident_kib(), Some(200));
    }

    #[test]
    fn ratio_and_added_time_are_relative_to_the_base() {
        assert_eq!(ratio(MS(30), MS(20)), 1.5);
        assert_eq!(added_per_pair(MS(30), MS(20), 1_000_000), 10.0);
        assert_eq!(added_per_pair(MS(10), MS(20), 1_000_000), -10.0);
    }

    #[test]
    fn columns_are_aligned() {
        let row = |cells: [&str; 3]| cells.map(str::to_owned).to_vec();
        let rows = [
            row(["name", "ns", ""]),
            row(["a", "1000", "µs"]),
            row(["bare", "7", ""]),
        ];
        assert_eq!(table(&rows), "name    ns\na     1000  µs\nbare     7\n");
        assert_eq!(table(&[]), "");
    }

    #[test]
    fn a_ratio_has_two_decimals_below_ten() {
        let texts = [0.996, 1.0, 1.377, 9.994, 9.996, 27.4, 191.7].map(short_ratio);
        assert_eq!(texts, ["1.00", "1.00", "1.38", "9.99", "10", "27", "192"]);
    }

    #[test]
    fn thousands_are_separated() {
        let numbers = [0, 999, 1_000, 123_456, 1_234_567];
        let texts = numbers.map(thousands);
        assert_eq!(texts, ["0", "999", "1,000", "123,456", "1,234,567"]);
    }
}
