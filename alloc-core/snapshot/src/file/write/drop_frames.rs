//! Which frames other readers of a file hide: those between the line that allocated and the
//! allocator.
//!
//! A reader takes a regular expression, and hides each function whose whole name matches, with all
//! that it called. So no name may match that the standard library has between itself and code of
//! the user's, as `FnOnce::call_once` is: that code would go with it.

use std::collections::BTreeSet;

use crate::stack::frame::Frame;
use crate::{Origin, Snapshot};

/// Of a file without names: the functions that the compiler calls to allocate.
pub(super) const DROP_FRAMES: &str = "(.*::)?__rust_(alloc|alloc_zeroed|realloc)";

/// Of a snapshot with names: what of the standard library stands between the allocator and other
/// code, and in no stack anywhere else. Of each stack the outermost such function is enough.
pub(super) fn of(snapshot: &Snapshot) -> String {
    let stacks = || snapshot.traces().iter().map(|it| &it.traceback[..]);
    let mut elsewhere = BTreeSet::new();
    for frames in stacks() {
        elsewhere.extend(frames[of_allocation(frames)..].iter().map(name));
    }
    let mut names = BTreeSet::new();
    for frames in stacks() {
        let inner = frames[..of_allocation(frames)].iter().rev().map(name);
        names.extend(inner.filter(|it| !elsewhere.contains(it)).take(1));
    }
    names.remove("");
    let names: Vec<String> = names.into_iter().map(quoted).collect();
    names.join("|")
}

/// How many frames of a stack are the allocation's own. None, where nobody else is in it.
fn of_allocation(frames: &[Frame]) -> usize {
    let is_other = |it: &Frame| !matches!(it.origin(), Origin::Std | Origin::Tracer);
    frames.iter().position(is_other).unwrap_or(0)
}

/// A function's name as readers match it: up to the first parenthesis, where they expect arguments.
fn name(frame: &Frame) -> &str {
    let name = frame.function().unwrap_or_default();
    name.split('(').next().unwrap_or_default()
}

/// A regular expression that matches a text and nothing else.
fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len());
    for c in text.chars() {
        if r"\.+*?()|[]{}^$".contains(c) {
            quoted.push('\\');
        }
        quoted.push(c);
    }
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Counters, Trace, Traceback};

    fn snapshot(stacks: &[&[&str]]) -> Snapshot {
        let frame = |name: &&str| {
            let file = match name.starts_with("demo") {
                true => "src/main.rs",
                false => "/rustc/0123/library/core/src/lib.rs",
            };
            Frame::new(Some(name), Some(file), 1, 1)
        };
        let trace = |names: &&[&str]| {
            Trace::new(
                Traceback::new(names.iter().map(frame).collect()),
                Counters::default(),
            )
        };
        Snapshot::from_traces(stacks.iter().map(trace).collect(), 32)
    }

    #[test]
    fn what_calls_the_user_s_code_is_not_hidden() {
        let names = of(&snapshot(&[
            &[
                "alloc::alloc::alloc",
                "<alloc::vec::Vec<T>>::push",
                "demo::one",
                "std::rt::start",
            ],
            &["alloc::alloc::alloc", "core::iter::collect", "demo::two"],
            // The closure is called by what allocates above.
            &[
                "alloc::alloc::alloc",
                "demo::closure",
                "core::iter::collect",
                "demo::two",
            ],
            &[
                "alloc::alloc::alloc",
                "core::array::<impl [T; 3]>::map::{{closure}}",
                "demo::one",
            ],
            // Of two names, that are one to readers, one is elsewhere.
            &[
                "alloc::fmt::f(u8)",
                "demo::one",
                "alloc::fmt::f(u16)",
                "demo::one",
            ],
            &["std::rt::init", "std::rt::start"],
        ]));
        assert_eq!(
            names,
            r"<alloc::vec::Vec<T>>::push|alloc::alloc::alloc|core::array::<impl \[T; 3\]>::map::\{\{closure\}\}"
        );
        assert_eq!(of(&snapshot(&[])), "");
    }
}
