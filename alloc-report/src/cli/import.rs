//! The command `import`.

use std::path::PathBuf;

use alloc_core_snapshot::Metric;
use anyhow::Result;
use clap::Args;

use crate::load::read_unnamed;
use crate::output;

pub(crate) const EXAMPLES: &str = "\
Examples:
  valgrind --tool=dhat --fullpath-after= ./server
  alloc-report import dhat.out.4711

  heaptrack ./server
  alloc-report import heaptrack.server.4711.zst -o heap.pb.gz

  MALLOC_CONF=prof:true,prof_final:true,prof_accum:true ./server
  alloc-report import jeprof.4711.0.f.heap

  memray run -o app.bin app.py
  memray transform csv app.bin -o app.csv
  alloc-report import app.csv

  curl -s 'http://localhost:6060/debug/pprof/heap?debug=1' | alloc-report import -

The other commands read these files directly: alloc-report top dhat.out.4711";

#[derive(Args, Debug)]
pub(crate) struct Options {
    /// A heap profile, or - for standard input
    ///
    /// The format is recognised by the content: pprof's, of Go, jemalloc_pprof, tcmalloc and others;
    /// DHAT's JSON, of valgrind and dhat-rs; heaptrack's data; jemalloc's text (heap_v2); the text of
    /// Go's /debug/pprof/heap?debug=1 and of gperftools; and the table of memray transform csv. Each
    /// may be packed by gzip or zstd.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The snapshot to write, which pprof's viewers open too
    #[arg(
        short = 'o',
        long = "output",
        value_name = "OUT",
        default_value = "heap.pb.gz"
    )]
    output: PathBuf,
    /// Replace an existing file
    #[arg(long)]
    force: bool,
}

/// Writes a snapshot of any file that is read.
pub(crate) fn import(options: &Options) -> Result<String> {
    output::check_free(&options.output, options.force)?;
    // NOTE: addresses are written as such, so that names can be looked up where the program is.
    let snapshot = read_unnamed(&options.file)?;
    let mut bytes = Vec::new();
    snapshot.write_to(&mut bytes)?;
    output::write(&options.output, &bytes, options.force)?;
    let output = output::escaped(&options.output);
    let unknown = Metric::ALL.iter().filter(|it| !snapshot.knows(**it));
    let unknown: Vec<String> = unknown.map(Metric::to_string).collect();
    let lacks = match unknown.is_empty() {
        true => String::new(),
        false => format!("; the file does not contain {}", unknown.join(", ")),
    };
    let callsites = snapshot
        .recorded()
        .callsites
        .len()
        .max(match snapshot.is_named() {
            true => snapshot.traces().len(),
            false => 0,
        });
    Ok(format!(
        "Written {callsites} callsites to {output}{lacks}\n"
    ))
}
