//! `alloc-report check`.

use std::path::PathBuf;

use alloc_core::{Bytes, GroupBy, Grouping, Metric, Snapshot};
use alloc_report::{CompareTo as _, StatisticDiff};
use anyhow::Result;
use clap::{Args, ValueEnum};
use serde::Serialize;
use serde_json::Value;

use crate::read;

mod limits;

use limits::{Growth, Limit};

pub(crate) const EXAMPLES: &str = "\
Examples:
  alloc-report check main.pb.gz branch.pb.gz
  alloc-report check main.pb.gz branch.pb.gz --max-growth peak=5%,current=1MiB
  alloc-report check main.pb.gz branch.pb.gz --metric peak,allocations --max-growth 0
  alloc-report check main.pb.gz branch.pb.gz --format json | jq .metrics
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
    /// How much a metric may grow: a part of the old number, as 5%, or an amount, as 1MiB; for one
    /// metric as peak=5%
    ///
    /// Amounts are in B, KiB, MiB or GiB, for allocations a mere number. Metrics without a limit
    /// may grow by 2%, or by 64 KiB or 100 allocations if that is more: what threads make of the
    /// same program from run to run. With 0, nothing may grow. A peak that is not exact may grow by
    /// its error as well.
    #[arg(long, value_name = "LIMIT,...", value_delimiter = ',', value_parser = limits::parse)]
    max_growth: Vec<Limit>,
    /// What may not grow; peak and allocations, unless metrics or limits for them are given
    #[arg(long, value_enum, value_name = "METRIC,...", value_delimiter = ',')]
    metric: Vec<Gauge>,
    /// What the rows of the tables stand for
    #[arg(long, value_enum, value_name = "KEY", default_value_t = Key::Function)]
    by: Key,
    /// How many rows to show of each table
    #[arg(short = 'n', long = "rows", value_name = "N", default_value_t = 10)]
    rows: usize,
    /// Text for people, Markdown for a pull request, or JSON for programs
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
    /// One object: see the documentation of the crate alloc-report
    Json,
}

impl Gauge {
    /// The default metrics.
    const USUAL: [Gauge; 2] = [Gauge::Peak, Gauge::Allocations];

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
    limit: Growth,
    /// The most that the new one may be.
    most: u64,
}

impl Compared {
    fn of(gauge: Gauge, limit: Growth, old: &Snapshot, new: &Snapshot) -> Compared {
        let (before, now) = (gauge.of(old), gauge.of(new));
        // How far the true numbers may be from each other where these are the same.
        let error = match gauge {
            Gauge::Peak => old.traced_memory().peak_error + new.traced_memory().peak_error,
            _ => Bytes::ZERO,
        };
        let most = limit.most(gauge, before).saturating_add(error.get());
        Compared {
            gauge,
            old: before,
            new: now,
            limit,
            most,
        }
    }

    fn is_allowed(&self) -> bool {
        self.new <= self.most
    }

    fn percent(&self) -> Option<f64> {
        (self.old > 0).then(|| (self.new as f64 / self.old as f64 - 1.0) * 100.0)
    }

    fn growth(&self) -> String {
        match self.percent() {
            _ if self.old == self.new => "unchanged".to_owned(),
            None => "from nothing".to_owned(),
            Some(percent) => {
                // What is not nothing shall not look like it.
                match percent.abs() < 0.05 {
                    true => format!("{}<0.1%", if percent < 0.0 { "-" } else { "+" }),
                    false => format!("{percent:+.1}%"),
                }
            }
        }
    }

    fn verdict(&self) -> &'static str {
        match (self.is_allowed(), self.new < self.old) {
            (false, _) => "grew by more than is allowed",
            (true, true) => "better",
            (true, false) if self.new > self.limit.most(self.gauge, self.old) => {
                "ok, within the error of the peak"
            }
            (true, false) => "ok",
        }
    }
}

pub(crate) fn report(options: &Options) -> Result<(String, u8)> {
    let (old, new) = (read(&options.old)?, read(&options.new)?);
    let compared: Vec<Compared> = limits::of(&options.max_growth, &options.metric)
        .into_iter()
        .map(|(gauge, limit)| Compared::of(gauge, limit, &old, &new))
        .collect();
    let notes = notes(&compared, &old, &new);
    let is_passed = compared.iter().all(|it| it.is_allowed());
    let changes = compared
        .iter()
        .map(|it| Changes::of(it, &old, &new, options));
    let text = match options.format {
        Format::Json => json(options, &compared, changes, notes, is_passed),
        Format::Text | Format::Markdown => {
            let tables = changes.map(|it| it.show(options));
            summary(&compared, options) + &tables.collect::<String>() + &shown(&notes, options)
        }
    };
    Ok((text, if is_passed { 0 } else { GREW }))
}

/// What a comparison of these numbers says below its table.
fn notes(compared: &[Compared], old: &Snapshot, new: &Snapshot) -> Vec<String> {
    let mut notes: Vec<String> = Vec::new();
    for it in compared {
        let by = Grouping::by(GroupBy::Function).with_metric(it.gauge.metric());
        for note in alloc_report::diff(new, old, 0).by(by).notes() {
            if !notes.contains(&note) {
                notes.push(note);
            }
        }
    }
    notes
}

