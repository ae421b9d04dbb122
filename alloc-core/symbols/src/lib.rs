//! Names code addresses: turns offsets into an ELF file's code into functions, files and lines.
//!
//! [`name`] finds the file of a [`Module`], checks that it is the same build, and names offsets. It
//! keeps no state between calls.
//!
//! # Implementation
//!
//! Files are mapped into memory, and [`addr2line`] reads their debug information. It caches every
//! compilation unit that it has read. So offsets are named in ascending order, and the cache is
//! dropped when it covers more than four MiB of units.
//!
//! A file is never guessed. A file with a different build id is refused, with both ids
//! ([`Missing::OtherBuild`]). A module without a build id is identified by its program headers and
//! the start of its unwind tables, which are the same in memory and in the file ([`fingerprint`]).

mod chain;
mod elf;
mod files;
mod find;
mod fingerprint;
mod generics;
mod layouts;
mod names;
mod sections;
mod variables;

use std::fs::File;
use std::path::{Path, PathBuf};

pub use alloc_core_snapshot::seam::symbolizer::{Frame, Missing, Named, Search};
pub use files::{Files, identity};
pub use fingerprint::{fingerprint, fingerprint_of};
pub use layouts::layouts;
pub use names::held;
pub use variables::variables;

/// The code segment of an ELF file in a process.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Module {
    /// The path that the process loaded it from.
    pub path: PathBuf,
    /// Distinguishes this build from others.
    pub identity: Identity,
    /// The size of the code segment in memory, in bytes.
    pub size: u64,
    /// The segment's offset in the file.
    pub file_offset: u64,
}

/// Distinguishes a build of a file from others.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum Identity {
    /// The build id that the linker wrote.
    BuildId(Vec<u8>),
    /// A [`fingerprint`], for a file without a build id.
    Fingerprint(u64),
    /// Unknown: any file at the path is accepted.
    #[default]
    Unknown,
}

/// Names the code at `offsets` from the start of the module's segment. They must be sorted.
///
/// `opened` is the module's file if the caller has it open already, such as the running program's
/// own. Debug information is searched in the order of [`Search`].
pub fn name(module: &Module, opened: Option<File>, search: &Search, offsets: &[u64]) -> Named {
    debug_assert!(offsets.is_sorted(), "the offsets are out of order");
    let found = match find::find(module, opened, search) {
        Ok(found) => found,
        Err(missing) => {
            return Named {
                frames: vec![Vec::new(); offsets.len()],
                missing: Some(missing),
                is_unverified: false,
            };
        }
    };
    let (frames, missing) = names::of(&found, module, offsets);
    Named {
        frames,
        missing,
        is_unverified: module.identity == Identity::Unknown,
    }
}

/// Returns the build id of a file, or `None` if it has none or is not an ELF file.
pub fn build_id(path: &Path) -> Option<Vec<u8>> {
    elf::Binary::open(path).ok()?.build_id()
}
