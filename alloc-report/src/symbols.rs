//! Where names are looked for: `--symbols`, and the servers in `DEBUGINFOD_URLS`; and `alloc-report symbolize`.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use alloc_core::{Escaped, Names, Snapshot, SymbolSearch};
use anyhow::{Context as _, Result, bail};
use clap::Args;

use crate::debuginfod::Servers;
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
    /// The file to write; the same one unless given
    #[arg(short = 'o', long = "output", value_name = "OUT")]
    output: Option<PathBuf>,
    /// Replace a file that is there and is not the one that is read
    #[arg(long, requires = "output")]
    force: bool,
}

static SEARCH: OnceLock<SymbolSearch> = OnceLock::new();

/// Sets where names are looked for, before the first snapshot is read.
pub(crate) fn look_in(folders: Vec<PathBuf>) {
    let servers = Servers::of_environment();
    let fetch = servers.map(|servers| {
        let fetch = move |build_id: &[u8]| servers.fetch(build_id);
        Box::new(fetch) as Box<dyn Fn(&[u8]) -> Option<PathBuf> + Send + Sync>
    });
    let _ = SEARCH.set(SymbolSearch { folders, fetch });
}

/// Names the frames of a snapshot that has addresses only.
pub(crate) fn name(snapshot: &mut Snapshot) {
    if snapshot.is_named() {
        return;
    }
    snapshot.name(SEARCH.get_or_init(SymbolSearch::default));
}

/// Writes a snapshot anew, with names.
pub(crate) fn symbolize(options: &Options) -> Result<String> {
    if let Some(output) = &options.output {
        output::check_free(output, options.force || *output == options.file)?;
    }
    let snapshot = crate::read(&options.file)?;
    let output = options.output.as_ref().unwrap_or(&options.file);
    // NOTE: names that are missing now cannot be looked up later in what is written.
    if let Some(missing) = snapshot.missing_debug_info()
        && options.output.is_none()
    {
        bail!("{} was left as it is: {missing}", shown(&options.file));
    }
    snapshot
        .dump_with(output, Names::Symbols)
        .with_context(|| format!("cannot name {}", shown(&options.file)))?;
    let missing = snapshot.missing_debug_info();
    Ok(missing.map_or_else(String::new, |it| format!("note: {it}\n")))
}

fn shown(path: &Path) -> String {
    Escaped(&path.to_string_lossy()).to_string()
}
