//! JSON and CSV, and escaping in every format.

use alloc_core::Snapshot;
use expect_test::expect;
use serde_json::{Value, json};

use crate::set_up::{check, check_json, trace};
use crate::support::{json as json_in, stdout};

#[test]
fn top_has_every_documented_key() {
    check_json("top new -n 1 --sort total", |report| {
        assert_eq!(report["snapshot"]["file"], "new");
        assert_eq!(report["snapshot"]["taken_at"], Value::Null);
        assert_eq!(report["snapshot"]["traceback_limit"], 32);
        assert_eq!(report["snapshot"]["current_bytes"], 12_506_144);
        assert_eq!(report["snapshot"]["peak_bytes"], 12_702_048);
        assert_eq!(report["snapshot"]["peak_error_bytes"], 0);
        assert_eq!(report["snapshot"]["health"]["broken_stacks"], 0);
        let expected = json!({
            "report": "top",
            "by": "line",
            "cumulative": false,
            "metric": "total",
            "order": "bytes",
            "charge": "caller",
            "skip": [],
            "full": false,
            "include": [],
            "exclude": [],
            "all_frames": false,
            "snapshot": report["snapshot"],
            "rows": [{
                "rank": 1,
                "key": "src/cache.rs:41",
                "function": null,
                "file": "src/cache.rs",
                "path": "src/cache.rs",
                "line": 41,
                "bytes": 24_900_000,
                "blocks": 198_746,
                "average_bytes": 125,
                "share": 24_900_000.0 / 25_208_192.0,
                "current": { "bytes": 12_500_000, "blocks": 99_746 },
                "peak": { "bytes": 12_500_000, "blocks": 99_746 },
                "at_peak": { "bytes": 12_400_000, "blocks": 99_000 },
                "total": { "bytes": 24_900_000, "blocks": 198_746 },
                "freed": { "bytes": 12_400_000, "blocks": 99_000 },
                "reallocations": 2,
                "copied_bytes": 6_250_000,
            }],
            "other": { "rows": 3, "bytes": 308_192, "blocks": 8 },
            "total": { "rows": 4, "bytes": 25_208_192, "blocks": 198_754 },
            "notes": [],
        });
        assert_eq!(report, expected);
    });
}

#[test]
fn stacks_have_all_frames() {
    check_json("top new -n 1 --by traceback", |report| {
        let row = &report["rows"][0];
        assert_eq!(
            (&row["function"], &row["line"]),
            (&json!("demo::fill"), &json!(41))
        );
        let functions: Vec<_> = row["frames"]
            .as_array()
            .unwrap()
            .iter()
            .map(|frame| frame["function"].as_str().unwrap())
            .collect();
        assert_eq!(
            functions,
            [
                "alloc::raw_vec::RawVec<T,A>::grow_one",
                "alloc::vec::Vec<T,A>::push",
                "demo::fill",
                "demo::main",
                "std::rt::lang_start",
            ]
        );
        let fill = json!({
            "function": "demo::fill",
            "file": "src/cache.rs",
            "path": "src/cache.rs",
            "line": 41,
            "column": 9,
        });
        assert_eq!(row["frames"][2], fill);
        assert_eq!(row["frames"][0]["file"], "library/alloc/src/raw_vec/mod.rs");
    });
}

#[test]
fn diff_includes_unchanged_rows() {
    check_json("diff old new --sort at-peak --by file", |report| {
        assert_eq!(report["report"], "diff");
        assert_eq!(
            (&report["old"]["file"], &report["new"]["file"]),
            (&json!("old"), &json!("new"))
        );
        let row = |rank, file, bytes: [i64; 2], blocks: [i64; 2], average| {
            json!({
                "rank": rank,
                "key": file,
                "function": null,
                "file": file,
                "path": file,
                "line": null,
                "bytes": bytes[0],
                "bytes_diff": bytes[1],
                "blocks": blocks[0],
                "blocks_diff": blocks[1],
                "average_bytes": average,
            })
        };
        let rows = json!([
            row(
                1,
                "src/cache.rs",
                [12_400_000, 12_399_000],
                [99_000, 98_990],
                125
            ),
            row(2, "src/index.rs", [2_048, 2_048], [2, 2], 1_024),
            row(3, "src/load.rs", [300_000, 0], [3, 0], 100_000),
        ]);
        assert_eq!(report["rows"], rows);
        let sum = |rows, bytes, bytes_diff, blocks, blocks_diff| {
            json!({
                "rows": rows,
                "bytes": bytes,
                "bytes_diff": bytes_diff,
                "blocks": blocks,
                "blocks_diff": blocks_diff,
            })
        };
        assert_eq!(
            report["total"],
            sum(3, 12_702_048, 12_401_048, 99_005, 98_992)
        );
        assert_eq!(report["other"], sum(0, 0, 0, 0, 0));
    });
}

