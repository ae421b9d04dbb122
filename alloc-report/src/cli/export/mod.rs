//! The command `export`: a snapshot in the format of another tool.
//!
//! A snapshot with names goes in; the bytes of a file come out. The numbers are those of `top`.
//! What a format can hold is kept, and one sentence on standard error says what it cannot. Nothing
//! here reads the formats of other tools.
//!
//! `stacks` merges equal stacks, and each other module writes one format.

use std::io::{IsTerminal as _, stdout};
use std::path::{Path, PathBuf};
use std::str::FromStr as _;

use alloc_core_snapshot::{Amount, Escaped, GroupBy, Grouping, Metric, Names, Snapshot, Trace};
use anyhow::{Result, bail};
use clap::{Args, ValueEnum};
use serde::Serialize;

use self::options::OriginOptions;
use crate::formats::{self, csv};
use crate::load::{Loaded, load};
use crate::view::{Charging, Filters, Format, View};
use crate::{output, terminal};

mod dhat;
mod firefox;
mod folded;
mod options;
mod otlp;
mod parquet;
mod speedscope;
mod stacks;
mod trace_events;

pub(crate) const EXAMPLES: &str = "\
Examples:
  alloc-report export heap.pb.gz --to pprof -o named.pb.gz
  go tool pprof -top -sample_index=at_peak_space named.pb.gz
  alloc-report export heap.pb.gz --to dhat -o dhat-heap.json
  alloc-report export heap.pb.gz --to speedscope -o heap.speedscope.json
  alloc-report export heap.pb.gz --to folded --sort total | flamegraph.pl --countname bytes
  alloc-report export heap.pb.gz --to csv --include src/cache.rs
  alloc-report export morning --to trace-events -o morning.json
  alloc-report export heap.pb.gz --to otlp --service shop -o heap.otlp
  alloc-report export heap-*.pb.gz --to parquet -o fleet --service shop --version 1.4.0";

#[derive(Args, Debug)]
pub(crate) struct Options {
    /// A snapshot file, a recording folder (for its last snapshot, or for trace-events), or - for
    /// standard input; for parquet, any number of files and of recordings with all their snapshots
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// The format to write
    #[arg(long, value_enum, value_name = "FORMAT")]
    to: To,
    /// The file to write [default: standard output]; for parquet, the folder
    #[arg(short = 'o', long = "output", value_name = "OUT")]
    output: Option<PathBuf>,
    /// Replace an existing file
    #[arg(long, requires = "output")]
    force: bool,
    /// The metric to write if the format holds one, or to write first
    ///
    /// The default metric is at-peak for a snapshot that was written when the program ended, total
    /// for a profile that holds only allocations and for dhat, csv and json, and current for
    /// others.
    #[arg(long, value_name = "METRIC", value_parser = Metric::from_str)]
    sort: Option<Metric>,
    #[command(flatten)]
    origin: OriginOptions,
    #[command(flatten)]
    charging: Charging,
    #[command(flatten)]
    filters: Filters,
}

/// A format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum To {
    /// A profile with names, for go tool pprof, Grafana, Pyroscope and Parca
    Pprof,
    /// JSON for dh_view.html, the viewer of valgrind and dhat-rs
    Dhat,
    /// A line for each stack, for FlameGraph and inferno
    Folded,
    /// JSON for speedscope
    Speedscope,
    /// JSON for the Firefox Profiler
    Firefox,
    /// A line for each stack with all metrics, as top --by traceback --format csv
    Csv,
    /// The same as JSON
    Json,
    /// A request of OpenTelemetry's protocol, version 1.11, with names; the format is not stable
    Otlp,
    /// Memory over time as JSON for Perfetto, from a recording
    TraceEvents,
    /// Rows for DuckDB, Spark and ClickHouse, in a folder by service and day (feature parquet)
    Parquet,
}

