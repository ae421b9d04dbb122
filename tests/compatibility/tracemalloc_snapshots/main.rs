//! CPython's tests of `tracemalloc` for snapshots made by hand: one test for each, under its number
//! in the table in `alloc_core::tracemalloc`. Tests that trace are in `tracemalloc.rs` and
//! `tracked.rs`, those of the environment in `process.rs`.

mod filters;
mod statistics;

use alloc_core::{Amount, Counters, Frame, Snapshot, Trace, Traceback};

/// A frame as in Python, where a file `<unknown>` is unknown.
fn frame(file: &str, line: u32) -> Frame {
    Frame::new(
        None,
        Some(file).filter(|file| *file != "<unknown>"),
        line,
        0,
    )
}

/// A stack, innermost frame first.
fn stack(frames: &[(&str, u32)]) -> Traceback {
    Traceback::new(
        frames
            .iter()
            .map(|&(file, line)| frame(file, line))
            .collect(),
    )
}

/// One block.
fn trace(domain: u32, bytes: u64, frames: &[(&str, u32)]) -> Trace {
    let current = Amount::new(bytes, 1);
    let counters = Counters {
        current,
        ..Counters::default()
    };
    Trace::new(stack(frames), counters).with_domain(domain)
}

/// The first of the two snapshots in CPython's tests.
fn old() -> Snapshot {
    let same = || trace(0, 10, &[("a.py", 2), ("b.py", 4)]);
    let traces = vec![
        same(),
        same(),
        same(),
        trace(1, 2, &[("a.py", 5), ("b.py", 4)]),
        trace(2, 66, &[("b.py", 1)]),
        trace(3, 7, &[("<unknown>", 0)]),
    ];
    Snapshot::from_traces(traces, 2)
}

#[test]
fn t01_repr() {
    let two = stack(&[("a.py", 2), ("b.py", 4)]);
    assert_eq!(
        format!("{two:?}"),
        "[<Frame a.py:2 in \"?\">, <Frame b.py:4 in \"?\">]"
    );
    assert_eq!(two.to_string(), "a.py:2\nb.py:4");
    assert_eq!(two.total_nframe(), Some(2));
    assert_eq!(format!("{:?}", stack(&[])), "[]");
    assert_eq!(stack(&[]).to_string(), "");
}

#[test]
fn t16_create_snapshot() {
    let snapshot = Snapshot::from_traces(vec![trace(0, 5, &[("a.py", 2)])], 1);
    assert_eq!(
        (snapshot.traceback_limit(), snapshot.traces().len()),
        (1, 1)
    );
    let trace = &snapshot.traces()[0];
    assert_eq!(trace.counters.current, Amount::new(5, 1));
    assert_eq!(
        (trace.traceback.len(), trace.traceback.total_nframe()),
        (1, Some(1))
    );
    let frame = &trace.traceback[0];
    assert_eq!((frame.file().unwrap().full(), frame.line()), ("a.py", 2));
}

#[test]
fn t27_slices() {
    let snapshot = old();
    let traces = snapshot.traces();
    assert_eq!(traces[..2], [traces[0].clone(), traces[1].clone()]);
    let traceback = &traces[0].traceback;
    assert_eq!(traceback[..2], [frame("a.py", 2), frame("b.py", 4)]);
    assert_eq!(traceback.last(), Some(&frame("b.py", 4)));
    assert!(traceback.contains(&frame("b.py", 4)) && !traceback.contains(&frame("b.py", 5)));
}

#[test]
fn t28_format_traceback() {
    // A file of five lines, and a stack through all of them, the last one innermost.
    let name = format!("alloc-tests-{}-t28.py", std::process::id());
    let path = std::env::temp_dir().join(name);
    std::fs::write(&path, "  one()\ntwo()\n\nfour()\n\tfive()\n").unwrap();
    let file = path.to_str().unwrap();
    let five = stack(&[5, 4, 3, 2, 1].map(|line| (file, line)));
    let lines = |chosen: &[(u32, &str)]| {
        let mut lines = Vec::new();
        for (number, source) in chosen {
            lines.push(format!("  File \"{file}\", line {number}"));
            if !source.is_empty() {
                lines.push(format!("    {source}"));
            }
        }
        lines
    };
    // The third line is empty, and is left out as in CPython.
    let all = [
        (1, "one()"),
        (2, "two()"),
        (3, ""),
        (4, "four()"),
        (5, "five()"),
    ];
    let mut reversed = all;
    reversed.reverse();
    let format = || five.format();
    assert_eq!(format().oldest_first().lines(), lines(&all));
    assert_eq!(format().lines(), lines(&reversed));
    // limit=1, limit=2, limit=0.
    assert_eq!(format().most_recent(1).lines(), lines(&all[4..]));
    assert_eq!(
        format().most_recent(2).oldest_first().lines(),
        lines(&all[3..])
    );
    assert_eq!(format().most_recent(0).lines(), [""; 0]);
    assert_eq!(format().most_recent(99).lines(), lines(&reversed));
    // limit=-1 works as documented; CPython leaves out the most recent frame. So does
    // most_recent_first.
    assert_eq!(format().oldest(1).lines(), lines(&all[..1]));
    assert_eq!(format().oldest(2).oldest_first().lines(), lines(&all[..2]));
    assert_eq!(format().oldest(2).lines(), lines(&[all[1], all[0]]));
    assert_eq!(format().oldest(99).oldest_first().lines(), lines(&all));
    assert_eq!(stack(&[]).format().lines(), [""; 0]);
    std::fs::remove_file(&path).unwrap();
    // There are no source lines without the file.
    let places = stack(&[("gone.py", 3), ("<unknown>", 0)])
        .format()
        .to_string();
    assert_eq!(places, "  File \"gone.py\", line 3\n  File \"<unknown>\"");
}
