//! Shows types in short form.

use super::parse::{head, split};

/// Crates whose paths are omitted.
const CRATES_OF_STD: &[&str] = &["alloc", "core", "std", "hashbrown"];

/// Default arguments, which are omitted.
const DEFAULTS: &[&str] = &["Global", "RandomState", "DefaultHashBuilder"];

/// A type without the paths of the standard library: `Vec<String>` for
/// `alloc::vec::Vec<alloc::string::String, alloc::alloc::Global>`.
pub(super) fn shown(of: &str) -> String {
    let of = of.trim();
    for (open, close) in [('(', ')'), ('[', ']')] {
        if let Some(inner) = of.strip_prefix(open).and_then(|it| it.strip_suffix(close)) {
            let (inner, len) = match inner.rsplit_once("; ") {
                Some((inner, len)) if open == '[' => (inner, format!("; {len}")),
                _ => (inner, String::new()),
            };
            let parts: Vec<String> = split(inner).into_iter().map(shown).collect();
            return format!("{open}{}{len}{close}", parts.join(", "));
        }
    }
    for prefix in ["&mut ", "&", "*const ", "*mut ", "dyn "] {
        if let Some(rest) = of.strip_prefix(prefix) {
            return prefix.to_owned() + &shown(rest);
        }
    }
    let (path, arguments) = head(of);
    let arguments: Vec<String> = arguments.into_iter().map(shown).collect();
    let arguments: Vec<&str> = arguments
        .iter()
        .map(String::as_str)
        .filter(|it| !DEFAULTS.contains(it))
        .collect();
    let path = shown_path(path);
    match arguments.is_empty() {
        true => path,
        false => format!("{path}<{}>", arguments.join(", ")),
    }
}

fn shown_path(path: &str) -> String {
    // `demo::load::{async_fn_env#0}`: a type that the compiler makes from a function's body.
    if let Some((within, made)) = path.rsplit_once("::{") {
        let what = [
            ("async_fn", "future of"),
            ("async_block", "async block in"),
            ("closure", "closure in"),
            ("gen", "generator in"),
        ];
        if let Some((_, what)) = what.iter().find(|(it, _)| made.starts_with(it)) {
            let within = within.split("::{").next().unwrap_or(within);
            return format!("{what} {within}");
        }
    }
    let krate = path.split("::").next().unwrap_or(path);
    match path.rsplit_once("::") {
        Some((_, name)) if CRATES_OF_STD.contains(&krate) => name.to_owned(),
        _ => path.to_owned(),
    }
}