pub(crate) fn report(options: Options) -> Result<String> {
    if options.to == To::Parquet {
        return write_rows(&options);
    }
    let output = options.output.as_deref().filter(|it| *it != Path::new("-"));
    match output {
        Some(output) => output::check_free(output, options.force)?,
        None if matches!(options.to, To::Pprof | To::Otlp) && stdout().is_terminal() => {
            bail!("expected -o FILE, found a terminal for a binary file")
        }
        None => {}
    }
    let (output, force) = (output.map(Path::to_owned), options.force);
    let (bytes, note) = written(options)?;
    if let Some(note) = note {
        anstream::eprintln!("note: {note}");
    }
    let Some(output) = output else {
        return terminal::print_bytes(&bytes).map(|()| String::new());
    };
    output::write(&output, &bytes, force)?;
    Ok(format!("Written to {}\n", output::escaped(&output)))
}

/// Writes the rows of all files.
fn write_rows(options: &Options) -> Result<String> {
    let Some(folder) = &options.output else {
        bail!("expected -o FOLDER for parquet, found none");
    };
    if options.sort.is_some() {
        bail!("expected no --sort for parquet, whose rows hold all metrics");
    }
    let Options {
        files,
        origin,
        charging,
        filters,
        ..
    } = options;
    parquet::write_all(files, folder, origin, charging, filters)
}

/// The file, and the sentence on what it lacks.
fn written(options: Options) -> Result<(Vec<u8>, Option<String>)> {
    let Options { to, sort, .. } = options;
    let [file] = options.files.as_slice() else {
        bail!(
            "expected one file, found {}; only parquet takes several",
            options.files.len()
        );
    };
    if to != To::Otlp && !options.origin.is_empty() {
        bail!("expected --service, --version, --instance and --label for parquet and otlp only");
    }
    if to == To::TraceEvents {
        if sort.is_some() {
            bail!("expected no --sort for trace-events, which are sorted by time");
        }
        if file.is_dir() {
            if !options.filters.include.is_empty() || !options.filters.exclude.is_empty() {
                bail!("expected no filters for trace-events of a recording, which have no stacks");
            }
            let note = Some(WITHOUT_STACKS.to_owned());
            return Ok((trace_events::of_recording(file)?, note));
        }
    }
    let Loaded { snapshot, nothing } = load(file, &options.charging, &options.filters)?;
    if let Some(nothing) = nothing {
        bail!(nothing);
    }
    let metric = sort.unwrap_or_else(|| match to {
        // A table leaves out stacks for which its metric is zero, and no total is.
        To::Dhat | To::Csv | To::Json if snapshot.knows(Metric::Total) => Metric::Total,
        _ => snapshot.first_metric(),
    });
    if !snapshot.knows(metric) {
        bail!(
            "the snapshot {} does not have {metric}",
            output::escaped(file)
        );
    }
    let note = note(&snapshot, to, metric, sort.is_some());
    let bytes = match to {
        To::Pprof => {
            let mut bytes = Vec::new();
            snapshot.write_with(&mut bytes, Names::Symbols)?;
            bytes
        }
        To::Otlp => otlp::write(&snapshot, &options.origin)?,
        To::Dhat => dhat::write(&snapshot, metric)?,
        To::Folded => folded::write(&snapshot, metric),
        To::Speedscope => speedscope::write(&snapshot, metric)?,
        To::Firefox => firefox::write(&snapshot, metric)?,
        To::Csv => {
            let (view, by) = of_stacks(options, Format::Csv, metric);
            csv::top(&snapshot, &view, &by)?.into_bytes()
        }
        To::Json => {
            let file = file.clone();
            let (view, by) = of_stacks(options, Format::Json, metric);
            formats::json::top(&snapshot, &file, &view, &by)?.into_bytes()
        }
        To::TraceEvents => trace_events::of_snapshot(&snapshot)?,
        To::Parquet => bail!("expected a folder for parquet, found a file"),
    };
    let missing = snapshot.missing_debug_info().map(|it| it.to_string());
    let notes: Vec<String> = missing.into_iter().chain(note).collect();
    Ok((bytes, (!notes.is_empty()).then(|| notes.join("\nnote: "))))
}

/// The options of a table of all stacks.
fn of_stacks(options: Options, format: Format, metric: Metric) -> (View, Grouping) {
    let by = Grouping::by(GroupBy::Traceback).with_metric(metric);
    let view = View::of_stacks(options.charging, options.filters, format);
    (view, by)
}

/// What is said of trace events.
const WITHOUT_STACKS: &str = "trace events hold the heap as a whole; stacks are left out";

