//! Compares names with those of the crate `backtrace`, for thousands of addresses of this program
//! and of the C library.

#![cfg(all(target_os = "linux", not(miri)))]

use std::collections::BTreeSet;
use std::ffi::c_void;
use std::path::PathBuf;

use alloc_core_symbols::{Frame, Identity, Missing, Module, Search, name};
use object::{Object as _, ObjectSegment as _, ObjectSymbol as _, SegmentFlags};

/// A file mapped into this process: its module, the addresses of the file and of its code segment,
/// and offsets into the segment.
struct Loaded {
    module: Module,
    base: u64,
    start: u64,
    offsets: Vec<u64>,
}

/// Returns the first mapped file whose name matches.
fn loaded(is_it: impl Fn(&str) -> bool) -> Loaded {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let line = maps
        .lines()
        .find(|line| line.find('/').is_some_and(|at| is_it(&line[at..])))
        .unwrap();
    let base = u64::from_str_radix(line.split('-').next().unwrap(), 16).unwrap();
    let path = PathBuf::from(&line[line.find('/').unwrap()..]);
    let content = std::fs::read(&path).unwrap();
    let object = object::File::parse(&content[..]).unwrap();
    let code = object
        .segments()
        .find(|it| matches!(it.flags(), SegmentFlags::Elf { p_flags, .. } if p_flags.0 & 1 != 0))
        .unwrap();
    let (start, end) = (code.address(), code.address() + code.size());
    let symbols = object.symbols().chain(object.dynamic_symbols());
    let functions: Vec<(u64, u64)> = symbols
        .filter(|it| it.kind() == object::SymbolKind::Text && it.size() > 0)
        .map(|it| (it.address(), it.size()))
        .filter(|(address, size)| *address >= start && address + size <= end)
        .collect();
    let mut offsets = BTreeSet::new();
    for (address, size) in &functions {
        offsets.extend((0..*size).step_by(29).map(|it| address - start + it));
    }
    // Some thousands, spread over the segment.
    let every = offsets.len().div_ceil(6_000).max(1);
    Loaded {
        module: Module {
            path,
            identity: Identity::BuildId(object.build_id().unwrap().unwrap().to_vec()),
            size: code.size(),
            file_offset: code.file_range().0,
        },
        base,
        start: base + start,
        offsets: offsets.into_iter().step_by(every).collect(),
    }
}

fn by_backtrace(address: u64) -> Vec<Frame> {
    let mut frames = Vec::new();
    // `resolve` subtracts one, as for a return address.
    backtrace::resolve((address + 1) as *mut c_void, |symbol| {
        frames.push(Frame {
            function: symbol.name().map(|it| format!("{it:#}").into()),
            mangled: symbol.name().and_then(|it| {
                let mangled = it.as_str()?;
                (format!("{it:#}") != mangled).then(|| mangled.into())
            }),
            generic: None,
            file: symbol.filename().map(|it| it.to_string_lossy().into()),
            line: symbol.lineno().unwrap_or(0),
            column: symbol.colno().unwrap_or(0),
        });
    });
    frames
}

fn without_names(frames: &[Frame]) -> Vec<Frame> {
    let without_name = |frame: &Frame| Frame {
        function: None,
        mangled: None,
        ..frame.clone()
    };
    frames.iter().map(without_name).collect()
}

/// Returns the names of all symbols that share the last start before an address.
fn aliases(object: &object::File<'_>, address: u64) -> BTreeSet<String> {
    let symbols = || object.symbols().chain(object.dynamic_symbols());
    let starts = symbols().map(|it| it.address());
    let start = starts.filter(|it| *it <= address).max().unwrap();
    let aliases = symbols().filter(|it| it.address() == start);
    let names = aliases.map(|it| format!("{:#}", rustc_demangle::demangle(it.name().unwrap())));
    names.collect()
}

/// Removes generic arguments, which the crate `backtrace` does not read, after checking that the
/// bare name is the same.
fn without_generics(mut frames: Vec<Frame>) -> Vec<Frame> {
    for frame in &mut frames {
        if let Some(generic) = frame.generic.take() {
            let bare = generic.split('<').next().unwrap();
            let function = frame.function.as_deref().unwrap();
            let has_it = function.contains(&format!("::{bare}")) || bare.starts_with('{');
            assert!(has_it, "{generic}, {function}");
        }
    }
    frames
}

/// Compares all names. Returns the missing information and the number of frames with generic
/// arguments.
fn check(it: &Loaded) -> (Option<Missing>, usize) {
    let named = name(&it.module, None, &Search::default(), &it.offsets);
    assert_eq!(named.frames.len(), it.offsets.len());
    assert!(it.offsets.len() > 1_000, "{}", it.offsets.len());
    let content = std::fs::read(&it.module.path).unwrap();
    let object = object::File::parse(&content[..]).unwrap();
    let (mut with_names, mut with_generics) = (0, 0);
    for (offset, frames) in it.offsets.iter().zip(named.frames) {
        with_generics += frames.iter().filter(|it| it.generic.is_some()).count();
        let frames = without_generics(frames);
        let expected = by_backtrace(it.start + offset);
        if frames != expected {
            // The linker folds functions with identical code: either name is right.
            let address = it.start - it.base + offset;
            let names = aliases(&object, address);
            let (ours, theirs) = (without_names(&frames), without_names(&expected));
            assert_eq!(ours, theirs, "{offset:#x}: {frames:?}, {expected:?}");
            for name in frames.iter().chain(&expected).map(|it| &it.function) {
                let name = name.as_deref().unwrap_or_default();
                assert!(names.contains(name), "{offset:#x}: {name}, {names:?}");
            }
        }
        with_names += usize::from(!frames.is_empty());
    }
    assert!(with_names > it.offsets.len() / 2);
    assert!(!named.is_unverified);
    (named.missing, with_generics)
}

#[test]
fn names_of_the_program_equal_those_of_backtrace() {
    let program = std::env::current_exe().unwrap();
    let (missing, generics) = check(&loaded(|path| path == program.to_str().unwrap()));
    assert!(generics > 100, "{generics}");
    assert!(
        matches!(missing, None | Some(Missing::NoDebugInfo { .. })),
        "{missing:?}"
    );
}

#[test]
fn names_of_the_c_library_equal_those_of_backtrace() {
    let (missing, generics) = check(&loaded(|path| path.contains("libc.so")));
    assert_eq!(generics, 0);
    // It has only dynamic symbols, unless its debug files are installed.
    assert!(
        matches!(missing, None | Some(Missing::Stripped { .. })),
        "{missing:?}"
    );
}

#[test]
fn a_file_of_another_build_is_refused_with_both_build_ids() {
    let program = std::env::current_exe().unwrap();
    let mut it = loaded(|path| path == program.to_str().unwrap());
    it.module.path = loaded(|path| path.contains("libc.so")).module.path;
    let named = name(&it.module, None, &Search::default(), &it.offsets);
    assert!(named.frames.iter().all(Vec::is_empty));
    let Some(Missing::OtherBuild {
        expected, found, ..
    }) = named.missing
    else {
        panic!("{:?}", named.missing);
    };
    assert!(expected.starts_with("build id ") && found.len() == 40 && expected != found);

    // A searched folder has it under another name.
    let folder = tempfile::tempdir().unwrap();
    std::fs::copy(program, folder.path().join("some name")).unwrap();
    let search = Search {
        folders: vec![folder.path().to_owned()],
        ..Search::default()
    };
    let named = name(&it.module, None, &search, &it.offsets);
    assert!(named.frames.iter().any(|it| !it.is_empty()));
}
