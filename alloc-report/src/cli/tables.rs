//! The commands `top`, `diff`, `tree` and `summary`.

use std::path::{Path, PathBuf};
use std::str::FromStr as _;

use alloc_core_snapshot::{Grouping, Metric};
use anyhow::{Result, bail};
use clap::{Args, ValueEnum};

use crate::formats::{self, csv, json};
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

/// The options of `tree`.
#[derive(Args, Debug)]
pub(crate) struct TreeOptions {
    /// A snapshot file, a recording folder (for its last snapshot), or - for standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// What the tree is of [default: label if the snapshot has labels, otherwise stack]
    #[arg(long, value_enum, value_name = "KEY")]
    by: Option<TreeOf>,
    /// The metric to show and sort by
    ///
    /// The default metric is at-peak for a snapshot that was written when the program ended, total
    /// for a profile that holds only allocations, and current for others.
    #[arg(long, value_name = "METRIC", value_parser = Metric::from_str)]
    sort: Option<Metric>,
    /// The number of the largest stacks to show; or of labels, and half as many within a label
    #[arg(short = 'n', long = "rows", value_name = "N", default_value_t = 10)]
    rows: usize,
    /// Show every frame of a stack, also those of libraries and those that the charged line called
    #[arg(long)]
    full: bool,
    #[command(flatten)]
    charging: Charging,
    #[command(flatten)]
    filters: Filters,
    /// A tree for people, or JSON for programs, of stacks only
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t = TreeFormat::Text)]
    format: TreeFormat,
}

/// What the tree of `tree` is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum TreeOf {
    /// Call stacks, callers above what they call
    Stack,
    /// Labels and spans, within each other
    Label,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum TreeFormat {
    /// Lines with guides
    Text,
    /// One object with a list of rows, documented in the crate alloc-report
    Json,
}

pub(crate) fn tree(options: &TreeOptions) -> Result<String> {
    let Loaded { snapshot, nothing } = load(&options.file, &options.charging, &options.filters)?;
    if let Some(nothing) = nothing {
        bail!(nothing);
    }
    let has_labels = || snapshot.traces().iter().any(|it| it.label.is_some());
    let of = options.by.unwrap_or_else(|| match has_labels() {
        true if options.format == TreeFormat::Text => TreeOf::Label,
        _ => TreeOf::Stack,
    });
    let metric = options.sort.unwrap_or_else(|| snapshot.first_metric());
    let stdout = Stream::Output;
    match (of, options.format) {
        (TreeOf::Label, TreeFormat::Json) => {
            bail!("expected --by stack with --format json; for labels, use top --by label")
        }
        (TreeOf::Label, TreeFormat::Text) => {
            let tree = alloc_report::tree(&snapshot, options.rows)
                .metric(metric)
                .colour(stdout.is_colourful())
                .width(stdout.width());
            Ok(format!("{tree}\n"))
        }
        (TreeOf::Stack, format) => {
            let mut tree = alloc_report::stacks(&snapshot, options.rows)
                .metric(metric)
                .colour(stdout.is_colourful())
                .width(stdout.width());
            if options.full {
                tree = tree.full();
            }
            match format {
                TreeFormat::Text => Ok(format!("{tree}\n")),
                TreeFormat::Json => formats::tree::json(&snapshot, &options.file, metric, &tree),
            }
        }
    }
}

/// The options of `summary`.
#[derive(Args, Debug)]
pub(crate) struct SummaryOptions {
    /// A snapshot file, a recording folder (for its last snapshot), or - for standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    charging: Charging,
    #[command(flatten)]
    filters: Filters,
}

pub(crate) fn summary(options: &SummaryOptions) -> Result<String> {
    let Loaded { snapshot, nothing } = load(&options.file, &options.charging, &options.filters)?;
    if let Some(nothing) = nothing {
        bail!(nothing);
    }
    let stdout = Stream::Output;
    let summary = alloc_report::summary(&snapshot)
        .colour(stdout.is_colourful())
        .width(stdout.width().min(MOST_OF_A_SUMMARY));
    Ok(format!("{summary}\n"))
}

/// A summary is as wide as a screen also where standard output has no width.
const MOST_OF_A_SUMMARY: usize = 80;

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
