//! CPython's tests of `tracemalloc` for a running tracer: one test for each, under its number in
//! the table in `alloc_core::tracemalloc`. Tests of snapshots made by hand are in
//! `tracemalloc_snapshots`, those of tracked memory in `tracked.rs`, and those of the environment
//! and of forks in `process.rs`.

use std::hint::black_box;

use alloc_core::{
    Amount, ChargeTo, Config, Filter, Origin, Snapshot, TraceAlloc, TracedMemory, is_tracing,
    start, start_with, take_snapshot, traceback_of, traced_memory, tracer_memory,
};
use alloc_tests::Source;

#[global_allocator]
static ALLOC: TraceAlloc = TraceAlloc::system();

alloc_tests::tests![
    t02_get_tracemalloc_memory,
    t03_get_object_traceback,
    t04_new_reference,
    t05_set_traceback_limit,
    t06_get_traces,
    t07_get_traces_intern_traceback,
    t08_get_traced_memory,
    t09_clear_traces,
    t10_reset_peak,
    t11_is_tracing,
    t12_snapshot,
    t13_snapshot_save_attr,
    t15_no_incomplete_frames,
    t40_frames_are_a_number_in_range,
    t41_frames_out_of_range,
    t42_zero_bytes,
    filters_and_threads_on_a_live_snapshot,
];

const HERE: Source = alloc_tests::source!();
const MIB: u64 = 1 << 20;

/// The line of this file that allocated a live block.
fn line_of<T: ?Sized>(block: &T) -> Option<u32> {
    let traceback = traceback_of(block)?;
    let charged = traceback.charged(ChargeTo::Caller);
    let file = charged.file().map_or("", |file| file.full());
    assert!(file.ends_with(HERE.file), "{traceback}");
    Some(charged.line())
}

fn t02_get_tracemalloc_memory() {
    start().unwrap();
    let blocks: Vec<Box<u64>> = (0..100_000)
        .map(|number| Box::new(black_box(number)))
        .collect();
    let full = tracer_memory();
    assert!(full > 100_000);
    alloc_core::clear_traces();
    assert!(tracer_memory() <= full, "{} after {full}", tracer_memory());
    drop(blocks);
}

fn t03_get_object_traceback() {
    start().unwrap();
    let block = Box::new(black_box([0_u8; 123])); // mark: block
    assert_eq!(line_of(&*block), Some(HERE.line("block")));
}

/// A block at a reused address has its own traceback.
fn t04_new_reference() {
    start().unwrap();
    let mut reused = 0;
    for _ in 0..100 {
        let old = Box::new(black_box([1_u8; 200])); // mark: old
        let address = old.as_ptr();
        assert_eq!(line_of(&*old), Some(HERE.line("old")));
        drop(old);
        assert!(traceback_of(address).is_none());
        let new = Box::new(black_box([2_u8; 200])); // mark: new
        assert_eq!(line_of(&*new), Some(HERE.line("new")));
        reused += u32::from(new.as_ptr() == address);
    }
    assert!(reused > 0, "the allocator never gave an address again");
}

#[inline(never)]
fn deep(levels: usize) -> Box<[u8; 96]> {
    if levels > 0 {
        // The work after the call keeps it from becoming a jump.
        black_box(deep(black_box(levels - 1)))
    } else {
        Box::new(black_box([0; 96]))
    }
}

/// The number of calls of `deep` in the traceback of a block.
fn calls_of_deep(block: &[u8; 96]) -> usize {
    let traceback = traceback_of(block).unwrap();
    let is_deep = |name: &str| name.rsplit("::").next() == Some("deep");
    let functions = traceback.iter().filter_map(|frame| frame.function());
    functions.filter(|name| is_deep(name)).count()
}

fn t05_set_traceback_limit() {
    let error = start_with(Config::default().frames(Config::MAX_FRAMES + 1)).unwrap_err();
    assert!(error.is_invalid_config() && !is_tracing());
    for limit in [10, 1] {
        start_with(Config::default().frames(limit)).unwrap();
        let block = deep(20);
        assert_eq!(calls_of_deep(&block), usize::from(limit));
        assert_eq!(traceback_of(&*block).unwrap().total_nframe(), None);
        alloc_core::stop();
    }
}

