//! Serving: what one scrape of a heap profile takes of the program that is scraped.
//!
//! Each row is a process of its own, with a live block of 100 bytes in each of its callsites, which
//! are 20 frames deep. A client in the same process asks over a socket. The peer is asked as its
//! documentation says, without a socket, and records each allocation, as we do. Both answer with
//! addresses. No figure fails the bench.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::{Command, ExitCode};

use alloc_benches::{machine, serving};
use alloc_core::{Config, TraceAlloc};

#[global_allocator]
static ALLOC: TraceAlloc = TraceAlloc::system();

const HELP: &str = "\
What a scrape takes of a program

Usage: cargo bench -p alloc-benches --bench serving [--features jemalloc] [-- OPTIONS]

Options:
  --quick      2,000 callsites only
  --help       this text
";

/// What this process does.
enum Task {
    /// Starts the others, for so many callsites each.
    Table(&'static [u32]),
    /// Has so many callsites, and is asked for a target.
    Measure {
        target: String,
        callsites: u32,
    },
    Help,
}

fn main() -> ExitCode {
    match Task::from_command_line() {
        Ok(Task::Table(sizes)) => return table(sizes),
        Ok(Task::Measure { target, callsites }) => measure(&target, callsites),
        Ok(Task::Help) => print!("{HELP}"),
        Err(error) => {
            eprintln!("error: {error}");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

impl Task {
    fn from_command_line() -> Result<Task, lexopt::Error> {
        use lexopt::prelude::*;
        let mut sizes: &[u32] = &[20_000, 200_000];
        let mut parser = lexopt::Parser::from_env();
        while let Some(argument) = parser.next()? {
            match argument {
                Long("quick") => sizes = &[2000],
                Long("help") | Short('h') => return Ok(Task::Help),
                // Cargo passes it to every bench.
                Long("bench") => {}
                Value(task) if task == "measure" => {
                    let target = parser.value()?.string()?;
                    let callsites = parser.value()?.parse()?;
                    return Ok(Task::Measure { target, callsites });
                }
                _ => return Err(argument.unexpected()),
            }
        }
        Ok(Task::Table(sizes))
    }
}

fn table(sizes: &[u32]) -> ExitCode {
    println!("machine   {}", machine::description());
    println!("method    five scrapes of a process; medians\n");
    println!("{}", serving::head());
    let own = std::env::current_exe().expect("this program");
    for callsites in sizes {
        let callsites = callsites.to_string();
        for target in ["heap", "delta_heap", "heap?debug=1"] {
            let mut command = Command::new(&own);
            command.args(["measure", target, &callsites]);
            if !command.status().is_ok_and(|it| it.success()) {
                return ExitCode::FAILURE;
            }
        }
        #[cfg(feature = "jemalloc")]
        {
            let mut command = Command::new(env!("CARGO_BIN_EXE_bench-jemalloc-pprof"));
            let every = "prof:true,prof_active:true,lg_prof_sample:0";
            command.arg(&callsites).env("_RJEM_MALLOC_CONF", every);
            if !command.status().is_ok_and(|it| it.success()) {
                return ExitCode::FAILURE;
            }
        }
    }
    ExitCode::SUCCESS
}

fn measure(target: &str, callsites: u32) {
    // As many as the table takes without cutting stacks.
    let config = Config::default().max_callsites((4 * callsites).clamp(1000, 1_000_000));
    alloc_core::start_with(config).expect("tracing starts");
    let server = alloc_core::serve("127.0.0.1:0").expect("it listens");
    let address = server.address().expect("an address");
    serving::run(&format!("alloc-core, {target}"), callsites, || {
        get(address, target).expect("an answer")
    });
}

/// The length of the answer. It is not kept: what it takes is the client's.
fn get(address: SocketAddr, target: &str) -> std::io::Result<usize> {
    let mut stream = TcpStream::connect(address)?;
    stream.write_all(format!("GET /debug/pprof/{target} HTTP/1.1\r\n\r\n").as_bytes())?;
    let (mut part, mut len) = ([0; 4096], 0);
    loop {
        match stream.read(&mut part)? {
            0 => return Ok(len),
            read => len += read,
        }
    }
}