/// One sentence on what the format cannot hold of this snapshot, if there is anything.
fn note(snapshot: &Snapshot, to: To, metric: Metric, is_chosen: bool) -> Option<String> {
    let left_out = left_out(snapshot, to, metric);
    let is_partial = !left_out.is_empty();
    let holds = match to {
        To::Pprof => {
            let metric = metric.to_string().replace('-', "_");
            return is_chosen.then(|| {
                format!("pprof profiles hold all metrics; -sample_index={metric}_space shows one")
            });
        }
        To::Dhat if dhat::has_lifetimes(snapshot) => {
            "DHAT's files hold mean lifetimes, and 0 for the unknown time of the peak".to_owned()
        }
        To::Dhat => format!(
            "DHAT's files hold one metric without lifetimes: {metric}; --sort chooses another, \
             and a run with ALLOC_TRACE_LIFETIMES=1 records all"
        ),
        To::Folded => {
            format!("folded stacks hold one metric: {metric}; --sort chooses another")
        }
        To::Speedscope if is_partial => "speedscope's profiles hold stacks and metrics".to_owned(),
        To::Firefox if is_partial => "Firefox's profiles hold stacks and bytes".to_owned(),
        To::Csv | To::Json if is_partial => "the rows hold stacks and metrics".to_owned(),
        To::TraceEvents => return Some(WITHOUT_STACKS.to_owned()),
        To::Otlp if is_partial => {
            "requests of OTLP hold stacks, their labels and metrics".to_owned()
        }
        _ => return None,
    };
    let are = match left_out.as_slice() {
        [] => return Some(holds),
        [one] => (*one).to_owned(),
        [others @ .., last] => format!("{} and {last}", others.join(", ")),
    };
    Some(format!("{holds}; {are} are left out"))
}

/// What a snapshot has and the format does not hold.
fn left_out(snapshot: &Snapshot, to: To, metric: Metric) -> Vec<&'static str> {
    let any = |has: fn(&Trace) -> bool| snapshot.traces().iter().any(has);
    // What a sample has beside its stack.
    let of_sample = |has: fn(&Trace) -> bool| to != To::Otlp && any(has);
    let is_zero = |it: &Trace| it.counters.amount(metric) == Amount::default();
    let is_table = matches!(to, To::Csv | To::Json);
    let parts = [
        (
            "stacks for which the metric is zero",
            is_table && snapshot.traces().iter().any(is_zero),
        ),
        (
            "blocks",
            matches!(to, To::Folded | To::Firefox) && snapshot.knows_blocks(),
        ),
        (
            "reallocations",
            !is_table && of_sample(|it| it.counters.reallocations > 0),
        ),
        ("threads", of_sample(|it| it.thread.is_some())),
        ("labels", of_sample(|it| it.label.is_some())),
        ("types", of_sample(|it| it.type_name.is_some())),
        ("size classes", of_sample(|it| it.size_class.is_some())),
        ("domains", of_sample(|it| it.domain != 0)),
        (
            "lifetimes",
            to != To::Dhat && any(|it| it.lifetimes.is_some()),
        ),
        ("slack", any(|it| it.slack.is_some())),
        ("frees", any(|it| it.freed_by.is_some())),
        ("metadata", !snapshot.metadata().is_empty()),
    ];
    let parts = parts.into_iter().filter(|(_, is_there)| *is_there);
    parts.map(|(name, _)| name).collect()
}

/// A file of JSON. Only ASCII, so that a terminal gets no control characters.
fn json(value: &impl Serialize) -> Result<Vec<u8>> {
    Ok(formats::json::ascii(&serde_json::to_string(value)?).into_bytes())
}

/// The name of a profile: the program, the process and the time.
fn title(snapshot: &Snapshot) -> String {
    let mut parts = vec![match snapshot.program() {
        "" => "heap".to_owned(),
        path => path.rsplit('/').next().unwrap_or(path).to_owned(),
    }];
    if snapshot.process_id() != 0 {
        parts.push(format!("pid {}", snapshot.process_id()));
    }
    parts.extend(snapshot.taken_at_utc());
    Escaped(&parts.join(", ")).to_string()
}
