//! [`MissingDebugInfo`]: why a snapshot shows no lines.

use std::fmt;

use crate::missing::Missing;
use crate::{ChargeTo, Frame, Origin, Snapshot, Trace, process};

/// Why a snapshot shows functions or addresses without lines.
///
/// Prints as a sentence that says what to change.
///
/// ```
/// use alloc_core::{Counters, Frame, Snapshot, Trace, Traceback};
///
/// let frame = Frame::new(Some("demo::fill"), None, 0, 0);
/// let trace = Trace::new(Traceback::new(vec![frame]), Counters::default());
/// let missing = Snapshot::from_traces(vec![trace], 32).missing_debug_info();
/// assert_eq!(
///     missing.unwrap().to_string(),
///     "no lines: the program was built without debug information; put \
///      `debug = 1` under [profile.release] in Cargo.toml"
/// );
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MissingDebugInfo(Why);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Why {
    /// The cause is in the module's file.
    File(Missing),
    /// The names in the snapshot show that the program was stripped.
    Stripped,
    NoDebugInfo,
}

impl MissingDebugInfo {
    fn has_no_names(&self) -> bool {
        match &self.0 {
            Why::File(missing) => missing.has_no_names(),
            Why::Stripped => true,
            Why::NoDebugInfo => false,
        }
    }
}

impl fmt::Display for MissingDebugInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Why::File(missing) => missing.fmt(f),
            Why::Stripped => f.write_str(
                "no names and lines: the program was stripped; put `strip = false` and \
                 `debug = 1` under [profile.release] in Cargo.toml",
            ),
            Why::NoDebugInfo => f.write_str(
                "no lines: the program was built without debug information; put \
                 `debug = 1` under [profile.release] in Cargo.toml",
            ),
        }
    }
}

impl Snapshot {
    /// Why lines are missing, and how to get them; `None` if fewer than half of the callsites lack
    /// a line.
    ///
    /// ```
    /// assert_eq!(alloc_core::Snapshot::from_traces(vec![], 32).missing_debug_info(), None);
    /// ```
    pub fn missing_debug_info(&self) -> Option<MissingDebugInfo> {
        let _muted = process::mute();
        let charged = |trace: &Trace| trace.traceback.charged(ChargeTo::Caller).clone();
        let frames = self.traces().iter().map(charged);
        let without_line: Vec<MissingDebugInfo> = frames
            .filter(|frame| frame.file().is_none() && frame.origin() == Origin::Unknown)
            .filter(|frame| frame.function().is_some_and(|name| !name.starts_with('<')))
            .map(|frame| MissingDebugInfo(self.why_without_line(&frame)))
            .collect();
        // NOTE: some functions never have lines, such as those of a C library.
        let is_half = 2 * without_line.len() >= self.traces().len();
        let worst = without_line
            .into_iter()
            .max_by_key(MissingDebugInfo::has_no_names);
        worst.filter(|_| is_half)
    }

    fn why_without_line(&self, frame: &Frame) -> Why {
        let has_no_name = frame.function().is_some_and(|name| name.contains("+0x"));
        let call = frame.address().saturating_sub(1);
        let gaps = &self.named().gaps;
        match gaps.iter().find(|it| it.addresses.contains(&call)) {
            Some(gap) => Why::File(gap.why.clone()),
            None if has_no_name => Why::Stripped,
            None => Why::NoDebugInfo,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Counters, Traceback};

    #[track_caller]
    fn check(frames: &[(&str, &str)], expected: Option<bool>) {
        let frames = frames.iter().map(|&(function, file)| {
            Frame::new(Some(function), Some(file).filter(|it| !it.is_empty()), 1, 1)
        });
        let trace = Trace::new(Traceback::new(frames.collect()), Counters::default());
        let snapshot = Snapshot::from_traces(vec![trace], 8);
        let missing = snapshot.missing_debug_info();
        assert_eq!(missing.map(|missing| missing.has_no_names()), expected);
    }

    #[test]
    fn lines_are_missing_if_the_charged_frame_has_none() {
        let push = (
            "alloc::vec::Vec<T>::push",
            "/rustc/5/library/alloc/src/vec/mod.rs",
        );
        check(&[push, ("demo::fill", "src/fill.rs")], None);
        check(
            &[push, ("demo::fill", ""), ("demo::main", "src/main.rs")],
            Some(false),
        );
        check(
            &[("demo+0x1f3a", ""), ("libc.so.6+0x2724a", "")],
            Some(true),
        );
        check(&[("<overflow>", "")], None);
        check(&[push, ("main", ""), ("_start", "")], None);
    }
}
