//! The command `symbolize`.

use std::borrow::Cow;
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
  alloc-report symbolize heap.pb.gz -o for-others.pb.gz --confidential
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
    /// Leave out arguments, metadata, and the folders of the program, its libraries and its source
    /// files; the names of functions, labels and threads stay
    #[arg(long, requires = "output")]
    confidential: bool,
}

impl Options {
    /// What may be written of a snapshot.
    fn written<'a>(&self, snapshot: &'a Snapshot) -> Cow<'a, Snapshot> {
        match self.confidential {
            true => Cow::Owned(snapshot.confidential()),
            false => Cow::Borrowed(snapshot),
        }
    }
}

/// Rewrites a snapshot with names.
pub(crate) fn symbolize(options: &Options) -> Result<String> {
    let output = options.output.as_ref().unwrap_or(&options.file);
    if output == Path::new("-") {
        return to_standard_output(options).map(|()| String::new());
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
    options
        .written(&snapshot)
        .dump_with(output, Names::Symbols)
        .with_context(|| format!("cannot name {}", output::escaped(&options.file)))?;
    Ok(note(&snapshot))
}

/// Writes a snapshot, or a difference, with names to standard output.
fn to_standard_output(options: &Options) -> Result<()> {
    let mut bytes = Vec::new();
    let note = match read_content(&options.file)? {
        Content::Snapshot(snapshot) => {
            let written = options.written(&snapshot);
            written.write_with(&mut bytes, Names::Symbols)?;
            note(&snapshot)
        }
        Content::Difference(added, removed) => {
            let [plus, minus] = [&added, &removed].map(|it| options.written(it));
            write_difference([&plus, &minus], &mut bytes)?;
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
