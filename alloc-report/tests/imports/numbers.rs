//! The numbers of each file equal those that its own tool prints.

use alloc_core::{GroupBy, Metric, Snapshot};

use super::{FILES, import};

const ALL: [Metric; 5] = [
    Metric::Current,
    Metric::Peak,
    Metric::AtPeak,
    Metric::Total,
    Metric::Freed,
];

/// Compares bytes and blocks of all callsites.
#[track_caller]
fn check(snapshot: &Snapshot, metric: Metric, bytes: u64, blocks: u64) {
    assert!(
        snapshot.knows(metric) && snapshot.knows_blocks(),
        "{metric}"
    );
    let all = snapshot.statistics_by(GroupBy::Function, metric);
    let sum = all
        .iter()
        .fold((0, 0), |sum, it| (sum.0 + it.size.get(), sum.1 + it.count));
    assert_eq!(sum, (bytes, blocks), "{metric}");
}

/// Compares bytes and blocks that are charged to a function.
#[track_caller]
fn check_function(snapshot: &Snapshot, metric: Metric, function: &str, bytes: u64, blocks: u64) {
    let all = snapshot.statistics_by(GroupBy::Function, metric);
    let row = all.iter().find(|it| it.key.to_string() == function);
    let row = row.unwrap_or_else(|| panic!("no {function}"));
    assert_eq!(
        (row.size.get(), row.count),
        (bytes, blocks),
        "{metric} of {function}"
    );
}

/// Everything else is unknown.
#[track_caller]
fn knows_only(snapshot: &Snapshot, known: &[Metric]) {
    for metric in ALL {
        assert_eq!(snapshot.knows(metric), known.contains(&metric), "{metric}");
    }
}

/// `==22258== Total:     14,504,156 bytes in 91 blocks`, and so on.
#[test]
fn dhat_of_valgrind() {
    let snapshot = import("valgrind.json");
    check(&snapshot, Metric::Total, 14_504_156, 91);
    check(&snapshot, Metric::AtPeak, 8_002_084, 14);
    check(&snapshot, Metric::Current, 5_002_080, 32);
    assert_eq!(snapshot.traced_memory().peak, 8_002_084);
    // As in dh_view.html.
    check_function(&snapshot, Metric::Current, "demo::keep", 5_000_000, 30);
    check_function(&snapshot, Metric::AtPeak, "demo::peak", 7_000_000, 1);
    check_function(&snapshot, Metric::Total, "demo::waste", 2_500_000, 50);
    knows_only(&snapshot, &ALL);
    // Valgrind counts instructions.
    assert!(snapshot.traces().iter().all(|it| it.lifetimes.is_none()));
    assert_eq!(
        (snapshot.program(), snapshot.process_id()),
        ("./demo", 22258)
    );
    assert!(snapshot.is_at_exit());
}

/// `dhat: Total:     14,501,536 bytes in 82 blocks`, and so on.
#[test]
fn dhat_of_dhat_rs() {
    let snapshot = import("dhat-rs.json");
    check(&snapshot, Metric::Total, 14_501_536, 82);
    check(&snapshot, Metric::AtPeak, 8_001_536, 12);
    check(&snapshot, Metric::Current, 5_001_536, 31);
    check_function(&snapshot, Metric::Current, "dhat_rs::keep", 5_000_000, 30);
    // `"mb": 50000, "mbk": 1` of the 50 blocks, one after the other.
    check_function(&snapshot, Metric::Peak, "dhat_rs::waste", 50_000, 1);
    knows_only(&snapshot, &ALL);
    // `"tbk": 50, "tl": 127817`: 2.5 ms each.
    let function = |it: &alloc_core::Frame| it.function() == Some("dhat_rs::waste");
    let traces = snapshot.traces();
    let waste = traces.iter().find(|it| it.traceback.iter().any(function));
    let lived = waste
        .and_then(|it| it.lifetimes.as_ref())
        .expect("lifetimes");
    assert_eq!((lived.freed.count(), lived.live.count()), (50, 0));
    let mean = lived.freed.quantile(0.5).expect("a mean").as_micros();
    assert!((2556..=2556 * 3 / 2).contains(&mean), "{mean}");
}

/// The sums of `heaptrack_print -F - --flamegraph-cost-type peak|leaked|allocations`.
#[test]
fn heaptrack() {
    let snapshot = import("heaptrack.zst");
    check(&snapshot, Metric::AtPeak, 8_074_788, 15);
    check(&snapshot, Metric::Current, 5_002_080, 32);
    let total = snapshot.statistics_by(GroupBy::Function, Metric::Total);
    assert_eq!(total.iter().map(|it| it.count).sum::<u64>(), 92);
    assert_eq!(snapshot.traced_memory().peak, 8_074_788);
    check_function(&snapshot, Metric::Current, "demo::keep", 5_000_000, 30);
    check_function(&snapshot, Metric::AtPeak, "demo::keep", 1_000_000, 10);
    check_function(&snapshot, Metric::AtPeak, "demo::peak", 7_000_000, 1);
    check_function(&snapshot, Metric::Total, "demo::waste", 2_500_000, 50);
    check_function(&snapshot, Metric::Peak, "demo::waste", 50_000, 1);
    knows_only(&snapshot, &ALL);
    assert_eq!(snapshot.program(), "./demo");
}

