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
        // NOTE: code that the kernel maps into each process, such as the vDSO, has no file.
        let Some(module) = code.module.filter(|it| it.path.contains('/')) else {
            return Named::default();
        };
        // A return address is one past the call instruction.
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
            // Any file would be accepted.
            Identity::Unknown => None,
            _ => opened(code, module),
        };
        crate::name(&of_file, opened, search, &offsets)
    }

    /// Gives freed memory back to the system. Only glibc keeps it otherwise.
    fn finish(&self) {
        #[cfg(all(target_os = "linux", target_env = "gnu", not(miri)))]
        // SAFETY: `malloc_trim` has no preconditions. It takes only glibc's own locks, which glibc
        // handles at a fork.
        unsafe {
            libc::malloc_trim(0)
        };
    }
}

/// Returns the identity of a module's build.
pub fn identity(module: &Module) -> Identity {
    if let Some(hash) = module.build_id.strip_prefix(FINGERPRINT) {
        let hash = u64::from_str_radix(hash, 16);
        return hash.map_or(Identity::Unknown, Identity::Fingerprint);
    }
    let digits = module.build_id.as_bytes().chunks(2);
    let bytes = digits.map(|it| u8::from_str_radix(str::from_utf8(it).ok()?, 16).ok());
    match bytes.collect::<Option<Vec<u8>>>() {
        Some(bytes) if !bytes.is_empty() => Identity::BuildId(bytes),
        // NOTE: an id in another tool's format cannot be compared.
        _ => Identity::Unknown,
    }
}

/// Opens the file that is mapped into this process for a module, whatever is at its path now.
fn opened(code: &Code<'_>, module: &Module) -> Option<File> {
    if code.is_program {
        return File::open("/proc/self/exe").ok();
    }
    // Only privileged processes may open these, so they are used only if the path is gone.
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
