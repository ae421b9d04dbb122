//! What one scrape takes of the program that is scraped.

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use crate::latency::stacks;
use crate::machine::status_kib;

/// How often a program is scraped. The first time touches code and tables.
const ROUNDS: usize = 6;

/// The head of the table of [`run`].
pub fn head() -> String {
    format!(
        "{:>9} {:32} {:>9} {:>9} {:>9} {:>9} {:>9}",
        "callsites", "", "time", "file", "peak", "stays", "gap"
    )
}

/// Holds a block in each of many callsites, is scraped, and prints a row: the medians of the time,
/// the length of the answer, how much resident memory rises meanwhile, how much of it stays after
/// all scrapes, and the longest time that a thread waits for an allocation and a free.
pub fn run(name: &str, callsites: u32, mut scrape: impl FnMut() -> usize) {
    let mut kept: Vec<Vec<u8>> = Vec::with_capacity(callsites as usize);
    (0..callsites).for_each(|path| stacks::call(path, || kept.push(black_box(vec![1; 100]))));

    let (ends, longest) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicU64::new(0)),
    );
    let worker = std::thread::spawn({
        let (ends, longest) = (Arc::clone(&ends), Arc::clone(&longest));
        move || {
            let mut last = Instant::now();
            while !ends.load(Relaxed) {
                drop(black_box(vec![1_u8; 64]));
                let now = Instant::now();
                longest.fetch_max((now - last).as_nanos() as u64, Relaxed);
                last = now;
            }
        }
    });
    let mut rows: Vec<[u64; 4]> = Vec::new();
    let mut before = 0;
    for round in 0..ROUNDS {
        std::thread::sleep(Duration::from_millis(50));
        let resident = status("VmRSS:");
        if round == 1 {
            before = resident;
        }
        // Sets the high-water mark to what is resident.
        let _ = std::fs::write("/proc/self/clear_refs", "5");
        longest.store(0, Relaxed);
        let began = Instant::now();
        let len = scrape() as u64;
        let time = began.elapsed().as_micros() as u64;
        let rise = status("VmHWM:").saturating_sub(resident);
        rows.push([time, len, rise, longest.load(Relaxed) / 1000]);
    }
    let stays = status("VmRSS:").saturating_sub(before);
    ends.store(true, Relaxed);
    let _ = worker.join();
    let median = |column: usize| {
        let mut all: Vec<u64> = rows[1..].iter().map(|it| it[column]).collect();
        all.sort_unstable();
        all[all.len() / 2]
    };
    let ms = |us: u64| format!("{:.1} ms", us as f64 / 1000.0);
    let kib = |bytes: u64| format!("{} KiB", bytes >> 10);
    println!(
        "{callsites:>9} {name:32} {:>9} {:>9} {:>9} {:>9} {:>9}",
        ms(median(0)),
        kib(median(1)),
        kib(median(2)),
        kib(stays),
        ms(median(3)),
    );
    drop(kept);
}

/// A field of this process's status, in bytes. Zero where there is none.
fn status(field: &str) -> u64 {
    status_kib(field).unwrap_or_default() << 10
}
