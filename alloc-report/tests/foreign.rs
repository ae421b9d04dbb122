//! Heap profiles of Go and jemalloc in `top` and `diff`.
//!
//! `data/README.md` says how they were made. So their sizes are known: they are the size classes of
//! the requests.

use std::path::{Path, PathBuf};

use expect_test::expect;
use serde_json::Value;

mod support;

const KIB: u64 = 1024;

fn data() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data")
}

#[track_caller]
fn stdout(arguments: &str) -> String {
    support::stdout(&data(), arguments)
}

#[track_caller]
fn json(arguments: &str) -> Value {
    support::json(&data(), arguments)
}

/// The row of a function, by the end of its name.
fn row<'a>(report: &'a Value, function: &str) -> &'a Value {
    let rows = report["rows"].as_array().expect("rows");
    let is_it = |row: &&Value| {
        row["function"]
            .as_str()
            .is_some_and(|it| it.ends_with(function))
    };
    rows.iter()
        .find(is_it)
        .unwrap_or_else(|| panic!("no {function} in {report}"))
}

#[track_caller]
fn check(row: &Value, expected: &[(&str, i64)]) {
    for &(key, number) in expected {
        assert_eq!(row[key].as_i64(), Some(number), "{key} of {row}");
    }
}

/// Go rounds 100,000 up to 104 KiB, 200,000 to 200 KiB and 50,000 to 56 KiB.
#[test]
fn a_profile_of_go() {
    let report = json("top go-new.pb.gz --by function");
    let kept = 10 * 104 * KIB + 20 * 200 * KIB;
    check(
        row(&report, "main.keep"),
        &[("bytes", kept as i64), ("blocks", 30)],
    );
    let report = json("top go-new.pb.gz --by function --sort total");
    check(
        row(&report, "main.keep"),
        &[("bytes", kept as i64), ("blocks", 30)],
    );
    check(
        row(&report, "main.waste"),
        &[("bytes", 10 * 56 * 1024), ("blocks", 10)],
    );
    assert_eq!(row(&report, "main.waste")["current"]["bytes"], 0);

    let report = json("diff go-old.pb.gz go-new.pb.gz --by function");
    let grown = 20 * 200 * 1024;
    check(
        row(&report, "main.keep"),
        &[
            ("bytes_diff", grown),
            ("blocks_diff", 20),
            ("bytes", kept as i64),
        ],
    );
    let lines = json("diff go-old.pb.gz go-new.pb.gz");
    check(&lines["rows"][0], &[("line", 13), ("bytes_diff", grown)]);
}

/// jemalloc rounds 100,000 up to 112 KiB and 200,000 to 224 KiB.
#[test]
fn a_profile_of_jemalloc() {
    let kept = 10 * 112 * 1024 + 20 * 224 * 1024;
    let report = json("top jemalloc-new.pb.gz --by function --charge workspace");
    check(row(&report, "keep"), &[("bytes", kept)]);
    let report =
        json("diff jemalloc-old.pb.gz jemalloc-new.pb.gz --by function --charge workspace");
    check(
        row(&report, "keep"),
        &[("bytes", kept), ("bytes_diff", 20 * 224 * 1024)],
    );
    // The allocator's own allocations are charged to its callers.
    let text = stdout("top jemalloc-old.pb.gz");
    assert!(!text.contains("prof_sys.c"), "{text}");
}