fn t06_get_traces() {
    start().unwrap();
    let block = Box::new(black_box([0_u8; 123]));
    let traceback = traceback_of(&*block).unwrap();
    let snapshot = take_snapshot().unwrap();
    let mut same = snapshot
        .traces()
        .iter()
        .filter(|it| it.traceback == traceback);
    assert_eq!(same.next().unwrap().counters.current, Amount::new(123, 1));
    assert!(same.next().is_none());
    alloc_core::stop();
    assert!(take_snapshot().unwrap_err().is_not_tracing());
    drop(block);
}

/// Two blocks of different sizes from one stack are one trace.
fn t07_get_traces_intern_traceback() {
    let mut blocks = black_box(vec![Vec::<u8>::new(); 2]);
    start().unwrap();
    // The compiler does not know the number of rounds, so it keeps one call.
    for (block, &size) in blocks.iter_mut().zip(black_box(&[123, 125][..])) {
        *block = Vec::with_capacity(size);
    }
    let tracebacks = [0, 1].map(|at: usize| traceback_of(blocks[at].as_ptr()).unwrap());
    assert_eq!(tracebacks[0], tracebacks[1]);
    let snapshot = take_snapshot().unwrap();
    let mut same = snapshot
        .traces()
        .iter()
        .filter(|it| it.traceback == tracebacks[0]);
    assert_eq!(same.next().unwrap().counters.current, Amount::new(248, 2));
    assert!(same.next().is_none());
}

fn t08_get_traced_memory() {
    start().unwrap();
    let before = traced_memory();
    let block = black_box(vec![1_u8; 1 << 20]);
    let with = traced_memory();
    assert_eq!(with.current, before.current + MIB.into());
    assert!(with.peak >= with.current && with.peak >= before.peak);
    drop(block);
    let after = traced_memory();
    assert_eq!((after.current, after.peak), (before.current, with.peak));
    alloc_core::clear_traces();
    assert_eq!(traced_memory(), TracedMemory::default());
    let block = black_box(vec![1_u8; 1 << 20]);
    assert_eq!(traced_memory().current, MIB);
    alloc_core::stop();
    assert_eq!(traced_memory(), TracedMemory::default());
    drop(block);
}

fn t09_clear_traces() {
    start().unwrap();
    let block = Box::new(black_box([0_u8; 123]));
    assert!(traceback_of(&*block).is_some());
    alloc_core::clear_traces();
    assert!(traceback_of(&*block).is_none());
    // Tracing continues, and blocks from before are freed without effect.
    let other = Box::new(black_box([0_u8; 125]));
    assert!(traceback_of(&*other).is_some());
    drop(block);
    assert_eq!(traced_memory().current, 125);
}

fn t10_reset_peak() {
    start().unwrap();
    let large = black_box(vec![1_u8; 3 << 20]);
    drop(large);
    let before = traced_memory();
    assert!(before.peak >= before.current + (3 * MIB).into());
    alloc_core::reset_peak();
    let reset = traced_memory();
    assert_eq!(
        (reset.current, reset.peak),
        (before.current, before.current)
    );
    let block = black_box(vec![1_u8; 1 << 20]);
    assert_eq!(traced_memory().peak, reset.peak + MIB.into());
    drop(block);
}

fn t11_is_tracing() {
    assert!(!is_tracing());
    start().unwrap();
    assert!(is_tracing());
    alloc_core::stop();
    assert!(!is_tracing());
}

fn t12_snapshot() {
    let error = take_snapshot().unwrap_err().to_string();
    assert_eq!(
        error,
        "expected that tracing is on, found it off: call alloc_core::start() first"
    );
    // Frames beyond the limit are not counted, so the total is only known if the stack is whole.
    start_with(Config::default().frames(1)).unwrap();
    let cut = deep(20);
    assert_eq!(traceback_of(&*cut).unwrap().total_nframe(), None);
    alloc_core::stop();
    start_with(Config::default().frames(100)).unwrap();
    let block = deep(20);
    let whole = traceback_of(&*block).unwrap();
    assert_eq!(whole.total_nframe(), Some(whole.len()));
    assert!(whole.len() > 20);

    let snapshot = take_snapshot().unwrap();
    let mut file = Vec::new();
    snapshot.write_to(&mut file).unwrap();
    let back = Snapshot::read_from(&file[..]).unwrap();
    assert_eq!(back.traces(), snapshot.traces());
    assert_eq!(back.traceback_limit(), 100);
    let later = take_snapshot().unwrap();
    drop((block, cut));
    assert_eq!(later.traces(), snapshot.traces());
}

