//! The tables on the terminal.

use std::fmt;
use std::iter;

use alloc_core::Bytes;

use crate::contender::Outcome;
use crate::contenders::Contender;
use crate::summary::{self, Runs, table, thousands};
use crate::workloads::Workload;

/// The results of one workload. It prints as a table.
#[derive(Clone, Debug)]
pub struct Measured {
    /// The workload.
    pub workload: Workload,
    /// Its allocations, counted by a program that takes no part.
    pub pairs: u64,
    /// Its peak of live bytes, counted by the same program.
    pub live_peak: u64,
    /// The contenders and their runs, in the order of the table.
    pub entrants: Vec<Entrant>,
}

/// The runs of one contender.
#[derive(Clone, Debug)]
pub struct Entrant {
    /// The contender.
    pub contender: Contender,
    /// Its runs.
    pub runs: Runs,
    /// The outcome of its last run, which has the tracer's own numbers.
    pub outcome: Outcome,
}

/// All workloads side by side: ratios of medians, ratios of best runs, and the time added to a
/// pair.
///
/// The best runs suffer least from other work on the machine.
pub fn overview(all: &[Measured]) -> String {
    type Cell = fn(&Measured, &Contender) -> String;
    let tables: [(&str, Cell); 3] = [
        ("medians", |measured, contender| {
            ratio(measured.ratio_of(contender))
        }),
        ("best runs", |measured, contender| {
            let (runs, base) = measured.runs_and_base(contender);
            ratio(summary::ratio(runs.best(), base.best()))
        }),
        ("added a pair", |measured, contender| {
            nanoseconds(measured.added_by(contender))
        }),
    ];
    let Some(first) = all.first() else {
        return String::new();
    };
    let compared = first.entrants.iter().map(|entrant| &entrant.contender);
    let compared: Vec<_> = compared.filter(|contender| !contender.is_base()).collect();
    let sheet = |(title, cell): (&str, Cell)| {
        let names = all.iter().map(|measured| measured.workload.name());
        let head = iter::once(title).chain(names).map(str::to_owned).collect();
        let row = |contender: &&Contender| {
            let cells = all.iter().map(|measured| cell(measured, contender));
            let name = contender.name.to_owned();
            iter::once(name).chain(cells).collect()
        };
        let rows = compared.iter().map(row);
        table(&iter::once(head).chain(rows).collect::<Vec<_>>())
    };
    tables.map(sheet).join("\n")
}

impl fmt::Display for Measured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{}: {} pairs of an allocation and a free, {} live at most",
            self.workload.name(),
            thousands(self.pairs),
            Bytes::new(self.live_peak),
        )?;
        const HEAD: &str = "contender|runs|median|best|ratio|added a pair|peak memory|more|";
        let mut rows = vec![HEAD.split('|').map(str::to_owned).collect()];
        rows.extend(self.entrants.iter().map(|entrant| self.row(entrant)));
        f.write_str(&table(&rows))?;
        let traced = |entrant: &&Entrant| {
            let name = entrant.contender.name;
            name == "traced" || name == "traced, frame pointers"
        };
        let mut traced = self.entrants.iter().filter(traced);
        traced.try_for_each(|entrant| self.fmt_tracer(entrant, f))
    }
}

impl Measured {
    fn row(&self, entrant: &Entrant) -> Vec<String> {
        let contender = &entrant.contender;
        let (runs, base) = self.runs_and_base(contender);
        let none = || "-".to_owned();
        let resident = runs.resident_kib().map(|kib| Bytes::kib(kib).to_string());
        let mut row = vec![
            contender.name.to_owned(),
            runs.count().to_string(),
            format!("{:.1?}", runs.median()),
            format!("{:.1?}", runs.best()),
        ];
        if contender.is_base() {
            row.extend([none(), none(), resident.unwrap_or_else(none), none()]);
            return row;
        }
        row.extend([
            ratio(self.ratio_of(contender)),
            nanoseconds(self.added_by(contender)),
            resident.unwrap_or_else(none),
            more_memory(runs, base).map_or_else(none, signed),
        ]);
        if contender.against != contender.build.bare() {
            row.push(format!("against {}", contender.against));
        }
        row
    }

    /// The tracer's own numbers, compared with the independent count.
    fn fmt_tracer(&self, entrant: &Entrant, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, outcome) = (entrant.contender.name, &entrant.outcome);
        let number = |name| outcome.number(name).unwrap_or(0);
        let (peak, capture) = (number("traced_peak"), outcome.text("capture"));
        writeln!(
            f,
            "{name}: stacks by {}; live at peak {} ({}); its own memory {}",
            capture.unwrap_or("nothing"),
            Bytes::new(peak),
            self.agreement(peak, number("traced_peak_error")),
            Bytes::new(number("tracer_memory")),
        )
    }

    fn agreement(&self, peak: u64, allowed: u64) -> String {
        if peak == self.live_peak {
            return "as counted".to_owned();
        }
        let off = thousands(peak.abs_diff(self.live_peak));
        format!(
            "{off} B from the count, which may differ by {} B",
            thousands(allowed)
        )
    }

    /// The time of a contender divided by the time of its base.
    ///
    /// # Panics
    ///
    /// If the contender or its base did not take part.
    pub fn ratio_of(&self, contender: &Contender) -> f64 {
        let (runs, base) = self.runs_and_base(contender);
        summary::ratio(runs.median(), base.median())
    }

    /// The nanoseconds that a contender adds to a pair of an allocation and a free.
    ///
    /// # Panics
    ///
    /// If the contender or its base did not take part.
    pub fn added_by(&self, contender: &Contender) -> f64 {
        let (runs, base) = self.runs_and_base(contender);
        summary::added_per_pair(runs.median(), base.median(), self.pairs)
    }

    /// The runs of a contender and of its base.
    ///
    /// # Panics
    ///
    /// If the contender or its base did not take part.
    pub fn runs_and_base(&self, contender: &Contender) -> (&Runs, &Runs) {
        let runs = |name| {
            let mut entrants = self.entrants.iter();
            let entrant = entrants.find(|entrant| entrant.contender.name == name);
            let entrant = entrant.unwrap_or_else(|| panic!("expected {name} to take part"));
            &entrant.runs
        };
        (runs(contender.name), runs(contender.against))
    }
}

