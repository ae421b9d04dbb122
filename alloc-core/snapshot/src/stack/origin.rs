//! [`Origin`]: the owner of a frame's code, by its path and name.

/// The owner of a frame's code.
///
/// ```
/// assert_eq!(alloc_core::Frame::default().origin(), alloc_core::Origin::Unknown);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Origin {
    /// The tracer, an allocator, and the compiler's shims around the allocator.
    Tracer,
    /// The standard library, and the code that starts programs and threads.
    Std,
    /// A package from a registry or from git.
    Dependency,
    /// The program's own workspace, that is, any other source file.
    Workspace,
    /// The source file is unknown, and the name is not conclusive.
    #[default]
    Unknown,
}

/// The origin of a function by its name alone.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ByName {
    origin: Origin,
    /// Whether the origin holds regardless of the function's file.
    is_sure: bool,
}

impl ByName {
    pub(crate) fn of(function: &str) -> ByName {
        let sure = if is_shim(function) {
            Some(Origin::Tracer)
        } else if RUNTIME.contains(&function) {
            // These functions of the C library may come with paths of their own.
            Some(Origin::Std)
        } else {
            None
        };
        ByName {
            origin: sure.unwrap_or_else(|| of_name(function)),
            is_sure: sure.is_some(),
        }
    }
}

/// The origin of a function's code in a file.
///
/// The path decides if it is known. A generic function of the standard library that was compiled
/// into a program without debug information has only its name.
pub fn of(function: Option<&str>, file: Option<&str>) -> Origin {
    of_both(function.map(ByName::of), file.map(of_file))
}

/// The origin of code, given its origins by name and by file.
pub(crate) fn of_both(function: Option<ByName>, file: Option<Origin>) -> Origin {
    match (function, file) {
        (Some(function), _) if function.is_sure => function.origin,
        (_, Some(of_file)) => of_file,
        (Some(function), None) => function.origin,
        (None, None) => Origin::Unknown,
    }
}

/// The origin of code in a file.
pub(crate) fn of_file(file: &str) -> Origin {
    let tracer = file
        .rfind("/alloc-core")
        .and_then(|at| file[at + 11..].split_once("/src/"))
        // At most a version is between the two.
        .is_some_and(|(version, path)| {
            !version.contains('/') && TRACER_FILES.iter().any(|it| path.starts_with(it))
        });
    if tracer || is_allocators(file) {
        Origin::Tracer
    } else if std_at(file).is_some() || is_c_library(file) {
        Origin::Std
    } else if package_at(file).is_some() {
        Origin::Dependency
    } else {
        Origin::Workspace
    }
}

/// Whether a file belongs to an allocator. In jemalloc's profiles, such files are at the inner end
/// of every stack.
fn is_allocators(file: &str) -> bool {
    [
        "/tikv-jemalloc-sys-",
        "/tikv-jemallocator-",
        "/jemalloc/src/",
        "/jemalloc/internal/",
        "/libmimalloc-sys-",
    ]
    .iter()
    .any(|folder| file.contains(folder))
}

/// Whether a file belongs to the C library. Distributions build it with paths that begin in its own
/// folder, such as `./elf/dl-open.c`. Rust paths never begin like this.
fn is_c_library(file: &str) -> bool {
    let is_relative = file.starts_with("./") || file.starts_with("../");
    is_relative && [".c", ".h", ".S"].iter().any(|it| file.ends_with(it))
}

/// The tracer's files that can occur in a program's stacks: folders and single files below `src/`.
const TRACER_FILES: [&str; 7] = [
    "allocator",
    "capture/",
    "control/track.rs",
    "record/",
    "scope/",
    "testing/assertions/",
    "testing/baseline.rs",
];

fn is_shim(function: &str) -> bool {
    let name = function.strip_prefix("__rustc::").unwrap_or(function);
    let of_the_compiler = ["__rust_", "__rg_", "__rdl_"]
        .iter()
        .any(|prefix| name.starts_with(prefix));
    of_the_compiler && name.contains("alloc") && !name.contains("::")
        || [
            "alloc_core::allocator::",
            "alloc_core::record::",
            "alloc_core::control::track::",
            "alloc_core::scope::",
            "alloc_core::testing::assertions::",
            "alloc_core::testing::baseline::",
        ]
        .iter()
        .any(|module| function.trim_start_matches('<').starts_with(module))
}

