//! [`Crates`]: finds the crate and module of code by its path and name.

use std::collections::{HashMap, HashSet};

use crate::stack::frame::{Frame, SourcePath};
use crate::stack::origin::{self, Origin};

/// Placeholder for an unknown crate or module.
const UNKNOWN: &str = "<unknown>";

/// The crates and modules of a snapshot's frames.
///
/// # How they are found
///
/// A path of a registry or of the standard library has the package's name and version. The crate of
/// other code is the first part of its function's name. But with line tables only, an inlined
/// function has a bare name; its crate is then that of another function in the same file, or, if
/// there is none, the name of the file's folder.
///
/// A module is the part of a function's name in front of types and functions. For a bare name, it
/// is made from the crate and the file's path, since these mostly agree.
#[derive(Default)]
pub struct Crates<'a> {
    by_file: HashMap<&'a str, &'a str>,
}

impl<'a> Crates<'a> {
    /// Collects the crates that frames show for their files.
    pub fn of(frames: impl Iterator<Item = &'a Frame>) -> Crates<'a> {
        let mut by_file = HashMap::new();
        let mut seen = HashSet::new();
        let of_the_workspace = frames.filter(|frame| frame.origin() == Origin::Workspace);
        for frame in of_the_workspace.filter(|frame| seen.insert(frame.id())) {
            let (file, module) = (frame.file(), frame.function().and_then(module_of_function));
            if let (Some(file), Some(module)) = (file, module) {
                by_file.insert(file.full(), first_segment(module));
            }
        }
        Crates { by_file }
    }

    /// The crate of a frame, with its version if its path has it.
    pub fn crate_of(&self, frame: &Frame) -> String {
        if frame.is_instead() {
            return frame.to_string();
        }
        match frame.file().and_then(Package::of) {
            Some(package) => package.to_string(),
            None => self.own_crate(frame).unwrap_or_else(|| UNKNOWN.to_owned()),
        }
    }

    /// The path of the module of a frame.
    pub fn module_of(&self, frame: &Frame) -> String {
        if frame.is_instead() {
            return frame.to_string();
        }
        if let Some(module) = frame.function().and_then(module_of_function) {
            return module.to_owned();
        }
        let of_file = || {
            let file = frame.file()?;
            let root = match Package::of(file) {
                Some(package) => identifier(package.name),
                None => self.own_crate(frame)?,
            };
            Some(root + &path_below_root(file.short()))
        };
        of_file().unwrap_or_else(|| UNKNOWN.to_owned())
    }

    /// The crate of code outside of packages.
    fn own_crate(&self, frame: &Frame) -> Option<String> {
        let by_name = frame.function().and_then(module_of_function);
        if let Some(module) = by_name {
            return Some(first_segment(module).to_owned());
        }
        let file = frame.file()?.full();
        match self.by_file.get(file) {
            Some(name) => Some((*name).to_owned()),
            None => of_folder(file),
        }
    }
}

/// The name of the file's package, if its path has one.
pub(crate) fn package_of(file: &SourcePath) -> Option<&str> {
    Package::of(file).map(|package| package.name)
}

/// The crate in front of a function's name.
pub(crate) fn crate_of_function(function: &str) -> Option<&str> {
    module_of_function(function).map(first_segment)
}

/// A package as in the paths of its files.
struct Package<'a> {
    name: &'a str,
    version: Version<'a>,
}

enum Version<'a> {
    None,
    Release(&'a str),
    Revision(&'a str),
    /// Part of the standard library of this compiler.
    Rustc(&'a str),
}

impl<'a> Package<'a> {
    fn of(file: &'a SourcePath) -> Option<Package<'a>> {
        let (full, short) = (file.full(), file.short());
        let (folder, path) = short.split_once('/')?;
        match origin::of(None, Some(full)) {
            Origin::Std if folder == "library" => Some(Package {
                name: path.split('/').next()?,
                version: Version::Rustc(rustc_of(full)),
            }),
            Origin::Std if full.starts_with("/rustc/") => Some(Package {
                name: "std",
                version: Version::Rustc(rustc_of(full)),
            }),
            Origin::Dependency if full.contains("/git/checkouts/") => Some(Package {
                name: folder.rsplit_once('-').map_or(folder, |(name, _)| name),
                version: Version::Revision(path.split('/').next()?),
            }),
            Origin::Std | Origin::Dependency => Some(Package::of_folder(folder)),
            _ => None,
        }
    }

    /// A package's folder, such as `serde_json-1.0.154`; vendored packages have no version.
    fn of_folder(folder: &str) -> Package<'_> {
        let is_release = |version: &str| {
            let mut parts = version.splitn(3, '.');
            let is_number = |part: Option<&str>| part.is_some_and(|it| it.parse::<u64>().is_ok());
            is_number(parts.next()) && is_number(parts.next()) && parts.next().is_some()
        };
        let mut hyphens = folder.match_indices('-');
        let at = hyphens.find(|(at, _)| is_release(&folder[at + 1..]));
        match at {
            Some((at, _)) => Package {
                name: &folder[..at],
                version: Version::Release(&folder[at + 1..]),
            },
            None => Package {
                name: folder,
                version: Version::None,
            },
        }
    }
}

impl std::fmt::Display for Package<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let name = self.name;
        match self.version {
            Version::None | Version::Rustc("") => f.write_str(name),
            Version::Release(version) => write!(f, "{name} {version}"),
            Version::Revision(revision) => write!(f, "{name} (git {revision})"),
            Version::Rustc(compiler) => write!(f, "{name} (rustc {compiler})"),
        }
    }
}

