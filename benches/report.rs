//! The tables.

use std::fmt;
use std::iter;
use std::time::Duration;

use alloc_core::Bytes;

use crate::contender::Outcome;
use crate::summary::{self, Runs, table, thousands};
use crate::workloads::Workload;

/// All that was measured of one workload; it prints as its table.
#[derive(Clone, Debug)]
pub struct Measured {
    /// What was run.
    pub workload: Workload,
    /// How many allocations it makes, as counted by none of the contenders.
    pub pairs: u64,
    /// The most bytes that are ever live in it, counted likewise.
    pub live_peak: u64,
    /// Who ran it, in the order of the table.
    pub entrants: Vec<Entrant>,
    /// The last outcome of `traced`, for what the tracer says of itself.
    pub traced: Outcome,
}

/// One contender's part.
#[derive(Clone, Debug)]
pub struct Entrant {
    /// The contender.
    pub name: &'static str,
    /// The one it is compared with; itself, if others are compared with it.
    pub against: &'static str,
    /// Its runs.
    pub runs: Runs,
}

/// All workloads side by side: the ratios, between medians and between the best runs, which suffer
/// least from what else the machine does, and what a pair costs more.
pub fn overview(all: &[Measured]) -> String {
    type Cell = fn(&Measured, &Runs, &Runs) -> String;
    let tables: [(&str, Cell); 3] = [
        ("medians", |_, runs, base| {
            ratio(runs.median(), base.median())
        }),
        ("best runs", |_, runs, base| ratio(runs.best(), base.best())),
        ("added a pair", Measured::added),
    ];
    let Some(first) = all.first() else {
        return String::new();
    };
    let compared = |entrant: &&Entrant| entrant.against != entrant.name;
    let sheet = |(title, cell): (&str, Cell)| {
        let names = all.iter().map(|measured| measured.workload.name());
        let head = iter::once(title).chain(names).map(str::to_owned).collect();
        let row = |entrant: &Entrant| {
            let cells = all.iter().map(|measured| {
                let runs = measured.runs_of(entrant.name);
                cell(measured, runs, measured.runs_of(entrant.against))
            });
            iter::once(entrant.name.to_owned()).chain(cells).collect()
        };
        let rows = first.entrants.iter().filter(compared).map(row);
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
        self.fmt_tracer(f)
    }
}

impl Measured {
    fn row(&self, entrant: &Entrant) -> Vec<String> {
        let (runs, base) = (&entrant.runs, self.runs_of(entrant.against));
        let none = || "-".to_owned();
        let resident = runs.resident_kib().map(|kib| Bytes::kib(kib).to_string());
        let mut row = vec![
            entrant.name.to_owned(),
            runs.count().to_string(),
            format!("{:.1?}", runs.median()),
            format!("{:.1?}", runs.best()),
        ];
        if entrant.against == entrant.name {
            row.extend([none(), none(), resident.unwrap_or_else(none), none()]);
            return row;
        }
        row.extend([
            ratio(runs.median(), base.median()),
            self.added(runs, base),
            resident.unwrap_or_else(none),
            more_memory(runs, base).map_or_else(none, signed),
        ]);
        if entrant.against != "bare" {
            row.push(format!("against {}", entrant.against));
        }
        row
    }

