//! Heap graphs: how long a program stands still, what the clone takes, and how long the answer
//! takes.
//!
//! Each size is a process of its own with a cache of that many bytes (a `HashMap` of `Arc`s with a
//! string and a vector each) and four parked threads. A graph is taken five times; the row has the
//! medians. If `gcore` is installed, the next row is the time for which it stops the same process.
//! No figure fails the bench.

use std::collections::HashMap;
use std::error::Error;
use std::hint::black_box;
use std::process::{Command, ExitCode};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use alloc_benches::machine;
use alloc_core::TraceAlloc;
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

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let has = |flag: &str| arguments.iter().any(|it| it == flag);
    if has("--help") {
        print!("{HELP}");
        return ExitCode::SUCCESS;
    }
    if let Some(at) = arguments.iter().position(|it| it == "--size") {
        let size = arguments.get(at + 1).and_then(|it| it.parse().ok());
        return match size
            .ok_or_else(|| "expected a size".into())
            .and_then(measure)
        {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("{error}");
                ExitCode::FAILURE
            }
        };
    }
    println!("machine   {}", machine::description());
    println!(
        "method    a cache of the size in a process of its own, four parked threads; medians of {ROUNDS}\n"
    );
    println!(
        "{:>8} {:>10} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9}  gcore stops it for",
        "heap", "blocks", "pause", "clone", "CPU", "file", "load", "roots"
    );
    let sizes: &[usize] = match (has("--quick"), has("--large")) {
        (true, _) => &[16],
        (false, false) => &[100, 1000],
        (false, true) => &[100, 1000, 4000],
    };
    for size in sizes {
        let own = std::env::current_exe().expect("this program");
        let status = Command::new(own)
            .args(["--size", &size.to_string()])
            .status();
        if !status.is_ok_and(|it| it.success()) {
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

#[allow(dead_code, reason = "it is only held")]
struct Entry {
    name: String,
    values: Vec<u64>,
}

/// Fills a cache, takes graphs, and prints a row.
fn measure(mib: usize) -> Result<(), Box<dyn Error>> {
    alloc_core::start()?;
    let mut cache: HashMap<u64, Arc<Entry>> = HashMap::new();
    let mut key = 0;
    while alloc_core::traced_memory().current.get() < (mib * MIB) as u64 {
        for _ in 0..1000 {
            let name = format!("the entry with the number {key}");
            let values = vec![key; 5 + key as usize % 60];
            cache.insert(key, Arc::new(Entry { name, values }));
            key += 1;
        }
    }
    let ends = Arc::new(AtomicBool::new(false));
    let park = |_| {
        let ends = ends.clone();
        std::thread::spawn(move || {
            while !ends.load(Relaxed) {
                std::thread::park_timeout(Duration::from_secs(1));
            }
        })
    };
    let threads: Vec<_> = (0..4).map(park).collect();

    let path = std::env::temp_dir().join(format!("bench-{}.heapgraph", std::process::id()));
    let mut rows = Vec::new();
    for _ in 0..ROUNDS {
        rows.push(alloc_core::heap_graph(&path)?);
    }
    let median = |of: &dyn Fn(&alloc_core::HeapGraph) -> Duration| {
        let mut all: Vec<Duration> = rows.iter().map(of).collect();
        all.sort();
        all[ROUNDS / 2]
    };
    let began = Instant::now();
    let graph = Graph::load(&path)?;
    let loaded = began.elapsed();
    let roots = graph.roots();
    let answered = began.elapsed() - loaded;
    assert!(!roots.is_empty());
    drop(graph);
    let first = &rows[0];
    let ms = |it: Duration| format!("{:.1} ms", it.as_secs_f64() * 1e3);
    println!(
        "{:>8} {:>10} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9}  {}",
        format!("{mib} MiB"),
        first.blocks,
        ms(median(&|it| it.pause)),
        ms(median(&|it| it.clone_time)),
        ms(median(&|it| it.child_cpu)),
        format!("{:.1} MiB", first.file_size.get() as f64 / MIB as f64),
        ms(loaded),
        ms(answered),
        gcore().map_or("(not installed)".to_owned(), ms),
    );
    std::fs::remove_file(&path)?;
    ends.store(true, Relaxed);
    for thread in threads {
        thread.thread().unpark();
        thread.join().map_err(|_| "a thread panicked")?;
    }
    black_box(&cache);
    Ok(())
}

/// How long `gcore` stops this process.
fn gcore() -> Option<Duration> {
    let path = std::env::temp_dir().join(format!("bench-{}", std::process::id()));
    let own = std::process::id().to_string();
    let began = Instant::now();
    let output = Command::new("gcore")
        .arg("-o")
        .arg(&path)
        .arg(&own)
        .output()
        .ok()?;
    let took = began.elapsed();
    let _ = std::fs::remove_file(format!("{}.{own}", path.display()));
    output.status.success().then_some(took)
}
