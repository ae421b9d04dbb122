//! Rows for a fleet: what the files hold, and where they lie.
//!
//! The crate that writes them reads them back here. `.ci/fleet` reads them with other engines.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use ::parquet::file::reader::{FileReader as _, SerializedFileReader};
use ::parquet::record::Field;
use alloc_core::Snapshot;
use alloc_core_snapshot::seam::snapshot::About;
use expect_test::expect;
use tempfile::TempDir;

use super::samples::traces;
use super::support;

/// 2026-01-31 23:59:59.25 UTC.
const TIME: Duration = Duration::from_micros(1_769_903_999_250_000);

/// A snapshot with its time, process and metadata.
fn snapshot(time: Duration, process_id: u32, metadata: &[(&str, &str)]) -> Snapshot {
    let metadata = metadata
        .iter()
        .map(|(key, value)| ((*key).into(), (*value).into()));
    let about = About {
        taken_at: SystemTime::UNIX_EPOCH + time,
        process_id,
        program: "/opt/shop/bin/shopd".to_owned(),
        metadata: metadata.collect(),
        ..About::default()
    };
    Snapshot::of_named(traces(true), None, 32, about)
}

fn folder(metadata: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("heap");
    snapshot(TIME, 7, metadata).dump(path).unwrap();
    folder
}

/// Runs `export heap --to parquet -o fleet` with these arguments. Returns the path of the file.
#[track_caller]
fn written(folder: &Path, arguments: &str) -> String {
    let arguments = format!("export heap --to parquet -o fleet {arguments}");
    let said = support::stdout(folder, &arguments);
    let path = said.strip_prefix("Written to ").unwrap();
    path.strip_suffix('\n').unwrap().to_owned()
}

/// The rows of a file, each the names and values of its columns.
fn rows(path: &Path) -> Vec<Vec<(String, Field)>> {
    let reader = SerializedFileReader::new(File::open(path).unwrap()).unwrap();
    let rows = reader.get_row_iter(None).unwrap();
    let columns = |row: ::parquet::record::Row| {
        let columns = row.get_column_iter();
        columns
            .map(|(name, field)| (name.clone(), field.clone()))
            .collect()
    };
    rows.map(|row| columns(row.unwrap())).collect()
}

/// The values of a column, 0 where they are unknown.
fn numbers(rows: &[Vec<(String, Field)>], column: &str) -> Vec<i64> {
    let number = |row: &Vec<(String, Field)>| {
        let (_, field) = row.iter().find(|(name, _)| name == column).unwrap();
        match field {
            Field::Long(number) => *number,
            Field::Null => 0,
            other => panic!("{column}: {other}"),
        }
    };
    rows.iter().map(number).collect()
}

/// All Parquet files and parts of such below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => found.extend(files(&path)),
            false => found.push(path),
        }
    }
    found
}

