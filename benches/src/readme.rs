//! The tables of `README.md` and `benches/README.md`.

use std::fmt::Write;

use alloc_core::Bytes;

use crate::contenders::Contender;
use crate::report::Measured;
use crate::summary::short_ratio;

/// What the small print of the table means.
pub const BELOW: &str = "the nanoseconds added to a pair of an allocation and a free, and the peak of \
                         resident memory; a base has its time in place of a ratio";

/// The pages with a table, and the rows of each.
pub const PAGES: [(&str, Rows); 2] = [
    (concat!(env!("CARGO_MANIFEST_DIR"), "/README.md"), Rows::All),
    (
        concat!(env!("CARGO_MANIFEST_DIR"), "/../README.md"),
        Rows::Choice,
    ),
];

/// The contenders in a table.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Rows {
    /// All of them.
    All,
    /// The settings that a user chooses between.
    Choice,
}

const CHOICE: [&str; 6] = [
    "bare",
    "alloc-core, never started",
    "alloc-core, counters only",
    "alloc-core, sampled at 512 KiB",
    "alloc-core, one line",
    "alloc-core, 32 frames",
];

impl Rows {
    fn has(self, contender: &Contender) -> bool {
        self == Rows::All || CHOICE.contains(&contender.label.as_str())
    }
}

/// Replaces the table of a page, which is between two comments.
///
/// # Errors
///
/// If a comment is missing.
pub fn with_table(page: &str, table: &str) -> Result<String, String> {
    const BEGIN: &str = "<!-- table -->\n";
    const END: &str = "<!-- end of the table -->";
    let parts = page.split_once(BEGIN).and_then(|(before, rest)| {
        let (_, after) = rest.split_once(END)?;
        Some((before, after))
    });
    let (before, after) = parts.ok_or(format!("expected {BEGIN:?} and then {END:?}"))?;
    Ok(format!("{before}{BEGIN}\n{table}\n{END}{after}"))
}

/// The results in Markdown: a row for each contender, a column for each workload.
///
/// A cell has the ratio and, in small print below, the time added to a pair and the peak of
/// resident memory. A contender that others are compared with has its time in place of a ratio.
pub fn markdown(all: &[Measured], rows: Rows) -> String {
    let Some(first) = all.first() else {
        return String::new();
    };
    let mut text = String::from("|");
    let titles = all.iter().map(|measured| measured.workload.title());
    text.extend(titles.map(|title| format!(" | {title}")));
    text += " |\n| ---";
    text.extend(all.iter().map(|_| " | ---:"));
    text += " |\n";
    for entrant in first.entrants.iter().filter(|it| rows.has(&it.contender)) {
        let cells = all
            .iter()
            .map(|measured| cell(measured, &entrant.contender));
        let cells = cells.collect::<Vec<_>>().join(" | ");
        let contender = &entrant.contender;
        let against = match contender.is_base() || contender.against == contender.build.bare() {
            true => String::new(),
            false => format!(", against {}", contender.against),
        };
        writeln!(text, "| {}{against} | {cells} |", contender.label)
            .expect("writing to a string succeeds");
    }
    text
}

fn cell(measured: &Measured, contender: &Contender) -> String {
    let (runs, _) = measured.runs_and_base(contender);
    let resident = match runs.resident_kib() {
        Some(kib) => Bytes::kib(kib).to_string(),
        None => "memory unknown".to_owned(),
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
        let text = markdown(&all, Rows::All);
        assert!(text.starts_with(expected), "{text}");
        assert!(
            text.contains("| mimalloc, traced, against mimalloc | 2.00x"),
            "{text}"
        );
        assert_eq!(text.lines().count(), 2 + all[0].entrants.len());
        assert_eq!(markdown(&[], Rows::All), "");
        let text = markdown(&all, Rows::Choice);
        assert!(
            text.contains("| bare |") && !text.contains("| traced |"),
            "{text}"
        );
    }

    #[test]
    fn a_table_replaces_another() {
        let page = "Before.\n<!-- table -->\nold\n<!-- end of the table -->\nAfter.\n";
        let with = "Before.\n<!-- table -->\n\nnew\n<!-- end of the table -->\nAfter.\n";
        assert_eq!(with_table(page, "new").as_deref(), Ok(with));
        assert_eq!(with_table(with, "new").as_deref(), Ok(with));
        assert!(with_table("<!-- table -->\n", "new").is_err());
    }

    #[test]
    fn each_page_has_both_comments() {
        for (page, _) in PAGES {
            let text = std::fs::read_to_string(page).unwrap();
            assert!(with_table(&text, "").is_ok(), "{page}");
        }
    }
}
