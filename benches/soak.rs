//! Soak: a service under load for long, with sampling, serving, pushing and the flight recorder on, beside the same service
//! without the tracer.
//!
//! Each client asks both in turn, so that what the machine does meets both. A scraper asks for metrics and profiles each
//! second, and bad clients send half requests and garbage. It fails if the tracer's memory, or the descriptors or threads of
//! the service, grow after the warm-up, if an answer is missing, or if a file of the recorder cannot be read. Latencies are
//! printed, and no verdict is made of them.

use std::error::Error;
use std::fs;
use std::io::Write as _;
use std::net::{SocketAddr, TcpStream};
use std::process::ExitCode;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use alloc_benches::soak::{self, Client, Observation, Service};
use alloc_benches::{latency, machine, summary};
use alloc_core::Snapshot;
use hdrhistogram::Histogram;

const HELP: &str = "\
A service under load for long, with the tracer and without

Usage: cargo bench -p alloc-benches --bench soak [-- OPTIONS]

Options:
  --seconds N  how long (600)
  --quick      20 seconds
  --help       this text
";

/// Clients, and how long each rests after a pair of orders.
const CLIENTS: u64 = 4;
const REST: Duration = Duration::from_millis(5);

/// Orders that a client sends before it connects anew, so that threads come and go.
const ORDERS: u64 = 100;

/// The files that the recorder keeps.
const FILES: usize = 5;

/// What the tracer may take more at the end than after the warm-up. A table grows by pages.
const MOST_GROWTH: u64 = 512 << 10;

/// Longer than an unfinished request is waited for.
const DRAIN: Duration = Duration::from_secs(12);

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