#[test]
fn a_row_has_all_that_is_known_of_a_callsite() {
    let folder = folder(&[("service", "shop"), ("version", "1.4.0"), ("region", "eu")]);
    let path = written(
        folder.path(),
        "--instance pod-1 --label region=us --label zone=b",
    );
    let rows = rows(&folder.path().join(path));
    let known = |row: &Vec<(String, Field)>| {
        let known = row.iter().filter(|(_, field)| *field != Field::Null);
        let lines = known.map(|(name, field)| format!("{name}: {field}\n"));
        lines.collect::<String>()
    };
    expect![[r#"
        time: 2026-01-31 23:59:59.250000 +00:00
        version: "1.4.0"
        instance: "pod-1"
        labels: {"region" -> "us", "zone" -> "b"}
        program: "/opt/shop/bin/shopd"
        process_id: 7
        at_exit: false
        callsite: "b6eb5376cefc5fdf"
        stack: ["alloc::raw_vec::RawVec<T,A>::grow_one (library/alloc/src/raw_vec/mod.rs:340)", "demo::fill (src/cache.rs:41)", "demo::main (src/main.rs:3)"]
        line: "src/cache.rs:41"
        file: "src/cache.rs"
        function: "demo::fill"
        module: "demo"
        crate: "demo"
        thread: "main"
        domain: 0
        current_bytes: 9000
        current_blocks: 90
        peak_bytes: 9000
        peak_blocks: 90
        at_peak_bytes: 8000
        at_peak_blocks: 80
        total_bytes: 10000
        total_blocks: 100
        reallocations: 2
        copied_bytes: 0
        slack_bytes: 90
        total_slack_bytes: 100
        lifetime_p50_ns: 6000
        lifetime_p99_ns: 6000
        age_p50_ns: 1572864000
        age_max_ns: 1572864000
    "#]].assert_eq(&known(&rows[0]));
    // Without a stack.
    let last = known(&rows[4]);
    assert!(
        last.contains("stack: [\"<unknown>\"]\nline: \"<unknown>\"\n"),
        "{last}"
    );
    let sum = |column| numbers(&rows, column).iter().sum::<i64>();
    let truth =
        |part: fn(&alloc_core::Trace) -> u64| traces(true).iter().map(part).sum::<u64>() as i64;
    assert_eq!(
        sum("current_bytes"),
        truth(|it| it.counters.current.bytes.get())
    );
    assert_eq!(sum("total_blocks"), truth(|it| it.counters.total.blocks));
    assert_eq!(sum("reallocations"), truth(|it| it.counters.reallocations));
}

#[test]
fn a_second_export_replaces_the_file_and_another_instance_has_its_own() {
    let folder = folder(&[]);
    let first = written(folder.path(), "");
    let partition = "fleet/service=shopd/day=2026-01-31/20260131T235959Z-";
    assert!(first.starts_with(partition), "{first}");
    let other = written(folder.path(), "--version 2");
    assert_eq!(other, first);
    assert_eq!(files(&folder.path().join("fleet")).len(), 1);
    assert_ne!(written(folder.path(), "--instance b"), first);
    assert_eq!(files(&folder.path().join("fleet")).len(), 2);
}

#[test]
fn several_files_and_all_snapshots_of_a_recording_are_written() {
    let folder = folder(&[("service", "../a b")]);
    let recording = folder.path().join("morning");
    fs::create_dir(&recording).unwrap();
    fs::write(
        recording.join("run.json"),
        r#"{"command": [], "process_id": 7, "started_at": 0.0, "traced": true}"#,
    )
    .unwrap();
    fs::write(recording.join("memory.csv"), "").unwrap();
    for (name, later) in [("heap-7.0001.pb.gz", 1), ("heap-7.pb.gz", 3600)] {
        let snapshot = snapshot(TIME + Duration::from_secs(later), 7, &[]);
        snapshot.dump(recording.join(name)).unwrap();
    }
    let said = support::stdout(folder.path(), "export heap morning --to parquet -o fleet");
    let places: Vec<&str> = said
        .lines()
        .map(|it| it.rsplit_once('-').unwrap().0)
        .collect();
    let expected = [
        "Written to fleet/service=..%2Fa%20b/day=2026-01-31/20260131T235959Z",
        "Written to fleet/service=shopd/day=2026-02-01/20260201T000000Z",
        "Written to fleet/service=shopd/day=2026-02-01/20260201T005959Z",
    ];
    assert_eq!(places, expected);
}

#[test]
fn a_filter_and_a_rule_apply() {
    let folder = folder(&[]);
    let all = rows(&folder.path().join(written(folder.path(), "")));
    let some = rows(
        &folder
            .path()
            .join(written(folder.path(), "--include function=demo::fill")),
    );
    assert_eq!((all.len(), some.len()), (5, 2));
    let message = "heap: no callsite matches --include function=nowhere";
    let arguments = "export heap --to parquet -o fleet --include function=nowhere";
    support::check_failure(folder.path(), arguments, 1, message);
}

#[test]
fn bad_input_leaves_no_part_of_a_file() {
    let folder = folder(&[]);
    let here = folder.path();
    fs::write(here.join("text"), "no snapshot").unwrap();
    fs::create_dir(here.join("empty")).unwrap();
    Snapshot::from_traces(traces(false), 32)
        .dump(here.join("timeless"))
        .unwrap();
    for (arguments, message) in [
        (
            "heap --to parquet",
            "expected -o FOLDER for parquet, found none",
        ),
        (
            "heap --to parquet -o fleet --sort peak",
            "expected no --sort for parquet, whose rows hold all metrics",
        ),
        (
            "heap heap --to dhat -o a.json",
            "expected one file, found 2; only parquet takes several",
        ),
        (
            "heap --to dhat --service a",
            "expected --service, --version, --instance and --label for parquet and otlp only",
        ),
        (
            "text --to parquet -o fleet",
            "cannot read the snapshot text",
        ),
        ("empty --to parquet -o fleet", "found another folder"),
        (
            "nothing --to parquet -o fleet",
            "cannot read the snapshot nothing",
        ),
        (
            "timeless --to parquet -o fleet",
            "timeless: expected the name of its service, found none; --service gives it",
        ),
        (
            "timeless --to parquet -o fleet --service a --instance b",
            "timeless: expected the time when it was taken, found none",
        ),
        (
            "heap --to parquet -o text",
            "cannot write text/service=shopd/",
        ),
    ] {
        support::check_failure(here, &format!("export {arguments}"), 1, message);
    }
    for (arguments, message) in [
        ("--to parquet", "<FILE>"),
        (
            "heap --to parquet -o fleet --label eu",
            "expected a label such as region=eu, found \"eu\"",
        ),
        (
            "heap --to parquet -o fleet --service=",
            "expected a name, found nothing",
        ),
    ] {
        support::check_failure(here, &format!("export {arguments}"), 2, message);
    }
    assert!(!here.join("fleet").exists());
}