/// `jeprof --text --show_bytes`: `Total: 11051648 B`; it prints no numbers of blocks of this file.
#[test]
fn jemalloc_with_every_block() {
    let snapshot = import("jemalloc-exact.heap");
    check(&snapshot, Metric::Current, 11_051_648, 5_032);
    assert_eq!(snapshot.sampled_every(), None);
    knows_only(&snapshot, &[Metric::Current]);
}

/// `jeprof --text --show_bytes` with `--inuse_space`, `--inuse_objects`, `--alloc_space` and
/// `--alloc_objects`: `Total: 10881110 B`, `4864 objects`, `13759377 B`, `4930 objects`.
#[test]
fn jemalloc_with_a_sample_of_all_allocations() {
    let snapshot = import("jemalloc-sampled.heap");
    check(&snapshot, Metric::Current, 10_881_110, 4_864);
    check(&snapshot, Metric::Total, 13_759_377, 4_930);
    assert_eq!(snapshot.sampled_every(), Some(8192.into()));
    assert!(snapshot.traced_memory().sampled);
    knows_only(&snapshot, &[Metric::Current, Metric::Total, Metric::Freed]);
}

/// `go tool pprof -top -unit=b gotext go-debug1.txt`, for each `-sample_index`.
#[test]
fn text_of_go() {
    let snapshot = import("go-debug1.txt");
    check(&snapshot, Metric::Current, 13_119_703, 2_627);
    check(&snapshot, Metric::Total, 35_906_660, 3_025);
    check_function(&snapshot, Metric::Current, "main.keep", 12_852_609, 1_714);
    check_function(&snapshot, Metric::Current, "runtime.malg", 65_744, 158);
    check_function(&snapshot, Metric::Total, "main.keep", 13_022_072, 1_718);
    check_function(&snapshot, Metric::Total, "main.waste", 22_617_494, 394);
    knows_only(&snapshot, &[Metric::Current, Metric::Total, Metric::Freed]);
    assert_eq!(snapshot.sampled_every(), Some(65_536.into()));
}

/// `memray stats --json`: `"peak_memory": 8039367`; `memray summary`: 52 allocations in all.
#[test]
fn memray() {
    let snapshot = import("memray.csv");
    check(&snapshot, Metric::AtPeak, 8_039_367, 52);
    check_function(&snapshot, Metric::AtPeak, "peak", 7_000_001, 1);
    check_function(&snapshot, Metric::AtPeak, "keep", 1_000_010, 10);
    knows_only(&snapshot, &[Metric::AtPeak]);
    assert_eq!(snapshot.first_metric(), Metric::AtPeak);
}

/// gperftools writes the same text with addresses, and counts every block or every N bytes.
#[test]
fn text_of_gperftools() {
    let file = "\
heap profile:      3:   204800 [    10:   409600] @ heapprofile
     2:   102400 [     5:   204800] @ 0x00401136 0x00401156 0x7f2c3d029d90
     1:   102400 [     5:   204800] @ 0x00401140 0x00401156 0x7f2c3d029d90

MAPPED_LIBRARIES:
00400000-00402000 r-xp 00000000 08:01 1234 /srv/no-such-program
";
    let snapshot = alloc_report::import(file.as_bytes()).unwrap();
    check(&snapshot, Metric::Current, 204_800, 3);
    check(&snapshot, Metric::Total, 409_600, 10);
    assert_eq!(snapshot.program(), "/srv/no-such-program");
    let stack = &snapshot.traces()[0].traceback;
    let names: Vec<_> = stack.iter().filter_map(|it| it.function()).collect();
    assert_eq!(
        names,
        [
            "no-such-program+0x1136",
            "no-such-program+0x1156",
            "0x7f2c3d029d8f"
        ]
    );
    let sampled = file.replace("heapprofile", "heap_v2/4096");
    let snapshot = alloc_report::import(sampled.as_bytes()).unwrap();
    // 102400 / (1 - exp(-12.5)), and 102400 / (1 - exp(-25)).
    check(&snapshot, Metric::Current, 204_800, 3);
    assert_eq!(snapshot.sampled_every(), Some(4096.into()));
}

/// A snapshot made of a file has its numbers, its names, and what it does not know.
#[test]
fn snapshots_of_files_are_whole() {
    for file in FILES {
        let read = import(file);
        let mut bytes = Vec::new();
        read.write_to(&mut bytes).unwrap();
        let back = Snapshot::read_from(&bytes[..]).unwrap();
        assert_eq!(back.traced_memory(), read.traced_memory(), "{file}");
        assert_eq!(back.sampled_every(), read.sampled_every(), "{file}");
        assert_eq!(back.knows_blocks(), read.knows_blocks(), "{file}");
        assert_eq!(back.has_mean_ages(), read.has_mean_ages(), "{file}");
        assert_eq!(back.first_metric(), read.first_metric(), "{file}");
        for metric in ALL {
            assert_eq!(back.knows(metric), read.knows(metric), "{file}");
        }
        assert_eq!(back.traces(), read.traces(), "{file}");
    }
}
