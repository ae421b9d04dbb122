//! `alloc-report annotate`.

use std::mem::ManuallyDrop;
use std::path::PathBuf;

use alloc_core::Escaped;
use alloc_report::annotate;
use anyhow::{Result, bail};
use clap::Args;

use crate::{is_colourful, read, width};

pub(crate) const EXAMPLES: &str = "\
Examples:
  alloc-report annotate heap.pb.gz
  alloc-report annotate heap.pb.gz --function Cache::insert
  alloc-report annotate heap.pb.gz --file src/cache.rs
  alloc-report annotate heap-of-the-server.pb.gz --source-root ~/src/server";

/// Unless told otherwise.
const FUNCTIONS: usize = 8;

#[derive(Args, Debug)]
pub(crate) struct Options {
    /// A snapshot file
    #[arg(value_name = "FILE")]
    snapshot: PathBuf,
    /// Show the functions of this name, or with it in their path, whosever they are
    #[arg(long, value_name = "NAME")]
    function: Option<String>,
    /// Show the functions of the files whose path is this or ends with it
    #[arg(long, value_name = "PATH")]
    file: Option<String>,
    /// Look for source files below this folder first
    #[arg(long, value_name = "DIR")]
    source_root: Option<PathBuf>,
    /// How many functions to show; 8, unless some are asked for
    #[arg(short = 'n', long = "functions", value_name = "N")]
    most: Option<usize>,
}

pub(crate) fn report(options: &Options) -> Result<String> {
    let snapshot = ManuallyDrop::new(read(&options.snapshot)?);
    let asked = options.function.is_some() || options.file.is_some();
    let most = if asked { usize::MAX } else { FUNCTIONS };
    let mut annotated = annotate(&snapshot)
        .most(options.most.unwrap_or(most))
        .colour(is_colourful())
        .width(width());
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
    if asked && annotated.functions().is_empty() {
        bail!(
            "no stack passes {}; those of which the most was allocated: {}",
            what(options),
            near(&annotated.known_functions(), options),
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

/// Some names that may have been meant: those that have the word in them, in whatever case, or else the
/// first.
fn near(known: &[String], options: &Options) -> String {
    const MOST: usize = 5;
    let word = options.function.clone().unwrap_or_default().to_lowercase();
    let alike = known.iter().filter(|it| it.to_lowercase().contains(&word));
    let mut names: Vec<&String> = alike.take(MOST).collect();
    if names.is_empty() {
        names = known.iter().take(MOST).collect();
    }
    let names = names.into_iter().map(|it| Escaped(it).to_string());
    let names: Vec<String> = names.collect();
    if names.is_empty() {
        return "none".to_owned();
    }
    names.join(", ")
}
