//! A program that serves profiles of its memory, for tests of what clients get.
//!
//! Its arguments are an address, or `-` if it does not serve, and options such as `token=...`. It prints the address that it
//! serves. Then each line of its input is a command, and each is answered with a line.

use std::hint::black_box;
use std::io::{BufRead as _, Read as _, Write as _};
use std::time::Duration;

use alloc_core::push::{Push, PushHealth, PushOptions};
use alloc_core::{Bytes, Config, ServeOptions, TraceAlloc};
use alloc_tests::call_by_bits;

#[global_allocator]
static ALLOC: TraceAlloc = TraceAlloc::system();

/// Keeps blocks of 1000 bytes.
#[inline(never)]
fn keep(kept: &mut Vec<Box<[u8]>>, count: usize) {
    kept.extend((0..count).map(|_| black_box(vec![1_u8; 1000]).into_boxed_slice()));
}

/// Keeps a block in each of many callsites.
fn keep_afar(kept: &mut Vec<Box<[u8]>>, callsites: u32) {
    let bits = callsites.next_power_of_two().ilog2();
    for path in 0..callsites {
        call_by_bits(path, bits, &mut || keep(kept, 1));
    }
}

/// The options with which it pushes, after one more argument. `None` if the argument is for something else.
fn pushes(push: Option<PushOptions>, name: &str, value: &str) -> Option<PushOptions> {
    let begin = |options: PushOptions| {
        let options = options.names(false).service("shop").tenant("team");
        options.basic_auth("me", "s3cret")
    };
    Some(match name {
        "push" => begin(PushOptions::pyroscope(value)),
        "otlp" => begin(PushOptions::otlp(value)),
        "push-label" => push?.label("instance", value),
        "push-names" => push?.names(value == "1"),
        "every" => push?.every(Duration::from_millis(value.parse().expect("milliseconds"))),
        "queue" => push?.queue(Bytes::new(value.parse().expect("bytes"))),
        _ => return None,
    })
}

/// The signals that a child waits for.
fn end_signal() -> libc::sigset_t {
    let mut signals = std::mem::MaybeUninit::uninit();
    // SAFETY: there is room for a set.
    unsafe { libc::sigemptyset(signals.as_mut_ptr()) };
    // SAFETY: it is a set, and the system has the signal.
    unsafe { libc::sigaddset(signals.as_mut_ptr(), libc::SIGUSR1) };
    // SAFETY: `sigemptyset` wrote it.
    unsafe { signals.assume_init() }
}

/// Forks. Returns the child's number once the child runs, and in the child 0, once it got SIGUSR1.
fn fork(kept: &mut Vec<Box<[u8]>>) -> libc::pid_t {
    let signals = end_signal();
    // SAFETY: it is a set, and no old one is written.
    unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &signals, std::ptr::null_mut()) };
    let (mut runs, said) = std::io::pipe().expect("a pipe");
    // SAFETY: the child does what the tracer allows in a child: it allocates and reads.
    let child = unsafe { libc::fork() };
    if child == 0 {
        keep(kept, 1000);
        drop(said);
        let mut signal = 0;
        // SAFETY: it is a set, and there is room for a signal.
        unsafe { libc::sigwait(&signals, &mut signal) };
        // SAFETY: `alarm` takes any number. The signal ends a process that hangs.
        unsafe { libc::alarm(20) };
    } else {
        drop(said);
        // It ends when both ends are closed.
        runs.read_to_end(&mut Vec::new()).expect("the child runs");
    }
    child
}

/// Serves in a child, and asks.
fn check_own_server() {
    let server = alloc_core::serve("127.0.0.1:0").expect("a port");
    let address = server.address().expect("a port");
    let mut client = std::net::TcpStream::connect(address).expect("it listens");
    let request = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n";
    client.write_all(request).expect("it reads");
    let mut answer = String::new();
    client.read_to_string(&mut answer).expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
}

/// Lets a child end, and returns the status that the system gives for it.
fn end_child(child: libc::pid_t) -> libc::c_int {
    let mut status = 0;
    // SAFETY: it takes any number of a process.
    unsafe { libc::kill(child, libc::SIGUSR1) };
    // SAFETY: it is a child of this process, and there is room for a status.
    unsafe { libc::waitpid(child, &mut status, 0) };
    status
}

