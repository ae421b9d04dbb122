//! The heap over time during a piece of work, compared with exact arithmetic.

use std::hint::black_box;
use std::time::Duration;

use alloc_core::{Bytes, TraceAlloc, memory_usage, start};

#[global_allocator]
static ALLOC: TraceAlloc = TraceAlloc::system();

alloc_tests::tests!(
    the_peak_is_exact_and_the_work_runs_once,
    no_sample_is_later_than_the_end,
    without_a_new_peak_the_samples_give_it,
    resident_memory_is_sampled_with_the_heap,
    a_panic_goes_on,
    without_tracing_resident_memory_is_sampled,
);

const INTERVAL: Duration = Duration::from_millis(2);
const MIB: usize = 1 << 20;

/// Waits long enough for a sample on a busy machine.
fn wait() {
    std::thread::sleep(Duration::from_millis(300));
}

fn the_peak_is_exact_and_the_work_runs_once() {
    start().unwrap();
    let before = alloc_core::traced_memory().current;
    let mut runs = 0;
    let usage = memory_usage(INTERVAL, || {
        runs += 1;
        let kept = black_box(vec![1_u8; 3 * MIB]);
        wait();
        // This is shorter than any interval.
        drop(black_box(vec![1_u8; 5 * MIB]));
        kept
    });
    assert_eq!((runs, usage.value.len()), (1, 3 * MIB));
    let above = |bytes: Bytes| bytes.get() - before.get();
    assert_eq!(above(usage.peak.unwrap()), 8 * MIB as u64);
    assert_eq!(usage.highest(), usage.peak.unwrap());

    let (first, last) = (usage.samples[0], usage.samples[usage.samples.len() - 1]);
    assert_eq!(above(first.heap.current), 0);
    assert_eq!(above(last.heap.current), 3 * MIB as u64);
    assert!(usage.samples.is_sorted_by_key(|it| it.at));
    let within = usage
        .samples
        .iter()
        .filter(|it| above(it.heap.current) == 3 * MIB as u64);
    assert!(within.count() >= 2, "{:?}", usage.samples);
    // The thread that samples is not the program's. The program has one thread, so its peak is
    // exact.
    assert!(
        usage
            .samples
            .iter()
            .all(|it| it.heap.peak_error == Bytes::ZERO)
    );
    drop(usage);
    assert_eq!(
        alloc_core::traced_memory().current,
        before,
        "its samples are not recorded"
    );
}

fn no_sample_is_later_than_the_end() {
    start().unwrap();
    for _ in 0..200 {
        let usage = memory_usage(Duration::ZERO, || std::thread::sleep(INTERVAL / 10));
        assert!(usage.samples.len() >= 2);
        assert!(usage.samples.is_sorted_by_key(|it| it.at));
    }
}

fn without_a_new_peak_the_samples_give_it() {
    start().unwrap();
    drop(black_box(vec![0_u8; 20 * MIB]));
    let before = alloc_core::traced_memory().current;
    let work = || {
        let kept = black_box(vec![0_u8; 2 * MIB]);
        wait();
        drop(kept);
    };
    let usage = memory_usage(INTERVAL, work);
    assert_eq!(usage.peak, None, "the heap was larger before");
    assert_eq!(usage.highest().get() - before.get(), 2 * MIB as u64);
    alloc_core::reset_peak();
    let usage = memory_usage(INTERVAL, work);
    assert_eq!(usage.peak.unwrap().get() - before.get(), 2 * MIB as u64);
}

fn resident_memory_is_sampled_with_the_heap() {
    start().unwrap();
    let usage = memory_usage(INTERVAL, || {
        let touched = black_box(vec![1_u8; 50 * MIB]);
        wait();
        drop(touched);
    });
    let resident = usage.samples.iter().filter_map(|it| it.resident);
    let (least, most) = (resident.clone().min().unwrap(), resident.max().unwrap());
    let grown = (most.get() - least.get()) as usize;
    assert!((49 * MIB..60 * MIB).contains(&grown), "{least} {most}");
}

fn a_panic_goes_on() {
    start().unwrap();
    std::panic::set_hook(Box::new(|_| {}));
    let result = std::panic::catch_unwind(|| memory_usage(INTERVAL, || panic!("on purpose")));
    drop(std::panic::take_hook());
    let panic = result.err().unwrap();
    assert_eq!(panic.downcast_ref(), Some(&"on purpose"));
}

fn without_tracing_resident_memory_is_sampled() {
    let usage = memory_usage(INTERVAL, wait);
    assert_eq!((usage.peak, usage.highest()), (None, Bytes::ZERO));
    assert!(
        usage
            .samples
            .iter()
            .all(|it| it.resident.unwrap() > Bytes::ZERO)
    );
}
