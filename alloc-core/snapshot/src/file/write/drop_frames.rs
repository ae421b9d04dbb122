//! The frames that other readers of a file hide: those between the allocating line and the
//! allocator.
//!
//! A reader takes a regular expression, and hides each function whose whole name matches, with
//! everything that it called. So the expression must not match a standard library function that
//! calls user code, such as `FnOnce::call_once`: the user code would be hidden too.

use std::collections::BTreeSet;

use crate::stack::frame::Frame;
use crate::{Origin, Snapshot};

/// For a file without names: the functions that the compiler calls to allocate.
pub(super) const DROP_FRAMES: &str = "(.*::)?__rust_(alloc|alloc_zeroed|realloc)";

/// For a snapshot with names: the standard library functions that occur between the allocator and
/// other code, and nowhere else in any stack. Only the outermost such function of each stack is
/// needed.
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

/// How many frames of a stack belong to the allocation itself; zero if the stack has no other code.
fn of_allocation(frames: &[Frame]) -> usize {
    let is_other = |it: &Frame| !matches!(it.origin(), Origin::Std | Origin::Tracer);
    frames.iter().position(is_other).unwrap_or(0)
}

/// A function's name as readers match it: the part before the first parenthesis, where they expect
/// arguments.
fn name(frame: &Frame) -> &str {
    let name = frame.function().unwrap_or_default();
    name.split('(').next().unwrap_or_default()
}

/// A regular expression that matches exactly this text.
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
    fn callers_of_user_code_are_not_hidden() {
        let names = of(&snapshot(&[
            &[
                "alloc::alloc::alloc",
                "<alloc::vec::Vec<T>>::push",
                "demo::one",
                "std::rt::start",
            ],
            &["alloc::alloc::alloc", "core::iter::collect", "demo::two"],
            // `core::iter::collect`, which allocates in the stack above, calls the closure.
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
            // Readers see these two names as one, and one of the two is also elsewhere.
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
