//! The command `flamegraph`: a picture of stacks.

use std::path::{Path, PathBuf};
use std::str::FromStr as _;

use alloc_core_snapshot::{Metric, Snapshot};
use anyhow::{Result, bail};
use clap::Args;

use crate::load::{Loaded, load};
use crate::output;
use crate::view::{Charging, Filters};

pub(crate) const EXAMPLES: &str = "\
Examples:
  alloc-report flamegraph heap.pb.gz
  alloc-report flamegraph heap.pb.gz --sort total -o total.svg
  alloc-report flamegraph after.pb.gz --diff before.pb.gz -o growth.svg
  alloc-report flamegraph heap.pb.gz --callers-first --include 'src/cache.rs' -o callers.svg";

#[derive(Args, Debug)]
pub(crate) struct Options {
    /// A snapshot file, a recording folder (for its last snapshot), or - for standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Show what changed since an older snapshot
    #[arg(long, value_name = "OLD")]
    diff: Option<PathBuf>,
    /// The picture to write, or - for standard output
    #[arg(
        short = 'o',
        long = "output",
        value_name = "FILE",
        default_value = "flamegraph.svg"
    )]
    output: PathBuf,
    /// Replace an existing file
    #[arg(long)]
    force: bool,
    /// The metric to draw
    ///
    /// The default metric is at-peak for a snapshot that was written when the program ended, total
    /// for a profile that holds only allocations, and current for others.
    #[arg(long, visible_alias = "metric", value_name = "METRIC", value_parser = Metric::from_str)]
    sort: Option<Metric>,
    /// Put the function that allocates first, and its callers below it
    #[arg(long)]
    callers_first: bool,
    /// The title of the picture [default: the program's name]
    #[arg(long, value_name = "TEXT")]
    title: Option<String>,
    #[command(flatten)]
    charging: Charging,
    #[command(flatten)]
    filters: Filters,
}

pub(crate) fn report(options: &Options) -> Result<String> {
    let is_standard_output = options.output == Path::new("-");
    if !is_standard_output {
        output::check_free(&options.output, options.force)?;
    }
    let load = |path: &Path| {
        let Loaded { snapshot, nothing } = load(path, &options.charging, &options.filters)?;
        match nothing {
            Some(nothing) => bail!(nothing),
            None => Ok(snapshot),
        }
    };
    let snapshot = load(&options.file)?;
    let old = options.diff.as_deref().map(load).transpose()?;
    let metric = options.sort.unwrap_or_else(|| match &old {
        Some(_) if snapshot.knows(Metric::Current) => Metric::Current,
        _ => snapshot.first_metric(),
    });
    let has = |it: &Snapshot| it.knows(metric);
    if !has(&snapshot) || old.as_deref().is_some_and(|it| !has(it)) {
        bail!("expected a snapshot with the metric {metric}, found one without it");
    }
    let mut picture = alloc_report::flamegraph(&snapshot).metric(metric);
    if let Some(old) = &old {
        picture = picture.compared_to(old);
    }
    if options.callers_first {
        picture = picture.callers_first();
    }
    if let Some(title) = &options.title {
        picture = picture.title(title);
    }
    let picture = picture.to_string();
    if is_standard_output {
        return Ok(picture);
    }
    output::write(&options.output, picture.as_bytes(), options.force)?;
    Ok(format!("Written to {}\n", output::escaped(&options.output)))
}