fn ratio(ratio: f64) -> String {
    format!("{ratio:.2}x")
}

fn nanoseconds(nanoseconds: f64) -> String {
    format!("{nanoseconds:.1} ns")
}

fn more_memory(runs: &Runs, base: &Runs) -> Option<i64> {
    let bytes = |runs: &Runs| Some((runs.resident_kib()? << 10) as i64);
    Some(bytes(runs)? - bytes(base)?)
}

fn signed(bytes: i64) -> String {
    let sign = if bytes < 0 { '-' } else { '+' };
    format!("{sign}{}", Bytes::new(bytes.unsigned_abs()))
}

#[cfg(test)]
pub(crate) mod tests {
    use std::time::Duration;

    use super::*;

    fn entrant(contender: Contender, runs: &[(u64, u64)], outcome: &str) -> Entrant {
        let mut entrant = Entrant {
            contender,
            runs: Runs::default(),
            outcome: outcome.parse().expect("names and values"),
        };
        for &(millis, mib) in runs {
            let elapsed = Duration::from_millis(millis);
            entrant.runs.push(elapsed, Some(mib << 10));
        }
        entrant
    }

    pub(crate) fn measured(workload: Workload, traced: &str) -> Measured {
        let contender = |name| Contender::new(name, "program");
        let mimalloc = |name| contender(name).against("mimalloc");
        let frame_pointers = |name| contender(name).with_frame_pointers();
        let entrants = vec![
            entrant(contender("bare"), &[(100, 60), (90, 60), (120, 60)], ""),
            entrant(
                contender("traced"),
                &[(130, 83), (140, 83), (126, 83)],
                traced,
            ),
            entrant(frame_pointers("bare, frame pointers"), &[(110, 60)], ""),
            entrant(
                frame_pointers("traced, frame pointers"),
                &[(121, 70)],
                "capture frame pointers\ntraced_peak 41943040\ntracer_memory 1048576",
            ),
            entrant(mimalloc("mimalloc"), &[(50, 50)], ""),
            entrant(mimalloc("mimalloc, traced"), &[(100, 49)], ""),
        ];
        Measured {
            workload,
            pairs: 1_000_000,
            live_peak: 40 << 20,
            entrants,
        }
    }

    #[test]
    fn a_workload_prints_as_its_table() {
        let traced = "capture unwind tables\ntraced_peak 41943040\ntracer_memory 8388608";
        let expected = "\
json: 1,000,000 pairs of an allocation and a free, 40.0 MiB live at most
contender               runs   median     best  ratio  added a pair  peak memory       more
bare                       3  100.0ms   90.0ms      -             -     60.0 MiB          -
traced                     3  130.0ms  126.0ms  1.30x       30.0 ns     83.0 MiB  +23.0 MiB
bare, frame pointers       1  110.0ms  110.0ms      -             -     60.0 MiB          -
traced, frame pointers     1  121.0ms  121.0ms  1.10x       11.0 ns     70.0 MiB  +10.0 MiB
mimalloc                   1   50.0ms   50.0ms      -             -     50.0 MiB          -
mimalloc, traced           1  100.0ms  100.0ms  2.00x       50.0 ns     49.0 MiB  -1024 KiB  against mimalloc
traced: stacks by unwind tables; live at peak 40.0 MiB (as counted); its own memory 8192 KiB
traced, frame pointers: stacks by frame pointers; live at peak 40.0 MiB (as counted); its own memory 1024 KiB
";
        assert_eq!(measured(Workload::Json, traced).to_string(), expected);
    }

    #[test]
    fn a_peak_that_differs_is_shown() {
        let traced = "capture unwind tables\ntraced_peak 41940040\ntraced_peak_error 524288";
        let text = measured(Workload::Json, traced).to_string();
        let line = text.lines().find(|line| line.starts_with("traced: "));
        assert_eq!(
            line,
            Some(
                "traced: stacks by unwind tables; live at peak 40.0 MiB (3,000 B from the \
                 count, which may differ by 524,288 B); its own memory 0 B"
            )
        );
    }

    #[test]
    fn the_overview_has_a_column_for_each_workload() {
        let expected = "\
medians                  json  churn
traced                  1.30x  1.30x
traced, frame pointers  1.10x  1.10x
mimalloc, traced        2.00x  2.00x

best runs                json  churn
traced                  1.40x  1.40x
traced, frame pointers  1.10x  1.10x
mimalloc, traced        2.00x  2.00x

added a pair               json    churn
traced                  30.0 ns  30.0 ns
traced, frame pointers  11.0 ns  11.0 ns
mimalloc, traced        50.0 ns  50.0 ns
";
        let all = [Workload::Json, Workload::Churn].map(|workload| measured(workload, ""));
        assert_eq!(overview(&all), expected);
        assert_eq!(overview(&[]), "");
    }
}