#[test]
fn csv_has_a_line_for_each_row() {
    check(
        "top new --by function,line -n 2 --format csv",
        expect![[r#"
            rank,by,key,function,file,path,line,functions,bytes,blocks,average_bytes,share,current_bytes,current_blocks,peak_bytes,peak_blocks,at_peak_bytes,at_peak_blocks,total_bytes,total_blocks,freed_bytes,freed_blocks,reallocations,copied_bytes
            1,function,demo::fill,demo::fill,,,,,12504096,99747,125,0.9998362404910738,12504096,99747,12504096,99747,12400000,99000,24904096,198747,12400000,99000,4,6252048
            1.1,line,src/cache.rs:41,,src/cache.rs,src/cache.rs,41,,12500000,99746,125,0.9995087214732215,12500000,99746,12500000,99746,12400000,99000,24900000,198746,12400000,99000,2,6250000
            1.2,line,src/cache.rs:52,,src/cache.rs,src/cache.rs,52,,4096,1,4096,0.0003275190178523452,4096,1,4096,1,0,0,4096,1,0,0,2,2048
            2,function,demo::index,demo::index,,,,,2048,2,1024,0.0001637595089261726,2048,2,2048,2,2048,2,4096,4,2048,2,2,1024
            2.1,line,src/index.rs:5,,src/index.rs,src/index.rs,5,,2048,2,1024,0.0001637595089261726,2048,2,2048,2,2048,2,4096,4,2048,2,2,1024
        "#]],
    );
    check(
        "diff old new -n 2 --by crate --format csv",
        expect![[r#"
            rank,by,key,function,file,path,line,functions,bytes,bytes_diff,blocks,blocks_diff,average_bytes
            1,crate,demo,,,,,,12506144,12205144,99749,99736,125
        "#]],
    );
    check(
        "top new -n 1 --by traceback --format csv",
        expect![[r#"
            rank,by,key,function,file,path,line,functions,bytes,blocks,average_bytes,share,current_bytes,current_blocks,peak_bytes,peak_blocks,at_peak_bytes,at_peak_blocks,total_bytes,total_blocks,freed_bytes,freed_blocks,reallocations,copied_bytes
            1,traceback,library/alloc/src/raw_vec/mod.rs:340 < library/alloc/src/raw_vec/mod.rs:341 < src/cache.rs:41 < src/main.rs:3 < library/std/src/rt.rs:200,demo::fill,src/cache.rs,src/cache.rs,41,"alloc::raw_vec::RawVec<T,A>::grow_one < alloc::vec::Vec<T,A>::push < demo::fill < demo::main < std::rt::lang_start",12500000,99746,125,0.9995087214732215,12500000,99746,12500000,99746,12400000,99000,24900000,198746,12400000,99000,2,6250000
        "#]],
    );
}

#[test]
fn control_characters_are_escaped_in_every_format() {
    let folder = tempfile::tempdir().unwrap();
    let trace = trace(
        "f\u{9b}2J\u{202e}",
        "a\u{1b}[2J\u{7f}\u{202e}sr.rs",
        2,
        (10, 1),
        (10, 1),
    );
    let snapshot = Snapshot::from_traces(vec![trace], 32);
    snapshot.dump(folder.path().join("new\u{202e}")).unwrap();
    for format in ["text", "json", "csv"] {
        for by in [
            "line",
            "file",
            "function",
            "traceback",
            "folded",
            "module,line",
            "crate",
        ] {
            let arguments = format!("top new\u{202e} --by {by} --format {format}");
            let text = stdout(folder.path(), &arguments);
            let is_control = |c: char| c != '\n' && (c.is_control() || c == '\u{202e}');
            assert!(!text.contains(is_control), "{by} as {format}: {text:?}");
        }
    }
    let json = json_in(folder.path(), "top new\u{202e}");
    assert_eq!(json["rows"][0]["file"], "a\u{1b}[2J\u{7f}\u{202e}sr.rs");
}
