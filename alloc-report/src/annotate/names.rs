//! Names of functions, as Rust's two manglings write them.

use alloc_core_snapshot::Frame;

/// The name of a function without path, generic arguments and closures.
///
/// It is `fill` for `demo::Cache<T>::fill::<u8>::{closure#0}`.
pub(super) fn bare_name(function: &str) -> &str {
    let name = full_name(function);
    let mut depth = 0_i32;
    let start = name.char_indices().rev().find(|&(at, c)| {
        match c {
            '>' => depth += 1,
            '<' => depth -= 1,
            _ => {}
        }
        depth == 0 && name[..at].ends_with(':')
    });
    start.map_or(name, |(at, _)| &name[at..])
}

/// The name of a function with its path, without its generic arguments and closures.
///
/// It is `demo::Cache<T>::fill` for `demo::Cache<T>::fill::<u8>::{closure#0}`.
pub(super) fn full_name(function: &str) -> &str {
    let mut name = function;
    loop {
        let cut = match name.chars().next_back() {
            Some('}') => name.rfind("::{"),
            // NOTE: a bracket at the start opens the type of an implementation.
            Some('>') => opening_of_last(name).filter(|&at| at > 0),
            _ => None,
        };
        match cut {
            Some(at) => name = name[..at].trim_end_matches("::"),
            None => return name,
        }
    }
}

/// The position of the angle bracket that the last one closes.
fn opening_of_last(name: &str) -> Option<usize> {
    let mut depth = 0_i32;
    let mut at = name.char_indices().rev();
    at.find(|&(_, c)| {
        match c {
            '>' => depth += 1,
            '<' => depth -= 1,
            _ => {}
        }
        depth == 0
    })
    .map(|(at, _)| at)
}

/// The name that distinguishes the functions of a file.
pub(super) fn name_of(frame: &Frame) -> Option<&str> {
    frame
        .function()
        .map(bare_name)
        .filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bare_names_have_no_path_arguments_or_closures() {
        for (function, name) in [
            ("main", "main"),
            ("demo::fill", "fill"),
            ("demo::fill::{closure#0}", "fill"),
            ("demo::fill::{closure#0}::{closure#12}", "fill"),
            ("demo::fill::{{closure}}", "fill"),
            ("demo::Cache<T>::fill", "fill"),
            ("demo::fill::<alloc::vec::Vec<u8>>", "fill"),
            ("demo::fill::<u8>::{closure#0}::<u16>", "fill"),
            ("fill<alloc::vec::Vec<u8, alloc::alloc::Global>>", "fill"),
            ("demo::fill<u8>", "fill"),
            ("<demo::Key as core::fmt::Display>::fmt", "fmt"),
            ("<demo::Key<a::B> as c::D<e::F>>::fmt::<g::H>", "fmt"),
            ("", ""),
        ] {
            assert_eq!(bare_name(function), name, "{function}");
        }
        assert_eq!(full_name("demo::fill::<u8>::{closure#0}"), "demo::fill");
        assert_eq!(full_name("demo::Cache<T>::fill"), "demo::Cache<T>::fill");
    }
}