/// The difference from the newer to the older profile shrinks by 20 times 200 KiB.
#[test]
fn a_difference_has_signed_changes() {
    let shrunk = -20 * 200 * KIB as i64;
    let report = json("diff go-delta.pb.gz --by function");
    let keep = row(&report, "main.keep");
    check(keep, &[("bytes_diff", shrunk), ("blocks_diff", -20)]);
    assert_eq!(
        (&keep["bytes"], &keep["blocks"]),
        (&Value::Null, &Value::Null)
    );
    assert_eq!(report["new"]["current_bytes"], Value::Null);
    // The difference equals the comparison of its two profiles.
    let two = json("diff go-new.pb.gz go-old.pb.gz --by function --sort freed");
    let one = json("diff go-delta.pb.gz --by function --sort freed");
    assert_eq!(one["total"]["bytes_diff"], two["total"]["bytes_diff"]);

    // The second function is a table that Go's runtime allocates once.
    expect![[r#"
        heap, 2026-11-25 20:10:31 UTC
        -4008 KiB in -21 live blocks, by function

        #        change  count  function
        1  -4,000.0 KiB    -20  main.keep
        2      -8.0 KiB     -1  hash/crc32.slicingMakeTable
               +0.0 KiB     +0  other (5 functions, unchanged)
           -4,008.0 KiB    -21  total

        note: the file holds the change between two moments, not the amount at either
    "#]]
    .assert_eq(&stdout("diff go-delta.pb.gz --by function --no-source"));

    let message = "`alloc-report diff FILE` shows it";
    support::check_failure(&data(), "top go-delta.pb.gz", 1, message);
}

#[test]
fn notes_name_the_metrics_that_a_profile_lacks() {
    #[track_caller]
    fn check_note(arguments: &str, note: &str) {
        let text = stdout(arguments);
        assert!(text.contains(note), "{text}");
        assert!(!text.contains("; at the peak "), "{text}");
    }
    check_note(
        "top go-new.pb.gz --sort at-peak",
        "note: the file does not contain live memory at the peak\n",
    );
    check_note(
        "top jemalloc-new.pb.gz --sort total",
        "note: the file does not contain total allocations or block counts\n",
    );
    check_note(
        "top jemalloc-new.pb.gz",
        "note: the file does not contain block counts\n",
    );
    expect![[r#"
        jeprof, 2026-11-25 20:12:07 UTC
        47.6 MiB in ? live blocks, by function of the workspace

        #      size   share  count  average  function
        1  42.1 MiB   88.5%      ?        ?  write
        2   5.5 MiB   11.5%      ?        ?  keep
        3  <0.1 MiB   <0.1%      ?        ?  main
           47.6 MiB  100.0%      ?        ?  total

        note: the file does not contain block counts
    "#]]
    .assert_eq(&stdout(
        "top jemalloc-new.pb.gz --by function --charge workspace --no-source",
    ));
    expect![[r#"
        rank,by,key,function,file,path,line,functions,bytes,bytes_diff,blocks,blocks_diff,average_bytes
        1,crate,gimli 0.34.0,,,,,,23745520,23745520,,,
        2,crate,backtrace 0.3.77,,,,,,21315406,21315406,,,
        3,crate,addr2line 0.27.1,,,,,,4824288,4824288,,,
        4,crate,jeprof,,,,,,712,-1148512,,,
        5,crate,mappings 0.7.2,,,,,,2560,2560,,,
        6,crate,jemalloc_pprof 0.8.2,,,,,,16,-80,,,
        7,crate,tempfile 3.27.0,,,,,,0,-16,,,
        8,crate,fastrand 2.5.0,,,,,,48,0,,,
    "#]].assert_eq(&stdout(
        "diff jemalloc-old.pb.gz jemalloc-new.pb.gz --by crate --format csv",
    ));
    expect![[r#"
        heap, 2026-11-25 20:10:31 UTC
        ? in ? blocks summed over individual peaks, by function

        note: the file does not contain the peak of each callsite
    "#]]
    .assert_eq(&stdout("top go-new.pb.gz --sort peak --by function"));
    let report = json("top jemalloc-new.pb.gz --by function --charge workspace");
    let row = &report["rows"][0];
    assert_eq!(
        (&row["blocks"], &row["peak"], &row["total"]),
        (&Value::Null, &Value::Null, &Value::Null)
    );
    assert_eq!(report["total"]["blocks"], Value::Null);
    assert_eq!(
        json("top go-new.pb.gz --sort peak")["total"]["bytes"],
        Value::Null
    );
    let text = stdout("top go-new.pb.gz");
    assert!(!text.contains("does not contain"), "{text}");
    assert!(!text.contains("at the peak"), "{text}");
}
