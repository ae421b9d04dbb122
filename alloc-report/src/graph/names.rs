//! [`Names`]: the types and lines of callsites, and the functions on stacks; and the names of
//! variables.

use std::sync::Arc;

use alloc_core_snapshot::seam::variables::{Variable, Variables};
use alloc_core_snapshot::{Frame, Snapshot, SymbolSearch};

use super::evidence::Kind;
use super::file::Data;
use crate::names::short;
use crate::show::text;

/// Names that the snapshot has.
pub(super) struct Names {
    pub(super) callsites: Vec<Callsite>,
    /// The functions on each thread's stack.
    pub(super) stacks: Vec<Vec<String>>,
}

/// What is known about the blocks of a callsite.
pub(super) struct Callsite {
    pub(super) type_name: Option<Arc<str>>,
    pub(super) kind: Kind,
    /// The line that is charged.
    pub(super) place: String,
}

impl Names {
    pub(super) fn of(data: &Data, snapshot: &Snapshot, search: &SymbolSearch) -> Names {
        let traces = snapshot.traces();
        let callsites = data.callsites.iter().map(|callsite| {
            let trace = callsite.trace.and_then(|it| traces.get(it as usize));
            let type_name = trace.and_then(|it| it.type_name.clone());
            let place = trace.map(|it| snapshot.charged_frame(&it.traceback));
            Callsite {
                kind: Kind::of(type_name.as_deref()),
                type_name,
                place: place.map_or_else(|| "<unknown>".to_owned(), text::place),
            }
        });
        Names {
            callsites: callsites.collect(),
            stacks: stacks(data, snapshot, search),
        }
    }
}

/// The functions on each thread's stack, innermost first, without those that are inlined; empty for
/// one that has no name.
fn stacks(data: &Data, snapshot: &Snapshot, search: &SymbolSearch) -> Vec<Vec<String>> {
    let mut addresses = Vec::new();
    for thread in &data.threads {
        for (at, frame) in thread.frames.iter().enumerate() {
            // A return address is one past the call; the innermost function did not call.
            addresses.push(frame.code.saturating_add(u64::from(at == 0)));
        }
    }
    let mut found = snapshot.frames_at(&addresses, search).into_iter();
    // NOTE: an address outside of all modules says nothing.
    let is_name = |it: &String| !it.starts_with("0x");
    let name = |frames: Arc<[Frame]>| {
        let function = frames.last().and_then(|it| it.function().map(short));
        let function = function.filter(is_name);
        function.map_or_else(String::new, |it| text::name(&it))
    };
    let threads = data.threads.iter();
    threads
        .map(|thread| found.by_ref().take(thread.frames.len()).map(name).collect())
        .collect()
}

/// Sorts by place, so that [`at`] finds a variable.
pub(super) fn sorted(mut variables: Variables) -> Variables {
    for list in [&mut variables.statics, &mut variables.thread_locals] {
        list.sort_by(|a, b| (a.start, a.size, &a.name).cmp(&(b.start, b.size, &b.name)));
    }
    variables
}

/// The number of the variable at a place.
pub(super) fn at(variables: &[Variable], place: u64) -> Option<usize> {
    let at = variables.partition_point(|it| it.start <= place);
    let at = at.checked_sub(1)?;
    let variable = &variables[at];
    (place - variable.start < variable.size.max(1)).then_some(at)
}

/// A variable's name as the program has it: without what `thread_local!` and `lazy_static!` put
/// around it.
pub(super) fn plain(name: &str) -> String {
    const WRAPPERS: [&str; 7] = [
        "::__RUST_STD_INTERNAL_VAL",
        "::__RUST_STD_INTERNAL_INIT",
        "::VAL",
        "::__KEY",
        "::{{constant}}",
        "::{{closure}}",
        "::__getit",
    ];
    let mut rest = name;
    loop {
        let numbered = rest
            .strip_suffix('}')
            .and_then(|it| it.rsplit_once('#'))
            .filter(|(_, number)| number.bytes().all(|it| it.is_ascii_digit()))
            .and_then(|(it, _)| {
                it.strip_suffix("::{closure")
                    .or_else(|| it.strip_suffix("::{constant"))
            });
        let shorter = WRAPPERS.iter().find_map(|it| rest.strip_suffix(it));
        match numbered.or(shorter) {
            Some(shorter) if !shorter.is_empty() => rest = shorter,
            _ => return text::name(rest),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_found_by_any_of_their_bytes() {
        let variable = |start, size, name: &str| Variable {
            start,
            size,
            name: name.to_owned(),
        };
        let variables = Variables {
            statics: vec![variable(32, 0, "b"), variable(16, 8, "a")],
            thread_locals: Vec::new(),
        };
        let statics = sorted(variables).statics;
        let name = |place| at(&statics, place).map(|it| statics[it].name.as_str());
        for (place, expected) in [
            (15, None),
            (16, Some("a")),
            (23, Some("a")),
            (24, None),
            (32, Some("b")),
            (33, None),
        ] {
            assert_eq!(name(place), expected, "{place}");
        }
    }

    #[test]
    fn thread_locals_have_the_name_of_the_program() {
        for (name, expected) in [
            ("app::CACHE", "app::CACHE"),
            ("app::LOCAL::{{constant}}::{{closure}}::VAL", "app::LOCAL"),
            (
                "app::LOCAL::{constant#0}::{closure#1}::__RUST_STD_INTERNAL_VAL",
                "app::LOCAL",
            ),
            ("::VAL", "::VAL"),
            ("a\u{1b}", "a\\u{1b}"),
        ] {
            assert_eq!(plain(name), expected);
        }
    }
}