/// The callers of a program's `main` and of its threads' functions. A program's own `main` is not
/// one of them: its name starts with its crate, or it has a path.
const RUNTIME: [&str; 11] = [
    "_start",
    "__libc_start_main",
    "__libc_start_main_impl",
    "__libc_start_main@@GLIBC_2.34",
    "__libc_start_call_main",
    "_dl_relocate_static_pie",
    "start_thread",
    "clone",
    "__clone",
    "clone3",
    "__clone3",
];

fn of_name(function: &str) -> Origin {
    let of_std = |path: &str| {
        ["core::", "alloc::", "std::", "hashbrown::"]
            .iter()
            .any(|name| path.starts_with(name))
    };
    // `<Type as Trait>::method` belongs to the type, unless the type is built in.
    let path = match function.strip_prefix('<') {
        None => function,
        Some(inner) => {
            let bare = inner.trim_start_matches(|c: char| !c.is_alphabetic() && c != '_');
            let head_end = bare
                .find(|c: char| !c.is_alphanumeric() && c != '_')
                .unwrap_or(bare.len());
            match inner.split_once(" as ") {
                Some((_, of_trait)) if !bare[head_end..].starts_with("::") => of_trait,
                _ => bare,
            }
        }
    };
    // The `main` that the C library calls.
    if function == "main" || of_std(path) {
        Origin::Std
    } else {
        Origin::Unknown
    }
}

/// Whether a function, by its name or the beginning of its name, is certainly outside the standard
/// library, the tracer and the skipped crates. Compiler-generated code for these is not certain.
pub fn is_surely_of_the_user(function: &str) -> bool {
    let foreign = |path: &str| {
        let Some((name, _)) = path.split_once("::") else {
            return false;
        };
        let is_plain = name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        is_plain && !CRATES_OF_STD.contains(&name) && !is_passed_over(name)
    };
    match function.strip_prefix('<') {
        None => foreign(function),
        // An implementation belongs to the crate of its trait or of its type. An implementation of
        // a standard trait may cover all types.
        Some(inner) => match inner.split_once(" as ") {
            Some((_, of_trait)) => foreign(of_trait),
            None => foreign(inner),
        },
    }
}

/// The crates of the standard library, its dependencies, and the tracer.
const CRATES_OF_STD: [&str; 18] = [
    "core",
    "alloc",
    "std",
    "hashbrown",
    "std_detect",
    "panic_unwind",
    "panic_abort",
    "unwind",
    "addr2line",
    "gimli",
    "object",
    "miniz_oxide",
    "adler2",
    "memchr",
    "rustc_demangle",
    "cfg_if",
    "alloc_core",
    "__rustc",
];

/// Crates of collections and allocators, which allocate on behalf of their caller. Like the
/// standard library's, their frames are skipped in the search for the line to charge.
pub(crate) const PASSED_OVER: &[&str] = &[
    "allocator-api2",
    "arrayvec",
    "bumpalo",
    "bytes",
    "compact_str",
    "dashmap",
    "hashbrown",
    "im",
    "indexmap",
    "slab",
    "slotmap",
    "smallvec",
    "smol_str",
    "thin-vec",
    "tinyvec",
    "triomphe",
    "typed-arena",
];

/// Whether two names mean one crate: a package name may have hyphens where function names have
/// underscores.
pub(crate) fn is_same_crate(a: &str, b: &str) -> bool {
    let letter = |byte| if byte == b'-' { b'_' } else { byte };
    let mut pairs = a.bytes().zip(b.bytes());
    a.len() == b.len() && pairs.all(|(a, b)| letter(a) == letter(b))
}

/// Whether a crate is one of the skipped crates.
pub(crate) fn is_passed_over(name: &str) -> bool {
    PASSED_OVER.iter().any(|it| is_same_crate(it, name))
}

/// The start of the standard library's part of a path.
fn std_at(file: &str) -> Option<usize> {
    if file.starts_with("/rustc/") {
        return file.find("/library/").map(|at| at + 1).or(Some(0));
    }
    // `/rust/deps` holds the dependencies of the standard library.
    if file.starts_with("/rust/deps/") {
        return Some("/rust/deps/".len());
    }
    let library = "/lib/rustlib/src/rust/library/";
    file.find(library)
        .map(|at| at + library.len() - "library/".len())
        .or_else(|| std_of_distribution_at(file))
}

