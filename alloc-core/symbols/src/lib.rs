//! Names for code addresses: from an ELF file and offsets into its code to functions, files and lines.
//!
//! [`name`] looks for the file of a [`Module`], makes sure that it is the same build, and names offsets. Nothing
//! is kept when it returns.
//!
//! # Implementation
//!
//! [`addr2line`] reads the debug information, of files that are mapped into memory. It keeps what it has read of a
//! unit of compilation, so offsets are taken in ascending order, and it is dropped and made anew when it holds
//! four MiB of units, and one at least.
//!
//! A file is never guessed. One whose build id is another is refused with both ids ([`Missing::OtherBuild`]). A
//! module without a build id is told by its program headers and the start of its unwind tables, which are in memory
//! as they are in the file ([`fingerprint`]).

mod chain;
mod elf;
mod files;
mod find;
mod fingerprint;
mod generics;
mod names;
mod sections;

use std::fs::File;
use std::path::{Path, PathBuf};

pub use alloc_core_snapshot::seam::symbolizer::{Frame, Missing, Named, Search};
pub use files::{Files, identity};
pub use fingerprint::{fingerprint, fingerprint_of};
pub use names::held;

/// The code of an ELF file as a process had it in memory.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Module {
    /// The path that the process had it from.
    pub path: PathBuf,
    /// What tells this build from others.
    pub identity: Identity,
    /// How many bytes the segment of code takes up in memory.
    pub size: u64,
    /// Where in the file the segment begins.
    pub file_offset: u64,
}

/// What tells a build of a file from others.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum Identity {
    /// The build id that the linker wrote into it.
    BuildId(Vec<u8>),
    /// Where there is none, a [`fingerprint`].
    Fingerprint(u64),
    /// Nothing is known: a file of the right path is taken for it.
    #[default]
    Unknown,
}

/// Names the code at `offsets`, in ascending order, counted from where the module's segment begins.
///
/// `opened` is the module's file, where the caller has it open already, such as the running program's own.
/// Debug information is looked for in the order of [`Search`].
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

/// The build id of a file; nothing if it has none, or is no ELF file.
pub fn build_id(path: &Path) -> Option<Vec<u8>> {
    elf::Binary::open(path).ok()?.build_id()
}
