//! The table of the example `annotate_me`, compared line by line with exact arithmetic.

mod support;

use alloc_core::{Amount, Counters, Snapshot};
use alloc_report::{Annotated, AnnotatedLine, annotate};
use support::OPTIMIZED;

const SOURCE: &str = include_str!("../annotate_me.rs");

/// Runs the example, built like this test, and reads its snapshot.
fn snapshot() -> Snapshot {
    let test = std::thread::current().name().unwrap_or_default().to_owned();
    let path = std::env::temp_dir().join(format!("{test}-{}.pb.gz", std::process::id()));
    let mut command = support::example("annotate_me");
    let status = command.arg(&path).status().expect("cargo runs");
    assert!(status.success(), "{status}");
    let snapshot = Snapshot::load(&path).expect("the example wrote a snapshot");
    std::fs::remove_file(path).expect("it is there");
    snapshot
}

/// The number of the one line that has this text.
fn line(text: &str) -> u32 {
    let mut lines = SOURCE
        .lines()
        .zip(1..)
        .filter(|(line, _)| line.contains(text));
    let (_, number) = lines.next().unwrap_or_else(|| panic!("no line has {text}"));
    assert!(lines.next().is_none(), "two lines have {text}");
    number
}

struct Line {
    /// Of the line itself: bytes and blocks allocated, bytes held, and the peak of bytes.
    own: (u64, u64, u64, u64),
    /// The numbers of `own`, with those of its callees.
    inclusive: (u64, u64, u64, u64),
}

#[track_caller]
fn check(function: &Annotated, text: &str, expected: Line) {
    let number = line(text);
    let found = function.lines.iter().find(|it| it.line == number);
    let AnnotatedLine { own, inclusive, .. } =
        *found.unwrap_or_else(|| panic!("nothing of {text} in {}", function.name));
    check_counters(own, expected.own, text);
    check_counters(inclusive, expected.inclusive, text);
}

#[track_caller]
fn check_counters(found: Counters, expected: (u64, u64, u64, u64), text: &str) {
    let (total, blocks, held, peak) = expected;
    assert_eq!(found.total, Amount::new(total, blocks), "{text}");
    assert_eq!(found.current.bytes, held, "{text}");
    assert_eq!(found.freed().bytes, total - held, "{text}");
    // A loop that the compiler unrolls has two copies of a line, so two stacks, each with its own
    // peak.
    if OPTIMIZED {
        assert!(
            found.peak.bytes >= peak && found.peak.bytes <= total,
            "{text}"
        );
    } else {
        assert_eq!(found.peak.bytes, peak, "{text}");
    }
}

#[test]
fn every_line_equals_the_arithmetic() {
    let snapshot = snapshot();
    let functions = annotate(&snapshot).functions();
    let function = |name: &str| -> &Annotated {
        let found = functions.iter().find(|it| it.bare_name() == name);
        found.unwrap_or_else(|| panic!("no {name}"))
    };
    let names: Vec<_> = functions.iter().map(Annotated::bare_name).collect();
    assert_eq!(
        names[2..],
        ["spike", "bytes"],
        "by what was allocated: {names:?}"
    );

    let work = function("work");
    assert_eq!(work.start, Some(line("fn work()")));
    assert_eq!(work.end, Some(line("drop(bytes(word") + 3));
    // Room for 64 vectors of 24 bytes.
    let room = (1_536, 1, 1_536, 1_536);
    check(
        work,
        "Vec::with_capacity(64)",
        Line {
            own: room,
            inclusive: room,
        },
    );
    // Ten blocks of a hundred thousand bytes, all kept.
    let kept = (1_000_000, 10, 1_000_000, 1_000_000);
    check(
        work,
        "kept.push(vec![turn",
        Line {
            own: kept,
            inclusive: kept,
        },
    );
    // Ten blocks of thirty thousand bytes, and ten copies by `bytes`, one of each at a time.
    check(
        work,
        "drop(bytes(vec![turn",
        Line {
            own: (300_000, 10, 0, 30_000),
            inclusive: (600_000, 20, 0, 60_000),
        },
    );
    // Two million numbers of eight bytes, all freed: the spike in the callee.
    let spike = (16_000_000, 1, 0, 16_000_000);
    check(
        work,
        "let average = spike",
        Line {
            own: (0, 0, 0, 0),
            inclusive: spike,
        },
    );
    // The line's own block is freed, and the callee's copy is held.
    check(
        work,
        "kept.push(bytes(",
        Line {
            own: (24_000, 1, 0, 24_000),
            inclusive: (48_000, 2, 24_000, 48_000),
        },
    );
    // Words of 1, 4, 2 and 5 letters a thousand times; the longest is the peak.
    check(
        work,
        "drop(bytes(word",
        Line {
            own: (12_000, 4, 0, 5_000),
            inclusive: (24_000, 8, 0, 10_000),
        },
    );
    let sum = 1_536 + 1_000_000 + 600_000 + 16_000_000 + 48_000 + 24_000;
    assert_eq!(work.inclusive.total, Amount::new(sum, 42));
    assert_eq!(work.inclusive.current.bytes, 1_536 + 1_000_000 + 24_000);
    assert_eq!(work.lines.len(), 6, "and no other line");

    let main = function("main");
    let counters = (
        sum,
        42,
        1_025_536,
        // The sum of all peaks is more than was ever live at one moment.
        1_536 + 1_000_000 + 60_000 + 16_000_000 + 48_000 + 10_000,
    );
    check(
        main,
        "black_box(work())",
        Line {
            own: (0, 0, 0, 0),
            inclusive: counters,
        },
    );
    check(
        function("spike"),
        "vec![1_u64; samples]",
        Line {
            own: spike,
            inclusive: spike,
        },
    );
    // One function for vectors and strings, called from three lines, each with its own peak.
    let bytes = (336_000, 15, 24_000, 30_000 + 24_000 + 5_000);
    check(
        function("bytes"),
        "text.as_ref().to_vec()",
        Line {
            own: bytes,
            inclusive: bytes,
        },
    );
}

#[test]
fn changed_source_is_reported() {
    let snapshot = snapshot();
    let folder = std::env::temp_dir().join(format!("annotate_me-{}", std::process::id()));
    std::fs::create_dir_all(folder.join("examples")).expect("a folder");
    let note =
        |annotated: alloc_report::Annotate<'_>| annotated.to_string().contains("changed after");
    assert!(!note(annotate(&snapshot)));
    std::fs::write(folder.join("examples/annotate_me.rs"), SOURCE).expect("a file");
    let changed = note(annotate(&snapshot).source_root(&folder));
    std::fs::remove_dir_all(folder).expect("it is there");
    assert!(changed);
}
