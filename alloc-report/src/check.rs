//! `alloc-report check`.

use std::path::PathBuf;

use alloc_core::{Bytes, GroupBy, Metric, Snapshot};
use alloc_report::{CompareTo as _, StatisticDiff};
use anyhow::Result;
use clap::{Args, ValueEnum};

use crate::read;

pub(crate) const EXAMPLES: &str = "\
Examples:
  alloc-report check main.pb.gz branch.pb.gz --max-growth 5%
  alloc-report check main.pb.gz branch.pb.gz --metric peak,allocations --max-growth 0
  alloc-report check main.pb.gz branch.pb.gz --format markdown >>\"$GITHUB_STEP_SUMMARY\"

Exit status: 0 if no metric grew by more than is allowed, 3 if one did, 1 if a file cannot be read.";

/// A metric grew by more than is allowed.
const GREW: u8 = 3;

#[derive(Args, Debug)]
pub(crate) struct Options {
    /// The snapshot file to compare with
    #[arg(value_name = "OLD")]
    old: PathBuf,
    /// The later snapshot file
    #[arg(value_name = "NEW")]
    new: PathBuf,
    /// How much a metric may grow: a part of the old number, as 5%, or 0
    #[arg(long, value_name = "PERCENT", default_value = "0", value_parser = percent)]
    max_growth: f64,
    /// What may not grow
    #[arg(
        long,
        value_enum,
        value_name = "METRIC,...",
        value_delimiter = ',',
        default_value = "peak,allocations"
    )]
    metric: Vec<Gauge>,
    /// What the rows of the tables stand for
    #[arg(long, value_enum, value_name = "KEY", default_value_t = Key::Function)]
    by: Key,
    /// How many rows to show of each table
    #[arg(short = 'n', long = "rows", value_name = "N", default_value_t = 10)]
    rows: usize,
    /// Text for people, or Markdown for a pull request
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t = Format::Text)]
    format: Format,
}

/// One number of a whole snapshot.
#[derive(Clone, Copy, Debug, PartialEq, ValueEnum)]
enum Gauge {
    /// The most bytes that were live at one moment
    Peak,
    /// How many blocks were allocated
    Allocations,
    /// How many bytes were allocated
    Allocated,
    /// How many bytes are live at the end
    Current,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Key {
    /// A function, which edits above do not move
    Function,
    /// A line of source
    Line,
    /// A source file
    File,
    /// A module
    Module,
    /// A crate
    Crate,
}

#[derive(Clone, Copy, Debug, PartialEq, ValueEnum)]
enum Format {
    /// Aligned columns
    Text,
    /// Tables of Markdown
    Markdown,
}

fn percent(text: &str) -> std::result::Result<f64, String> {
    let number = text.strip_suffix('%').unwrap_or(text).trim();
    let percent = number.parse().ok().filter(|it| (0.0..=1e6).contains(it));
    percent.ok_or_else(|| "expected a number of per cent, such as 5%".to_owned())
}

impl Gauge {
    fn name(self) -> &'static str {
        match self {
            Gauge::Peak => "peak",
            Gauge::Allocations => "allocations",
            Gauge::Allocated => "allocated",
            Gauge::Current => "current",
        }
    }

    fn of(self, snapshot: &Snapshot) -> u64 {
        let sum = |metric: Metric| {
            let amounts = snapshot
                .traces()
                .iter()
                .map(|it| it.counters.amount(metric));
            amounts.fold((0_u64, 0_u64), |sum, it| {
                (
                    sum.0.saturating_add(it.bytes.get()),
                    sum.1.saturating_add(it.blocks),
                )
            })
        };
        match self {
            Gauge::Peak => snapshot.traced_memory().peak.get(),
            Gauge::Allocations => sum(Metric::Total).1,
            Gauge::Allocated => sum(Metric::Total).0,
            Gauge::Current => snapshot.traced_memory().current.get(),
        }
    }

    fn metric(self) -> Metric {
        match self {
            Gauge::Peak => Metric::AtPeak,
            Gauge::Allocations | Gauge::Allocated => Metric::Total,
            Gauge::Current => Metric::Current,
        }
    }

    fn counts_blocks(self) -> bool {
        self == Gauge::Allocations
    }

    fn show(self, number: u64) -> String {
        match self.counts_blocks() {
            true => number.to_string(),
            false => Bytes::new(number).to_string(),
        }
    }

    fn change(self, diff: &StatisticDiff) -> i64 {
        match self.counts_blocks() {
            true => diff.count_diff,
            false => diff.size_diff.get(),
        }
    }
}

/// What a gauge shows in both snapshots.
struct Compared {
    gauge: Gauge,
    old: u64,
    new: u64,
    is_allowed: bool,
}

impl Compared {
    fn growth(&self) -> String {
        match (self.old, self.new) {
            (old, new) if old == new => "unchanged".to_owned(),
            (0, _) => "from nothing".to_owned(),
            (old, new) => {
                let percent = (new as f64 / old as f64 - 1.0) * 100.0;
                // What is not nothing shall not look like it.
                match percent.abs() < 0.05 {
                    true => format!("{}<0.1%", if percent < 0.0 { "-" } else { "+" }),
                    false => format!("{percent:+.1}%"),
                }
            }
        }
    }

