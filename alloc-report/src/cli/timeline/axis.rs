//! [`Axis`]: round steps of memory and of time.

/// The horizontal grid lines, with labels in one unit.
pub(super) struct Axis {
    /// The size of the unit in bytes, and its name.
    unit: (f64, &'static str),
    /// The distance between two lines in the unit, a round number.
    step: f64,
    pub(super) steps: u64,
}

impl Axis {
    /// The axis from 0 to `highest` bytes, with at most eight steps.
    pub(super) fn up_to(highest: u64) -> Axis {
        const NAMES: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
        let highest = highest.max(1) as f64;
        let power = (highest.log(1024.0).floor() as usize).min(NAMES.len() - 1);
        let unit = 1024_f64.powi(power as i32);
        let wanted = highest / unit / 6.0;
        let ten = 10_f64.powf(wanted.log10().floor());
        let rounds = [1.0, 2.0, 5.0, 10.0].map(|round| round * ten);
        let found = rounds
            .into_iter()
            .find(|&round| round >= wanted * 0.999_999);
        // Bytes have no fractions.
        let least = if power == 0 { 1.0 } else { 0.0 };
        let step = found.unwrap_or(10.0 * ten).max(least);
        let steps = (highest / unit / step - 1e-9).ceil().max(1.0) as u64;
        let unit = (unit, NAMES[power]);
        Axis { unit, step, steps }
    }

    pub(super) fn bytes(&self, number: u64) -> u64 {
        (number as f64 * self.step * self.unit.0) as u64
    }

    pub(super) fn top(&self) -> f64 {
        self.steps as f64 * self.step * self.unit.0
    }

    pub(super) fn label(&self, number: u64) -> String {
        let digits = (-self.step.log10() - 1e-9).ceil().max(0.0) as usize;
        format!("{:.digits$} {}", number as f64 * self.step, self.unit.1)
    }
}

/// The distance between labels of time in seconds, for at most ten labels.
pub(super) fn round_seconds(end: f64) -> f64 {
    let wanted = end / 10.0;
    let rounds = [
        60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0, 7200.0, 21_600.0, 86_400.0,
    ];
    if wanted > 30.0 {
        let found = rounds.iter().find(|&&round| round >= wanted);
        return found
            .copied()
            .unwrap_or(86_400.0 * (wanted / 86_400.0).ceil());
    }
    let power = 10_f64.powf(wanted.max(1e-9).log10().floor());
    let found = [1.0, 2.0, 5.0, 10.0]
        .iter()
        .find(|&&round| round * power >= wanted);
    found.map_or(10.0 * power, |round| round * power)
}

pub(super) fn label_of(seconds: f64, step: f64) -> String {
    if step >= 3600.0 {
        format!("{} h", seconds / 3600.0)
    } else if step >= 60.0 {
        format!("{} min", seconds / 60.0)
    } else {
        let digits = (-step.log10()).ceil().max(0.0) as usize;
        format!("{seconds:.digits$} s")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_axis_has_round_steps_in_one_unit() {
        let labels = |highest: u64| {
            let axis = Axis::up_to(highest);
            assert!(
                axis.bytes(axis.steps) >= highest && (2..=8).contains(&axis.steps) || highest < 2
            );
            format!(
                "{}, {} … {}",
                axis.label(0),
                axis.label(1),
                axis.label(axis.steps)
            )
        };
        for (highest, expected) in [
            (0, "0 B, 1 B … 1 B"),
            (100, "0 B, 20 B … 100 B"),
            (5 << 10, "0 KiB, 1 KiB … 5 KiB"),
            (100 << 20, "0 MiB, 20 MiB … 100 MiB"),
            (1200 << 20, "0.0 GiB, 0.2 GiB … 1.2 GiB"),
            (1023 << 20, "0 MiB, 200 MiB … 1200 MiB"),
            (12 << 20, "0 MiB, 2 MiB … 12 MiB"),
            (900 << 30, "0 GiB, 200 GiB … 1000 GiB"),
        ] {
            assert_eq!(labels(highest), expected, "{highest}");
        }
    }

    #[test]
    fn steps_of_time_are_round() {
        for (end, step) in [
            (0.5, 0.05),
            (1.0, 0.1),
            (7.0, 1.0),
            (60.0, 10.0),
            (700.0, 120.0),
            (90_000.0, 21_600.0),
        ] {
            let found = round_seconds(end);
            assert!((found / step - 1.0).abs() < 1e-9, "{end}: {found}");
        }
        assert_eq!(label_of(1.5, 0.5), "1.5 s");
        assert_eq!(label_of(240.0, 120.0), "4 min");
    }
}
