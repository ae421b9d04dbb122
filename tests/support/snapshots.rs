use alloc_core::{ChargeTo, Counters, Frame, Snapshot, Trace};

/// The sum over the callsites charged to `line` of `file`, a path as `file!()` gives it.
///
/// It neither allocates nor frees.
pub fn at_line(snapshot: &Snapshot, file: &str, line: u32) -> Counters {
    sum_of(snapshot, |trace| {
        let frame = charged(trace);
        frame.line() == line && frame.file().is_some_and(|path| path.full().ends_with(file))
    })
}

/// The sum over the callsites charged to the function with this name, without its path.
///
/// It neither allocates nor frees.
pub fn at_function(snapshot: &Snapshot, name: &str) -> Counters {
    sum_of(snapshot, |trace| {
        let function = charged(trace).function().unwrap_or_default();
        function.rsplit("::").next() == Some(name)
    })
}

/// The sum over the callsites for which `choose` returns true.
///
/// It neither allocates nor frees.
pub fn sum_of(snapshot: &Snapshot, choose: impl Fn(&Trace) -> bool) -> Counters {
    let mut sum = Counters::default();
    for trace in snapshot.traces().iter().filter(|trace| choose(trace)) {
        sum += trace.counters;
    }
    sum
}

fn charged(trace: &Trace) -> &Frame {
    trace.traceback.charged(ChargeTo::Caller)
}
