//! Heap graphs: how long a program stands still, what the clone takes, and how long the answer
//! takes.
//!
//! Each row is a process of its own with a cache of that many bytes (a `HashMap` of `Arc`s with a
//! string and a vector each) and four parked threads, on pages of 4 KiB and on huge pages. A graph
//! is taken five times; the row has the medians. Another process loads the file and asks for the
//! roots. Beside it is for how long `gcore` stops the same process, and LeakSanitizer the same
//! program without tracing, if they are installed. No figure fails the bench.

use std::collections::HashMap;
use std::error::Error;
use std::ffi::OsString;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use alloc_benches::contender::{Outcome, run_program};
use alloc_benches::{machine, stops, summary};
use alloc_core::{Bytes, HeapGraph, TraceAlloc};
use alloc_report::Graph;

#[global_allocator]
static ALLOC: TraceAlloc = TraceAlloc::system();

const HELP: &str = "\
What a heap graph takes

Usage: cargo bench -p alloc-benches --bench graph [-- OPTIONS]

Options:
  --quick      16 MiB only
  --large      4 GiB, too
  --help       this text
";

const MIB: usize = 1 << 20;
const ROUNDS: usize = 5;

/// What this process does.
enum Task {
    /// Starts the others and prints the table, for heaps of so many MiB.
    Table(&'static [usize]),
    /// Fills a cache of so many MiB and takes graphs.
    Take(usize, PathBuf),
    /// Loads a graph and asks for the roots.
    Answer(PathBuf),
    /// Fills a cache of so many MiB and has LeakSanitizer check it.
    LeakCheck(usize),
    Help,
}

fn main() -> ExitCode {
    let done = Task::from_command_line().and_then(|task| match task {
        Task::Table(sizes) => table(sizes),
        Task::Take(mib, file) => take(mib, &file),
        Task::Answer(file) => answer(&file),
        Task::LeakCheck(mib) => leak_check(mib),
        Task::Help => {
            print!("{HELP}");
            Ok(())
        }
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

impl Task {
    fn from_command_line() -> Result<Task, Box<dyn Error>> {
        use lexopt::prelude::*;
        let (mut quick, mut large) = (false, false);
        let mut parser = lexopt::Parser::from_env();
        while let Some(argument) = parser.next()? {
            match argument {
                Long("quick") => quick = true,
                Long("large") => large = true,
                Long("help") | Short('h') => return Ok(Task::Help),
                // Cargo passes it to every bench.
                Long("bench") => {}
                Value(task) if task == "take" => {
                    return Ok(Task::Take(parser.value()?.parse()?, parser.value()?.into()));
                }
                Value(task) if task == "answer" => return Ok(Task::Answer(parser.value()?.into())),
                Value(task) if task == "leak-check" => {
                    return Ok(Task::LeakCheck(parser.value()?.parse()?));
                }
                _ => return Err(argument.unexpected().into()),
            }
        }
        Ok(Task::Table(match (quick, large) {
            (true, _) => &[16],
            (false, false) => &[100, 1000],
            (false, true) => &[100, 1000, 4000],
        }))
    }
}

/// Starts the processes of each size, with and without huge pages, and prints a row for each.
fn table(sizes: &[usize]) -> Result<(), Box<dyn Error>> {
    println!("machine   {}", machine::description());
    println!(
        "method    a cache of the size in a process of its own, four parked threads; medians of {ROUNDS}\n"
    );
    let head = [
        "heap", "on huge", "blocks", "pause", "clone", "its CPU", "scan CPU", "file", "load",
        "roots", "memory", "gcore", "LSan",
    ];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("app.heapgraph");
    let own = std::env::current_exe()?;
    for mib in sizes.iter().map(usize::to_string) {
        let words = |task: &str| [task, &mib].map(OsString::from);
        let checked = run_program(
            &own,
            words("leak-check"),
            &[("LD_PRELOAD", stops::LEAK_SANITIZER.into())],
        )?;
        for pages in ["0", "1"] {
            let tunable = format!("glibc.malloc.hugetlb={pages}");
            let taken = run_program(
                &own,
                words("take").into_iter().chain([file.clone().into()]),
                &[("GLIBC_TUNABLES", tunable.into())],
            )?;
            let answered = run_program(&own, ["answer".into(), OsString::from(&file)], &[])?;
            rows.push(row(&mib, &taken, &answered, &checked));
        }
    }
    print!("{}", summary::table(&rows));
    Ok(())
}

fn row(mib: &str, taken: &Outcome, answered: &Outcome, checked: &Outcome) -> Vec<String> {
    let text = |outcome: &Outcome, name| outcome.text(name).unwrap_or("-").to_owned();
    let ms = |outcome: &Outcome, name| {
        let time = outcome.number(name).map(Duration::from_nanos);
        time.map_or("-".to_owned(), |it| {
            format!("{:.1} ms", it.as_secs_f64() * 1e3)
        })
    };
    let size = |outcome: &Outcome, name| {
        let size = outcome.number(name);
        size.map_or("-".to_owned(), |it| Bytes::new(it).to_string())
    };
    vec![
        format!("{mib} MiB"),
        size(taken, "huge"),
        text(taken, "blocks"),
        ms(taken, "pause"),
        ms(taken, "clone"),
        ms(taken, "clone_cpu"),
        ms(taken, "child_cpu"),
        size(taken, "file"),
        ms(answered, "load"),
        ms(answered, "roots"),
        size(answered, "memory"),
        ms(taken, "gcore"),
        ms(checked, "leak_check"),
    ]
}

#[allow(dead_code, reason = "it is only held")]
struct Entry {
    name: String,
    values: Vec<u64>,
}

type Cache = HashMap<u64, Arc<Entry>>;

/// A cache whose blocks have so many MiB.
fn cache(mib: usize) -> Cache {
    let mut cache = Cache::new();
    let (mut key, mut entries) = (0, 0);
    while entries + cache.capacity() * size_of::<(u64, Arc<Entry>)>() < mib * MIB {
        let name = format!("the entry with the number {key}");
        let values = vec![key; 5 + key as usize % 60];
        entries += name.capacity() + size_of_val(&values[..]) + size_of::<Entry>();
        cache.insert(key, Arc::new(Entry { name, values }));
        key += 1;
    }
    cache
}

/// Calls `work` while four threads are parked.
fn beside_threads<R>(work: impl FnOnce() -> R) -> R {
    let ends = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let park = || {
            while !ends.load(Relaxed) {
                std::thread::park_timeout(Duration::from_secs(1));
            }
        };
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(park)).collect();
        let result = work();
        ends.store(true, Relaxed);
        threads.iter().for_each(|it| it.thread().unpark());
        result
    })
}

fn take(mib: usize, path: &Path) -> Result<(), Box<dyn Error>> {
    alloc_core::start()?;
    let cache = cache(mib);
    let mut outcome = Outcome::default();
    beside_threads(|| {
        let mut graphs = Vec::new();
        let mut clones = Vec::new();
        for _ in 0..ROUNDS {
            graphs.push(alloc_core::heap_graph(path)?);
            clones.extend(stops::clone_cpu());
        }
        let of = |time: fn(&HeapGraph) -> Duration| median(graphs.iter().map(time).collect());
        for (name, time) in [
            ("pause", of(|it| it.pause)),
            ("clone", of(|it| it.clone_time)),
            ("child_cpu", of(|it| it.child_cpu)),
            ("clone_cpu", median(clones)),
            ("gcore", stops::gcore()),
        ] {
            if let Some(time) = time {
                outcome.set(name, time.as_nanos());
            }
        }
        outcome.set("blocks", graphs[0].blocks);
        outcome.set("file", graphs[0].file_size.get());
        Ok::<_, alloc_core::Error>(())
    })?;
    if let Some(kib) = machine::huge_pages_kib() {
        outcome.set("huge", kib << 10);
    }
    black_box(&cache);
    print!("{outcome}");
    Ok(())
}

fn median(mut times: Vec<Duration>) -> Option<Duration> {
    times.sort();
    times.get(times.len() / 2).copied()
}

fn answer(path: &Path) -> Result<(), Box<dyn Error>> {
    let began = Instant::now();
    let graph = Graph::load(path)?;
    let loaded = began.elapsed();
    let roots = graph.roots();
    let mut outcome = Outcome::default();
    outcome.set("load", loaded.as_nanos());
    outcome.set("roots", (began.elapsed() - loaded).as_nanos());
    if roots.is_empty() {
        return Err("expected roots, found none".into());
    }
    if let Some(kib) = machine::peak_resident_kib() {
        outcome.set("memory", kib << 10);
    }
    print!("{outcome}");
    Ok(())
}

fn leak_check(mib: usize) -> Result<(), Box<dyn Error>> {
    let cache = cache(mib);
    let mut outcome = Outcome::default();
    if let Some(time) = beside_threads(stops::leak_check) {
        outcome.set("leak_check", time.as_nanos());
    }
    black_box(&cache);
    print!("{outcome}");
    Ok(())
}
