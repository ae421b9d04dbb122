//! [`Files`]: the symbolizer that reads ELF files.

use std::fs::File;

use alloc_core_snapshot::seam::modules::{FINGERPRINT, Module};
use alloc_core_snapshot::seam::symbolizer::{Code, Named, Search, Symbolizer};

use crate::Identity;

/// Names addresses from the files of their modules.
#[derive(Clone, Copy, Debug, Default)]
pub struct Files;

impl Symbolizer for Files {
    fn name(&self, code: &Code<'_>, search: &Search) -> Named {
        // NOTE: what the kernel maps into each process has no file.
        let Some(module) = code.module.filter(|it| it.path.contains('/')) else {
            return Named::default();
        };
        // A return address: the call is the instruction before it.
        let call = |address: &usize| (*address as u64).saturating_sub(1);
        let offset = |address: &usize| call(address).saturating_sub(module.start);
        let offsets: Vec<u64> = code.addresses.iter().map(offset).collect();
        let of_file = crate::Module {
            path: module.file().into(),
            identity: identity(module),
            size: module.end.saturating_sub(module.start),
            file_offset: module.file_offset,
        };
        let opened = match of_file.identity {
            // Any file would be taken for it.
            Identity::Unknown => None,
            _ => opened(code, module),
        };
        crate::name(&of_file, opened, search, &offsets)
    }

    /// Gives freed memory back to the system. Only glibc keeps it otherwise.
    fn finish(&self) {
        #[cfg(all(target_os = "linux", target_env = "gnu", not(miri)))]
        // SAFETY: `malloc_trim` has no preconditions; it takes the C library's own locks, which glibc
        // handles at a fork.
        unsafe {
            libc::malloc_trim(0)
        };
    }
}

/// What distinguishes the build of a module from others.
pub fn identity(module: &Module) -> Identity {
    if let Some(hash) = module.build_id.strip_prefix(FINGERPRINT) {
        let hash = u64::from_str_radix(hash, 16);
        return hash.map_or(Identity::Unknown, Identity::Fingerprint);
    }
    let digits = module.build_id.as_bytes().chunks(2);
    let bytes = digits.map(|it| u8::from_str_radix(str::from_utf8(it).ok()?, 16).ok());
    match bytes.collect::<Option<Vec<u8>>>() {
        Some(bytes) if !bytes.is_empty() => Identity::BuildId(bytes),
        // NOTE: another tool's, which is compared with nothing here.
        _ => Identity::Unknown,
    }
}

/// The file of a module that is mapped into this process, whatever is at its path now.
fn opened(code: &Code<'_>, module: &Module) -> Option<File> {
    if code.is_program {
        return File::open("/proc/self/exe").ok();
    }
    // The system lets only some processes open these. Others have the path.
    let is_there = std::fs::exists(module.file()).unwrap_or(false);
    if !code.is_here || is_there {
        return None;
    }
    let maps = std::fs::read_to_string("/proc/self/maps").ok()?;
    let range = maps.lines().find_map(|line| {
        let range = line.split(' ').next()?;
        let (start, end) = range.split_once('-')?;
        let number = |text| u64::from_str_radix(text, 16).ok();
        (number(start)?..number(end)?)
            .contains(&module.start)
            .then_some(range)
    })?;
    File::open(format!("/proc/self/map_files/{range}")).ok()
}