/// The compiler in a path of the standard library: a commit, as short as in `rustc -V`, or a
/// release.
fn rustc_of(full: &str) -> &str {
    let name = |place: &str| {
        let (_, rest) = full.split_once(place)?;
        let name = rest.split('/').next()?;
        Some(name.strip_suffix("-src").unwrap_or(name))
    };
    let commit = || name("/rustc/").map(|commit| commit.get(..9).unwrap_or(commit));
    commit().or_else(|| name("/rustc-")).unwrap_or_default()
}

/// The crate of a file by Cargo's conventions: a package's folder has the name of its library; a
/// program, test or bench has the name of its file.
fn of_folder(file: &str) -> Option<String> {
    let programs = ["/src/bin/", "/examples/", "/tests/", "/benches/"];
    for place in programs {
        if let Some((_, path)) = file.rsplit_once(place) {
            let name = path.split('/').next()?;
            return Some(identifier(name.strip_suffix(".rs").unwrap_or(name)));
        }
    }
    let (package, _) = file.rsplit_once("/src/")?;
    Some(identifier(package.rsplit('/').next()?))
}

/// The modules below the crate that a file's path implies: `::de` for
/// `serde_json-1.0.154/src/de.rs`.
fn path_below_root(short: &str) -> String {
    let below = match short.rsplit_once("src/") {
        Some((_, path)) => path,
        None => "",
    };
    let path = below.strip_suffix(".rs").unwrap_or(below);
    let path = path.strip_suffix("/mod").unwrap_or(path);
    match path {
        "" | "lib" | "main" => String::new(),
        path if path.starts_with("bin/") => String::new(),
        path => format!("::{}", path.replace('/', "::")),
    }
}

/// The module of a function, by its name; `None` for a bare name.
///
/// A method is in the module of its type, or of its trait if the type is built in or generic.
fn module_of_function(function: &str) -> Option<&str> {
    let path = match function.strip_prefix('<') {
        None => head(function),
        Some(inner) => {
            let own = head(without_sigils(inner));
            if own.contains("::") {
                own
            } else {
                head(inner.split_once(" as ")?.1)
            }
        }
    };
    // `core::str::<impl str>::trim`.
    if function[path.len()..].starts_with("<impl ") {
        return path.strip_suffix("::");
    }
    let path = path.strip_suffix("::").unwrap_or(path);
    let is_type = |segment: &str| segment.starts_with(char::is_uppercase);
    let mut end = 0;
    for segment in path.split("::") {
        if is_type(segment) {
            return path.get(..end).and_then(|it| it.strip_suffix("::"));
        }
        end += segment.len() + 2;
    }
    path.rsplit_once("::").map(|(module, _)| module)
}

/// The leading part of a name that is a path.
fn head(name: &str) -> &str {
    let end = name.find(|c: char| !c.is_alphanumeric() && c != '_' && c != ':');
    &name[..end.unwrap_or(name.len())]
}

/// A type without its leading sigils, such as `&mut [` in `&mut [demo::Key]`.
fn without_sigils(mut of_type: &str) -> &str {
    loop {
        let bare = of_type.trim_start_matches(|c: char| !c.is_alphanumeric() && c != '_');
        let words = ["mut ", "const ", "dyn ", "impl "];
        let Some(rest) = words.iter().find_map(|word| bare.strip_prefix(word)) else {
            return bare;
        };
        of_type = rest;
    }
}

fn first_segment(path: &str) -> &str {
    path.split("::").next().unwrap_or(path)
}

/// A package's name as an identifier.
fn identifier(name: &str) -> String {
    name.replace('-', "_")
}

#[cfg(test)]
mod tests {
    use super::*;

    const SERDE: &str = "/h/.cargo/registry/src/i-1/serde_json-1.0.154/src/value/de.rs";

    #[track_caller]
    fn check(function: &str, file: &str, of_crate: &str, module: &str) {
        let known = |text| Some(text).filter(|text: &&str| !text.is_empty());
        let frame = Frame::new(known(function), known(file), 1, 1);
        let crates = Crates::default();
        assert_eq!(crates.crate_of(&frame), of_crate);
        assert_eq!(crates.module_of(&frame), module);
    }

