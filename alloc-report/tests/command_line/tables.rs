//! Tables of lines, files and functions.

use expect_test::expect;
use serde_json::{Value, json};

use crate::set_up::{check, check_json, folder, folder_of_a_process};
use crate::support::{check as check_in, stdout};

#[test]
fn top_shows_lines() {
    check(
        "top new",
        expect![[r#"
            11.9 MiB in 99,749 live blocks, by line; at the peak 12.1 MiB

            #      size   share   count  average  line
            1  11.9 MiB  >99.9%  99,746    125 B  src/cache.rs:41
            2  <0.1 MiB   <0.1%       1  4,096 B  src/cache.rs:52
            3  <0.1 MiB   <0.1%       2  1,024 B  src/index.rs:5
               11.9 MiB  100.0%  99,749    125 B  total
        "#]],
    );
}

#[test]
fn a_heading_shows_the_program_its_process_and_the_time() {
    let folder = folder_of_a_process();
    check_in(
        folder.path(),
        "top clock -n 1",
        expect![[r#"
            server, pid 4242, 2025-01-01 00:00:05 UTC
            294 KiB in 13 live blocks, by line; at the peak 294 KiB

            #       size   share  count    average  line
            1  293.0 KiB   99.7%      3  100,000 B  src/load.rs:7
                 1.0 KiB    0.3%     10      100 B  other (1 line)
               293.9 KiB  100.0%     13   23,154 B  total
        "#]],
    );
    check_in(
        folder.path(),
        "diff clock clock -n 1 --by file",
        expect![[r#"
            new: server, pid 4242, 2025-01-01 00:00:05 UTC
            old: server, pid 4242, 2025-01-01 00:00:05 UTC
            294 KiB (+0 B) in 13 live blocks (+0), by file; at the peak 294 KiB

            #       size  change  count  change   average  file
               293.9 KiB    +0 B     13      +0  23,154 B  other (2 files, unchanged)
               293.9 KiB    +0 B     13      +0  23,154 B  total
        "#]],
    );
}

#[test]
fn a_snapshot_at_exit_shows_the_peak_by_default() {
    let folder = folder_of_a_process();
    check_in(
        folder.path(),
        "top end",
        expect![[r#"
            server, pid 4242, 2025-01-01 00:01:05 UTC, written when the program ended
            12.1 MiB in 99,005 blocks at the peak, by line; at the end 11.9 MiB

            #      size   share   count    average  line
            1  11.8 MiB   97.6%  99,000      125 B  src/cache.rs:41
            2   0.3 MiB    2.4%       3  100,000 B  src/load.rs:7
            3  <0.1 MiB   <0.1%       2    1,024 B  src/index.rs:5
               12.1 MiB  100.0%  99,005      128 B  total

            This is the peak; --sort current shows what was live at the end.
        "#]],
    );
    check_in(
        folder.path(),
        "top end --sort current -n 1",
        expect![[r#"
            server, pid 4242, 2025-01-01 00:01:05 UTC, written when the program ended
            11.9 MiB in 99,749 live blocks, by line; at the peak 12.1 MiB

            #      size   share   count  average  line
            1  11.9 MiB  >99.9%  99,746    125 B  src/cache.rs:41
               <0.1 MiB   <0.1%       3  2,048 B  other (2 lines)
               11.9 MiB  100.0%  99,749    125 B  total
        "#]],
    );
    check_in(
        folder.path(),
        "diff end end -n 1",
        expect![[r#"
        new: server, pid 4242, 2025-01-01 00:01:05 UTC, written when the program ended
        old: server, pid 4242, 2025-01-01 00:01:05 UTC, written when the program ended
        12.1 MiB (+0 B) in 99,005 blocks (+0) at the peak, by line; at the end 11.9 MiB

        #      size  change   count  change  average  line
           12.1 MiB    +0 B  99,005      +0    128 B  other (3 lines, unchanged)
           12.1 MiB    +0 B  99,005      +0    128 B  total
    "#]],
    );
    // Live memory is comparable even if one of the moments is the exit.
    check_in(
        folder.path(),
        "diff clock end -n 1",
        expect![[r#"
            new: server, pid 4242, 2025-01-01 00:01:05 UTC, written when the program ended
            old: server, pid 4242, 2025-01-01 00:00:05 UTC
            11.9 MiB (+11.6 MiB) in 99,749 live blocks (+99,736), by line; at the peak 12.1 MiB

            #      size     change   count   change  average  line
            1  11.9 MiB  +11.9 MiB  99,746  +99,736    125 B  src/cache.rs:41
               <0.1 MiB   -0.3 MiB       3       +0  2,048 B  other (3 lines)
               11.9 MiB  +11.6 MiB  99,749  +99,736    125 B  total
        "#]],
    );
}

#[test]
fn n_is_the_number_of_rows() {
    check(
        "top new -n 1",
        expect![[r#"
            11.9 MiB in 99,749 live blocks, by line; at the peak 12.1 MiB

            #      size   share   count  average  line
            1  11.9 MiB  >99.9%  99,746    125 B  src/cache.rs:41
               <0.1 MiB   <0.1%       3  2,048 B  other (2 lines)
               11.9 MiB  100.0%  99,749    125 B  total
        "#]],
    );
    check(
        "top new -n 0",
        expect![[r#"
            11.9 MiB in 99,749 live blocks, by line; at the peak 12.1 MiB

            #      size   share   count  average  line
               11.9 MiB  100.0%  99,749    125 B  other (3 lines)
               11.9 MiB  100.0%  99,749    125 B  total
        "#]],
    );
}

#[test]
fn top_groups_by_file_and_function_and_sorts_by_other_metrics() {
    check(
        "top new --by file --sort at-peak",
        expect![[r#"
            12.1 MiB in 99,005 blocks at the peak, by file; now 11.9 MiB

            #      size   share   count    average  file
            1  11.8 MiB   97.6%  99,000      125 B  src/cache.rs
            2   0.3 MiB    2.4%       3  100,000 B  src/load.rs
            3  <0.1 MiB   <0.1%       2    1,024 B  src/index.rs
               12.1 MiB  100.0%  99,005      128 B  total
        "#]],
    );
    check(
        "top new --by function --sort total",
        expect![[r#"
            24.0 MiB in 198,754 blocks ever allocated, by function; now 11.9 MiB

            #      size   share    count    average  function
            1  23.8 MiB   98.8%  198,747      125 B  demo::fill
            2   0.3 MiB    1.2%        3  100,000 B  demo::load
            3  <0.1 MiB   <0.1%        4    1,024 B  demo::index
               24.0 MiB  100.0%  198,754      127 B  total
        "#]],
    );
    check(
        "top new --by line --sort peak -n 2",
        expect![[r#"
            12.2 MiB in 99,752 blocks summed over individual peaks, by line; at the peak 12.1 MiB

            #      size   share   count    average  line
            1  11.9 MiB   97.6%  99,746      125 B  src/cache.rs:41
            2   0.3 MiB    2.3%       3  100,000 B  src/load.rs:7
               <0.1 MiB   <0.1%       3    2,048 B  other (2 lines)
               12.2 MiB  100.0%  99,752      128 B  total

            note: each row peaked at its own moment: the sum may exceed the heap's peak, 12.1 MiB
        "#]],
    );
}

#[test]
fn diff_shows_what_changed() {
    check(
        "diff old new",
        expect![[r#"
            11.9 MiB (+11.6 MiB) in 99,749 live blocks (+99,736), by line; at the peak 12.1 MiB

            #      size     change   count   change  average  line
            1  11.9 MiB  +11.9 MiB  99,746  +99,736    125 B  src/cache.rs:41
            2   0.0 MiB   -0.3 MiB       0       -3           src/load.rs:7
            3  <0.1 MiB  +<0.1 MiB       1       +1  4,096 B  src/cache.rs:52
            4  <0.1 MiB  +<0.1 MiB       2       +2  1,024 B  src/index.rs:5
               11.9 MiB  +11.6 MiB  99,749  +99,736    125 B  total
        "#]],
    );
    check(
        "diff old new -n 1 --by file --sort at-peak",
        expect![[r#"
            12.1 MiB (+11.8 MiB) in 99,005 blocks (+98,992) at the peak, by file; now 11.9 MiB

            #      size     change   count   change   average  file
            1  11.8 MiB  +11.8 MiB  99,000  +98,990     125 B  src/cache.rs
                0.3 MiB  +<0.1 MiB       5       +2  60,410 B  other (2 files, 1 unchanged)
               12.1 MiB  +11.8 MiB  99,005  +98,992     128 B  total
        "#]],
    );
}

#[test]
fn a_diff_with_itself_has_no_changes() {
    check(
        "diff new new",
        expect![[r#"
            11.9 MiB (+0 B) in 99,749 live blocks (+0), by line; at the peak 12.1 MiB

            #      size  change   count  change  average  line
               11.9 MiB    +0 B  99,749      +0    125 B  other (3 lines, unchanged)
               11.9 MiB    +0 B  99,749      +0    125 B  total
        "#]],
    );
}

#[test]
fn nested_groups_are_indented_and_half_as_many() {
    check(
        "top new --by function,line -n 2 --sort total",
        expect![[r#"
            24.0 MiB in 198,754 blocks ever allocated, by function, then line; now 11.9 MiB

            #      size   share    count    average  function, line
            1  23.8 MiB   98.8%  198,747      125 B  demo::fill
               23.7 MiB   98.8%  198,746      125 B    src/cache.rs:41
               <0.1 MiB   <0.1%        1    4,096 B    other (1 line)
            2   0.3 MiB    1.2%        3  100,000 B  demo::load
                0.3 MiB    1.2%        3  100,000 B    src/load.rs:7
               <0.1 MiB   <0.1%        4    1,024 B  other (1 function)
               24.0 MiB  100.0%  198,754      127 B  total
        "#]],
    );
    check(
        "top new --by file,traceback -n 1",
        expect![[r#"
            11.9 MiB in 99,749 live blocks, by file, then traceback; at the peak 12.1 MiB

            #      size   share   count  average  file, traceback
            1  11.9 MiB  >99.9%  99,747    125 B  src/cache.rs
               11.9 MiB  >99.9%  99,746    125 B    src/cache.rs:41
                     … 2 frames of the standard library
                     src/cache.rs:41  demo::fill
                     src/main.rs:3    demo::main
                     … 1 frame of the runtime

               <0.1 MiB   <0.1%       1  4,096 B    other (1 traceback)
               <0.1 MiB   <0.1%       2  1,024 B  other (1 file)
               11.9 MiB  100.0%  99,749    125 B  total
        "#]],
    );
    check(
        "diff old new --by file,line -n 3",
        expect![[r#"
            11.9 MiB (+11.6 MiB) in 99,749 live blocks (+99,736), by file, then line; at the peak 12.1 MiB

            #      size     change   count   change  average  file, line
            1  11.9 MiB  +11.9 MiB  99,747  +99,737    125 B  src/cache.rs
               11.9 MiB  +11.9 MiB  99,746  +99,736    125 B    src/cache.rs:41
               <0.1 MiB  +<0.1 MiB       1       +1  4,096 B    src/cache.rs:52
            2   0.0 MiB   -0.3 MiB       0       -3           src/load.rs
                0.0 MiB   -0.3 MiB       0       -3             src/load.rs:7
            3  <0.1 MiB  +<0.1 MiB       2       +2  1,024 B  src/index.rs
               <0.1 MiB  +<0.1 MiB       2       +2  1,024 B    src/index.rs:5
               11.9 MiB  +11.6 MiB  99,749  +99,736    125 B  total
        "#]],
    );
    check_json("top new --by function,line -n 1", |report| {
        assert_eq!(report["by"], "function,line");
        let row = &report["rows"][0];
        assert_eq!(
            (&row["key"], &row["line"]),
            (&json!("demo::fill"), &Value::Null)
        );
        assert_eq!(row["within"]["rows"][0]["key"], "src/cache.rs:41");
        assert_eq!(
            row["within"]["other"],
            json!({ "rows": 1, "bytes": 4_096, "blocks": 1 })
        );
    });
}

#[test]
fn rows_are_sorted_by_blocks_and_average() {
    check(
        "top new --sort total,blocks",
        expect![[r#"
            24.0 MiB in 198,754 blocks ever allocated, by line, sorted by blocks; now 11.9 MiB

            #      size   share    count    average  line
            1  23.7 MiB   98.8%  198,746      125 B  src/cache.rs:41
            2  <0.1 MiB   <0.1%        4    1,024 B  src/index.rs:5
            3   0.3 MiB    1.2%        3  100,000 B  src/load.rs:7
            4  <0.1 MiB   <0.1%        1    4,096 B  src/cache.rs:52
               24.0 MiB  100.0%  198,754      127 B  total
        "#]],
    );
    check(
        "top new --sort average,freed",
        expect![[r#"
            12.1 MiB in 99,005 blocks ever freed, by line, sorted by average; now 11.9 MiB

            #      size   share   count    average  line
            1   0.3 MiB    2.4%       3  100,000 B  src/load.rs:7
            2  <0.1 MiB   <0.1%       2    1,024 B  src/index.rs:5
            3  11.8 MiB   97.6%  99,000      125 B  src/cache.rs:41
               12.1 MiB  100.0%  99,005      128 B  total
        "#]],
    );
    check(
        "diff old new --sort blocks",
        expect![[r#"
            11.9 MiB (+11.6 MiB) in 99,749 live blocks (+99,736), by line, sorted by blocks; at the peak 12.1 MiB

            #      size     change   count   change  average  line
            1  11.9 MiB  +11.9 MiB  99,746  +99,736    125 B  src/cache.rs:41
            2   0.0 MiB   -0.3 MiB       0       -3           src/load.rs:7
            3  <0.1 MiB  +<0.1 MiB       2       +2  1,024 B  src/index.rs:5
            4  <0.1 MiB  +<0.1 MiB       1       +1  4,096 B  src/cache.rs:52
               11.9 MiB  +11.6 MiB  99,749  +99,736    125 B  total
        "#]],
    );
}

#[test]
fn the_head_of_a_column_is_an_order() {
    let folder = folder();
    let shown = |arguments: &str| stdout(folder.path(), arguments);
    for (word, order) in [
        ("size", "bytes"),
        ("share", "bytes"),
        ("count", "blocks"),
        ("average", "average"),
    ] {
        let by_word = shown(&format!("top new --sort {word}"));
        assert_eq!(by_word, shown(&format!("top new --sort {order}")));
    }
    let by_change = shown("diff old new --sort total,change");
    assert_eq!(by_change, shown("diff old new --sort total,bytes"));
}