fn main() -> ExitCode {
    let ran = match seconds() {
        Ok(Some(seconds)) => run(Duration::from_secs(seconds)),
        Ok(None) => {
            print!("{HELP}");
            Ok(())
        }
        Err(error) => Err(error.into()),
    };
    match ran {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// How long the command line asks for. `None` for `--help`.
fn seconds() -> std::result::Result<Option<u64>, lexopt::Error> {
    use lexopt::prelude::*;

    let mut seconds = 600;
    let mut parser = lexopt::Parser::from_env();
    while let Some(argument) = parser.next()? {
        match argument {
            Long("seconds") => seconds = parser.value()?.parse()?,
            Long("quick") => seconds = 20,
            Long("help") | Short('h') => return Ok(None),
            // Cargo passes it to every bench.
            Long("bench") => {}
            argument => return Err(argument.unexpected()),
        }
    }
    Ok(Some(seconds))
}

fn run(time: Duration) -> Result<()> {
    println!("machine   {}", machine::description());
    let folder = tempfile::tempdir()?;
    let files = folder.path().join("%p.pb.gz");
    let (receiver, pushed) = soak::receive()?;
    let environment = [
        (soak::RECEIVER, &*receiver),
        ("ALLOC_TRACE_SAMPLE", "512KiB"),
        ("ALLOC_TRACE_OUT", files.to_str().ok_or("expected UTF-8")?),
        ("ALLOC_TRACE_EVERY", "2"),
        ("ALLOC_TRACE_WHEN", "limit=80%,growth=20%,pressure=10%"),
        ("ALLOC_TRACE_KEEP", &FILES.to_string()),
    ];
    let start = |program, environment: &[(&str, &str)]| {
        Service::start(program, environment).map_err(|error| error.to_string())
    };
    let bare = start(env!("CARGO_BIN_EXE_bench-soaked-bare"), &[])?;
    let traced = start(env!("CARGO_BIN_EXE_bench-soaked"), &environment)?;
    let profiles = traced.profiles.ok_or("expected an address for profiles")?;
    let at_first = traced.observe()?;

    let end = Instant::now() + time;
    let addresses = [bare.address, traced.address];
    let (latencies, scraped) = thread::scope(|threads| {
        let clients = Vec::from_iter(
            (0..CLIENTS).map(|client| threads.spawn(move || load(addresses, client, end))),
        );
        let scraped = watch([&bare, &traced], profiles, end);
        let loads = clients.into_iter().map(|it| it.join().expect("no panic"));
        (loads.collect::<Result<Vec<_>>>(), scraped)
    });
    let watched = scraped?;
    print_latencies(&latencies?)?;
    thread::sleep(DRAIN);
    print_growth(&watched);

    // NOTE: the least of some seconds, since a push or a snapshot in progress has files open.
    let mut at_rest = Vec::new();
    for _ in 0..50 {
        thread::sleep(Duration::from_millis(100));
        at_rest.push(traced.observe()?);
    }
    let least = |of: fn(&Observation) -> u64| at_rest.iter().map(of).min().unwrap_or(u64::MAX);
    check(
        "descriptors",
        least(|it| it.descriptors),
        at_first.descriptors,
    )?;
    check("threads", least(|it| it.threads), at_first.threads)?;
    let tracer = |it: &[Watched]| it.iter().map(|it| it.tracer).max().unwrap_or_default();
    let (warm, last) = (tracer(quarter(&watched, 1)), tracer(quarter(&watched, 3)));
    if last > warm + MOST_GROWTH {
        return Err(format!(
            "expected {warm} bytes of the tracer's memory as after the warm-up, found {last}"
        )
        .into());
    }
    let pushed = pushed.load(Ordering::Relaxed);
    if pushed < watched.len() as u64 / 8 {
        return Err(format!("expected a push each few seconds, found {pushed}").into());
    }
    let mut read = 0;
    for file in fs::read_dir(folder.path())? {
        Snapshot::load(file?.path())?;
        read += 1;
    }
    if read == 0 || read > FILES {
        return Err(format!("expected up to {FILES} files of the recorder, found {read}").into());
    }
    println!(
        "\n{read} files of the recorder, {} scrapes, {pushed} pushes",
        watched.len()
    );
    Ok(())
}

fn check(what: &str, found: u64, expected: u64) -> Result<()> {
    match found <= expected {
        true => Ok(()),
        false => {
            Err(format!("expected {expected} {what} as before the load, found {found}").into())
        }
    }
}

/// The latencies of both services, as one client sees them.
type Latencies = [Histogram<u64>; 2];

/// Asks both services in turn.
fn load(addresses: [SocketAddr; 2], client: u64, end: Instant) -> Result<Latencies> {
    let mut latencies = [Histogram::new(3)?, Histogram::new(3)?];
    let mut number = client;
    while Instant::now() < end {
        let mut clients = [Client::new(addresses[0])?, Client::new(addresses[1])?];
        for _ in 0..ORDERS {
            let order = soak::order(number);
            // The first to be asked pays for what the rest cooled down.
            let first = (number / CLIENTS % 2) as usize;
            for at in [first, 1 - first] {
                let begin = Instant::now();
                clients[at].order(&order)?;
                latencies[at].record(begin.elapsed().as_nanos() as u64)?;
            }
            number += CLIENTS;
            thread::sleep(REST);
        }
    }
    Ok(latencies)
}

/// What was seen at one moment: of the service without the tracer, of the one with it, and the tracer's memory.
struct Watched {
    bare: Observation,
    traced: Observation,
    tracer: u64,
}

/// Scrapes each second, and sends bad requests each ten.
fn watch(services: [&Service; 2], profiles: SocketAddr, end: Instant) -> Result<Vec<Watched>> {
    let mut watched = Vec::new();
    let mut half = Vec::new();
    while Instant::now() < end {
        for path in ["/debug/pprof/heap", "/debug/pprof/delta_heap", "/metrics"] {
            let (status, body) = soak::get(profiles, path)?;
            if status != 200 || body.is_empty() {
                return Err(format!("{path}: expected status 200, found {status}").into());
            }
            if path == "/metrics" {
                watched.push(Watched {
                    bare: services[0].observe()?,
                    traced: services[1].observe()?,
                    tracer: metric(&body, "alloc_trace_tracer_bytes")?,
                });
            }
        }
        if watched.len() % 10 == 5 {
            half.clear();
            for garbage in ["GET /debug/pprof/heap HTT", "\0\u{7F}\u{80}\r\n\r\n", ""] {
                let mut stream = TcpStream::connect(profiles)?;
                // NOTE: the service may close before it is done.
                let _ = stream.write_all(garbage.as_bytes());
                half.push(stream);
            }
        }
        thread::sleep(Duration::from_secs(1));
    }
    Ok(watched)
}

/// A number of Prometheus' text format.
fn metric(text: &[u8], name: &str) -> Result<u64> {
    let text = String::from_utf8_lossy(text);
    let value = text
        .lines()
        .find_map(|it| it.strip_prefix(name)?.trim().parse().ok());
    value.ok_or_else(|| format!("expected the metric {name}, found none").into())
}

/// One of four parts of what was watched.
fn quarter(watched: &[Watched], number: usize) -> &[Watched] {
    let len = watched.len();
    &watched[len * number / 4..len * (number + 1) / 4]
}

fn print_latencies(all: &[Latencies]) -> Result<()> {
    let mut rows = vec![latency::head("an answer")];
    for (at, name) in ["bare", "traced"].into_iter().enumerate() {
        let mut sum = Histogram::new(3)?;
        for latencies in all {
            sum.add(&latencies[at])?;
        }
        let label = format!("{name}, {} orders", summary::thousands(sum.len()));
        rows.push(latency::percentiles(&label, &sum));
    }
    println!("\n{}", summary::table(&rows));
    Ok(())
}

fn print_growth(watched: &[Watched]) {
    let median = |number: usize, of: fn(&Watched) -> u64| {
        let mut all = Vec::from_iter(quarter(watched, number).iter().map(of));
        all.sort_unstable();
        all.get(all.len() / 2).copied().unwrap_or_default()
    };
    let head = ["medians in KiB", "first", "second", "third", "last quarter"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    for (name, of) in [
        ("bare", (|it| it.bare.anonymous) as fn(&Watched) -> u64),
        ("traced", |it| it.traced.anonymous),
        ("its tracer", |it| it.tracer),
    ] {
        let medians = [0, 1, 2, 3].map(|it| summary::thousands(median(it, of) >> 10));
        rows.push([name.to_owned()].into_iter().chain(medians).collect());
    }
    println!("{}", summary::table(&rows));
}
