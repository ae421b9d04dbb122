//! `tree`, `summary`, and `view` where there is no terminal.

use std::fs;

use alloc_core::{Ages, Lifetimes, Snapshot};
use expect_test::expect;

use crate::set_up::{check, check_json, folder, folder_of_a_process, of_a_process, service, trace};
use crate::support::{self, check_error, stdout};

#[test]
fn without_labels_the_tree_is_of_stacks() {
    check(
        "tree new",
        expect![[r#"
            11.9 MiB in 99,749 live blocks, by stack; at the peak 12.1 MiB

                size   share       own  stack
            11.9 MiB  100.0%            ◉ all
            11.9 MiB  100.0%            └── demo::main  src/main.rs:3
            11.9 MiB  >99.9%  11.9 MiB      ├── demo::fill  src/cache.rs:41
            <0.1 MiB   <0.1%  <0.1 MiB      ├── demo::fill  src/cache.rs:52
            <0.1 MiB   <0.1%  <0.1 MiB      └── demo::index  src/index.rs:5
        "#]],
    );
}

#[test]
fn a_tree_shows_the_largest_stacks() {
    check(
        "tree new -n 1 --sort at-peak",
        expect![[r#"
            12.1 MiB in 99,005 blocks at the peak, by stack; now 11.9 MiB

                size   share       own  stack
            12.1 MiB  100.0%            ◉ all
            12.1 MiB  100.0%            └── demo::main  src/main.rs:3
            11.8 MiB   97.6%  11.8 MiB      ├── demo::fill  src/cache.rs:41
             0.3 MiB    2.4%                └── … 2 smaller stacks
        "#]],
    );
}

#[test]
fn libraries_are_folded_unless_the_tree_is_full() {
    let folder = service();
    support::check(
        folder.path(),
        "tree service",
        expect![[r#"
            3911 KiB in 405 live blocks, by stack; at the peak 3911 KiB

                   size   share          own  stack
            3,911.1 KiB  100.0%               ◉ all
            3,906.3 KiB   99.9%               ├── … hyper, axum, tokio
                                              │   demo::login  src/main.rs:12
                                 3,906.3 KiB  │   Sessions::open  src/session.rs:41
                4.9 KiB    0.1%               └── … tokio
                                     4.9 KiB      Wheel::new  tokio-1.47.0/src/lib.rs:30
        "#]],
    );
    let full = stdout(folder.path(), "tree service --full");
    assert_eq!(full.matches("handler::call").count(), 9);
    assert!(full.contains("RawTable::reserve_rehash"), "{full}");
}

#[test]
fn labels_come_first_if_there_are_any() {
    let folder = tempfile::tempdir().unwrap();
    let labelled = trace("demo::work", "src/work.rs", 3, (10, 1), (10, 1)).with_label("request");
    Snapshot::from_traces(vec![labelled], 32)
        .dump(folder.path().join("labels"))
        .unwrap();
    let tree = |arguments: &str| stdout(folder.path(), arguments);
    assert!(tree("tree labels").contains("by label"));
    assert!(tree("tree labels --by stack").contains("by stack"));
    assert!(tree("tree labels --format json").contains("\"by\": \"stack\""));
    check_error(
        folder.path(),
        "tree labels --by label --format json",
        "expected --by stack with --format json; for labels, use top --by label",
    );
}

#[test]
fn a_tree_as_json_is_a_list_whose_numbers_add_up() {
    check_json("tree new -n 2", |report| {
        assert_eq!(report["report"], "tree");
        assert_eq!(report["metric"], "current");
        let rows = report["rows"].as_array().unwrap();
        assert_eq!(rows[0]["bytes"], 12_500_000 + 4096 + 2048);
        assert_eq!(rows[2]["function"], "demo::fill");
        assert_eq!(rows[2]["line"], 41);
        for (at, row) in rows.iter().enumerate() {
            let number = |it: &serde_json::Value| it.as_u64().unwrap();
            let parts = rows.iter().filter(|it| it["parent"] == at);
            let parts: u64 = parts.map(|it| number(&it["bytes"])).sum();
            let rest = number(&row["own_bytes"]) + number(&row["omitted"]["bytes"]);
            assert_eq!(number(&row["bytes"]), parts + rest, "{row}");
        }
        assert_eq!(rows[1]["omitted"]["stacks"], 1);
        assert_eq!(rows.len(), 4);
    });
}

#[test]
fn names_in_a_tree_are_escaped_and_cut() {
    let folder = tempfile::tempdir().unwrap();
    let long = format!("demo::{}<\u{202e}T>", "x".repeat(500));
    let hostile = trace("demo::\u{1b}[2J漢字", "src/\u{7}.rs", 3, (10, 1), (10, 1));
    let long = trace(&long, "src/a.rs", 4, (5, 1), (5, 1));
    Snapshot::from_traces(vec![hostile, long], 32)
        .dump(folder.path().join("hostile"))
        .unwrap();
    for arguments in ["tree hostile", "summary hostile", "view hostile"] {
        let text = stdout(folder.path(), arguments);
        let is_printable = |c: char| c == '\n' || !c.is_control() && c != '\u{202e}';
        assert!(text.chars().all(is_printable), "{text:?}");
    }
    let tree = stdout(folder.path(), "tree hostile");
    assert!(tree.contains("demo::\\u{1b}[2J漢字"), "{tree}");
}

#[test]
fn a_summary_shows_both_moments_if_they_differ() {
    let folder = folder_of_a_process();
    support::check(
        folder.path(),
        "summary end",
        expect![[r#"
            server, pid 4242, 2025-01-01 00:01:05 UTC, written when the program ended
            at the end  11.9 MiB in 99,749 blocks
            peak        12.1 MiB
            allocated   24.0 MiB in 198,754 blocks, of which 49.8% were freed
            recorded    every allocation, 4 callsites, up to 32 frames
            block size  127 B on average

            Lines that hold it at the end:
              11.9 MiB  >99.9%  src/cache.rs:41
                4096 B   <0.1%  src/cache.rs:52
                2048 B   <0.1%  src/index.rs:5
            Lines that held the peak:
              11.8 MiB   97.6%  src/cache.rs:41
               293 KiB    2.4%  src/load.rs:7
                2048 B   <0.1%  src/index.rs:5
        "#]],
    );
}

#[test]
fn a_summary_shows_one_moment_if_they_are_alike() {
    check(
        "summary old",
        expect![[r#"
            now         294 KiB in 13 blocks
            peak        294 KiB
            allocated   588 KiB in 26 blocks, of which 50.0% were freed
            recorded    every allocation, 2 callsites, up to 32 frames
            block size  22.6 KiB on average

            Lines that hold it now, and held the peak:
               293 KiB   99.7%  src/load.rs:7
                1000 B    0.3%  src/cache.rs:41
        "#]],
    );
}

#[test]
fn a_summary_fits_half_a_screen() {
    let folder = tempfile::tempdir().unwrap();
    let trace = |line: u32| {
        let ages = Ages::default()
            .with_times(std::time::Duration::from_micros(5), 60)
            .with_times(std::time::Duration::from_secs(5), 40);
        let (now, then) = ((line.into(), 1), ((90 - line).into(), 1));
        trace(
            "demo::a_function",
            "src/a_rather_long_name.rs",
            line,
            now,
            then,
        )
        .with_block_size(64)
        .with_lifetimes(Lifetimes::new(ages, Ages::default()))
    };
    let snapshot = Snapshot::from_traces((1..80).map(trace).collect(), 32);
    let file = of_a_process(&snapshot, 5, true, 12_345_678);
    fs::write(folder.path().join("many"), file).unwrap();
    let text = stdout(folder.path(), "summary many");
    assert!(text.lines().count() <= 20, "{text}");
    assert!(text.lines().all(|it| it.chars().count() <= 80), "{text}");
    for part in [
        "; 100.0% up to 64 B",
        "60.0% of the freed were temporary (within 1 ms); half within 6 µs",
        "or up to 11.8 MiB more or less",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert_eq!(text.matches("src/a_rather_long_name.rs").count(), 10);
}

#[test]
fn a_view_without_a_terminal_is_a_table_and_a_tree() {
    let folder = folder();
    let folder = folder.path();
    let view = |arguments: &str| stdout(folder, arguments);
    let both = view("top new") + "\n" + &view("tree new");
    assert_eq!(view("view new"), both);
    let compared = view("diff old new") + "\n" + &view("tree new");
    assert_eq!(view("view new old"), compared);
    assert_eq!(view("live new"), view("top new"));
    check_error(
        folder,
        "live heap.pb",
        "expected a process id, a file, a pattern or HOST:PORT, found heap.pb",
    );
    check_error(
        folder,
        "live 99999999",
        "expected a running process, found none with the id 99999999",
    );
}
