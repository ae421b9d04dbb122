//! The command `symbolize`.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use alloc_core_snapshot::seam::file::write_difference;
use alloc_core_snapshot::{Names, Snapshot};
use anyhow::{Context as _, Result, bail};
use clap::Args;

use crate::load::{Content, read, read_content, read_profile};
use crate::output;

pub(crate) const EXAMPLES: &str = "\
Examples:
  alloc-report symbolize heap.pb.gz
  alloc-report symbolize heap.pb.gz -o named.pb.gz --symbols /srv/debug
  alloc-report symbolize - -o - < heap.pb.gz > named.pb.gz
  DEBUGINFOD_URLS=http://debuginfod.example alloc-report symbolize heap.pb.gz";

#[derive(Args, Debug)]
pub(crate) struct Options {
    /// A snapshot file, or - for standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The file to write, or - for standard output [default: FILE]
    #[arg(short = 'o', long = "output", value_name = "OUT")]
    output: Option<PathBuf>,
    /// Replace an existing file other than FILE
    #[arg(long, requires = "output")]
    force: bool,
}

/// Rewrites a snapshot with names.
pub(crate) fn symbolize(options: &Options) -> Result<String> {
    let output = options.output.as_ref().unwrap_or(&options.file);
    if output == Path::new("-") {
        return to_standard_output(&options.file).map(|()| String::new());
    }
    if options.output.is_some() {
        output::check_free(output, options.force || *output == options.file)?;
    }
    // A file in another format is not replaced by a snapshot.
    let snapshot = match &options.output {
        Some(_) => read(&options.file)?,
        None => read_profile(&options.file)?,
    };
    // NOTE: the output has no addresses, so a name that is missing now is lost for good.
    if let Some(missing) = snapshot.missing_debug_info()
        && options.output.is_none()
    {
        bail!("{} is unchanged: {missing}", output::escaped(&options.file));
    }
    snapshot
        .dump_with(output, Names::Symbols)
        .with_context(|| format!("cannot name {}", output::escaped(&options.file)))?;
    Ok(note(&snapshot))
}

/// Writes a snapshot, or a difference, with names to standard output.
fn to_standard_output(file: &Path) -> Result<()> {
    let mut bytes = Vec::new();
    let note = match read_content(file)? {
        Content::Snapshot(snapshot) => {
            snapshot.write_with(&mut bytes, Names::Symbols)?;
            note(&snapshot)
        }
        Content::Difference(added, removed) => {
            write_difference([&added, &removed], &mut bytes)?;
            note(&added)
        }
    };
    anstream::eprint!("{note}");
    std::io::stdout()
        .write_all(&bytes)
        .context("cannot write to standard output")
}

fn note(snapshot: &Snapshot) -> String {
    let missing = snapshot.missing_debug_info();
    missing.map_or_else(String::new, |it| format!("note: {it}\n"))
}
