//! The command `symbolize`.

use std::path::PathBuf;

use alloc_core_snapshot::Names;
use anyhow::{Context as _, Result, bail};
use clap::Args;

use crate::load::{read, read_profile};
use crate::output;

pub(crate) const EXAMPLES: &str = "\
Examples:
  alloc-report symbolize heap.pb.gz
  alloc-report symbolize heap.pb.gz -o named.pb.gz --symbols /srv/debug
  DEBUGINFOD_URLS=http://debuginfod.example alloc-report symbolize heap.pb.gz";

#[derive(Args, Debug)]
pub(crate) struct Options {
    /// A snapshot file
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The file to write [default: FILE]
    #[arg(short = 'o', long = "output", value_name = "OUT")]
    output: Option<PathBuf>,
    /// Replace an existing file other than FILE
    #[arg(long, requires = "output")]
    force: bool,
}

/// Rewrites a snapshot with names.
pub(crate) fn symbolize(options: &Options) -> Result<String> {
    if let Some(output) = &options.output {
        output::check_free(output, options.force || *output == options.file)?;
    }
    // A file in another format is not replaced by a snapshot.
    let snapshot = match &options.output {
        Some(_) => read(&options.file)?,
        None => read_profile(&options.file)?,
    };
    let output = options.output.as_ref().unwrap_or(&options.file);
    // NOTE: the output has no addresses, so a name that is missing now is lost for good.
    if let Some(missing) = snapshot.missing_debug_info()
        && options.output.is_none()
    {
        bail!("{} is unchanged: {missing}", output::escaped(&options.file));
    }
    snapshot
        .dump_with(output, Names::Symbols)
        .with_context(|| format!("cannot name {}", output::escaped(&options.file)))?;
    let missing = snapshot.missing_debug_info();
    Ok(missing.map_or_else(String::new, |it| format!("note: {it}\n")))
}