/// The start of the standard library's part in a path of a distribution's compiler:
/// `/usr/src/rustc-1.96.0/library/` on Debian, `/build/rustc-1.96.0-src/library/` elsewhere.
fn std_of_distribution_at(file: &str) -> Option<usize> {
    let version = file.find("/rustc-")? + "/rustc-".len();
    let (release, path) = file[version..].split_once('/')?;
    let is_std = release.starts_with(|c: char| c.is_ascii_digit()) && path.starts_with("library/");
    is_std.then_some(version + release.len() + 1)
}

/// The start of the package name in a path of a registry or repository.
fn package_at(file: &str) -> Option<usize> {
    ["/registry/src/", "/git/checkouts/"]
        .iter()
        .find_map(|place| {
            let start = file.find(place)? + place.len();
            let index = file[start..].find('/')? + 1;
            // In a checkout, the package's name comes before the revision.
            let at = if *place == "/git/checkouts/" {
                start
            } else {
                start + index
            };
            Some(at)
        })
        .or_else(|| file.find("/vendor/").map(|at| at + "/vendor/".len()))
}

/// The start of the part of a path that is the same on all machines, and from which its origin
/// follows. `None` for a path of the workspace.
pub(crate) fn public_at(file: &str) -> Option<usize> {
    const PLACES: [&str; 6] = [
        "/registry/src/",
        "/git/checkouts/",
        "/vendor/",
        "/lib/rustlib/src/rust/library/",
        "/rustc-",
        "/alloc-core",
    ];
    if of_file(file) == Origin::Workspace {
        return None;
    }
    if file.starts_with("/rustc/") || file.starts_with("/rust/deps/") {
        return Some(0);
    }
    let mut places = PLACES.iter().filter_map(|place| file.rfind(place));
    places.find(|at| of_file(&file[*at..]) == of_file(file))
}

