//! Finds the file of a module and its debug information.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use object::Object as _;

use crate::elf::{Binary, hexadecimal};
use crate::{Identity, Missing, Module, Search, sections};

/// The files of a module.
pub(crate) struct Found {
    /// The program or the library.
    pub(crate) binary: Option<Binary>,
    /// The file with the debug information, if it is separate.
    pub(crate) debug: Option<Binary>,
    /// Folders to search for files that the debug information refers to.
    pub(crate) folders: Vec<PathBuf>,
}

/// The folder where distributions install debug files.
const SYSTEM: &str = "/usr/lib/debug";

pub(crate) fn find(
    module: &Module,
    opened: Option<File>,
    search: &Search,
) -> Result<Found, Missing> {
    let opened = opened.and_then(|file| Binary::of(file, &module.path).ok());
    let by_path = || Binary::open(&module.path)?.check(&module.identity);
    let mut binary = match opened.map(|it| it.check(&module.identity)) {
        Some(Ok(binary)) => Ok(binary),
        _ => by_path(),
    };
    let mut debug = None;
    if let Identity::BuildId(id) = &module.identity {
        for candidate in by_build_id(id, search) {
            let is_debug = candidate.extension().is_some_and(|it| it == "debug")
                || candidate.ends_with("debuginfo");
            let Ok(found) = Binary::open(&candidate).and_then(|it| it.check(&module.identity))
            else {
                continue;
            };
            if debug.is_none() && has_debug_info(&found) {
                debug = Some(found);
            } else if binary.is_err() && !is_debug {
                binary = Ok(found);
            }
        }
    }
    if let (None, Ok(binary)) = (&debug, &binary) {
        debug = linked(binary, search);
    }
    let lacks = debug.is_none() && !binary.as_ref().is_ok_and(has_debug_info);
    if let (true, Identity::BuildId(id), Some(fetch)) = (lacks, &module.identity, &search.fetch) {
        debug = fetch(id)
            .and_then(|path| Binary::open(&path).ok())
            .and_then(|it| it.check(&module.identity).ok());
    }
    let folders = search.folders.clone();
    match (binary, debug) {
        (Err(missing), None) => Err(missing),
        (binary, debug) => Ok(Found {
            binary: binary.ok(),
            debug,
            folders,
        }),
    }
}

pub(crate) fn has_debug_info(binary: &Binary) -> bool {
    let object = binary.object();
    object.is_ok_and(|it| sections::by_name(&it, ".debug_info").is_some())
}

/// Lists files that may have this build id. The caller must check them.
fn by_build_id(id: &[u8], search: &Search) -> Vec<PathBuf> {
    let Some((first, rest)) = id.split_first().filter(|(_, rest)| !rest.is_empty()) else {
        return Vec::new();
    };
    let (whole, first, rest) = (hexadecimal(id), hexadecimal(&[*first]), hexadecimal(rest));
    let mut candidates = Vec::new();
    for folder in &search.folders {
        for by_id in [folder.join(".build-id"), folder.clone()] {
            candidates.push(by_id.join(&first).join(format!("{rest}.debug")));
            candidates.push(by_id.join(&first).join(&rest));
        }
        candidates.push(folder.join(&whole).join("debuginfo"));
        candidates.push(folder.join(&whole).join("executable"));
        candidates.push(folder.join(format!("{whole}.debug")));
        candidates.retain(|it| it.is_file());
        // Any file directly in the folder.
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        let is_file = |it: &fs::DirEntry| it.path().is_file();
        let mut files: Vec<PathBuf> = entries.filter(is_file).map(|it| it.path()).collect();
        files.sort();
        candidates.extend(files);
    }
    let by_id = Path::new(SYSTEM).join(".build-id").join(first);
    candidates.push(by_id.join(format!("{rest}.debug")));
    candidates
}

/// Finds the file that `.gnu_debuglink` names, with the right checksum.
fn linked(binary: &Binary, search: &Search) -> Option<Binary> {
    let object = binary.object().ok()?;
    let (name, checksum) = object.gnu_debuglink().ok()??;
    let name = Path::new(std::str::from_utf8(name).ok()?);
    // NOTE: a path could lead outside of the searched folders.
    let name = Path::new(name.file_name()?);
    let path = fs::canonicalize(&binary.path).unwrap_or_else(|_| binary.path.clone());
    let folder = path.parent()?;
    let below = folder.strip_prefix("/").unwrap_or(folder);
    let system = Path::new(SYSTEM).join(below);
    let beside = [folder.to_owned(), folder.join(".debug"), system];
    let places = search.folders.iter().chain(&beside);
    places
        .map(|folder| folder.join(name))
        .filter(|it| *it != path && it.is_file())
        .filter_map(|it| Binary::open(&it).ok())
        .find(|it| {
            let mut crc = flate2::Crc::new();
            crc.update(it.content());
            crc.sum() == checksum
        })
}

/// Finds the file that `.gnu_debugaltlink` names: debug information shared by several files.
pub(crate) fn alternate(debug: &Binary) -> Option<Binary> {
    let object = debug.object().ok()?;
    let (name, id) = object.gnu_debugaltlink().ok()??;
    let name = Path::new(std::str::from_utf8(name).ok()?);
    let path = fs::canonicalize(&debug.path).ok()?;
    let by_name = path.parent()?.join(name);
    let by_id = by_build_id(id, &Search::default());
    let identity = Identity::BuildId(id.to_vec());
    let mut places = std::iter::once(by_name).chain(by_id);
    places.find_map(|it| Binary::open(&it).ok()?.check(&identity).ok())
}

impl Found {
    /// Returns the file that may have debug information.
    pub(crate) fn debug(&self) -> Option<&Binary> {
        self.debug.as_ref().or(self.binary.as_ref())
    }

    /// Finds the package of split debug information (`.dwp`): next to the program or its debug
    /// file, or in a searched folder.
    pub(crate) fn package(&self) -> Option<Binary> {
        let files = [self.binary.as_ref(), self.debug.as_ref()];
        files.into_iter().flatten().find_map(|binary| {
            let mut name = binary.path.file_name()?.to_owned();
            name.push(".dwp");
            let beside = binary.path.with_file_name(&name);
            let elsewhere = self.folders.iter().map(|it| it.join(&name));
            let mut places = std::iter::once(beside).chain(elsewhere);
            places.find_map(|it| Binary::open(&it).ok())
        })
    }

    /// Finds a file of split debug information (`.dwo`): where the compiler put it, next to the
    /// debug file, or in a searched folder.
    pub(crate) fn split(&self, compiled_in: &Path, path: &Path) -> Option<Binary> {
        let name = path.file_name()?;
        let beside = self.debug().and_then(|it| it.path.parent());
        let folders = self.folders.iter().map(PathBuf::as_path).chain(beside);
        let elsewhere = folders.map(|it| it.join(name));
        let mut places = std::iter::once(compiled_in.join(path)).chain(elsewhere);
        places.find_map(|it| Binary::open(&it).ok())
    }
}
