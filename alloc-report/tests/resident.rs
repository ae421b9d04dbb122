//! Tables of resident memory, and reports of a process that is gone: whole output.

use alloc_core::{Amount, Bytes, Counters, Frame, GroupBy, Pinned, Snapshot, Trace, Traceback};
use expect_test::{Expect, expect};

/// A line with live blocks.
fn trace(file: &str, line: u32, bytes: u64, blocks: u64) -> Trace {
    let current = Amount::new(bytes, blocks);
    let counters = Counters {
        current,
        total: current,
        ..Counters::default()
    };
    let frame = Frame::new(Some("demo::keep"), Some(file), line, 9);
    Trace::new(Traceback::new(vec![frame]), counters)
}

fn pinned(unused: u64, alone: u64, own: u64) -> Pinned {
    Pinned {
        unused: Bytes::kib(unused),
        alone: Bytes::kib(alone),
        own: Bytes::kib(own),
    }
}

#[track_caller]
fn check(table: impl std::fmt::Display, expected: Expect) {
    expected.assert_eq(&table.to_string());
}

#[test]
fn the_lines_that_keep_the_most_come_first() {
    let snapshot = Snapshot::from_traces(
        vec![
            trace("src/small.rs", 7, 24 << 10, 1024).with_pinned(pinned(4000, 4096, 24)),
            trace("src/large.rs", 8, 9 << 20, 3).with_pinned(pinned(5, 0, 0)),
            trace("src/other.rs", 9, 100, 1).with_pinned(pinned(3, 4, 1)),
            // Nothing was asked of it.
            trace("src/gpu.rs", 10, 100, 1),
        ],
        32,
    );
    check(
        alloc_report::resident(&snapshot, 2),
        expect![[r#"
        no resident memory is known

        #    unused  given back  if together      live  blocks  line
        1  4000 KiB    4096 KiB     4072 KiB  24.0 KiB   1,024  src/small.rs:7
        2    5120 B         0 B          0 B  9216 KiB       3  src/large.rs:8
             3072 B      4096 B          0 B     100 B       1  other (1 line)

        note: where the resident memory goes was not asked for: trace with ALLOC_TRACE_RESIDENT=1, or call take_snapshot_with_residence()"#]],
    );
    check(
        alloc_report::resident(&snapshot, 5).by(GroupBy::Function),
        expect![[r#"
            no resident memory is known

            #    unused  given back  if together      live  blocks  function
            1  4008 KiB    4100 KiB     4072 KiB  9240 KiB   1,029  demo::keep

            note: where the resident memory goes was not asked for: trace with ALLOC_TRACE_RESIDENT=1, or call take_snapshot_with_residence()"#]],
    );
}

fn heap(grown: u64) -> Snapshot {
    let traces = vec![
        trace("src/cache.rs", 3, (10 + grown) << 20, 10 + grown).with_label("search"),
        trace("src/main.rs", 4, 5 << 20, 5),
    ];
    Snapshot::from_traces(traces, 32)
}

#[test]
fn a_report_says_what_grew_and_how_far_the_kernel_was() {
    let since = heap(0);
    let mut last = heap(290);
    last.set_metadata("reason", "memory was at 90 % of its limit");
    last.set_metadata("memory.current", (360_u64 << 20).to_string());
    last.set_metadata("memory.limit", (400_u64 << 20).to_string());
    check(
        alloc_report::oom(&last, &since, 2),
        expect![[r#"
        The process was last seen: memory was at 90 % of its limit. Its live blocks were 305 MiB, 85 % of
        the 360 MiB that the kernel counted, of a limit of 400 MiB. Before that, the heap grew by 290 MiB.
        src/cache.rs:3 grew by 290 MiB, 100 % of that, and the label search by 290 MiB.

        305 MiB (+290 MiB) in 305 live blocks (+290), by line; at the peak 305 MiB

        #       size      change  count  change      average  line
        1  300.0 MiB  +290.0 MiB    300    +290  1,048,576 B  src/cache.rs:3
             5.0 MiB    +0.0 MiB      5      +0  1,048,576 B  other (1 line, unchanged)
           305.0 MiB  +290.0 MiB    305    +290  1,048,576 B  total"#]],
    );
}

#[test]
fn a_report_says_where_to_look_if_the_heap_is_not_the_memory() {
    let mut last = heap(0);
    last.set_metadata("memory.current", (360_u64 << 20).to_string());
    let since = heap(0);
    check(
        alloc_report::oom(&last, &since, 2).paragraph(),
        expect![
            "The process was last seen. Its live blocks were 15.0 MiB, 4 % of the 360 MiB that the kernel counted. In the snapshots that there are, the heap did not grow. More than half of what the kernel counted is not in live blocks: ALLOC_TRACE_RESIDENT=1 and `alloc-report resident` say where it is."
        ],
    );
    // Memory that was never touched.
    let mut large = heap(290);
    large.set_metadata("memory.current", (20_u64 << 20).to_string());
    check(
        alloc_report::oom(&large, &since, 2).paragraph(),
        expect![
            "The process was last seen. Its live blocks were 305 MiB, more than the 20.0 MiB that the kernel counted; what was never touched is not counted. Before that, the heap grew by 290 MiB. src/cache.rs:3 grew by 290 MiB, 100 % of that, and the label search by 290 MiB."
        ],
    );
}
