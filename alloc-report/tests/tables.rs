//! Whole tables for people: wrapped places, lines of source, stacks, and colours.

use std::fs;

use alloc_core::{Amount, ChargeTo, Counters, Frame, GroupBy, Snapshot, Trace, Traceback};
use expect_test::expect;

fn trace(frames: &[(&str, &str, u32)], bytes: u64, blocks: u64) -> Trace {
    let frames = frames.iter().map(|&(function, file, line)| {
        let known = |name: &'_ str| (!name.is_empty()).then(|| name.to_owned());
        Frame::new(known(function).as_deref(), known(file).as_deref(), line, 0)
    });
    let amount = Amount::new(bytes, blocks);
    let counters = Counters {
        current: amount,
        at_peak: amount,
        ..Counters::default()
    };
    Trace::new(Traceback::new(frames.collect()), counters)
}

fn snapshot(traces: Vec<Trace>) -> Snapshot {
    Snapshot::from_traces(traces, 32)
}

#[test]
fn long_names_are_wrapped_and_numbers_are_not() {
    let clone = "<tree_sitter::Tree as core::clone::Clone>::clone::from_raw_parts";
    let snapshot = snapshot(vec![
        trace(
            &[(clone, "/a/very/deep/folder/of/a/project/src/tree.rs", 1_234)],
            1 << 40,
            1 << 30,
        ),
        trace(
            &[(
                "größe::漢字漢字漢字漢字::berechne",
                "src/漢字/größe/漢字漢字漢字.rs",
                5,
            )],
            10,
            1,
        ),
        trace(&[("", "", 0)], 5, 1),
    ]);
    let table = alloc_report::top(&snapshot, 10).width(72);
    expect![[r#"
        1024 GiB in 1,073,741,826 live blocks, by line; at the peak 1024 GiB

        #         size   share          count  average  line
        1  1,024.0 GiB  >99.9%  1,073,741,824  1,024 B  /a/very/deep/folder/of/
                                                          a/project/src/
                                                          tree.rs:1234
        2     <0.1 GiB   <0.1%              1     10 B  src/漢字/größe/
                                                          漢字漢字漢字.rs:5
        3     <0.1 GiB   <0.1%              1      5 B  <unknown>
           1,024.0 GiB  100.0%  1,073,741,826  1,024 B  total"#]]
    .assert_eq(&table.to_string());
    expect![[r#"
        1024 GiB in 1,073,741,826 live blocks, by function; at the peak 1024 GiB

        #         size   share          count  average  function
        1  1,024.0 GiB  >99.9%  1,073,741,824  1,024 B  <tree_sitter::Tree as
                                                          core::clone::Clone>::
                                                          clone::from_raw_parts
        2     <0.1 GiB   <0.1%              1     10 B  größe::漢字漢字漢字漢字:
                                                          :berechne
        3     <0.1 GiB   <0.1%              1      5 B  <unknown>
           1,024.0 GiB  100.0%  1,073,741,826  1,024 B  total"#]]
    .assert_eq(&table.clone().by(GroupBy::Function).to_string());
    for width in 0..100 {
        let text = table.clone().width(width).to_string();
        // The heading is never cut. Next to 48 columns of numbers, a place keeps at least 24.
        for line in text.lines().skip(1) {
            let columns = unicode_width::UnicodeWidthStr::width(line);
            assert!(
                columns <= width.max(48 + 24),
                "{columns} columns for {width}: {line}"
            );
        }
    }
}

#[test]
fn blocks_are_classed_by_their_own_size_where_it_is_known() {
    let place = [("demo::read", "src/read.rs", 7)];
    let large = 1568 << 10;
    let mean = snapshot(vec![trace(&place, large + 4 * 100, 5)]);
    let own = snapshot(vec![
        trace(&place, large, 1).with_block_size(large),
        trace(&place, 4 * 100, 4).with_block_size(100),
    ]);
    let table = |snapshot| {
        alloc_report::top(snapshot, 10)
            .by(GroupBy::SizeClass)
            .to_string()
    };
    expect![[r#"
        1568 KiB in 5 live blocks, by size class; at the peak 1568 KiB

        #         size   share  count    average  size class
        1  1,568.4 KiB  100.0%      5  321,206 B  up to 512 KiB
           1,568.4 KiB  100.0%      5  321,206 B  total

        note: classes are those of each callsite's mean size: for each block's own size, trace with ALLOC_TRACE_SIZES=1 or Config::sizes(true)"#]].assert_eq(&table(&mean));
    expect![[r#"
        1568 KiB in 5 live blocks, by size class; at the peak 1568 KiB

        #         size   share  count      average  size class
        1  1,568.0 KiB  >99.9%      1  1,605,632 B  up to 2048 KiB
        2      0.4 KiB   <0.1%      4        100 B  up to 128 B
           1,568.4 KiB  100.0%      5    321,206 B  total"#]]
    .assert_eq(&table(&own));
}

#[test]
fn no_two_rows_look_alike() {
    let file =
        |package: &str| format!("/c/registry/src/i-1/{package}-1.0.0/src/a/long/way/down/lib.rs");
    let at = |function: &str, file: &str, bytes| trace(&[(function, file, 10)], bytes, 1);
    let name = "<polars_core::chunked_array::ChunkedArray<T> as polars_core::Filter>";
    let snapshot = snapshot(vec![
        at(&format!("{name}::by_mask"), &file("polars-core"), 400),
        at(&format!("{name}::by_mean"), &file("polars-arrow"), 300),
        at("f", "/checkout/vendor/a/src/lib.rs", 200),
        at("g", "/elsewhere/vendor/a/src/lib.rs", 100),
    ]);
    let table = alloc_report::top(&snapshot, 10).width(80);
    expect![[r#"
        1000 B in 4 live blocks, by line; at the peak 1000 B

        #     size   share  count  average  line
        1    400 B   40.0%      1    400 B  polars-core-1.0.0/src/a/long/way/down/
                                              lib.rs:10
        2    300 B   30.0%      1    300 B  polars-arrow-1.0.0/src/a/long/way/down/
                                              lib.rs:10
        3    200 B   20.0%      1    200 B  /checkout/vendor/a/src/lib.rs:10
        4    100 B   10.0%      1    100 B  /elsewhere/vendor/a/src/lib.rs:10
           1,000 B  100.0%      4    250 B  total"#]]
    .assert_eq(&table.to_string());
    expect![[r#"
        1000 B in 4 live blocks, by function; at the peak 1000 B

        #     size   share  count  average  function
        1    400 B   40.0%      1    400 B  <polars_core::chunked_array::ChunkedArray
                                              <T> as polars_core::Filter>::by_mask
        2    300 B   30.0%      1    300 B  <polars_core::chunked_array::ChunkedArray
                                              <T> as polars_core::Filter>::by_mean
        3    200 B   20.0%      1    200 B  f
        4    100 B   10.0%      1    100 B  g
           1,000 B  100.0%      4    250 B  total"#]]
    .assert_eq(&table.clone().by(GroupBy::Function).to_string());
    expect![[r#"
        1000 B in 4 live blocks, by function; at the peak 1000 B

        #     size   share  count  average  function
        1    400 B   40.0%      1    400 B  <polars_core::chunked_array::ChunkedArray<T> as polars_core::Filter>::by_mask
        2    300 B   30.0%      1    300 B  <polars_core::chunked_array::ChunkedArray<T> as polars_core::Filter>::by_mean
        3    200 B   20.0%      1    200 B  f
        4    100 B   10.0%      1    100 B  g
           1,000 B  100.0%      4    250 B  total"#]].assert_eq(&table.width(120).by(GroupBy::Function).to_string());
}

#[test]
fn lines_of_source_follow_the_place_or_go_below() {
    let folder = tempfile::tempdir().unwrap();
    // The path of a registry makes the short path independent of the temporary folder.
    let root = folder.path().join("registry/src/i-1/demo-1.0.0/src");
    fs::create_dir_all(&root).unwrap();
    let path = root.join("cache.rs");
    let source = "\
fn fill() {
    let bytes = vec![0u8; 1 << 20];
    let name = words.iter().map(|word| word.to_owned()).collect::<Vec<_>>();
}
";
    fs::write(&path, source).unwrap();
    let path = path.to_str().unwrap();
    let snapshot = snapshot(vec![
        trace(&[("demo::fill", path, 2)], 1 << 20, 1),
        trace(&[("demo::fill", path, 3)], 1_000, 100),
        trace(&[("demo::fill", path, 99)], 10, 1),
        trace(&[("demo::fill", "gone.rs", 1)], 9, 1),
    ]);
    let table = alloc_report::top(&snapshot, 10);
    expect![[r#"
        1025 KiB in 103 live blocks, by line; at the peak 1025 KiB

        #         size   share  count      average  line
        1  1,024.0 KiB  >99.9%      1  1,048,576 B  demo-1.0.0/src/cache.rs:2  let bytes = vec![0u8; 1 << 20];
        2      1.0 KiB   <0.1%    100         10 B  demo-1.0.0/src/cache.rs:3  let name = words.iter().map(|word| word.to_owned…
        3     <0.1 KiB   <0.1%      1         10 B  demo-1.0.0/src/cache.rs:99
        4     <0.1 KiB   <0.1%      1          9 B  gone.rs:1
           1,025.0 KiB  100.0%    103     10,190 B  total"#]].assert_eq(&table.clone().width(120).to_string());
    expect![[r#"
        1025 KiB in 103 live blocks, by line; at the peak 1025 KiB

        #         size   share  count      average  line
        1  1,024.0 KiB  >99.9%      1  1,048,576 B  demo-1.0.0/src/cache.rs:2
                                                      let bytes = vec![0u8; 1 << 20];
        2      1.0 KiB   <0.1%    100         10 B  demo-1.0.0/src/cache.rs:3
                                                      let name = words.iter().map(|word| word.to_…
        3     <0.1 KiB   <0.1%      1         10 B  demo-1.0.0/src/cache.rs:99
        4     <0.1 KiB   <0.1%      1          9 B  gone.rs:1
           1,025.0 KiB  100.0%    103     10,190 B  total"#]]
    .assert_eq(&table.clone().width(90).to_string());
    let uncut = table.clone().width(usize::MAX).to_string();
    assert!(
        uncut
            .contains("let name = words.iter().map(|word| word.to_owned()).collect::<Vec<_>>();\n")
    );
    assert!(!table.without_sources().to_string().contains("vec!"));
}

#[test]
fn colours_do_not_change_the_text() {
    let old = snapshot(vec![
        trace(&[("f", "a.rs", 1)], 10, 1),
        trace(&[("f", "a.rs", 2)], 3, 1),
    ]);
    let new = snapshot(vec![
        trace(&[("f", "a.rs", 1)], 5_000, 2),
        trace(&[("f", "a.rs", 3)], 1, 1),
    ]);
    for by in [GroupBy::Line, GroupBy::Traceback] {
        let table = alloc_report::diff(&new, &old, 2).by(by);
        let plain = table.to_string();
        let coloured = table.colour(true).to_string();
        assert!(!plain.contains('\u{1b}'));
        assert_eq!(anstream::adapter::strip_str(&coloured).to_string(), plain);
        assert!(
            coloured.contains("\u{1b}[31m+4,990 B\u{1b}[0m"),
            "{coloured:?}"
        );
        assert!(coloured.contains("\u{1b}[32m-3 B\u{1b}[0m"), "{coloured:?}");
    }
}

#[test]
fn only_the_innermost_call_of_the_charged_frame_is_bold() {
    let frames = [
        ("f", "src/walk.rs", 7),
        ("g", "src/walk.rs", 9),
        ("f", "src/walk.rs", 7),
    ];
    let snapshot = snapshot(vec![trace(&frames, 10, 1)]);
    let table = alloc_report::top(&snapshot, 1)
        .by(GroupBy::Traceback)
        .colour(true);
    let table = table.to_string();
    let stack: Vec<&str> = table
        .lines()
        .filter(|line| line.starts_with("       "))
        .collect();
    assert_eq!(
        stack,
        [
            "       \u{1b}[1msrc/walk.rs:7\u{1b}[0m  \u{1b}[2mf\u{1b}[0m",
            "       src/walk.rs:9  \u{1b}[2mg\u{1b}[0m",
            "       src/walk.rs:7  \u{1b}[2mf\u{1b}[0m",
        ]
    );
}

#[test]
fn a_stack_folds_the_standard_library_and_the_runtime() {
    let std = "/rustc/59807616e/library/core/src/iter/map.rs";
    let short = "std::sys::backtrace::__rust_begin_short_backtrace";
    let whole = [
        ("alloc::vec::Vec<T>::push", std, 10),
        ("demo::inner", "src/inner.rs", 7),
        ("core::ops::FnOnce::call_once", std, 20),
        ("core::iter::Map::next", std, 30),
        ("core::iter::Iterator::collect", std, 40),
        ("demo::main", "src/main.rs", 3),
        ("core::ops::FnOnce::call_once", std, 20),
        (short, std, 50),
        ("std::rt::lang_start", std, 60),
        ("__libc_start_main", "../csu/libc-start.c", 360),
    ];
    let snapshot = snapshot(vec![
        trace(&whole, 300, 1),
        trace(&whole[7..9], 20, 1),
        trace(&[("no_file", "", 0), ("", "", 0)], 1, 1),
    ]);
    let table = alloc_report::top(&snapshot, 3).by(GroupBy::Traceback);
    expect![[r#"
        321 B in 3 live blocks, by traceback; at the peak 321 B

        #   size   share  count  average  traceback
        1  300 B   93.5%      1    300 B  src/inner.rs:7
               library/core/src/iter/map.rs:10  alloc::vec::Vec<T>::push
               src/inner.rs:7                   demo::inner
               … 3 frames of the standard library
               src/main.rs:3                    demo::main
               … 4 frames of the runtime

        2   20 B    6.2%      1     20 B  library/core/src/iter/map.rs:50
               … 2 frames of the runtime

        3    1 B    0.3%      1      1 B  no_file
               no_file
               <unknown>

           321 B  100.0%      3    107 B  total"#]]
    .assert_eq(&table.to_string());
}

#[test]
fn stacks_that_look_the_same_share_a_row() {
    let tokio = "/c/registry/src/i-1/tokio-1.47.0/src/lib.rs";
    let stack = |line, polls, bytes| {
        let mut frames = vec![("demo::login", "src/main.rs", line)];
        frames.extend((0..polls).map(|poll| ("tokio::poll", tokio, poll + 1)));
        frames.push(("demo::main", "src/main.rs", 3));
        trace(&frames, bytes, 1)
    };
    let old = snapshot(vec![stack(12, 4, 200), stack(14, 4, 300)]);
    let new = snapshot(vec![
        stack(12, 4, 200),
        stack(14, 4, 300),
        stack(12, 7, 150),
        stack(12, 5, 10),
    ]);
    let table = alloc_report::top(&new, 1).by(GroupBy::Traceback);
    expect![[r#"
        660 B in 4 live blocks, by traceback; at the peak 660 B

        #   size   share  count  average  traceback
        1  360 B   54.5%      3    120 B  src/main.rs:12
               src/main.rs:12  demo::login
               … 4 frames of tokio
               src/main.rs:3   demo::main
               … and 2 other stacks that look the same

           300 B   45.5%      1    300 B  other (1 traceback)
           660 B  100.0%      4    165 B  total"#]]
    .assert_eq(&table.to_string());
    expect![[r#"
        660 B in 4 live blocks, by traceback; at the peak 660 B

        #   size   share  count  average  traceback
        1  300 B   45.5%      1    300 B  src/main.rs:14
               src/main.rs:14             demo::login
               tokio-1.47.0/src/lib.rs:1  tokio::poll
               … 4 frames further out

           360 B   54.5%      3    120 B  other (3 tracebacks)
           660 B  100.0%      4    165 B  total"#]]
    .assert_eq(&table.full().depth(2).to_string());
    let table = alloc_report::diff(&new, &old, 5).by(GroupBy::Traceback);
    expect![[r#"
        660 B (+160 B) in 4 live blocks (+2), by traceback; at the peak 660 B

        #   size  change  count  change  average  traceback
        1  360 B  +160 B      3      +2    120 B  src/main.rs:12
               src/main.rs:12  demo::login
               … 7 frames of tokio
               src/main.rs:3   demo::main
               … and 2 other stacks that look the same

           300 B    +0 B      1      +0    300 B  other (1 traceback, unchanged)
           660 B  +160 B      4      +2    165 B  total"#]]
    .assert_eq(&table.to_string());
}

#[test]
fn folded_stacks_ignore_the_depth_of_a_recursion() {
    let stack = |depth: usize| {
        let mut frames = vec![("demo::value", "src/json.rs", 7)];
        frames.resize(depth, ("demo::value", "src/json.rs", 9));
        frames.push(("demo::main", "src/main.rs", 3));
        frames
    };
    let traces = (1..=50).map(|depth| trace(&stack(depth), 100, 2));
    let snapshot = snapshot(traces.collect());
    let table = alloc_report::top(&snapshot, 3).by(GroupBy::FoldedTraceback);
    expect![[r#"
        5000 B in 100 live blocks, by folded traceback; at the peak 5000 B

        #     size   share  count  average  folded traceback
        1  5,000 B  100.0%    100     50 B  src/json.rs:7
               src/json.rs:7  demo::value
               src/main.rs:3  demo::main

           5,000 B  100.0%    100     50 B  total"#]]
    .assert_eq(&table.to_string());
}

#[test]
fn unchanged_lines_are_in_other_even_if_they_are_larger() {
    // In tracemalloc's order, the large unchanged line precedes the line whose count changed.
    let old = snapshot(vec![
        trace(&[("f", "a.rs", 1)], 900, 1),
        trace(&[("f", "a.rs", 2)], 30, 1),
    ]);
    let new = snapshot(vec![
        trace(&[("f", "a.rs", 1)], 900, 1),
        trace(&[("f", "a.rs", 2)], 30, 3),
    ]);
    expect![[r#"
        930 B (+0 B) in 4 live blocks (+2), by line; at the peak 930 B

        #   size  change  count  change  average  line
        1   30 B    +0 B      3      +2     10 B  a.rs:2
           900 B    +0 B      1      +0    900 B  other (1 line, unchanged)
           930 B    +0 B      4      +2    232 B  total"#]]
    .assert_eq(&alloc_report::diff(&new, &old, 5).to_string());
}

#[test]
fn an_empty_snapshot_is_a_heading_without_a_table() {
    let empty = snapshot(Vec::new());
    let heading = "0 B in 0 live blocks, by line; at the peak 0 B";
    assert_eq!(alloc_report::top(&empty, 10).to_string(), heading);
    let heading = "0 B (+0 B) in 0 live blocks (+0), by line; at the peak 0 B";
    assert_eq!(alloc_report::diff(&empty, &empty, 10).to_string(), heading);
}

#[test]
fn a_comparison_charges_both_sides_like_the_newer_one() {
    let library = "/c/registry/src/i-1/serde_json-1.0.1/src/de.rs";
    let frames = [("parse", library, 9), ("main", "src/main.rs", 3)];
    let (old, new) = (
        snapshot(vec![trace(&frames, 10, 1)]),
        snapshot(vec![trace(&frames, 30, 1)]),
    );
    let new = new.charge_to(ChargeTo::Workspace);
    let table = alloc_report::diff(&new, &old, 5).without_sources();
    expect![[r#"
        30 B (+20 B) in 1 live block (+0), by line of the workspace; at the peak 30 B

        #  size  change  count  change  average  line
        1  30 B   +20 B      1      +0     30 B  src/main.rs:3
           30 B   +20 B      1      +0     30 B  total"#]]
    .assert_eq(&table.to_string());
}
