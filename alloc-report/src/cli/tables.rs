//! The commands `top`, `diff`, `lifetimes`, `slack` and `tree`.

use std::path::{Path, PathBuf};
use std::str::FromStr as _;

use alloc_core_snapshot::{GroupBy, Grouping, Metric};
use anyhow::{Result, bail};
use clap::Args;

use crate::formats::{csv, json};
use crate::load::{Loaded, load, load_difference};
use crate::recording;
use crate::terminal::Stream;
use crate::view::{Charging, Filters, Format, View};

/// Follows the table of a program that ended, which shows the peak.
const OTHER_MOMENT: &str = "\nThis is the peak; --sort current shows what was live at the end.\n";

/// Formats a table of either kind.
macro_rules! formatted {
    ($table:ident, $view:ident) => {{
        let stdout = Stream::Output;
        let mut table = $table.colour(stdout.is_colourful()).width(stdout.width());
        if $view.no_source {
            table = table.without_sources();
        }
        if $view.full {
            table = table.full();
        }
        if let Some(lines) = $view.depth {
            table = table.depth(lines);
        }
        format!("{table}\n")
    }};
}

pub(crate) fn top(file: &Path, view: &View, by: Grouping) -> Result<String> {
    let Loaded { snapshot, nothing } = load(file, &view.charging, &view.filters)?;
    if let Some(nothing) = nothing {
        bail!(nothing);
    }
    let by = with_metric(by, view, snapshot.first_metric());
    match view.format {
        Format::Text => {
            let is_of_peak = !view.has_metric() && snapshot.first_metric() == Metric::AtPeak;
            let table = alloc_report::top(&snapshot, view.rows).by(by);
            let mut page = formatted!(table, view);
            if is_of_peak && snapshot.knows(Metric::Current) {
                page += OTHER_MOMENT;
            }
            Ok(page)
        }
        Format::Json => json::top(&snapshot, file, view, &by),
        Format::Csv => csv::top(&snapshot, view, &by),
    }
}

/// The options of `lifetimes`.
#[derive(Args, Debug)]
pub(crate) struct LifetimesOptions {
    /// A snapshot file of a program that ran with ALLOC_TRACE_LIFETIMES=1, a recording folder (for
    /// its last snapshot), or - for standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The key of a row, as for top
    #[arg(long, value_name = "KEY", default_value = "line", value_parser = GroupBy::from_str)]
    by: GroupBy,
    /// The number of rows
    #[arg(short = 'n', long = "rows", value_name = "N", default_value_t = 10)]
    rows: usize,
    #[command(flatten)]
    charging: Charging,
    #[command(flatten)]
    filters: Filters,
}

pub(crate) fn lifetimes(options: &LifetimesOptions) -> Result<String> {
    let Loaded { snapshot, nothing } = load(&options.file, &options.charging, &options.filters)?;
    if let Some(nothing) = nothing {
        bail!(nothing);
    }
    let stdout = Stream::Output;
    let table = alloc_report::lifetimes(&snapshot, options.rows)
        .by(options.by)
        .colour(stdout.is_colourful())
        .width(stdout.width());
    Ok(format!("{table}\n"))
}

/// The options of `slack`.
#[derive(Args, Debug)]
pub(crate) struct SlackOptions {
    /// A snapshot file of a program that ran with ALLOC_TRACE_SLACK=1, a recording folder (for its
    /// last snapshot), or - for standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The key of a row, as for top
    #[arg(long, value_name = "KEY", default_value = "line", value_parser = GroupBy::from_str)]
    by: GroupBy,
    /// The number of rows
    #[arg(short = 'n', long = "rows", value_name = "N", default_value_t = 10)]
    rows: usize,
    /// The blocks to count: live ones, or all that were ever allocated
    ///
    /// The default is all for a snapshot that was written when the program ended, and live for
    /// others.
    #[arg(long, value_name = "BLOCKS")]
    of: Option<Blocks>,
    #[command(flatten)]
    charging: Charging,
    #[command(flatten)]
    filters: Filters,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Blocks {
    Live,
    All,
}

pub(crate) fn slack(options: &SlackOptions) -> Result<String> {
    let Loaded { snapshot, nothing } = load(&options.file, &options.charging, &options.filters)?;
    if let Some(nothing) = nothing {
        bail!(nothing);
    }
    let stdout = Stream::Output;
    let mut table = alloc_report::slack(&snapshot, options.rows)
        .by(options.by)
        .colour(stdout.is_colourful())
        .width(stdout.width());
    if let Some(blocks) = options.of {
        table = table.count_all(blocks == Blocks::All);
    }
    Ok(format!("{table}\n"))
}

/// The options of `tree`.
#[derive(Args, Debug)]
pub(crate) struct TreeOptions {
    /// A snapshot file, a recording folder (for its last snapshot), or - for standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The metric to show and sort by
    ///
    /// The default metric is at-peak for a snapshot that was written when the program ended, total
    /// for a profile that holds only allocations, and current for others.
    #[arg(long, value_name = "METRIC", value_parser = Metric::from_str)]
    sort: Option<Metric>,
    /// The number of labels, and half as many within a label
    #[arg(short = 'n', long = "rows", value_name = "N", default_value_t = 10)]
    rows: usize,
    #[command(flatten)]
    charging: Charging,
    #[command(flatten)]
    filters: Filters,
}

pub(crate) fn tree(options: &TreeOptions) -> Result<String> {
    let Loaded { snapshot, nothing } = load(&options.file, &options.charging, &options.filters)?;
    if let Some(nothing) = nothing {
        bail!(nothing);
    }
    let stdout = Stream::Output;
    let tree = alloc_report::tree(&snapshot, options.rows)
        .metric(options.sort.unwrap_or_else(|| snapshot.first_metric()))
        .colour(stdout.is_colourful())
        .width(stdout.width());
    Ok(format!("{tree}\n"))
}

/// Without `new`, `old` is a recording or a file that holds a difference.
pub(crate) fn diff(old: &Path, new: Option<PathBuf>, view: &View, by: Grouping) -> Result<String> {
    let (old, new) = match new {
        None if old.is_dir() => {
            let (first, last) = recording::ends(old)?;
            (first, Some(last))
        }
        new => (old.to_owned(), new),
    };
    let (new_snapshot, old_snapshot) = match &new {
        Some(new) => {
            let load = |path| load(path, &view.charging, &view.filters);
            (load(new)?, load(&old)?)
        }
        None => load_difference(&old, view)?,
    };
    if let (Some(nothing), Some(_)) = (&new_snapshot.nothing, &old_snapshot.nothing) {
        bail!("{nothing}");
    }
    let (new_snapshot, old_snapshot) = (new_snapshot.snapshot, old_snapshot.snapshot);
    let new = new.as_ref().unwrap_or(&old);
    let (now, then) = (new_snapshot.first_metric(), old_snapshot.first_metric());
    let metric = match new_snapshot.knows(Metric::Current) {
        true if now != then => Metric::Current,
        _ => now,
    };
    let by = with_metric(by, view, metric);
    match view.format {
        Format::Text => {
            let table = alloc_report::diff(&new_snapshot, &old_snapshot, view.rows).by(by);
            Ok(formatted!(table, view))
        }
        Format::Json => json::diff((&new_snapshot, new), (&old_snapshot, &old), view, &by),
        Format::Csv => csv::diff(&new_snapshot, &old_snapshot, view, &by),
    }
}

/// Sets the metric of a grouping, unless `--sort` names one.
fn with_metric(by: Grouping, view: &View, metric: Metric) -> Grouping {
    match view.has_metric() {
        true => by,
        false => by.with_metric(metric),
    }
}