fn shown(notes: &[String], options: &Options) -> String {
    let prefix = match options.format {
        Format::Markdown => "- ",
        _ => "note: ",
    };
    let lines = notes.iter().map(|note| format!("{prefix}{note}\n"));
    let lines: String = lines.collect();
    match lines.is_empty() {
        true => lines,
        false => format!("\n{lines}"),
    }
}

fn summary(compared: &[Compared], options: &Options) -> String {
    let rows: Vec<[String; 6]> = compared
        .iter()
        .map(|it| {
            [
                it.gauge.name().to_owned(),
                it.gauge.show(it.old),
                it.gauge.show(it.new),
                it.growth(),
                it.limit.shown(it.gauge),
                it.verdict().to_owned(),
            ]
        })
        .collect();
    let heads = ["metric", "old", "new", "growth", "allowed", "verdict"];
    let table = table(&heads, &rows, options);
    match options.format {
        Format::Markdown => format!("### Memory\n\n{table}"),
        _ => table,
    }
}

/// What a metric changed by, and where.
struct Changes {
    gauge: Gauge,
    noun: String,
    rows: Vec<Change>,
}

#[derive(Serialize)]
struct Change {
    /// Bytes, or blocks where the metric counts them.
    change: i64,
    new: u64,
    name: String,
}

impl Changes {
    /// What got worse first, and then what got better.
    fn of(compared: &Compared, old: &Snapshot, new: &Snapshot, options: &Options) -> Changes {
        let by = match options.by {
            Key::Function => GroupBy::Function,
            Key::Line => GroupBy::Line,
            Key::File => GroupBy::File,
            Key::Module => GroupBy::Module,
            Key::Crate => GroupBy::Crate,
        };
        let (gauge, noun) = (compared.gauge, by.to_string());
        if compared.old == compared.new {
            let rows = Vec::new();
            return Changes { gauge, noun, rows };
        }
        let mut diffs = new.compare_to_by(old, by, gauge.metric());
        diffs.retain(|diff| gauge.change(diff) != 0);
        diffs.sort_by_key(|diff| std::cmp::Reverse(gauge.change(diff)));
        let last = diffs.len().saturating_sub(1);
        // The first of those that grew, and the last of those that shrank.
        let is_shown = |at: usize, diff: &StatisticDiff| match gauge.change(diff) {
            ..=0 => last - at < options.rows,
            _ => at < options.rows,
        };
        let shown = diffs
            .iter()
            .enumerate()
            .filter(|(at, diff)| is_shown(*at, diff));
        let rows = shown.map(|(_, diff)| Change {
            change: gauge.change(diff),
            new: match gauge.counts_blocks() {
                true => diff.count,
                false => diff.size.get(),
            },
            name: diff.key.to_string(),
        });
        let rows = rows.collect();
        Changes { gauge, noun, rows }
    }

    fn show(&self, options: &Options) -> String {
        if self.rows.is_empty() {
            return String::new();
        }
        let gauge = self.gauge;
        let cells = |it: &Change| {
            let sign = if it.change < 0 { '-' } else { '+' };
            [
                format!("{sign}{}", gauge.show(it.change.unsigned_abs())),
                gauge.show(it.new),
                it.name.clone(),
            ]
        };
        let rows: Vec<[String; 3]> = self.rows.iter().map(cells).collect();
        let title = match gauge {
            Gauge::Peak => "held at the peak",
            Gauge::Allocations => "allocations",
            Gauge::Allocated => "allocated",
            Gauge::Current => "held at the end",
        };
        let table = table(&["change", "new", &self.noun], &rows, options);
        match options.format {
            Format::Markdown => format!(
                "\n<details><summary>What changed: {title}</summary>\n\n{table}\n</details>\n"
            ),
            _ => format!("\nWhat changed: {title}\n{table}"),
        }
    }
}

/// The same as one object.
fn json(
    options: &Options,
    compared: &[Compared],
    changes: impl Iterator<Item = Changes>,
    notes: Vec<String>,
    is_passed: bool,
) -> String {
    let metric = |(it, changes): (&Compared, Changes)| {
        serde_json::json!({
            "metric": it.gauge.name(),
            "unit": if it.gauge.counts_blocks() { "blocks" } else { "bytes" },
            "old": it.old,
            "new": it.new,
            "growth_percent": it.percent(),
            "most": it.most,
            "passed": it.is_allowed(),
            "changes": changes.rows,
        })
    };
    let metrics: Vec<Value> = compared.iter().zip(changes).map(metric).collect();
    let report = serde_json::json!({
        "report": "check",
        "passed": is_passed,
        "by": options.by.to_possible_value().map(|it| it.get_name().to_owned()),
        "old": options.old.to_string_lossy(),
        "new": options.new.to_string_lossy(),
        "metrics": metrics,
        "notes": notes,
    });
    format!("{report:#}\n")
}

/// All columns but the first and the last are numbers, and so is the first where there are three.
fn table<const N: usize>(heads: &[&str; N], rows: &[[String; N]], options: &Options) -> String {
    let is_number = |column: usize| column + 1 < N && (column > 0 || N == 3);
    match options.format {
        Format::Text | Format::Json => {
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
