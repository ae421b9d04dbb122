//! The command `suspects`: what grows at every step over several snapshots.

use std::mem::ManuallyDrop;
use std::path::{Path, PathBuf};

use alloc_core_snapshot::{Bytes, Escaped, Metric, Snapshot};
use alloc_report::Moment;
use anyhow::{Result, bail};
use clap::Args;

use crate::formats::csv;
use crate::formats::json::Source;
use crate::formats::suspects::{self as json, Report};
use crate::load::load;
use crate::output::escaped;
use crate::recording::Recording;
use crate::terminal::Stream;
use crate::view::{By, Charge, Charging, Filters, Format};

pub(crate) const EXAMPLES: &str = "\
Examples:
  alloc-report suspects first.pb.gz second.pb.gz third.pb.gz
  alloc-report suspects heap-4711.*.pb.gz --limit-memory 2GiB
  alloc-report suspects morning --by traceback -n 3
  alloc-report suspects morning --charge caller --exclude crate=tracing
  alloc-report suspects morning --format json | jq -r '.rows[].sentence'

What is named holds more after each step, more than it ever held before, and more than chance
explains, and in the last step it grew at half of its earlier pace or faster. So a cache is no longer
named once it reached its limit. It takes three snapshots to see that, at moments when the program
does the same work.";

#[derive(Args, Debug)]
pub(crate) struct Options {
    /// The first snapshot file, or a recording folder, for all its snapshots
    #[arg(value_name = "OLD")]
    old: PathBuf,
    /// The later snapshot files, of the same process; files are sorted by their times
    #[arg(value_name = "NEW")]
    newer: Vec<PathBuf>,
    /// The key of a row
    #[arg(long, value_enum, value_name = "KEY", default_value = "line")]
    by: By,
    /// The number of rows
    #[arg(
        short = 'n',
        long = "rows",
        visible_alias = "limit",
        value_name = "N",
        default_value_t = 10
    )]
    rows: usize,
    /// Show when the heap reaches this size if it goes on growing, as in 512MiB
    ///
    /// The process holds more than its traced heap, so it gets there earlier.
    #[arg(long, value_name = "SIZE")]
    limit_memory: Option<Bytes>,
    /// The line of a stack to charge the memory to
    #[arg(long, value_enum, value_name = "RULE", default_value_t = Charge::Workspace)]
    charge: Charge,
    /// Charge allocations of this crate to its callers; may be repeated
    #[arg(long, value_name = "CRATE", value_delimiter = ',')]
    skip: Vec<String>,
    /// Show every frame of a stack
    #[arg(long)]
    full: bool,
    /// The number of lines of a stack to show, counted from the allocation
    #[arg(long, value_name = "N")]
    depth: Option<usize>,
    #[command(flatten)]
    filters: Filters,
    /// Omit the lines of source
    #[arg(long)]
    no_source: bool,
    /// A table for people, or JSON or CSV for programs
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t = Format::Text)]
    format: Format,
}

pub(crate) fn report(options: &Options) -> Result<String> {
    let charging = Charging {
        charge: options.charge,
        skip: options.skip.clone(),
    };
    let files = files(options)?;
    let read = Steps::read(&files, options, &charging)?;
    let mut table = alloc_report::suspects_at(read.moments, &read.newest).rows(options.rows);
    if let Some(limit) = options.limit_memory {
        table = table.limit_memory(limit);
    }
    if let Format::Text = options.format {
        let stdout = Stream::Output;
        table = table.colour(stdout.is_colourful()).width(stdout.width());
        if options.no_source {
            table = table.without_sources();
        }
        if options.full {
            table = table.full();
        }
        if let Some(lines) = options.depth {
            table = table.depth(lines);
        }
        return Ok(format!("{table}\n"));
    }
    let report = Report {
        sources: read.sources,
        newest: &read.newest,
        by: options.by.0,
        charging: &charging,
        filters: &options.filters,
        rows: options.rows,
        limit: options.limit_memory,
        list: table.list(),
        table: &table,
    };
    match options.format {
        Format::Csv => csv::suspects(&report),
        _ => json::json(report),
    }
}