fn main() {
    let mut options = ServeOptions::default();
    let mut config = Some(Config::default());
    let mut push: Option<PushOptions> = None;
    let mut arguments = std::env::args().skip(1);
    let address = arguments.next().expect("an address");
    for argument in arguments {
        let (name, value) = argument.split_once('=').expect("a name and a value");
        if let Some(changed) = pushes(push.clone(), name, value) {
            push = Some(changed);
            continue;
        }
        options = match name {
            "token" => options.token(value),
            "command" => {
                push = push.map(|it| it.command(value));
                options.command(value)
            }
            "names" => options.names(value == "1"),
            "read_only" => options.read_only(value == "1"),
            "mode" => options.socket_mode(u32::from_str_radix(value, 8).expect("a mode")),
            "tracing" => {
                config = config.filter(|_| value == "1");
                options
            }
            "sample" => {
                let bytes: u64 = value.parse().expect("bytes");
                config = config.map(|it| it.sample_every(bytes));
                options
            }
            _ => panic!("no option is called {name}"),
        };
    }
    if let Some(config) = config {
        alloc_core::start_with(config).expect("tracing starts");
    }
    let mut push = match push.map(PushOptions::start).transpose() {
        Ok(push) => push,
        Err(error) => {
            println!("error: {error}");
            return;
        }
    };
    let served = match &*address {
        "-" => Ok(None),
        address => alloc_core::serve_with(address, &options).map(Some),
    };
    let mut server = match served {
        Ok(server) => server,
        Err(error) => {
            println!("error: {error}");
            return;
        }
    };
    let say = |text: &dyn std::fmt::Display| {
        println!("{text}");
        std::io::stdout().flush().expect("somebody reads");
    };
    match server.as_ref().map(|it| it.address()) {
        Some(Some(address)) => say(&address),
        Some(None) => say(&server.as_ref().expect("a server")),
        None => say(&"not serving"),
    }
    let mut kept = Vec::with_capacity(1 << 20);
    for line in std::io::stdin().lock().lines() {
        let line = line.expect("UTF-8");
        let (command, number) = line.split_once(' ').unwrap_or((&line, "0"));
        let number: usize = number.parse().expect("a number");
        match command {
            "keep" => keep(&mut kept, number),
            "callsites" => keep_afar(&mut kept, number as u32),
            "drop" => drop(kept.drain(..number)),
            "temporary" => (0..number).for_each(|_| drop(black_box(vec![1_u8; 100]))),
            "label" => alloc_core::Label::new("request \"1\"").run(|| keep(&mut kept, number)),
            "stop-serving" => drop(server.take()),
            "fork" => match fork(&mut kept) {
                0 => {
                    // What a child says of pushing, and the end of a program.
                    let health = push.as_ref().map(Push::health).unwrap_or_default();
                    assert_eq!(health, PushHealth::default());
                    alloc_core::take_snapshot().expect("a child may take one");
                    check_own_server();
                    return;
                }
                child => {
                    say(&child);
                    continue;
                }
            },
            "end-child" => {
                say(&end_child(number as libc::pid_t));
                continue;
            }
            "sleep" => std::thread::sleep(Duration::from_millis(number as u64)),
            "push-health" => {
                let health = push.as_ref().expect("it pushes").health();
                let numbers = [
                    health.pushed,
                    health.failed,
                    health.refused,
                    health.unnamed,
                    health.queued,
                    health.rejected,
                ];
                say(&numbers.map(|it| it.to_string()).join(" "));
                continue;
            }
            "push-error" => {
                let health = push.as_ref().expect("it pushes").health();
                say(&health.last_error.unwrap_or_default());
                continue;
            }
            "total" | "stop-pushing" => {
                // NOTE: nothing is allocated between the end of the last push and the snapshot.
                if command == "stop-pushing" {
                    drop(push.take());
                }
                let snapshot = alloc_core::take_snapshot().expect("tracing is on");
                let mut total = alloc_core::Amount::default();
                let traces = snapshot.traces().iter();
                traces.for_each(|it| total += it.counters.total);
                let current = alloc_core::traced_memory().current;
                say(&format!(
                    "{} {} {}",
                    total.bytes.get(),
                    total.blocks,
                    current.get()
                ));
                continue;
            }
            _ => panic!("no command is called {command}"),
        }
        say(&"done");
    }
}
