//! [`Module`]: the program and its shared libraries, as mapped into the process.

/// Code mapped from a file: the program or a shared library.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Module {
    /// The lowest address of the executable segment.
    pub start: u64,
    /// One past its highest address.
    pub end: u64,
    /// The offset of the segment in its file.
    pub file_offset: u64,
    /// The path that the process mapped it from.
    pub path: String,
    /// The identity of the build: GNU's build id in hexadecimal; without one, `fingerprint-` and a
    /// hash of the memory that is identical to the file; empty if neither is known.
    pub build_id: String,
}

/// The prefix of a fingerprint in place of a build id.
pub const FINGERPRINT: &str = "fingerprint-";

impl Module {
    /// The name for code without a symbol: `libc.so.6+0x2724a`, with the offset in the file.
    pub fn name_of(&self, address: u64) -> String {
        let path = self.file();
        let file = path.rsplit('/').next().unwrap_or(path);
        let offset = address.saturating_sub(self.start) + self.file_offset;
        format!("{file}+{offset:#x}")
    }

    /// The path of the file, without the suffix that Linux adds if the program's file is gone.
    pub fn file(&self) -> &str {
        self.path.strip_suffix(" (deleted)").unwrap_or(&self.path)
    }
}
