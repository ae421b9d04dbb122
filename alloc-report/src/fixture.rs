//! Synthetic snapshots for the unit tests.

use alloc_core_snapshot::{Amount, Counters, Frame, Snapshot, Trace, Traceback};

/// File and line of the innermost frame, files and lines of the outer frames, bytes, blocks.
pub(crate) type Row<'a> = (&'a str, u32, &'a [(&'a str, u32)], u64, u64);

/// The first of the two snapshots in CPython's own tests.
pub(crate) const S1: &[Row<'static>] = &[
    ("a.py", 2, &[("b.py", 4)], 10, 1),
    ("a.py", 2, &[("b.py", 4)], 10, 1),
    ("a.py", 2, &[("b.py", 4)], 10, 1),
    ("a.py", 5, &[("b.py", 4)], 2, 1),
    ("b.py", 1, &[], 66, 1),
    ("", 0, &[], 7, 1),
];

/// The second of the two snapshots in CPython's own tests.
pub(crate) const S2: &[Row<'static>] = &[
    ("a.py", 2, &[("b.py", 4)], 10, 1),
    ("a.py", 2, &[("b.py", 4)], 10, 1),
    ("a.py", 2, &[("b.py", 4)], 10, 1),
    ("a.py", 5, &[("b.py", 4)], 2, 1),
    ("a.py", 5, &[("b.py", 4)], 5000, 1),
    ("c.py", 578, &[], 400, 1),
];

/// A snapshot in which all blocks are live, now and at the peak. An empty name is an unknown file.
pub(crate) fn snapshot(rows: &[Row<'_>]) -> Snapshot {
    let traces = rows.iter().map(|&(file, line, outer, bytes, blocks)| {
        let frames = [(file, line)].into_iter().chain(outer.iter().copied());
        let frames = frames.map(|(file, line)| {
            let file = Some(file).filter(|file| !file.is_empty());
            Frame::new(None, file, line, 0)
        });
        let amount = Amount::new(bytes, blocks);
        let counters = Counters {
            current: amount,
            peak: amount,
            at_peak: amount,
            total: amount,
            ..Counters::default()
        };
        Trace::new(Traceback::new(frames.collect()), counters)
    });
    Snapshot::from_traces(traces.collect(), 2)
}
