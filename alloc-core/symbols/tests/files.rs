//! Finds debug information wherever the usual tools put it, in every form, and reports why some
//! cannot be read.

#![cfg(all(target_os = "linux", not(miri)))]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use alloc_core_symbols::{Identity, Missing, Module, Named, Search, fingerprint_of, name};
use object::{Object as _, ObjectSegment as _, ObjectSymbol as _, SegmentFlags};

/// Copies of this program in a temporary folder.
struct Copies {
    folder: tempfile::TempDir,
    module: Module,
    /// The offset of [`marked_for_naming`] in the code segment.
    offset: u64,
}

/// The function that is named.
#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn marked_for_naming() -> u32 {
    line!()
}

const NAME: &str = "marked_for_naming";

impl Copies {
    fn new() -> Copies {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("program");
        fs::copy(std::env::current_exe().unwrap(), &path).unwrap();
        let content = fs::read(&path).unwrap();
        let object = object::File::parse(&content[..]).unwrap();
        let code = object
            .segments()
            .find(
                |it| matches!(it.flags(), SegmentFlags::Elf { p_flags, .. } if p_flags.0 & 1 != 0),
            )
            .unwrap();
        let function = object.symbol_by_name(NAME).unwrap();
        let module = Module {
            path,
            identity: Identity::BuildId(object.build_id().unwrap().unwrap().to_vec()),
            size: code.size(),
            file_offset: code.file_range().0,
        };
        Copies {
            folder,
            module,
            offset: function.address() - code.address(),
        }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn objcopy(&self, arguments: &[&str]) {
        let mut command = Command::new("objcopy");
        let status = command.current_dir(&self.folder).args(arguments).status();
        assert!(status.unwrap().success(), "objcopy {arguments:?}");
    }

    fn name(&self, folders: &[&Path]) -> Named {
        let search = Search {
            folders: folders.iter().map(|it| it.to_path_buf()).collect(),
            ..Search::default()
        };
        name(&self.module, None, &search, &[self.offset])
    }

    #[track_caller]
    fn has_line(&self, folders: &[&Path]) {
        let named = self.name(folders);
        assert_eq!(named.missing, None);
        let frame = &named.frames[0][0];
        assert_eq!(frame.function.as_deref(), Some(NAME));
        assert!(frame.file.as_deref().unwrap().ends_with("files.rs"));
        assert!(frame.line.abs_diff(marked_for_naming()) <= 2, "{frame:?}");
    }

    fn hexadecimal_id(&self) -> String {
        let Identity::BuildId(id) = &self.module.identity else {
            panic!("no build id");
        };
        id.iter().map(|it| format!("{it:02x}")).collect()
    }
}

#[test]
fn debug_files_are_found_by_build_id_in_every_folder_layout() {
    let copies = Copies::new();
    copies.has_line(&[]);
    copies.objcopy(&["--only-keep-debug", "program", "whole.debug"]);
    copies.objcopy(&["--strip-all", "program"]);
    let missing = copies.name(&[]).missing;
    assert!(
        matches!(missing, Some(Missing::Stripped { .. })),
        "{missing:?}"
    );

    let id = copies.hexadecimal_id();
    let (first, rest) = id.split_at(2);
    for place in [
        format!(".build-id/{first}/{rest}.debug"),
        format!("{first}/{rest}.debug"),
        format!("{id}/debuginfo"),
        format!("{id}.debug"),
        "any.name".to_owned(),
    ] {
        let symbols = tempfile::tempdir().unwrap();
        let path = symbols.path().join(&place);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::copy(copies.at("whole.debug"), path).unwrap();
        copies.has_line(&[symbols.path()]);
        // Also if the program is gone.
        let mut gone = Copies::new();
        gone.module.path = gone.at("gone");
        gone.module.identity = copies.module.identity.clone();
        gone.has_line(&[symbols.path()]);
    }
}

#[test]
fn a_debuglink_file_needs_the_right_checksum() {
    let copies = Copies::new();
    copies.objcopy(&["--only-keep-debug", "program", "program.debug"]);
    copies.objcopy(&[
        "--strip-all",
        "--add-gnu-debuglink=program.debug",
        "program",
    ]);
    copies.has_line(&[]);
    fs::create_dir(copies.at(".debug")).unwrap();
    fs::rename(
        copies.at("program.debug"),
        copies.at(".debug/program.debug"),
    )
    .unwrap();
    copies.has_line(&[]);

    let mut content = fs::read(copies.at(".debug/program.debug")).unwrap();
    content.push(0);
    fs::write(copies.at(".debug/program.debug"), content).unwrap();
    let missing = copies.name(&[]).missing;
    assert!(
        matches!(missing, Some(Missing::Stripped { .. })),
        "{missing:?}"
    );
}

#[test]
fn the_reason_for_missing_names_is_reported() {
    let copies = Copies::new();
    copies.objcopy(&["--strip-debug", "program"]);
    let named = copies.name(&[]);
    assert_eq!(named.frames[0][0].function.as_deref(), Some(NAME));
    assert_eq!(named.frames[0][0].file, None);
    let missing = named.missing.unwrap();
    assert!(matches!(missing, Missing::NoDebugInfo { .. }) && !missing.has_no_names());

    fs::remove_file(copies.at("program")).unwrap();
    let missing = copies.name(&[]).missing.unwrap();
    assert!(matches!(missing, Missing::Deleted { .. }) && missing.has_no_names());

    fs::create_dir(copies.at("program")).unwrap();
    let missing = copies.name(&[]).missing;
    assert!(
        matches!(missing, Some(Missing::Unreadable { .. })),
        "{missing:?}"
    );

    fs::remove_dir(copies.at("program")).unwrap();
    fs::write(copies.at("program"), "no program at all").unwrap();
    let missing = copies.name(&[]).missing;
    assert!(
        matches!(missing, Some(Missing::OtherBuild { .. })),
        "{missing:?}"
    );
    fs::write(copies.at("program"), "").unwrap();
    assert!(copies.name(&[]).missing.is_some());
}

#[test]
fn sections_compressed_with_zlib_are_read() {
    let copies = Copies::new();
    copies.objcopy(&["--compress-debug-sections=zlib", "program"]);
    copies.has_line(&[]);
    let copies = Copies::new();
    copies.objcopy(&["--compress-debug-sections=zlib-gnu", "program"]);
    copies.has_line(&[]);
}

#[test]
fn sections_compressed_with_zstd_are_read_or_reported() {
    let copies = Copies::new();
    copies.objcopy(&["--compress-debug-sections=zstd", "program"]);
    if cfg!(feature = "zstd") {
        return copies.has_line(&[]);
    }
    let named = copies.name(&[]);
    assert_eq!(named.frames[0][0].function.as_deref(), Some(NAME));
    let missing = named.missing.unwrap();
    assert!(
        matches!(missing, Missing::Compressed { method: "zstd", .. }),
        "{missing}"
    );
}

#[test]
fn without_a_build_id_headers_and_unwind_tables_identify_a_file() {
    let mut copies = Copies::new();
    copies.objcopy(&["--remove-section=.note.gnu.build-id", "program"]);
    copies.module.identity =
        Identity::Fingerprint(fingerprint_of(&fs::read(copies.at("program")).unwrap()).unwrap());
    copies.has_line(&[]);
    assert!(!copies.name(&[]).is_unverified);
    copies.module.identity = Identity::Fingerprint(1);
    let missing = copies.name(&[]).missing;
    assert!(
        matches!(missing, Some(Missing::OtherBuild { .. })),
        "{missing:?}"
    );
    // With an unknown identity the file is used, and reported as unverified.
    copies.module.identity = Identity::Unknown;
    copies.has_line(&[]);
    assert!(copies.name(&[]).is_unverified);
}

#[test]
fn damage_is_an_error_and_never_a_panic() {
    let copies = Copies::new();
    let whole = fs::read(copies.at("program")).unwrap();
    let mut random = 0x2545_F491_4F6C_DD1D_u64;
    let mut below = |n: usize| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        (random >> 33) as usize % n
    };
    let mut copies = copies;
    copies.module.identity = Identity::Unknown;
    let object = object::File::parse(&whole[..]).unwrap();
    let sections: Vec<(usize, usize)> = object
        .sections()
        .filter(|it| object::ObjectSection::name(it).is_ok_and(|name| name.starts_with(".debug_")))
        .filter_map(|it| object::ObjectSection::file_range(&it))
        .map(|(start, size)| (start as usize, size as usize))
        .filter(|(_, size)| *size > 0)
        .collect();
    for round in 0..40 {
        let mut damaged = whole.clone();
        for _ in 0..200 {
            let (start, size) = sections[below(sections.len())];
            damaged[start + below(size)] ^= 1 << below(8);
        }
        if round % 4 == 0 {
            damaged[below(4096)] ^= 1 << below(8);
        }
        if round % 4 == 1 {
            damaged.truncate(below(whole.len()));
        }
        fs::write(copies.at("program"), damaged).unwrap();
        copies.name(&[]);
    }
}
