//! Frames from the names in a file.

use std::borrow::Cow;

use alloc_core_snapshot::{Error, Frame};
use rustc_demangle::try_demangle;

use super::budget::Budget;

/// A frame with these names; an empty name or path is unknown, as is a line or column of 0.
///
/// Linker symbols of Rust are demangled, and hashes are cut off.
pub(super) fn frame(
    name: &str,
    path: &str,
    (line, column): (u32, u32),
    budget: &mut Budget,
) -> Result<Frame, Error> {
    let demangled = try_demangle(name).ok().map(|it| format!("{it:#}"));
    let name = demangled.as_deref().unwrap_or_else(|| without_hash(name));
    let path = &*whole_path(name, path);
    // The frame, its function, and what is derived of both texts.
    budget.take(1, 512 + 2 * (name.len() + path.len()), "frames")?;
    let known = |text| Some(text).filter(|it: &&str| !it.is_empty());
    Ok(Frame::new(known(name), known(path), line, column))
}

/// A frame of code that has no name: the file that it is in, and its address.
pub(super) fn nameless(object: &str, address: &str, budget: &mut Budget) -> Result<Frame, Error> {
    let object = object.rsplit('/').next().unwrap_or(object);
    let name = match object {
        "" => address.to_owned(),
        object => format!("{object}@{address}"),
    };
    frame(&name, "", (0, 0), budget)
}

/// A demangled name without the hash that legacy symbols end with.
fn without_hash(name: &str) -> &str {
    let Some((path, hash)) = name.rsplit_once("::h") else {
        return name;
    };
    match hash.len() == 16 && hash.bytes().all(|it| it.is_ascii_hexdigit()) {
        true => path,
        false => name,
    }
}

/// The folder of the standard library, of a compiler that is not known.
const LIBRARY: &str = "/rustc/unknown/library/";

/// A path of the standard library as compilers record it. Tools cut such paths: dhat-rs to
/// `src/vec/mod.rs`, valgrind to `mod.rs`, heaptrack to `library/alloc/src/vec/mod.rs`. Where the
/// folder is lost, so is the path, since it would look like one of the program.
fn whole_path<'a>(name: &str, path: &'a str) -> Cow<'a, str> {
    if path.is_empty() || path.starts_with(['/', '.', '<']) {
        return path.into();
    }
    let is_of = |name: &str| {
        path.strip_prefix(name)
            .is_some_and(|it| it.starts_with("/src/"))
    };
    if let Some(rest) = path.strip_prefix("library/") {
        let known = OF_STD.iter().any(|it| {
            let rest = rest.strip_prefix(it);
            rest.is_some_and(|it| it.starts_with("/src/"))
        });
        return match known {
            true => format!("{LIBRARY}{rest}").into(),
            false => path.into(),
        };
    }
    match crate_of(name).filter(|it| OF_STD.contains(it)) {
        None => path.into(),
        Some(name) if is_of(name) => format!("{LIBRARY}{path}").into(),
        Some(name) if path.starts_with("src/") => format!("{LIBRARY}{name}/{path}").into(),
        Some(_) => "".into(),
    }
}

const OF_STD: [&str; 3] = ["alloc", "core", "std"];

/// The crate of a function; of its trait if its type is a parameter or built in.
fn crate_of(name: &str) -> Option<&str> {
    let head = |path: &'_ str| -> Option<usize> {
        let end = path.find(|c: char| !c.is_alphanumeric() && c != '_')?;
        path[end..].starts_with("::").then_some(end)
    };
    let Some(inner) = name.strip_prefix('<') else {
        return head(name).map(|end| &name[..end]);
    };
    let of_trait = || inner.split_once(" as ").map(|it| it.1);
    let path = if head(inner).is_some() {
        inner
    } else {
        of_trait()?
    };
    head(path).map(|end| &path[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(name: &str, expected: &str) {
        let frame = frame(name, "", (0, 0), &mut Budget::of(0, "a name")).unwrap();
        assert_eq!(frame.function(), Some(expected));
    }

    #[test]
    fn names_are_demangled_and_have_no_hash() {
        check(
            "_RNvNtCslNYArtu3iFV_5alloc5alloc5alloc",
            "alloc::alloc::alloc",
        );
        check("_ZN4demo4keep17h38e95565b6f46d0eE", "demo::keep");
        check("demo::keep::h38e95565b6f46d0e", "demo::keep");
        check("demo::hash::h1", "demo::hash::h1");
        check("main.(*Cache).Fill", "main.(*Cache).Fill");
    }

    #[test]
    fn cut_paths_of_the_standard_library_are_whole_again() {
        #[track_caller]
        fn check(name: &str, path: &str, expected: &str) {
            assert_eq!(whole_path(name, path), expected, "{name}");
        }
        let vec = "alloc::vec::Vec<T,A>::with_capacity_in";
        check(
            vec,
            "src/vec/mod.rs",
            "/rustc/unknown/library/alloc/src/vec/mod.rs",
        );
        check(
            "<alloc::alloc::Global as core::alloc::Allocator>::allocate",
            "alloc/src/alloc.rs",
            "/rustc/unknown/library/alloc/src/alloc.rs",
        );
        check(
            "<T as core::convert::Into<U>>::into",
            "src/convert/mod.rs",
            "/rustc/unknown/library/core/src/convert/mod.rs",
        );
        check(vec, "mod.rs", "");
        check(
            "alloc",
            "library/alloc/src/alloc.rs",
            "/rustc/unknown/library/alloc/src/alloc.rs",
        );
        check(
            "shop::cart",
            "library/cart/src/lib.rs",
            "library/cart/src/lib.rs",
        );
        check("shop::main", "src/main.rs", "src/main.rs");
        check(
            "<shop::Cart as core::fmt::Debug>::fmt",
            "src/main.rs",
            "src/main.rs",
        );
        check("main", "main.c", "main.c");
        check(
            vec,
            "/rustc/5/library/alloc/src/vec/mod.rs",
            "/rustc/5/library/alloc/src/vec/mod.rs",
        );
        check(
            "__GI__IO_file_doallocate",
            "./libio/filedoalloc.c",
            "./libio/filedoalloc.c",
        );
    }
}
