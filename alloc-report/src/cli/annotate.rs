//! The command `annotate`.

use std::mem::ManuallyDrop;
use std::path::PathBuf;

use alloc_core_snapshot::{GroupBy, Grouping, Metric, Snapshot};
use alloc_report::{Annotate, annotate};
use anyhow::{Result, bail};
use clap::Args;

use crate::load::read;
use crate::suggest;
use crate::terminal::Stream;

pub(crate) const EXAMPLES: &str = "\
Examples:
  alloc-report annotate heap.pb.gz
  alloc-report annotate heap.pb.gz --function Cache::insert
  alloc-report annotate heap.pb.gz --file src/cache.rs
  alloc-report annotate heap-of-the-server.pb.gz --source-root ~/src/server";

/// The default number of functions.
const FUNCTIONS: usize = 8;

#[derive(Args, Debug)]
pub(crate) struct Options {
    /// A snapshot file
    #[arg(value_name = "FILE")]
    snapshot: PathBuf,
    /// Show the functions with this name, or with it in their path, also those of libraries, as
    /// --include function= matches them
    #[arg(long, value_name = "NAME")]
    function: Option<String>,
    /// Show the functions in files whose path equals or ends with PATH
    #[arg(long, value_name = "PATH")]
    file: Option<String>,
    /// Search this folder for source files first
    #[arg(long, value_name = "DIR")]
    source_root: Option<PathBuf>,
    /// The number of functions to show [default: 8, or all with --function or --file]
    #[arg(short = 'n', long = "functions", value_name = "N")]
    most: Option<usize>,
}

pub(crate) fn report(options: &Options) -> Result<String> {
    let snapshot = ManuallyDrop::new(read(&options.snapshot)?);
    let is_selected = options.function.is_some() || options.file.is_some();
    let most = if is_selected { usize::MAX } else { FUNCTIONS };
    let mut annotated = annotate(&snapshot)
        .most(options.most.unwrap_or(most))
        .colour(Stream::Output.is_colourful())
        .width(Stream::Output.width());
    if let Some(root) = &options.source_root {
        if !root.is_dir() {
            bail!(
                "expected a folder after --source-root, found {}",
                root.display()
            );
        }
        annotated = annotated.source_root(root);
    }
    if let Some(name) = &options.function {
        annotated = annotated.function(name);
    }
    if let Some(path) = &options.file {
        annotated = annotated.file(path);
    }
    if is_selected && annotated.functions().is_empty() {
        bail!(
            "no stack contains {}; {}",
            what(options),
            suggestions(&annotated, &snapshot, options),
        );
    }
    Ok(format!("{annotated}\n"))
}

fn what(options: &Options) -> String {
    let function = options
        .function
        .as_ref()
        .map(|it| format!("a function {it:?}"));
    let file = options.file.as_ref().map(|it| format!("a file {it:?}"));
    match (function, file) {
        (Some(function), Some(file)) => format!("{function} in {file}"),
        (function, file) => function.or(file).unwrap_or_default(),
    }
}

/// Suggestions for the name that was not found.
fn suggestions(annotated: &Annotate<'_>, snapshot: &Snapshot, options: &Options) -> String {
    if let Some(function) = &options.function {
        return suggest::phrase(&annotated.known_functions(), function);
    }
    let by = Grouping::by(GroupBy::File).with_metric(Metric::Total);
    let files = by.cumulative().map(|by| snapshot.statistics(by));
    let files = files.unwrap_or_default().into_iter();
    let files: Vec<String> = files.map(|it| it.key.to_string()).collect();
    suggest::phrase(&files, options.file.as_deref().unwrap_or_default())
}