    #[test]
    fn packages_are_named_with_their_versions() {
        let name = "serde_json::value::de::visit";
        check(name, SERDE, "serde_json 1.0.154", "serde_json::value::de");
        // Inlined, with line tables only.
        check(
            "visit",
            SERDE,
            "serde_json 1.0.154",
            "serde_json::value::de",
        );
        check(
            "",
            "/h/registry/src/i-1/utf-8-0.7.6/src/lib.rs",
            "utf-8 0.7.6",
            "utf_8",
        );
        check(
            "",
            "/v/registry/src/i-1/rand-0.9.0-rc.1/src/a.rs",
            "rand 0.9.0-rc.1",
            "rand::a",
        );
        check(
            "",
            "/h/.cargo/git/checkouts/syn-0a1b/9f8e1b2/src/gen/x.rs",
            "syn (git 9f8e1b2)",
            "syn::gen::x",
        );
        check("", "/w/vendor/md-5/src/lib.rs", "md-5", "md_5");
    }

    #[test]
    fn the_standard_library_is_named_with_its_compiler() {
        let vec = "/rustc/59807616e1b0d9e4/library/alloc/src/vec/mod.rs";
        check(
            "alloc::vec::Vec<T,A>::push",
            vec,
            "alloc (rustc 59807616e)",
            "alloc::vec",
        );
        check("push", vec, "alloc (rustc 59807616e)", "alloc::vec");
        check(
            "",
            "/usr/src/rustc-1.96.0/library/std/src/io.rs",
            "std (rustc 1.96.0)",
            "std::io",
        );
        check(
            "",
            "/b/rustc-1.96.0-src/library/std/src/io.rs",
            "std (rustc 1.96.0)",
            "std::io",
        );
        check(
            "",
            "/t/lib/rustlib/src/rust/library/core/src/ptr.rs",
            "core",
            "core::ptr",
        );
        check(
            "",
            "/rust/deps/hashbrown-0.16.1/src/raw.rs",
            "hashbrown 0.16.1",
            "hashbrown::raw",
        );
    }

    #[test]
    fn workspace_crates_have_the_names_of_functions_or_else_of_folders() {
        check(
            "demo::cache::fill",
            "/w/pkg/src/cache.rs",
            "demo",
            "demo::cache",
        );
        check(
            "fill",
            "/w/my-demo/src/cache/mod.rs",
            "my_demo",
            "my_demo::cache",
        );
        check("fill", "/w/my-demo/src/main.rs", "my_demo", "my_demo");
        check("fill", "/w/my-demo/src/bin/top.rs", "top", "top");
        check(
            "fill",
            "/w/my-demo/examples/top-lines.rs",
            "top_lines",
            "top_lines",
        );
        check("fill", "src/cache.rs", UNKNOWN, UNKNOWN);
        check("demo::cache::fill", "", "demo", "demo::cache");
        check("malloc", "", UNKNOWN, UNKNOWN);
        check("", "", UNKNOWN, UNKNOWN);
    }

    #[test]
    fn a_full_function_name_shows_the_crate_of_its_file() {
        let file = Some("/w/pkg/src/cache.rs");
        let whole = Frame::new(Some("demo::cache::fill"), file, 9, 1);
        let bare = Frame::new(Some("insert<u8>"), file, 3, 1);
        let frames = [whole, bare.clone()];
        let crates = Crates::of(frames.iter());
        assert_eq!(crates.crate_of(&bare), "demo");
        assert_eq!(crates.module_of(&bare), "demo::cache");
    }

    #[test]
    fn modules_end_where_types_and_functions_begin() {
        #[track_caller]
        fn check(function: &str, module: Option<&str>) {
            assert_eq!(module_of_function(function), module, "{function}");
        }
        check("demo::main", Some("demo"));
        check("demo::main::{closure#0}", Some("demo"));
        check("demo::main::{{closure}}", Some("demo"));
        check("demo::a::fill::<alloc::vec::Vec<u8>>", Some("demo::a"));
        check("demo::a::Cache::fill", Some("demo::a"));
        check("demo::a::Cache<T>::fill::{closure#1}", Some("demo::a"));
        check("<demo::a::Cache>::fill", Some("demo::a"));
        check("<demo::a::Cache as core::fmt::Debug>::fmt", Some("demo::a"));
        check(
            "<&mut [demo::Key] as alloc::slice::Join>::join",
            Some("demo"),
        );
        check("<dyn demo::a::Trait>::fill", Some("demo::a"));
        check(
            "<T as alloc::string::ToString>::to_string",
            Some("alloc::string"),
        );
        check(
            "<str as alloc::borrow::ToOwned>::to_owned",
            Some("alloc::borrow"),
        );
        check("core::str::<impl str>::trim", Some("core::str"));
        for bare in [
            "",
            "fill",
            "fill<demo::a::T>",
            "{closure#0}",
            "Cache::fill",
            "<str>::trim",
            "::",
            "<",
        ] {
            check(bare, None);
        }
    }
}
