//! An answer as a table for people.

use alloc_core_snapshot::{Bytes, Escaped};
use alloc_report::BytesDiff;
use anyhow::{Context as _, Result};
use unicode_width::UnicodeWidthStr as _;

/// The table of an answer in CSV. Bytes have units, and differences have a sign.
pub(super) fn table(csv: &str) -> Result<String> {
    let mut reader = csv::Reader::from_reader(csv.as_bytes());
    let heads: Vec<String> = reader.headers()?.iter().map(str::to_owned).collect();
    let mut rows: Vec<Vec<String>> = Vec::new();
    let mut are_numbers = vec![true; heads.len()];
    for record in reader.records() {
        let record = record.context("expected CSV from the engine")?;
        are_numbers
            .iter_mut()
            .zip(&record)
            .for_each(|(all, cell)| *all &= cell.parse::<i64>().is_ok());
        rows.push(record.iter().map(str::to_owned).collect());
    }
    if rows.is_empty() {
        return Ok("No rows.\n".to_owned());
    }
    for row in &mut rows {
        for (cell, head) in row.iter_mut().zip(&heads) {
            *cell = shown(head, cell);
        }
    }
    let heads: Vec<String> = heads.iter().map(|it| head(it)).collect();
    let widths: Vec<usize> = (0..heads.len())
        .map(|column| {
            let cells = rows.iter().map(|row| row[column].width());
            cells.max().unwrap_or(0).max(heads[column].width())
        })
        .collect();
    let mut text = String::new();
    for row in std::iter::once(&heads).chain(&rows) {
        let mut line = String::new();
        for ((cell, width), is_number) in row.iter().zip(&widths).zip(&are_numbers) {
            let padding = " ".repeat(width - cell.width());
            line += &match is_number {
                true => format!("{padding}{cell}  "),
                false => format!("{cell}{padding}  "),
            };
        }
        text += line.trim_end();
        text.push('\n');
    }
    Ok(text)
}

/// A column's name for people: `growth` for `growth_bytes`.
fn head(name: &str) -> String {
    let name = name.strip_suffix("_bytes").unwrap_or(name);
    name.replace('_', " ")
}

fn shown(head: &str, cell: &str) -> String {
    match (head, cell.parse::<i64>()) {
        ("growth_bytes" | "excess_bytes", Ok(bytes)) => BytesDiff::new(bytes).to_string(),
        (head, Ok(bytes)) if head.ends_with("_bytes") && bytes >= 0 => {
            Bytes::new(bytes.unsigned_abs()).to_string()
        }
        _ => Escaped(cell).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_have_units_and_numbers_are_aligned() {
        let csv = "service,instances,live_bytes,growth_bytes\nshop,20,1048576,-2048\nä,3,7,10\n";
        let expected = "\
service  instances      live   growth
shop            20  1024 KiB  -2048 B
ä                3       7 B    +10 B
";
        assert_eq!(table(csv).unwrap(), expected);
        assert_eq!(table("service,bytes\n").unwrap(), "No rows.\n");
    }

    #[test]
    fn names_do_not_control_the_terminal() {
        let text = table("line\n\"\u{1b}[31m\"\n").unwrap();
        assert!(!text.contains('\u{1b}'), "{text}");
    }
}
