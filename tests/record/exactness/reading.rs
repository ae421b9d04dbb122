//! A snapshot after the program has continued, in a file, and as text.

use std::hint::black_box;

use alloc_core::{GroupBy, Metric, Snapshot, start};
use alloc_tests::Source;

use crate::{check_line, checked_snapshot};

const HERE: Source = alloc_tests::source!();

pub(crate) fn a_snapshot_stays_as_it_is() {
    start().unwrap();
    let block = vec![1_u8; black_box(1000)]; // mark: snapshot
    let snapshot = checked_snapshot();
    drop(block);
    let other = vec![2_u8; black_box(9000)];
    check_line(
        HERE,
        &snapshot,
        ("snapshot", (1000, 1), (1000, 1), (1000, 1), 0),
    );
    assert_eq!(snapshot.traced_memory().peak, 1000);
    alloc_core::stop();
    check_line(
        HERE,
        &snapshot,
        ("snapshot", (1000, 1), (1000, 1), (1000, 1), 0),
    );
    assert_eq!(snapshot.statistics(GroupBy::Line).len(), 1);
    start().unwrap();
    assert!(checked_snapshot().traces().is_empty());
    check_line(
        HERE,
        &snapshot,
        ("snapshot", (1000, 1), (1000, 1), (1000, 1), 0),
    );
    drop(other);
}

pub(crate) fn a_dumped_snapshot_is_loaded_whole() {
    start().unwrap();
    let mut boxes = Vec::new();
    for size in 1..50 {
        boxes.push(vec![0_u8; black_box(size * 10)]);
    }
    boxes.drain(10..30);
    let text = format!("{:?}", black_box([1, 2, 3]));
    let snapshot = checked_snapshot();
    alloc_core::stop();
    drop((boxes, text));

    let path = std::env::temp_dir().join(format!("alloc-tests-{}.pb.gz", std::process::id()));
    snapshot.dump(&path).unwrap();
    let loaded = Snapshot::load(&path).unwrap();
    std::fs::remove_file(&path).unwrap();

    for by in [
        GroupBy::Line,
        GroupBy::File,
        GroupBy::Function,
        GroupBy::Traceback,
        GroupBy::FoldedTraceback,
    ] {
        for metric in [Metric::Current, Metric::Peak, Metric::AtPeak, Metric::Total] {
            let rows = |snapshot: &Snapshot| {
                let statistics = snapshot.statistics_by(by, metric);
                let row =
                    |it: &alloc_core::Statistic| (it.key.clone(), it.size, it.count, it.counters);
                statistics.iter().map(row).collect::<Vec<_>>()
            };
            assert!(!rows(&snapshot).is_empty());
            assert_eq!(rows(&loaded), rows(&snapshot), "{by} {metric}");
        }
    }
    assert_eq!(loaded.traced_memory(), snapshot.traced_memory());
    assert_eq!(loaded.traceback_limit(), snapshot.traceback_limit());
    assert_eq!(loaded.health(), snapshot.health());
    assert_eq!(loaded.process_id(), std::process::id());
    assert_eq!(loaded.command_line(), snapshot.command_line());
    assert_eq!(loaded.taken_at(), snapshot.taken_at());

    let mut bytes = Vec::new();
    snapshot.write_to(&mut bytes).unwrap();
    let read = Snapshot::read_from(bytes.as_slice()).unwrap();
    assert_eq!(read.traces().len(), snapshot.traces().len());
    assert!(
        Snapshot::read_from(&bytes[..bytes.len() / 2])
            .unwrap_err()
            .is_invalid_file()
    );
    assert!(
        Snapshot::read_from(&b"not a snapshot"[..])
            .unwrap_err()
            .is_invalid_file()
    );
    assert!(Snapshot::load(&path).unwrap_err().is_io());
}

pub(crate) fn statistics_are_sorted_and_printed_as_tracemalloc_does() {
    start().unwrap();
    let boxes: [_; 3] = std::array::from_fn(|_| black_box(Box::new([0_u8; 100]))); // mark: small
    let vec = vec![0_u8; black_box(20_480)]; // mark: large
    drop(black_box(vec![0_u8; black_box(50_000)])); // mark: largest
    let snapshot = checked_snapshot();
    alloc_core::stop();

    let [small, large, largest] = ["small", "large", "largest"].map(|mark| HERE.line(mark));
    let texts = |metric| {
        let statistics = snapshot.statistics_by(GroupBy::Line, metric);
        let without_path = |it: &alloc_core::Statistic| {
            let text = it.to_string();
            text[text.find(".rs:").expect("a Rust source file") + 4..].to_owned()
        };
        statistics.iter().map(without_path).collect::<Vec<_>>()
    };
    let at_now = texts(Metric::Current);
    assert_eq!(
        at_now[0],
        format!("{large}: size=20.0 KiB, count=1, average=20.0 KiB")
    );
    assert_eq!(
        at_now[1],
        format!("{small}: size=300 B, count=3, average=100 B")
    );
    let at_peak = texts(Metric::AtPeak);
    assert_eq!(
        at_peak[0],
        format!("{largest}: size=48.8 KiB, count=1, average=48.8 KiB")
    );
    assert_eq!(
        at_peak[1],
        format!("{large}: size=20.0 KiB, count=1, average=20.0 KiB")
    );
    assert_eq!(texts(Metric::Total)[0], at_peak[0]);
    drop((boxes, vec));
}