/// What was read of the files, one after the other: their snapshots do not fit into memory together.
struct Steps {
    moments: Vec<Moment>,
    sources: Vec<Source>,
    /// NOTE: never dropped, as [`Loaded`](crate::load::Loaded) explains.
    newest: ManuallyDrop<Snapshot>,
}

impl Steps {
    fn read(files: &[PathBuf], options: &Options, charging: &Charging) -> Result<Steps> {
        let load = |file: &Path| load(file, charging, &options.filters);
        let (mut moments, mut sources) = (Vec::new(), Vec::new());
        let (mut processes, mut recordings) = (Vec::new(), Vec::new());
        let (mut nothing, mut has_traces) = (None, false);
        let mut last: Option<Snapshot> = None;
        for file in files {
            // What was read before is dropped first.
            drop(last.take());
            let loaded = load(file)?;
            let snapshot = ManuallyDrop::into_inner(loaded.snapshot);
            if !snapshot.knows(Metric::Current) {
                bail!(
                    "expected live memory in {}, found only allocations",
                    escaped(file)
                );
            }
            processes.extend(process(&snapshot).map(|it| (it, file)));
            recordings.push((recording(&snapshot), file));
            has_traces |= loaded.nothing.is_none();
            nothing = loaded.nothing.or(nothing);
            moments.push(Moment::of(&snapshot, options.by.0));
            sources.push(Source::of(&snapshot, file));
            last = Some(snapshot);
        }
        if let Some(nothing) = nothing.filter(|_| !has_traces) {
            bail!(nothing);
        }
        expect_one("process", &processes)?;
        expect_one("recording", &recordings)?;
        let newest = Moment::newest(&moments).unwrap_or_default();
        let newest = match last.filter(|_| newest + 1 == files.len()) {
            Some(last) => ManuallyDrop::new(last),
            None if files[newest] == Path::new("-") => {
                bail!("expected the newest snapshot last, found it on standard input before others")
            }
            None => load(&files[newest])?.snapshot,
        };
        Ok(Steps {
            moments,
            sources,
            newest,
        })
    }
}

/// The files to read: those that were given, or those of a recording.
fn files(options: &Options) -> Result<Vec<PathBuf>> {
    let given = || std::iter::once(&options.old).chain(&options.newer);
    let files = match options.newer.is_empty() && options.old.is_dir() {
        true => Recording::open(&options.old)?.snapshots()?,
        false => given().cloned().collect(),
    };
    if files.len() < 2 {
        bail!(
            "expected two or more snapshots, found {} at {}; growth shows from one to the next",
            files.len(),
            escaped(&options.old)
        );
    }
    Ok(files)
}

/// Fails if files differ in what all steps of a process have in common.
fn expect_one(what: &str, found: &[(String, &PathBuf)]) -> Result<()> {
    let Some((one, one_file)) = found.first() else {
        return Ok(());
    };
    match found.iter().find(|(other, _)| other != one) {
        Some((other, other_file)) => bail!(
            "expected snapshots of one {what}, found {one} in {} and {other} in {}",
            escaped(one_file),
            escaped(other_file)
        ),
        None => Ok(()),
    }
}

/// The process of a snapshot, if it is known.
fn process(snapshot: &Snapshot) -> Option<String> {
    let name = Path::new(snapshot.program()).file_name();
    let name = name.map(|it| Escaped(&it.to_string_lossy()).to_string());
    match (snapshot.process_id(), name) {
        (0, None) => None,
        (0, Some(name)) => Some(name),
        (id, None) => Some(format!("process {id}")),
        (id, Some(name)) => Some(format!("process {id} of {name}")),
    }
}

fn recording(snapshot: &Snapshot) -> String {
    match snapshot.sampled_every() {
        Some(every) => format!("a sample every {every}"),
        None => "all allocations".to_owned(),
    }
}