    fn verdict(&self) -> &'static str {
        match (self.is_allowed, self.new < self.old) {
            (false, _) => "grew by more than is allowed",
            (true, true) => "better",
            (true, false) => "ok",
        }
    }
}

pub(crate) fn report(options: &Options) -> Result<(String, u8)> {
    let (old, new) = (read(&options.old)?, read(&options.new)?);
    let compared: Vec<Compared> = options
        .metric
        .iter()
        .map(|&gauge| {
            let (before, now) = (gauge.of(&old), gauge.of(&new));
            let most = before as f64 * (1.0 + options.max_growth / 100.0);
            Compared {
                gauge,
                old: before,
                new: now,
                is_allowed: now <= before || now as f64 <= most,
            }
        })
        .collect();
    let mut text = summary(&compared, options);
    for it in compared.iter().filter(|it| it.old != it.new) {
        text += &changes(it.gauge, &old, &new, options);
    }
    let status = if compared.iter().all(|it| it.is_allowed) {
        0
    } else {
        GREW
    };
    Ok((text, status))
}

fn summary(compared: &[Compared], options: &Options) -> String {
    let rows: Vec<[String; 5]> = compared
        .iter()
        .map(|it| {
            [
                it.gauge.name().to_owned(),
                it.gauge.show(it.old),
                it.gauge.show(it.new),
                it.growth(),
                it.verdict().to_owned(),
            ]
        })
        .collect();
    let allowed = format!("Growth of up to {}% is allowed.\n", options.max_growth);
    let table = table(
        &["metric", "old", "new", "growth", "verdict"],
        &rows,
        options,
    );
    match options.format {
        Format::Text => table + &allowed,
        Format::Markdown => format!("### Memory\n\n{table}\n{allowed}"),
    }
}

/// What got worse first, and then what got better.
fn changes(gauge: Gauge, old: &Snapshot, new: &Snapshot, options: &Options) -> String {
    let by = match options.by {
        Key::Function => GroupBy::Function,
        Key::Line => GroupBy::Line,
        Key::File => GroupBy::File,
        Key::Module => GroupBy::Module,
        Key::Crate => GroupBy::Crate,
    };
    let mut diffs = new.compare_to_by(old, by, gauge.metric());
    diffs.retain(|diff| gauge.change(diff) != 0);
    diffs.sort_by_key(|diff| std::cmp::Reverse(gauge.change(diff)));
    let shown = diffs.iter().enumerate().filter(|(at, diff)| {
        // The first of those that grew, and the last of those that shrank.
        let from_end = diffs.len() - 1 - at;
        *at < options.rows && gauge.change(diff) > 0
            || from_end < options.rows && gauge.change(diff) < 0
    });
    let rows: Vec<[String; 3]> = shown
        .map(|(_, diff)| {
            let change = gauge.change(diff);
            let sign = if change < 0 { '-' } else { '+' };
            let now = match gauge.counts_blocks() {
                true => diff.count,
                false => diff.size.get(),
            };
            [
                format!("{sign}{}", gauge.show(change.unsigned_abs())),
                gauge.show(now),
                diff.key.to_string(),
            ]
        })
        .collect();
    if rows.is_empty() {
        return String::new();
    }
    let title = match gauge {
        Gauge::Peak => "held at the peak",
        Gauge::Allocations => "allocations",
        Gauge::Allocated => "allocated",
        Gauge::Current => "held at the end",
    };
    let noun = by.to_string();
    let table = table(&["change", "new", &noun], &rows, options);
    match options.format {
        Format::Text => format!("\nWhat changed: {title}\n{table}"),
        Format::Markdown => {
            format!("\n<details><summary>What changed: {title}</summary>\n\n{table}\n</details>\n")
        }
    }
}

/// All columns but the first and the last are numbers, and so is the first where there are three.
fn table<const N: usize>(heads: &[&str; N], rows: &[[String; N]], options: &Options) -> String {
    let is_number = |column: usize| column + 1 < N && (column > 0 || N == 3);
    match options.format {
        Format::Text => {
            let widths: Vec<usize> = (0..N)
                .map(|column| {
                    let cells = rows.iter().map(|row| row[column].len());
                    cells.max().unwrap_or(0).max(heads[column].len())
                })
                .collect();
            let line = |cells: &[&str]| {
                let mut line = String::new();
                for (column, (cell, width)) in cells.iter().zip(&widths).enumerate() {
                    line += &match is_number(column) {
                        true => format!("{cell:>width$}  "),
                        false => format!("{cell:<width$}  "),
                    };
                }
                line.trim_end().to_owned() + "\n"
            };
            let mut text = line(heads);
            for row in rows {
                text += &line(&row.each_ref().map(String::as_str));
            }
            text
        }
        Format::Markdown => {
            let rule = (0..N).map(|column| if is_number(column) { "---:" } else { "---" });
            let mut text = format!("| {} |\n", heads.join(" | "));
            text += &format!("| {} |\n", rule.collect::<Vec<_>>().join(" | "));
            for row in rows {
                // NOTE: what a name may have that is something else in Markdown.
                let cells = row
                    .each_ref()
                    .map(|it| it.replace('|', "\\|").replace('<', "&lt;"));
                text += &format!("| {} |\n", cells.join(" | "));
            }
            text
        }
    }
}
