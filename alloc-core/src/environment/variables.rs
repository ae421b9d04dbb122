//! The names of the tracer's environment variables, and the detection of misspelled ones.

use std::ffi::CStr;

use crate::system::hooks;

/// The prefix of every name.
const PREFIX: &str = "ALLOC_TRACE";

/// All variables that are read. See [`environment`](crate::environment).
const KNOWN: [&str; 22] = [
    PREFIX,
    "ALLOC_TRACE_SAMPLE",
    "ALLOC_TRACE_OUT",
    "ALLOC_TRACE_EVERY",
    "ALLOC_TRACE_SIGNAL",
    "ALLOC_TRACE_GRAPH_SIGNAL",
    "ALLOC_TRACE_WHEN",
    "ALLOC_TRACE_KEEP",
    "ALLOC_TRACE_NAMES",
    "ALLOC_TRACE_LIVE",
    "ALLOC_TRACE_SIZES",
    "ALLOC_TRACE_LIFETIMES",
    "ALLOC_TRACE_FREES",
    "ALLOC_TRACE_SLACK",
    "ALLOC_TRACE_RESIDENT",
    "ALLOC_TRACE_EXACT_GRAPH",
    "ALLOC_TRACE_THREADS",
    "ALLOC_TRACE_EXACT_PEAK",
    "ALLOC_TRACE_MAX_CALLSITES",
    "ALLOC_TRACE_SERVE",
    "ALLOC_TRACE_SERVE_TOKEN",
    "ALLOC_TRACE_PUSH",
];

/// Names that users may try instead, with the right ones.
const SYNONYMS: [(&str, &str); 9] = [
    ("ALLOC_TRACE_FRAMES", PREFIX),
    ("ALLOC_TRACE_DEPTH", PREFIX),
    ("ALLOC_TRACE_FILE", "ALLOC_TRACE_OUT"),
    ("ALLOC_TRACE_PATH", "ALLOC_TRACE_OUT"),
    ("ALLOC_TRACE_OUTPUT", "ALLOC_TRACE_OUT"),
    ("ALLOC_TRACE_INTERVAL", "ALLOC_TRACE_EVERY"),
    ("ALLOC_TRACE_LIMIT", "ALLOC_TRACE_KEEP"),
    ("ALLOC_TRACE_TOKEN", "ALLOC_TRACE_SERVE_TOKEN"),
    ("ALLOC_TRACE_CALLSITES", "ALLOC_TRACE_MAX_CALLSITES"),
];

/// Reports variables that look like the tracer's but are unknown. Does not allocate.
pub(crate) fn warn_of_unknown() {
    hooks::for_each_variable(|variable| {
        if let Some(name) = unknown(variable) {
            match nearest(name) {
                Some(near) => {
                    hooks::write_to_stderr(&["alloc-core: ", name, ": did you mean ", near, "?\n"]);
                }
                None => {
                    hooks::write_to_stderr(&[
                        "alloc-core: ",
                        name,
                        ": no variable of the tracer has this name\n",
                    ]);
                }
            }
        }
    });
}

/// Returns the name in `NAME=value` if it looks like the tracer's, is unknown, and has a value.
fn unknown(variable: &CStr) -> Option<&str> {
    let bytes = variable.to_bytes();
    if !bytes.starts_with(PREFIX.as_bytes()) {
        return None;
    }
    let (name, value) = variable.to_str().ok()?.split_once('=')?;
    // NOTE: other programs' variables may start with the same letters, such as ALLOC_TRACER_HOME.
    let rest = &name[PREFIX.len()..];
    let is_ours = rest.is_empty() || rest.starts_with('_') || nearest(name).is_some();
    (is_ours && !value.is_empty() && !KNOWN.contains(&name)).then_some(name)
}

/// Returns the variable that a misspelled name probably means.
fn nearest(name: &str) -> Option<&'static str> {
    let synonym = SYNONYMS.iter().find(|(other, _)| *other == name);
    if let Some((_, known)) = synonym {
        return Some(known);
    }
    let distances = KNOWN.iter().map(|known| (distance(name, known), *known));
    let (distance, known) = distances.min_by_key(|(distance, _)| *distance)?;
    (distance <= FARTHEST).then_some(known)
}

/// The most edits between a misspelled name and the one it means.
const FARTHEST: usize = 2;
/// The longest name that is compared, in bytes.
const LONGEST: usize = 32;

/// The Levenshtein distance of two names; [`usize::MAX`] if one is too long.
fn distance(a: &str, b: &str) -> usize {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    if a.len() > LONGEST || b.len() > LONGEST {
        return usize::MAX;
    }
    // The distances of the current prefix of `a` from each prefix of `b`.
    let mut row: [usize; LONGEST + 1] = std::array::from_fn(|at| at);
    for (at, letter) in a.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = at + 1;
        for (column, other) in b.iter().enumerate() {
            let changed = diagonal + usize::from(letter != other);
            diagonal = row[column + 1];
            row[column + 1] = changed.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelled_name_has_a_suggestion() {
        for (wrong, meant) in [
            ("ALLOC_TRACE_EVRY", Some("ALLOC_TRACE_EVERY")),
            ("ALLOC_TRACES", Some("ALLOC_TRACE")),
            ("ALLOC_TRACE_SIGNALS", Some("ALLOC_TRACE_SIGNAL")),
            ("ALLOC_TRACE_FRAMES", Some("ALLOC_TRACE")),
            ("ALLOC_TRACE_OUTPUT", Some("ALLOC_TRACE_OUT")),
            ("ALLOC_TRACE_EXACTPEAK", Some("ALLOC_TRACE_EXACT_PEAK")),
            ("ALLOC_TRACE_COLOUR", None),
            ("ALLOC_TRACE_A_NAME_LONGER_THAN_ANY_OF_OURS", None),
        ] {
            assert_eq!(nearest(wrong), meant, "{wrong}");
        }
    }

    #[test]
    fn only_names_like_ours_are_unknown() {
        for (variable, name) in [
            (c"ALLOC_TRACE_EVRY=1", Some("ALLOC_TRACE_EVRY")),
            (c"ALLOC_TRACE_COLOUR=1", Some("ALLOC_TRACE_COLOUR")),
            (c"ALLOC_TRACE_EVRY=", None),
            (c"ALLOC_TRACE=1", None),
            (c"ALLOC_TRACER_HOME=/", None),
            (c"PATH=/", None),
        ] {
            assert_eq!(unknown(variable), name, "{variable:?}");
        }
    }

    #[test]
    fn each_variable_is_described() {
        let described = include_str!("mod.rs");
        for name in KNOWN {
            assert!(described.contains(&format!("//! {name}=")), "{name}");
        }
    }
}
