//! The command `check`: whether memory grew beyond a limit.
//!
//! Two snapshots and limits go in; a table of metrics, the groups that changed, and an exit status
//! come out. Nothing is written to a file.
//!
//! Each module imports only from those before it: `gauge`, `limits`, `compared`, `changes`,
//! `table`.

use std::path::{Path, PathBuf};

use alloc_core_snapshot::{GroupBy, Grouping, Snapshot};
use anyhow::Result;
use clap::{Args, ValueEnum};
use serde_json::Value;

use crate::load::read;
use crate::view::Charging;

mod changes;
mod compared;
mod gauge;
mod limits;
mod table;

use changes::{Change, Changes};
use compared::Compared;
use gauge::Gauge;
use limits::Limit;
use table::table;

pub(crate) const EXAMPLES: &str = "\
Examples:
  alloc-report check main.pb.gz branch.pb.gz
  alloc-report check main.pb.gz branch.pb.gz --max-growth peak=5%,current=1MiB
  alloc-report check main.pb.gz branch.pb.gz --metric peak,allocations --max-growth 0
  alloc-report check main.pb.gz branch.pb.gz --format json | jq .metrics
  alloc-report check main.pb.gz branch.pb.gz --format markdown >>\"$GITHUB_STEP_SUMMARY\"

Exit status: 0 if no metric grew beyond its limit, 3 if one did, 1 if a file cannot be read.";

/// The exit status if a metric grew beyond its limit.
const GREW: u8 = 3;

#[derive(Args, Debug)]
pub(crate) struct Options {
    /// The older snapshot file
    #[arg(value_name = "OLD")]
    old: PathBuf,
    /// The newer snapshot file
    #[arg(value_name = "NEW")]
    new: PathBuf,
    /// How much a metric may grow: a percentage such as 5%, or an amount such as 1MiB; for a single
    /// metric, as in peak=5%
    ///
    /// Amounts are in B, KiB, MiB or GiB; for allocations, they are plain numbers. A metric without
    /// a limit may grow by 2%, or by 64 KiB or 100 allocations if that is more: threads cause such
    /// noise from run to run. With 0, nothing may grow. An inexact peak may also grow by its error.
    #[arg(long, value_name = "LIMIT,...", value_delimiter = ',', value_parser = limits::parse)]
    max_growth: Vec<Limit>,
    /// The metrics to check [default: those with limits, or else peak and allocations]
    #[arg(long, value_enum, value_name = "METRIC,...", value_delimiter = ',')]
    metric: Vec<Gauge>,
    /// The key of a row
    #[arg(long, value_enum, value_name = "KEY", default_value_t = Key::Function)]
    by: Key,
    #[command(flatten)]
    charging: Charging,
    /// The number of rows of each table
    #[arg(short = 'n', long = "rows", value_name = "N", default_value_t = 10)]
    rows: usize,
    /// Text for people, Markdown for a pull request, or JSON for programs
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t = Format::Text)]
    format: Format,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Key {
    /// A function, which is stable under edits elsewhere in the file
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

impl From<Key> for GroupBy {
    fn from(key: Key) -> GroupBy {
        match key {
            Key::Function => GroupBy::Function,
            Key::Line => GroupBy::Line,
            Key::File => GroupBy::File,
            Key::Module => GroupBy::Module,
            Key::Crate => GroupBy::Crate,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, ValueEnum)]
enum Format {
    /// Aligned columns
    Text,
    /// Markdown tables
    Markdown,
    /// One object, documented in the crate alloc-report
    Json,
}

/// Compares the snapshots. Returns the text to print and the exit status.
pub(crate) fn report(options: &Options) -> Result<(String, u8)> {
    let read = |path: &Path| anyhow::Ok(options.charging.apply(read(path)?));
    let (old, new): (Snapshot, Snapshot) = (read(&options.old)?, read(&options.new)?);
    let compared: Vec<Compared> = limits::of(&options.max_growth, &options.metric)
        .into_iter()
        .map(|(gauge, limit)| Compared::of(gauge, limit, &old, &new))
        .collect();
    let notes = notes(&compared, &old, &new);
    let is_passed = compared.iter().all(|it| it.is_allowed());
    let by = options.by.into();
    // The metrics that grew beyond their limits come first.
    let (allowed, grown): (Vec<_>, Vec<_>) = compared.iter().partition(|it| it.is_allowed());
    let changes = grown
        .into_iter()
        .chain(allowed)
        .map(|it| Changes::of(it, &old, &new, by, options.rows));
    let text = match options.format {
        Format::Json => json(options, &compared, changes, notes, is_passed),
        Format::Text | Format::Markdown => {
            let tables = changes.map(|it| show_changes(&it, options));
            summary(&compared, options) + &tables.collect::<String>() + &show_notes(&notes, options)
        }
    };
    Ok((text, if is_passed { 0 } else { GREW }))
}

/// The notes on the compared metrics.
fn notes(compared: &[Compared], old: &Snapshot, new: &Snapshot) -> Vec<String> {
    let mut notes: Vec<String> = Vec::new();
    // NOTE: in containers, the first process of each run is number 1.
    let is_known = new.process_id() > 1 && new.taken_at() > old.taken_at();
    let is_same =
        is_known && new.process_id() == old.process_id() && new.program() == old.program();
    if is_same && compared.iter().any(|it| it.gauge.is_cumulative()) {
        notes.push(
            "both snapshots are of one process, in which allocations and the peak only grow: \
             to see whether it leaks, use --metric current"
                .to_owned(),
        );
    }
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

/// The notes as lines of text or items of a list.
fn show_notes(notes: &[String], options: &Options) -> String {
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

/// The table of metrics.
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
    let table = table(&heads, &rows, options.format == Format::Markdown);
    match options.format {
        Format::Markdown => format!("### Memory\n\n{table}"),
        _ => table,
    }
}

/// The changes of a metric, with a title.
fn show_changes(changes: &Changes, options: &Options) -> String {
    if changes.rows.is_empty() {
        return String::new();
    }
    let gauge = changes.gauge;
    let cells = |it: &Change| {
        let sign = if it.change < 0 { '-' } else { '+' };
        [
            format!("{sign}{}", gauge.show(it.change.unsigned_abs())),
            gauge.show(it.new),
            it.name.clone(),
        ]
    };
    let rows: Vec<[String; 3]> = changes.rows.iter().map(cells).collect();
    let title = match gauge {
        Gauge::Peak => "held at the peak",
        Gauge::Allocations => "allocations",
        Gauge::Allocated => "allocated",
        Gauge::Current => "held at the end",
    };
    let heads = ["change", "new", &changes.noun];
    let table = table(&heads, &rows, options.format == Format::Markdown);
    match options.format {
        Format::Markdown => {
            format!("\n<details><summary>What changed: {title}</summary>\n\n{table}\n</details>\n")
        }
        _ => format!("\nWhat changed: {title}\n{table}"),
    }
}

/// The report as one JSON object.
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