fn t13_snapshot_save_attr() {
    start().unwrap();
    let mut snapshot = take_snapshot().unwrap();
    snapshot.set_metadata("test_attr", "new");
    snapshot.set_metadata("größe", "");
    snapshot.set_metadata("test_attr", "newer");
    let mut file = Vec::new();
    snapshot.write_to(&mut file).unwrap();
    let back = Snapshot::read_from(&file[..]).unwrap();
    let noted: Vec<_> = back.metadata().iter().collect();
    let expected = [("größe", ""), ("test_attr", "newer")];
    let expected = expected.map(|(key, value)| (key.to_owned(), value.to_owned()));
    assert!(
        noted
            .into_iter()
            .eq(expected.iter().map(|(key, value)| (key, value)))
    );
}

/// No traceback contains frames of the tracer, or of the compiler's shims in front of it.
fn t15_no_incomplete_frames() {
    start().unwrap();
    let mut text = String::new();
    (0..100).for_each(|number: u32| text += &number.to_string());
    let boxes = (deep(3), Box::new(black_box([text.len(); 40])));
    let snapshot = take_snapshot().unwrap();
    assert!(snapshot.traces().len() >= 3);
    for trace in snapshot.traces() {
        assert!(!trace.traceback.is_empty());
        for frame in trace.traceback.iter() {
            assert_ne!(frame.origin(), Origin::Tracer, "{}", trace.traceback);
        }
    }
    drop(boxes);
}

/// `-X tracemalloc=N`: a program sets the number by a [`Config`].
fn t40_frames_are_a_number_in_range() {
    for (config, limit) in [
        (Config::default(), 128),
        (Config::default().frames(1), 1),
        (Config::default().frames(15), 15),
    ] {
        start_with(config).unwrap();
        assert_eq!(alloc_core::traceback_limit(), Some(limit));
        assert_eq!(take_snapshot().unwrap().traceback_limit(), limit);
        alloc_core::stop();
        assert_eq!(alloc_core::traceback_limit(), None);
    }
}

/// A negative number does not compile.
fn t41_frames_out_of_range() {
    for frames in [1001, u16::MAX] {
        let error = start_with(Config::default().frames(frames)).unwrap_err();
        assert!(error.is_invalid_config() && !is_tracing());
        let message = error.to_string();
        assert!(message.contains("from 0 to 1000"), "{message}");
        assert!(message.contains(&format!("found {frames}")), "{message}");
    }
}

/// Rust never requests a block of zero bytes, so there is none to trace.
fn t42_zero_bytes() {
    start().unwrap();
    let none = (
        Vec::<u8>::with_capacity(black_box(0)),
        Box::new([0_u8; 0]),
        String::new(),
    );
    assert!(traceback_of(none.0.as_ptr()).is_none());
    assert_eq!(traced_memory(), TracedMemory::default());
    drop(none);
}

/// Filters and keys on a live snapshot with known numbers.
fn filters_and_threads_on_a_live_snapshot() {
    start_with(Config::default().threads(true)).unwrap();
    let make = || (deep(2), Box::new(black_box([0_u8; 50])));
    let thread = std::thread::Builder::new().name("reader".to_owned());
    let theirs = thread.spawn(make).unwrap().join().unwrap();
    let own = make();
    let snapshot = take_snapshot().unwrap();
    let here = || Filter::include("*tracemalloc.rs");
    let current = |filters: &[Filter]| {
        let filtered = snapshot.filter_traces(filters);
        alloc_tests::sum_of(&filtered, |_| true).current
    };
    let in_deep = || here().function("*deep");
    assert_eq!(current(&[in_deep()]), Amount::new(192, 2));
    assert_eq!(current(&[in_deep().thread("reader")]), Amount::new(96, 1));
    assert_eq!(
        current(&[here().thread("re*"), Filter::exclude("*").function("*deep")]),
        Amount::new(50, 1)
    );
    let statistics = snapshot
        .filter_traces(&[in_deep()])
        .statistics([alloc_core::GroupBy::Crate, alloc_core::GroupBy::Thread]);
    let numbers: Vec<_> = statistics[0]
        .parts
        .iter()
        .map(ToString::to_string)
        .collect();
    let name = statistics[0].key.to_string();
    assert_eq!((statistics.len(), name.as_str()), (1, "tracemalloc"));
    let main = std::thread::current().name().unwrap_or_default().to_owned();
    assert_eq!(
        numbers,
        [
            "reader: size=96 B, count=1, average=96 B".to_owned(),
            format!("{main}: size=96 B, count=1, average=96 B"),
        ]
    );
    drop((own, theirs));
}
