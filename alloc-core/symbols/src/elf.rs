//! [`Binary`]: an ELF file, mapped into memory.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use memmap2::Mmap;
use object::{Object as _, ObjectSegment as _, SegmentFlags};

use crate::{Identity, Missing, Module, fingerprint_of};

pub(crate) struct Binary {
    pub(crate) path: PathBuf,
    content: Mmap,
}

impl Binary {
    pub(crate) fn open(path: &Path) -> Result<Binary, Missing> {
        let not_read = |error: io::Error| match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Missing::Deleted {
                path: path.to_owned(),
            },
            _ => Missing::Unreadable {
                path: path.to_owned(),
                error: error.to_string(),
            },
        };
        // NOTE: the path may come from an untrusted file, and opening a pipe would block.
        if !std::fs::metadata(path).map_err(not_read)?.is_file() {
            return Err(not_read(io::Error::other("it is not a regular file")));
        }
        Binary::of(File::open(path).map_err(not_read)?, path).map_err(not_read)
    }

    /// Maps an open file. `path` is used in messages and searches.
    pub(crate) fn of(file: File, path: &Path) -> io::Result<Binary> {
        // SAFETY: the content is only read, as bytes that may have any value. Truncating a mapped
        // file would end this process with SIGBUS, but linkers and installers write new files.
        let content = unsafe { Mmap::map(&file) }?;
        Ok(Binary {
            path: path.to_owned(),
            content,
        })
    }

    pub(crate) fn content(&self) -> &[u8] {
        &self.content
    }

    pub(crate) fn object(&self) -> Result<object::File<'_>, Missing> {
        object::File::parse(self.content()).map_err(|error| self.damaged(&error))
    }

    pub(crate) fn damaged(&self, error: &dyn std::fmt::Display) -> Missing {
        Missing::Damaged {
            path: self.path.clone(),
            error: error.to_string(),
        }
    }

    pub(crate) fn build_id(&self) -> Option<Vec<u8>> {
        let object = self.object().ok()?;
        Some(object.build_id().ok()??.to_vec())
    }

    /// Checks that the file is the build of `identity`. The error shows what was found instead.
    pub(crate) fn check(self, identity: &Identity) -> Result<Binary, Missing> {
        let no_build_id = || "none".to_owned();
        let (expected, found) = match identity {
            Identity::BuildId(expected) => {
                let found = self.build_id();
                if found.as_ref() == Some(expected) {
                    return Ok(self);
                }
                let found = found.map_or_else(no_build_id, |it| hexadecimal(&it));
                (hexadecimal(expected), found)
            }
            Identity::Fingerprint(expected) => {
                let found = fingerprint_of(self.content());
                if found == Some(*expected) {
                    return Ok(self);
                }
                let found = found.map_or_else(no_build_id, |it| format!("{it:016x}"));
                return Err(Missing::OtherBuild {
                    path: self.path,
                    expected: format!("fingerprint {expected:016x}"),
                    found,
                });
            }
            Identity::Unknown => return Ok(self),
        };
        Err(Missing::OtherBuild {
            path: self.path,
            expected: format!("build id {expected}"),
            found,
        })
    }

    /// Returns the virtual address, in the file, of the module's segment.
    pub(crate) fn address_of(&self, module: &Module) -> Result<u64, Missing> {
        const PF_X: u32 = 1;
        let object = self.object()?;
        let code = || {
            object.segments().filter(|it| match it.flags() {
                SegmentFlags::Elf { p_flags, .. } => p_flags.0 & PF_X != 0,
                _ => true,
            })
        };
        // NOTE: a debug file has the program's segments with the same sizes in memory, but at other
        // offsets.
        let same_size = || code().filter(|it| it.size() == module.size);
        let mut one = same_size();
        if let (Some(only), None) = (one.next(), one.next()) {
            return Ok(only.address());
        }
        let offset = |it: &object::Segment<'_, '_>| {
            let (start, size) = it.file_range();
            let within = module.file_offset.checked_sub(start)?;
            (within < size).then_some(it.address() + within)
        };
        let found = same_size().find_map(|it| offset(&it));
        let found = found.or_else(|| code().find_map(|it| offset(&it)));
        // NOTE: a memory map, as profiles of jemalloc have it, shows whole pages.
        let found = found.or_else(|| {
            let pages = |it: &object::Segment<'_, '_>| {
                let (start, end) = (it.address() & !0xFFF, it.address() + it.size());
                (end.next_multiple_of(0x1000) - start == module.size).then_some(start)
            };
            code().find_map(|it| pages(&it))
        });
        found.ok_or_else(|| {
            self.damaged(&format_args!(
                "expected a code segment at {:#x}, found none",
                module.file_offset
            ))
        })
    }
}

pub(crate) fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
