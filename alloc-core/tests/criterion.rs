//! What `criterion` is given to measure, against exact arithmetic.

use alloc_core::{Memory, TimeAndMemory, TraceAlloc, bench_memory};
use criterion::measurement::Measurement;

#[global_allocator]
static ALLOC: TraceAlloc = TraceAlloc::system();

fn work() {
    let small = std::hint::black_box(Vec::<u8>::with_capacity(100));
    drop(std::hint::black_box(Vec::<u8>::with_capacity(1000)));
    drop(small);
    drop(std::hint::black_box(Vec::<u8>::with_capacity(500)));
}

#[test]
fn each_measures_its_own() {
    for (memory, expected) in [
        (Memory::Bytes, 1600),
        (Memory::Allocations, 3),
        (Memory::Peak, 1100),
    ] {
        let started = memory.start();
        work();
        let value = memory.end(started);
        assert_eq!(value, expected, "{memory:?}");
        assert_eq!(memory.add(&value, &memory.zero()), expected);
    }
}

#[test]
fn sizes_have_units() {
    let mut values = [2048.0, 4096.0];
    let unit = Memory::Peak.formatter().scale_values(3000.0, &mut values);
    assert_eq!((unit, values), ("KiB", [2.0, 4.0]));
    let mut values = [3.0];
    let unit = Memory::Allocations
        .formatter()
        .scale_values(3.0, &mut values);
    assert_eq!((unit, values), ("blocks", [3.0]));
}

#[test]
fn rounds_that_differ_are_told() {
    let mut list = Vec::new();
    let bench = bench_memory(20, || list.push(7_u64)).unwrap();
    assert!(!bench.is_steady);
    assert_eq!(bench.first.allocated.blocks, 1);
    assert!(bench.to_string().ends_with("not the same in each round"));
    let bench = bench_memory(5, work).unwrap();
    assert!(bench.is_steady);
    assert_eq!(bench.to_string(), "1600 B in 3 blocks, peak 1100 B");
}

/// A line of a report has three values, of which the last is followed by the memory of its own benchmark.
#[test]
fn time_and_memory_are_in_one_line() {
    let measurement = TimeAndMemory::default();
    let mut calls = 0;
    let mut counting = TimeAndMemory::of(|| {
        calls += 1;
        work();
    });
    let value = counting(1000);
    let twice = measurement.add(&measurement.zero(), &value);
    assert!(measurement.to_f64(&twice) > 0.0);
    let line = || [10.0, 20.0, 30.0].map(|it| measurement.formatter().format_value(it));
    let memory = "30.000 ns, 1600 B in 3 blocks, peak 1100 B";
    assert_eq!(line(), ["10.000 ns", "20.000 ns", memory]);
    // Further lines, as `--verbose` has them.
    assert_eq!(line()[2], "30.000 ns");
    let other = TimeAndMemory::of(|| std::hint::black_box(vec![0_u8; 64]))(1);
    measurement.to_f64(&other);
    assert_eq!(line()[2], "30.000 ns, 64 B in 1 block, peak 64 B");
    drop(counting);
    assert_eq!(calls, 1003);
}
