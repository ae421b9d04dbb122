//! Names of functions as a person would write them.

/// A function's name without the paths of its types and modules, and without generic arguments:
/// `Vec::push` for `alloc::vec::Vec<T,A>::push`, `Cache::insert` for `<shop::Cache as Store>::insert`.
///
/// The last two parts of the path are kept, and the closures after them.
pub(crate) fn short(function: &str) -> String {
    let (path, closures) = without_closures(function);
    let parts = parts(path);
    let name = match parts.as_slice() {
        [] => path.to_owned(),
        [only] => (*only).to_owned(),
        [.., owner, name] => format!("{}::{}", type_name(owner), name),
    };
    name + &"::{closure}".repeat(closures)
}

/// A type without the paths of modules: `Rc<Node>` for `Rc<app::tree::Node>`.
pub(crate) fn without_paths(name: &str) -> String {
    let mut short = String::with_capacity(name.len());
    let mut rest = name;
    while let Some(at) = rest.find("::") {
        let (before, after) = rest.split_at(at);
        let is_part = |it: char| it.is_alphanumeric() || it == '_';
        short.push_str(before.trim_end_matches(is_part));
        rest = &after[2..];
    }
    short.push_str(rest);
    short
}

/// The path in front of `::{{closure}}` and the like, and how many of them there are.
fn without_closures(function: &str) -> (&str, usize) {
    let mut path = function;
    let mut closures = 0;
    while let Some((outer, last)) = path.rsplit_once("::")
        && (last.starts_with("{{") || last.starts_with("{closure"))
    {
        path = outer;
        closures += 1;
    }
    (path, closures)
}

/// The parts of a path between `::`, without those within brackets, and without generic arguments
/// that stand alone, as in `Vec::<T>::new`.
fn parts(path: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let (mut depth, mut start, mut at) = (0_usize, 0, 0);
    let bytes = path.as_bytes();
    while at < bytes.len() {
        match bytes[at] {
            b'<' | b'(' | b'[' | b'{' => depth += 1,
            // NOTE: the arrow of a function's type closes nothing.
            b'>' if at > 0 && bytes[at - 1] == b'-' => {}
            b'>' | b')' | b']' | b'}' => depth = depth.saturating_sub(1),
            b':' if depth == 0 && bytes.get(at + 1) == Some(&b':') => {
                parts.push(&path[start..at]);
                at += 1;
                start = at + 1;
            }
            _ => {}
        }
        at += 1;
    }
    parts.push(&path[start..]);
    let is_arguments = |part: &&str| {
        part.is_empty()
            || part.starts_with('<') && !part.contains(" as ") && parts_of_type(part).is_none()
    };
    let kept: Vec<&str> = parts
        .iter()
        .copied()
        .filter(|it| !is_arguments(it))
        .collect();
    match kept.is_empty() {
        true => parts,
        false => kept,
    }
}

/// The type in `<a::Type<T>>`, if that is the whole part and it is the first of a path.
fn parts_of_type(part: &str) -> Option<&str> {
    let inner = part.strip_prefix('<')?.strip_suffix('>')?;
    inner.contains("::").then_some(inner)
}

/// The last part of a type's path: `Vec` for `<alloc::vec::Vec<T> as Extend<T>>`.
fn type_name(owner: &str) -> &str {
    let inner = owner.strip_prefix('<').and_then(|it| it.strip_suffix('>'));
    let Some(inner) = inner else {
        return before_arguments(owner);
    };
    let inner = inner
        .split(" as ")
        .next()
        .unwrap_or(inner)
        .trim_start_matches(['&', '*']);
    let inner = inner.trim_start_matches("mut ").trim_start_matches("dyn ");
    // A pointer to a function has no path of its own.
    if inner.starts_with("fn(") {
        return inner;
    }
    let path = before_arguments(inner);
    path.rsplit("::").next().unwrap_or(path)
}

fn before_arguments(name: &str) -> &str {
    match name.split_once('<') {
        Some((path, _)) if !path.is_empty() => path,
        _ => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_named_without_modules() {
        for (whole, expected) in [
            ("Rc<app::tree::Node>", "Rc<Node>"),
            ("(a::B, c::D<e::F>)", "(B, D<F>)"),
            ("Box<dyn app::Run>", "Box<dyn Run>"),
            ("Vec<u8>", "Vec<u8>"),
        ] {
            assert_eq!(without_paths(whole), expected);
        }
    }

    #[test]
    fn functions_are_named_as_people_write_them() {
        #[track_caller]
        fn check(whole: &str, expected: &str) {
            assert_eq!(short(whole), expected, "{whole}");
        }
        check("main", "main");
        check("shop::main", "shop::main");
        check("shop::cache::fill", "cache::fill");
        check("alloc::vec::Vec<T,A>::push", "Vec::push");
        check(
            "<alloc::vec::Vec<T> as core::iter::FromIterator<T>>::from_iter",
            "Vec::from_iter",
        );
        check("<shop::Cache>::insert", "Cache::insert");
        check(
            "<shop::Cache<std::string::String>>::insert",
            "Cache::insert",
        );
        check("alloc::vec::Vec::<u8>::new", "Vec::new");
        check(
            "core::ops::function::FnOnce::call_once",
            "FnOnce::call_once",
        );
        check("shop::run::{{closure}}", "shop::run::{closure}");
        check(
            "shop::run::{{closure}}::{{closure}}",
            "shop::run::{closure}::{closure}",
        );
        check("shop::run::{closure#0}", "shop::run::{closure}");
        check(
            "<fn(u8) -> a::B as core::ops::FnOnce<()>>::call_once",
            "fn(u8) -> a::B::call_once",
        );
        check("<&mut dyn std::io::Write as x::Y>::write", "Write::write");
        check("", "");
        check("::", "::");
        check("<", "<");
        check("a::<b", "a");
    }
}
