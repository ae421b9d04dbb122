//! The table of the README.

use std::fmt::Write;

use alloc_core::Bytes;

use crate::lineup::Contender;
use crate::report::Measured;
use crate::summary::short_ratio;

/// What the small print of the table says.
pub const BELOW: &str = "what is added to a pair of an allocation and a free, and the most memory that was \
                         ever resident; of those that others are compared with, the time itself";

/// All that was measured, in Markdown: a row for each contender, a column for each workload.
///
/// A cell has the ratio, and below it in small print what is added to a pair and the peak of
/// resident memory; that of a contender which others are compared with has its time instead.
pub fn markdown(all: &[Measured]) -> String {
    let Some(first) = all.first() else {
        return String::new();
    };
    let mut text = String::from("|");
    let titles = all.iter().map(|measured| measured.workload.title());
    text.extend(titles.map(|title| format!(" | {title}")));
    text += " |\n| ---";
    text.extend(all.iter().map(|_| " | ---:"));
    text += " |\n";
    for entrant in &first.entrants {
        let cells = all
            .iter()
            .map(|measured| cell(measured, &entrant.contender));
        let cells = cells.collect::<Vec<_>>().join(" | ");
        let contender = &entrant.contender;
        let against = match contender.is_base() || contender.against == contender.build.bare() {
            true => String::new(),
            false => format!(", against {}", contender.against),
        };
        writeln!(text, "| {}{against} | {cells} |", contender.label).expect("a string takes all");
    }
    text
}

fn cell(measured: &Measured, contender: &Contender) -> String {
    let (runs, _) = measured.runs_and_base(contender);
    let resident = match runs.resident_kib() {
        Some(kib) => Bytes::kib(kib).to_string(),
        None => "memory not known".to_owned(),
    };
    if contender.is_base() {
        let time = runs.median().as_millis();
        return format!("{time} ms<br><sub>{resident}</sub>");
    }
    let ratio = short_ratio(measured.ratio_of(contender));
    let added = measured.added_by(contender).round() as i64;
    format!("{ratio}x<br><sub>{added} ns, {resident}</sub>")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::measured;
    use crate::workloads::Workload;

    #[test]
    fn the_table_has_a_row_for_each_contender() {
        let expected = "\
| | JSON | churn |
| --- | ---: | ---: |
| bare | 100 ms<br><sub>60.0 MiB</sub> | 100 ms<br><sub>60.0 MiB</sub> |
| traced | 1.30x<br><sub>30 ns, 83.0 MiB</sub> | 1.30x<br><sub>30 ns, 83.0 MiB</sub> |
";
        let all = [Workload::Json, Workload::Churn].map(|workload| measured(workload, ""));
        let text = markdown(&all);
        assert!(text.starts_with(expected), "{text}");
        assert!(
            text.contains("| mimalloc, traced, against mimalloc | 2.00x"),
            "{text}"
        );
        assert_eq!(text.lines().count(), 2 + all[0].entrants.len());
        assert_eq!(markdown(&[]), "");
    }
}