    /// What the tracer says of itself, beside what was counted and measured from outside, and beside
    /// what the project wants of it.
    fn fmt_tracer(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = |name| self.traced.number(name).unwrap_or(0);
        let (peak, capture) = (number("traced_peak"), self.traced.text("capture"));
        writeln!(
            f,
            "the tracer: stacks by {}; live at peak {} ({}); its own memory {}",
            capture.unwrap_or("nothing"),
            Bytes::new(peak),
            self.agreement(peak, number("traced_peak_error")),
            Bytes::new(number("tracer_memory")),
        )?;
        let (traced, bare) = (self.runs_of("traced"), self.runs_of("bare"));
        if let Some(more) = more_memory(traced, bare) {
            let allowed = summary::allowed_memory(self.live_peak);
            writeln!(
                f,
                "memory on top of bare: {}, {} the {} wanted (15 % of the live heap and 16 MiB)",
                signed(more),
                within(more <= allowed as i64),
                Bytes::new(allowed),
            )?;
        }
        if self.workload == Workload::Json && capture == Some("frame pointers") {
            let ratio = summary::ratio(traced.median(), bare.median());
            let verdict = within(ratio <= 1.5);
            writeln!(
                f,
                "time with frame pointers: {ratio:.2}x, {verdict} the 1.5x wanted"
            )?;
        }
        Ok(())
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

    /// # Panics
    ///
    /// If nobody of that name took part.
    fn runs_of(&self, name: &str) -> &Runs {
        let entrant = self.entrants.iter().find(|entrant| entrant.name == name);
        &entrant
            .unwrap_or_else(|| panic!("expected {name} to take part"))
            .runs
    }

    fn added(&self, runs: &Runs, base: &Runs) -> String {
        let added = summary::added_per_pair(runs.median(), base.median(), self.pairs);
        format!("{added:.1} ns")
    }
}

fn ratio(time: Duration, base: Duration) -> String {
    format!("{:.2}x", summary::ratio(time, base))
}

fn more_memory(runs: &Runs, base: &Runs) -> Option<i64> {
    let bytes = |runs: &Runs| Some((runs.resident_kib()? << 10) as i64);
    Some(bytes(runs)? - bytes(base)?)
}

fn signed(bytes: i64) -> String {
    let sign = if bytes < 0 { '-' } else { '+' };
    format!("{sign}{}", Bytes::new(bytes.unsigned_abs()))
}

fn within(yes: bool) -> &'static str {
    if yes { "within" } else { "ABOVE" }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entrant(name: &'static str, against: &'static str, runs: &[(u64, u64)]) -> Entrant {
        let mut entrant = Entrant {
            name,
            against,
            runs: Runs::default(),
        };
        for &(millis, mib) in runs {
            entrant
                .runs
                .push(Duration::from_millis(millis), Some(mib << 10));
        }
        entrant
    }

    fn measured(workload: Workload, traced: &str) -> Measured {
        Measured {
            workload,
            pairs: 1_000_000,
            live_peak: 40 << 20,
            entrants: vec![
                entrant("bare", "bare", &[(100, 60), (90, 60), (120, 60)]),
                entrant("traced", "bare", &[(130, 83), (140, 83), (126, 83)]),
                entrant("mimalloc", "mimalloc", &[(50, 50)]),
                entrant("mimalloc, traced", "mimalloc", &[(100, 49)]),
            ],
            traced: traced.parse().expect("names and values"),
        }
    }

    #[test]
    fn a_workload_prints_as_its_table() {
        let traced = "capture frame pointers\ntraced_peak 41943040\ntracer_memory 8388608";
        let expected = "\
json: 1,000,000 pairs of an allocation and a free, 40.0 MiB live at most
contender         runs   median     best  ratio  added a pair  peak memory       more
bare                 3  100.0ms   90.0ms      -             -     60.0 MiB          -
traced               3  130.0ms  126.0ms  1.30x       30.0 ns     83.0 MiB  +23.0 MiB
mimalloc             1   50.0ms   50.0ms      -             -     50.0 MiB          -
mimalloc, traced     1  100.0ms  100.0ms  2.00x       50.0 ns     49.0 MiB  -1024 KiB  against mimalloc
the tracer: stacks by frame pointers; live at peak 40.0 MiB (as counted); its own memory 8192 KiB
memory on top of bare: +23.0 MiB, ABOVE the 22.0 MiB wanted (15 % of the live heap and 16 MiB)
time with frame pointers: 1.30x, within the 1.5x wanted
";
        assert_eq!(measured(Workload::Json, traced).to_string(), expected);
    }

    #[test]
    fn a_peak_that_differs_is_told() {
        let traced = "capture unwind tables\ntraced_peak 41940040\ntraced_peak_error 524288";
        let text = measured(Workload::Json, traced).to_string();
        let line = text.lines().find(|line| line.starts_with("the tracer"));
        assert_eq!(
            line,
            Some(
                "the tracer: stacks by unwind tables; live at peak 40.0 MiB (3,000 B from the \
                 count, which may differ by 524,288 B); its own memory 0 B"
            )
        );
        assert!(!text.contains("with frame pointers"), "{text}");
    }

    #[test]
    fn the_overview_has_a_column_for_each_workload() {
        let expected = "\
medians            json  churn
traced            1.30x  1.30x
mimalloc, traced  2.00x  2.00x

best runs          json  churn
traced            1.40x  1.40x
mimalloc, traced  2.00x  2.00x

added a pair         json    churn
traced            30.0 ns  30.0 ns
mimalloc, traced  50.0 ns  50.0 ns
";
        let all = [Workload::Json, Workload::Churn].map(|workload| measured(workload, ""));
        assert_eq!(overview(&all), expected);
        assert_eq!(overview(&[]), "");
    }
}
