//! A program that takes more and more memory until something ends it. Its argument says how.
//!
//! It holds 20 MiB that do not grow, and grows by some 100 MiB a second.

use std::collections::HashMap;
use std::hint::black_box;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;

use alloc_core::{Label, TraceAlloc};

#[global_allocator]
static ALLOC: TraceAlloc = TraceAlloc::system();

/// What a step adds, in bytes.
const STEP: usize = 1 << 20;

/// More steps than any test waits for. A program that a failed test leaves behind ends by itself.
const STEPS: u32 = 2000;

fn pause() {
    static STEP: AtomicU32 = AtomicU32::new(0);
    if STEP.fetch_add(1, Relaxed) == STEPS {
        eprintln!("nothing ended it");
        std::process::exit(3);
    }
    std::thread::sleep(Duration::from_millis(10));
}

/// A cache that nobody trims.
fn cache() -> ! {
    let mut cache = HashMap::new();
    for key in 0_u64.. {
        for part in 0..STEP / 1024 {
            cache.insert((key, part), vec![1_u8; 1024]); // the cache
        }
        pause();
    }
    unreachable!("it is ended before")
}

/// A log that is kept in memory.
fn log() -> ! {
    let mut lines = Vec::new();
    loop {
        for line in 0..STEP / 256 {
            lines.push(format!("{line:>250}")); // the log
        }
        pause();
    }
}

/// A buffer that doubles.
fn buffer() -> ! {
    let mut buffer: Vec<u8> = Vec::new();
    loop {
        buffer.extend_from_slice(&black_box([7; STEP])); // the buffer
        pause();
    }
}

/// A thread whose results nobody takes.
fn thread() -> ! {
    let (sends, _results) = std::sync::mpsc::channel();
    let worker = std::thread::spawn(move || {
        loop {
            let result = vec![2_u8; STEP]; // the result
            if sends.send(result).is_err() {
                return;
            }
            pause();
        }
    });
    let _ = worker.join();
    unreachable!("it is ended before")
}

/// Requests that remember what they were asked.
fn requests() -> ! {
    let mut asked = Vec::new();
    loop {
        Label::new("search").run(|| {
            asked.push(vec![3_u8; STEP]); // the request
        });
        pause();
    }
}

fn main() {
    // They are held until something ends the program.
    let steady: Vec<Vec<u8>> = (0..20).map(|_| black_box(vec![0; STEP])).collect();
    std::mem::forget(steady);
    match std::env::args().nth(1).as_deref() {
        Some("cache") => cache(),
        Some("log") => log(),
        Some("buffer") => buffer(),
        Some("thread") => thread(),
        Some("requests") => requests(),
        other => panic!("expected a way to grow, found {other:?}"),
    }
}