/// The start of the short form of a path.
pub(crate) fn short_at(file: &str, roots: &[impl AsRef<str>]) -> usize {
    std_at(file)
        .or_else(|| package_at(file))
        .or_else(|| {
            let below = |root: &&str| {
                file.strip_prefix(*root)
                    .is_some_and(|rest| rest.starts_with('/'))
            };
            let roots = roots.iter().map(AsRef::as_ref);
            let root = roots.filter(below).max_by_key(|root| root.len())?;
            Some(root.len() + 1)
        })
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(function: &str, file: &str, expected: Origin) {
        let known = |text: &'static str| Some(text).filter(|text| !text.is_empty());
        let (function, file) = (String::leak(function.into()), String::leak(file.into()));
        assert_eq!(of(known(function), known(file)), expected);
    }

    #[test]
    fn the_path_decides() {
        check(
            "x::y",
            "/rustc/59807616e/library/alloc/src/vec/mod.rs",
            Origin::Std,
        );
        check(
            "x::y",
            "/rust/deps/hashbrown-0.16.1/src/raw.rs",
            Origin::Std,
        );
        check(
            "x",
            "/u/.rustup/toolchains/s/lib/rustlib/src/rust/library/std/src/io.rs",
            Origin::Std,
        );
        check(
            "x",
            "/usr/src/rustc-1.96.0/library/core/src/ops/function.rs",
            Origin::Std,
        );
        check(
            "x",
            "/build/rustc-1.96.0-src/library/std/src/io.rs",
            Origin::Std,
        );
        check("dl_iterate_phdr", "./elf/dl-iteratephdr.c", Origin::Std);
        check("x", "src/sys.c", Origin::Workspace);
        check("x", "/w/rustc-tools/library/a.rs", Origin::Workspace);
        check("x", "/w/rustc-1.96.0/compiler/a.rs", Origin::Workspace);
        check(
            "core::ops",
            "/home/me/.cargo/registry/src/i-1/serde-1.0.0/src/lib.rs",
            Origin::Dependency,
        );
        check("std::x", "/home/me/demo/src/main.rs", Origin::Workspace);
        check("", "src/main.rs", Origin::Workspace);
    }

    #[test]
    fn the_tracer_is_distinguished_from_a_package_with_a_similar_name() {
        check("", "/w/alloc-core/src/allocator.rs", Origin::Tracer);
        check(
            "",
            "/c/registry/src/i-1/alloc-core-0.1.0/src/record/tracer.rs",
            Origin::Tracer,
        );
        check("", "/w/alloc-core/src/snapshot/frame.rs", Origin::Workspace);
        check(
            "",
            "/w/alloc-core/demo/src/record/tracer.rs",
            Origin::Workspace,
        );
        let jemalloc = "/w/target/release/build/tikv-jemalloc-sys-56d2/out/build/src/prof_sys.c";
        check("prof_backtrace_impl", jemalloc, Origin::Tracer);
        check("", "/w/jemalloc/main.rs", Origin::Workspace);
        check("__rustc::__rust_alloc_zeroed", "", Origin::Tracer);
        check("__rg_realloc", "/w/demo/src/main.rs", Origin::Tracer);
        check("__rust_parser::alloc_node", "", Origin::Unknown);
        check(
            "<alloc_core::allocator::TraceAlloc as core::alloc::GlobalAlloc>::alloc",
            "",
            Origin::Tracer,
        );
    }

    #[test]
    fn without_a_path_the_name_shows_the_standard_library() {
        check("alloc::vec::Vec<T>::push", "", Origin::Std);
        check(
            "<alloc::vec::Vec<T> as core::clone::Clone>::clone",
            "",
            Origin::Std,
        );
        check(
            "<[T] as alloc::slice::hack::ConvertVec>::to_vec",
            "",
            Origin::Std,
        );
        check(
            "<&[demo::Key] as alloc::slice::Join>::join",
            "",
            Origin::Unknown,
        );
        check("<T as alloc::string::ToString>::to_string", "", Origin::Std);
        check(
            "<demo::Key as alloc::string::ToString>::to_string",
            "",
            Origin::Unknown,
        );
        check("demo::fill", "", Origin::Unknown);
        check("main", "", Origin::Std);
        check("main", "/w/src/main.rs", Origin::Workspace);
        check(
            "__libc_start_call_main",
            "../sysdeps/nptl/libc_start_call_main.h",
            Origin::Std,
        );
        check("main_loop", "", Origin::Unknown);
        check("", "", Origin::Unknown);
    }

    #[test]
    fn a_walk_for_one_line_may_end_at_a_certain_origin() {
        for name in [
            "demo::fill",
            "demo::fill::{closure#0}",
            "<demo::Key>::new",
            "<demo::Key<alloc::string::String>>::new",
            "<alloc::vec::Vec<u8> as demo::Bytes>::put",
            "serde_json::de::from_str",
        ] {
            assert!(is_surely_of_the_user(name), "{name}");
        }
        for name in [
            "",
            "main",
            "qsort",
            "__rustc::__rust_alloc",
            "alloc::vec::Vec<T>::push",
            "<alloc::vec::Vec<T>>::push",
            "<demo::Key as alloc::string::ToString>::to_string",
            "<T as alloc::string::ToString>::to_string",
            "<&[demo::Key] as alloc::slice::Join>::join",
            "<[demo::Key]>::concat",
            "<alloc_core::allocator::TraceAlloc<A>>::alloc_recorded",
            "hashbrown::raw::RawTable<T>::reserve",
            "<allocator_api2::stable::alloc::global::Global as allocator_api2::Allocator>::allocate",
            "indexmap::map::IndexMap<K,V>::insert",
            // A truncated name.
            "<demo::a::very::long::type as alloc::str",
            "<demo",
        ] {
            assert!(!is_surely_of_the_user(name), "{name}");
        }
    }

    #[test]
    fn short_paths_begin_at_the_workspace_or_with_the_package() {
        let roots = ["/w", "/w/demo"];
        for (full, short) in [
            ("/w/demo/src/a.rs", "src/a.rs"),
            ("/w/demonstration/a.rs", "demonstration/a.rs"),
            ("/elsewhere/a.rs", "/elsewhere/a.rs"),
            (
                "/h/.cargo/registry/src/i-1/itoa-1.0.9/src/lib.rs",
                "itoa-1.0.9/src/lib.rs",
            ),
            (
                "/h/.cargo/git/checkouts/syn-0a/9f/src/lib.rs",
                "syn-0a/9f/src/lib.rs",
            ),
            (
                "/rustc/5980/library/alloc/src/vec/mod.rs",
                "library/alloc/src/vec/mod.rs",
            ),
            (
                "/usr/src/rustc-1.96.0/library/std/src/io.rs",
                "library/std/src/io.rs",
            ),
            (
                "/rust/deps/hashbrown-0.16.1/src/raw.rs",
                "hashbrown-0.16.1/src/raw.rs",
            ),
            ("src/a.rs", "src/a.rs"),
        ] {
            assert_eq!(&full[short_at(full, &roots)..], short);
        }
    }
}
